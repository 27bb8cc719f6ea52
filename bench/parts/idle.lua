-- The engine after its first run: its memory, and how often its threads wake up.
-- Usage: lua bench/parts/idle.lua SECONDS
local home = require("spec.support.home")
local loop = require("contree.loop")
local judge = require("bench.lib.judge")
local process = require("bench.lib.process")

local SETTLE = 8
local seconds = tonumber(arg[1])
local client, directory, stop = home.client()
client.images:use("busybox:latest"):run("true")
loop.close() -- the engine ends idle connections after a minute
local engine = home.pid(directory .. "/data")
local function sleep(time) assert(os.execute("sleep " .. time)) end

sleep(SETTLE)
local family, memory = process.family(engine), process.now(engine)
local before = process.sleeps(family)
sleep(seconds)
local wakes, together = process.sleeps(family) - before, process.together(family)
stop()
judge.line{ line = "engine idle, resident", ours = memory, unit = "MB", most = 8 }
judge.line{ line = ("engine idle, times it woke up in %d s"):format(seconds), ours = wakes,
  most = 0 }
judge.line{ line = ("engine idle, with its %d processes"):format(#family),
  ours = together, unit = "MB" }
