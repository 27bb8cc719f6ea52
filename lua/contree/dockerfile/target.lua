--- The target tree: the files that an image is going to have. A directory is listed when it
--- is first looked at, and copies change the tree only, not the image.

local keys = require("contree.base.keys")

local target = {}

local LINKS_MAX = 255

---@class contree.build.Inode a file of any type; hard links share one
---@field type "directory"|"file"|"link"|"fifo"|"device"|"socket"
---@field mode? integer
---@field uid? integer
---@field gid? integer
---@field mtime? integer
---@field target? string     of a link
---@field content? table     of a new file: see contree.build.Content
---@field old? string        its path in the image, if it has it
---@field changed? boolean   the image has it with other attributes

---@class contree.build.Node a name of the tree
---@field inode contree.build.Inode
---@field was? string        the type of the image's file under this name
---@field children? table<string, contree.build.Node> of a directory, once it was listed

---@class contree.build.Resolved a path without links
---@field names string[]
---@field node? contree.build.Node nil: nothing is there

---@class contree.build.Target
---@field root contree.build.Node
local Target = {}
Target.__index = Target

--- A tree. `list` returns the entries of a directory of the image, with their names and the
--- fields of an inode. `fail(message)` raises an error.
---@param list fun(path: string): table[]
---@param fail fun(message: string)
---@return contree.build.Target
function target.new(list, fail)
  return setmetatable({ list = list, fail = fail,
    root = { inode = { type = "directory", old = "/" }, was = "directory" } }, Target)
end

--- The path of some names.
---@param names string[]
---@return string
function target.path(names) return "/" .. table.concat(names, "/") end

local function copy_of(list, count)
  local copy = {}
  for i = 1, count or #list do copy[i] = list[i] end
  return copy
end

local function load(self, node)
  node.children = {}
  local path = node.inode.old
  if not path then return end
  for _, entry in ipairs(self.list(path)) do
    node.children[entry.name] = { was = entry.type, inode = { type = entry.type,
      mode = entry.mode, uid = entry.uid, gid = entry.gid, target = entry.target,
      old = (path == "/" and "" or path) .. "/" .. entry.name } }
  end
end

local function is_directory(node) return node and node.inode.type == "directory" end

target.is_directory = is_directory

-- The node of a directory under a name, or nil.
local function child(self, node, name)
  if not node.children then load(self, node) end
  return node.children[name]
end

