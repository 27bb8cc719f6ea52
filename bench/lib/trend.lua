--- Whether something grows: the second quarter of its samples beside the last one. What a
--- program takes while it warms up is in the first.
local percentiles = require("bench.lib.percentiles")

local trend = {}

-- The median of samples from one part of the list to another.
local function median(samples, name, from, to)
  local list = {}
  for i = math.floor(#samples * from) + 1, math.floor(#samples * to) do
    list[#list + 1] = samples[i][name]
  end
  return percentiles.at(list, 0.5)
end

--- Judges one curve. It grows if its last quarter is above its second quarter by more than
--- `slack` and more than a twentieth.
---@param samples table<string, number>[] eight at least
---@param curve { name: string, slack: number, part: number? }
---@return { before: number, after: number, grows: boolean }
function trend.of(samples, curve)
  local before, after = median(samples, curve.name, 0.25, 0.5), median(samples, curve.name, 0.75, 1)
  local grown = after - before
  return { before = before, after = after,
    grows = grown > curve.slack and grown > before * (curve.part or 0.05) }
end

return trend
