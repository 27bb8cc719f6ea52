--- Guards of nginx requests: they notice that a thread has been killed.
--
-- nginx kills the threads of a request whose client has left, or that calls
-- ngx.exit, and runs no finaliser. A request that has something to undo therefore
-- has a guard: a thread of the request that sleeps on a semaphore until there is
-- nothing left to undo. When nothing sleeps on the semaphore any more, the request
-- is over.
--
-- A will is a function to call when a thread, or the whole request, is dead.

local semaphore = require("ngx.semaphore")

local ngx = rawget(_G, "ngx")

local guards = {}

-- Seconds between two looks of a guard at the threads of its request.
local PATIENCE = 1

---@class contree.loop.Guard
---@field semaphore table
---@field missed integer          looks in a row at which nothing slept on the semaphore
---@field standing? boolean       its thread runs
---@field wills table             set
---@field lasting table           the wills of the request as a whole
---@field threads table           weak set: of the request, as far as we know

---@class contree.loop.Guards all guards of a worker
---@field on_duty table<contree.loop.Guard, true> those with wills
---@field of table                weak: a request's ngx.ctx -> its guard
---@field spawn fun(fn: function) starts a task
local Guards = {}
Guards.__index = Guards

---@return contree.loop.Guards
function guards.new(spawn)
  return setmetatable({ on_duty = {}, of = setmetatable({}, { __mode = "k" }), spawn = spawn },
    Guards)
end

--- The members of a set for which a test holds.
---@return table[]
function guards.filter(set, test)
  local list = {}
  for one in pairs(set) do
    if test(one) then list[#list + 1] = one end
  end
  return list
end

local function execute(self, guard, will)
  guard.wills[will], guard.lasting[will] = nil, nil
  self.spawn(function() will.fn(will.value) end)
end

local function is_dead(will)
  if will.thread then return coroutine.status(will.thread) == "dead" end
  for thread in pairs(will.guard.threads) do
    if coroutine.status(thread) ~= "dead" then return false end
  end
  return true
end

-- A guard that has been woken up sleeps again by the next look.
local function is_missing(guard)
  guard.missed = guard.semaphore:count() >= 0 and guard.missed + 1 or 0
  return guard.missed > 1
end

-- The thread of a guard. It also executes the wills of single threads that are dead.
local function stand(self, guard)
  while next(guard.wills) do
    guard.semaphore:wait(PATIENCE)
    for _, will in ipairs(guards.filter(guard.wills, is_dead)) do execute(self, guard, will) end
  end
  self.on_duty[guard], guard.standing = nil, nil
end

-- The guard of the request at hand.
local function guard_here(self)
  local ctx = ngx.ctx
  local guard = self.of[ctx]
  if not guard then
    guard = { semaphore = assert(semaphore.new()), missed = 0, wills = {}, lasting = {},
      threads = setmetatable({}, { __mode = "k" }) }
    self.of[ctx] = guard
  end
  return guard
end

local function revoke(self, will)
  local guard = will.guard
  guard.wills[will], guard.lasting[will] = nil, nil
  if next(guard.wills) then return end
  self.on_duty[guard] = nil
  guard.semaphore:post()
end

--- Has fn(value) called when the running thread is dead; with `lasting`, when all
--- threads of its request are.
---@param fn fun(value: any)
---@param lasting? boolean
---@return fun() revoke
function Guards:add(fn, value, lasting)
  local guard, thread = guard_here(self), coroutine.running()
  guard.threads[thread] = true
  local will = { fn = fn, value = value, guard = guard, thread = not lasting and thread or nil }
  guard.wills[will] = true
  if lasting then guard.lasting[will] = true end
  self.on_duty[guard] = true
  if not guard.standing then
    guard.standing = true
    assert(ngx.thread.spawn(stand, self, guard))
  end
  return function() revoke(self, will) end
end

--- Notes the running thread as one of its request, if that has a guard.
function Guards:note_thread()
  local guard = self.of[ngx.ctx]
  if guard then guard.threads[coroutine.running()] = true end
end

--- Whether any guard is on duty.
function Guards:any() return next(self.on_duty) ~= nil end

--- Wakes the guards of requests whose other threads have all ended: nginx ends
--- these requests only after their guards.
function Guards:dismiss()
  for guard in pairs(self.on_duty) do
    local lasting = next(guard.lasting)
    if lasting and is_dead(lasting) then guard.semaphore:post() end
  end
end

--- Executes the wills of requests that nginx has ended.
function Guards:bury()
  for _, guard in ipairs(guards.filter(self.on_duty, is_missing)) do
    self.on_duty[guard] = nil
    for will in pairs(guard.wills) do execute(self, guard, will) end
  end
end

return guards
