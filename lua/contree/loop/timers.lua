--- Timers: a binary heap by due time, from which any timer can be removed.

local timers = {}
timers.__index = timers

function timers.new() return setmetatable({ size = 0 }, timers) end

local function place(heap, timer, i)
  heap[i] = timer
  timer.index = i
end

local function rise(heap, timer, i)
  while i > 1 do
    local parent = (i - i % 2) / 2
    if heap[parent].at <= timer.at then break end
    place(heap, heap[parent], i)
    i = parent
  end
  place(heap, timer, i)
end

local function sink(heap, timer, i)
  while 2 * i <= heap.size do
    local child = 2 * i
    if child < heap.size and heap[child + 1].at < heap[child].at then child = child + 1 end
    if timer.at <= heap[child].at then break end
    place(heap, heap[child], i)
    i = child
  end
  place(heap, timer, i)
end

--- Adds a timer that is to call fn(value) at a time of core.now().
function timers:add(at, fn, value)
  self.size = self.size + 1
  local timer = { at = at, fn = fn, value = value }
  rise(self, timer, self.size)
  return timer
end

--- Takes a timer out; does nothing when it is no longer in.
function timers:remove(timer)
  local i = timer.index
  if self[i] ~= timer then return end
  local last = self[self.size]
  self[self.size] = nil
  self.size = self.size - 1
  if last ~= timer then
    if last.at < timer.at then rise(self, last, i) else sink(self, last, i) end
  end
end

--- The timer that is due first, or nil.
function timers:first() return self[1] end

--- Takes out and returns a timer that is due at `now`, or nil.
function timers:due(now)
  local first = self[1]
  if first and first.at <= now then
    self:remove(first)
    return first
  end
end

return timers
