--- contree completion: the completion script of a shell, made of the table of commands.

local arguments = require("contree.command.arguments")
local report = require("contree.command.report")

local completion = {}

function completion.completion(args)
  local parser = arguments.parser("all")
  report.write(parser["get_" .. args.shell .. "_complete"](parser))
  return 0
end

return completion
