--- What each method of the protocol answers, in both of its eras: with `initialize`
--- (2024-11-05 to 2025-11-25), and without (2026-07-28: each request says its version).

local core = require("contree.core")
local json = require("contree.base.json")
local shapes = require("contree.mcp.tools.shapes")

local protocol = {}

-- The newest first.
local OLD = { "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05", "2024-10-07" }
local NEW = { "2026-07-28" }
local BATCHES = "2025-03-26"
local META = "io.modelcontextprotocol/"

local METHOD, PARAMS, VERSION = -32601, -32602, -32022
local NOT_FOUND = -32002 -- of resources, in the old era

-- Lists and what they name change only with this program.
local LISTS_KEEP, CONTENT_KEEPS = 3600000, 0

local INSTRUCTIONS = [[
Commands run in sandboxes whose file system branches like git. Nothing touches this machine's
files unless workspace_apply brings changes home.

1. list_images, or import_image, finds an image. An image is a uuid or "tag:NAME".
2. run executes a command in it. With disposable = false the changes become a new image,
   result.image; run from that one to go on, or from the old one to go back.
3. For the user's project use workspace_run: the folder is in /work, the changes stay in the
   sandbox, workspace_changes shows them as a patch, workspace_apply brings them home.
4. Name images worth keeping with set_tag, as in "project/purpose:v1".
5. A sandbox has no network ("bad address") unless the call says networking = true, or allow.

diff, blame and bisect say what changed between images, which run changed a path, and which run
broke something. get_guide tells more.]]

--- Raises an error of the protocol.
function protocol.fail(code, message, data)
  error({ code = code, message = message, data = data }, 0)
end

local function is_one_of(list, value)
  for _, each in ipairs(list) do
    if each == value then return true end
  end
  return false
end

--- Whether the revision that the client speaks has batches.
function protocol.has_batches(self) return self.version == BATCHES or self.version == nil end

-- What the request says of itself, when it is one of the new era.
local function modern(params)
  local meta = json.as("table", params._meta) or {}
  local version = meta[META .. "protocolVersion"]
  if version == nil then return false end
  if not is_one_of(NEW, version) then
    protocol.fail(VERSION, "this revision of the protocol is not spoken here",
      { supported = json.array(NEW), requested = version })
  elseif type(meta[META .. "clientCapabilities"]) ~= "table" then
    protocol.fail(PARAMS, "_meta lacks " .. META .. "clientCapabilities")
  end
  return true
end

local CAPABILITIES = { tools = {}, resources = {}, prompts = {} }

local function server_info()
  return { name = "contree-mcp", title = "contree", version = core.version }
end

local methods = {}

function methods.initialize(self, params)
  local asked = params.protocolVersion
  self.version = is_one_of(OLD, asked) and asked or OLD[1]
  return { protocolVersion = self.version, capabilities = CAPABILITIES,
    serverInfo = server_info(), instructions = INSTRUCTIONS }
end

function methods.ping() return {} end

methods["server/discover"] = function(_, _, is_new)
  if not is_new then protocol.fail(PARAMS, "_meta lacks " .. META .. "protocolVersion") end
  return { supportedVersions = json.array{ NEW[1], table.unpack(OLD) },
    capabilities = CAPABILITIES, instructions = INSTRUCTIONS }, LISTS_KEEP
end

methods["logging/setLevel"] = function() return {} end

-- All lists are short: there is one page.
local function list(name, made)
  return function(_, params)
    if params.cursor ~= nil then protocol.fail(PARAMS, "there is no such cursor") end
    return { [name] = json.array(made()) }, LISTS_KEEP
  end
end

methods["tools/list"] = list("tools", function() return require("contree.mcp.tools").list() end)

methods["tools/call"] = function(self, params)
  local tools = require("contree.mcp.tools")
  local tool = tools.find(params.name)
  if not tool then
    local near = tools.near(params.name)
    protocol.fail(PARAMS, ("there is no tool %s"):format(shapes.word(params.name))
      .. (near and (" (did you mean %s?)"):format(near) or ""))
  end
  return tools.call(self, tool, params)
end

methods["prompts/list"] = list("prompts",
  function() return require("contree.mcp.prompts").list() end)

methods["prompts/get"] = function(_, params)
  local found, problem = require("contree.mcp.prompts").get(params.name, params.arguments)
  if not found then protocol.fail(PARAMS, problem) end
  return found
end

methods["resources/list"] = list("resources",
  function() return require("contree.mcp.resources").list() end)

methods["resources/templates/list"] = list("resourceTemplates",
  function() return require("contree.mcp.resources").templates() end)

methods["resources/read"] = function(self, params, is_new)
  local content, problem = require("contree.mcp.resources").read(self.client, params.uri)
  if not content then protocol.fail(is_new and PARAMS or NOT_FOUND, problem) end
  return { contents = json.array{ content } }, CONTENT_KEEPS
end

-- Methods that the new era has no longer.
local OLD_ONLY = { initialize = true, ping = true, ["logging/setLevel"] = true }

--- Answers a request. Raises { code, message, data } for what the protocol calls an error.
---@async
---@param self contree.mcp.Server
---@param message table
---@return table result
function protocol.answer(self, message)
  local params = json.as("table", message.params) or {}
  local is_new = modern(params)
  local method = methods[message.method]
  if not method or is_new and OLD_ONLY[message.method] then
    protocol.fail(METHOD, ("there is no method %s"):format(shapes.word(message.method)))
  end
  local result, keeps = method(self, params, is_new)
  if is_new then
    result.resultType = "complete"
    result._meta = { [META .. "serverInfo"] = server_info() }
    if keeps then result.ttlMs, result.cacheScope = keeps, "private" end
  end
  return result
end

return protocol
