--- Images and what they came from, as a tree: as text, as DOT for Graphviz, as SVG.

local class = require("contree.base.class")
local lineage = require("contree.history.lineage")
local options = require("contree.base.options")
local tasks = require("contree.loop.task")
local text = require("contree.base.text")

local tree = {}

local READERS = 8 -- images whose lineage is read at a time
local TITLE = 60  -- bytes of a command that are shown

---@class contree.ImageNode an image in a tree
---@field uuid string its uuid
---@field image contree.Image the image itself
---@field tag? string            the name that it has; nil: none
---@field kind "run"|"import"|"start" how it came to be
---@field title string           the command that made it, or what was imported
---@field children contree.ImageNode[] the images that came from it, the oldest first

---@class contree.ImageTree images and what they came from; tostring() draws it
---@field roots contree.ImageNode[] the oldest images that the server knows
local Tree = {}

local function name_of(node) return node.tag or node.uuid:sub(1, 8) end

local function title_of(node)
  local title = text.line(node.title)
  if title == node.tag then return "" end
  return #title > TITLE and text.cut(title, TITLE) .. "…" or title
end

-- Call see(node, depth, parent) for each node, parents first.
local function each(nodes, see, depth, parent)
  for _, node in ipairs(nodes) do
    see(node, depth, parent)
    each(node.children, see, depth + 1, node)
  end
end

--- The lines of the tree, an image each.
---     for _, line in ipairs(client.images:tree():lines()) do print(line) end
--- Raises: nothing.
---@param mark? fun(name: string, is_tag: boolean): string changes how a name is shown, such as
---  by a colour; default as it is
---@return string[]
function Tree:lines(mark)
  if mark ~= nil then options.argument("tree:lines", "the function", options.callable, mark) end
  local lines = {}
  local function put(nodes, indent)
    for i, node in ipairs(nodes) do
      local is_last = i == #nodes
      local name = text.plain(name_of(node))
      lines[#lines + 1] = ("%s%s%s  %s"):format(indent, is_last and "`- " or "|- ",
        mark and mark(name, node.tag ~= nil) or name, title_of(node)):gsub("%s+$", "")
      put(node.children, indent .. (is_last and "   " or "|  "))
    end
  end
  put(self.roots, "")
  return lines
end

local make = class.define("contree.ImageTree", Tree, {
  __tostring = function(self)
    local lines = Tree.lines(self)
    return #lines > 0 and table.concat(lines, "\n") or "(none)"
  end,
}, { "roots" })

-- Reading --------------------------------------------------------------------

-- Each image's ancestors, up to one that another image has led to. `nodes`: by uuid.
local function read(client, nodes, one)
  local below
  for entry in lineage.walk(client, one.uuid) do
    local node = nodes[entry.uuid]
    local is_known = node ~= nil
    if not is_known then
      node = { uuid = entry.uuid, image = entry.image, tag = entry.image.tag, kind = entry.kind,
        title = entry.title, created_at = entry.created_at, children = {} }
      nodes[entry.uuid] = node
    end
    if below then
      table.insert(node.children, below)
      below.has_parent = true
    end
    if is_known then return end
    below = node
  end
end

local function by_age(a, b)
  if a.created_at ~= b.created_at then return (a.created_at or "") < (b.created_at or "") end
  return a.uuid < b.uuid
end

--- The tree of images.
---@async
---@param client contree.Client
---@param list contree.Image[]
---@return contree.ImageTree
function tree.of(client, list)
  local nodes, work, roots, tags = {}, {}, {}, {}
  for i, one in ipairs(list) do
    tags[one.uuid] = one.tag
    work[i] = function() read(client, nodes, one) end
  end
  tasks.gather(work, READERS)
  for uuid, node in pairs(nodes) do
    node.tag = tags[uuid] or node.tag
    table.sort(node.children, by_age)
    if not node.has_parent then roots[#roots + 1] = node end
  end
  for _, node in pairs(nodes) do node.has_parent = nil end
  table.sort(roots, by_age)
  return make({ roots = roots }, client.safe)
end

-- Pictures -------------------------------------------------------------------

local function dot_quoted(words) return '"' .. words:gsub('[\\"]', "\\%0") .. '"' end

--- The tree in the language of Graphviz.
---     io.open("images.dot", "w"):write(client.images:tree():dot())
--- Raises: nothing.
---@return string
function Tree:dot()
  local lines = { "digraph images {", "  rankdir = LR;", "  node [shape = box];" }
  each(self.roots, function(node, _, parent)
    lines[#lines + 1] = ("  %s [label = %s%s];"):format(dot_quoted(node.uuid),
      dot_quoted(name_of(node)), node.tag and ", style = bold" or "")
    if parent then
      lines[#lines + 1] = ("  %s -> %s [label = %s];"):format(dot_quoted(parent.uuid),
        dot_quoted(node.uuid), dot_quoted(title_of(node)))
    end
  end, 0)
  lines[#lines + 1] = "}"
  return table.concat(lines, "\n") .. "\n"
end

local ROW, STEP, LEFT, LETTER = 24, 24, 16, 8 -- pixels

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function escaped(words) return (text.plain(words):gsub('[&<>"]', ENTITIES)) end

--- The tree as a picture, an SVG.
---     io.open("images.svg", "w"):write(client.images:tree():svg())
--- Raises: nothing.
---@return string
function Tree:svg()
  local lines, rows, widest, row_of = {}, 0, 0, {}
  each(self.roots, function(node, depth, parent)
    rows = rows + 1
    row_of[node] = rows
    local x, y = LEFT + depth * STEP, rows * ROW
    if parent then
      lines[#lines + 1] = ('<path d="M%d %dV%dH%d" fill="none" stroke="#888"/>'):format(
        x - STEP, row_of[parent] * ROW + 5, y, x - 5)
    end
    lines[#lines + 1] = ('<circle cx="%d" cy="%d" r="5" fill="%s" stroke="#0a7"/>'):format(x, y,
      node.tag and "#0a7" or "#fff")
    local name, title = name_of(node), title_of(node)
    lines[#lines + 1] = ('<text x="%d" y="%d"><tspan font-weight="bold">%s</tspan>  %s</text>')
      :format(x + 12, y + 4, escaped(name), escaped(title))
    widest = math.max(widest, x + 12 + (#name + 2 + #title) * LETTER)
  end, 0)
  return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="monospace" '
    .. 'font-size="13" xml:space="preserve">\n%s\n</svg>\n'):format(widest + LEFT,
    (rows + 1) * ROW, table.concat(lines, "\n"))
end

return tree
