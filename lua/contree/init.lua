--- contree: run commands in sandboxes whose file system branches like git.
--
--   local contree = require("contree")
--   local image = contree.new().images:use("busybox:latest")
--   print(image:run("echo hello").stdout)
--
-- Every method blocks in plain code and yields in a task of contree.spawn.
-- Failures are raised; require("contree.safe") is the same API returning
-- nil, err instead. contree.on_error, when set, is told of tasks that failed
-- and that nobody waited for.

---@type contree
local contree = require("contree.stub").make(false)

return contree
