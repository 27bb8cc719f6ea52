-- Stands in for Copas 4, which Debian 12 does not package. It has the functions that the
-- driver uses, with the documented behaviour.
local socket = require("socket")

local copas = { running = false }

local READING, SLEEPING = {}, {}      -- the queues that a thread yields to
local resumable, asleep, timed, reading = {}, {}, {}, {}

local function sort(co, what, queue)
  if coroutine.status(co) == "dead" then return end
  if queue == READING then
    reading[#reading + 1] = what
    reading[what] = co
  elseif queue == SLEEPING and what < 0 then
    asleep[co] = true
  elseif queue == SLEEPING then
    timed[co] = socket.gettime() + what
  else
    io.write("user code cannot yield to Copas")
  end
end

local function resume(co, ...)
  local ok, what, queue = coroutine.resume(co, ...)
  if not ok then io.write(tostring(what)) end
  sort(co, what, queue)
end

function copas.addthread(fn, ...)
  local co = coroutine.create(function(...)
    coroutine.yield(0, SLEEPING)
    fn(...)
  end)
  resume(co, ...)
  return co
end

function copas.pause(seconds) coroutine.yield(math.max(seconds or 0, 0), SLEEPING) end

function copas.pauseforever() coroutine.yield(-1, SLEEPING) end

function copas.wakeup(co)
  if asleep[co] or timed[co] then resumable[#resumable + 1] = co end
  asleep[co], timed[co] = nil, nil
end

function copas.receive(object, pattern)
  while true do
    local data, problem = object:receive(pattern)
    if data or problem ~= "timeout" then return data, problem end
    coroutine.yield(object, READING)
  end
end

local function seconds_left()
  local left = #resumable > 0 and 0 or 1
  for _, at in pairs(timed) do left = math.min(left, at - socket.gettime()) end
  return math.max(left, 0)
end

function copas.step()
  local readable = socket.select(reading, {}, seconds_left())
  local list, still = {}, {}
  for _, object in ipairs(reading) do
    if readable[object] then list[#list + 1] = reading[object] else still[#still + 1] = object end
  end
  for _, object in ipairs(still) do still[object] = reading[object] end
  reading = still
  for co, at in pairs(timed) do
    if at <= socket.gettime() then resumable[#resumable + 1] = co end
  end
  for _, co in ipairs(resumable) do
    timed[co] = nil
    list[#list + 1] = co
  end
  resumable = {}
  for _, co in ipairs(list) do resume(co) end
end

-- Returns when no thread can ever continue.
function copas.loop()
  copas.running = true
  while #reading > 0 or #resumable > 0 or next(timed) do copas.step() end
  copas.running = false
end

return copas
