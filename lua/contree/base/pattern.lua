--- The patterns of .dockerignore and of the sources of COPY, as moby's patternmatcher
--- and Go's path matching have them: "*" and "?" stay within a name, "**" does not,
--- "[a-z]" is a class, "\" takes a character as it is. Pure.

local automaton = require("contree.base.automaton")

local pattern = {}

local WITHIN = { within = true }
local STAR = { within = true, many = true }
local ALL = { any = true, many = true }
local DEEP = { deep = true }

-- A character of a class, and the position behind it; nil and the problem.
local function class_character(text, at)
  local char = automaton.character(text, at)
  if char == "\\" then
    at = at + 1
    char = automaton.character(text, at)
  elseif char == "-" or char == "]" then
    return nil, ("has a %q in a class where a character should be"):format(char)
  end
  if char == "" then return nil, "has a [ without its ]" end
  return char, at + #char
end

-- A range of a class, or one character of it.
local function class_range(text, at)
  local low, after = class_character(text, at)
  if not low then return nil, after end
  local high = low
  if text:sub(after, after) == "-" then
    high, after = class_character(text, after + 1)
    if not high then return nil, after end
  end
  local range = { automaton.code(low), automaton.code(high) }
  if range[1] > range[2] then
    return nil, ("has the range %s-%s, which runs backwards"):format(low, high)
  end
  return range, after
end

-- A class such as "[a-z]" or "[^a]" as a part, and the position behind it.
local function class(text, at)
  local part = { class = {} }
  at = at + 1
  if text:sub(at, at) == "^" then part.negated, at = true, at + 1 end
  repeat
    local range, after = class_range(text, at)
    if not range then return nil, after end
    table.insert(part.class, range)
    at = after
  until text:sub(at, at) == "]"
  return part, at + 1
end

-- "**", which takes the "/" after it.
local function deep(text, at)
  local after = text:sub(at, at) == "/" and at + 1 or at
  if after > #text then return ALL, after end
  -- "**.md" without other special characters matches every path that ends with ".md".
  local plain = at == 3 and after == at and not text:find("[*?%[%]\\]", at)
  return plain and ALL or DEEP, after
end

-- The part that begins at a byte, and the position behind it; nil and the problem.
local function part_at(text, at, deeply)
  local char = automaton.character(text, at)
  if char == "*" then
    if deeply and text:sub(at + 1, at + 1) == "*" then return deep(text, at + 2) end
    return STAR, at + 1
  elseif char == "?" then
    return WITHIN, at + 1
  elseif char == "[" then
    return class(text, at)
  elseif char == "\\" then
    at = at + 1
    char = automaton.character(text, at)
    if char == "" then return nil, "ends with a \\" end
  end
  return { char = char }, at + #char
end

local function translate(text, deeply)
  local parts, at = {}, 1
  while at <= #text do
    local part, after = part_at(text, at, deeply)
    if not part then return nil, after end
    -- "***" would only make the automaton larger.
    if not (part.many and parts[#parts] == part) then parts[#parts + 1] = part end
    at = after
  end
  return automaton.new(parts)
end

--- The names of a path, cleaned of "." and ".."; nil if it leads out.
---@param path string
---@return string[]?
function pattern.split(path)
  local names = {}
  for name in path:gmatch("[^/]+") do
    if name == ".." then
      if #names == 0 then return nil end
      names[#names] = nil
    elseif name ~= "." then
      names[#names + 1] = name
    end
  end
  return names
end

--- Whether a name is a pattern.
function pattern.is_wild(name) return name:find("[*?%[\\]") ~= nil end

--- A function that tells whether a name matches a pattern; nil and the problem if the pattern
--- is malformed.
---@param name string
---@return fun(name: string): boolean? fits, string? problem
function pattern.name(name)
  local found, wrong = translate(name, false)
  if not found then return nil, wrong end
  return function(given) return found:fits(given) end
end

---@class contree.build.Rule
---@field automaton contree.build.Automaton
---@field keep boolean  begins with "!"

--- The automaton of a rule; nil and the problem if it is malformed; false if it matches no path
--- of a context.
---@param text string
---@return contree.build.Automaton|false|nil automaton, string? problem
function pattern.compile(text)
  local names = pattern.split(text)
  local found, wrong = translate(names and table.concat(names, "/") or text, true)
  if not found then return nil, wrong end
  return names ~= nil and #names > 0 and found
end

return pattern
