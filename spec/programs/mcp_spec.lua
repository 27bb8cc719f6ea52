-- The official MCP clients of npm talk to `contree mcp`. They are installed here, so this is part
-- of `make soak`, not of the gate.
local disk = require("spec.support.disk")
local home = require("spec.support.home")

local PACKAGES = "@modelcontextprotocol/sdk@1 @modelcontextprotocol/client@2 "
  .. "@modelcontextprotocol/inspector@0.15"
local CHECKS = { "server", "tools", "prompts", "prompt", "resources", "run", "wrong arguments",
  "unknown tool", "progress", "cancel", "many at once" }

describe("the official client of npm", function()
  local directory, server

  setup(function()
    directory = disk.directory()
    local said = disk.capture(("cd %s && npm init -y >/dev/null && npm install --silent %s 2>&1")
      :format(directory, PACKAGES))
    assert(disk.peek(directory .. "/node_modules/@modelcontextprotocol/sdk/package.json"), said)
    server = "lua5.4 " .. disk.capture("pwd"):gsub("\n", "") .. "/bin/contree mcp"
  end)
  teardown(function()
    home.stop_engine(directory .. "/.local/share/contree")
    disk.remove(directory)
  end)

  -- Clients pass HOME and PATH, and little else.
  local function run(words)
    return disk.capture(("LUA_CPATH=%s HOME=%s %s 2>&1"):format(
      disk.quote((os.getenv("LUA_CPATH"):gsub("/luajit/", "/lua5.4/"))), directory, words))
  end

  for _, era in ipairs{ "old", "new", "modern" } do
    it("works: " .. era, function()
      local said = run(("timeout 120 node spec/programs/mcp_client.mjs %s %s %s"):format(era,
        directory, server))
      for _, name in ipairs(CHECKS) do
        assert.is_truthy(said:find("ok " .. name .. "\n", 1, true), name .. ": " .. said)
      end
    end)
  end

  it("works: the inspector's command line", function()
    local inspector = directory .. "/node_modules/.bin/mcp-inspector --cli " .. server
    assert.matches('"name": "workspace_run"', run(inspector .. " --method tools/list"))
    assert.matches("/etc/passwd", run(inspector .. " --method tools/call --tool-name list_files "
      .. "--tool-arg image=tag:busybox:latest --tool-arg path=/etc"))
    assert.matches("contree://guide/workflow", run(inspector .. " --method resources/list"))
    assert.matches("run%-shell", run(inspector .. " --method prompts/list"))
  end)
end)
