--- The loop: waiting, timers and transfers, over one core loop for this Lua
--- state. Tasks are built on it in loop/task.lua.
--
-- Who waits, and how, is a host table's business. A driver (loop/plain.lua and
-- its siblings; docs/use/hosts/writing-a-driver.md) makes it from this loop and the
-- options of contree.host; it has
--
--   spawn(fn)            run fn soon or at once, in a coroutine that wait() may
--                        suspend
--   wait(w)              come back when w.fired: suspend if this coroutine is
--                        the host's, block if not
--   wake(w)              w, which is parked, has fired: make its coroutine run
--   block(w)             pump the loop on this very stack until w.fired
--   started(), idle()    there is, or is no longer, something in flight: arm
--                        or disarm whatever drives loop.turn()
--
-- and may have breathe(), which lets others have their turn; step(seconds) and
-- pending(), where the user drives the loop; and report(text), which tells the user
-- of a failure; and concurrent(): whether this code is one of several flows that run
-- side by side, such as requests. Before a transfer is started admit() is called, if
-- there is one, and may suspend. A host that kills coroutines has
-- will(fn, value, lasting), see loop.will(), spawn_apart(fn) for tasks that belong to
-- no request, and request(), which names this one. `script` says that at the end of
-- the program the user is told of tasks that have not ended. watched() is asked
-- whether what started() has made is still there. A waiter is a table
-- { fired, value, parked }: fired once, awaited by one. Everything that waits does so
-- in loop.await().

local core = require("contree.core")
local errors = require("contree.base.errors")
local hosts = require("contree.loop.hosts")
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
local notes = {}                  -- what finalisers want done, see loop.later()

--- Seconds that code of ours computes in one go.
loop.SLICE = 0.002

--- coroutine -> the task that runs in it
loop.tasks = setmetatable({}, { __mode = "k" })

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
  local watched = loop.host().watched
  if not armed or watched and not watched() then
    armed = true
    host.started()
  end
end

--- For hosts: arms again what somebody else has closed meanwhile.
function loop.rewatch()
  if armed then begin() end
end

local function pause()
  if armed and in_flight == 0 and not queue:first() then
    armed = false
    host.idle()
  end
end

local function forked()
  return reactor and reactor:forked()
end

-- After a fork, what is in flight is the parent's, and so is the core loop.
-- Those who wait for it here are woken to be told so; timers go on.
local function disown()
  local lost = ports
  reactor, ports, in_flight = nil, {}, 0
  if armed then host.idle() end
  armed = false
  for _, port in pairs(lost) do port:disown() end
  if queue:first() then begin() end
end

local function the_reactor()
  if forked() then disown() end
  if not reactor then
    reactor, expected = core.loop(), nil
    loop.on_new_reactor()
    expect_timer()
  end
  return reactor
end

-- Makes the core loop's descriptor readable when the first timer is due. Of a
-- timer that was stopped it is not told: it then wakes us once for nothing.
function expect_timer()
  local first = queue:first()
  if first == expected then return end
  the_reactor():deadline(first and math.max(first.at - core.now(), 0))
  expected = first
end

--- A descriptor that is readable when turn(0) has something to do; nil where
--- the system has no such thing. It is another one when started() is called
--- again.
---@return integer?
function loop.fd() return the_reactor():fd() end

--- Seconds until turn(0) has something to do, if nothing happens at fd(); nil:
--- nothing will.
---@return number?
function loop.timeout()
  local milliseconds = the_reactor():timeout()
  return milliseconds and milliseconds / 1000
end

-- Waiting ------------------------------------------------------------------

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

--- Has fn(value) called, in a coroutine that can wait, should the host kill this
--- one before the result is called. Not a closure over variables of this
--- coroutine: those die with it.
---@param lasting? boolean it is called when the whole request is over, for whatever reason
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

--- Calls fn(value) from the loop, `seconds` from now; the result can be stopped.
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

