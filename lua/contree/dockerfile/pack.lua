--- The files that the instructions of a layer put into an image. Where each goes is decided
--- here, from the image's directories (dockerfile/place.lua). The outcome is the files= of a
--- run, or an archive and a script where files= cannot do it (dockerfile/shipment.lua).

local archive = require("contree.dockerfile.archive")
local copy = require("contree.dockerfile.copy")
local disk = require("contree.dockerfile.disk")
local errors = require("contree.base.errors")
local fetch = require("contree.dockerfile.fetch")
local filesystem = require("contree.image.filesystem")
local hash = require("contree.image.hash")
local paths = require("contree.dockerfile.paths")
local place = require("contree.dockerfile.place")
local problem = require("contree.dockerfile.problem")
local shipment = require("contree.dockerfile.shipment")
local stdio = require("contree.base.stdio")
local target = require("contree.dockerfile.target")
local untar = require("contree.dockerfile.untar")
local users = require("contree.dockerfile.users")
local wire = require("contree.wire")

local pack = {}

---@class contree.build.Pack
---@field build contree.build.Build
---@field image string     the uuid of the image that it goes into
---@field tree contree.build.Target
---@field owners table[]   owners of --chown and USER; the sandbox must have these ids
---@field step contree.build.Instruction the current instruction
local Pack = {}
Pack.__index = Pack

-- A function that lists a directory of an image, for the target tree.
local function lister(build, image)
  return function(path)
    local ok, found = pcall(filesystem.ls, build.client, image, path)
    if ok then return found end
    if errors.is(found, "not_found") or errors.is(found, "unprocessable") then return {} end
    error(found, 0)
  end
end

local function tree_of(self, image)
  return target.new(lister(self.build, image),
    function(message) problem.raise(self.step, message) end)
end

--- An empty pack for an image.
---@return contree.build.Pack
function pack.new(build, image)
  local self = setmetatable({ build = build, image = image, owners = {} }, Pack)
  self.tree = tree_of(self, image)
  return self
end

--- The content of the file that a copy puts at a path.
---@param path string
---@return string? content
function Pack:content(path)
  local found = self.tree:resolve(path).node
  local content = found and found.inode.content
  if not content or content.offset then return nil end
  return content.data or content.path and disk.read(content.path, content.root)
end

-- Owners --------------------------------------------------------------------------

