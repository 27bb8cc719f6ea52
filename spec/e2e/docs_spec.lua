-- Every Lua block of these pages runs as it stands, after a few lines that define the names
-- introduced by the page. It must print what its comments (--> …) say.
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local host = require("spec.support.host")

local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"

local PAGES = {
  "README.md", "docs/use/guide.md", "docs/use/build.md", "docs/use/testing.md",
  "docs/engine/engine.md", "docs/use/workspace.md", "docs/use/live.md", "docs/use/volumes.md",
  "docs/use/terminal.md", "docs/use/box.md", "docs/use/repl.md", "docs/use/trace.md",
  "docs/proofs/parity-05.md",
}

local PRELUDE = [[
local contree = require("contree")
local testing = require("contree.testing")
local client = contree.new()
local image = client.images:use("busybox:latest")
local id, session, base, my_program, list_of_functions
]]

-- Some blocks need more: the code to run before a block that contains the key.
local BEFORE = {
  ["operations:get(id)"] = 'id = image:start("echo x").uuid\n',
  ["list_of_functions"] = [[
    list_of_functions = { function() return image:run("echo x").stdout end }
  ]],
  ["my_program"] = [[
    my_program = function(fake_client)
      local app = fake_client.images:use("app:v1")
      local result = app:run{ shell = "make test", env = { CI = "1" } }
      return result.exit_code ~= 0 and result.stderr:gsub("\n", "") or nil
    end
  ]],
  ["image:diff(base"] = [[
    base = image
    image = base:apply_files{ ["/src/a"] = { data = "x\n" } }
  ]],
  ["session:blame"] = 'session = image:session()\nsession:run("echo x >> /etc/passwd")\n',
  ["session:commit"] = "session = image:session()\n",
  ["session:bisect"] = [[
    local make = "#!/bin/sh\ntest ! -e /broken\n"
    session = image:apply_files{ ["/bin/make"] = { data = make, mode = "0755" },
      ["/app"] = { data = "x" } }:session()
    session:run("true > /fine")
    session:run("touch /broken; rm /app")
  ]],
  ["image.config"] = 'image = client.images:build("app")\n',
  ['path = "."'] = [[
    image = image:apply_files{
      ["/bin/make"] = { data = "#!/bin/sh\necho x > src/made\n", mode = "0755" } }
  ]],
  ["op:pause()"] = [[
    local make = "#!/bin/sh\nsleep 1; echo x > /work/made; sleep 0.2\n"
    image = image:apply_files{ ["/bin/make"] = { data = make, mode = "0755" },
      ["/work/old"] = { data = "x" } }
  ]],
  ["image:open{"] = 'image = image:apply_files{ ["/src/server"] = { data = "x" } }\n',
  ['images:oci("debian:12", {'] = "client = testing.client()\n",
  ["answer(result"] = 'local script, state, answer = "cat", "x", print\n',
  ["token = TOKEN"] = 'local TOKEN, PROJECT = "token", "project"\n',
  -- No registry can be reached, so a fake client answers.
  ["images:import_from"] = "client = testing.client()\n",
}

local function blocks(page)
  local list, text = {}, disk.read(page)
  for at, block in text:gmatch("()```lua\n(.-)```") do
    local line = select(2, text:sub(1, at):gsub("\n", "")) + 1
    list[#list + 1] = { line = line, text = block }
  end
  return list
end

-- Names of the pages that are directories here.
local function settled(text, directory)
  return (text:gsub("/srv/data", directory .. "/share"))
end

-- Returns the output that the comments promise.
local function promised(text)
  local words = {}
  for comment in text:gmatch("print%b()[^\n]-%-%->([^\n]*)") do
    for word in comment:gmatch("%S+") do words[#words + 1] = word end
  end
  return table.concat(words, " ")
end

describe("the code in", function()
  local directory

  setup(function()
    directory = disk.directory()
    os.execute(("cd %s && mkdir -p build share app src && echo 1,2 > data.csv"
      .. " && printf '#!/bin/sh\\necho main\\n' > build/main && echo x > share/file"
      .. " && tar cf big.tar share && echo 'int main(void) { return 0; }' > app.c")
      :format(disk.quote(directory)))
    disk.write(directory .. "/app/Dockerfile",
      'FROM busybox:latest AS server\nARG V\nRUN echo $V > /v\nWORKDIR /\nCMD ["true"]\n')
  end)
  teardown(function()
    home.stop_engine(directory .. "/data")
    disk.remove(directory)
  end)

  -- Set by scripts/as-user.
  local one_id = os.getenv("CONTREE_TEST_IDS") == "single"

  for _, page in ipairs(PAGES) do
    for _, block in ipairs(blocks(page)) do
      it(("%s, line %d, runs"):format(page, block.line), function()
        local before = {}
        for sign, text in pairs(BEFORE) do
          if block.text:find(sign, 1, true) then before[#before + 1] = text end
        end
        local path = disk.write(directory .. "/block.lua", PRELUDE .. table.concat(before)
          .. "do\n" .. settled(block.text, directory) .. "end\n")
        local output, code = host.run(lua, ("cd %s && %s %s 2>stderr || { cat stderr; false; }")
          :format(disk.quote(directory), lua, disk.quote(path)), { CONTREE_HOME = directory,
          CONTREE_DATA_DIR = directory .. "/data", XDG_RUNTIME_DIR = directory, CONTREE_URL = "" })
        if one_id and block.text:find("uid = [1-9]") then
          assert.matches("this engine has one id to give", output, 1, true)
          return
        end
        assert.are.equal(0, code, output)
        local words = promised(block.text)
        local got = output:gsub("%s+", " "):gsub(" $", "")
        -- A print without a promise has other words before the last.
        local _, prints = block.text:gsub("print%b()", "")
        local _, promises = block.text:gsub("%-%->", "")
        if prints > promises then got = got:sub(-#words) end
        if words ~= "" then assert.are.equal(words, got) end
      end)
    end
  end

  it("is there", function()
    for _, page in ipairs(PAGES) do assert.is_true(#blocks(page) > 0, page) end
    assert.are.equal("a b c", promised('print(x)   --> a  b\nrun(y) --> no\nprint(z(1)) --> c\n'))
  end)
end)
