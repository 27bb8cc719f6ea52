-- Runs the host programs of contree with this build tree's module, for specs that check
-- their output and exit code.
local contree = require("contree")
local disk = require("spec.support.disk")
local home = require("spec.support.home")

local host = {}

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
local core = assert(package.searchpath("contree.core", package.cpath))
local build = assert(core:match("^(.*)/[^/]+/contree/core%.so$"), core .. " is not a build tree's")

--- The root of the repository.
host.root = disk.capture("cd " .. disk.quote(here .. "../..") .. " && pwd"):gsub("\n$", "")

--- The prefix for a program that loads the module and is not in PATH. In a sanitizer run it
--- loads the sanitizer's libraries.
host.PREFIX = (os.getenv("CONTREE_TEST_SANITIZER") or "") .. " "

--- The first lines of most scripts.
host.PREAMBLE = [[
  io.stdout:setvbuf("no")
  local contree = require("contree")
  local image = contree.new().images:use("busybox:latest")
]]

local function environment(lua, more)
  local list = {
    ("LUA_PATH=%s/lua/?.lua;%s/lua/?/init.lua;%s/?.lua;;"):format(host.root, host.root, host.root),
    ("LUA_CPATH=%s/%s/?.so;;"):format(build, lua),
    "CONTREE_PROFILE=", "CONTREE_TOKEN=", "NEBIUS_API_KEY=", "http_proxy=", "https_proxy=",
  }
  for name, value in pairs(more or {}) do list[#list + 1] = name .. "=" .. value end
  for i, item in ipairs(list) do list[i] = disk.quote(item) end
  return table.concat(list, " ")
end

--- Runs a shell command; Lua in it finds contree. After a minute it is killed.
---@param lua "lua5.4"|"luajit"
---@return string output of both streams
---@return integer code
function host.run(lua, command, env)
  local text = disk.capture(("env %s timeout -k 5 60 sh -c %s </dev/null 2>&1; echo \":$?\"")
    :format(environment(lua, env), disk.quote(command)))
  local output, code = text:match("^(.*):(%d+)\n$")
  return output, tonumber(code)
end

local Place = {}
Place.__index = Place

--- Starts an engine in a new directory, for scripts.
---@return table place { directory, socket, url }, and the methods below
function host.place()
  local client, directory, stop = home.client()
  client:whoami() -- starts it
  local socket = directory .. "/engine.sock"
  return setmetatable({ client = client, directory = directory, socket = socket,
    url = "unix:" .. socket, stop_engine = stop }, Place)
end

--- Writes a file into the directory; returns its path.
function Place:write(name, text) return disk.write(self.directory .. "/" .. name, text) end

--- Like host.run, and contree finds the engine.
function Place:run(lua, command) return host.run(lua, command, { CONTREE_URL = self.url }) end

--- Runs Lua code as a script.
function Place:script(lua, code)
  return self:run(lua, lua .. " " .. self:write("script.lua", code))
end

--- Lua code that raises when programs started by the host inherit our descriptors.
function Place:inherited()
  return ('require("spec.support.inherited").check(contree, image, %q)\n'):format(self.directory)
end

--- Code that starts a task which fails with "mine" without anybody waiting for it.
host.LOST = 'local kept = contree.spawn(function() error("mine", 0) end)\n'

--- The pattern of the message about that task.
host.TOLD = "contree: a task failed and "
  .. "nobody waited for it %(it was started at [^\n]*%): mine\nstack traceback:.-"

--- Code that starts commands of a minute in every possible way, and keeps them.
host.STARTED = [[
  local started = { image:start("exec sleep 60"), image:popen{ "sleep", "60" } }
  started[3] = contree.spawn(function() image:run("exec sleep 60") end)
  started[4] = contree.spawn(function()
    image:run{ shell = "exec sleep 60", stdout = function() end }
  end)
]]

--- The number of running operations, once those that are being cancelled have ended. With
--- `wanted`, whether that number is reached.
---@param wanted? integer
function Place:running(wanted)
  local count
  for _ = 1, 100 do
    count = #self.client.operations:list{ status = "EXECUTING" }
    if count == (wanted or 0) then break end
    contree.sleep(0.1)
  end
  if wanted then return count == wanted end
  return count
end

function Place:stop() self.stop_engine() end

return host
