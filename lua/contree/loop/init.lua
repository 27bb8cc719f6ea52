--- The loop: waiting, timers and transfers, over one core loop for this Lua
--- state. Tasks are built on it in loop/task.lua.
--
-- Who waits, and how, is a host table's business (loop/plain.lua and its
-- siblings). It is made by calling the module with this loop, and has
--
--   spawn(fn)            run fn soon, in a coroutine that wait() may suspend
--   wait(w)              come back when w.fired: suspend if this coroutine is
--                        the host's, block if not
--   wake(w)              w, which is parked, has fired: make its coroutine run
--   block(w)             pump the loop on this very stack until w.fired
--   started(), idle()    there is, or is no longer, something in flight: arm
--                        or disarm whatever drives loop.turn()
--
-- and step(seconds), where the user drives the loop. A waiter is a table
-- { fired, value, parked }: fired once, awaited by one. Everything that waits
-- does so in loop.await().

local core = require("contree.core")
local errors = require("contree.errors")
local timers = require("contree.loop.timers")

local loop = {}

local TIMEOUT = {}                -- the value of a waiter whose time ran out
local FOREVER = 3600              -- an upper bound for one wait, in seconds

local host, armed
local reactor, reactor_pid        -- the core loop, and the process that made it
local ports, in_flight = {}, 0    -- running transfers by their handle
local queue = timers.new()

--- coroutine -> the task that runs in it
loop.tasks = setmetatable({}, { __mode = "k" })

--- The host table in use; chosen on first use.
function loop.host()
  host = host or require("contree.loop.plain")(loop)
  return host
end

local function begin()
  if not armed then
    armed = true
    loop.host().started()
  end
end

local function pause()
  if armed and in_flight == 0 and not queue:first() then
    armed = false
    host.idle()
  end
end

--- The task that runs here; nil in plain code and in foreign coroutines.
---@return contree.Task?
function loop.current()
  return loop.tasks[coroutine.running() or false]
end

function loop.fire(w, value)
  if w.fired then return end
  w.fired, w.value = true, value
  if w.parked then host.wake(w) end
end

--- Waits until `w` fires. Raises `cancelled` when the task that waits is
--- cancelled meanwhile.
---@async
---@param seconds? number
---@return boolean fired false when the time ran out first
function loop.await(w, seconds)
  local task = loop.current()
  if not w.fired and not (task and task.interrupt) then
    local timer
    if seconds then timer = loop.timer(seconds, function() loop.fire(w, TIMEOUT) end) end
    if task then task.waiter = w end
    loop.host().wait(w)
    if task then task.waiter = nil end
    if timer then loop.stop(timer) end
  end
  if task and task.interrupt then
    task.interrupt = nil
    errors.raise("cancelled", "the task was cancelled")
  end
  return w.value ~= TIMEOUT
end

--- Calls `fn` from the loop, `seconds` from now; the result can be stopped.
function loop.timer(seconds, fn)
  begin()
  return queue:add(core.now() + math.max(seconds, 0), fn)
end

function loop.stop(timer)
  queue:remove(timer)
  pause()
end

--- Suspends (or blocks, in plain code) for some seconds.
---@async
function loop.sleep(seconds)
  loop.await({}, seconds)
end

-- Transfers ----------------------------------------------------------------

-- A core loop cannot follow through a fork: the child makes its own.
local function the_reactor()
  local pid = core.getpid()
  if reactor_pid ~= pid then
    reactor, reactor_pid = core.loop(), pid
    ports, in_flight, queue = {}, 0, timers.new()
  end
  return reactor
end

---@class contree.Port a running transfer
---@field handle userdata the core's transfer
local Port = {}
Port.__index = Port

--- Starts a transfer; `request` is what the core's loop:add takes.
---@return contree.Port
function loop.transfer(request)
  local port = setmetatable({ handle = the_reactor():add(request), news = false }, Port)
  begin()
  ports[port.handle] = port
  in_flight = in_flight + 1
  return port
end

local function forget(handle)
  if ports[handle] then
    ports[handle] = nil
    in_flight = in_flight - 1
    pause()
  end
end

function Port:cancel()
  self.handle:cancel()
  forget(self.handle)
end

-- A wait ended by an error aborts the transfer; but an answer that is there
-- already is not thrown away: the cancellation then strikes at the next wait.
local function interrupted(port, err)
  local task = loop.current()
  if port.handle:done() and task and errors.is(err, "cancelled") then
    task.interrupt = true
    return
  end
  port:cancel()
  error(err, 0)
end

--- Waits until the transfer has something new: data, room, or its end.
---@async
---@return boolean news false when the time ran out first
function Port:wait(seconds)
  if not self.news then
    local w = {}
    self.waiter = w
    local ok, fired = pcall(loop.await, w, seconds)
    self.waiter = nil
    if not ok then interrupted(self, fired) end
    if not fired then return false end
  end
  self.news = false
  return true
end

local function drain()
  local handle = reactor:next_ready()
  while handle do
    local port = ports[handle]
    if port then
      if handle:done() then forget(handle) end
      port.news = true
      if port.waiter then loop.fire(port.waiter) end
    end
    handle = reactor:next_ready()
  end
end

-- Turning ------------------------------------------------------------------

--- One turn of the loop, for hosts: waits up to `seconds` (nil: until there is
--- something to do), then fires what is ready. Never resumes a coroutine.
function loop.turn(seconds)
  local first = queue:first()
  if not seconds and not first and in_flight == 0 then
    error("contree: everything waits, and nothing is left that could end the wait", 0)
  end
  seconds = math.min(seconds or FOREVER, first and first.at - core.now() or FOREVER)
  if seconds > 0 then
    the_reactor():wait(math.ceil(seconds * 1000))
  else
    the_reactor():step()
  end
  drain()
  local timer = queue:due(core.now())
  while timer do
    timer.fn()
    timer = queue:due(core.now())
  end
  pause()
end

return loop
