--- Waiting for the end of something by many at once: one of them does the
--- waiting, the others look at what came of it, now and later.

local core = require("contree.core")
local errors = require("contree.base.errors")
local loop = require("contree.loop")

local shared = {}

---@class contree.Waited what is waited for; the fields are this module's
---@field outcome? { ok: boolean, value: any }
---@field waiters? table[]

---@class contree.Job how it is waited for
---@field name string                                  for messages
---@field run fun(self: table, deadline: number?): any waits, returns or raises the end
---@field owns fun(self: table, err: any): boolean     is an error its end, or only the wait's?
---@field ended? fun(self: table, value: any?)         called once, with what run() returned
---@field forsake fun(self: table)                     the one who waited has been killed

--- Keeps how it ended.
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

-- Whoever waited has been killed.
local function forsake(will)
  relieve(will.self)
  will.job.forsake(will.self)
end

--- Waits, for all who wait, until core.now() is `deadline`.
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

--- For a wait(seconds) method: returns the end or raises it. When the wait
--- itself fails, other than by its time running out, `abandon` is called.
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
