--- Rules that leave files of a directory out, as those of .dockerignore do. Pure.

local errors = require("contree.base.errors")
local pattern = require("contree.base.pattern")

local ignore = {}

---@class contree.build.Ignore
---@field rules contree.build.Rule[]
---@field exceptions boolean there are rules that begin with "!"
local Ignore = {}
Ignore.__index = Ignore

local function trim(text) return text:find("%S") and text:match("^%s*(.*%S)") or "" end

-- Refuse a rule at a place of a file.
local function refuse(at, message, hint)
  errors.raise("invalid_argument", ("%s:%d: %s"):format(at.file, at.line, message),
    { hint = hint, dockerfile = at.file, line = at.line })
end

local function add(self, text, at)
  local keep = text:sub(1, 1) == "!"
  if keep then text = trim(text:sub(2)) end
  if keep and text == "" then refuse(at, "a ! needs a pattern behind it", "!NAME") end
  local found, wrong = pattern.compile(text)
  if found == nil then refuse(at, ("the pattern %q %s"):format(text, wrong)) end
  if not found then return end
  table.insert(self.rules, { automaton = found, keep = keep })
  self.exceptions = self.exceptions or keep
end

--- Reads the text of a .dockerignore.
---@param text string
---@param file string how messages name it
---@return contree.build.Ignore
function ignore.parse(text, file)
  local self = setmetatable({ rules = {}, exceptions = false }, Ignore)
  local line = 0
  text = text:gsub("^\239\187\191", "")
  for each in (text .. "\n"):gmatch("([^\n]*)\n") do
    line = line + 1
    local trimmed = trim(each)
    if trimmed ~= "" and each:sub(1, 1) ~= "#" then
      add(self, trimmed, { file = file, line = line })
    end
  end
  return self
end

--- Rules that ignore paths which match one of some patterns (COPY --exclude).
---@param patterns string[]
---@param at contree.build.Place
---@return contree.build.Ignore
function ignore.of(patterns, at)
  local self = setmetatable({ rules = {}, exceptions = false }, Ignore)
  for _, text in ipairs(patterns) do
    if text:find("%S") then add(self, trim(text), at) end
  end
  return self
end

--- Whether a path is ignored: the last rule that matches it decides.
---@param names string[] the names of the path, from the context on
---@return boolean
function Ignore:ignores(names)
  local ignored, path = false, table.concat(names, "/")
  for _, rule in ipairs(self.rules) do
    if ignored == rule.keep and rule.automaton:covers(path) then ignored = not rule.keep end
  end
  return ignored
end

--- The same as a function for core.pack(): 0 takes a path, 1 leaves it out, 2 also all that is
--- below it.
---@return fun(path: string): integer
function Ignore:verdict()
  return function(path)
    local names = pattern.split(path)
    return not self:ignores(names) and 0 or self.exceptions and 1 or 2
  end
end

--- Whether everything below an ignored directory is ignored, too.
function Ignore:prunes(names)
  return not self.exceptions and self:ignores(names)
end

return ignore
