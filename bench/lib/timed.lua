--- The seconds that a function or a shell command takes.
local core = require("contree.core")

local timed = {}

function timed.call(fn, ...)
  local begun = core.now()
  fn(...)
  return core.now() - begun
end

--- Runs a shell command, which must succeed.
function timed.shell(command, ...)
  command = select("#", ...) > 0 and command:format(...) or command
  return timed.call(function() assert(os.execute(command)) end)
end

return timed
