-- Gives a spec its own engine: a client with an engine in a new temporary directory, and a
-- stop() that ends the engine and removes the directory.
local contree = require("contree")
local disk = require("spec.support.disk")

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

---@return table client, string directory, function stop
function home.client(options)
  local directory = disk.directory()
  options = options or {}
  options.engine = options.engine or {}
  options.engine.data_dir = directory .. "/data"
  options.engine.socket = directory .. "/engine.sock"
  local client = contree.new(options)
  local function stop()
    client:close()
    home.stop_engine(directory .. "/data")
    disk.remove(directory)
  end
  return client, directory, stop
end

return home
