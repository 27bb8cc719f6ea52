--- Turns: what moves one session does so one after another, in the order in which it has asked.

local contree = require("contree")

local turn = {}

local FOREVER = 1e8 -- seconds

local last = {}

local function is_over(task) return task.status ~= "waiting" and task.status ~= "running" end

-- Wait until a task has ended, however it ended. What is raised meanwhile is meant for us.
local function outlast(task)
  while not is_over(task) do
    local ok, err = pcall(task.wait, task)
    if not ok and not is_over(task) then error(err, 0) end
  end
end

-- Wait until all who have asked before have let go; returns the function that lets go.
local function take(name)
  local before, held = last[name], contree.spawn(contree.sleep, FOREVER)
  last[name] = held
  local function let_go()
    held:cancel()
    if last[name] == held then last[name] = nil end
  end
  local ok, err = true, nil
  if before then ok, err = pcall(outlast, before) end
  if ok then return let_go end
  -- It was cancelled while it waited. Who asked after it waits for those before it.
  contree.spawn(function()
    outlast(before)
    let_go()
  end)
  error(err, 0)
end

--- Calls fn(...) when its turn has come, and ends the turn when it returns or raises.
---@async
---@param name string
---@param fn function
function turn.with(name, fn, ...)
  local let_go = take(name)
  local ok, result = pcall(fn, ...)
  let_go()
  if not ok then error(result, 0) end
  return result
end

return turn
