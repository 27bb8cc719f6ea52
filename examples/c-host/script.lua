-- The program in C (host.c) runs this in each of its Lua states. It starts tasks
-- and returns; the program steps them.
local contree = require("contree")

contree.spawn(function()
  local image = contree.new().images:use("busybox:latest")
  local runs = {}
  for i = 1, 10 do
    runs[i] = function() return image:run("sleep 0.2; echo run " .. i) end
  end
  for _, result in ipairs(contree.gather(runs)) do io.write(result.stdout) end
end)
