--- A line on the terminal that shows how far something is. It appears when that takes longer
--- than half a second, and never in a pipe or a file.

local printer = require("contree.base.printer")

local progress = {}

local PATIENCE = 0.5

--- A line for something that begins now.
---@param args table
---@param title string what it is
---@return { tell: fun(progress: contree.Progress), finish: fun() }
function progress.new(args, title)
  local shown = not args.quiet and not args.json
  local line = printer.new(title, { patience = PATIENCE, fleeting = true })
  return {
    tell = function(far)
      if shown then line(far) end
    end,
    finish = function() line:finish() end,
  }
end

return progress
