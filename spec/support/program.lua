-- Runs bin/contree as a shell would, with state, cache and engine of its own.
local disk = require("spec.support.disk")
local home = require("spec.support.home")

local program = {}

-- The program is one of Lua 5.4, whichever Lua runs this spec.
local function module_path() return (os.getenv("LUA_CPATH") or ""):gsub("/luajit/", "/lua5.4/") end

--- A directory for the program, and a function that ends its engine and removes it.
---@return string directory, fun() stop
function program.place()
  local directory = disk.directory()
  os.execute("chmod 700 " .. directory)
  return directory, function()
    home.stop_engine(directory .. "/data")
    disk.remove(directory)
  end
end

--- The words with which a shell runs the program.
---@param directory string that of home.client()
---@param line string  its command line, as a shell reads it
function program.words(directory, line)
  local here = disk.quote(directory)
  return ("env -u CONTREE_URL -u CONTREE_TOKEN CONTREE_HOME=%s CONTREE_DATA_DIR=%s/data "
    .. "XDG_RUNTIME_DIR=%s CONTREE_CACHE_DIR=%s/cache CONTREE_STATE_DIR=%s/state LUA_CPATH=%s "
    .. "lua5.4 %s/bin/contree %s"):format(here, here, here, here, here,
      disk.quote(module_path()), program.root, line)
end

program.root = disk.capture("pwd"):gsub("\n", "")

--- Runs it to its end.
---@param line string
---@param around? { before: string?, input: string?, after: string? } shell text: what comes
---  before it, `| ` among it; a redirection of its input; what comes after it
---@return string stdout, string stderr, integer exit_code
function program.run(directory, line, around)
  around = around or {}
  local text = disk.capture(("%s%s %s 2>%s/stderr%s; printf '\n%%s' $?"):format(
    around.before or "", program.words(directory, line), around.input or "</dev/null",
    disk.quote(directory), around.after or ""))
  local out, code = text:match("^(.*)\n(%d+)$")
  return out, disk.read(directory .. "/stderr"), tonumber(code)
end

--- What it prints when all is well.
---@return string stdout, string stderr
function program.ok(directory, line, around)
  local out, err, code = program.run(directory, line, around)
  assert(code == 0, ("%s: exit code %s: %s"):format(line, code, err))
  return out, err
end

return program
