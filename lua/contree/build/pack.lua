--- What COPY and ADD put into an image: the files of a run, and archives for all
--- that those cannot say (directories, links, owners of directories, many files
--- at once), with the script that unpacks them.

local core = require("contree.core")
local client = require("contree.client")
local copy = require("contree.build.copy")
local disk = require("contree.build.disk")
local errors = require("contree.errors")
local fetch = require("contree.build.fetch")
local filesystem = require("contree.filesystem")
local paths = require("contree.build.paths")
local problem = require("contree.build.problem")
local stdio = require("contree.stdio")
local tar = require("contree.build.tar")
local users = require("contree.build.users")

local pack = {}

--- Where in the sandbox what only the build needs is, while it runs.
pack.directory = "/.contree-build"

-- A file of this size travels by itself, so that it is sent only when it changed.
local LARGE = 1048576
local LARGE_MAX = 64
local LINKS_MAX = 40

---@class contree.build.Pack
---@field build contree.build.Build
---@field image string           the uuid of the image that it goes into
---@field files table[]          as files.plan makes them
---@field script string[]        what is to be done in the sandbox
local Pack = {}
Pack.__index = Pack

--- Nothing yet, for an image.
---@return contree.build.Pack
function pack.new(build, image)
  return setmetatable({ build = build, image = image, files = {}, by_path = {}, script = {},
    directories = { ["/"] = true } }, Pack)
end

-- Directories -----------------------------------------------------------------

local function is_directory_in(build, image, path)
  local ok, err = pcall(filesystem.ls, build.client, image, path)
  if ok then return true end
  if errors.is(err, "not_found") or errors.is(err, "unprocessable") then return false end
  error(err, 0)
end

--- Whether there will be a directory at a path.
---@async
function Pack:is_directory(path)
  if self.directories[path] == nil then
    self.directories[path] = not self.by_path[path]
      and is_directory_in(self.build, self.image, path)
  end
  return self.directories[path]
end

local function note_parents(self, path)
  repeat
    path = paths.parent(path)
    self.directories[path] = true
  until path == "/"
end

