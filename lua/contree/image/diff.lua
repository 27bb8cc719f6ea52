--- The changes between two images: paths, and lines of text files.

local core = require("contree.core")
local class = require("contree.base.class")
local errors = require("contree.base.errors")
local filesystem = require("contree.image.filesystem")
local image = require("contree.image")
local json = require("contree.base.json")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local reference = require("contree.image.reference")
local tasks = require("contree.loop.task")
local wire = require("contree.wire")

local diff = {}

local CONTEXT = 3
local MAX_SIZE = 4 * 1024 * 1024 -- comparing so much takes a tenth of a second
local READERS = 4

---@class contree.DiffOptions
---@field path? string       only this path and everything below it; default all
---@field limit? integer     no more changes than this; default 100,000
---@field text? boolean      compare text files line by line; default false
---@field context? integer   lines around each change; default 3
---@field max_size? integer  bytes; larger files are not compared; default 4 MiB

---@class contree.Hunk
---@field old_start integer  the first line, from 1; without lines, the one before
---@field old_count integer how many lines there
---@field new_start integer its first line in the new file, from 1
---@field new_count integer how many lines there
---@field text string        the lines, each behind " ", "-" or "+"

---@class contree.Change
---@field path string             absolute
---@field change "added"|"changed"|"removed" since the other image
---@field type "file"|"directory"|"link"|"other" what it is now, or was when it was removed
---@field size integer bytes
---@field mode integer            permission bits; of what is removed, what they were
---@field was? { type: string, size: integer, mode: integer } of what is changed; nil of others
---@field hunks? contree.Hunk[]   with text = true; of a link, its target is the text; nil without
---@field binary? boolean         it holds NUL bytes, so there are no hunks; nil otherwise
---@field too_large? boolean      it is larger than max_size, so there are no hunks; nil
---  otherwise

---@class contree.Changes a list; tostring() shows it, with text = true as a patch
---@field [integer] contree.Change by path

local OPTIONS = {
  path = options.image_path, limit = options.integer(1), text = options.boolean,
  context = options.integer(0, 1000000), max_size = options.integer(1, 2 ^ 27),
}

-- Patches --------------------------------------------------------------------

local ESCAPES = { ["\a"] = "\\a", ["\b"] = "\\b", ["\t"] = "\\t", ["\n"] = "\\n", ["\v"] = "\\v",
  ["\f"] = "\\f", ["\r"] = "\\r", ['"'] = '\\"', ["\\"] = "\\\\" }

-- A name quoted as git does: bytes that are not plain ASCII are escaped.
local function quoted(name)
  if not name:find('[%c"\\\127-\255]') then return name end
  return '"' .. name:gsub('[%c"\\\127-\255]', function(byte)
    return ESCAPES[byte] or ("\\%03o"):format(byte:byte())
  end) .. '"'
end

-- Of a file's mode, git keeps only whether it is executable.
local function git_mode(node)
  if node.type == "link" then return "120000" end
  return ("%o"):format(node.mode):match("[1357]%d%d$") and "100755" or "100644"
end

local function name_line(sign, name, there)
  if not there then return sign .. " /dev/null\n" end
  -- A tab marks the end of a name with spaces.
  return ("%s %s%s\n"):format(sign, quoted(name), name:find(" ", 1, true) and "\t" or "")
end

-- Git's id of an empty file. Without it patch(1) makes or removes no empty file.
local EMPTY = "e69de29"

local function mode_lines(old, new)
  if not old then
    return ("new file mode %s\n"):format(git_mode(new))
      .. (new.size == 0 and ("index 0000000..%s\n"):format(EMPTY) or "")
  end
  if not new then
    return ("deleted file mode %s\n"):format(git_mode(old))
      .. (old.size == 0 and ("index %s..0000000\n"):format(EMPTY) or "")
  end
  if git_mode(old) == git_mode(new) then return "" end
  return ("old mode %s\nnew mode %s\n"):format(git_mode(old), git_mode(new))
end

-- A line for a file without hunks. Programs that apply patches skip such lines.
local function remark(section, a, b)
  a, b = section.old and quoted(a) or "/dev/null", section.new and quoted(b) or "/dev/null"
  if section.binary then return ("Binary files %s and %s differ\n"):format(a, b) end
  return ("Files %s and %s are too large to be compared\n"):format(a, b)
end

