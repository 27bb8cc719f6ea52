--- Reading an image without running anything. Each function gets the client
--- and the image's uuid, and is a method of images and sessions by its name.

local core = require("contree.core")
local class = require("contree.base.class")
local directories = require("contree.base.directories")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local loop = require("contree.loop")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local progress = require("contree.base.progress")
local stdio = require("contree.base.stdio")
local text = require("contree.base.text")
local trees = require("contree.image.trees")
local wire = require("contree.wire")

local filesystem = {}

---@class contree.FileEntry
---@field name string the last part of its path
---@field path string     absolute
---@field type "file"|"directory"|"link"|"socket"|"fifo"|"device" what it is
---@field is_dir boolean a directory
---@field is_file boolean a regular file
---@field is_symlink boolean a symbolic link
---@field size integer bytes
---@field mode integer    permission bits
---@field mtime integer Unix time of the last change
---@field uid integer the owner's number
---@field gid integer the group's number
---@field owner string|integer the owner's name, or number where the image names none
---@field group string|integer the same of the group
---@field nlink integer how many names the file has
---@field target? string  of a link; nil of others
---@field read fun(self, given: contree.ReadOptions?): string
---@field lines fun(self, given: contree.ReadOptions?): fun(): string?
---@field download fun(self, to: string?): string
local Entry = {}

local make_entry = class.define("contree.FileEntry", Entry, {
  __tostring = function(self) return ("contree.FileEntry(%s, %s)"):format(self.path, self.type) end,
}, { "name", "path", "type", "is_dir", "is_file", "is_symlink", "size", "mode", "mtime", "uid",
  "gid", "owner", "group", "nlink", "target" })

local LETTERS = { directory = "d", link = "l", socket = "s", fifo = "p", device = "c" }

