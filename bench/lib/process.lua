--- Memory and processor time of processes, from /proc and the kernel's clocks.
local disk = require("spec.support.disk")
local program = require("bench.lib.program")

local process = {}

local function status(pid, field)
  return tonumber(disk.read("/proc/" .. pid .. "/status"):match(field .. ":%s*(%d+)"))
end

--- The largest resident size that a process has had, in MB.
---@param pid integer|"self"
function process.peak(pid) return status(pid, "VmHWM") / 1024 end

--- Its resident size now, in MB.
function process.now(pid) return status(pid, "VmRSS") / 1024 end

--- From here on process.peak() is about what follows.
function process.forget_peak(pid) disk.write("/proc/" .. pid .. "/clear_refs", "5") end

--- Seconds of processor time that another process has used, to the microsecond: /proc has
--- hundredths only. One's own are os.clock().
---@param pid integer
function process.cpu(pid)
  return program.numbers("build/peers/cputime " .. pid)[1]
end

--- A process and all below it.
---@return integer[]
function process.family(pid)
  local pids, level = { pid }, tostring(pid)
  repeat
    level = disk.capture("pgrep -P " .. level):gsub("%s+$", ""):gsub("%s+", ",")
    for child in level:gmatch("%d+") do pids[#pids + 1] = tonumber(child) end
  until level == ""
  return pids
end

-- The sum of a number in files of processes.
local function sum(pids, files, pattern)
  local total = 0
  local text = disk.capture(("for p in %s; do cat /proc/$p/%s; done 2>/dev/null")
    :format(table.concat(pids, " "), files))
  for number in text:gmatch(pattern) do total = total + tonumber(number) end
  return total
end

--- How often the threads of processes have gone to sleep.
function process.sleeps(pids)
  return sum(pids, "task/*/status", "\nvoluntary_ctxt_switches:%s*(%d+)")
end

--- The resident memory of processes in MB; what they share is counted once.
function process.together(pids) return sum(pids, "smaps_rollup", "\nPss:%s*(%d+)") / 1024 end

return process
