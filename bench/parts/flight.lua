-- Runs a second with 8 and 32 in flight from one Lua process, beside as many bare sandboxes.
-- Usage: lua bench/parts/flight.lua ROUNDS
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local turns = require("bench.lib.turns")

local RUNS = 300
local rounds = tonumber(arg[1])
local scratch = assert(os.getenv("BENCH_SCRATCH"))
local client, _, stop = home.client()
local image = client.images:use("busybox:latest")

local function bare(concurrency)
  return function()
    local text = disk.capture(("build/peers/floor -s -c %d %d %s"):format(concurrency, RUNS,
      scratch))
    return tonumber(text:match("0 failed, (%d+) runs/s")) or error("floor: " .. text)
  end
end

local function ours(concurrency)
  local list = {}
  for i = 1, RUNS do
    list[i] = function() assert(image:run{ command = "/bin/true" }.exit_code == 0) end
  end
  return function()
    local begun = core.now()
    contree.gather(list, { concurrency = concurrency })
    return RUNS / (core.now() - begun)
  end
end

local all = turns.take(rounds, { { "bare 8", bare(8) }, { "ours 8", ours(8) },
  { "bare 32", bare(32) }, { "ours 32", ours(32) } })
stop()
for _, n in ipairs{ 8, 32 } do
  judge.line{ line = ("runs a second, %d in flight"):format(n),
    ours = turns.median(all["ours " .. n]), peer = turns.median(all["bare " .. n]),
    beside = ("bare sandbox, %d in flight"):format(n), least = 0.85 }
end
