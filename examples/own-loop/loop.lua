-- A small event loop such as a program may have: descriptors and timers, over
-- the select() of LuaSocket. It knows nothing of contree.
local socket = require("socket")

local loop = {}

local readers = {}      -- list of { getfd =, ready = function }
local timers = {}       -- list of { at =, every =, ready = function }

--- Calls `ready` whenever the descriptor can be read. Pass the result to unwatch.
function loop.watch(fd, ready)
  local reader = { getfd = function() return fd end, ready = ready }
  readers[#readers + 1] = reader
  return reader
end

function loop.unwatch(reader)
  for i, each in ipairs(readers) do
    if each == reader then return table.remove(readers, i) end
  end
end

--- Calls `ready` after some seconds, and then at every interval.
function loop.after(seconds, ready, every)
  timers[#timers + 1] = { at = socket.gettime() + seconds, every = every, ready = ready }
end

-- A timer's function may run the loop itself, so timers are removed one at a time.
local function next_due(now)
  for i, timer in ipairs(timers) do
    if timer.at <= now then
      table.remove(timers, i)
      return timer
    end
  end
end

local function run_timers()
  local now = socket.gettime()
  local timer = next_due(now)
  while timer do
    if timer.every then loop.after(timer.every, timer.ready, timer.every) end
    timer.ready()
    timer = next_due(now)
  end
end

--- One round: waits until something happens, and calls the functions for it.
function loop.turn()
  local seconds
  for _, timer in ipairs(timers) do
    seconds = math.max(0, math.min(seconds or math.huge, timer.at - socket.gettime()))
  end
  for _, reader in ipairs((socket.select(readers, nil, seconds))) do reader.ready() end
  run_timers()
end

function loop.run()
  loop.stopped = false
  repeat loop.turn() until loop.stopped
end

function loop.stop() loop.stopped = true end

return loop
