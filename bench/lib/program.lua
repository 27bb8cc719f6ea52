--- Runs the programs that contree is compared with.
local disk = require("spec.support.disk")

local program = {}

--- The numbers that a command prints, one a line or several. It is an error if it prints
--- less than `least` of them.
function program.numbers(command, least)
  local errors = os.tmpname()
  local text = disk.capture(command .. " 2>" .. errors)
  local said, list = disk.read(errors), {}
  os.remove(errors)
  for number in text:gmatch("%S+") do list[#list + 1] = tonumber(number) end
  assert(#list >= (least or 1), command .. ": " .. text .. said)
  return list
end

return program
