--- What a folder was when it last came in: a record for the image of a session, with the image
--- that mirrors the folder and the index of its files. A record outlives the program: beside
--- sessions in a store as state, else as a cache that may be lost.

local core = require("contree.core")
local directories = require("contree.base.directories")
local errors = require("contree.base.errors")
local hash = require("contree.image.hash")

local record = {}

local VERSION = 1
local RECORD_MAX = 2 ^ 31 - 1
local KEPT = 4                  -- records in memory
local DAY = 24 * 3600
local OLDEST = 30 * DAY         -- seconds that one of the cache is kept

---@class contree.workspace.Record
---@field base string   the uuid of the image that mirrors the folder
---@field index string  its files (src/core/survey.h)

---@class contree.workspace.Records
---@field directory string
local Records = {}
Records.__index = Records

local function open(path)
  directories.make(path)
  local folder, problem = core.folder(path)
  if folder then return folder end
  errors.raise("file", "workspace: cannot keep the index: " .. problem,
    { hint = "CONTREE_CACHE_DIR and CONTREE_STATE_DIR name other directories" })
end

-- After how many seconds a file may be removed: a record of the cache, or what a killed program
-- has left.
local function age_of(self, name)
  if name:find("^%x+$") then return not self.durable and OLDEST or nil end
  return name:find("^%a+%.%d+") and DAY or nil
end

local function tidy(self)
  local now = os.time()
  local last = tonumber((core.read_file(self.directory .. "/tidied", 64)))
  if last and now - last < DAY then return end
  self.folder:write("tidied", tostring(now))
  for _, name in ipairs(core.list(self.directory) or {}) do
    local age, found = age_of(self, name), self.folder:look(name)
    local touched = found and tonumber(found.stamp:match("^%d+"))
    if age and touched and now - touched > age then self.folder:remove(name) end
  end
end

--- The records of a folder's images.
---@param what string[] what tells them from others: server, folder, place, rules
---@param durable boolean whether they belong to sessions in a store
---@return contree.workspace.Records
function record.open(what, durable)
  local root = durable and directories.state() or directories.cache()
  if not root then
    errors.raise("file", "workspace: there is no directory for the index",
      { hint = "set HOME, or CONTREE_CACHE_DIR and CONTREE_STATE_DIR" })
  end
  local self = setmetatable({ directory = root .. "/workspace", durable = durable, recent = {},
    key = table.concat(what, "\0") }, Records)
  self.folder = open(self.directory)
  tidy(self)
  return self
end

local function name_of(self, kind, uuid)
  return core.sha256(table.concat({ self.key, kind, uuid }, "\0"))
end

-- A file is whole or not at all; the digest tells one that a power cut has damaged. An index
-- may be large, so that is computed in slices.
local function read(self, name)
  local text = core.read_file(self.directory .. "/" .. name, RECORD_MAX)
  local version, digest, rest = (text or ""):match("^contree (%d+) (%x+)\n(.*)$")
  if not rest or hash.text(rest) ~= digest then return nil end
  if tonumber(version) <= VERSION then return rest end
  -- One of the cache may be lost; it is written again in this version.
  if not self.durable then return nil end
  errors.raise("file", ("workspace: the index %s/%s was made by a newer contree (version %s, "
    .. "this one knows %d)"):format(self.directory, name, version, VERSION),
    { hint = "use that one for this folder, or begin a new session" })
end

local function write(self, name, text)
  local ok, problem = self.folder:write(name,
    ("contree %d %s\n%s"):format(VERSION, hash.text(text), text), self.durable)
  if not ok then errors.raise("file", "workspace: cannot keep the index: " .. problem) end
end

local function remember(self, uuid, found)
  local recent = self.recent
  for i = #recent, 1, -1 do
    if recent[i].uuid == uuid then table.remove(recent, i) end
  end
  table.insert(recent, 1, { uuid = uuid, record = found })
  recent[KEPT + 1] = nil
end

--- The record of an image, or nil.
---@async
---@param uuid string
---@return contree.workspace.Record?
function Records:of(uuid)
  for _, each in ipairs(self.recent) do
    if each.uuid == uuid then return each.record end
  end
  local text = read(self, name_of(self, "record", uuid))
  local base, index = (text or ""):match("^(%S+)\n(.*)$")
  if not base then return nil end
  local found = { base = base, index = index }
  remember(self, uuid, found)
  return found
end

--- Keep the record of an image.
---@async
---@param uuid string
---@param found contree.workspace.Record
function Records:keep(uuid, found)
  write(self, name_of(self, "record", uuid), found.base .. "\n" .. found.index)
  remember(self, uuid, found)
end

--- The image that had the folder on another image, or nil.
---@async
---@param below string the uuid of the other image
---@return string?
function Records:mirror(below) return read(self, name_of(self, "mirror", below)) end

--- Keep that.
---@async
function Records:keep_mirror(below, uuid) write(self, name_of(self, "mirror", below), uuid) end

return record
