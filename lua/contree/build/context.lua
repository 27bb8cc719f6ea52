--- The context: the local directory that COPY and ADD take their files from.
--- Nothing outside of it is ever read: a ".." or a symbolic link that leads out
--- is refused.

local core = require("contree.core")
local disk = require("contree.build.disk")
local errors = require("contree.errors")
local ignore = require("contree.build.ignore")
local pattern = require("contree.build.pattern")
local problem = require("contree.build.problem")

local context = {}

local LINKS_MAX = 40

---@class contree.build.Source something to be copied
---@field name string    its own name
---@field type "file"|"directory"
---@field entries contree.build.Entry[] a file's is one, with the rel ""

---@class contree.build.Entry
---@field rel string     below the source
---@field type "file"|"directory"|"link"
---@field mode integer   of a file: 0755 or 0644, for the rest is the umask's business
---@field path? string   where a file's bytes are
---@field data? string   or these are they
---@field size? integer
---@field target? string of a link

---@class contree.build.Context
local Context = {}
Context.__index = Context

--- A context.
---@param root string a directory
---@param dockerfile? string whose FILE.dockerignore comes before .dockerignore
---@return contree.build.Context
function context.open(root, dockerfile)
  local stat, wrong = core.stat(root)
  if not stat or stat.type ~= "directory" then
    errors.raise("file", "the context " .. (wrong or root .. " is no directory"))
  end
  root = root:gsub("(.)/+$", "%1")
  local own = dockerfile and dockerfile .. ".dockerignore"
  local text = own and disk.read(own)
  local file = text and own or ".dockerignore"
  text = text or disk.read(root .. "/.dockerignore") or ""
  return setmetatable({ root = root, ignore = ignore.parse(text, file) }, Context)
end

local function host_path(self, names)
  return #names == 0 and self.root or self.root .. "/" .. table.concat(names, "/")
end

local function copy_of(list)
  local copy = {}
  for i, item in ipairs(list) do copy[i] = item end
  return copy
end

-- Links ----------------------------------------------------------------------

local function leads_out(step, names)
  problem.raise(step, ("the link %s leads out of the context"):format(table.concat(names, "/")),
    "copy what it leads to into the context")
end

