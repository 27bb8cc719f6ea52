--- Variables, quotes and escapes in the arguments of a Dockerfile. Pure.

local parser = require("contree.build.parser")

local expand = {}

---@class contree.build.Lookup
---@field escape string                        the escape character
---@field value fun(name: string): string?     what a variable holds
---@field fail fun(message: string, hint: string?)  does not return

-- A reader of a text: from where it is, up to an end that the caller knows.
local function peek(self) return self.text:sub(self.at, self.at) end

local function take(self)
  local char = peek(self)
  self.at = self.at + 1
  return char
end

local read_word

local STARS_MAX = 50 -- what Lua's own patterns bear

-- A pattern in which "*" is any text, as Lua's; `star` says how much of it.
local function glob(self, text, star)
  if select(2, text:gsub("%*", "")) > STARS_MAX then
    self.lookup.fail(("a pattern has more than %d *"):format(STARS_MAX))
  end
  return (text:gsub("%W", function(char)
    return char == "*" and star or char == "?" and "." or "%" .. char
  end))
end

-- Takes away what fits at the end, trying from one place to another.
local function cut_end(value, lua, first, last, step)
  for at = first, last, step do
    if value:find("^" .. lua .. "$", at) then return value:sub(1, at - 1) end
  end
  return value
end

-- ${name#pattern} and its kin; the word is a pattern.
local CUTS = {
  ["#"] = function(self, value, word)
    return (value:gsub("^" .. glob(self, word, ".-"), "", 1))
  end,
  ["##"] = function(self, value, word)
    return (value:gsub("^" .. glob(self, word, ".*"), "", 1))
  end,
  ["%"] = function(self, value, word)
    return cut_end(value, glob(self, word, ".*"), #value + 1, 1, -1)
  end,
  ["%%"] = function(self, value, word)
    return cut_end(value, glob(self, word, ".*"), 1, #value + 1, 1)
  end,
}

-- ${name/pattern/text} for the first that fits, ${name//pattern/text} for all.
local function replace(self, value, all)
  local what, by = read_word(self, "/}"), ""
  if peek(self) == "/" then
    self.at = self.at + 1
    by = read_word(self, "}")
  end
  if what == "" then return value end
  return (value:gsub(glob(self, what, ".*"), (by:gsub("%%", "%%%%")), not all and 1 or nil))
end

-- ${name:-word}, ${name:+word}, ${name:?word}, and those without ":".
local MODIFIERS = {
  ["-"] = function(_, value, word) return value or word end,
  ["+"] = function(_, value, word) return value and word or "" end,
  ["?"] = function(self, value, word, name)
    return value or self.lookup.fail(("the variable %s is not set%s"):format(name,
      word ~= "" and ": " .. word or ""))
  end,
}

-- What comes after the name, up to the "}".
local function read_modifier(self, name, value)
  local cut = self.text:match("^##?", self.at) or self.text:match("^%%%%?", self.at)
  local slashes = self.text:match("^//?", self.at)
  local colon, modifier = self.text:match("^(:?)([-+?])", self.at)
  self.at = self.at + #(cut or slashes or modifier and colon .. modifier or "")
  if cut then
    return CUTS[cut](self, value or "", read_word(self, "}"))
  elseif slashes then
    return replace(self, value or "", slashes == "//")
  elseif modifier then
    if colon == ":" and value == "" then value = nil end
    return MODIFIERS[modifier](self, value, read_word(self, "}"), name)
  elseif peek(self) ~= "}" and peek(self) ~= "" then
    self.lookup.fail(("${%s…} is not understood"):format(name),
      "there are :- :+ :? # ## % %% / and //")
  end
  return value or ""
end

-- After a "${".
local function read_braced(self)
  local name = self.text:match("^[%a_][%w_]*", self.at) or self.text:match("^%d+", self.at)
  if not name then self.lookup.fail("${ must be followed by the name of a variable") end
  self.at = self.at + #name
  local text = read_modifier(self, name, self.lookup.value(name))
  if take(self) ~= "}" then self.lookup.fail(("${%s… lacks its }"):format(name)) end
  return text
end

-- After a "$".
local function read_variable(self)
  if peek(self) == "{" then
    self.at = self.at + 1
    return read_braced(self)
  end
  local name, rest = self.text:match("^([%a_][%w_]*)()", self.at)
  if not name then name, rest = self.text:match("^(%d)()", self.at) end
  if not name then return "$" end
  self.at = rest
  return self.lookup.value(name) or ""
end

local function read_single(self)
  local stop = self.text:find("'", self.at, true)
  if not stop then self.lookup.fail("a ' has no partner") end
  local text = self.text:sub(self.at, stop - 1)
  self.at = stop + 1
  return text
end

local function read_double(self)
  local out = {}
  while true do
    local char = take(self)
    if char == "" then self.lookup.fail('a " has no partner') end
    if char == '"' then return table.concat(out) end
    if char == "$" then
      char = read_variable(self)
    elseif char == self.lookup.escape then
      local following = peek(self)
      if following == '"' or following == "$" or following == char then char = take(self) end
    end
    out[#out + 1] = char
  end
end

function read_word(self, stop)
  local out = {}
  while true do
    local char = peek(self)
    if char == "" or stop and stop:find(char, 1, true) then return table.concat(out) end
    self.at = self.at + 1
    if char == "'" then
      char = read_single(self)
    elseif char == '"' then
      char = read_double(self)
    elseif char == "$" then
      char = read_variable(self)
    elseif char == self.lookup.escape and peek(self) ~= "" then
      char = take(self)
    end
    out[#out + 1] = char
  end
end

--- The text with its variables, and without its quotes and escapes.
---@param text string
---@param lookup contree.build.Lookup
---@return string
function expand.text(text, lookup)
  return read_word({ text = text, at = 1, lookup = lookup })
end

--- The text with its variables; quotes stay (for here-documents).
---@param text string
---@param lookup contree.build.Lookup
---@return string
function expand.variables(text, lookup)
  local self, out = { text = text, at = 1, lookup = lookup }, {}
  while self.at <= #text do
    local char = take(self)
    if char == "$" then
      char = read_variable(self)
    elseif char == lookup.escape and (peek(self) == "$" or peek(self) == char) then
      char = take(self)
    end
    out[#out + 1] = char
  end
  return table.concat(out)
end

--- The pairs of ENV and LABEL: "a=1 b='2 3'", or "a the rest of the line".
---@param text string
---@param lookup contree.build.Lookup
---@return { name: string, value: string }[]
function expand.pairs(text, lookup)
  local words, list = parser.words(text, lookup.escape), {}
  if not words[1]:find("=", 1, true) then
    local name, value = text:match("^(%S+)%s+(.*)$")
    if not name then lookup.fail(("%s has no value"):format(text), text .. "=…") end
    return { { name = expand.text(name, lookup), value = expand.text(value, lookup) } }
  end
  for i, word in ipairs(words) do
    local name, value = word:match("^([^=]+)=(.*)$")
    if not name then
      lookup.fail(("%q is no name=value"):format(word), "quotes hold a value with spaces together")
    end
    list[i] = { name = expand.text(name, lookup), value = expand.text(value, lookup) }
    if list[i].name == "" then lookup.fail("a name is empty") end
  end
  return list
end

return expand
