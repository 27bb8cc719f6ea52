-- A directory of many small files goes up with a run that keeps it, and comes down again,
-- beside `tar | tar`, and with the sync that makes it durable.
-- Usage: lua bench/parts/tree.lua ROUNDS FILES
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

-- What goes up ends on disk, and has to write nothing that others have left in memory.
local function settle() return timed.shell("sync -f %s", directory) end

local function tar()
  fresh()
  settle()
  return timed.shell("mkdir %s.tar && tar -c -C %s . | tar -x -C %s.tar", out, tree, out)
end

local function up()
  kept = image:run{ command = "/bin/true", disposable = false, files = { ["/src"] = tree } }
end
local function down() kept:download("/src", out) end

local all = turns.take(rounds, {
  { "tar", tar }, { "sync", settle }, { "up", function() return timed.call(up) end },
  { "down", function() return timed.call(down) end },
})
for n, took in ipairs(all.tar) do took[2] = took[1] + all.sync[n][1] end
timed.shell("diff -r %s %s", tree, out)
fresh()
local holds = { up = held.longest(up), down = held.longest(down) }
stop()

for _, way in ipairs{ "up", "down" } do
  judge.line{ line = ("%d small files %s"):format(count, way), ours = turns.median(all[way]),
    peer = turns.median(all.tar), beside = "tar | tar", unit = "s", most = 1.5 }
end
judge.line{ line = ("%d small files up, durable as they are"):format(count),
  ours = turns.median(all.up), peer = turns.median(all.tar, 2),
  beside = "tar | tar and sync -f", unit = "s" }
for _, way in ipairs{ "up", "down" } do
  judge.line{ line = ("%d small files %s: a host's loop is held, at most"):format(count, way),
    ours = holds[way], unit = "ms" }
end
