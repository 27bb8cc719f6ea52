--- The loop: waiting, timers and transfers, over one core loop for this Lua
--- state. Tasks are built on it in loop/task.lua.
--
-- A host decides how code waits. A driver (loop/plain.lua and its siblings, see
-- docs/use/hosts/writing-a-driver.md) makes the host's table from this loop and the
-- options of contree.host. The table has
--
--   spawn(fn)            run fn soon or at once, in a coroutine that wait() may
--                        suspend
--   wait(w)              return when w.fired: suspend if this coroutine belongs to
--                        the host, block otherwise
--   wake(w)              the parked waiter w has fired: make its coroutine run
--   block(w)             pump the loop on this very stack until w.fired
--   started(), idle()    there is, or is no longer, something in flight: arm
--                        or disarm whatever drives loop.turn()
--
-- and may have
--
--   breathe()            let other code of the host run
--   step(seconds), pending()   where the user drives the loop
--   report(text)         tell the user of a failure
--   concurrent()         whether this code is one of several flows that run side by
--                        side, such as requests
--   admit()              called before a transfer starts; may suspend
--   watched()            whether the watcher that started() made still exists
--   script               true: at the end of the program the user is told of tasks
--                        that have not ended
--
-- A host that kills coroutines also has will(fn, value, lasting) (see loop.will()),
-- spawn_apart(fn) for tasks that belong to no request, and request(), the name of the
-- request at hand.
--
-- A waiter is a table { fired, value, parked }. It fires once, and one coroutine waits
-- for it. All waiting is done in loop.await().

local core = require("contree.core")
local errors = require("contree.base.errors")
local hosts = require("contree.loop.hosts")
local keys = require("contree.base.keys")
local timers = require("contree.loop.timers")

local loop = {}

local TIMEOUT = {}                -- the value of a waiter whose time ran out
local FOREVER = 3600              -- an upper bound for one wait, in seconds

local host, host_name, armed
local reactor                     -- the core loop
local ports, in_flight = {}, 0    -- running transfers by their handle
local queue = timers.new()
local expected                    -- the timer the core loop's deadline is set for
local expect_timer                -- function, below
local since = 0                   -- when the code that runs now began to
local latest                      -- transfers made while the program ends
local notes = {}                  -- calls that finalisers ask for, see loop.later()

--- The longest time, in seconds, that our code computes before others have their turn.
loop.SLICE = 0.002

--- coroutine -> the task that runs in it
loop.tasks = setmetatable({}, { __mode = "k" })

local tasks, running = loop.tasks, coroutine.running

--- The host table in use and its name; chosen on first use.
function loop.host()
  if not host then loop.use(hosts.here()) end
  return host, host_name
end

--- Chooses the host: a driver, or the name of one.
---@param driver string|fun(loop: table, options: table): table
---@param options? table the driver's own
function loop.use(driver, options)
  if host and driver ~= host_name then
    errors.misuse(("the host is %s already"):format(host_name), "choose it before the first call")
  end
  host, host_name = host or hosts.driver(driver)(loop, options or {}), driver
  if type(driver) ~= "string" then host_name = "custom" end
end

-- The core loop ------------------------------------------------------------

local function begin()
  local watched = (host or loop.host()).watched
  if not armed or watched and not watched() then
    armed = true
    local ok, err = pcall(host.started)
    if ok then return end
    armed = false
    error(err, 0)
  end
end

--- For hosts: arm the watcher again after other code has closed it.
function loop.rewatch()
  if armed then begin() end
end

local function pause()
  if armed and in_flight == 0 and not queue[1] then
    armed = false
    host.idle()
  end
end

local function forked()
  return reactor and reactor:forked()
end

-- After a fork, the core loop and its transfers belong to the parent. Waits for them end
-- with an error here; timers go on.
local function disown()
  local lost = ports
  reactor, ports, in_flight = nil, {}, 0
  if armed then host.idle() end
  armed = false
  for _, port in pairs(lost) do port:disown() end
  if queue:first() then begin() end
end

--- For hosts: the error when the machine refuses what the loop needs.
---@param problem string
function loop.refused(problem)
  errors.raise("internal", problem:gsub("^contree: ", ""),
    { hint = "memory or descriptors (ulimit -n) are short" })
end

local function given(fn, ...)
  local ok, result = pcall(fn, ...)
  if not ok then loop.refused(tostring(result)) end
  return result
