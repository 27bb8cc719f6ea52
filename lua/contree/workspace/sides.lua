--- What was done on the other side, in the sandbox, and what becomes of it where both sides have
--- changed a path. `self` is the contree.Workspace.

local archive = require("contree.workspace.archive")
local clash = require("contree.workspace.clash")
local compare = require("contree.workspace.compare")
local diff = require("contree.image.diff")
local errors = require("contree.base.errors")
local image = require("contree.image")
local text = require("contree.base.text")

local sides = {}

local NAMED = 5 -- paths in a message

--- Whether an error came of it that the server has lost the mirror.
---@async
function sides.is_lost(self, last, err)
  return errors.is(err, "not_found") and not image.exists(self.client, last.base)
end

-- The changes below the folder's place, with paths of the image.
local function between(self, last, limit)
  if not self.client.compares_here then
    local ok, changes, truncated = pcall(diff.between, self.client, image.uuid_of(self.image),
      last.base, { path = self.at, limit = limit })
    if ok then return changes, truncated end
    if sides.is_lost(self, last, changes) then
      self.lost = last.base
      return compare.inside(self, last)
    end
    if not errors.is(changes, "not_supported") then error(changes, 0) end
    self.client.compares_here = true
  end
  -- Comparing here does not need the mirror: whether it is there is told by nothing else.
  if not image.exists(self.client, last.base) then self.lost = last.base end
  return compare.inside(self, last)
end

--- What the runs have changed below the folder's place since it last came in. `self.lost` is the
--- mirror if the server has lost it: then there are no texts to compare.
---@async
---@param limit? integer
---@return contree.Changes changes, boolean truncated
function sides.inside(self, last, limit)
  if image.uuid_of(self.image) == last.base then return diff.list(self.client, {}), false end
  local changes, truncated = between(self, last, limit)
  local strip = #self.at + 2
  for i = #changes, 1, -1 do
    changes[i].path = changes[i].path:sub(strip)
    if changes[i].path == "" then table.remove(changes, i) end
  end
  return changes, truncated
end

--- The paths that changed on both sides, and not to the same; see clash.find.
---@async
---@param changes? contree.Changes of sides.inside, if they are there already
function sides.clashes(self, last, survey, changes)
  if image.uuid_of(self.image) == last.base then return {}, {}, {} end
  return clash.find(self, survey:delta(), changes or sides.inside(self, last))
end

local function names_of(clashes)
  local list = {}
  for i, each in ipairs(clashes) do list[i] = each.path end
  table.sort(list)
  return text.some(list, NAMED)
end

--- Raise that both sides have changed some paths.
---@param clashes contree.workspace.Clash[]
function sides.refuse(clashes)
  errors.raise("conflict", ("workspace: changed both in the folder and in the sandbox: %s")
    :format(names_of(clashes)), { paths = clashes, remedy = { "prefer" } })
end

--- Where both sides have changed, the server merges the folder as it is now into the session's
--- image. What has come of it is kept: as long as neither has changed, it is the same again.
--- Nil: the server does not merge.
---@async
---@param prefer? "host"|"sandbox"
---@return { mirror: string, index: string, uuid: string?, clashes: contree.workspace.Clash[]? }?
function sides.merge(self, last, survey, prefer)
  if self.client.merges_not then return nil end
  local pieces = archive.whole(archive.of(self, survey, {}))
  local index = pieces and archive.index(survey)
  local tip, before = image.uuid_of(self.image), self.merged or {}
  local mirror = index and before.index == index and before.base == last.base and before.mirror
  if mirror and before.tip == tip and before.prefer == prefer then return before end
  local found = { base = last.base, tip = tip, prefer = prefer }
  found.mirror = mirror or archive.put(self, last.base, survey, {}, pieces)
  found.index = index or archive.index(survey)
  found.uuid, found.clashes = clash.merge(self, last, found.mirror, prefer)
  if not found.uuid and not found.clashes then
    self.client.merges_not = true
    return nil
  end
  self.merged = pieces and found or nil
  return found
end

return sides
