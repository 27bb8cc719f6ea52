--- The patterns of .dockerignore and of the sources of COPY: "*" and "?" stay
--- within a name, "**" does not, "[a-z]" is a class, "\" takes a character as
--- it is. Pure.

local pattern = {}

local function special(char) return char:gsub("%W", "%%%0") end

-- "[a-z]", "[^a]" from its "[" on as a Lua class, and where the text goes on; or
-- nil when it does not end.
local function class(text, at)
  local out, negated = {}, false
  at = at + 1
  if text:find("^[%^!]", at) then negated, at = true, at + 1 end
  while true do
    local char = text:sub(at, at)
    if char == "" then return nil end
    if char == "]" and #out > 0 then break end
    if char == "\\" then
      at = at + 1
      char = text:sub(at, at)
      if char == "" then return nil end
    end
    local low, high = char, text:match("^%-([^%]\\])", at + 1)
    if high then
      out[#out + 1] = special(low) .. "-" .. special(high)
      at = at + 3
    else
      out[#out + 1] = special(low)
      at = at + 1
    end
  end
  return "[" .. (negated and "^/" or "") .. table.concat(out) .. "]", at + 1
end

local WILD_MAX = 50 -- of "*" and "?" in a name: what Lua's own patterns bear

-- One name of a pattern as a Lua pattern, or nil and what is wrong with it.
local function translate(name)
  if select(2, name:gsub("[*?]", "")) > WILD_MAX then
    return nil, ("has more than %d * and ? in a name"):format(WILD_MAX)
  end
  local out, at = { "^" }, 1
  while at <= #name do
    local char = name:sub(at, at)
    if char == "*" then
      out[#out + 1] = "[^/]*"
    elseif char == "?" then
      -- A character of UTF-8, not a byte.
      out[#out + 1] = "[^/\128-\191][\128-\191]*"
    elseif char == "[" then
      local text, following = class(name, at)
      if not text then return nil, "has a [ without its ]" end
      out[#out + 1], at = text, following - 1
    else
      if char == "\\" and at < #name then
        at = at + 1
        char = name:sub(at, at)
      end
      out[#out + 1] = special(char)
    end
    at = at + 1
  end
  out[#out + 1] = "$"
  return table.concat(out)
end

--- The names of a path, without what means nothing; nil when it leads out.
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

--- Whether a name means more than itself.
function pattern.is_wild(name) return name:find("[*?%[\\]") ~= nil end

--- A function that tells whether a name fits a pattern; nil and what is wrong
--- with a bad one.
---@param name string
---@return fun(name: string): boolean? fits, string? problem
function pattern.name(name)
  local lua, wrong = translate(name)
  if not lua then return nil, wrong end
  return function(given) return given:find(lua) ~= nil end
end

---@class contree.build.Rule
---@field parts string[]
---@field keep boolean  begins with "!"

--- A pattern of names, or nil and what is wrong with it.
---@param text string
---@return string[]? parts, string? problem
function pattern.compile(text)
  local names = pattern.split(text)
  if not names then return nil, "leads out of the context" end
  local parts = {}
  for _, name in ipairs(names) do
    if name == "**" then
      if parts[#parts] ~= "**" then parts[#parts + 1] = name end
    else
      local part, wrong = translate((name:gsub("%*%*+", "*")))
      if not part then return nil, wrong end
      parts[#parts + 1] = part
    end
  end
  return parts
end

-- Adds a place in the parts; "**" may stand for no name, but at the end.
local function reach(parts, states, i)
  states[i] = true
  if parts[i] == "**" and i < #parts then states[i + 1] = true end
end

--- Whether a path, or a directory that it is in, fits a compiled pattern.
---@param parts string[]
---@param names string[]
---@return boolean
function pattern.covers(parts, names)
  local states = {}
  reach(parts, states, 1)
  for _, name in ipairs(names) do
    local following = {}
    for i in pairs(states) do
      if parts[i] == "**" then
        reach(parts, following, i)
        if i == #parts then return true end
      elseif name:find(parts[i]) then
        if i == #parts then return true end
        reach(parts, following, i + 1)
      end
    end
    states = following
  end
  return false
end

return pattern
