--- The changes where the server does not compare images: the sandbox's folder is copied out, and
--- compared with the index of what came in.

local core = require("contree.core")
local diff = require("contree.image.diff")
local errors = require("contree.base.errors")
local filesystem = require("contree.image.filesystem")
local image = require("contree.image")
local loop = require("contree.loop")
local parents = require("contree.workspace.parents")
local trees = require("contree.image.trees")

local compare = {}

local count = 0

local function survey_of(path, index)
  local survey, problem = core.survey{ path = path, index = index }
  local over = false
  while survey and not over do
    over, problem = survey:step(loop.SLICE)
    if over == nil then break end
    if not over then loop.breathe() end
  end
  if not over then errors.raise("file", "workspace: cannot read " .. problem) end
  return survey
end

-- The directories of an index, which has files only where git listed them.
local function directories_of(known)
  local found = {}
  for path in pairs(known) do
    for parent in parents(path) do found[parent] = true end
  end
  return found
end

-- What was a directory that the index does not list, or is one still, is not new.
local function correct(each, directories)
  if each.change ~= "added" or not directories[each.path] then return each end
  if each.type == "directory" then return nil end
  each.change = "changed"
  return each
end

local DIRECTORY = { type = "directory", size = 0, mode = 493 }

local function change_of(self, each, known)
  local was = known[each.path] or DIRECTORY
  local node = each.change == "removed" and was or each
  return { path = self.at .. "/" .. each.path, change = each.change, type = node.type,
    size = node.size, mode = node.mode, was = each.change == "changed" and was or nil }
end

local function changes_of(self, path, last)
  local survey = survey_of(path, last.index)
  local list, known = {}, core.index_read(last.index)
  local directories = directories_of(known)
  for _, each in ipairs(survey:delta()) do
    local change = correct(each, directories)
    if change then list[#list + 1] = change_of(self, change, known) end
  end
  survey:close()
  table.sort(list, function(a, b) return a.path < b.path end)
  return diff.list(self.client, list)
end

--- The changes below the folder's place, as of diff.between.
---@async
---@return contree.Changes changes, boolean truncated
function compare.inside(self, last)
  count = count + 1
  local path = ("%s/copy.%d.%d"):format(self.records.directory, core.getpid(), count)
  trees.remove(path)
  local ok, result = pcall(function()
    filesystem.download(self.client, image.uuid_of(self.image), self.at, path)
    return changes_of(self, path, last)
  end)
  trees.remove(path)
  if not ok then error(result, 0) end
  return result, false
end

return compare
