--- Brings the changes of a target tree into a sandbox: as the files= of a run when that
--- suffices, otherwise as an archive that a script unpacks. No path in either leads through a
--- link.

local core = require("contree.core")
local disk = require("contree.dockerfile.disk")
local errors = require("contree.base.errors")
local hash = require("contree.image.hash")
local paths = require("contree.dockerfile.paths")
local problem = require("contree.dockerfile.problem")
local stdio = require("contree.base.stdio")
local target = require("contree.dockerfile.target")
local tar = require("contree.base.tar")
local untar = require("contree.dockerfile.untar")

local shipment = {}

--- The directory in the sandbox for files that only the build needs, while it runs.
shipment.directory = "/.contree-build"

-- A file from this size on travels by itself, so that it is sent only when it has changed;
-- and the most such files of a layer.
local LARGE, LARGE_MAX = 1048576, 64
-- More files than this travel as one archive: a single file takes two requests.
local SINGLE_MAX = 64
-- The most files that keep extended attributes, since each of these travels by itself; and the
-- most bytes of an attribute.
local ATTRIBUTED_MAX, XATTR_MAX = 1000, 65536
-- Smaller holes are filled with zeros: each piece of a sparse file takes a process.
local HOLE_MIN = 1048576
local PIECE_MAX = 1048576 -- the block size of dd

---@class contree.build.Shipment
---@field files table[]    as files.plan makes them
---@field script string[]  for the helper's shell
local Shipment = {}

-- Files -----------------------------------------------------------------------------

local function octal(mode) return ("%04o"):format(mode) end

local function add_file(self, destination, inode)
  local content = inode.content
  local path = content.root and content.root .. "/" .. content.path or content.path
  table.insert(self.files, { destination = destination, path = path, data = content.data,
    sha256 = content.sha256, mode = octal(inode.mode), uid = inode.uid, gid = inode.gid,
    xattrs = inode.hex_xattrs })
end

-- Add a file that only the script needs; returns its path in the sandbox.
local function put_aside(self, inode)
  self.aside = self.aside + 1
  local path = ("%s/%d"):format(shipment.directory, self.aside)
  add_file(self, path, inode)
  return path
end

