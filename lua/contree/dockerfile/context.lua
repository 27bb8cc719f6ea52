--- The context: the local directory that COPY and ADD take their files from. No file outside
--- of it is read: a ".." or a symbolic link that leads out is refused.

local core = require("contree.core")
local disk = require("contree.dockerfile.disk")
local errors = require("contree.base.errors")
local ignore = require("contree.base.ignore")
local pattern = require("contree.base.pattern")
local problem = require("contree.dockerfile.problem")

local context = {}

local LINKS_MAX = 40

---@class contree.build.Source a file or directory to copy
---@field name string    its last name
---@field type "file"|"directory"
---@field entries contree.build.Entry[] parents first; of a file, one entry with the rel ""

---@class contree.build.Content the bytes of a file: at a path, in data, or behind a URL
---@field path? string   a local file
---@field root? string   the directory that path is relative to
---@field data? string
---@field url? string
---@field size? integer
---@field sha256? string

---@class contree.build.Context
local Context = {}
Context.__index = Context

--- A context.
---@param root string a directory
---@param dockerfile? string its path: DOCKERFILE.dockerignore is read before .dockerignore
---@return contree.build.Context
function context.open(root, dockerfile)
  local stat, wrong = core.stat(root)
  if not stat or stat.type ~= "directory" then
    errors.raise("file", "the context " .. (wrong or root .. " is no directory"))
  end
  root = root:gsub("(.)/+$", "%1")
  local own = dockerfile and dockerfile .. ".dockerignore"
  local text = own and disk.read_if_there(own)
  local file = text and own or ".dockerignore"
  text = text or disk.read_if_there(".dockerignore", root) or ""
  return setmetatable({ root = root, ignore = ignore.parse(text, file) }, Context)
end

local function host_path(self, names)
  return #names == 0 and self.root or self.root .. "/" .. table.concat(names, "/")
end

local function copy_of(list, count)
  local copy = {}
  for i = 1, count or #list do copy[i] = list[i] end
  return copy
end

-- Links ----------------------------------------------------------------------

local function leads_out(step, names)
  problem.raise(step, ("the link %s leads out of the context"):format(table.concat(names, "/")),
    "copy what it leads to into the context")
end

