--- Patterns without backtracking: a list of parts becomes a deterministic automaton, whose
--- states are made when a text reaches them. A text is read once, whatever the pattern.
--- Characters are those of UTF-8; an invalid byte is a character by itself. Pure.

local automaton = {}

-- The most states and transitions that are kept; after that, all are made anew.
local CACHE_MAX = 20000

---@class contree.build.Part one of:
---@field char? string       this character
---@field within? boolean    any character but "/"
---@field any? boolean       any character
---@field class? { [1]: integer, [2]: integer }[] a character in these ranges of code points
---@field negated? boolean   with class: a character outside of the ranges
---@field many? boolean      with within or any: any number of characters
---@field deep? boolean      nothing, or anything that ends with "/"

local function continues(text, at, count)
  return text:find("^" .. ("[\128-\191]"):rep(count), at + 1) ~= nil
end

-- The length of the character that begins at a byte.
local function length_at(text, at)
  local lead = text:byte(at)
  local count = lead < 194 and 0 or lead < 224 and 1 or lead < 240 and 2 or lead < 245 and 3 or 0
  return count > 0 and continues(text, at, count) and count + 1 or 1
end

--- The character that begins at a byte; "" at the end.
---@param text string
---@param at integer
---@return string
function automaton.character(text, at)
  if at > #text then return "" end
  return text:sub(at, at + length_at(text, at) - 1)
end

--- The code point of a character.
---@param char string
---@return integer
function automaton.code(char)
  local lead = char:byte()
  if #char == 1 then return lead < 128 and lead or 65533 end
  local code = lead % (#char == 2 and 32 or #char == 3 and 16 or 8)
  for i = 2, #char do code = code * 64 + char:byte(i) % 64 end
  return code
end

local function in_class(part, char)
  local code = automaton.code(char)
  for _, range in ipairs(part.class) do
    if code >= range[1] and code <= range[2] then return not part.negated end
  end
  return part.negated == true
end

local function takes(part, char)
  if part.char then return part.char == char end
  if part.class then return in_class(part, char) end
  return part.any or char ~= "/"
end

-- A state of the automaton is a set of places: 2i is before part i, 2i + 1 is inside
-- of a "deep" one, which only a "/" ends.
local function enter(parts, set, i)
  while true do
    set[2 * i] = true
    local part = parts[i]
    if not part or not (part.many or part.deep) then return end
    i = i + 1
  end
end

local function follow(parts, set, place, char)
  local i = math.floor(place / 2)
  local part = parts[i]
  if not part then return end
  if part.deep then
    set[2 * i + 1] = true
    if char == "/" then enter(parts, set, i + 1) end
  elseif takes(part, char) then
    enter(parts, set, part.many and i or i + 1)
  end
end

---@class contree.build.Automaton
local Automaton = {}
Automaton.__index = Automaton

-- The state for a set of places; the same one for the same set.
local function state_of(self, set)
  local places = {}
  for place in pairs(set) do places[#places + 1] = place end
  table.sort(places)
  local key = table.concat(places, " ")
  local state = self.states[key]
  if not state then
    state = { places = places, following = {}, accepts = set[2 * (#self.parts + 1)] == true }
    self.states[key], self.count = state, self.count + 1
  end
  return state
end

local function forget(self)
  self.states, self.count = {}, 0
  local set = {}
  enter(self.parts, set, 1)
  self.first = state_of(self, set)
end

--- An automaton for a list of parts.
---@param parts contree.build.Part[]
---@return contree.build.Automaton
function automaton.new(parts)
  local self = setmetatable({ parts = parts }, Automaton)
  forget(self)
  return self
end

local function step(self, state, char)
  local found = state.following[char]
  if found then return found end
  local set = {}
  for _, place in ipairs(state.places) do follow(self.parts, set, place, char) end
  found = state_of(self, set)
  state.following[char], self.count = found, self.count + 1
  return found
end

-- Read a text from a byte on. Call fn(state, at) before each character and at the end, until
-- it returns true or no continuation can fit.
local function read(self, text, at, fn)
  if self.count > CACHE_MAX then forget(self) end
  local state = self.first
  while true do
    if fn(state, at) or #state.places == 0 then return end
    if at > #text then return end
    local char = automaton.character(text, at)
    state, at = step(self, state, char), at + #char
  end
end

--- Whether the whole text fits.
---@param text string
---@return boolean
function Automaton:fits(text)
  local fits = false
  -- The last state is that of the whole text, or one that nothing fits.
  read(self, text, 1, function(state)
    fits = state.accepts
    return false
  end)
  return fits
end

--- Whether a path fits, or a directory that it is in.
---@param path string
---@return boolean
function Automaton:covers(path)
  local fits = false
  read(self, path, 1, function(state, at)
    fits = state.accepts and (at > #path or path:byte(at) == 47)
    return fits
  end)
  return fits
end

--- The positions at which a fitting prefix of the text ends.
---@param text string
---@return table<integer, boolean>
function Automaton:ends(text)
  local found = {}
  read(self, text, 1, function(state, at)
    found[at] = state.accepts
    return false
  end)
  return found
end

--- The end of the shortest or longest fitting text that begins at a byte.
---@param text string
---@param at integer
---@param longest boolean
---@return integer? the byte after it; nil when none fits
function Automaton:match(text, at, longest)
  local found
  read(self, text, at, function(state, here)
    if state.accepts then found = here end
    return found and not longest
  end)
  return found
end

return automaton