--- Makes a directory, unless there is one.
---@async
function Pack:make_directory(path)
  if self:is_directory(path) then return end
  self.script[#self.script + 1] = '"$b" mkdir -p ' .. paths.quote(path)
  self.directories[path] = true
  note_parents(self, path)
end

-- Files -----------------------------------------------------------------------

local function octal(mode) return ("%04o"):format(mode) end

local function put_file(self, destination, file)
  local entry = self.by_path[destination]
  if not entry then
    entry = {}
    table.insert(self.files, entry)
  end
  for _, name in ipairs{ "path", "data", "sha256", "uid", "gid" } do entry[name] = file[name] end
  entry.destination, entry.mode = destination, octal(file.mode)
  self.by_path[destination] = entry
  note_parents(self, destination)
end

-- A file that only the script needs; returns its path in the sandbox.
local function put_aside(self, file)
  self.aside = (self.aside or 0) + 1
  local path = ("%s/%d"):format(pack.directory, self.aside)
  put_file(self, path, file)
  return path
end

--- The file that a run is going to put at a path, if it does.
---@return string? content
function Pack:content(path)
  local entry = self.by_path[path]
  return entry and (entry.data or disk.read(entry.path))
end

-- Bytes of an entry's file; those that the build had seen before, or none.
local function bytes_of(op, entry)
  local data, wrong = entry.data, nil
  if not data then data, wrong = disk.read(entry.path) end
  if not data then problem.raise(op.step, "cannot read " .. wrong) end
  if core.sha256(data) ~= entry.sha256 then
    problem.raise(op.step, entry.path .. " has changed during the build")
  end
  return data
end

local function fetch_checked(self, op, entry)
  if not entry.url or entry.path then return end
  local path = self.build:temporary()
  local found = fetch.get(op.step, entry.url, path)
  if found ~= entry.sha256 then
    problem.raise(op.step, ("%s has not the checksum sha256:%s"):format(entry.url, entry.sha256),
      "it is sha256:" .. found)
  end
  entry.path = path
end

-- Where a source goes: a directory's contents into the destination, a file into
-- it when it is a directory.
local function destination_of(self, op, source)
  if source.type == "directory" then return op.dest end
  if op.directory or self:is_directory(op.dest) then return paths.join(op.dest, source.name) end
  return op.dest
end

-- Archives ----------------------------------------------------------------------

local function open_archive(self)
  local path = self.build:temporary()
  local file, wrong = stdio.open_file(path, "wb")
  if not file then errors.raise("file", "cannot write " .. wrong) end
  return { path = path, file = file, writer = tar.writer(file) }
end

-- Ends an archive and has it unpacked at the root. It gets the owner of what is in it,
-- for a tar says nothing of ids that it cannot give, but the server refuses them.
local function close_archive(self, archive, flags, owner)
  archive.writer:finish()
  archive.file:close()
  if archive.writer.count == 0 then return end
  local aside = put_aside(self,
    { path = archive.path, mode = 420, uid = owner.uid, gid = owner.gid })
  table.insert(self.script, ('"$b" tar -%sf %s -C /'):format(flags, aside))
end

local function once(data)
  local rest = data
  return function()
    local bytes = rest
    rest = nil
    return bytes
  end
end

local function add_entry(op, archive, entry, name, owner)
  local data = entry.type == "file" and bytes_of(op, entry) or nil
  archive.writer:add({
    name = name:sub(2), type = entry.type, mode = op.chmod and entry.type ~= "link" and op.chmod
      or entry.mode, uid = owner.uid, gid = owner.gid, size = data and #data or 0,
    target = entry.target,
  }, data and once(data))
end

-- A directory that files will be in anyway is left as it is in the image, unless
-- more is said about it.
local function says_something(self, op, source, i, name)
  local entry = source.entries[i]
  if name == "/" then return false end
  if entry.rel == "" and self:is_directory(name) then return false end
  return op.chown or op.chmod or copy.is_empty(source.entries, i)
end

local function add_tree(self, op, source, owner, archive)
  local target, large = destination_of(self, op, source), 0
  for i, entry in ipairs(source.entries) do
    local name = paths.join(target, entry.rel)
    fetch_checked(self, op, entry)
    local single = entry.type == "file" and core.is_utf8(name)
      and (not archive or (entry.size or 0) >= LARGE and large < LARGE_MAX)
    if single then
      large = large + 1
      put_file(self, name, { path = entry.path, data = entry.data, sha256 = entry.sha256,
        mode = op.chmod or entry.mode, uid = owner.uid, gid = owner.gid })
    elseif archive and (entry.type ~= "directory" or says_something(self, op, source, i, name)) then
      add_entry(op, archive, entry, name, owner)
      note_parents(self, name)
    end
  end
  if source.type == "directory" then self.directories[target] = true end
end

-- A local archive is unpacked in the sandbox; what turns out to be none is a file.
local function add_packed(self, op, source, owner)
  local entry = source.entries[1]
  local aside = put_aside(self, { path = entry.path, sha256 = source.sha256, mode = 384 })
  local file = op.directory and paths.join(op.dest, source.name) or op.dest
  local into = paths.quote(op.dest)
  local lines = {
    ('if "$b" tar -t%sf %s >/dev/null 2>&1; then'):format(source.letter, aside),
    ('"$b" mkdir -p %s.x %s'):format(aside, into),
    ('"$b" tar -x%sf %s -C %s.x'):format(source.letter, aside, aside),
    op.chown and ('"$b" chown -hR %d:%d %s.x'):format(owner.uid, owner.gid, aside) or ":",
    op.chmod and ('"$b" chmod -R %o %s.x'):format(op.chmod, aside) or ":",
    ('"$b" cp -a %s.x/. %s/'):format(aside, into),
    "else",
    ('f=%s; [ ! -d "$f" ] || f="$f"/%s'):format(paths.quote(file), paths.quote(source.name)),
    ('"$b" mkdir -p "${f%%/*}/"; "$b" cp %s "$f"'):format(aside),
    ('"$b" chmod %o "$f"; "$b" chown %d:%d "$f"'):format(op.chmod or entry.mode, owner.uid or 0,
      owner.gid or 0),
    "fi",
  }
  for _, line in ipairs(lines) do table.insert(self.script, line) end
end

-- Out of another image ------------------------------------------------------------

-- The rest of a member's name below a path of the image; nil when it is not below.
local function below(name, path)
  local prefix = path:sub(2)
  for _, each in ipairs{ prefix, paths.base(path) } do
    if each == "" or name == each then return each == "" and name or "" end
    if name:sub(1, #each + 1) == each .. "/" then return name:sub(#each + 2) end
  end
end

local function download(self, source, path)
  local file_path = self.build:temporary()
  -- Not filesystem.archive: others on this machine may not read it.
  client.request(self.build.client, { method = "GET", query = { path = path },
    path = ("/inspect/%s/archive"):format(client.segment(source.image)),
    sink = { path = file_path, mode = 384 } })
  local file, wrong = stdio.open_file(file_path, "rb")
  if not file then errors.raise("file", "cannot read " .. wrong) end
  return file, tar.reader(file), file_path
end

-- Opens the archive of a path; links at the path itself are followed.
local function open_source(self, op, source)
  local path = source.path
  for _ = 1, LINKS_MAX do
    local file, reader, file_path = download(self, source, path)
    local first = reader:next()
    if not first or first.type ~= "link" or below(first.name, path) ~= "" then
      return file, reader, first, path
    end
    file:close()
    os.remove(file_path)
    path = paths.absolute(first.target, paths.parent(path))
  end
  problem.raise(op.step, source.path .. ": the links lead in a circle")
end

local function is_excluded(op, rel)
  local names = {}
  for name in rel:gmatch("[^/]+") do names[#names + 1] = name end
  return op.excluded ~= nil and op.excluded:ignores(names)
end

local function rewritten(op, entry, name, owner)
  return {
    name = name:sub(2), type = entry.type, size = entry.size, mtime = entry.mtime,
    mode = op.chmod and entry.type ~= "link" and op.chmod or entry.mode,
    uid = owner.uid or entry.uid, gid = owner.gid or entry.gid, target = entry.target,
  }
end

local function rewrite(self, op, source, owner, archive)
  local file, reader, entry, path = open_source(self, op, source)
  local is_tree = not entry or entry.type == "directory" or below(entry.name, path) ~= ""
  local target = destination_of(self, op,
    { type = is_tree and "directory" or "file", name = source.name })
  while entry do
    local rel = below(entry.name, path)
    if not rel then errors.raise("server", "the archive of " .. path .. " holds " .. entry.name) end
    local name = paths.join(target, rel)
    local kept = rel ~= "" or not is_tree or not self:is_directory(target)
    if kept and entry.type ~= "device" and name ~= "/" and not is_excluded(op, rel) then
      local changed = rewritten(op, entry, name, owner)
      if entry.type == "hardlink" then
        changed.target = paths.join(target, below(entry.target, path) or ""):sub(2)
      end
      archive.writer:add(changed, function() return reader:chunk() end)
      note_parents(self, name)
    end
    entry = reader:next()
  end
  file:close()
  if is_tree then self.directories[target] = true end
end

-- All ---------------------------------------------------------------------------

local function owner_of(self, op)
  if not op.chown then return {} end
  local user = users.find(self.build.client, self.image, op.chown, op.step,
    function(path) return self:content(path) end)
  return { uid = user.uid, gid = user.gid or user.uid }
end

--- Adds what an instruction COPY or ADD asks for.
---@async
---@param op contree.build.Copy
function Pack:add(op)
  local owner = owner_of(self, op)
  local ours = op.heavy and open_archive(self)
  local theirs = op.heavy and open_archive(self)
  local numbers = { uid = owner.uid or 0, gid = owner.gid or 0 }
  for _, source in ipairs(op.sources) do
    if source.kind == "tree" then
      add_tree(self, op, source, op.heavy and numbers or owner, ours)
    elseif source.kind == "archive" then
      add_packed(self, op, source, owner)
    else
      rewrite(self, op, source, owner, theirs)
    end
  end
  if op.heavy then
    close_archive(self, ours, "xm", owner)
    close_archive(self, theirs, "x", owner)
  end
end

return pack
