--- Paths that changed on both sides, in the folder and in the sandbox.

local core = require("contree.core")
local errors = require("contree.base.errors")
local filesystem = require("contree.image.filesystem")
local hash = require("contree.image.hash")
local image = require("contree.image")
local merge = require("contree.image.merge")
local parents = require("contree.workspace.parents")
local wire = require("contree.wire")

local clash = {}

---@class contree.workspace.Clash
---@field path string      below the folder
---@field host "added"|"changed"|"removed" what you have done
---@field sandbox "added"|"changed"|"removed" what runs have done
---@field conflict? string what is in the way of a merge, as of image:merge; nil where the server
---  does not merge

-- The digest of a file in the image, which has `size` bytes.
local function digest_inside(self, path)
  return wire.request(self.client, { method = "GET", raw = true, sha256 = true,
    path = ("/inspect/%s/download"):format(wire.segment(image.uuid_of(self.image))),
    query = { path = path }, sink = { path = self.records.directory .. "/compared."
      .. core.getpid(), mode = 384 } }).sha256
end

-- Whether both sides have made the same of a path.
local function is_same(self, host, inside)
  if host.change == "removed" or inside.change == "removed" then
    return host.change == inside.change
  end
  if host.type ~= inside.type then return false end
  if host.type == "directory" then return true end
  local full = self.at .. "/" .. host.path
  if host.type == "link" then
    local own = core.lstat(self.path .. "/" .. host.path)
    return own and own.target == filesystem.stat(self.client, image.uuid_of(self.image),
      full).target
  end
  if host.mode ~= inside.mode or host.size ~= inside.size then return false end
  local own = host.sha256 or hash.file(host.path, self.path)
  return own ~= nil and own == digest_inside(self, full)
end

-- The change in the sandbox that makes an ancestor of a path something else than a directory.
local function closed_by(path, inside)
  for parent in parents(path) do
    local each = inside[parent]
    if each and (each.change == "removed" or each.type ~= "directory") then return each end
  end
  return nil
end

-- The index of the changes in the sandbox: by path, and one for each directory that has some
-- which are no removals.
local function by_path(changes)
  local inside, below = {}, {}
  for _, each in ipairs(changes) do
    inside[each.path] = each
    if each.change ~= "removed" then
      for parent in parents(each.path) do below[parent] = below[parent] or each end
    end
  end
  return inside, below
end

-- What the sandbox has made of a path of the folder, or of what is around it.
local function opposite(host, inside, below)
  if inside[host.path] then return inside[host.path] end
  if host.change ~= "removed" and closed_by(host.path, inside) then
    return closed_by(host.path, inside)
  end
  if host.change == "removed" or host.type ~= "directory" then return below[host.path] end
end

--- The clashes, the paths that are the same on both sides, and the directories in which the
--- sandbox has something of its own.
---@async
---@param delta table[] what changed in the folder
---@param changes contree.Changes what changed in the sandbox
---@return contree.workspace.Clash[] clashes, table<string, boolean> same, table<string, any> own
function clash.find(self, delta, changes)
  local inside, below = by_path(changes)
  local clashes, same = {}, {}
  for _, host in ipairs(delta) do
    local other = opposite(host, inside, below)
    if other and other.path == host.path and is_same(self, host, other) then
      same[host.path] = true
    elseif other then
      clashes[#clashes + 1] = { path = host.path, host = host.change, sandbox = other.change }
    end
  end
  os.remove(self.records.directory .. "/compared." .. core.getpid())
  return clashes, same, below
end

local function done(base, version)
  return not version and "removed" or not base and "added" or "changed"
end

--- Have the server merge the folder, as it is in an image now, into the session's image. Returns
--- the uuid of the new image; nil and the clashes; or nil if the server does not merge.
---@async
---@param last contree.workspace.Record
---@param mirror string the uuid of the image with the folder
---@param prefer? "host"|"sandbox"
---@return string? uuid, contree.workspace.Clash[]? clashes
function clash.merge(self, last, mirror, prefer)
  local ok, found = pcall(merge.images, self.client, image.uuid_of(self.image), mirror,
    { base = last.base, prefer = prefer == "host" and "theirs" or prefer and "ours" or nil })
  if ok then return found.uuid end
  if errors.is(found, "not_supported") then return nil end
  if not errors.is(found, "conflict") or not found.conflicts then error(found, 0) end
  local clashes = {}
  for i, each in ipairs(found.conflicts) do
    clashes[i] = { path = each.path:sub(#self.at + 2), conflict = each.conflict,
      host = done(each.base, each.theirs), sandbox = done(each.base, each.ours) }
  end
  return nil, clashes
end

return clash
