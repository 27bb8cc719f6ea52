-- Milliseconds of a run on an image that is 1, 100, 300, 1000 runs deep: disposable and
-- kept, a few of each in turn. Usage: lua bench/parts/depth.lua [RUNS]
local core = require("contree.core")
local home = require("spec.support.home")
local percentiles = require("bench.lib.percentiles")

local deepest = tonumber(arg[1]) or 1000
local ROUNDS = 100

local client, _, stop = home.client()
local image = client.images:use("busybox:latest")

local function change(from, i)
  return from:run{ shell = ("echo %d > /f%d"):format(i, i), disposable = false }
end

local marks = {}
for i = 1, deepest do
  image = change(image, i)
  if i == 1 or i == 100 or i == 300 or i == deepest then
    marks[#marks + 1] = { depth = i, image = image, disposable = {}, kept = {} }
  end
end

local function time(run, out)
  local begin = core.now()
  run()
  out[#out + 1] = (core.now() - begin) * 1e3
end

for i = 1, ROUNDS do
  for _, mark in ipairs(marks) do
    time(function() mark.image:run{ command = "/bin/true" } end, mark.disposable)
    time(function() change(mark.image, i) end, mark.kept)
  end
end

print(("%-10s %10s %10s %10s %10s"):format("runs deep", "p50", "p95", "kept p50", "kept p95"))
for _, mark in ipairs(marks) do
  print(("%-10d %10.2f %10.2f %10.2f %10.2f"):format(mark.depth,
    percentiles.at(mark.disposable, .5), percentiles.at(mark.disposable, .95),
    percentiles.at(mark.kept, .5), percentiles.at(mark.kept, .95)))
end
stop()