-- Whether files= can place a file at a path: the image has no directory there, and above it
-- nothing but directories.
local function is_clear(self, path)
  local names, node = {}, self.tree.root
  for name in path:gmatch("[^/]+") do
    names[#names + 1] = name
    node = node.children[name]
    local last = target.path(names) == path
    local was = node.was
    if was and (was == "directory") == last then return false end
  end
  return true
end

local function is_single(self, path, inode)
  return inode.type == "file" and inode.content and not inode.content.offset
    and core.is_utf8(path) and is_clear(self, path)
end

local function is_implied(change)
  local inode, node = change.inode, change.node
  return inode.type == "directory" and not inode.old and inode.mode == 493 and inode.uid == 0
    and inode.gid == 0 and not node.was and next(node.children or {}) ~= nil
end

-- Whether files= alone can make all changes.
local function are_files(self, changes)
  local count, seen = 0, {}
  for _, change in ipairs(changes) do
    if not is_implied(change) then
      count = count + 1
      if not is_single(self, change.path, change.inode) or seen[change.inode] then return false end
      seen[change.inode] = true
    end
  end
  return count <= SINGLE_MAX
end

-- Content -----------------------------------------------------------------------------

local function changed(self, path)
  problem.raise(self.step, path .. " has changed during the build")
end

-- The bytes of a small local file, which must not have changed since the build has hashed it;
-- nil for a large file.
local function local_bytes(self, content)
  if content.data then return content.data end
  if content.size and content.size >= LARGE then return nil end
  local bytes, wrong = disk.read(content.path, content.root)
  if not bytes then problem.raise(self.step, "cannot read " .. wrong) end
  if core.sha256(bytes) ~= content.sha256 then changed(self, content.path) end
  return bytes
end

local function once(data)
  return function()
    local bytes = data
    data = nil
    return bytes
  end
end

-- An open file; the last one that was read is kept open.
local function reading(self, path)
  if self.open_path ~= path then
    if self.open_file then self.open_file:close() end
    local file, wrong = stdio.open_file(path, "rb")
    if not file then errors.raise("file", "cannot read " .. wrong) end
    self.open_path, self.open_file = path, file
  end
  return self.open_file
end

local function member(path, inode, fields)
  local found = { name = path:sub(2), type = inode.type, mode = inode.mode or 511, size = 0,
    uid = inode.uid or 0, gid = inode.gid or 0, mtime = inode.mtime or os.time(),
    target = inode.type == "link" and inode.target or nil }
  for name, value in pairs(fields or {}) do found[name] = value end
  return found
end

-- Write a large local file, in chunks.
local function write_large(self, path, inode)
  local content = inode.content
  local full = content.root and content.root .. "/" .. content.path or content.path
  self.writer:add(member(path, inode, { size = content.size }),
    untar.bytes(reading(self, full), 0, content.size))
  if hash.file(content.path, content.root) ~= content.sha256 then
    changed(self, content.path)
  end
end

-- The pieces of a sparse file, with close ones joined: { at, length, parts }. The parts have
-- bytes, and between them are zeros.
local function pieces_of(content)
  local pieces, from = {}, content.offset
  for _, piece in ipairs(content.map) do
    local last = pieces[#pieces]
    local part = { at = piece[1], offset = from, length = piece[2] }
    from = from + piece[2]
    if last and piece[1] - (last.at + last.length) < HOLE_MIN then
      last.parts[#last.parts + 1] = part
      last.length = piece[1] + piece[2] - last.at
    else
      pieces[#pieces + 1] = { at = piece[1], length = piece[2], parts = { part } }
    end
  end
  return pieces
end

-- The bytes of a piece, as a function that gives chunks.
local function piece_bytes(file, piece)
  local i, at, bytes = 0, piece.at, nil
  return function()
    while true do
      local chunk = bytes and bytes()
      if chunk then
        at = at + #chunk
        return chunk
      end
      i = i + 1
      local part = piece.parts[i]
      if not part then return nil end
      bytes = untar.bytes(file, part.offset, part.length)
      if part.at > at then
        local zeros = ("\0"):rep(part.at - at)
        at = part.at
        return zeros
      end
    end
  end
end

-- The largest power of two that divides a number, up to a bound.
local function step_of(at)
  local size = PIECE_MAX
  while at % size ~= 0 do size = size / 2 end
  return size
end

-- Write a sparse file: its pieces travel beside it, and the script copies them into it.
local function write_sparse(self, path, inode)
  local content = inode.content
  self.writer:add(member(path, inode))
  local quoted = paths.quote(path)
  local function line(format, ...) table.insert(self.script, format:format(...)) end
  line('"$b" truncate -s %d %s', content.size, quoted)
  for _, piece in ipairs(pieces_of(content)) do
    self.aside = self.aside + 1
    local aside = ("%s/%d"):format(shipment.directory, self.aside)
    self.writer:add(member(aside, { type = "file", mode = 384 }, { size = piece.length }),
      piece_bytes(reading(self, content.path), piece))
    local size = step_of(piece.at)
    line('"$b" dd if=%s of=%s bs=%d seek=%d conv=notrunc 2>/dev/null; "$b" rm %s', aside, quoted,
      size, piece.at / size, aside)
  end
  -- Writing to a file removes its set-id bits.
  line('"$b" chmod %o %s; "$b" touch -d @%d %s', inode.mode, quoted, inode.mtime or os.time(),
    quoted)
end

local function write_packed(self, path, inode)
  local content = inode.content
  self.writer:add(member(path, inode, { size = content.size }),
    untar.bytes(reading(self, content.path), content.offset, content.size))
end

-- The extended attributes that a sandbox may set, in hexadecimal digits; nil if there are
-- none, or if the server is not a local engine.
local function hex_xattrs(self, inode)
  local found
  for name, value in pairs(self.build.client.extended and inode.xattrs or {}) do
    local may_be = name == "security.capability"
      or name:find("^user%..") and not name:find("^user%.overlay%.")
    if may_be and #name < 256 and #value <= XATTR_MAX and core.is_utf8(name) then
      found = found or {}
      found[name] = value:gsub(".", function(char) return ("%02x"):format(char:byte()) end)
    end
  end
  return found
end

-- Write a file with extended attributes. Busybox's tar does not set these, so the file travels
-- by itself, and the script moves it to its place.
local function write_with_xattrs(self, path, inode)
  local content = inode.content
  local copied = self.build:temporary()
  local file, wrong = stdio.open_file(copied, "wb")
  if not file then errors.raise("file", "cannot write " .. wrong) end
  for bytes in untar.bytes(reading(self, content.path), content.offset, content.size) do
    if not file:write(bytes) then errors.raise("file", "cannot write " .. copied) end
  end
  file:close()
  local aside = put_aside(self, { mode = inode.mode, uid = inode.uid, gid = inode.gid,
    content = { path = copied }, hex_xattrs = inode.hex_xattrs })
  self.names[inode] = aside -- until it is moved: hard links to it are made before
  table.insert(self.script, ('"$b" mv -f %s %s; "$b" touch -d @%d %s'):format(aside,
    paths.quote(path), inode.mtime or os.time(), paths.quote(path)))
end

local function write_content(self, path, inode)
  local content = inode.content
  inode.hex_xattrs = content.offset and not content.map and self.attributed < ATTRIBUTED_MAX
    and hex_xattrs(self, inode) or nil
  if inode.hex_xattrs then
    self.attributed = self.attributed + 1
    return write_with_xattrs(self, path, inode)
  end
  if content.map then return write_sparse(self, path, inode) end
  if content.offset then return write_packed(self, path, inode) end
  local bytes = local_bytes(self, content)
  if not bytes then return write_large(self, path, inode) end
  self.writer:add(member(path, inode, { size = #bytes }), once(bytes))
end

-- Changes -----------------------------------------------------------------------------

local function quoted_line(format, ...)
  local texts = {}
  for i, text in ipairs{ ... } do texts[i] = paths.quote(text) end
  return format:format((table.unpack or unpack)(texts))
end

-- Give a file of the image a second name, which stays if the first one is removed.
local function link_old(self, inode)
  self.aside = self.aside + 1
  local aside = ("%s/%d"):format(shipment.directory, self.aside)
  table.insert(self.before, quoted_line('"$b" ln %s ' .. aside, inode.old))
  return aside
end

-- Write a symbolic link. Busybox's tar makes links with ".." last, and does not set their
-- owner, so the script does.
local function write_link(self, path, inode)
  self.writer:add(member(path, inode))
  if inode.uid == 0 and inode.gid == 0 then return end
  local owner = ("%d:%d"):format(inode.uid, inode.gid)
  self.links[owner] = self.links[owner] or {}
  table.insert(self.links[owner], path .. "\0")
end

local function write_other_name(self, path, inode)
  if inode.type == "link" then
    write_link(self, path, inode)
  else
    local first = self.names[inode] or link_old(self, inode)
    self.names[inode] = first
    self.writer:add(member(path, inode, { type = "hardlink", target = first:sub(2) }))
  end
end

-- Change the attributes of a file that the image has.
local function change_old(self, path, inode)
  if inode.type == "directory" then
    self.writer:add(member(path, inode))
  elseif inode.changed and not self.altered[inode] then
    self.altered[inode] = true
    local name = paths.quote(path)
    table.insert(self.script, ('"$b" chown %d:%d %s; "$b" chmod %o %s; "$b" touch -d @%d %s')
      :format(inode.uid, inode.gid, name, inode.mode, name, inode.mtime or os.time(), name))
  end
end

local function write_change(self, path, inode)
  if inode.old or self.names[inode] then
    if inode.old ~= path then write_other_name(self, path, inode) end
    if inode.old then change_old(self, path, inode) end
    return
  end
  self.names[inode] = path
  local content = inode.content
  if inode.type == "link" then
    write_link(self, path, inode)
  elseif inode.type ~= "file" then
    self.writer:add(member(path, inode))
  elseif (content.size or 0) >= LARGE and self.large < LARGE_MAX
    and is_single(self, path, inode) then
    self.large = self.large + 1
    add_file(self, path, inode)
  else
    write_content(self, path, inode)
  end
end

-- Call a command of busybox for many paths, each terminated by a NUL.
local function add_for_all(self, script, command, list)
  local aside = put_aside(self, { mode = 384, content = { data = table.concat(list) } })
  table.insert(script, ('"$b" xargs -0 "$b" %s < %s'):format(command, aside))
end

-- Remove files of the image where a file of another type is to be placed.
local function remove_old(self, changes)
  local list = {}
  for _, change in ipairs(changes) do
    local was = change.node.was
    local dirs = (was == "directory" and 1 or 0) + (change.inode.type == "directory" and 1 or 0)
    if was and (dirs == 1 or dirs == 2 and change.inode.old ~= change.path) then
      list[#list + 1] = change.path .. "\0"
    end
  end
  if #list > 0 then add_for_all(self, self.before, "rm -rf --", list) end
end

local function give_links(self)
  for owner, list in pairs(self.links) do
    add_for_all(self, self.script, "chown -h " .. owner .. " --", list)
  end
end

-- Busybox's tar ignores owners that the sandbox does not have. The server refuses a file with
-- such an owner, so an empty file is sent for each.
local function ask_for_owners(self, owners)
  local seen = {}
  for _, owner in ipairs(owners) do
    local key = owner.uid .. ":" .. owner.gid
    if not seen[key] then
      seen[key] = true
      put_aside(self, { mode = 384, uid = owner.uid, gid = owner.gid, content = { data = "" } })
    end
  end
end

local function open_archive(self)
  local path = self.build:temporary()
  local file, wrong = stdio.open_file(path, "wb")
  if not file then errors.raise("file", "cannot write " .. wrong) end
  self.writer = tar.writer(file)
  return path, file
end

local function write_archive(self, changes)
  local path, file = open_archive(self)
  for _, change in ipairs(changes) do write_change(self, change.path, change.inode) end
  self.writer:finish()
  file:close()
  if self.open_file then self.open_file:close() end
  if self.writer.count == 0 then return end
  local aside = put_aside(self, { mode = 384, content = { path = path } })
  table.insert(self.before, ('"$b" tar -xf %s -C /; "$b" rm %s'):format(aside, aside))
end

local function write_all(self, changes, owners)
  ask_for_owners(self, owners)
  remove_old(self, changes)
  write_archive(self, changes)
  give_links(self)
  for i, line in ipairs(self.before) do table.insert(self.script, i, line) end
end

--- The work to be done in the sandbox for the changes of a tree.
---@param build contree.build.Build
---@param tree contree.build.Target
---@param owners { uid: integer, gid: integer }[] that the sandbox must have
---@param step? contree.build.Instruction
---@return contree.build.Shipment
function shipment.new(build, tree, owners, step)
  local self = setmetatable({ build = build, tree = tree, step = step, files = {}, script = {},
    before = {}, aside = 0, large = 0, names = {}, altered = {},
    links = {}, attributed = 0 }, { __index = Shipment })
  local changes = {}
  tree:changes(function(path, node)
    changes[#changes + 1] = { path = path, node = node, inode = node.inode }
  end)
  if not are_files(self, changes) then
    write_all(self, changes, owners)
  else
    for _, change in ipairs(changes) do
      if not is_implied(change) then add_file(self, change.path, change.inode) end
    end
  end
  return self
end

return shipment