-- Follows the links on a path; returns the names of what it leads to, and its
-- lstat; or nil when there is nothing.
local function resolve(self, step, names)
  local pending, done, links = copy_of(names), {}, 0
  local stat = core.lstat(self.root .. "/.")
  while #pending > 0 do
    local name = table.remove(pending, 1)
    done[#done + 1] = name
    stat = core.lstat(host_path(self, done))
    if not stat then return nil end
    if stat.type == "link" then
      links = links + 1
      if links > LINKS_MAX then
        problem.raise(step, table.concat(names, "/") .. ": the links lead in a circle")
      end
      local link = copy_of(done)
      done[#done] = nil
      local led = stat.target:sub(1, 1) ~= "/"
        and pattern.split(table.concat(done, "/") .. "/" .. stat.target)
      if not led then leads_out(step, link) end
      for i, each in ipairs(led) do table.insert(pending, i, each) end
      done, stat = {}, core.lstat(self.root .. "/.")
    end
  end
  return done, stat
end

-- Trees ----------------------------------------------------------------------

-- A file's executable bit travels, as it does with files=.
local function mode_of(stat)
  return math.floor(stat.mode / 64) % 2 == 1 and 493 or 420
end

local function cannot_read(step, wrong) problem.raise(step, "cannot read " .. wrong) end

local function listing(step, path)
  local names, wrong = core.list(path)
  if not names then cannot_read(step, wrong) end
  table.sort(names)
  return names
end

local function entry_of(stat, path, rel)
  if stat.type == "file" then
    return { rel = rel, type = "file", mode = mode_of(stat), path = path, size = stat.size }
  elseif stat.type == "link" then
    return { rel = rel, type = "link", mode = 511, target = stat.target }
  end
  return { rel = rel, type = "directory", mode = 493 }
end

local walk

-- Adds what is at names, unless it is ignored. Sockets and the like are nothing
-- that an image could hold.
local function visit(self, step, entries, names, rel, excluded)
  local path = host_path(self, names)
  local stat, wrong = core.lstat(path)
  if not stat then cannot_read(step, wrong) end
  if stat.type == "other" then return end
  local ignored = self.ignore:ignores(names)
    or excluded and excluded:ignores(pattern.split(rel)) or false
  if not ignored then entries[#entries + 1] = entry_of(stat, path, rel) end
  local closed = self.ignore:prunes(names)
    or excluded and excluded:prunes(pattern.split(rel)) or false
  if stat.type == "directory" and not closed then
    walk(self, step, entries, names, rel, excluded)
  end
end

function walk(self, step, entries, names, rel, excluded)
  for _, name in ipairs(listing(step, host_path(self, names))) do
    names[#names + 1] = name
    visit(self, step, entries, names, rel == "" and name or rel .. "/" .. name, excluded)
    names[#names] = nil
  end
end

local function source_of(self, step, names, found, stat, excluded)
  local path, source = host_path(self, found), { name = names[#names] or "", type = stat.type }
  if stat.type == "file" then
    source.entries = { entry_of(stat, path, "") }
  elseif stat.type == "directory" then
    source.entries = { { rel = "", type = "directory", mode = 493 } }
    walk(self, step, source.entries, copy_of(found), "", excluded)
  else
    problem.raise(step, table.concat(names, "/") .. " is neither a file nor a directory")
  end
  return source
end

-- Finding --------------------------------------------------------------------

local function missing(self, step, text, ignored)
  problem.raise(step, ("there is no %s in the context %s"):format(text, self.root),
    ignored and ".dockerignore leaves it out" or nil)
end

-- Adds the paths that fit names[at..], one of which is a pattern.
local function match(self, step, names, at, done, found)
  if at > #names then
    found[#found + 1] = copy_of(done)
    return
  end
  local fits, wrong = pattern.name(names[at])
  if not fits then problem.raise(step, ("the pattern %s %s"):format(names[at], wrong)) end
  local here, stat = resolve(self, step, done)
  if not here or stat.type ~= "directory" then return end
  for _, name in ipairs(listing(step, host_path(self, here))) do
    if fits(name) then
      done[#done + 1] = name
      match(self, step, names, at + 1, done, found)
      done[#done] = nil
    end
  end
end

local function is_wild(names)
  for _, name in ipairs(names) do
    if pattern.is_wild(name) then return true end
  end
  return false
end

-- Whether a source is there for the build: .dockerignore may leave all of it out.
local function is_left_out(self, names, source)
  if #names == 0 or not self.ignore:ignores(names) then return false end
  return source.type == "file" or #source.entries == 1
end

--- What a source of COPY means.
---@param step contree.build.Instruction
---@param text string a path or a pattern
---@param excluded? contree.build.Ignore what of it is left out
---@return contree.build.Source[]
function Context:find(step, text, excluded)
  local names = pattern.split(text)
  if not names then
    problem.raise(step, ("%s is outside of the context"):format(text),
      "context = chooses a directory that holds it")
  end
  local candidates = { names }
  if is_wild(names) then
    candidates = {}
    match(self, step, names, 1, {}, candidates)
  end
  local sources = {}
  for _, each in ipairs(candidates) do
    local found, stat = resolve(self, step, each)
    local source = found and source_of(self, step, each, found, stat, excluded)
    local left_out = source and is_left_out(self, found, source)
    if source and not left_out then
      sources[#sources + 1] = source
    elseif candidates[1] == names then
      missing(self, step, text, left_out)
    end
  end
  if #sources == 0 then missing(self, step, text) end
  return sources
end

return context