--- For finalisers: has fn(value) called at the loop's next turn, which comes soon
--- while something is in flight. A finaliser strikes anywhere that memory is asked
--- for, and so in the middle of a change to the timers or the ports: it must not
--- touch them itself.
function loop.later(fn, value)
  notes[#notes + 1] = { fn = fn, value = value }
  if reactor and not forked() then
    reactor:deadline(0)
    expected = false -- that is no timer's
  end
end

local function do_later()
  if #notes == 0 then return end
  local list = notes
  notes = {}
  for _, note in ipairs(list) do note.fn(note.value) end
end

--- Lets all others have their turn.
---@async
function loop.breathe()
  local breathe = loop.host().breathe
  if breathe then breathe() else loop.sleep(0) end
  since = core.now()
end

--- To be called between the parts of what may take long: lets others have their
--- turn when this code has had its own.
---@async
function loop.pace()
  if core.now() - since > loop.SLICE then loop.breathe() end
end

--- Code begins to run, or to run again.
function loop.resumed() since = core.now() end

--- Suspends (or blocks, in plain code) for some seconds.
---@async
function loop.sleep(seconds)
  loop.await({}, seconds)
end

-- Transfers ----------------------------------------------------------------

---@class contree.Port a running transfer
---@field handle userdata the core's transfer
---@field inherit? fun(port: contree.Port) waits for it when its waiter was killed,
---  instead of its being cancelled; no closure over that coroutine's variables
local Port = {}
Port.__index = Port

--- Starts a transfer, perhaps not at once; `request` is what the core's loop:add takes.
---@return contree.Port
function loop.transfer(request)
  local admit = loop.host().admit
  if admit then admit() end
  local port = setmetatable({ handle = the_reactor():add(request), news = false }, Port)
  begin()
  if latest then table.insert(latest, port.handle) end
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

-- Ends the wait of somebody whose transfer has stayed with the parent process.
function Port:disown()
  self.lost, self.news = true, true
  if self.waiter then loop.fire(self.waiter) end
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
    local w = { port = self }
    self.waiter = w
    local ok, fired = pcall(loop.await, w, seconds)
    self.waiter = nil
    if not ok then interrupted(self, fired) end
    if not fired then return false end
  end
  if self.lost then
    errors.raise("connection", "this request was under way when the process forked",
      { hint = "it is the parent's; make it again" })
  end
  self.news = false
  return true
end

-- Fires those whose transfers have news, at most so many; true: there are more.
local function drain(most)
  for _ = 1, most do
    local handle = reactor:next_ready()
    if not handle then return false end
    local port = ports[handle]
    if port then
      if handle:done() then forget(handle) end
      port.news = true
      if port.waiter then loop.fire(port.waiter) end
    end
  end
  return true
end

-- Turning ------------------------------------------------------------------

--- For hosts that find that nothing will ever happen.
function loop.deadlock()
  errors.raise("conflict", "everything waits, and nothing is left that could end the wait",
    { hint = "two tasks wait for each other, or one for itself" })
end

--- One turn of the loop, for hosts: waits up to `seconds` (nil: until there is
--- something to do), then fires what is ready. Never resumes a coroutine.
---@param most? integer fires no more transfers than that
---@return boolean? more there may be more to do right now
function loop.turn(seconds, most)
  if forked() then return disown() end
  local first = queue:first()
  if not seconds and not first and in_flight == 0 then
    loop.deadlock()
  end
  seconds = math.min(seconds or FOREVER, first and first.at - core.now() or FOREVER)
  if seconds > 0 then
    the_reactor():wait(math.ceil(seconds * 1000))
  else
    the_reactor():step()
  end
  local more = drain(most or math.huge)
  local timer = queue:due(core.now())
  while timer do
    timer.fn(timer.value)
    timer = queue:due(core.now())
  end
  do_later()
  expect_timer()
  pause()
  return more
end

--- Called when there is another core loop; see loop/leave.lua.
function loop.on_new_reactor() end

--- The host table in use, if one has been chosen.
function loop.chosen() return host end

--- For the end of the program: drops what is in flight, and goes on in plain code.
function loop.seize()
  for handle in pairs(ports) do pcall(handle.cancel, handle) end
  ports, in_flight, queue, armed = {}, 0, timers.new(), false
  notes, expected, latest = {}, nil, {}
  host = hosts.driver("plain")(loop, {})
end

--- What was made since then has no finaliser any more.
function loop.dispose()
  for _, handle in ipairs(latest or {}) do handle:close() end
end

--- Aborts everything, without telling anybody: for a host that is about to end.
function loop.close()
  if reactor and not forked() then reactor:close() end
  reactor, ports, in_flight, queue = nil, {}, 0, timers.new()
  pause()
end

return loop
