--- Looks what has changed in a folder since its index was made: a survey of the core, in slices.

local core = require("contree.core")
local errors = require("contree.base.errors")
local loop = require("contree.loop")
local names = require("contree.workspace.names")
local progress = require("contree.base.progress")
local tasks = require("contree.loop.task")

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
    if self.progress then progress.tell(self.progress, "looking", "files", survey:looked()) end
    if not over then loop.breathe() end
  end
  loop.pace()
  return survey
end

-- While git finds the names, those that it found the last time are looked at: mostly they are
-- the same. `early` may already do something with what was found then.
local function begin(given)
  local finish = names.begin(given.path, given.ignore, given.scratch)
  local ok, survey, early = true, nil, nil
  if given.known then
    ok, survey = pcall(run, given, {}, given.known)
    early = ok and given.early and given.early(survey) or nil
  end
  local found, done
  if early then
    local both = tasks.gather({ function() return { pcall(finish) } end, early }, 2)
    found, done = both[1], both[2]
    if not found[1] then error(found[2], 0) end
    found = found[2]
  else
    found = finish()
  end
  if not ok then error(survey, 0) end
  if survey and found.list ~= given.known then
    survey:close()
    survey, done = nil, nil
  end
  return survey or run(given, found, found.list), found, done
end

--- A survey that is over. The names that git has listed are `found.list`, unless those of inner
--- repositories are among them.
---@async
---@param given table { path, index, ignore, max_file, scratch, progress,
---  known: the names of the last time, early: called with a survey of those; what it returns is
---  called while git is at work }
---@return userdata survey, contree.workspace.Names found, any done what `early`'s function has
---  returned, if the survey is that one
function look.at(given)
  local stat = core.stat(given.path)
  if not stat or stat.type ~= "directory" then gone(given.path, "it is no directory any more") end
  local survey, found, done = begin(given)
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
    survey, done = run(given, found, found.all), nil
  end
  return survey, found, done
end

return look
