-- What an engine has of its machine: descriptors, memory, sandboxes, control groups, mounts,
-- files of runs. After a stress, and garbage collection, it is as it was before.
local disk = require("spec.support.disk")

local leftovers = {}

local function number(command) return tonumber((disk.capture(command):gsub("%s", ""))) end

--- The engine's process, by the lock of its directory.
function leftovers.engine(data)
  return tonumber((disk.peek(data .. "/lock") or ""):match("^%d+"))
end

-- In the work directory of an overlay while it is mounted.
local MOUNTED = "*/w/work/incompat/volatile/dirty"

local GROUPS = [[find /sys/fs/cgroup -type d -name "$(stat -c 'contree-%%D' %s).$(
  printf %%x $(stat -c %%i %s))-*" | wc -l]]

--- Figures that are at the end what they were at the beginning, by name.
function leftovers.figures(data)
  local pid = leftovers.engine(data)
  local function of(command) return number(command:gsub("PID", pid):gsub("DATA", data) .. "") end
  return {
    descriptors = of("ls /proc/PID/fd | wc -l"),
    threads = of("ls /proc/PID/task | wc -l"),
    launchers = of("pgrep -P PID | wc -l"),
    sandboxes = of("for p in $(pgrep -P PID); do pgrep -P $p; done | wc -l"),
    groups = number(GROUPS:format(data, data)),
    files = of("find DATA/w DATA/trash -type f -not -path '" .. MOUNTED .. "' | wc -l"),
    mounts = of("grep -cF DATA /proc/PID/mounts"),
    interfaces = of("ls /sys/class/net | wc -l"),
  }
end

--- KiB of memory that are its own.
function leftovers.memory(data)
  local status = disk.peek(("/proc/%d/status"):format(leftovers.engine(data))) or ""
  return tonumber(status:match("RssAnon:%s*(%d+)"))
end

--- What may say why there is too much: processes, descriptors, files of runs.
function leftovers.show(data)
  local pid = leftovers.engine(data)
  return disk.capture(([[pstree -p -A -l -T %d; ls -l /proc/%d/fd | cut -d ' ' -f 9-
    find %s/w %s/trash -type f 2>/dev/null]]):format(pid, pid, data, data))
end

--- What there is of a directory when no engine should be: processes, mounts, sockets.
function leftovers.traces(directory)
  return disk.capture(("pgrep -af %s | grep -v spec/stress; grep -F %s /proc/mounts; "
    .. "find %s -type s 2>/dev/null; true"):format(directory, directory, directory))
end

return leftovers
