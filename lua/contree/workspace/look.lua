--- Looks what has changed in a folder since its index was made: a survey of the core, in slices.

local core = require("contree.core")
local errors = require("contree.base.errors")
local loop = require("contree.loop")
local names = require("contree.workspace.names")

local look = {}

local NESTED = 8 -- repositories in repositories

local function gone(path, problem)
  errors.raise("file", ("workspace: cannot read %s: %s"):format(path, problem))
end

local function run(self, found, list)
  local survey, problem = core.survey{ path = self.path, names = list, index = self.index,
    ignores = found.ignores, max_file = self.max_file }
  if not survey then gone(self.path, problem) end
  local over = false
  while not over do
    over, problem = survey:step(loop.SLICE)
    if over == nil then gone(self.path, problem) end
    if not over then loop.breathe() end
  end
  loop.pace()
  return survey
end

-- While git finds the names, those that it found the last time are looked at: mostly they are
-- the same.
local function begin(given)
  local finish = names.begin(given.path, given.ignore, given.scratch)
  local ok, survey = true, nil
  if given.known then ok, survey = pcall(run, given, {}, given.known) end
  local found = finish()
  if not ok then error(survey, 0) end
  if survey and found.list ~= given.known then
    survey:close()
    survey = nil
  end
  return survey or run(given, found, found.list), found
end

--- A survey that is over. The names that git has listed are `found.list`, unless those of inner
--- repositories are among them.
---@async
---@param given table { path, index, ignore, max_file, scratch, known: the names of the last time }
---@return userdata survey, contree.workspace.Names found
function look.at(given)
  local stat = core.stat(given.path)
  if not stat or stat.type ~= "directory" then gone(given.path, "it is no directory any more") end
  local survey, found = begin(given)
  local asked = {}
  for _ = 1, NESTED do
    local inner = {}
    for _, each in ipairs(survey:directories()) do
      if not asked[each] then inner[#inner + 1], asked[each] = each, true end
    end
    if #inner == 0 then break end
    local more = names.inner(given.path, inner, given.scratch)
    if more == "" then break end
    found.all = (found.all or found.list) .. more
    survey:close()
    survey = run(given, found, found.all)
  end
  return survey, found
end

return look
