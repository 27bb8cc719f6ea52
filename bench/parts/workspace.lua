-- A folder as a workspace: the first time, when nothing has changed, when one file has, and what
-- runs did to it; beside `cp -a` and `git status`. Usage: lua bench/parts/workspace.lua ROUNDS
-- FILES
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local timed = require("bench.lib.timed")
local trees = require("bench.lib.trees")
local turns = require("bench.lib.turns")

local rounds, count = tonumber(arg[1]), tonumber(arg[2])
local client, directory, stop = home.client()
local image = client.images:use("busybox:latest")
local number, tree, ws = 0, nil, nil

-- Each round has a folder of its own, in git. Nothing is deleted before the end: ext4 is slow to
-- create files just after that.
local function copy()
  number = number + 1
  tree = trees.make(directory .. "/src" .. number, count, 10000, number)
  timed.shell("cd %s && git init -q . && git config gc.auto 0 && git add . && git "
    .. "-c user.email=a@b -c user.name=a commit -qm x && sync -f .", tree)
  return timed.shell("cp -a %s %s.copy && sync -f %s", tree, tree, tree)
end

local function first()
  return timed.call(function() ws = image:workspace{ path = tree } end)
end

-- The second time: the first one writes git's own index, and ours.
local function status()
  timed.shell("git -C %s status --short >%s.status", tree, tree)
  return timed.shell("git -C %s status --short >%s.status", tree, tree)
end

local function nothing()
  ws:sync()
  return timed.call(ws.sync, ws)
end

local function run()
  local session = image:session()
  session:run("true")
  return timed.call(session.run, session, "true")
end

local function edited()
  timed.shell("echo %d >> $(find %s -type f | grep -v /.git/ | head -1)", number, tree)
  return timed.call(ws.run, ws, "true")
end

local function changes()
  ws:run("for f in $(find . -type f | head -10); do echo x >> $f; done")
  return timed.call(ws.changes, ws)
end

local all = turns.take(rounds, { { "copy", copy }, { "first", first }, { "status", status },
  { "nothing", nothing }, { "run", run }, { "edited", edited }, { "changes", changes } })
stop()
local function of(name) return turns.median(all[name]) end
judge.line{ line = ("%d files, 10 kB each, come in the first time"):format(count),
  ours = of("first"), peer = of("copy"), beside = "cp -a", unit = "s", most = 1.5 }
judge.line{ line = "nothing changed", ours = of("nothing") * 1000, peer = of("status") * 1000,
  beside = "git status", unit = "ms", most = 2 }
judge.line{ line = "one file changed: a run, beyond a run", unit = "ms", most = 10,
  ours = (of("edited") - of("run")) * 1000 }
judge.line{ line = "what a run did to 10 of them", ours = of("changes") * 1000, unit = "ms",
  most = 50 }