end

local function the_reactor()
  if forked() then disown() end
  if not reactor then
    reactor, expected = given(core.loop), nil
    loop.on_new_reactor()
    expect_timer()
  end
  return reactor
end

-- Make the core loop's descriptor readable when the first timer is due. A timer that is
-- stopped is not taken back: it wakes us once for nothing.
function expect_timer()
  local first = queue[1]
  if first == expected then return end
  the_reactor():deadline(first and math.max(first.at - core.now(), 0))
  expected = first
end

--- A descriptor that is readable when turn(0) has something to do; nil where the system
--- has none. It may differ each time that started() is called.
---@return integer?
function loop.fd()
  local ours = the_reactor()
  return given(ours.fd, ours)
end

--- Seconds until turn(0) has something to do although fd() is not readable; nil: never.
---@return number?
function loop.timeout()
  local milliseconds = the_reactor():timeout()
  return milliseconds and milliseconds / 1000
end

-- Waiting ------------------------------------------------------------------

--- The task that runs here; nil in plain code and in foreign coroutines.
---@return contree.Task?
function loop.current()
  return tasks[running() or false]
end

function loop.fire(w, value)
  if w.fired then return end
  w.fired, w.value = true, value
  if w.parked then host.wake(w) end
end

local function expire(w) loop.fire(w, TIMEOUT) end

--- Waits until `w` fires. Raises `cancelled` when the task that waits is
--- cancelled meanwhile.
---@async
---@param seconds? number
---@return boolean fired false when the time ran out first
function loop.await(w, seconds)
  local task = loop.current()
  if not w.fired and not (task and task.interrupt) then
    local timer
    if seconds then timer = loop.timer(seconds, expire, w) end
    if task then task.waiter = w end
    loop.host().wait(w)
    if task then task.waiter = nil end
    if timer then loop.stop(timer) end
    since = core.now()
  end
  if task and task.interrupt then
    task.interrupt = nil
    errors.raise("cancelled", "the task was cancelled")
  end
  return w.value ~= TIMEOUT
end

local function nothing() end

--- Have fn(value) called if the host kills this coroutine before the result is called.
--- The call is made in a coroutine that can wait. `fn` must not be a closure over variables
--- of this coroutine: they die with it.
---@param lasting? boolean call it when the whole request is over, for whatever reason
---@return function revoke
function loop.will(fn, value, lasting)
  local will = loop.host().will
  return will and will(fn, value, lasting) or nothing
end

--- For hosts: the coroutine that waits on `w` will never run again.
function loop.bury(w)
  local port = w.port
  if port and port.inherit then
    host.spawn(function() port:inherit() end)
  elseif port then
    port:cancel()
  end
end

--- Call fn(value) from the loop, `seconds` from now; loop.stop() takes the result.
function loop.timer(seconds, fn, value)
  begin()
  local timer = queue:add(core.now() + math.max(seconds, 0), fn, value)
  expect_timer()
  return timer
end

function loop.stop(timer)
  queue:remove(timer)
  pause()
end

