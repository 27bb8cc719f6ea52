--- A client: the server that requests go to, and what goes with each of them:
--- credentials, headers, time limits.

local core = require("contree.core")
local class = require("contree.base.class")
local config = require("contree.wire.config")
local engine = require("contree.wire.engine")
local errors = require("contree.base.errors")
local failure = require("contree.wire.failure")
local json = require("contree.base.json")
local networking = require("contree.wire.networking")
local secrets = require("contree.wire.secrets")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local retry = require("contree.wire.retry")
local wire = require("contree.wire")

local client = {}

local ENGINE_HOST = "http://localhost"

---@class contree.Client
---@field images contree.Images to find, import and build images
---@field files contree.Files to upload contents
---@field operations contree.Operations to find and list runs and imports
---@field volumes contree.Volumes directories that outlive runs
local Client = {}

client.methods = Client

local make = class.define("contree.Client", Client, {
  __tostring = function(self) return ("contree.Client(%s)"):format(self.address) end,
  __close = function(self) self.closed = true end,
}, { "images", "files", "operations", "volumes" })

---@class contree.ClientOptions
---@field url? string          the service, or "unix:/path", or "local"; default $CONTREE_URL,
---  then a profile's, then the local engine
---@field token? string|false  false sends none; default $CONTREE_TOKEN, then a profile's
---@field project? string      default $CONTREE_PROJECT, then a profile's
---@field profile? string      the section of auth.ini to use; default $CONTREE_PROFILE, or the one
---  that auth.ini names as its default
---@field timeout? number      seconds that one request may take; default 300
---@field operation_timeout? number         seconds for runs and imports that name none; default
---  the server's, 60 for runs
---@field operation_run_timeout? number     the same for runs; default operation_timeout
---@field operation_import_timeout? number  the same for imports; default operation_timeout
---@field default_truncate_output_at? integer  bytes of output kept of each stream by runs
---  that name no limit; default 1 MiB
---@field secrets? table<string, contree.Secret>  of runs that have rules of networking; default
---  none
---@field networking? boolean|contree.Networking  of runs that do not say; default the server's
---@field retry? false|contree.RetryOptions how often a request that failed is sent again; false
---  asks once; default as in contree.RetryOptions
---@field engine? boolean|contree.EngineOptions the local engine; false never uses it; default
---  true: it is used where there is no account
---@field headers? table<string, string> sent with every request; default none
---@field user_agent? string   put before ours; default none
---@field log? fun(line: string)  called with a line for each request; CONTREE_DEBUG=1
---  prints them; default none

local SPEC = {
  url = options.name,
  token = options.one_of(options.name, options.exactly(false)),
  project = options.header,
  profile = options.name,
  timeout = options.seconds,
  operation_timeout = options.seconds,
  operation_run_timeout = options.seconds,
  operation_import_timeout = options.seconds,
  default_truncate_output_at = options.integer(0),
  networking = networking.check,
  secrets = secrets.check,
  retry = options.one_of(options.exactly(false), options.nested(retry.spec)),
  engine = options.one_of(options.boolean, options.nested(engine.spec)),
  headers = options.map(options.header, options.header),
  user_agent = options.header,
  log = options.callable,
}

local function runtime()
  return (jit and jit.version or _VERSION):gsub(" ", "/")
end

local CONTENT_TYPES = { json = "application/json", body = "application/octet-stream" }

