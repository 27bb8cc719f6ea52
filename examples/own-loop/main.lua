-- contree in a program with an event loop of its own. In this directory:
--   lua5.4 main.lua
local loop = require("loop")
local contree = require("contree")

contree.host(require("driver"))

local ticks = 0
loop.after(0.01, function() ticks = ticks + 1 end, 0.01)

contree.spawn(function()
  local image = contree.new().images:use("busybox:latest")
  local runs = {}
  for i = 1, 10 do
    runs[i] = function() return image:run("sleep 0.3; echo run " .. i) end
  end
  for _, result in ipairs(contree.gather(runs)) do io.write(result.stdout) end
  loop.stop()
end)

loop.run()
print(ticks >= 10 and "the loop ticked all the time" or "the loop stood still")
