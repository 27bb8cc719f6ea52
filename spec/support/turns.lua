-- How often another task has its turn while something is done.
local contree = require("contree")

local turns = {}

--- Calls fn() in a task, beside one that asks for a turn each millisecond.
---@return integer count of its turns, any result of fn()
function turns.count(fn)
  local count, over = 0, false
  local ticker = contree.spawn(function()
    while not over do
      count = count + 1
      contree.sleep(0.001)
    end
  end)
  local result = contree.spawn(fn):wait()
  over = true
  ticker:wait()
  return count, result
end

return turns
