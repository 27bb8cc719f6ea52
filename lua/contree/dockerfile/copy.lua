--- COPY and ADD: their sources, their destination, and a fingerprint that tells whether they
--- copy the same as the last time. All of this is known without the image.

local core = require("contree.core")
local archive = require("contree.dockerfile.archive")
local cache = require("contree.base.cache")
local expand = require("contree.dockerfile.expand")
local fetch = require("contree.dockerfile.fetch")
local hash = require("contree.image.hash")
local ignore = require("contree.base.ignore")
local parser = require("contree.dockerfile.parser")
local paths = require("contree.dockerfile.paths")
local pattern = require("contree.base.pattern")
local problem = require("contree.dockerfile.problem")

local copy = {}

-- More files than this travel as one archive: a single file takes two requests.
local SINGLE_MAX = 64

---@class contree.build.Copy
---@field kind "copy"
---@field step contree.build.Instruction
---@field dest string           absolute
---@field directory boolean     dest ends with a slash, "." or "..": it is a directory
---@field written string        dest as written in the Dockerfile
---@field chown? string
---@field chmod? integer
---@field excluded? contree.build.Ignore
---@field sources contree.build.CopySource[]
---@field heavy boolean         files= alone cannot do it
---@field fingerprint string    a hash of all of this, contents included

---@class contree.build.CopySource : contree.build.Source
---@field kind "tree"|"archive"|"image"
---@field image? string         the uuid that it is copied from
---@field path? string          in that image
---@field packed? boolean       an archive is compressed

-- Arguments -------------------------------------------------------------------

local function check_flags(step)
  if step.flags.parents then
    problem.raise(step, "--parents is not supported", "name the directory in the destination")
  end
  if step.flags["keep-git-dir"] then problem.raise(step, "--keep-git-dir is not supported") end
  for _, name in ipairs{ "link", "unpack" } do
    local value = step.flags[name]
    if value and value ~= true and value ~= "true" and value ~= "false" then
      problem.raise(step, ("--%s is true or false"):format(name))
    end
  end
end

local function mode_of(step, text)
  if not text then return nil end
  if not text:find("^[0-7][0-7]?[0-7]?[0-7]?[0-7]?$") or tonumber(text, 8) > 4095 then
    problem.raise(step, ("--chmod=%s is not understood"):format(text), "octal digits, such as 0755")
  end
  return tonumber(text, 8)
end

