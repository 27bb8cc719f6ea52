--- The grammar of LuaCATS types, as far as this repository uses it:
---   type    = one { "|" one }
---   one     = prime { "[]" | "?" }
---   prime   = name [ "<" type { "," type } ">" ] | text | number | "(" type ")" | function
---           | table
---   function = "fun" [ "(" [ parameter { "," parameter } ] ")" [ ":" value { "," value } ] ]
---   parameter = ( name [ "?" ] | "..." ) [ ":" type ]
---   table   = "{" [ member { ( "," | ";" ) member } ] "}"
---   member  = ( name [ "?" ] | "[" type "]" ) ":" type
--- lua-language-server reads more than that, and says nothing about what it cannot read.

local types = {}

local function fail(self, wanted)
  local here = self.text:sub(self.at, self.at + 20)
  error({ problem = ("%s is missing at %q"):format(wanted, here) }, 0)
end

local function blank(self) self.at = self.text:match("^%s*()", self.at) end

-- Takes a pattern's first capture if it comes next; spaces before it may be there.
local function take(self, pattern)
  local at = self.text:match("^%s*()", self.at)
  local from, to, found = self.text:find("^(" .. pattern .. ")", at)
  if not from then return nil end
  self.at = to + 1
  return found
end

local function need(self, pattern, words)
  return take(self, pattern) or fail(self, words)
end

local parse_type

local function list(self, close, each, separator)
  if take(self, close) then return end
  repeat each(self) until not take(self, separator)
  need(self, close, close:gsub("%%", ""))
end

local function parameter(self)
  if not take(self, "%.%.%.") then
    need(self, "[%a_][%w_]*", "the name of a parameter")
    take(self, "%?")
  end
  if take(self, ":") then parse_type(self) end
end

local function parse_function(self)
  if not take(self, "%(") then return end
  list(self, "%)", parameter, ",")
  if not take(self, ":") then return end
  repeat
    parse_type(self)
    local after = self.text:match("^%s*()", self.at)
    -- A comma that a blank and no type follow belongs to the words behind the type.
  until self.text:sub(after, after) ~= "," or not take(self, ",")
end

local function member(self)
  local key
  if take(self, "%[") then
    parse_type(self)
    need(self, "%]", "]")
  else
    key = need(self, "[%a_][%w_]*", "the name of a member")
    if take(self, "%?") then key = key .. "?" end
  end
  need(self, ":", "the colon before a type")
  local depth = self.depth
  self.depth = depth + 1
  parse_type(self)
  self.depth = depth
  if key and depth == 0 then self.members[#self.members + 1] = key end
end

local function prime(self)
  if take(self, "%(") then
    parse_type(self)
    need(self, "%)", ")")
  elseif take(self, "{") then
    list(self, "}", member, "[,;]")
  elseif take(self, '"[^"]*"') or take(self, "'[^']*'") or take(self, "%-?%d+") then
    return
  elseif take(self, "fun%f[^%w_]") then
    parse_function(self)
  else
    local name = need(self, "[%a_][%w_.]*%*?", "a type")
    self.names[#self.names + 1] = name
    if take(self, "<") then
      repeat parse_type(self) until not take(self, ",")
      need(self, ">", ">")
    end
  end
end

function parse_type(self)
  repeat
    prime(self)
    -- A blank ends the type: what follows is its description.
    while self.text:find("^%[%]", self.at) or self.text:find("^%?", self.at) do
      self.at = self.at + (self.text:sub(self.at, self.at) == "?" and 1 or 2)
    end
  until not take(self, "|")
end

---@class annotations.Type
---@field text string      the type
---@field rest string      what follows it
---@field names string[]   the types that it names
---@field members string[] the members of a literal table, optional ones with "?"

--- The type at the beginning of a text, or nil and what is wrong.
---@param text string
---@return annotations.Type? found
---@return string? problem
function types.parse(text)
  local self = { text = text, at = 1, depth = 0, names = {}, members = {} }
  local ok, err = pcall(parse_type, self)
  if not ok and type(err) ~= "table" then error(err, 0) end
  if not ok then return nil, err.problem end
  local stop = self.at
  blank(self)
  return { text = text:sub(1, stop - 1), rest = text:sub(self.at), names = self.names,
    members = self.members }
end

return types
