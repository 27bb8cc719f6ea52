--- Variables, quotes and escapes in the arguments of a Dockerfile. Pure.

local automaton = require("contree.base.automaton")
local parser = require("contree.dockerfile.parser")

local expand = {}

---@class contree.build.Lookup
---@field escape string                        the escape character
---@field value fun(name: string): string?     what a variable holds
---@field fail fun(message: string, hint: string?)  does not return

-- A reader of a text. The caller says where to stop. `raw` keeps escape characters; with
-- `bare`, quotes have no meaning.
local function peek(self) return automaton.character(self.text, self.at) end

local function take(self)
  local char = peek(self)
  self.at = self.at + #char
  return char
end

local read_until

-- Patterns ----------------------------------------------------------------------

local MANY, ONE = { any = true, many = true }, { any = true }
local WILD_MAX = 200 -- the most "*" in a pattern: the time for a match grows with them

-- The parts of a pattern. A "\" before "*", "?" and "\" takes the character literally; before
-- "}" and "/" it only keeps the pattern from ending there.
local function parts_of(self, text)
  local parts, stars, at = {}, 0, 1
  while at <= #text do
    local char = automaton.character(text, at)
    at = at + #char
    local part = char == "*" and MANY or char == "?" and ONE or { char = char }
    if char == "\\" then
      char = automaton.character(text, at)
      if char == "" or not ("*?\\}/"):find(char, 1, true) then
        self.lookup.fail(("the pattern %s has \\%s, which is no escape"):format(text, char))
      end
      part, at = { char = char }, at + #char
    end
    stars = stars + (part == MANY and 1 or 0)
    parts[#parts + 1] = part
  end
  if stars > WILD_MAX then
    self.lookup.fail(("a pattern has more than %d *"):format(WILD_MAX))
  end
  return parts
end

local function reversed(list)
  local new = {}
  for i = #list, 1, -1 do new[#new + 1] = list[i] end
  return new
end

local function backwards(text)
  local chars, at = {}, 1
  while at <= #text do
    chars[#chars + 1] = automaton.character(text, at)
    at = at + #chars[#chars]
  end
  return table.concat(reversed(chars))
end

-- ${name#pattern} and ${name##pattern}; with "%" from the end.
local function cut(self, value, word, modifier)
  local longest = word:sub(1, 1) == modifier
  local parts = parts_of(self, longest and word:sub(2) or word)
  if modifier == "%" then
    local rest = backwards(value)
    local after = automaton.new(reversed(parts)):match(rest, 1, longest)
    return after and value:sub(1, #value - (after - 1)) or value
  end
  local after = automaton.new(parts):match(value, 1, longest)
  return after and value:sub(after) or value
end

-- Replace the leftmost, longest match, or all matches. Their beginnings are found by reading
-- the value backwards, so that the time grows with its length only.
local function replace(value, parts, by, all)
  local before = reversed(parts)
  table.insert(before, 1, MANY)
  local begins = automaton.new(before):ends(backwards(value))
  local fits, out, at = automaton.new(parts), {}, 1
  while at <= #value + 1 do
    local after = begins[#value - at + 2] and fits:match(value, at, true)
    if after then
      out[#out + 1] = by
      if not all then return table.concat(out) .. value:sub(after) end
    end
    if not after or after == at then
      local char = automaton.character(value, at)
      out[#out + 1], after = char, at + math.max(#char, 1)
    end
    at = after
  end
  return table.concat(out)
end

-- Variables ---------------------------------------------------------------------

-- Code points above ASCII that are not letters: blanks, punctuation, symbols.
local NO_LETTERS = { { 0x80, 0xa9 }, { 0xab, 0xb4 }, { 0xb6, 0xb9 }, { 0xbb, 0xbf }, { 0xd7, 0xd7 },
  { 0xf7, 0xf7 }, { 0x2000, 0x2bff }, { 0x3000, 0x3004 }, { 0x3007, 0x3030 }, { 0xe000, 0xf8ff },
  { 0xfe00, 0xfe6f }, { 0xff00, 0xff20 }, { 0xfff0, 0xffff }, { 0x1f000, 0x1faff } }

local function is_letter(char)
  if #char < 2 then return char:find("^[%a_]") ~= nil end
  local code = automaton.code(char)
  for _, range in ipairs(NO_LETTERS) do
    if code >= range[1] and code <= range[2] then return false end
  end
  return true
end

-- Read a name: digits, a special parameter of the shell, or letters, digits and "_". Returns
-- "" if no name begins here.
local function read_name(self)
  local name = self.text:match("^%d+", self.at) or self.text:match("^[@*#?$!-]", self.at)
  if name then
    self.at = self.at + #name
    return name
  end
  local from = self.at
  while is_letter(peek(self)) or self.at > from and peek(self):find("^%d") do take(self) end
  return self.text:sub(from, self.at - 1)
end

local function lacks(self, name, what)
  self.lookup.fail(("${%s… lacks its %s"):format(name, what))
end

-- ${name-word}, ${name+word}, ${name?word}; with ":", an empty value counts as unset.
local MODIFIERS = {
  ["-"] = function(_, value, word) return value or word end,
  ["+"] = function(_, value, word) return value and word or "" end,
  ["?"] = function(self, value, word, name)
    return value or self.lookup.fail(("the variable %s is not set%s"):format(name,
      word ~= "" and ": " .. word or ""))
  end,
}

-- ${name/pattern/text} replaces the first match, ${name//pattern/text} all. The text may be
-- left out, as in a shell.
local function read_replacement(self, name, value)
  local all = peek(self) == "/"
  if all then take(self) end
  local what, by = read_until(self, "/}", true), ""
  if peek(self) == "/" then
    take(self)
    by = read_until(self, "}", true)
  end
  if peek(self) ~= "}" then lacks(self, name, "}") end
  return replace(value or "", parts_of(self, what), by, all)
end

-- Read the rest of a ${name…} after its name, up to the "}".
local function read_modifier(self, name, value)
  local char = take(self)
  if char == "" then lacks(self, name, "}") end
  if char == "/" then return read_replacement(self, name, value) end
  local colon = char == ":"
  if colon then char = take(self) end
  local cuts = char == "#" or char == "%"
  if not cuts and not MODIFIERS[char] then
    self.lookup.fail(("${%s%s%s…} is not understood"):format(name, colon and ":" or "", char),
      "there are :- :+ :? - + ? # ## % %% / and //")
  end
  local word = read_until(self, "}", cuts)
  if cuts then return cut(self, value or "", word, char) end
  if colon and value == "" then value = nil end
  return MODIFIERS[char](self, value, word, name)
end

-- Read a variable after its "${".
local function read_braced(self)
  if peek(self) == "" then lacks(self, "", "}") end
  if ("{}:"):find(peek(self), 1, true) then
    self.lookup.fail("${ must be followed by the name of a variable")
  end
  local name = read_name(self)
  local text = self.lookup.value(name)
  if peek(self) ~= "}" then text = read_modifier(self, name, text) end
  if take(self) ~= "}" then lacks(self, name, "}") end
  return text or ""
end

-- Read a variable after its "$".
local function read_variable(self)
  if peek(self) == "{" then
    take(self)
    return read_braced(self)
  end
  local name = read_name(self)
  if name == "" then return "$" end
  return self.lookup.value(name) or ""
end

-- Words -------------------------------------------------------------------------

local function read_single(self)
  local stop = self.text:find("'", self.at, true)
  if not stop then self.lookup.fail("a ' has no partner") end
  local text = self.text:sub(self.at, stop - 1)
  self.at = stop + 1
  return text
end

-- Read on after an escape character in double quotes, where it is mostly an ordinary character.
local function read_escaped_in_quotes(self, char)
  local following = peek(self)
  if following ~= '"' and following ~= "$" and following ~= char then return char end
  return (self.raw and char or "") .. take(self)
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
      char = read_escaped_in_quotes(self, char)
    end
    out[#out + 1] = char
  end
end

local READERS = { ["'"] = read_single, ['"'] = read_double }

-- The next character, or the text that it stands for. An escape character at the end of the
-- text is dropped.
local function read_piece(self)
  local char = take(self)
  if char == "$" then return read_variable(self) end
  if char == self.lookup.escape then return (self.raw and char or "") .. take(self) end
  if READERS[char] and not self.bare then return READERS[char](self) end
  return char
end

-- Read up to a character of `stop`, which is not read, or to the end.
function read_until(self, stop, raw)
  local out, before = {}, self.raw
  self.raw = raw
  while peek(self) ~= "" and not stop:find(peek(self), 1, true) do
    out[#out + 1] = read_piece(self)
  end
  self.raw = before
  return table.concat(out)
end

--- The text with its variables, and without its quotes and escapes.
---@param text string
---@param lookup contree.build.Lookup
---@return string
function expand.text(text, lookup)
  return read_until({ text = text, at = 1, lookup = lookup }, "", false)
end

--- The words of a text with its variables. Blanks in a variable's value separate words, too,
--- unless it is in quotes.
---@param text string
---@param lookup contree.build.Lookup
---@return string[]
function expand.words(text, lookup)
  local self, words, word = { text = text, at = 1, lookup = lookup, raw = false }, {}, {}
  local function finish()
    if #word > 0 then words[#words + 1], word = table.concat(word), {} end
  end
  while peek(self) ~= "" do
    local char = peek(self)
    local piece = read_piece(self)
    if char == "$" or char:find("^%s") then
      for before, blanks in piece:gmatch("(%S*)(%s*)") do
        word[#word + 1] = before ~= "" and before or nil
        if blanks ~= "" then finish() end
      end
    else
      word[#word + 1] = piece
    end
  end
  finish()
  return words
end

--- The text with its variables and without escapes; quotes stay (for here-documents,
--- whose escape character is always "\\").
---@param text string
---@param lookup contree.build.Lookup
---@return string
function expand.variables(text, lookup)
  local own = { escape = "\\", value = lookup.value, fail = lookup.fail }
  return read_until({ text = text, at = 1, lookup = own, bare = true }, "", false)
end

--- The pairs of ENV and LABEL: "a=1 b='2 3'", or "a the rest of the line".
---@param text string
---@param lookup contree.build.Lookup
---@return { name: string, value: string }[]
function expand.pairs(text, lookup)
  local words, list = parser.words(text, lookup.escape), {}
  if not words[1] then lookup.fail("there is no name", "NAME=VALUE") end
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
