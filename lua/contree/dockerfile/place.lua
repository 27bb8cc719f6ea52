--- Places the sources of COPY and ADD in the target tree. An entry of each type replaces or
--- merges with a target of each type as in BuildKit. A copy follows links in its destination,
--- but none below it. An archive follows links within the directory that it is unpacked in.

local paths = require("contree.dockerfile.paths")
local target = require("contree.dockerfile.target")

local place = {}

local DIRECTORY_MODE = 493 -- 0755

---@class contree.build.Entry a file, directory or the like that is copied
---@field rel string       below its source; "" for the source itself
---@field type "file"|"directory"|"link"|"hardlink"|"fifo"|"device"
---@field mode integer
---@field uid? integer     root when it is left out
---@field gid? integer
---@field mtime? integer
---@field target? string   of a link; of a hard link, the rel of the other name
---@field content? table   of a file

---@class contree.build.Copying
---@field dest string      absolute; links in it are not resolved yet
---@field directory boolean dest is a directory by its form
---@field chmod? integer
---@field uid? integer     of --chown
---@field gid? integer

local function attributes(how, entry)
  return {
    type = entry.type, mode = entry.type ~= "link" and how.chmod or entry.mode,
    uid = how.uid or entry.uid or 0, gid = how.gid or entry.gid or 0, mtime = entry.mtime,
    target = entry.target, content = entry.content, xattrs = entry.xattrs,
  }
end

local function made(how)
  return { mode = how.chmod or DIRECTORY_MODE, uid = how.uid, gid = how.gid }
end

local function parent_of(names)
  local list = {}
  for i = 1, #names - 1 do list[i] = names[i] end
  return list
end

local function join(names, rel)
  local list = {}
  for i, name in ipairs(names) do list[i] = name end
  for name in rel:gmatch("[^/]+") do list[#list + 1] = name end
  return list
end

-- The names for a source. A directory is copied onto the destination; a file goes into it if
-- it is a directory.
local function names_for(self, how, source)
  local found = self:resolve(how.dest)
  if source.type ~= "directory" and target.is_directory(found.node) then
    return join(found.names, source.name)
  end
  return found.names
end

-- Copy a directory. The top directory of the source keeps the attributes of the destination.
local function copy_directory(self, how, names, entry)
  local node = self:node(names)
  if not node then
    self:put(names, attributes(how, entry))
  elseif not target.is_directory(node) then
    self.fail("cannot copy a directory over " .. target.path(names) .. ", which is not one")
  elseif entry.rel ~= "" then
    self:change(node, attributes(how, entry))
  end
end

-- The inode of an entry. A hard link has the inode of its other name.
local function inode_of(how, entry, seen)
  local inode = entry.type == "hardlink" and seen[entry.target] or attributes(how, entry)
  seen[entry.rel] = inode
  return inode
end

local function copy_entry(self, how, names, entry, seen)
  if entry.type == "directory" then return copy_directory(self, how, names, entry) end
  if target.is_directory(self:node(names)) then
    self.fail("cannot replace the directory " .. target.path(names) .. " with a file")
  end
  self:put(names, inode_of(how, entry, seen))
end

--- Copy a source.
---@param self contree.build.Target
---@param how contree.build.Copying
---@param source { name: string, type: string, entries: contree.build.Entry[] }
function place.copy(self, how, source)
  local parent = how.directory and how.dest or paths.parent(how.dest)
  self:make_directories(self:resolve(parent).names, made(how))
  local names = names_for(self, how, source)
  self:make_directories(source.type == "directory" and names or parent_of(names), made(how))
  local seen = {}
  for _, entry in ipairs(source.entries) do
    copy_entry(self, how, join(names, entry.rel), entry, seen)
  end
end

-- Archives ------------------------------------------------------------------------

-- Entries that a sandbox cannot make are skipped; an existing target stays.
local PASSED_OVER = { device = true, fifo = true }

local function unpack_entry(self, how, names, entry, base)
  local node = self:node(names)
  local new = attributes({ uid = how.uid, gid = how.gid }, entry)
  if entry.type == "directory" and target.is_directory(node) then
    self:change(node, new)
  elseif entry.type == "hardlink" then
    local other = self:resolve(entry.target, { base = base, strict = true, keep = true })
    if not other.node then self.fail("the hard link leads to nothing: " .. entry.target) end
    if other.node.inode.type == "directory" then
      self.fail("the hard link leads to a directory: " .. entry.target)
    end
    local found = self:put(names, other.node.inode)
    if found.inode.type ~= "link" then self:change(found, new) end
  else
    self:put(names, new)
  end
end

--- Unpack an archive into a directory.
---@param self contree.build.Target
---@param how contree.build.Copying
---@param entries fun(): contree.build.Entry? returns the next entry; rel is its path in the
---  archive
function place.unpack(self, how, entries)
  local base = self:resolve(how.dest).names
  self:make_directories(base, { mode = DIRECTORY_MODE, uid = how.uid, gid = how.gid })
  for entry in entries do
    if entry.rel ~= "" and not PASSED_OVER[entry.type] then
      local found = self:resolve(entry.rel, { base = base, strict = true, keep = true })
      if #found.names > #base then
        self:make_directories(parent_of(found.names), { mode = DIRECTORY_MODE })
        unpack_entry(self, how, found.names, entry, base)
      end
    end
  end
end

return place
