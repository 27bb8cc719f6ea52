-- The import of a tar, beside `tar -x` of it on the same file system, and beside `tar -x` with
-- the sync that would make it as durable as an import is.
-- Usage: lua bench/parts/import.lua ROUNDS MB
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local timed = require("bench.lib.timed")
local trees = require("bench.lib.trees")
local turns = require("bench.lib.turns")

local A_FILE = 16 * 1024
local rounds, mb = tonumber(arg[1]), tonumber(arg[2])
local client, directory, stop = home.client()
client:whoami()
local tree, tar, out = directory .. "/tree", directory .. "/root.tar", directory .. "/out"
trees.make(tree, mb * 1048576 // (A_FILE + 1024), A_FILE, 1)

local number = 0

-- Nothing is deleted before the end: ext4 is slow to create files just after that.
local function unpack()
  local to = out .. number
  return timed.shell("mkdir %s && tar -xf %s -C %s", to, tar, to)
end

local function import()
  return timed.shell("contree-engine import %s --data-dir %s/data --socket %s/engine.sock"
    .. " --tag bench:%d >%s/said", tar, directory, directory, number, directory)
end

-- An import ends on disk, and has to write nothing that others have left in memory.
local function settle() return timed.shell("sync -f %s", directory) end

-- Another tar each time, lest the engine knows it.
local function change()
  number = number + 1
  disk.write(tree .. "/number", tostring(number))
  timed.shell("tar -cf %s -C %s .", tar, tree)
  return 0
end

local all = turns.take(rounds, { { "change", change }, { "settle", settle }, { "tar", unpack },
  { "sync", settle }, { "import", import } })
for n, took in ipairs(all.tar) do took[2] = took[1] + all.sync[n][1] end
assert(client.images:use(("bench:%d"):format(number)):read("/number") == tostring(number))
stop()
judge.line{ line = ("import of a tar of %d MB"):format(mb), ours = turns.median(all.import),
  peer = turns.median(all.tar), beside = "tar -x", unit = "s", most = 1.2 }
judge.line{ line = ("import of a tar of %d MB, durable as it is"):format(mb),
  ours = turns.median(all.import), peer = turns.median(all.tar, 2),
  beside = "tar -x and sync -f", unit = "s" }
