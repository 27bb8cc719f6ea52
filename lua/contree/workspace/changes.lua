--- What the runs of a workspace have done to the folder, as changes with paths below it.

local core = require("contree.core")
local diff = require("contree.image.diff")
local filesystem = require("contree.image.filesystem")
local image = require("contree.image")
local names = require("contree.workspace.names")
local risk = require("contree.workspace.risk")
local sync = require("contree.workspace.sync")

local changes = {}

---@class contree.WorkspaceChange : contree.Change
---@field path string       below the folder, without a slash at its beginning
---@field risky? string     why apply() leaves it alone unless it is told otherwise
---@field ignored? boolean  git, or what decides in its place, would not let it come in
---@field target? string    of a link

-- A directory whose owner or time alone differs has not changed for the host. Whether there is
-- one is told by the folder itself: git does not know.
local function matters(self, change)
  if change.type ~= "directory" then return true end
  if change.change == "changed" then
    return change.was and (change.was.type ~= "directory" or change.was.mode ~= change.mode)
  end
  local found = core.lstat(self.path .. "/" .. change.path)
  local there = found ~= nil and found.type == "directory"
  return there == (change.change == "removed")
end

local function keep(list, wanted)
  for i = #list, 1, -1 do
    if not wanted(list[i]) then table.remove(list, i) end
  end
end

-- What a build has made is ignored, too; not what programs would run by its name.
local function mark_ignored(self, list)
  local asked = {}
  for _, change in ipairs(list) do
    if change.change == "added" and not risk.is_named(change.path) then
      asked[#asked + 1] = change.path .. (change.type == "directory" and "/" or "")
    end
  end
  if #asked == 0 then return end
  local ignored = names.ignored(self.path, self.ignore, asked, self.records.directory)
  for _, change in ipairs(list) do change.ignored = ignored[change.path] end
end

local function mark_risky(self, list)
  local uuid = image.uuid_of(self.image)
  for _, change in ipairs(list) do
    if change.type == "link" and change.change ~= "removed" then
      local ok, entry = pcall(filesystem.stat, self.client, uuid, self.at .. "/" .. change.path)
      change.target = ok and entry.target or nil
    end
    change.risky = risk.of(change)
  end
end

-- Hunks are found by the paths in the images.
local function add_text(self, list, last, given)
  for _, change in ipairs(list) do change.path = self.at .. "/" .. change.path end
  diff.add_text(self.client, last.base, image.uuid_of(self.image), list, given)
  for _, change in ipairs(list) do change.path = change.path:sub(#self.at + 2) end
end

--- The changes since the folder last came in.
---@async
---@param given contree.ChangesOptions
---@return contree.Changes, contree.workspace.Record last, boolean truncated
function changes.list(self, given)
  local list, last, truncated = sync.inside(self, given.limit)
  keep(list, function(change) return matters(self, change) end)
  mark_ignored(self, list)
  if not given.ignored then keep(list, function(change) return not change.ignored end) end
  mark_risky(self, list)
  if given.text then add_text(self, list, last, given) end
  return list, last, truncated
end

return changes
