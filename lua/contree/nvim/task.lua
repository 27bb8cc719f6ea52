--- The plugin's tasks, and how their failures are shown.

local contree = require("contree")
local remedy = require("contree.base.remedy")
local text = require("contree.base.text")

local task = {}

local PREFIX = "contree: "

--- Tells the user something.
---@param level? integer default INFO
function task.tell(words, level)
  words = tostring(words):gsub("^contree: ", ""):gsub("[^\n]+", text.plain)
  vim.notify(PREFIX .. words, level or vim.log.levels.INFO)
end

--- A failure in words, with what to do about it.
---@param reader? contree.Reader default "editor"
---@return string
function task.words(err, reader)
  if type(err) ~= "table" then return tostring(err) end
  local hint = remedy.hint(err, reader or "editor")
  return hint and ("%s (%s)"):format(err.message, hint) or err.message
end

--- Tells of a failure.
function task.fail(err) task.tell(task.words(err), vim.log.levels.ERROR) end

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
