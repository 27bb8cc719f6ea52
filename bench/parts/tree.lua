-- A directory of many small files goes up with a run that keeps it, and comes down again,
-- beside `tar | tar`. Usage: lua bench/parts/tree.lua ROUNDS FILES
local held = require("bench.lib.held")
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local timed = require("bench.lib.timed")
local trees = require("bench.lib.trees")
local turns = require("bench.lib.turns")

local rounds, count = tonumber(arg[1]), tonumber(arg[2])
local client, directory, stop = home.client()
local image = client.images:use("busybox:latest")
local number, tree, out, kept = 0, nil, nil, nil

-- Nothing is deleted before the end: ext4 is slow to create files just after that.
local function fresh()
  number = number + 1
  tree = trees.make(directory .. "/src" .. number, count, 1000, number) -- the server lacks it
  out = directory .. "/out" .. number
end

local function tar()
  fresh()
  return timed.shell("mkdir %s.tar && tar -c -C %s . | tar -x -C %s.tar", out, tree, out)
end

local function up()
  kept = image:run{ command = "/bin/true", disposable = false, files = { ["/src"] = tree } }
end
local function down() kept:download("/src", out) end

local all = turns.take(rounds, {
  { "tar", tar }, { "up", function() return timed.call(up) end },
  { "down", function() return timed.call(down) end },
})
timed.shell("diff -r %s %s", tree, out)
fresh()
local holds = { up = held.longest(up), down = held.longest(down) }
stop()

for _, way in ipairs{ "up", "down" } do
  judge.line{ line = ("%d small files %s"):format(count, way), ours = turns.median(all[way]),
    peer = turns.median(all.tar), beside = "tar | tar", unit = "s", most = 1.5 }
end
for _, way in ipairs{ "up", "down" } do
  judge.line{ line = ("%d small files %s: a host's loop is held, at most"):format(count, way),
    ours = holds[way], unit = "ms" }
end
