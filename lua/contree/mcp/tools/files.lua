--- Tools that move files between this machine, uploads and images.

local core = require("contree.core")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local kept = require("contree.workspace.kept")
local shapes = require("contree.mcp.tools.shapes")

-- Patterns that name no directory are meant at any depth.
local function patterns(list)
  if not list then return nil end
  local all = {}
  for _, each in ipairs(list) do
    all[#all + 1] = each:find("/", 1, true) and each or "**/" .. each
  end
  return all
end

local function same_directory(a, b)
  return a.source == b.source and a.destination == b.destination
    and table.concat(a.exclude or {}, "\0") == table.concat(b.exclude or {}, "\0")
end

local function rsync(context, given)
  local state = { source = kept.folder(shapes.path(given.source)), destination = given.destination,
    exclude = patterns(given.exclude) }
  local directories = context.handles.directories or {}
  context.handles.directories = directories
  for id, each in ipairs(directories) do
    if same_directory(each, state) then return id end
  end
  directories[#directories + 1] = state
  return #directories
end

local function upload(context, given)
  local what
  if given.path then
    what = { path = shapes.path(given.path) }
  elseif given.content_base64 then
    local data = core.base64_decode(given.content_base64)
    if not data then errors.raise("invalid_argument", "content_base64 is no base64") end
    what = { data = data }
  elseif given.content then
    what = { data = given.content }
  else
    errors.raise("invalid_argument", "upload: there is nothing to upload",
      { hint = "path, content or content_base64" })
  end
  local file = context.client.files:upload(what)
  return { uuid = file.uuid, sha256 = file.sha256 }
end

local function download(context, given)
  local to = shapes.path(given.destination)
  local image = shapes.find(context.client, given.image)
  image:download(given.path, to)
  if given.executable then core.chmod(to, 493) end
  local stat = core.stat(to)
  return { success = true, source = { image = given.image, path = given.path }, destination = to,
    size = stat and stat.size or 0, executable = given.executable }
end

local TYPES = { directory = "directory", link = "symlink" }

local function list_files(context, given)
  local files = json.array()
  for i, entry in ipairs(shapes.find(context.client, given.image):ls(given.path)) do
    files[i] = { name = entry.name, path = entry.path, type = TYPES[entry.type] or "file",
      size = entry.size, mode = ("%04o"):format(entry.mode or 0), target = entry.target }
  end
  return { path = given.path, count = #files, files = files }
end

local function read_file(context, given)
  local bytes = shapes.find(context.client, given.image):read(given.path)
  local is_text = utf8.len(bytes) ~= nil
  return { path = given.path, content = is_text and bytes or core.base64_encode(bytes),
    encoding = is_text and "utf-8" or "base64", bytes_size = #bytes }
end

local IMAGE = { "image", "string", "a uuid, or tag:NAME", required = true }

return {
  { name = "rsync", title = "Prepare a directory", reads = true, call = rsync,
    about = "Prepares a directory of this machine for runs, and returns a number for run's "
      .. "directory_state_id. Each run has the directory as it is then; what the run changes does "
      .. "not come back. For work on the user's project use workspace_run.",
    takes = {
      { "source", "string", "the directory: absolute, or below ~", required = true },
      { "destination", "string", "where it is in the sandbox", required = true },
      { "exclude", "list", "patterns of what stays out, such as .git or *.o" },
    } },
  { name = "upload", title = "Upload a file", call = upload,
    about = "Uploads a file, or a text, once, for run's files. Returns its uuid.",
    takes = {
      { "path", "string", "a file of this machine: absolute, or below ~" },
      { "content", "string", "a text" },
      { "content_base64", "string", "bytes" },
    } },
  { name = "download", title = "Copy out of an image", destroys = true, call = download,
    about = "Copies a file, or a directory, of an image to this machine.",
    takes = {
      IMAGE,
      { "path", "string", "in the image", required = true },
      { "destination", "string", "on this machine: absolute, or below ~", required = true },
      { "executable", "boolean", "make the file executable", default = false },
    } },
  { name = "list_files", title = "List a directory of an image", reads = true, call = list_files,
    about = "Lists a directory of an image. Free: nothing runs.",
    takes = { IMAGE, { "path", "string", "the directory", default = "/" } } },
  { name = "read_file", title = "Read a file of an image", reads = true, call = read_file,
    about = "Reads a file of an image. Free: nothing runs.",
    takes = { IMAGE, { "path", "string", "the file", required = true } } },
}