local function push_names(pending, path)
  local names = {}
  for name in path:gmatch("[^/]+") do names[#names + 1] = name end
  for i = #names, 1, -1 do pending[#pending + 1] = names[i] end
end

-- A walk: the names so far and their nodes (false for names that are missing). It does not
-- leave the directory of the first `base` names.
local function walk_from(self, base)
  local names, nodes, node = copy_of(base), {}, self.root
  for i, name in ipairs(names) do
    node = is_directory(node) and child(self, node, name) or nil
    nodes[i] = node or false
  end
  return { names = names, nodes = nodes, base = #names }
end

local function here(self, walk)
  if #walk.names == 0 then return self.root end
  return walk.nodes[#walk.names] or nil
end

local function go_up(self, walk, strict)
  if #walk.names > walk.base then
    walk.names[#walk.names] = nil
  elseif strict then
    self.fail("leads out of the directory that it is unpacked in")
  end
end

local function go_down(self, walk, name)
  local node = here(self, walk)
  local found = is_directory(node) and child(self, node, name) or nil
  if node and not is_directory(node) then
    self.fail(target.path(walk.names) .. " is no directory")
  end
  walk.names[#walk.names + 1] = name
  walk.nodes[#walk.names] = found or false
  return found
end

-- Follow the link under the last name.
local function follow(self, walk, node, pending)
  walk.links = (walk.links or 0) + 1
  if walk.links > LINKS_MAX then
    self.fail(target.path(walk.names) .. ": the links lead in a circle")
  end
  walk.names[#walk.names] = nil
  if node.inode.target:sub(1, 1) == "/" then
    while #walk.names > walk.base do walk.names[#walk.names] = nil end
  end
  push_names(pending, node.inode.target)
end

---@class contree.build.Walking
---@field base? string[]   the directory that is "/" for the path and its links
---@field strict? boolean  refuse a ".." that leads out of it; default: ignore it
---@field keep? boolean    do not follow a link under the last name

--- Resolve the links in a path. Names that do not exist stay as they are.
---@param path string
---@param how? contree.build.Walking
---@return contree.build.Resolved
function Target:resolve(path, how)
  how = how or {}
  local walk, pending = walk_from(self, how.base or {}), {}
  push_names(pending, path)
  while #pending > 0 do
    local name = table.remove(pending)
    if name == ".." then
      go_up(self, walk, how.strict)
    elseif name ~= "." then
      local node = go_down(self, walk, name)
      local last = how.keep and #pending == 0
      if node and node.inode.type == "link" and not last then follow(self, walk, node, pending) end
    end
  end
  return { names = walk.names, node = here(self, walk) }
end

--- The node under some names, without following links.
---@param names string[]
---@return contree.build.Node?
function Target:node(names)
  local node = self.root
  for _, name in ipairs(names) do
    node = is_directory(node) and child(self, node, name) or nil
    if not node then return nil end
  end
  return node
end

-- The directory above the last name.
local function parent_of(self, names)
  local parent = self:node(copy_of(names, #names - 1))
  if not is_directory(parent) then
    self.fail(target.path(copy_of(names, #names - 1)) .. " is no directory")
  end
  return parent
end

--- Put an inode under a name; it replaces the node that is there.
---@param names string[]
---@param inode contree.build.Inode
---@return contree.build.Node
function Target:put(names, inode)
  local parent, name = parent_of(self, names), names[#names]
  local before = child(self, parent, name)
  local node = { inode = inode, was = before and before.was }
  parent.children[name] = node
  return node
end

--- Make a directory and those above it that do not exist.
---@param names string[]
---@param fields { mode: integer, uid: integer?, gid: integer? } of the new directories
function Target:make_directories(names, fields)
  local at = {}
  for i, name in ipairs(names) do
    at[i] = name
    local node = self:node(at)
    if not node then
      self:put(at, { type = "directory", mode = fields.mode, uid = fields.uid or 0,
        gid = fields.gid or 0 })
    elseif not is_directory(node) then
      self.fail(target.path(at) .. " is no directory")
    end
  end
end

--- Change the attributes of a node.
---@param node contree.build.Node
---@param fields contree.build.Inode
function Target:change(node, fields) -- luacheck: no self
  local inode = node.inode
  for _, name in ipairs{ "mode", "uid", "gid", "mtime" } do
    if fields[name] ~= nil and fields[name] ~= inode[name] then
      inode[name], inode.changed = fields[name], inode.old ~= nil
    end
  end
end

-- Calls fn for each name below a node, in order, parents first.
local function each(node, names, fn)
  if not is_directory(node) or not node.children then return end
  local list = keys(node.children)
  table.sort(list)
  for _, name in ipairs(list) do
    local found = node.children[name]
    names[#names + 1] = name
    fn(target.path(names), found)
    each(found, names, fn)
    names[#names] = nil
  end
end

--- Whether a node is new or differs from the image's.
---@param node contree.build.Node
---@param path string
---@return boolean
function target.differs(node, path)
  return node.inode.old ~= path or node.inode.changed == true
end

--- Call fn(path, node) for all nodes that differ from the image's, parents first.
---@param fn fun(path: string, node: contree.build.Node)
function Target:changes(fn)
  if self.root.inode.changed then fn("/", self.root) end
  each(self.root, {}, function(path, node)
    if target.differs(node, path) then fn(path, node) end
  end)
end

return target
