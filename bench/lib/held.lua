--- How long a host's loop is held: the longest time in which no other task could go on.
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")

local held = {}

local TICK = 0.001

-- Seconds that this thread waited for a processor: other load, which is not ours.
local function waited()
  return tonumber(disk.read("/proc/thread-self/schedstat"):match("^%d+ (%d+)")) / 1e9
end

--- Calls a function beside a task that sleeps a millisecond again and again. Returns the
--- longest time between two of its turns, in milliseconds, without the sleep itself and the
--- time in which other processes had the processor.
function held.longest(fn)
  local most, over = 0, false
  contree.gather(function()
    while not over do
      local begun, waited_before = core.now(), waited()
      contree.sleep(TICK)
      most = math.max(most, core.now() - begun - TICK - (waited() - waited_before))
    end
  end, function()
    fn()
    over = true
  end)
  return most * 1e3
end

return held