local function push(pending, path)
  local names = {}
  for name in path:gmatch("[^/]+") do
    if name ~= "." then names[#names + 1] = name end
  end
  for i = #names, 1, -1 do pending[#pending + 1] = names[i] end
end

local function stat_at(self, names)
  return core.lstat(host_path(self, names) .. (#names == 0 and "/." or ""))
end

-- Follow the link under the last name. An absolute target begins at the context.
local function follow(self, walk, stat)
  local link = copy_of(walk.names)
  walk.links = walk.links + 1
  if walk.links > LINKS_MAX then
    problem.raise(walk.step, table.concat(link, "/") .. ": the links lead in a circle")
  end
  walk.names[#walk.names] = nil
  local absolute = stat.target:sub(1, 1) == "/"
  local here = table.concat(walk.names, "/")
  if absolute or not pattern.split(here .. "/" .. stat.target) then
    walk.outside = walk.outside or link
  end
  if absolute then walk.names = {} end
  push(walk.pending, stat.target)
  return stat_at(self, {})
end

-- Follow the links on a path. Returns the names of the file that it leads to and its lstat, or
-- nil if no file is there.
local function resolve(self, step, names)
  local walk = { step = step, pending = {}, names = {}, links = 0 }
  local stat = stat_at(self, {})
  push(walk.pending, table.concat(names, "/"))
  while #walk.pending > 0 do
    local name = table.remove(walk.pending)
    walk.names[#walk.names + (name == ".." and 0 or 1)] = name ~= ".." and name or nil
    stat = stat_at(self, walk.names)
    if not stat then
      if walk.outside then leads_out(step, walk.outside) end
      return nil
    end
    if stat.type == "link" then stat = follow(self, walk, stat) end
  end
  return walk.names, stat
end

-- Trees ----------------------------------------------------------------------

local function cannot_read(step, wrong) problem.raise(step, "cannot read " .. wrong) end

local function listing(step, path)
  local names, wrong = core.list(path)
  if not names then cannot_read(step, wrong) end
  table.sort(names)
  return names
end

-- Sockets and devices are not copied: a sandbox cannot make devices.
local function is_nothing(stat) return stat.type == "other" end

local function entry_of(self, stat, names, rel)
  local entry = { rel = rel, type = stat.type, mode = stat.mode, target = stat.target }
  if stat.type == "file" then
    entry.content = { path = table.concat(names, "/"), root = self.root, size = stat.size }
  end
  return entry
end

-- Add an entry; if its file was added under another name, as a hard link.
local function add(walk, entry, stat)
  local first = stat.nlink > 1 and stat.type ~= "directory" and walk.inodes[stat.inode]
  if first then
    entry.type, entry.target, entry.content = "hardlink", first, nil
  else
    walk.inodes[stat.inode] = entry.rel
  end
  table.insert(walk.entries, entry)
end

local visit_all

-- Add the ignored directories above an entry that is not ignored.
local function add_parents(walk)
  for _, each in ipairs(walk.waiting) do add(walk, each.entry, each.stat) end
  walk.waiting = {}
end

-- Add the file under some names and all below it, unless they are ignored.
local function visit(self, walk, names, rel)
  local stat, wrong = core.lstat(host_path(self, names))
  if not stat then cannot_read(walk.step, wrong) end
  if is_nothing(stat) then return end
  local excluded, rels = walk.excluded, pattern.split(rel)
  local entry = entry_of(self, stat, names, rel)
  if not self.ignore:ignores(names) and not (excluded and excluded:ignores(rels)) then
    add_parents(walk)
    add(walk, entry, stat)
  elseif stat.type == "directory" then
    walk.waiting[#walk.waiting + 1] = { entry = entry, stat = stat }
  end
  local closed = self.ignore:prunes(names) or excluded and excluded:prunes(rels) or false
  if stat.type == "directory" and not closed then visit_all(self, walk, names, rel) end
  local last = walk.waiting[#walk.waiting]
  if last and last.entry == entry then walk.waiting[#walk.waiting] = nil end
end

function visit_all(self, walk, names, rel)
  for _, name in ipairs(listing(walk.step, host_path(self, names))) do
    names[#names + 1] = name
    visit(self, walk, names, rel == "" and name or rel .. "/" .. name)
    names[#names] = nil
  end
end

local function source_of(self, step, names, found, stat, excluded)
  local entry = entry_of(self, stat, found, "")
  local walk = { step = step, excluded = excluded, entries = { entry }, inodes = {}, waiting = {} }
  if stat.type == "directory" then visit_all(self, walk, copy_of(found), "") end
  if is_nothing(stat) then
    problem.raise(step, table.concat(names, "/") .. " is neither a file nor a directory")
  end
  return { name = names[#names] or "", type = stat.type, entries = walk.entries }
end

-- Finding --------------------------------------------------------------------

local function missing(self, step, text, ignored)
  problem.raise(step, ("there is no %s in the context %s"):format(text, self.root),
    ignored and ".dockerignore leaves it out" or nil)
end

-- Add the paths that match names[at] and the names behind it. Links are not followed.
local function match(self, step, names, at, done, found)
  if at > #names then
    found[#found + 1] = copy_of(done)
    return
  end
  local fits, wrong = pattern.name(names[at])
  if not fits then problem.raise(step, ("the pattern %s %s"):format(names[at], wrong)) end
  local stat = stat_at(self, done)
  if not stat or stat.type ~= "directory" then return end
  for _, name in ipairs(listing(step, host_path(self, done))) do
    if fits(name) then
      done[#done + 1] = name
      match(self, step, names, at + 1, done, found)
      done[#done] = nil
    end
  end
end

-- The paths that match a pattern; nil if the text is a plain path.
local function matches(self, step, names)
  for i, name in ipairs(names) do
    if pattern.is_wild(name) then
      local found, done = {}, resolve(self, step, copy_of(names, i - 1))
      if done then match(self, step, names, i, done, found) end
      return found
    end
  end
end

-- Whether .dockerignore leaves a source out entirely.
local function is_left_out(self, names, source)
  if #names == 0 or not self.ignore:ignores(names) then return false end
  return source.type ~= "directory" or #source.entries == 1
end

--- The files that a source of COPY means. A pattern may match none.
---@param step contree.build.Instruction
---@param text string a path or a pattern
---@param excluded? contree.build.Ignore files to leave out
---@return contree.build.Source[]
function Context:find(step, text, excluded)
  local names = pattern.split(text)
  if not names then
    problem.raise(step, ("%s is outside of the context"):format(text),
      "context = chooses a directory that holds it")
  end
  local found_all, sources = matches(self, step, names), {}
  for _, each in ipairs(found_all or { names }) do
    local found, stat = resolve(self, step, each)
    local source = found and not (found_all and is_nothing(stat))
      and source_of(self, step, each, found, stat, excluded)
    local left_out = source and is_left_out(self, found, source)
    if source and not left_out then
      sources[#sources + 1] = source
    elseif not found_all then
      missing(self, step, text, left_out)
    end
  end
  return sources
end

return context