--- For finalisers: have fn(value) called at the loop's next turn, which comes soon while
--- something is in flight. A finaliser runs wherever memory is allocated, also in the
--- middle of a change to the timers or the ports, so it must not touch these itself.
function loop.later(fn, value)
  notes[#notes + 1] = { fn = fn, value = value }
  if reactor and not forked() then
    reactor:deadline(0)
    expected = false -- that is no timer's
  end
end

local function do_later()
  local list = notes
  notes = {}
  for _, note in ipairs(list) do note.fn(note.value) end
end

--- Let all other code of the host run.
---@async
function loop.breathe()
  local breathe = loop.host().breathe
  if breathe then breathe() else loop.sleep(0) end
  since = core.now()
end

--- Call this between the parts of a long computation: it lets other code run when this
--- code has used up its slice.
---@async
function loop.pace()
  if core.now() - since > loop.SLICE then loop.breathe() end
end

--- Note that a coroutine begins to run, or goes on.
function loop.resumed() since = core.now() end

--- Suspends (or blocks, in plain code) for some seconds.
---@async
function loop.sleep(seconds)
  loop.await({}, seconds)
end

-- Transfers ----------------------------------------------------------------

---@class contree.Port a running transfer
---@field handle userdata the core's transfer
---@field done boolean    whether it is over
---@field inherit? fun(port: contree.Port) called when the coroutine that waits was killed,
---  in place of port:cancel(); not a closure over that coroutine's variables
local Port = {}
Port.__index = Port

--- Start a transfer, perhaps after host.admit(). The arguments are those of the core's
--- loop:add().
---@return contree.Port
function loop.transfer(request, url, body, seconds)
  local admit = (host or loop.host()).admit
  if admit then admit() end
  local handle = the_reactor():add(request, url, body, seconds)
  local port = setmetatable({ handle = handle, news = false, done = false, lost = false,
    waiter = false }, Port)
  local ok, err = pcall(begin)
  if not ok then
    handle:close()
    error(err, 0)
  end
  if latest then table.insert(latest, handle) end
  ports[handle] = port
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
  self.done = true
  self.handle:cancel()
  forget(self.handle)
end

-- End the wait for a transfer that has stayed in the parent process.
function Port:disown()
  self.lost, self.news = true, true
  if self.waiter then loop.fire(self.waiter) end
end

-- A wait that ends with an error aborts the transfer. An answer that has arrived is kept:
-- then the task is cancelled at its next wait.
local function interrupted(port, err)
  local task = loop.current()
  if task and errors.is(err, "cancelled") and port.handle:done() then
    task.interrupt, port.done = true, true
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
    local w = { port = self, fired = false }
    self.waiter = w
    local ok, fired = pcall(loop.await, w, seconds)
    self.waiter = false
    if not ok then interrupted(self, fired) end
    if not fired then return false end
  end
  if self.lost then
    errors.raise("connection", "this request was under way when the process forked",
      { hint = "it goes on in the parent; send it again here" })
  end
  self.news = false
  return true
end

-- Fire the waiters of transfers that have news, at most so many; true: there are more.
local function drain(most)
  for _ = 1, most do
    local handle, done = reactor:next_ready()
    if not handle then return false end
    local port = ports[handle]
    if port then
      if done then
        port.done = true
        forget(handle)
      end
      port.news = true
      if port.waiter then loop.fire(port.waiter) end
    end
  end
  return true
end

-- Turning ------------------------------------------------------------------

local function call_timers()
  local timer = queue:due(core.now())
  while timer do
    timer.fn(timer.value)
    timer = queue:due(core.now())
  end
end

--- For hosts: raise the error for a wait that can never end.
function loop.deadlock()
  errors.raise("conflict", "everything waits, and nothing is left that could end the wait",
    { hint = "two tasks wait for each other, or one for itself" })
end

--- One turn of the loop, for hosts: wait up to `seconds` (nil: until there is something to
--- do), then fire the waiters that are due. No coroutine is resumed.
---@param most? integer fires no more transfers than that
---@return boolean? more there may be more to do right now
function loop.turn(seconds, most)
  if forked() then return disown() end
  local first = queue[1]
  if not seconds and not first and in_flight == 0 then
    loop.deadlock()
  end
  seconds = seconds or FOREVER
  if first then seconds = math.min(seconds, first.at - core.now()) end
  if not reactor then the_reactor() end
  if seconds > 0 then
    reactor:wait(math.ceil(seconds * 1000))
  else
    reactor:step()
  end
  local more = drain(most or math.huge)
  if queue[1] then call_timers() end
  if #notes > 0 then do_later() end
  expect_timer()
  pause()
  return more
end

--- Called when there is another core loop; see loop/leave.lua.
function loop.on_new_reactor() end

--- The host table in use, if one has been chosen.
function loop.chosen() return host end

--- Whether the program ends: finalisers have run or will not run any more.
loop.leaving = false

--- For the end of the program: drop all transfers, and go on as the plain host.
function loop.seize()
  for _, handle in ipairs(keys(ports)) do pcall(handle.cancel, handle) end
  ports, in_flight, queue, armed = {}, 0, timers.new(), false
  notes, expected, latest = {}, nil, {}
  loop.leaving = true
  host = hosts.driver("plain")(loop, {})
end

--- Free the transfers made since seize(): their finalisers do not run any more.
function loop.dispose()
  for _, handle in ipairs(latest or {}) do handle:close() end
end

--- Abort all transfers without waking their waiters: for a host that is about to end.
function loop.close()
  if reactor and not forked() then reactor:close() end
  reactor, ports, in_flight, queue = nil, {}, 0, timers.new()
  pause()
end

return loop
