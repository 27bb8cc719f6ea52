--- Draws curves of samples, one below the other, each on a scale of its own that begins at 0.
local curves = {}

local LEFT, WIDTH, HEIGHT, GAP = 250, 560, 44, 16
local GREY, FLAT, GROWS = "#768390", "#2da44e", "#d4762c"

local function points(samples, name, most)
  local list, last = {}, samples[#samples].runs
  for i, each in ipairs(samples) do
    list[i] = ("%.1f,%.1f"):format(LEFT + WIDTH * each.runs / last,
      HEIGHT * (1 - each[name] / most))
  end
  return table.concat(list, " ")
end

local function most_of(samples, name)
  local most = 0
  for _, each in ipairs(samples) do most = math.max(most, each[name]) end
  return most > 0 and most or 1
end

local function short(number)
  return number % 1 == 0 and ("%d"):format(number) or ("%.1f"):format(number)
end

---@param title string
---@param samples table<string, number>[] each with `runs`
---@param list { name: string, title: string, grows: boolean }[]
---@return string svg
function curves.draw(title, samples, list)
  local height, width = 46 + #list * (HEIGHT + GAP), LEFT + WIDTH + 70
  local out = {}
  local function add(text, ...) out[#out + 1] = text:format(...) end
  add('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d"'
    .. ' font-family="DejaVu Sans, Verdana, Arial, sans-serif" font-size="12">', width, height,
    width, height)
  add("<title>%s</title>", title)
  add('<text x="8" y="18" fill="%s">%s</text>', GREY, title)
  for n, curve in ipairs(list) do
    local top, most = 30 + (n - 1) * (HEIGHT + GAP), most_of(samples, curve.name)
    add('<g transform="translate(0 %d)">', top)
    add('<text x="%d" y="%d" text-anchor="end" fill="%s">%s</text>', LEFT - 10, HEIGHT / 2 + 4,
      GREY, curve.title)
    add('<path d="M%d 0V%dH%d" fill="none" stroke="%s" stroke-width="0.5"/>', LEFT, HEIGHT,
      LEFT + WIDTH, GREY)
    add('<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>',
      points(samples, curve.name, most), curve.grows and GROWS or FLAT)
    add('<text x="%d" y="10" fill="%s">%s</text></g>', LEFT + WIDTH + 6, GREY, short(most))
  end
  add('<text x="%d" y="%d" text-anchor="end" fill="%s">%d runs</text>', LEFT + WIDTH, height - 4,
    GREY, samples[#samples].runs)
  out[#out + 1] = "</svg>\n"
  return table.concat(out, "\n")
end

return curves