-- "drwxr-xr-x"
local function mode_of(self)
  local parts, mode = { LETTERS[self.type] or "-" }, self.mode or 0
  for i = 8, 0, -1 do
    local is_set = math.floor(mode / 2 ^ i) % 2 == 1
    parts[#parts + 1] = is_set and ("xwr"):sub(i % 3 + 1, i % 3 + 1) or "-"
  end
  return table.concat(parts)
end

-- A line for an entry, like that of ls -l.
local print_list = printed.list(function(self)
  local owner = ("%s:%s"):format(self.owner or self.uid or "?", self.group or self.gid or "?")
  local size = text.size(json.as("number", self.size) or 0)
  return ("%s %-11s %6s  %s%s"):format(mode_of(self), owner, size,
    text.line(self.name), self.target and " -> " .. text.line(self.target) or "")
end)

local print_match = printed.record(function(match)
  return ("%s:%s:%s"):format(text.line(tostring(match.path)), tostring(match.line_number),
    text.plain((tostring(match.line_text):gsub("[\r\n]+$", ""))))
end)

local print_matches = printed.list()

local print_found = printed.record(function(found)
  return tostring(found.matches) .. (found.truncated and "\n… there are more" or "")
end)

local function inspect(uuid, what) return ("/inspect/%s/%s"):format(wire.segment(uuid), what) end

local function absolute(where, path)
  return options.argument(where, "the path", options.image_path, path)
end

local function type_of(item)
  return item.is_symlink and "link" or item.is_dir and "directory" or item.is_regular and "file"
    or item.is_socket and "socket" or item.is_fifo and "fifo" or "device"
end

local function permissions(item)
  return json.as("number", item.mode) and item.mode % 4096 or nil
end

local function entry(self, uuid, item, directory)
  local told = json.file_name(item, "path") or ""
  local name, kind = told:match("([^/]+)/*$") or "", type_of(item)
  return make_entry({
    client = self, image_uuid = uuid,
    name = name == "" and "/" or name, path = (directory == "/" and "" or directory) .. "/" .. name,
    type = kind, is_dir = kind == "directory", is_file = kind == "file",
    is_symlink = kind == "link", size = item.size, mode = permissions(item), mtime = item.mtime,
    uid = item.uid, gid = item.gid, owner = item.owner, group = item.group, nlink = item.nlink,
    target = item.symlink_to ~= "" and json.file_name(item, "symlink_to") or nil,
  }, self.safe)
end

local function list(self, uuid, directory)
  local result = wire.request(self, { method = "GET", path = inspect(uuid, "list"),
    query = { path = directory } })
  local entries = {}
  for _, item in ipairs(wire.member(result, "files", "table")) do
    if json.as("table", item) then
      entries[#entries + 1] = entry(self, uuid, item, directory)
    end
  end
  return print_list(entries)
end

--- The entries of a directory.
---     for _, entry in ipairs(image:ls("/etc")) do print(entry.name, entry.size) end
--- Raises: request, not_found (the image, the path), unprocessable (no directory).
---@async
---@param path? string absolute; default "/"
---@return contree.FileEntry[]
function filesystem.ls(self, uuid, path)
  return list(self, uuid, options.normal(absolute("ls", path or "/")))
end

--- The entry of one file or directory; a link is not followed.
---     print(image:stat("/bin/sh").target)
--- Raises: request, not_found (the image, the path), unprocessable (the parent is no
--- directory).
---@async
---@param path string absolute
---@return contree.FileEntry
function filesystem.stat(self, uuid, path)
  path = options.normal(absolute("stat", path))
  if path == "/" then
    list(self, uuid, path)
    return entry(self, uuid, { path = "/", is_dir = true }, "")
  end
  local directory, name = path:match("^(.*)/([^/]+)$")
  for _, each in ipairs(list(self, uuid, directory == "" and "/" or directory)) do
    if each.name == name then return each end
  end
  errors.raise("not_found", ("there is no %s in the image"):format(path))
end

--- Whether there is a file or directory at a path.
---     if image:exists("/app/done") then print("built") end
--- Raises: request.
---@async
---@param path string absolute
---@return boolean
function filesystem.exists(self, uuid, path)
  local result = wire.request(self, { method = "HEAD", path = inspect(uuid, "download"),
    query = { path = absolute("exists", path) }, accept = { [404] = true, [422] = true } })
  return result.status ~= 404
end

-- A file that is read in one piece has to fit into memory twice. With compression, a few
-- bytes on the wire can become very many.
local MAX_SIZE = 256 * 1024 * 1024

local READ = { max_size = options.integer(1, 2 ^ 31 - 1) }

---@class contree.ReadOptions
---@field max_size? integer bytes; a larger file is an error; default 256 MiB

--- The content of a file. One that is larger than `max_size` raises `server`.
---     local text = image:read("/etc/os-release")
--- Raises: request, not_found (the image, the path), unprocessable (no regular file).
---@async
---@param path string absolute
---@param given? contree.ReadOptions
---@return string
function filesystem.read(self, uuid, path, given)
  given = options.check("read", READ, given)
  return wire.request(self, { method = "GET", path = inspect(uuid, "download"), raw = true,
    query = { path = absolute("read", path) }, max_body = given.max_size or MAX_SIZE,
    too_large = "max_size = takes more, download() writes a file of any size" }).body or ""
end

--- Iterates over the lines of a file, which is read at once.
---     for line in image:lines("/etc/passwd") do print(line) end
--- Raises: request, not_found (the image, the path), unprocessable (no regular file).
---@async
---@param path string absolute
---@param given? contree.ReadOptions
---@return fun(): string?
function filesystem.lines(self, uuid, path, given)
  return stdio.buffer(filesystem.read(self, uuid, path, given)):lines()
end

local MAX_LINKS = 8

-- Whether a path leads to a program; false if that cannot be found out.
local function is_program(self, uuid, path)
  for _ = 1, MAX_LINKS do
    local ok, found = pcall(filesystem.stat, self, uuid, path)
    if not ok and not errors.is(found) then error(found, 0) end
    if not ok or not found.is_symlink or not found.target then
      return ok and found.is_file and ("%03o"):format(found.mode or 0):find("[1357]") ~= nil
    end
    local directory = path:match("^(.*)/[^/]+/*$")
    path = found.target:sub(1, 1) == "/" and found.target or directory .. "/" .. found.target
  end
  return false
end

local function download_file(self, uuid, path, to)
  wire.request(self, { method = "GET", path = inspect(uuid, "download"), query = { path = path },
    sink = { path = to, mode = 420 } })
  if is_program(self, uuid, path) then
    local ok, problem = core.chmod(to, 493)
    if not ok then errors.raise("file", "download: cannot make executable " .. problem) end
  end
end

local function check_free(where, to, hint)
  local names = core.list(to)
  if names and #names > 0 or not names and directories.has(to) then
    errors.raise("file", ("%s: there is a %s already"):format(where, to), { hint = hint })
  end
end

-- The archive of a directory is unpacked while it comes, into a new or empty directory.
local function unpack_directory(self, where, uuid, path, to, tell)
  local unpacked, problem, size
  local function check(done, wrong)
    if done == nil then errors.raise("file", ("%s: %s"):format(where, wrong)) end
    return done
  end
  local function begin()
    if unpacked then unpacked:close() end
    unpacked, problem = core.untar(to, options.normal(path):sub(2))
    check(unpacked, problem)
    size = 0
    return function(bytes)
      check(unpacked:feed(bytes))
      size = size + #bytes
      progress.tell(tell, "getting", "bytes", size)
    end
  end
  local ok, err = pcall(function()
    wire.request(self, { method = "GET", path = inspect(uuid, "archive"), query = { path = path },
      sink = "chunks", take = begin })
    while not check(unpacked:finish(loop.SLICE)) do loop.breathe() end
    progress.tell(tell, "getting", "bytes", size, size)
  end)
  if unpacked then unpacked:close() end
  if not ok then error(err, 0) end
end

local function download_directory(self, uuid, path, to)
  check_free("download", to, "a directory goes to a new name, or into an empty directory")
  unpack_directory(self, "download", uuid, path, to)
end

--- Copies a file or directory out. It appears under its local name when it is complete, or not
--- at all. A program stays executable. A directory keeps links, modes and times, and goes where
--- nothing is, or an empty directory.
---     image:download("/app/server", "build/server")
---     image:download("/app/share", "share")
--- Raises: request, not_found (the image, the path), unprocessable (neither a file nor a
--- directory), file (the local file).
---@async
---@param path string absolute, in the image
---@param to? string local path; default its own name, in the working directory
---@return string to
function filesystem.download(self, uuid, path, to)
  absolute("download", path)
  to = to or path:match("([^/]+)/*$")
  if to == nil then
    errors.misuse("download: / has no name of its own", "name the local directory as well")
  end
  options.argument("download", "the local path", options.file_name, to)
  local ok, err = pcall(download_file, self, uuid, path, to)
  if ok then return to end
  if not errors.is(err, "unprocessable") then error(err, 0) end
  local unpacked, why = pcall(download_directory, self, uuid, path, to)
  if not unpacked then error(errors.is(why, "unprocessable") and err or why, 0) end
  return to
end

local function rename(from, to)
  local ok, problem = os.rename(from, to)
  if not ok then errors.raise("file", "export_to: " .. problem) end
end

-- Exchange what is at `to` for a new tree. If the program is killed in between, what was there
-- is beside it.
local function replace(to, fill)
  local name = ("%s.contree-%d"):format(to, core.getpid())
  local new, old = name .. ".new", name .. ".old"
  trees.remove(new)
  local ok, problem = pcall(fill, new)
  if not ok then
    trees.remove(new)
    error(problem, 0)
  end
  local was_there = directories.has(to)
  if was_there then rename(to, old) end
  local moved, why = os.rename(new, to)
  if not moved then
    if was_there then rename(old, to) end
    trees.remove(new)
    errors.raise("file", "export_to: " .. why)
  end
  if was_there then trees.remove(old) end
end

---@class contree.ExportOptions
---@field at? string        the directory of the image that is written; default "/"
---@field replace? boolean  what is at `path` goes when the new tree is complete; default false:
---  then there must be nothing, or an empty directory
---@field progress? fun(progress: contree.Progress) called as the archive comes; default none

local EXPORT = { at = options.image_path, replace = options.boolean, progress = options.callable }

--- Writes the tree of the image, or of one of its directories, to a directory of this machine:
--- with links, modes and times, all of it or nothing. Set-id bits, owners, devices and FIFOs
--- stay behind, and nothing is written outside of `path`, whatever the image has in it.
--- `download` is for single files, and for directories by their name; this is for an image as
--- a whole, tells how far it is, and can replace an older tree.
---     image:export_to("rootfs", { at = "/srv/app", replace = true })
--- Raises: request, not_found (the image, the directory), unprocessable (it is no directory),
--- file (something is there already; the local directory).
---@async
---@param path string the local directory, which is made
---@param given? contree.ExportOptions
---@return string path
function filesystem.export_to(self, uuid, path, given)
  options.argument("export_to", "the local path", options.file_name, path)
  given = options.check("export_to", EXPORT, given)
  local at, to = options.normal(given.at or "/"), path:gsub("(.)/+$", "%1")
  filesystem.ls(self, uuid, at) -- an archive of a file would be one, too
  local function fill(target)
    unpack_directory(self, "export_to", uuid, at, target, given.progress)
  end
  if given.replace then
    replace(to, fill)
  else
    check_free("export_to", to, "replace = true exchanges it for the new tree")
    fill(to)
  end
  return path
end

--- Copies a file or directory out as a tar file.
---     image:archive("/app", "app.tar")
--- Raises: request, not_found (the image, the path), unprocessable (it does not fit into a
--- tar file), file (the local file).
---@async
---@param path string absolute, in the image
---@param to string local path
---@return string to
function filesystem.archive(self, uuid, path, to)
  absolute("archive", path)
  options.argument("archive", "the local path", options.file_name, to)
  wire.request(self, { method = "GET", path = inspect(uuid, "archive"),
    query = { path = path }, sink = { path = to, mode = 420 } })
  return to
end

-- An entry of a listing has these methods of images, without the path.
for _, name in ipairs{ "read", "lines", "download" } do
  Entry[name] = function(self, ...)
    return filesystem[name](self.client, self.image_uuid, self.path, ...)
  end
end

--- The entries of this directory.
---     for _, inner in ipairs(file_entry:ls()) do print(inner.path) end
--- Raises: request, not_found (the image, the path), unprocessable (no directory).
---@async
---@param sub? string a path below it; default the directory itself
---@return contree.FileEntry[]
function Entry:ls(sub)
  if sub ~= nil then options.argument("ls", "the path", options.bytes, sub) end
  return filesystem.ls(self.client, self.image_uuid, self.path .. "/" .. (sub or ""))
end

---@class contree.GrepMatch a line; printed, it is "path:number:text"
---@field path string             absolute
---@field line_number integer     from 1
---@field line_text string        with its end
---@field line_bytes? integer     its length; nil: the server does not say
---@field absolute_offset? integer of the line in the file; nil: the server does not say
---@field type "match"|"context"  whether it matches, or is near such a line
---@field submatches contree.GrepPart[] offsets in bytes

---@class contree.GrepPart
---@field text string    what matches
---@field start integer  offset in bytes, in the line
---@field end integer    the same

---@class contree.GrepResult the lines that were found (http-api.md §5.14)
---@field matches contree.GrepMatch[] the lines, file by file
---@field truncated boolean       there are more
---@field path string             where it was searched
---@field patterns string[]       what was searched for

---@class contree.GrepOptions
---@field pattern string|string[] regular expressions (PCRE2)
---@field path? string|string[]   where to search; default "/"
---@field glob? string|string[]   only files whose names match: "*.c", "!*.bak"; default all files
---@field max_count? integer      matching lines of one file; default all
---@field max_total? integer      matching lines of all files; default 1000
---@field case? string            "sensitive", "insensitive" or "smart"; default "sensitive"
---@field before? integer         lines before each match; default 0
---@field after? integer          lines after each match; default 0

local GREP = {
  pattern = options.one_of(options.name, options.texts),
  path = options.one_of(options.image_path, options.file_names),
  glob = options.one_of(options.file_name, options.file_names),
  max_count = options.integer(1), max_total = options.integer(1),
  case = options.name, before = options.integer(0), after = options.integer(0),
}

-- A line that is not UTF-8 travels in base64, and so do its parts.
local function take_bytes(match)
  if not json.as("string", match.line_base64) then return end
  match.line_text = stdio.decode{ value = match.line_base64, encoding = "base64" }
  match.line_base64 = nil
  for _, part in ipairs(json.as("table", match.submatches) or {}) do
    local from, to = json.as("number", part.start), json.as("number", part["end"])
    if from and to then part.text = match.line_text:sub(from + 1, to) end
  end
end

--- Searches files for lines. Links are not followed, and files with NUL bytes are skipped. A
--- lone string is the pattern.
---     for _, match in ipairs(image:grep("root").matches) do print(match.path) end
--- Raises: request, not_found (the image, a path), invalid_argument (a malformed pattern or
--- glob).
---@async
---@param given contree.GrepOptions|string
---@return contree.GrepResult
function filesystem.grep(self, uuid, given)
  if type(given) == "string" then given = { pattern = given } end
  given = options.check("grep", GREP, given)
  if not given.pattern then errors.misuse("grep needs a pattern") end
  local result = wire.request(self, { method = "GET", path = inspect(uuid, "grep"),
    query = given })
  for _, match in ipairs(wire.member(result, "matches", "table")) do
    if json.as("table", match) then
      -- On the wire, paths are relative to the root.
      local path = json.file_name(match, "path")
      match.path, match.path_encoding = path and path:gsub("^/*", "/", 1) or nil, nil
      take_bytes(match)
      print_match(match)
    end
  end
  print_matches(result.json.matches)
  result.json.path = json.file_name(result.json, "path")
  result.json.path_encoding = nil
  return print_found(result.json)
end

return filesystem