local function add_owner(self, owner)
  if owner.uid and (owner.uid ~= 0 or owner.gid ~= 0) then
    self.owners[#self.owners + 1] = owner
  end
  return owner
end

local function owner_of(self, text, lenient)
  if not text then return {} end
  return add_owner(self, users.owner(self.build.client, self.image, text, self.step,
    function(path) return self:content(path) end, lenient))
end

-- Sources -------------------------------------------------------------------------

local function fetch_checked(self, content)
  if not content or not content.url or content.path then return end
  local path = self.build:temporary()
  local found = fetch.get(self.step, content.url, path)
  if found ~= content.sha256 then
    problem.raise(self.step,
      ("%s does not have the checksum sha256:%s"):format(content.url, content.sha256),
      "it is sha256:" .. found)
  end
  content.path = path
end

local function add_tree(self, how, source)
  for _, entry in ipairs(source.entries) do fetch_checked(self, entry.content) end
  place.copy(self.tree, how, source)
end

local function content_of(path, entry)
  return entry.type == "file" and { path = path, offset = entry.offset, size = entry.size,
    map = entry.map } or nil
end

local function entry_of(path, found, rel)
  return { rel = rel, type = found.type, mode = found.mode, uid = found.uid, gid = found.gid,
    mtime = found.mtime, target = found.target, xattrs = found.xattrs,
    content = content_of(path, found) }
end

local function open(path)
  local file, wrong = stdio.open_file(path, "rb")
  if not file then errors.raise("file", "cannot read " .. wrong) end
  return file
end

-- Unpack a local archive into the destination.
local function add_archive(self, how, source)
  local content = source.entries[1].content
  if hash.file(content.path, content.root) ~= content.sha256 then
    problem.raise(self.step, content.path .. " has changed during the build")
  end
  local path = archive.plain(self.build, self.step, source)
  local file = open(path)
  local reader = untar.reader(file)
  problem.within(self.step, function()
    place.unpack(self.tree, how, function()
      local found = reader:next()
      return found and entry_of(path, found, found.name)
    end)
  end)
  file:close()
end

-- From another image -----------------------------------------------------------------

local function download(self, source, path)
  local file_path = self.build:temporary()
  -- Not filesystem.archive(): its file is readable for other users of this machine.
  wire.request(self.build.client, { method = "GET", query = { path = path },
    path = ("/inspect/%s/archive"):format(wire.segment(source.image)),
    sink = { path = file_path, mode = 384 } })
  return file_path
end

-- The name of a member relative to a path of the image; nil if it is not below that.
local function below(name, path)
  local prefix = path:sub(2)
  for _, each in ipairs{ prefix, paths.base(path) } do
    if each == "" or name == each then return each == "" and name or "" end
    if name:sub(1, #each + 1) == each .. "/" then return name:sub(#each + 2) end
  end
end

-- A hard link to a file that was left out becomes the file itself.
local function stand_in(left_out, entry)
  local first = entry.type == "hardlink" and left_out[entry.target]
  if not first then return entry end
  if first.stand_in then
    entry.target = first.stand_in
    return entry
  end
  first.stand_in = entry.rel
  local copied = {}
  for name, value in pairs(first) do copied[name] = value end
  copied.rel, copied.stand_in = entry.rel, nil
  return copied
end

local function is_excluded(op, rel)
  local names = {}
  for name in rel:gmatch("[^/]+") do names[#names + 1] = name end
  return op.excluded ~= nil and op.excluded:ignores(names)
end

-- Add the excluded directories above an entry that is not excluded.
local function add_above(entries, left_out, rel)
  local at = 1
  while true do
    local slash = rel:find("/", at, true)
    if not slash then return end
    local above = rel:sub(1, slash - 1)
    if left_out[above] then
      entries[#entries + 1], left_out[above] = left_out[above], nil
    end
    at = slash + 1
  end
end

local function read_entries(op, file_path, path)
  local file = open(file_path)
  local reader, entries, left_out = untar.reader(file), {}, {}
  for found in function() return reader:next() end do
    local rel = below(found.name, path)
    if not rel then errors.raise("server", "the archive of " .. path .. " holds " .. found.name) end
    local entry = entry_of(file_path, found, rel)
    if entry.type == "hardlink" then entry.target = below(found.target, path) or "" end
    if rel ~= "" and is_excluded(op, rel) then
      left_out[rel] = entry
    elseif entry.type ~= "device" then
      add_above(entries, left_out, rel)
      entries[#entries + 1] = stand_in(left_out, entry)
    end
  end
  file:close()
  return entries
end

-- The archive of a directory may lack an entry for the directory itself.
local function with_top(entries)
  local first = entries[1]
  if first and first.rel == "" then return first.type, entries end
  table.insert(entries, 1, { rel = "", type = "directory", mode = 493 })
  return "directory", entries
end

-- Add a FIFO. The server has archives of files and directories only.
local function add_special(self, how, source, inode)
  if inode.type ~= "fifo" then
    problem.raise(self.step, source.path .. " is neither a file nor a directory")
  end
  place.copy(self.tree, how, { name = source.name, type = inode.type, entries = {
    { rel = "", type = inode.type, mode = inode.mode, uid = inode.uid, gid = inode.gid } } })
end

local function add_image(self, op, how, source)
  local found = tree_of(self, source.image):resolve(source.path)
  local inode = found.node and found.node.inode
  if inode and inode.type ~= "file" and inode.type ~= "directory" then
    return add_special(self, how, source, inode)
  end
  -- If the path does not exist, the server says so.
  local path = found.node and target.path(found.names) or source.path
  local kind, entries = with_top(read_entries(op, download(self, source, path), path))
  place.copy(self.tree, how, { name = source.name, type = kind, entries = entries })
end

-- Operations ------------------------------------------------------------------------

local ADDERS = {
  tree = function(self, _, how, source) add_tree(self, how, source) end,
  archive = function(self, _, how, source) add_archive(self, how, source) end,
  image = add_image,
}

--- Add the sources of an instruction COPY or ADD.
---@async
---@param op contree.build.Copy
function Pack:add(op)
  self.step = op.step
  local owner = owner_of(self, op.chown)
  local how = { dest = op.dest, directory = op.directory, chmod = op.chmod, uid = owner.uid,
    gid = owner.gid }
  if #op.sources > 1 and not op.directory
    and not target.is_directory(self.tree:resolve(op.dest).node) then
    copy.needs_directory(op)
  end
  for _, source in ipairs(op.sources) do ADDERS[source.kind](self, op, how, source) end
end

--- Make a working directory that belongs to the user, unless it exists.
---@async
---@param op { path: string, user: string?, step: contree.build.Instruction }
function Pack:make_directory(op)
  self.step = op.step
  local names = self.tree:resolve(op.path).names
  local found = self.tree:node(names)
  local owner = not found and owner_of(self, op.user, true) or {}
  self.tree:make_directories(names, { mode = 493, uid = owner.uid, gid = owner.gid })
end

--- The work to be done in the sandbox, when all is added: `files` as files.plan makes them,
--- and the lines of a script.
---@return { files: table[], script: string[] }
function Pack:ship() return shipment.new(self.build, self.tree, self.owners, self.step) end

return pack
