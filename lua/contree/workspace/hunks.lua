--- A text with some of the hunks that lead to another one. Pure.

local errors = require("contree.base.errors")

local hunks = {}

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("[^\n]*\n?") do
    if line ~= "" then lines[#lines + 1] = line end
  end
  return lines
end

local function add_hunk(out, old, at, hunk)
  for line in hunk.text:gmatch("[^\n]*\n") do
    local sign, rest = line:sub(1, 1), line:sub(2)
    if sign == " " then
      out[#out + 1], at = old[at], at + 1
    elseif sign == "-" then
      at = at + 1
    elseif sign == "+" then
      out[#out + 1] = rest
    elseif out.added then
      -- "\ No newline at end of file"
      out[#out] = out[#out]:gsub("\n$", "")
    end
    out.added = sign == "+"
  end
  return at
end

--- The text with the hunks of these numbers.
---@param text string
---@param list contree.Hunk[]
---@param numbers integer[]
---@param path string for errors
---@return string
function hunks.apply(text, list, numbers, path)
  local old, out, at = lines_of(text), {}, 1
  local sorted = {}
  for i, number in ipairs(numbers) do sorted[i] = number end
  table.sort(sorted)
  for i, number in ipairs(sorted) do
    local hunk = list[number]
    if not hunk or sorted[i - 1] == number then
      errors.misuse(("workspace:apply: %s has no hunk %s to take once"):format(path,
        tostring(number)), ("it has %d"):format(#list))
    end
    local start = hunk.old_count == 0 and hunk.old_start + 1 or hunk.old_start
    while at < start do out[#out + 1], at = old[at], at + 1 end
    at = add_hunk(out, old, at, hunk)
  end
  while old[at] do out[#out + 1], at = old[at], at + 1 end
  return table.concat(out)
end

return hunks
