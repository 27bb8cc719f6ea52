--- The resources: files and lineage of images, operations, the guide.

local errors = require("contree.base.errors")
local guide = require("contree.mcp.guide")
local json = require("contree.base.json")
local shapes = require("contree.mcp.tools.shapes")
local words = require("contree.base.text")

local resources = {}

local function decode(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function to_json(value)
  return assert(json.encode(value)), "application/json"
end

local function read_path(client, image, path)
  return shapes.text(shapes.find(client, image):read("/" .. path:gsub("^/+", ""))), "text/plain"
end

local LETTERS = { directory = "d", link = "l" }

local function list_path(client, image, path)
  local lines = {}
  local place = path == "." and "/" or "/" .. path:gsub("^/+", "")
  for i, entry in ipairs(shapes.find(client, image):ls(place)) do
    lines[i] = ("%s%04o %5d %5d %10d %s%s"):format(LETTERS[entry.type] or "-", entry.mode or 0,
      entry.uid or 0, entry.gid or 0, entry.size or 0,
      words.plain(entry.name), entry.target and " -> " .. words.plain(entry.target) or "")
  end
  return table.concat(lines, "\n"), "text/plain"
end

local function lineage(client, word)
  local image = shapes.resolve(client, word)
  local list = image:lineage()
  local ancestors = json.array()
  for i = 2, #list do ancestors[i - 1] = list[i].uuid end
  local first = list[1]
  return to_json{ image = image.uuid, parent = ancestors[1] or json.null, ancestors = ancestors,
    root = list[#list].uuid, depth = #ancestors, is_known = #ancestors > 0,
    data = { kind = first.kind, command = first.title, exit_code = first.exit_code,
      operation = first.operation and first.operation.uuid, created_at = first.created_at } }
end

local function instance(client, id)
  local found = shapes.operation(client, id)
  local metadata = json.as("table", found.metadata) or {}
  local result = json.as("table", metadata.result) or {}
  local state = json.as("table", result.state) or {}
  return to_json{ state = found.status, error = found.error, result_image = found.result.image,
    result_tag = found.result.tag, exit_code = state.exit_code, timed_out = state.timed_out,
    stdout = result.stdout, stderr = result.stderr, resources = result.resources }
end

local function import(client, id)
  local found = shapes.operation(client, id)
  local metadata = json.as("table", found.metadata) or {}
  local registry = json.as("table", metadata.registry) or {}
  local function say(value) return value == json.null and "" or words.line(value or "") end
  return ("STATE: %s\nRESULT_IMAGE: %s\nRESULT_TAG: %s\nREGISTRY_URL: %s\nERROR: %s"):format(
    say(found.status), say(found.result.image), say(found.result.tag), say(registry.url),
    say(found.error)), "text/plain"
end

local TEMPLATES = {
  { "contree://image/{image}/read/{path}", "File of an image", "its text, or base64: and bytes",
    "^contree://image/([^/]+)/read/(.+)$", read_path },
  { "contree://image/{image}/ls/{path}", "Directory of an image", "its entries; . is the root",
    "^contree://image/([^/]+)/ls/(.+)$", list_path },
  { "contree://image/{image}/lineage", "Lineage of an image", "what it was made from, and how",
    "^contree://image/([^/]+)/lineage$", lineage },
  { "contree://operations/instance/{operation_id}", "A run", "its state, output and image",
    "^contree://operations/instance/([^/]+)$", instance },
  { "contree://operations/import/{operation_id}", "An import", "its state and image",
    "^contree://operations/import/([^/]+)$", import },
}

--- The resources that have an address of their own.
---@return table[]
function resources.list()
  local listed = {}
  for i, section in ipairs(guide.sections()) do
    listed[i] = { uri = "contree://guide/" .. section, name = section,
      title = "Guide: " .. section, mimeType = "text/markdown" }
  end
  return listed
end

---@return table[]
function resources.templates()
  local listed = {}
  for i, each in ipairs(TEMPLATES) do
    listed[i] = { uriTemplate = each[1], name = each[2], description = each[3] }
  end
  return listed
end

--- The content of a resource, or nil and the reason.
---@async
---@param client contree.Client
---@param uri any
---@return table? content, string? problem
function resources.read(client, uri)
  if type(uri) ~= "string" then return nil, "uri is missing" end
  local section = uri:match("^contree://guide/(.+)$")
  local text, kind = section and guide.read(section), "text/markdown"
  for _, each in ipairs(TEMPLATES) do
    local first, second = uri:match(each[4])
    if first then
      local ok, found, is = pcall(each[5], client, decode(first), second and decode(second))
      if not ok and shapes.is_interrupt(found) then error(found, 0) end
      if not ok then return nil, errors.is(found) and found.message or tostring(found) end
      text, kind = found, is
      break
    end
  end
  if not text then return nil, "there is no resource " .. shapes.word(uri) end
  return { uri = uri, mimeType = kind, text = text }
end

return resources
