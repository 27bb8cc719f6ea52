--- The lineage of an image: the runs that made it, and which of them last changed a file.

local diff = require("contree.image.diff")
local errors = require("contree.base.errors")
local filesystem = require("contree.image.filesystem")
local image = require("contree.image")
local operation = require("contree.run.operation")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local tasks = require("contree.loop.task")
local text = require("contree.base.text")
local wire = require("contree.wire")

local unpack = table.unpack or unpack

local lineage = {}

-- Images that are fetched before they are compared, and comparisons at a time.
local WINDOW, READERS = 8, 4

---@class contree.LineageEntry
---@field image contree.Image the image itself
---@field uuid string its uuid
---@field kind "run"|"import"|"start" start: the server does not say what made it
---@field title string           the command, or what was imported
---@field exit_code? integer of the run; nil of others
---@field operation? contree.Operation what made it; nil: it is not known any more
---@field created_at? string ISO 8601; nil: it is not known

local print_entry = printed.record(function(self)
  local code = self.exit_code and self.exit_code ~= 0 and ("  exit %d"):format(self.exit_code)
  return ("%s  %s  %s%s"):format(tostring(self.uuid), self.kind, text.line(self.title), code or "")
end)

local print_list = printed.list()

local function fetch(self, path)
  local ok, result = pcall(wire.fetch, self, { method = "GET", path = path })
  if ok then return result end
  if not errors.is(result, "not_found") then error(result, 0) end
  return nil, result
end

local function title_of(found)
  local metadata = type(found.metadata) == "table" and found.metadata or {}
  if found.kind ~= "instance" then
    return type(metadata.registry) == "table" and metadata.registry.url or "import"
  end
  return table.concat({ metadata.command or "", unpack(metadata.args or {}) }, " ")
end

local function exit_code_of(found)
  local result = type(found.metadata) == "table" and found.metadata.result
  return type(result) == "table" and result.state and result.state.exit_code or nil
end

-- The entry of an image with the run that made it, and the uuid of the image it ran from.
local function entry_of(self, details)
  local entry = print_entry{ uuid = details.uuid, kind = "start", title = details.tag or "start",
    created_at = details.created_at,
    image = image.new(self, { uuid = details.uuid, tag = details.tag,
      created_at = details.created_at }) }
  local id = details.operation_uuid
  local found = id and fetch(self, "/operations/" .. wire.segment(id))
  if not found then return entry end
  entry.operation = operation.new(self, id)
  entry.kind = found.kind == "instance" and "run" or "import"
  entry.title, entry.exit_code = title_of(found), exit_code_of(found)
  return entry, found.image_uuid
end

--- Iterate over an image and its ancestors, the newest first, as far as the server knows them.
---@async
---@param self contree.Client
---@param uuid string
---@return fun(): contree.LineageEntry?
function lineage.walk(self, uuid)
  local seen = {}
  return function()
    if not uuid or seen[uuid] then return nil end
    local details, problem = fetch(self, ("/inspect/%s/"):format(wire.segment(uuid)))
    if not details and not next(seen) then error(problem, 0) end
    if not details then return nil end
    seen[uuid] = true
    local entry
    entry, uuid = entry_of(self, details)
    return entry
  end
end

--- See image:lineage.
---@async
---@return contree.LineageEntry[]
function lineage.list(self, uuid, limit)
  if limit ~= nil then options.argument("lineage", "the limit", options.integer(1), limit) end
  local list = {}
  for entry in lineage.walk(self, uuid) do
    list[#list + 1] = entry
    if #list == limit then break end
  end
  return print_list(list)
end

-- Blame ----------------------------------------------------------------------

local KEPT = { "type", "mode", "uid", "gid", "target" }

-- Whether two directory entries are equal without a look at contents. The size and time of a
-- directory do not count.
local function same(a, b)
  if not a or not b then return a == b end
  for _, name in ipairs(KEPT) do
    if a[name] ~= b[name] then return false end
  end
  return a.type == "directory" or a.size == b.size and a.mtime == b.mtime
end

local function stat(self, uuid, path)
  local ok, found = pcall(filesystem.stat, self, uuid, path)
  if ok then return found end
  if not errors.is(found, "not_found") then error(found, 0) end
end

-- Compare one path, on a server that does not compare images.
local function compare_by_stat(self, newer, older, path)
  local now, was = stat(self, newer, path), stat(self, older, path)
  if same(now, was) then return nil end
  local change = now and was and "changed" or now and "added" or "removed"
  local node = now or was
  return { path = path, change = change, type = node.type, size = node.size, mode = node.mode,
    was = now and was }
end

-- The change of a path between two images, or nil; false when the older image is gone.
local function compare(self, newer, older, path)
  if newer == older then return nil end
  local ok, changes = pcall(diff.between, self, newer, older, { path = path })
  if ok then return changes[1] end
  if errors.is(changes, "not_supported") then return compare_by_stat(self, newer, older, path) end
  if errors.is(changes, "not_found") then return false end
  error(changes, 0)
end

local function window(next_entry, first)
  local list = { first }
  while #list <= WINDOW do
    local entry = next_entry()
    if not entry then break end
    list[#list + 1] = entry
  end
  return list
end

-- Compare each image of a list with the one behind it, which is older.
local function compare_all(self, list, path)
  local work = {}
  for i = 1, #list - 1 do
    work[i] = function() return (compare(self, list[i].uuid, list[i + 1].uuid, path)) end
  end
  return tasks.gather(work, READERS)
end

--- The newest entry that changed a path, and the change. Every step is compared: when a file
--- was changed and changed back, the second change is the newest.
---@async
---@param self contree.Client
---@param next_entry fun(): table?  the newest first
---@param path string
---@return contree.LineageEntry entry
---@return contree.Change? change nil: the path came with the oldest image
function lineage.blame(self, next_entry, path)
  options.argument("blame", "the path", options.image_path, path)
  path = options.normal(path)
  local at = next_entry()
  while true do
    local list = window(next_entry, at)
    local found = compare_all(self, list, path)
    for i = 1, #list - 1 do
      if found[i] then return list[i], found[i] end
      if found[i] == false then list[i + 1] = nil break end
    end
    local last = list[#list]
    if #list <= WINDOW then
      if filesystem.exists(self, last.uuid, path) then return last end
      errors.raise("not_found", ("there is no %s, and none of the runs removed one"):format(path))
    end
    at = last
  end
end

--- Iterate over a session's history, the newest first, then over the lineage of its first
--- image.
---@param self contree.Client
---@param history contree.HistoryEntry[]
function lineage.behind(self, history)
  local at, walk = #history, nil
  return function()
    if at > 1 then
      at = at - 1
      return history[at + 1]
    end
    walk = walk or lineage.walk(self, image.uuid_of(history[1].image))
    return walk()
  end
end

return lineage