-- The headers of all requests: a function of the content ("json", "body" or nil) and of
-- further headers. The token stays in this closure: no field of the client holds it.
local function common_headers(found, given)
  local list = { "User-Agent: " .. (given.user_agent and given.user_agent .. " " or "")
    .. "contree-lua/" .. core.version .. " " .. runtime() }
  if found.token then list[#list + 1] = "Authorization: Bearer " .. found.token end
  if found.project then list[#list + 1] = "Project: " .. found.project end
  -- An engine that another process has started may use another runtime.
  if found.runtime then list[#list + 1] = "Contree-Runtime: " .. found.runtime end
  for name, value in pairs(given.headers or {}) do list[#list + 1] = name .. ": " .. value end
  local function with(first, more)
    local headers = {}
    for i, header in ipairs(first) do headers[i] = header end
    for _, header in ipairs(more) do headers[#headers + 1] = header end
    return headers
  end
  local lists = {}
  for content, kind in pairs(CONTENT_TYPES) do
    lists[content] = with(list, { "Content-Type: " .. kind })
  end
  return function(content, more)
    local headers = lists[content] or list
    return more and with(headers, more) or headers
  end
end

-- The defaults of runs and imports.
local function set_defaults(self, given)
  local run = given.operation_run_timeout or given.operation_timeout
  self.run_defaults = { timeout = run and math.ceil(run),
    truncate_output_at = given.default_truncate_output_at,
    networking = networking.member(given.networking),
    secrets = secrets.member(given.secrets) }
  self.signers = secrets.signers(given.secrets) or false
  self.import_timeout = given.operation_import_timeout or given.operation_timeout
end

local function stderr_log(line) io.stderr:write("contree: ", line, "\n") end

--- A client without its managers, which contree.new adds. Decides which server it
--- talks to; sends nothing.
---@param given? string|table
---@param safe? boolean
---@return contree.Client
function client.new(given, safe)
  if type(given) == "string" then given = { url = given } end
  given = options.check("contree.new", SPEC, given)
  local found = config.resolve(given)
  -- A field that is absent would cost a call of __index each time it is read.
  local self = { safe = safe or false, timeout = given.timeout or 300,
    policy = retry.policy(given.retry), engine = false, closed = false, respond = false,
    has_volumes = false, keeps_rules = false, signers = false,
    prepared = setmetatable({}, { __mode = "k" }) }
  if found.engine then
    self.engine = engine.new(found.engine)
    found.runtime = self.engine.runtime
    self.unix_socket = self.engine.socket
  end
  self.unix_socket = self.unix_socket or found.unix_socket
  -- Whether the server has the extensions of http-api.md: it is an engine of this machine.
  self.extended = self.unix_socket ~= nil and not (self.engine and self.engine.plain_api)
  self.base = (found.url or ENGINE_HOST) .. "/v1"
  self.project = found.project
  self.address = self.unix_socket and "unix:" .. self.unix_socket or found.url
  -- The server that the uuids belong to: stored sessions and caches outlive the client.
  self.origin = found.engine and "the local engine in " .. self.engine.data_dir
    or found.project and ("%s, project %s"):format(self.address, found.project) or self.address
  self.headers = common_headers(found, given)
  self.redact = failure.redactor(found.token)
  set_defaults(self, given)
  local debug_wanted = (os.getenv("CONTREE_DEBUG") or "0") ~= "0"
  self.log = given.log or debug_wanted and stderr_log
  return make(self, safe)
end

---@class contree.WhoAmI
---@field token_uuid string the token's id
---@field token_expiration? integer          Unix time; nil: never
---@field permissions table<string, boolean> "list", "spawn", "spawn_disposable", "import", ...
---@field limits table<string, integer>      "instance_max_timeout", ...
---@field operations_stat table<string, integer> "running_instances", "running_imports"

---@class contree.DiskKind
---@field count integer how many
---@field bytes integer on the disk

---@class contree.Disk
---@field images { count: integer, tagged: integer } how many, and how many of them have a tag
---@field layers contree.DiskKind      what images consist of; images share them
---@field files contree.DiskKind       uploads that were not removed yet
---@field volumes contree.DiskKind directories that outlive runs
---@field operations contree.DiskKind  those in the list of operations, with their output
---@field database_bytes integer of the tables themselves
---@field free_bytes integer           of the file system
---@field total_bytes integer of the file system, too

--- What the engine's disk is used for.
---     print(client:disk().layers.bytes)
--- Raises: request, not_supported (the hosted service).
---@async
---@return contree.Disk
function Client:disk()
  local ok, answer = pcall(wire.request, self, { method = "GET", path = "/disk" })
  if ok and json.as("table", answer.json) and json.as("table", answer.json.layers) then
    return answer.json
  end
  if ok or errors.is(answer, "not_found") then
    errors.raise("not_supported", "this server does not tell what its disk is used for",
      { hint = "the local engine does", status = answer.status })
  end
  error(answer, 0)
end

--- The token's owner, rights and limits, as they are now.
---     local limits = client:whoami().limits
--- Raises: request.
---@async
---@return contree.WhoAmI
function Client:whoami()
  local answer = wire.request(self, { method = "GET", path = "/whoami" })
  wire.member(answer, "token_uuid")
  local found = answer.json
  for _, name in ipairs{ "permissions", "limits", "operations_stat" } do
    found[name] = json.as("table", found[name]) or {}
  end
  self.token_info = printed.fields(found)
  return found
end

--- The last answer of whoami(); `refresh` asks again.
---     local permissions = client:get_token_info().permissions
--- Raises: request.
---@async
---@param given? { refresh: boolean? } whether the server is asked again; default false
---@return contree.WhoAmI
function Client:get_token_info(given)
  given = options.check("client:get_token_info", { refresh = options.boolean }, given)
  return not given.refresh and self.token_info or Client.whoami(self)
end

--- Closes the client without waiting for requests in flight. In Lua 5.4 the end of the scope
--- of a `local client <close>` does so, too.
---     client:close()
--- Raises: nothing.
function Client:close()
  self.closed = true
end

return client