local function section_text(section, path)
  local a, b = "a" .. path, "b" .. path
  if not section.hunks then return remark(section, a, b) end
  local modes = mode_lines(section.old, section.new)
  if modes == "" and #section.hunks == 0 then return "" end
  local parts = { ("diff --git %s %s\n"):format(quoted(a), quoted(b)), modes }
  if #section.hunks > 0 then
    parts[#parts + 1] = name_line("---", a, section.old)
    parts[#parts + 1] = name_line("+++", b, section.new)
  end
  for _, hunk in ipairs(section.hunks) do
    parts[#parts + 1] = ("@@ -%d,%d +%d,%d @@\n"):format(hunk.old_start, hunk.old_count,
      hunk.new_start, hunk.new_count)
    parts[#parts + 1] = hunk.text
  end
  return table.concat(parts)
end

-- change -> its sections, for tostring() only.
local sections_of = setmetatable({}, { __mode = "k" })

local make = class.define("contree.Changes", {}, {
  __tostring = function(self)
    local parts = {}
    for _, change in ipairs(self) do
      local sections = sections_of[change]
      if not sections then
        parts[#parts + 1] = ("%s %s\n"):format(change.change, quoted(change.path))
      end
      for _, section in ipairs(sections or {}) do
        -- The paths of a workspace are relative to its folder.
        parts[#parts + 1] = section_text(section, (change.path:gsub("^/*", "/", 1)))
      end
    end
    return table.concat(parts)
  end,
})

local print_change = printed.record(function(self)
  return ("%s %s"):format(self.change, quoted(self.path))
end)

-- Lines ----------------------------------------------------------------------

local function has_text(node) return node and (node.type == "file" or node.type == "link") end

-- The pairs to compare for a change. A file that became a link counts as one removed and one
-- added, and so does a link with a new target: patch(1) cannot change links.
local function sections(change)
  local old = change.change == "removed" and change
    or change.change == "changed" and (change.was or change) or nil
  local new = change.change ~= "removed" and change or nil
  if old and new and old.type == "file" and new.type == "file" then
    return { { old = old, new = new } }
  end
  local list = {}
  if has_text(old) then list[1] = { old = old } end
  if has_text(new) then list[#list + 1] = { new = new } end
  return list
end

-- The text of a file, or the target of a link; "" without a node.
local function text_of(self, uuid, path, node, max_size)
  if not node then return "" end
  if node.type == "link" then return filesystem.stat(self, uuid, path).target or "" end
  if node.size == 0 then return "" end
  return wire.request(self, { method = "GET", query = { path = path }, raw = true,
    path = ("/inspect/%s/download"):format(wire.segment(uuid)), max_body = max_size }).body or ""
end

local function larger(node, size) return node and node.type == "file" and node.size > size end

local function compare(self, base, uuid, path, section, given)
  local max_size = given.max_size or MAX_SIZE
  if larger(section.old, max_size) or larger(section.new, max_size) then
    section.too_large = true
    return
  end
  local old = text_of(self, base, path, section.old, max_size)
  local new = text_of(self, uuid, path, section.new, max_size)
  if old:find("\0", 1, true) or new:find("\0", 1, true) then
    section.binary = true
  else
    section.hunks = core.diff_lines(old, new, given.context or CONTEXT)
  end
end

--- Add the hunks of changes between two images.
---@async
---@param given table { context, max_size }
function diff.add_text(self, base, uuid, changes, given)
  local work = {}
  for _, change in ipairs(changes) do
    local found = sections(change)
    sections_of[change] = found
    if #found > 0 then
      work[#work + 1] = function()
        local hunks = {}
        for _, section in ipairs(found) do
          compare(self, base, uuid, change.path, section, given)
          change.binary = change.binary or section.binary
          change.too_large = change.too_large or section.too_large
          for _, hunk in ipairs(section.hunks or {}) do hunks[#hunks + 1] = hunk end
        end
        if not change.binary and not change.too_large then change.hunks = hunks end
      end
    end
  end
  tasks.gather(work, READERS)
end

-- Asking ---------------------------------------------------------------------

local function node_of(found)
  return { type = found.kind == "symlink" and "link" or found.kind, size = found.size,
    mode = json.as("number", found.mode) and found.mode % 4096 or nil }
end

local function below(path, wanted)
  return wanted == "/" or path == wanted or path:sub(1, #wanted + 1) == wanted .. "/"
end

-- Ask the server for the changes. One without this endpoint answers "not found", as it does
-- for a missing image, so then both images are looked up.
local function ask(self, uuid, base, query)
  query.base = base
  local ok, result = pcall(wire.request, self, { method = "GET", query = query,
    path = ("/inspect/%s/diff"):format(wire.segment(uuid)) })
  if ok then return result end
  if errors.is(result, "not_found") and image.exists(self, uuid) and image.exists(self, base) then
    errors.raise("not_supported", "this server does not compare images",
      { hint = "the local engine does", status = result.status })
  end
  error(result, 0)
end

--- A list of changes from elsewhere as contree.Changes.
---@param list contree.Change[]
---@return contree.Changes
function diff.list(self, list) return make(list, self.safe) end

--- See image:diff.
---@async
---@return contree.Changes changes, boolean truncated
function diff.between(self, uuid, other, given)
  given = options.check("diff", OPTIONS, given)
  local wanted = given.path and options.normal(given.path)
  local base = reference.named("diff", "the other image", other)
  local result = ask(self, uuid, base,
    { limit = given.limit, path = wanted ~= "/" and wanted or nil })
  local changes = make({}, self.safe)
  for _, each in ipairs(wire.member(result, "changes", "table")) do
    local found = json.as("table", each)
    local path = found and json.file_name(found, "path")
    if path and (not wanted or below(path, wanted)) then
      local change = print_change(node_of(found))
      change.path, change.change = path, found.change
      change.was = json.as("table", found.was) and node_of(found.was) or nil
      changes[#changes + 1] = change
    end
  end
  if given.text then diff.add_text(self, wire.member(result, "base"), uuid, changes, given) end
  return changes, result.json.truncated == true
end

return diff
