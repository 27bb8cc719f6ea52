--- Things that a script has started and that go on elsewhere, such as an operation on a
--- server. They are undone when nothing can use them any more: their object is garbage,
--- their task has failed or was cancelled, their request is over, or the program ends.

local class = require("contree.base.class")
local keys = require("contree.base.keys")
local loop = require("contree.loop")
local tasks = require("contree.loop.task")

local owned = {}

-- While an object may have become garbage, memory is collected in steps that find it
-- within a second or two, also in a program that allocates nothing.
local TICK, TICKS = 0.02, 50
local CYCLES = 2          -- an object that the running cycle has marked is found by the next

local all = {}            -- set of contree.Owned
local cycles = 0          -- of collection that are still to come
local sweeping = false

---@class contree.Owned
---@field undo fun(value: any)  may wait; must not raise
---@field value any             not the object itself
---@field task? contree.Task    that started it
---@field over? boolean
---@field revoke fun()

--- Forget a thing that has ended or has another owner: it is not undone.
---@param one contree.Owned?
function owned.release(one)
  if not one or one.over then return end
  one.over = true
  all[one] = nil
  if one.task then one.task.owned[one] = nil end
  one.revoke()
end

local function undo(one)
  if one.over then return end
  owned.release(one)
  tasks.spawn_apart(one.undo, one.value)
end

local function sweep()
  local more = next(all) and cycles > 0 and collectgarbage("isrunning")
  sweeping = more and true or false
  if not more then return end
  if collectgarbage("step", math.ceil(collectgarbage("count") / TICKS)) then
    cycles = cycles - 1
  end
  loop.timer(TICK, sweep)
end

local function look_for_garbage()
  -- In such a host the end of a request tells.
  if loop.host().will then return end
  cycles = CYCLES
  if sweeping then return end
  sweeping = true
  loop.timer(TICK, sweep)
end

--- Have fn(value) called in a task when nothing can use the thing any more.
---@param object? table  the thing is undone when this is garbage; nil: a call waits for it
---@param fn fun(value: any)
---@return contree.Owned
function owned.watch(object, fn, value)
  local one = { undo = fn, value = value }
  one.revoke = loop.will(undo, one, true)
  all[one] = true
  if not object then return one end
  local task = loop.current()
  if task then
    one.task, task.owned = task, task.owned or {}
    task.owned[one] = true
  end
  object.sentinel = class.on_collect(function()
    if not one.over then loop.later(undo, one) end
  end)
  look_for_garbage()
  return one
end

-- A task that is done may have handed its things on; those of any other are undone.
function tasks.orphaned(task)
  local list = keys(task.owned)
  task.owned = nil
  for _, one in ipairs(list) do
    one.task = nil
    if task.status ~= "done" then undo(one) end
  end
  if next(all) then look_for_garbage() end
end

--- Undo all of them.
function owned.undo_all()
  for _, one in ipairs(keys(all)) do undo(one) end
end

return owned
