-- How soon a line that a running command writes is here: a line is sent to `cat` and comes
-- back, so that it takes more than the output alone. Usage: lua bench/parts/echo.lua LINES
local core = require("contree.core")
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local percentiles = require("bench.lib.percentiles")

local client, _, stop = home.client()
local times, process = {}, client.images:use("busybox:latest"):popen{ "cat" }
for i = 1, tonumber(arg[1]) do
  local begun = core.now()
  process.stdin:write("line\n")
  assert(process.stdout:read("l") == "line")
  times[i] = (core.now() - begun) * 1000
end
process.stdin:close()
process:wait()
stop()
judge.times("a line and its echo", times)
judge.line{ line = "a line to a command and its echo back", ours = percentiles.at(times, 0.5),
  unit = "ms" }
