--- What was started and goes on elsewhere, such as an operation on a server. It is
--- undone when nobody can want it any more: its object is garbage, its task has
--- failed or was cancelled, its request is over, the program ends.

local class = require("contree.base.class")
local loop = require("contree.loop")
local tasks = require("contree.loop.task")

local owned = {}

-- While something may have become garbage, memory is collected in steps so large
-- that it is known within a second or two, whatever the program does.
local TICK, TICKS = 0.02, 50
local CYCLES = 2          -- what has been looked at in one is collected in the next

local all = {}            -- set of what goes on
local cycles = 0          -- of collection that are still to come
local sweeping = false

---@class contree.Owned
---@field undo fun(value: any)  may wait; must not raise
---@field value any             not the object itself
---@field task? contree.Task    that started it
---@field over? boolean
---@field revoke fun()

--- It has ended, or belongs to somebody else: it is not undone.
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
  -- There the end of a request tells.
  if loop.host().will then return end
  cycles = CYCLES
  if sweeping then return end
  sweeping = true
  loop.timer(TICK, sweep)
end

--- Has fn(value) called, in a task, when nobody can want `object` any more.
---@param object? table  whose being garbage counts; nil: somebody waits for it
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

-- What a task leaves behind that has done its work, others may have.
function tasks.orphaned(task)
  local list = {}
  for one in pairs(task.owned) do list[#list + 1] = one end
  task.owned = nil
  for _, one in ipairs(list) do
    one.task = nil
    if task.status ~= "done" then undo(one) end
  end
  if next(all) then look_for_garbage() end
end

--- Undoes all.
function owned.undo_all()
  local list = {}
  for one in pairs(all) do list[#list + 1] = one end
  for _, one in ipairs(list) do undo(one) end
end

return owned
