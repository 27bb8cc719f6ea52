-- Every example runs as it stands, and prints what spec/e2e/examples says.
local disk = require("spec.support.disk")
local home = require("spec.support.home")

local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"

-- The output of these is not always the same, so they have tests of their own.
local SPECIAL = { quickstart = true, detached = true, terminal = true }

describe("examples/", function()
  local directory

  setup(function() directory = disk.directory() end)
  teardown(function()
    home.stop_engine(directory .. "/data")
    disk.remove(directory)
  end)

  -- Returns the output of an example, and how it ended.
  local function run(arguments, program)
    local here = disk.quote(directory)
    local text = disk.capture(("env -u CONTREE_URL -u CONTREE_TOKEN CONTREE_HOME=%s"
      .. " CONTREE_DATA_DIR=%s/data CONTREE_CACHE_DIR=%s/cache CONTREE_STATE_DIR=%s/state"
      .. " XDG_RUNTIME_DIR=%s %s %s 2>&1; printf %%s $?"):format(here, here, here, here, here,
      program or lua, arguments))
    return text:match("^(.*)(%d)$")
  end

  for path in disk.capture("ls examples/*.lua"):gmatch("%S+") do
    local name = path:match("([^/]+)%.lua$")
    if not SPECIAL[name] then
      it(name .. " prints what it should", function()
        local output, status = run(path)
        assert.are.equal(disk.read(("spec/e2e/examples/%s.txt"):format(name)), output)
        assert.are.equal("0", status)
      end)
    end
  end

  it("terminal gives a person a shell, and this terminal back", function()
    local function person(steps)
      local path = disk.write(directory .. "/steps", table.concat(steps, "\n") .. "\n")
      local output = run(("python3 spec/support/typist.py 30 90 %s examples/terminal.lua < %s")
        :format(lua, path), "")
      return output, output:match("([^\n]*)\n$")
    end
    local _, ended = person{ [=[["await", "# "]]=],
      [=[["type", "stty size; tty\r"]]=], [=[["await", "30 90.*/dev/pts/0.*# "]]=],
      [=[["resize", 40, 100]]=], [=[["type", "sleep 0.5; stty size\r"]]=],
      [=[["await", "40 100.*# "]]=], [=[["type", "(echo be''gun; exec sleep 100)\r"]]=],
      [=[["await", "begun\r"]]=], [=[["type", "\u0003"]]=], [=[["await", "# "]]=],
      [=[["type", "exit 7\r"]]=] }
    assert.are.equal("7 restored", ended)
    for _, signal in ipairs{ 1, 15 } do
      _, ended = person{ [=[["await", "# "]]=], ('["signal", %d]'):format(signal) }
      assert.are.equal(128 + signal .. " restored", ended)
    end
    assert.matches("must be a terminal", (run("examples/terminal.lua < /dev/null")))
  end)

  it("quickstart works", function()
    local output, status = run("examples/quickstart.lua")
    assert.are.equal("0", status, output)
    assert.matches('did you mean "shell"%?', output)
  end)

  it("detached is picked up by another process", function()
    local id = run("examples/detached.lua"):gsub("%s", "")
    local output, status = run("examples/detached.lua " .. id)
    assert.are.equal("finished without you\nexit code 0, it left: data\n", output)
    assert.are.equal("0", status)
  end)
end)
