--- The plugin's tasks, and how their failures are shown.

local contree = require("contree")

local task = {}

local PREFIX = "contree: "

--- Tells the user something.
---@param level? integer default INFO
function task.tell(text, level)
  vim.notify(PREFIX .. tostring(text):gsub("^contree: ", ""), level or vim.log.levels.INFO)
end

--- Tells of a failure, with what to do about it.
function task.fail(err)
  local text = type(err) == "table" and err.message or tostring(err)
  if type(err) == "table" and err.hint then text = text .. " (" .. err.hint .. ")" end
  task.tell(text, vim.log.levels.ERROR)
end

--- Runs a function in a task; its failure is told.
---@return contree.Task
function task.run(fn, ...)
  local arguments = { n = select("#", ...), ... }
  return contree.spawn(function()
    local ok, err = pcall(fn, unpack(arguments, 1, arguments.n))
    if not ok and not contree.is_error(err, "cancelled") then task.fail(err) end
  end)
end

return task
