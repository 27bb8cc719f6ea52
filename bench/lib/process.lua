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

--- How often the threads of a process have gone to sleep.
function process.sleeps(pid)
  local sum = 0
  for text in disk.capture(("cat /proc/%d/task/*/status"):format(pid))
    :gmatch("\nvoluntary_ctxt_switches:%s*(%d+)") do
    sum = sum + tonumber(text)
  end
  return sum
end

return process
