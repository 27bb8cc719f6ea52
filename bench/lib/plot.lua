--- The plot: a bar for each judged line, measured by its target, on a logarithmic scale.
local plot = {}

local BAR, LEFT, WIDTH = 22, 390, 560
local GREY, MET, NOT_MET = "#768390", "#2da44e", "#d4762c"
local MARKS = { { 0.25, "a quarter" }, { 0.5, "half" }, { 1, "target" }, { 2, "2x" }, { 4, "4x" },
  { 8, "8x" } }

-- Where a value is on the scale, which ends on both sides.
local function x_of(value)
  local least, most = math.log(0.125), math.log(16)
  local part = (math.log(math.max(value, 1e-9)) - least) / (most - least)
  return LEFT + WIDTH * math.max(0.01, math.min(1, part))
end

local function escaped(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

---@param lines { line: string, reached: number?, verdict: string }[]
---@return string svg
function plot.draw(lines)
  local judged, out = {}, {}
  for _, line in ipairs(lines) do
    if line.reached then judged[#judged + 1] = line end
  end
  local height = 60 + BAR * #judged
  local function add(text, ...) out[#out + 1] = text:format(...) end
  add('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d"'
    .. ' font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="12">',
    LEFT + WIDTH + 60, height, LEFT + WIDTH + 60, height)
  add("<title>Each line of the table, measured by its target; less is better</title>")
  for _, mark in ipairs(MARKS) do
    local x, is_target = x_of(mark[1]), mark[1] == 1
    add('<path d="M%.1f 28V%d" stroke="%s" stroke-width="%s"/>', x, height - 24, GREY,
      is_target and "1.5" or '0.5" stroke-dasharray="2 4')
    add('<text x="%.1f" y="20" text-anchor="middle" fill="%s">%s</text>', x, GREY, mark[2])
  end
  for n, line in ipairs(judged) do
    local y, x = 34 + BAR * (n - 1), x_of(line.reached)
    local colour = line.verdict == "met" and MET or NOT_MET
    add('<text x="%d" y="%d" text-anchor="end" fill="%s">%s</text>', LEFT - 8, y + 13, GREY,
      escaped(line.line))
    add('<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>', LEFT, y, x - LEFT,
      BAR - 5, colour)
    add('<text x="%.1f" y="%d" fill="%s">%.2f</text>', x + 5, y + 13, GREY, line.reached)
  end
  add('<text x="%d" y="%d" fill="%s">measured / target, on a logarithmic scale; green: met</text>',
    LEFT, height - 6, GREY)
  out[#out + 1] = "</svg>\n"
  return table.concat(out, "\n")
end

return plot