local function excluded_by(step, lookup)
  local patterns = {}
  for _, flag in ipairs(step.flag_list) do
    if flag.name == "exclude" then patterns[#patterns + 1] = expand.text(flag.value, lookup) end
  end
  if #patterns > 0 then return ignore.of(patterns, step), patterns end
end

local function words_of(step, lookup)
  local words = {}
  for i, word in ipairs(step.list or parser.words(step.text, lookup.escape)) do
    words[i] = expand.text(word, lookup)
    if words[i]:find("\0", 1, true) then problem.raise(step, "a path contains a NUL byte") end
  end
  if #words < 2 then
    problem.raise(step, step.name .. " needs a source and a destination",
      step.name .. " SOURCE… DESTINATION")
  end
  return words, table.remove(words)
end

-- Sources ---------------------------------------------------------------------

local function digest(step, content)
  local sum, wrong = hash.file(content.path, content.root)
  if not sum then problem.raise(step, "cannot read " .. wrong) end
  return sum
end

local function packed(step, source)
  local may_be = step.name == "ADD" and source.type == "file" and step.flags.unpack ~= "false"
  local content = source.entries[1].content
  local compressed = may_be and archive.looks_like_one(step, content)
  if not compressed then return nil end
  return { kind = "archive", type = "file", name = source.name, entries = source.entries,
    packed = compressed == "compressed" }
end

local function from_url(build, op, url)
  local step, name = op.step, fetch.name(url)
  if name == "" and op.directory then
    problem.raise(step, url .. " names no file", "name the file in the destination")
  end
  if step.flags.unpack then problem.raise(step, "--unpack is not supported with a URL") end
  local checksum = op.checksum
  local wanted = checksum and checksum:match("^sha256:(%x+)$")
  if checksum and not (wanted and #wanted == 64) then
    problem.raise(step, "--checksum is sha256: and 64 hexadecimal digits")
  end
  wanted = wanted and wanted:lower()
  local content = { url = url, sha256 = wanted }
  if not wanted then
    content.path = build:temporary()
    content.sha256 = fetch.get(step, url, content.path)
  end
  return { kind = "tree", type = "file", name = name,
    entries = { { rel = "", type = "file", mode = 384, content = content } } }
end

local function from_heredoc(doc, lookup)
  local data = doc.expand and expand.variables(doc.body, lookup) or doc.body
  return { kind = "tree", type = "file", name = doc.name, entries = {
    { rel = "", type = "file", mode = 420, content = { data = data, size = #data } } } }
end

local function is_repository(text)
  return text:find("^git@") or text:find("^git://") or text:find("^ssh://")
    or text:find("^https?://.*%.git$") or text:find("^https?://.*%.git[#?]")
end

local function from_context(build, op, text, sources)
  local step = op.step
  if not build.context then
    problem.raise(step, "there is no context to copy from", "context = names a directory")
  end
  for _, source in ipairs(build.context:find(step, text, op.excluded)) do
    source.kind = "tree"
    sources[#sources + 1] = packed(step, source) or source
  end
end

local function from_image(build, op, image, text, sources)
  local path = paths.absolute(text)
  for _, each in ipairs(build:match_image(op.step, image, path)) do
    sources[#sources + 1] = { kind = "image", image = image, path = each,
      name = paths.base(each), entries = {} }
  end
end

local function find_sources(build, op, words, lookup)
  local step, sources = op.step, {}
  local image = step.flags.from
    and build:image_named(step, expand.text(step.flags.from, lookup))
  local next_doc = 1
  for _, word in ipairs(words) do
    local doc = step.heredocs[next_doc]
    if doc and word:find("<<", 1, true) then
      sources[#sources + 1] = from_heredoc(doc, lookup)
      next_doc = next_doc + 1
    elseif image then
      from_image(build, op, image, word, sources)
    elseif step.name == "ADD" and is_repository(word) then
      problem.raise(step, "ADD of a Git repository is not supported",
        "clone it before, or with RUN git clone")
    elseif step.name == "ADD" and fetch.is_url(word) then
      sources[#sources + 1] = from_url(build, op, word)
    else
      from_context(build, op, word, sources)
    end
  end
  local first = sources[1] and sources[1].entries[1]
  if op.checksum and not (#sources == 1 and first and first.content and first.content.url) then
    problem.raise(step, "--checksum is for one URL")
  end
  return sources
end

-- Fingerprints ----------------------------------------------------------------

local function fingerprint(op, patterns)
  local texts = { op.dest, tostring(op.directory), op.chown or "", tostring(op.chmod),
    table.concat(patterns or {}, "\n") }
  local function add(text) texts[#texts + 1] = tostring(text) end
  for _, source in ipairs(op.sources) do
    add(source.kind)
    add(source.name)
    add(source.type)
    add(source.image)
    add(source.kind == "image" and source.path or "")
    for _, entry in ipairs(source.entries) do
      local content = entry.content or {}
      if entry.content and not content.sha256 then
        content.sha256 = content.data and hash.text(content.data) or digest(op.step, content)
      end
      add(entry.rel)
      add(entry.type)
      add(("%o"):format(entry.mode))
      add(content.sha256 or entry.target)
    end
  end
  return cache.key(texts)
end

-- Files that travel one by one ---------------------------------------------------

-- Whether the directory entries[i] is empty; parents come first in the list.
local function is_empty(entries, i)
  local rel, following = entries[i].rel, entries[i + 1]
  if not following then return true end
  return rel ~= "" and following.rel:sub(1, #rel + 1) ~= rel .. "/"
end

-- Whether an entry is a directory that the server makes anyway for a file below it.
local function is_implied(entries, i)
  local entry = entries[i]
  return entry.type == "directory" and (entry.rel == "" or entry.mode == 493)
    and not is_empty(entries, i)
end

local function is_heavy(op)
  local count = 0
  for _, source in ipairs(op.sources) do
    if source.kind ~= "tree" then return true end
    if source.type == "directory" and (op.chown or op.chmod) then return true end
    for i, entry in ipairs(source.entries) do
      count = count + 1
      if not core.is_utf8(entry.rel) or not core.is_utf8(source.name)
        or entry.type ~= "file" and not is_implied(source.entries, i) then
        return true
      end
    end
  end
  return count > SINGLE_MAX
end

--- Raise the error for several sources whose destination is not a directory.
---@param op contree.build.Copy
function copy.needs_directory(op)
  problem.raise(op.step, ("%d sources need a directory to go to"):format(#op.sources),
    ('write the destination as "%s/"'):format(op.written))
end

--- Read an instruction COPY or ADD, and find its sources.
---@async
---@param build contree.build.Build
---@param step contree.build.Instruction
---@param lookup contree.build.Lookup
---@param cwd fun(): string the directory of a relative destination
---@return contree.build.Copy
function copy.plan(build, step, lookup, cwd)
  check_flags(step)
  local words, raw = words_of(step, lookup)
  local function flag(name) return step.flags[name] and expand.text(step.flags[name], lookup) end
  local excluded, patterns = excluded_by(step, lookup)
  local op = {
    kind = "copy", step = step, chown = flag("chown"), chmod = mode_of(step, flag("chmod")),
    dest = paths.absolute(raw, raw:sub(1, 1) ~= "/" and cwd() or nil),
    directory = paths.names_directory(raw), written = raw, excluded = excluded,
    checksum = flag("checksum"),
  }
  op.sources = find_sources(build, op, words, lookup)
  if #words > 1 and #op.sources > 1 and not op.directory then copy.needs_directory(op) end
  op.fingerprint, op.heavy = fingerprint(op, patterns), is_heavy(op)
  return op
end

--- Whether a path is a pattern.
function copy.is_wild(path) return pattern.is_wild(path) end

return copy
