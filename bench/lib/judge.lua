--- The lines of the table of targets. Each is printed when it is measured, and goes to the
--- file $BENCH_LINES, of which lib/report.lua makes the table.
local percentiles = require("bench.lib.percentiles")

local judge = {}

local function keep(...)
  local path = os.getenv("BENCH_LINES")
  if not path then return end
  local file = assert(io.open(path, "a"))
  assert(file:write(table.concat({ ... }, "\t"), "\n"))
  file:close()
end

--- A number with three digits that count.
function judge.number(value)
  if value == 0 or value ~= value then return "0" end
  if math.abs(value) >= 100 then return ("%.0f"):format(value) end
  local digits = math.max(0, 2 - math.floor(math.log(math.abs(value)) / math.log(10)))
  return ("%." .. math.min(digits, 3) .. "f"):format(value)
end

local function with_unit(value, unit)
  if not value then return "" end
  return judge.number(value) .. (unit and " " .. unit or "")
end

--- Judges a line. The target is for the ratio of `ours` to `peer`, or for `ours` itself if
--- there is no peer. A line without a target is told, not judged.
---@param given { line: string, ours: number, peer: number?, beside: string?, unit: string?,
---  most: number?, least: number?, target: string? }
function judge.line(given)
  local ratio = given.peer and given.ours / given.peer
  local value, unit = ratio or given.ours, ratio and "x" or given.unit and " " .. given.unit or ""
  local target, met, reached = given.target, "", ""
  if given.most then
    target = target or "<= " .. judge.number(given.most) .. unit
    met = value <= given.most and "met" or "not met"
    reached = ("%.4f"):format(value / given.most)
  elseif given.least then
    target = target or ">= " .. judge.number(given.least) .. unit
    met = value >= given.least and "met" or "not met"
    reached = ("%.4f"):format(given.least / value)
  end
  local ours, peer = with_unit(given.ours, given.unit), with_unit(given.peer, given.unit)
  local times = ratio and judge.number(ratio) .. "x" or ""
  print(("  %-52s %11s %11s %8s  %-9s %s"):format(given.line, ours, peer, times, target or "", met))
  keep("line", given.line, ours, peer, given.beside or "", times, target or "", met, reached)
end

--- Tells the percentiles of a list of times.
---@param scale number? factor for all numbers
function judge.times(name, list, scale)
  print("  " .. percentiles.row(name, list, scale))
  local row = { "times", name, #list }
  for _, q in ipairs{ 0.5, 0.95, 0.99, 1 } do
    row[#row + 1] = ("%.2f"):format(percentiles.at(list, q) * (scale or 1))
  end
  keep((table.unpack or unpack)(row))
end

--- The heading of a part.
function judge.part(title) print(title) end

return judge
