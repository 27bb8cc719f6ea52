-- A run on an image that is 100, 300, 1000 runs deep, beside one that is one run deep:
-- disposable and kept, a few of each in turn. Usage: lua bench/parts/depth.lua ROUNDS DEEPEST
local core = require("contree.core")
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local percentiles = require("bench.lib.percentiles")

local rounds, deepest = tonumber(arg[1]), tonumber(arg[2])
local client, _, stop = home.client()
local image = client.images:use("busybox:latest")

local function change(from, i)
  return from:run{ shell = ("echo %d > /f%d"):format(i, i), disposable = false }
end

local marks = {}
for i = 1, deepest do
  image = change(image, i)
  if i == 1 or i == 100 or i == 300 or i == deepest then
    marks[#marks + 1] = { depth = i, image = image, run = {}, kept = {} }
  end
end

local function time(run, out)
  local begin = core.now()
  run()
  out[#out + 1] = (core.now() - begin) * 1e3
end

for i = 1, rounds do
  for _, mark in ipairs(marks) do
    time(function() mark.image:run{ command = "/bin/true" } end, mark.run)
    time(function() change(mark.image, i) end, mark.kept)
  end
end
stop()

for _, what in ipairs{ "run", "kept" } do
  local first = percentiles.at(marks[1][what], 0.5)
  for n = 2, #marks do
    judge.line{ line = ("%s, %d runs deep"):format(what == "run" and "image:run" or "and kept",
      marks[n].depth), ours = percentiles.at(marks[n][what], 0.5), peer = first,
      beside = "1 run deep", unit = "ms" }
  end
end
