--- .dockerignore: what of a context is not there for a build. Pure.

local pattern = require("contree.build.pattern")
local problem = require("contree.build.problem")

local ignore = {}

---@class contree.build.Ignore
---@field rules contree.build.Rule[]
---@field exceptions boolean there are rules that begin with "!"
local Ignore = {}
Ignore.__index = Ignore

local function add(self, text, at)
  local keep = text:sub(1, 1) == "!"
  if keep then text = text:sub(2):gsub("^%s+", "") end
  local parts, wrong = pattern.compile(text)
  if not parts then problem.raise(at, ("the pattern %q %s"):format(text, wrong)) end
  if #parts == 0 then return end
  table.insert(self.rules, { parts = parts, keep = keep })
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
  for each in (text .. "\n"):gmatch("(.-)\r?\n") do
    line = line + 1
    local trimmed = each:match("^%s*(.-)%s*$")
    if trimmed ~= "" and each:sub(1, 1) ~= "#" then
      add(self, trimmed, { file = file, line = line })
    end
  end
  return self
end

--- One that ignores what fits one of some patterns (COPY --exclude).
---@param patterns string[]
---@param at contree.build.Place
---@return contree.build.Ignore
function ignore.of(patterns, at)
  local self = setmetatable({ rules = {}, exceptions = false }, Ignore)
  for _, text in ipairs(patterns) do add(self, text, at) end
  return self
end

--- Whether a path is ignored; the last rule that fits it says.
---@param names string[] the names of the path, from the context on
---@return boolean
function Ignore:ignores(names)
  local ignored = false
  for _, rule in ipairs(self.rules) do
    if ignored == rule.keep and pattern.covers(rule.parts, names) then ignored = not rule.keep end
  end
  return ignored
end

--- Whether nothing in an ignored directory can be there after all.
function Ignore:prunes(names)
  return not self.exceptions and self:ignores(names)
end

return ignore
