--- Many coroutines wait for one end: the first one waits and keeps the outcome, which the
--- others get when they are woken, and later callers at once.

local core = require("contree.core")
local errors = require("contree.base.errors")
local loop = require("contree.loop")

local shared = {}

---@class contree.Waited an object whose end is waited for; the fields belong to this module
---@field outcome? { ok: boolean, value: any }
---@field waiters? table[]

---@class contree.Job how to wait for it
---@field name string                                  for messages
---@field run fun(self: table, deadline: number?): any waits, returns or raises the end
---@field owns fun(self: table, err: any): boolean     whether an error is its end, not the wait's
---@field ended? fun(self: table, value: any?)         called once, with the value of run()
---@field forsake fun(self: table)                     the host has killed the waiting coroutine

--- Keep the outcome, and call job.ended.
function shared.settle(self, job, ok, value)
  if self.outcome then return end
  self.outcome = { ok = ok, value = value }
  if job.ended then job.ended(self, ok and value or nil) end
end

local function relieve(self)
  local waiters = self.waiters
  self.waiters = nil
  for _, w in ipairs(waiters or {}) do loop.fire(w) end
end

-- Called when the host has killed the coroutine that waited.
local function forsake(will)
  relieve(will.self)
  will.job.forsake(will.self)
end

--- Wait for the end until core.now() is `deadline`; all other callers get the same outcome.
---@async
---@param self contree.Waited
---@param job contree.Job
---@return boolean ok, any value its end, or the error
function shared.wait(self, job, deadline)
  while self.waiters do
    local w = {}
    table.insert(self.waiters, w)
    if not loop.await(w, deadline and math.max(0, deadline - core.now())) then
      errors.raise("timeout", job.name .. " has not ended in time")
    end
  end
  if self.outcome then return self.outcome.ok, self.outcome.value end
  self.waiters = {}
  local revoke = loop.will(forsake, { self = self, job = job })
  local ok, value = pcall(job.run, self, deadline)
  revoke()
  if ok or job.owns(self, value) then shared.settle(self, job, ok, value) end
  relieve(self)
  return ok, value
end

--- For wait(seconds) methods: return the end or raise it. When the wait is cancelled or
--- interrupted, `abandon` is called.
---@async
function shared.wait_for(self, job, seconds, abandon)
  local ok, value = shared.wait(self, job, seconds and core.now() + seconds)
  if ok then return value end
  if errors.is(value, "timeout") and not job.owns(self, value) then
    value.message = ("%s has not ended in time, %g s"):format(job.name, seconds)
    value.hint = "it goes on: wait again, or cancel it"
  end
  local ours = errors.is(value) and value.kind ~= "cancelled"
  if not ours and not job.owns(self, value) then abandon(self) end
  error(value, 0)
end

return shared
