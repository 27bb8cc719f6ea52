-- Gives a spec its own engine: a client with an engine in a new temporary directory, and a
-- stop() that ends the engine and removes the directory.
local contree = require("contree")
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

local home = {}

--- The engine's process id, read from the lock of its directory, or nil.
function home.pid(directory)
  local file = io.open(directory .. "/lock")
  local pid = file and file:read("*n")
  if file then file:close() end
  return pid
end

--- Ends the engine of a directory and waits until it is gone.
function home.stop_engine(directory, signal)
  local pid = home.pid(directory)
  if pid then
    os.execute(("kill -%s %d 2>/dev/null; %s")
      :format(signal or "TERM", pid, disk.wait_for_end(pid)))
  end
end

-- How a script reaches the engine of a directory: Lua source, by directory.
local sources = {}

--- Lua source of the options with which another process reaches a spec's engine.
---@param directory string as home.client has returned it
function home.source(directory) return sources[directory] end

--- Those options.
function home.options(directory)
  return assert((loadstring or load)("return " .. sources[directory]))()
end

local function local_client(options)
  local directory = disk.directory()
  sources[directory] = ("{ engine = { data_dir = %q, socket = %q } }"):format(directory .. "/data",
    directory .. "/engine.sock")
  options = options or {}
  options.engine = options.engine or {}
  for name, value in pairs(home.options(directory).engine) do options.engine[name] = value end
  local client = contree.new(options)
  local function stop()
    client:close()
    home.stop_engine(directory .. "/data")
    disk.remove(directory)
  end
  return client, directory, stop
end

-- An engine without extensions and over TCP, as the hosted service is.
local function plain_client(options)
  local token = disk.write(os.tmpname(), "s3cret")
  local engine = wire.start("--plain-api --listen 127.0.0.1:0 --token-file " .. token)
  os.remove(token)
  local directory = engine.directory .. "/spec"
  os.execute(("mkdir %s && ln -s ../data %s/data"):format(directory, directory))
  sources[directory] = ("{ url = %q, token = %q, project = %q }"):format(
    disk.read(engine.log):match("http://127%.0%.0%.1:%d+"), "s3cret", "p")
  options = options or {}
  assert(not options.engine, "a plain engine is started without options")
  for name, value in pairs(home.options(directory)) do options[name] = value end
  local client = contree.new(options)
  return client, directory, function()
    client:close()
    engine:stop()
  end
end

--- A client with an engine of its own.
---@return table client, string directory, function stop
function home.client(options) return (home.plain and plain_client or local_client)(options) end

--- `it`, for what only a local engine does: on a server without extensions (spec/e2e/plain_spec)
--- no test is declared.
function home.own(it) return home.plain and function() end or it end

return home
