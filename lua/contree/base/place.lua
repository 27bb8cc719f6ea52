--- Where in the script a call comes from: file, line and traceback. They are read from
--- the stack when a call has failed. Only the function that looks a method up is noted
--- before the call: one that ends in `return image:run{…}` makes a tail call, and is no
--- longer on the stack when run begins.

local place = {}

local getinfo = debug.getinfo

-- The source of each of our own files begins with this path.
local ours = getinfo(1, "S").source:match("^(.*)base/place%.lua$")

-- function -> whether it is written in C, or ours
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

--- Whether a function of the script's, neither ours nor one in C, is at a level above the
--- caller.
---@param level integer 1: the caller itself
---@return boolean
function place.is_script(level)
  local info = getinfo(level + 1, "f")
  return info ~= nil and not is_passed_over(info.func)
end

---@class contree.Lookup the function that looked a method up last, and its line
---@field func? function weak, so that the values it holds can be collected
---@field line? integer

---@return contree.Lookup
function place.lookup() return setmetatable({}, { __mode = "v" }) end

--- Note the function that looks a method up. An __index function calls this.
---@param lookup contree.Lookup
function place.note(lookup)
  local info = getinfo(3, "fl")
  local func = info and info.func
  if not func or is_passed_over(func) then func = nil end
  lookup.func, lookup.line = func, info and info.currentline
end

--- Take the note, so that no later call finds it.
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

--- The script's line that called us, and the lines that led there. `func` and `line` come
--- from the note of the call: they tell the line when the function has left the stack.
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

--- The same after a call of an entry (base/class.lua) has failed. Nil when our own code called
--- the entry: then the script came in through another one, which adds the place.
---@param above integer how many functions of class.lua are between the entry and this one
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
