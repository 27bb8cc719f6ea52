--- The host for OpenResty, and nginx with its Lua module: a thread that waits sleeps
--- on a semaphore, and one timer for each worker turns the loop while any thread does.
--
-- nginx may kill a thread that sleeps (see nginx_guards.lua). Then nothing sleeps on
-- its semaphore any more: the timer looks for such waiters.
--
-- Options of contree.host("nginx", {…}):
--   thread_pool  the name of an nginx thread pool; one of its threads then
--                sleeps on the loop's descriptor, instead of our waking up every
--                few milliseconds to look

local core = require("contree.core")
local errors = require("contree.base.errors")
local guards = require("contree.loop.nginx_guards")
local options = require("contree.base.options")
local semaphore = require("ngx.semaphore")

local ngx = rawget(_G, "ngx")

-- Seconds between two turns: a part of the time since something happened, so
-- that looking costs little and adds little to what we wait for. nginx has no
-- finer timer than the shortest.
local SHORTEST, LONGEST, PART = 0.001, 0.004, 1 / 8
-- The most requests that one turn wakes, and that begin to wait in its time: other
-- requests of the worker have their turn in between.
local MOST = 4
-- Seconds between two looks for threads that were killed.
local ROUNDS = 0.1
-- Seconds between two looks for requests that only their guards keep.
local CALLS = 0.01
-- Seconds after which a waiter checks that the loop is still turned.
local PATIENCE = 1

local CANNOT_WAIT = "nothing can wait in %s: nginx would stand still meanwhile"
local HINT = "do it in ngx.timer.at(0, function() … end)"
local CANNOT_YIELD = "nothing can wait in a callback of a C function, "
  .. "such as string.gsub, table.sort or require"
-- The phases whose code nginx can suspend.
local PHASES = { rewrite = true, access = true, content = true, timer = true, ssl_cert = true,
  ssl_client_hello = true, ssl_session_fetch = true, server_rewrite = true, preread = true }

---@class contree.loop.Nginx the state of a worker
---@field loop table
---@field guards contree.loop.Guards
---@field parked table       set of the waiters whose thread sleeps
---@field count integer      of them
---@field news number        when a thread was parked or woken last
---@field turning boolean    the timer runs
---@field slot number        when a transfer started last, or will be
---@field pool? string       the thread pool

local function can_suspend() return core.isyieldable() and PHASES[ngx.get_phase()] end

local function refuse()
  local phase = ngx.get_phase()
  if PHASES[phase] then
    errors.raise("not_supported", CANNOT_YIELD, { hint = "make the call outside of it" })
  end
  errors.raise("not_supported", CANNOT_WAIT:format(phase .. "_by_lua*"), { hint = HINT })
end

-- Turning the loop -------------------------------------------------------------

local function unpark(self, w)
  if not self.parked[w] then return end
  self.parked[w] = nil
  self.count = self.count - 1
end

local function is_unattended(w) return w.parked:count() >= 0 end

local function bury_the_dead(self)
  for _, w in ipairs(guards.filter(self.parked, is_unattended)) do
    unpark(self, w)
    self.loop.bury(w)
  end
  self.guards:bury()
end

-- Sleeps until the descriptor is readable, but not for long: an nginx that
-- is about to exit waits for this thread.
local function sleep_in_thread(self)
  local ok, problem = ngx.run_worker_thread(self.pool, "contree.loop.nginx_thread", "wait",
    self.loop.fd(), ROUNDS * 1000)
  if ok then return end
  ngx.log(ngx.ERR, "contree: thread pool ", self.pool, ": ", problem, "; going on with timers")
  self.pool = nil
end

local function pause(self, more)
  if more then
    -- Not 0: an nginx without OpenResty's patches would come back to us
    -- before it looks at anything else.
    ngx.sleep(SHORTEST)
  elseif self.pool then
    sleep_in_thread(self)
  else
    ngx.sleep(math.max(SHORTEST, math.min((core.now() - self.news) * PART, LONGEST)))
  end
end

local function turn_while_parked(self)
  local round, call, more = core.now() + ROUNDS, 0, false
  while self.count > 0 or self.guards:any() do
    local now = core.now()
    if now >= round then
      bury_the_dead(self)
      round = now + ROUNDS
    end
    if now >= call then
      self.guards:dismiss()
      call = now + CALLS
    end
    pause(self, more)
    more = self.loop.turn(0, MOST)
  end
end

-- The handler of our timer. nginx calls it in a worker that is about to exit, too:
-- transfers that are under way are finished.
local function work(self)
  local ok, problem = pcall(turn_while_parked, self)
  self.turning = false
  if not ok then ngx.log(ngx.ERR, "contree: ", tostring(problem)) end
end

local function ensure_turning(self)
  if not self.turning then
    self.turning = ngx.timer.at(0, function() work(self) end) and true or false
  end
  return self.turning
end

-- Without a free timer, the waiters turn the loop themselves.
local function sleep(self, w)
  local turned = ensure_turning(self)
  local ok, problem = w.parked:wait(turned and PATIENCE or SHORTEST)
  if not ok and problem ~= "timeout" then
    errors.raise("not_supported", "nginx cannot wait here: " .. problem)
  end
  if not turned then self.loop.turn(0, MOST) end
end

-- The functions of a host (docs/use/hosts/writing-a-driver.md) ------------------

local host = {}

function host.wait(self, w)
  if not core.isyieldable() then refuse() end
  self.guards:note_thread()
  self.loop.turn(0, MOST)
  if w.fired then return end
  w.parked = assert(semaphore.new())
  self.parked[w] = true
  self.count = self.count + 1
  self.news = core.now()
  while not w.fired do sleep(self, w) end
end

host.block = host.wait

function host.wake(self, w)
  unpark(self, w)
  self.news = core.now()
  w.parked:post()
end

function host.will(self, fn, value, lasting)
  if can_suspend() then return self.guards:add(fn, value, lasting) end
end

-- A sleep of 0 seconds would not let nginx go on.
function host.breathe()
  if not can_suspend() then refuse() end
  ngx.sleep(SHORTEST)
end

-- Spreads transfers that start at the same time, so that other requests have their
-- turn in between.
function host.admit(self)
  if not can_suspend() then return end
  local now = core.now()
  self.slot = math.max(self.slot + SHORTEST / MOST, now)
  if self.slot - now >= SHORTEST then ngx.sleep(self.slot - now) end
end

function host.spawn_apart(_, fn)
  local ok, started, problem = pcall(ngx.timer.at, 0, fn)
  if not ok or not started then
    errors.raise("not_supported", "no task can be started here: "
      .. tostring(ok and problem or started))
  end
end

-- A task is a light thread of its request, or a timer where there can be none.
function host.spawn(self, fn)
  if not can_suspend() then return host.spawn_apart(self, fn) end
  self.guards:note_thread()
  assert(ngx.thread.spawn(fn))
end

function host.started() end

function host.idle() end

function host.concurrent() return true end

function host.report(_, text) ngx.log(ngx.ERR, text) end

-- What the failure of a task is logged with.
function host.request()
  local ok, line = pcall(function() return ngx.var.request end)
  return ok and line or nil
end

return function(loop, given)
  options.check("contree.host", { thread_pool = options.name }, given)
  local self = { loop = loop, parked = {}, count = 0, news = 0, turning = false, slot = 0,
    pool = given.thread_pool }
  local bound = {}
  for name, fn in pairs(host) do
    bound[name] = function(...) return fn(self, ...) end
  end
  self.guards = guards.new(bound.spawn)
  return bound
end
