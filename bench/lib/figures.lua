--- What an engine and this process hold at a moment: memory, descriptors, threads, processes,
--- control groups, mounts, bytes on the disk.
local disk = require("spec.support.disk")
local process = require("bench.lib.process")

local figures = {}

local function count(command) return tonumber((disk.capture(command .. " | wc -l"))) end

-- The engine names its control groups after the device and inode of its data directory.
local function groups(directory)
  local name = disk.capture(("printf 'contree-%%s.%%x-' $(stat -c '%%D %%i' %s/data)")
    :format(directory))
  return count(("find /sys/fs/cgroup -maxdepth 6 -type d -name '%s*' 2>/dev/null"):format(name))
end

---@param pid integer of the engine
---@param directory string that has its data
---@return table<string, number>
function figures.take(pid, directory)
  local family = process.family(pid)
  local ids = table.concat(family, " ")
  collectgarbage()
  collectgarbage()
  return {
    engine_mb = process.now(pid),
    family_mb = process.together(family),
    engine_fds = count(("ls /proc/%d/fd"):format(pid)),
    threads = count(("ls /proc/%d/task"):format(pid)),
    processes = #family,
    family_fds = count(("for p in %s; do ls /proc/$p/fd; done 2>/dev/null"):format(ids)),
    groups = groups(directory),
    mounts = count(("grep -shF %s /proc/self/mountinfo /proc/%d/mountinfo")
      :format(disk.quote(directory), pid)),
    disk_mb = tonumber(disk.capture(("du -sk %s/data"):format(directory)):match("%d+")) / 1024,
    entries = count(("find %s -maxdepth 3"):format(directory)),
    client_mb = process.now("self"),
    lua_mb = collectgarbage("count") / 1024,
    client_fds = count("ls /proc/$PPID/fd"),
  }
end

return figures
