--- Where in the script a call comes from: its file and line, and how it got there.
--- Nothing is written down while all is well, but for who looked a method up: a
--- function that ends in `return image:run{…}` has left the stack when run begins.

local place = {}

local getinfo = debug.getinfo

-- Frames whose source starts so are ours, not the script's.
local ours = getinfo(1, "S").source:match("^(.*)base/place%.lua$")

-- function -> whether it is C's or ours
local passed_over = setmetatable({}, { __mode = "k" })

local function is_passed_over(func)
  local known = passed_over[func]
  if known == nil then
    local info = getinfo(func, "S")
    known = info.what == "C" or info.source:sub(1, #ours) == ours
    passed_over[func] = known
  end
  return known
end

---@class contree.Lookup the function that looked a method up last, and its line then
---@field func? function weak: what a script's function holds may want to be collected
---@field line? integer

---@return contree.Lookup
function place.lookup() return setmetatable({}, { __mode = "v" }) end

--- Notes who looks a method up; for an __index function to call.
---@param lookup contree.Lookup
function place.note(lookup)
  local info = getinfo(3, "fl")
  local func = info and info.func
  if not func or is_passed_over(func) then func = nil end
  lookup.func, lookup.line = func, info and info.currentline
end

--- Takes what was noted, so that it is not taken for another call's.
---@param lookup contree.Lookup
---@return function? func, integer? line
function place.take(lookup)
  local func, line = lookup.func, lookup.line
  lookup.func = nil
  return func, line
end

local function shown(info, line)
  local name = info.what == "main" and "main chunk"
    or ("function <%s:%d>"):format(info.short_src, info.linedefined)
  return ("%s:%d: in %s"):format(info.short_src, line, name)
end

--- The script's line that called us, and the lines that led there. `func` and `line`
--- are what was noted of the call: they tell the line when the function has left the
--- stack since.
---@param func? function
---@param line? integer
---@return string? where "file:line"; nil: no function of a script is there
---@return string? traceback a line for each function, the innermost first
function place.of(func, line)
  local where, lines = nil, {}
  local function add(info, at)
    where = where or ("%s:%d"):format(info.short_src, at)
    lines[#lines + 1] = shown(info, at)
  end
  local level, info = 2, getinfo(2, "Slf")
  while info do
    if info.currentline > 0 and not is_passed_over(info.func) then
      if not where and func and info.func ~= func then add(getinfo(func, "S"), line) end
      add(info, info.currentline)
    end
    level = level + 1
    info = getinfo(level, "Slf")
  end
  if not where and func then add(getinfo(func, "S"), line) end
  return where, where and table.concat(lines, "\n") or nil
end

--- The same where a call of an entry (class.lua) has failed; nil where the entry was
--- called by us, whom the script has called through another one.
---@param above integer how many functions of class.lua have called this one
function place.of_entry(above, func, line)
  local level = above + 2
  local info = not func and getinfo(level, "Sf")
  while info and info.what == "C" do
    level = level + 1
    info = getinfo(level, "Sf")
  end
  if info and is_passed_over(info.func) then return nil end
  return place.of(func, line)
end

--- Whether a message begins with a line of ours, as those of Lua's own errors do.
--- (Lua shortens long paths to "..." and their end.)
---@param message string
---@return boolean
function place.is_ours(message)
  local tail = message:match("^(.-%.lua):%d+: ")
  local rest = tail and tail:match(".*contree/(.+)$")
  if not rest then return false end
  tail = tail:gsub("^%.%.%.", "")
  return (ours:sub(2) .. rest):sub(-#tail) == tail
end

return place
