-- How soon a line that a running command writes is here: a line is sent to `cat` and comes
-- back, so that it takes more than the output alone. And how soon a key that is typed at a
-- terminal is seen, alone and beside other runs. Usage: lua bench/parts/echo.lua LINES
local contree = require("contree")
local core = require("contree.core")
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local percentiles = require("bench.lib.percentiles")

local OTHERS = 20
local BETWEEN_KEYS = 0.01 -- seconds: somebody who types very fast

local lines = tonumber(arg[1])
local client, _, stop = home.client()
local image = client.images:use("busybox:latest")

local function line_times()
  local times, process = {}, image:popen{ "cat" }
  for i = 1, lines do
    local begun = core.now()
    process.stdin:write("line\n")
    assert(process.stdout:read("l") == "line")
    times[i] = (core.now() - begun) * 1000
  end
  process.stdin:close()
  process:wait()
  return times
end

local function key_times()
  local times, process = {}, image:popen({ "sh", "-c", "stty -icanon; echo; cat > /dev/null" },
    { tty = true })
  assert(process.stdout:read("l"))
  for i = 1, lines do
    local begun = core.now()
    process.stdin:write("x")
    assert(process.stdout:read(1) == "x")
    times[i] = (core.now() - begun) * 1000
    contree.sleep(BETWEEN_KEYS)
  end
  process:close()
  process:wait()
  return times
end

local times = line_times()
judge.times("a line and its echo", times)
judge.line{ line = "a line to a command and its echo back", ours = percentiles.at(times, 0.5),
  unit = "ms" }

times = key_times()
judge.times("a key at a terminal", times)
local runs = {}
for i = 1, OTHERS do runs[i] = image:start("while :; do echo line; sleep 0.05; done") end
times = key_times()
judge.times(("beside %d runs"):format(OTHERS), times)
judge.line{ line = ("a key at a terminal and its echo, beside %d runs"):format(OTHERS),
  ours = percentiles.at(times, 0.5), most = 3, unit = "ms" }
judge.line{ line = "the same, 99 %", ours = percentiles.at(times, 0.99), most = 15, unit = "ms" }
for _, run in ipairs(runs) do run:cancel() end
stop()
