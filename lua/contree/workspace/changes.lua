--- What the runs of a workspace have done to the folder, as changes with paths below it.

local core = require("contree.core")
local filesystem = require("contree.image.filesystem")
local image = require("contree.image")
local risk = require("contree.workspace.risk")
local sync = require("contree.workspace.sync")

local changes = {}

---@class contree.WorkspaceChange : contree.Change
---@field path string     below the folder, without a slash at its beginning
---@field risky? string   why apply() leaves it alone unless it is told otherwise
---@field target? string  of a link

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

--- The changes since the folder last came in.
---@async
---@param given table of diff.between
---@return contree.Changes, contree.workspace.Record last, boolean truncated
function changes.list(self, given)
  local last = sync.last(self)
  local uuid = image.uuid_of(self.image)
  local found, truncated = sync.inside(self, last, given)
  for i = #found, 1, -1 do
    if not matters(self, found[i]) then table.remove(found, i) end
  end
  for _, change in ipairs(found) do
    if change.type == "link" and change.change ~= "removed" then
      local ok, entry = pcall(filesystem.stat, self.client, uuid, self.at .. "/" .. change.path)
      change.target = ok and entry.target or nil
    end
    change.risky = risk.of(change)
  end
  return found, last, truncated
end

return changes
