-- Many runs at once from one Lua process. Usage: lua bench/parts/many.lua [RUNS]
local contree = require("contree")
local core = require("contree.core")
local home = require("spec.support.home")
local process = require("bench.lib.process")

local runs = tonumber(arg[1]) or 500
local client, directory, stop = home.client()
local image = client.images:use("busybox:latest")
image:run("true")
local engine = home.pid(directory .. "/data")

local function measure(count, concurrency, options)
  local list = {}
  for i = 1, count do
    list[i] = function() return image:run(options).exit_code end
  end
  local ours, theirs, begun = process.cpu("self"), process.cpu(engine), core.now()
  local codes = contree.gather(list, { concurrency = concurrency })
  for _, code in ipairs(codes) do assert(code == 0) end
  local took = core.now() - begun
  print(("%4d runs, %3d in flight: %6.2f s, %6.0f a second, %.2f ms of client and %.2f ms of "
    .. "engine each"):format(count, concurrency, took, count / took,
    (process.cpu("self") - ours) * 1000 / count, (process.cpu(engine) - theirs) * 1000 / count))
end

local before = process.now("self")
for _, concurrency in ipairs{ 1, 8, 32, runs } do
  measure(runs, concurrency, { command = "/bin/true" })
end
measure(runs, runs, { command = "/bin/echo", args = { "x" }, stdout = function() end })
print(("client: %.1f MB before, %.1f at most; engine: %.1f at most"):format(before,
  process.peak("self"), process.peak(engine)))
stop()
