-- Many small files go up with a run that keeps them, and come down as one directory, beside
-- `tar | tar`. Usage: lua bench/parts/tree.lua ROUNDS FILES
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local timed = require("bench.lib.timed")
local trees = require("bench.lib.trees")
local turns = require("bench.lib.turns")

local rounds, count = tonumber(arg[1]), tonumber(arg[2])
local client, directory, stop = home.client()
local image = client.images:use("busybox:latest")
local archive = directory .. "/src.tar"
local number, tree, out, kept = 0, nil, nil, nil

-- Each round has contents that the server lacks. Nothing is deleted before the end: ext4 is
-- slow to create files just after that.
local function tar()
  number = number + 1
  tree = trees.make(directory .. "/src" .. number, count, 1000, number)
  out = directory .. "/out" .. number
  return timed.shell("mkdir %s %s.tar && tar -c -C %s . | tar -x -C %s.tar", out, out, tree, out)
end

-- How many files a server takes in one run.
local function accepted()
  local probe = trees.make(directory .. "/probe", count, 10, 0)
  local ok, err = pcall(image.run, image, { command = "/bin/true", files = { ["/src"] = probe } })
  if ok then return count end
  print("  " .. tostring(err))
  return math.min(count, 4000)
end
count = accepted()

local function up()
  return timed.call(function()
    kept = image:run{ command = "/bin/true", disposable = false, files = { ["/src"] = tree } }
  end)
end

-- The archive, and the directory itself.
local function down()
  local archived = timed.call(function() kept:archive("/src", archive) end)
  return archived, timed.call(function() kept:download("/src", out .. "/src") end)
end

local function check()
  assert(os.execute(("diff -r %s %s/src"):format(tree, out)), "what came out is not what went in")
end

local all = turns.take(rounds, { { "tar", tar }, { "up", up }, { "down", down } })
check()
stop()
local function line(text, name, n, most)
  judge.line{ line = ("%d small files %s"):format(count, text), ours = turns.median(all[name], n),
    peer = turns.median(all.tar), beside = "tar | tar", unit = "s", most = most }
end
line("up, into an image", "up", 1, 1.5)
line("down, as a tar file", "down", 1)
line("down, as a directory", "down", 2, 1.5)
