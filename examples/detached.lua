-- A run that outlives the script that started it.
--
--   lua5.4 examples/detached.lua              prints an id, and ends
--   lua5.4 examples/detached.lua ID           waits for it, from anywhere else

local contree = require("contree")

local client = contree.new()
local id = arg and arg[1]

if not id then
  local operation = client.images:use("busybox:latest"):start{
    shell = "sleep 0.5; echo finished without you; echo data > /result",
    disposable = false, detach = true,
  }
  print(operation.uuid)
else
  local operation = client.operations:get(id)
  local result = operation:wait()
  io.write(result.stdout, "exit code ", result.exit_code, ", it left: ", result:read("/result"))
end
