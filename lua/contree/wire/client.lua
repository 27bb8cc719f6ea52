--- The client: the managers, and the one request() that every call goes
--- through: address, credentials, JSON, retries, errors.

local core = require("contree.core")
local class = require("contree.base.class")
local engine = require("contree.wire.engine")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local loop = require("contree.loop")
local options = require("contree.base.options")
local retry = require("contree.wire.retry")

local client = {}

client.version = "0.1.0"

local CONNECT_TIMEOUT = 10
local FIRST_ATTEMPTS = 3      -- to reach a server that has never answered
local LEAVING_PAUSE = 0.05    -- before an engine is asked again that is about to end
local IDLE_TIMEOUT = 60       -- of bodies without an end in sight, at most
local ENGINE_HOST = "http://localhost"

---@class contree.Client
---@field images contree.Images
---@field files contree.Files
---@field operations contree.Operations
local Client = {}

local make = class.define("contree.Client", Client, {
  __tostring = function(self) return ("contree.Client(%s)"):format(self.address) end,
  __close = function(self) self.closed = true end,
})

---@class contree.ClientOptions
---@field url? string          the service, or "unix:/path", or "local"
---@field token? string|false  false sends none
---@field project? string
---@field profile? string      of auth.ini
---@field timeout? number      seconds that one request may take; default 300
---@field operation_timeout? number         of runs and imports that name none
---@field operation_run_timeout? number     of runs, before operation_timeout
---@field operation_import_timeout? number  of imports, before operation_timeout
---@field default_truncate_output_at? integer  of runs that do not say
---@field retry? false|{ max_attempts: integer?, max_delay: number? }
---@field engine? boolean|table  the local engine: { path, data_dir, socket, idle, runtime }
---@field headers? table<string, string>
---@field user_agent? string   put before ours
---@field log? fun(line: string)  told of each request; CONTREE_DEBUG=1 prints them

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

-- What the user wants every request to carry, and who they are: a function that
-- gives the headers for a content ("json", "body" or nil) and some more. The token
-- stays in this closure: no field of the client holds it.
local function common_headers(found, given)
  local list = { "User-Agent: " .. (given.user_agent and given.user_agent .. " " or "")
    .. "contree-lua/" .. client.version .. " " .. runtime() }
  if found.token then list[#list + 1] = "Authorization: Bearer " .. found.token end
  if found.project then list[#list + 1] = "Project: " .. found.project end
  -- An engine that somebody else started may use another.
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

-- Shorter tokens are words of the text itself, not secrets.
local SECRET_LENGTH = 6

local function redactor(token)
  return function(text)
    if not token or #token < SECRET_LENGTH then return text end
    local from, to = text:find(token, 1, true)
    while from do
      text = text:sub(1, from - 1) .. "***" .. text:sub(to + 1)
      from, to = text:find(token, from + 3, true)
    end
    return text
  end
end

-- What runs and imports get that do not ask for it themselves.
local function set_defaults(self, given)
  local run = given.operation_run_timeout or given.operation_timeout
  self.run_defaults = { timeout = run and math.ceil(run),
    truncate_output_at = given.default_truncate_output_at }
  self.import_timeout = given.operation_import_timeout or given.operation_timeout
end

local function stderr_log(line) io.stderr:write("contree: ", line, "\n") end

--- A client; contree.new. Decides whom it talks to, but sends nothing yet.
---@param given? string|table
---@param safe? boolean
---@return contree.Client
function client.new(given, safe)
  if type(given) == "string" then given = { url = given } end
  given = options.check("contree.new", SPEC, given)
  local found = require("contree.wire.config").resolve(given)
  local self = { safe = safe, timeout = given.timeout or 300, policy = retry.policy(given.retry) }
  if found.engine then
    self.engine = engine.new(found.engine)
    found.runtime = self.engine.runtime
    self.unix_socket = self.engine.socket
  end
  self.unix_socket = self.unix_socket or found.unix_socket
  self.base = (found.url or ENGINE_HOST) .. "/v1"
  self.project = found.project
  self.address = self.unix_socket and "unix:" .. self.unix_socket or found.url
  -- Whose images a uuid names, for what is kept longer than the client.
  self.origin = found.engine and "the local engine in " .. self.engine.data_dir
    or found.project and ("%s, project %s"):format(self.address, found.project) or self.address
  self.headers = common_headers(found, given)
  self.redact = redactor(found.token)
  set_defaults(self, given)
  local debug_wanted = (os.getenv("CONTREE_DEBUG") or "0") ~= "0"
  self.log = given.log or (debug_wanted and stderr_log) or nil
  self.images = require("contree.image.images").new(self)
  self.files = require("contree.image.files").new(self)
  self.operations = require("contree.run.operation").manager(self)
  return make(self, safe)
end

-- Addresses ----------------------------------------------------------------

local function escape(char) return ("%%%02X"):format(char:byte()) end

--- Percent-encodes a path segment, "/" included.
function client.segment(text) return (text:gsub("[^%w%-._~]", escape)) end

-- Flags are sent as 1 or not at all, lists as repeated keys.
local function query_string(query)
  if not query then return "" end
  local parts = {}
  local function add(name, value)
    if value == true then value = 1 end
    parts[#parts + 1] = name .. "=" .. tostring(value):gsub("[^%w%-._~/]", escape)
  end
  for name, value in pairs(query) do
    if type(value) == "table" then
      for _, each in ipairs(value) do add(name, each) end
    elseif value ~= false then
      add(name, value)
    end
  end
  table.sort(parts)
  return #parts > 0 and "?" .. table.concat(parts, "&") or ""
end

-- Errors -------------------------------------------------------------------

local KINDS = {
  [401] = "auth", [403] = "forbidden", [404] = "not_found", [405] = "not_supported",
  [406] = "not_supported", [408] = "timeout", [409] = "conflict", [410] = "gone",
  [413] = "unprocessable", [422] = "unprocessable", [425] = "too_early", [429] = "rate_limited",
  [501] = "not_supported",
}

local HINTS = {
  [401] = "check the token",
  [403] = "the token lacks this right",
}

local function kind_of(status)
  local sound = status >= 400 and status < 500
  return KINDS[status] or sound and "invalid_argument" or "server"
end

-- Redirects are not followed: they would take the token along.
local function hint_of(status, headers)
  local to = status >= 300 and status < 400 and headers.location or nil
  return HINTS[status] or to and ("it points to %s: is url right?"):format(to:sub(1, 200))
end

-- What the body of an error says: {"error": text or object}, or plain text.
local function said(body)
  local value = body and body ~= "" and json.decode(body)
  local text = value and value.error
  if type(text) == "table" then text = text.message or text.detail or text.error end
  if text == nil then text = body end
  text = tostring(text or "")
  return text:match("%S") and text:sub(1, 500) or nil
end

local function status_error(self, request, result)
  local status, headers = result.status, result.headers
  local text = said(result.body) or ("%s %s was refused"):format(request.method, request.path)
  text = redactor(request.secret)(self.redact(text))
  return errors.new(kind_of(status), ("%s [%d]"):format(text, status), {
    status = status, request = request.method .. " " .. request.path,
    hint = hint_of(status, headers),
    request_id = headers["x-request-id"] or headers["request-id"] or headers.traceparent,
    retry_after = retry.after(headers["retry-after"]),
  })
end

-- What the core calls a failure, and what a failure of that kind is to the caller.
-- `again`: another attempt may go better. `sent`: it does not matter whether a byte of
-- the request has left us.
local FAILURES = {
  connect = { again = true }, resolve = { again = true }, closed = { again = true },
  protocol = { again = true },
  timeout = { kind = "timeout", sent = true, hint = "timeout = of contree.new gives it longer" },
  idle = { kind = "timeout", sent = true },
  file = { kind = "file", sent = true }, aborted = { kind = "cancelled", sent = true },
  too_large = { kind = "server" },
  tls = { sent = true, hint = "does this machine trust the server's certificate authority?" },
}

local function hint_of_failure(self, request, err)
  if err.kind == "file" then
    return err.message:find("No such file", 1, true) and "is its directory there?" or nil
  end
  if err.kind == "too_large" then return request.too_large end
  if self.engine and (err.kind == "closed" or err.kind == "connect") then
    return self.engine:where_to_look()
  end
  return FAILURES[err.kind] and FAILURES[err.kind].hint
end

-- What was asked of whom, unless it has to do with this machine only.
local function before_words(self, request, err)
  if err.kind == "file" then return "a local file: " end
  if err.kind == "connect" then
    return not self.unix_socket and ("cannot reach %s: "):format(self.address) or ""
  end
  return ("%s %s at %s: "):format(request.method, request.path, self.address)
end

local function transfer_error(self, request, result)
  local err = result.error
  local failure = FAILURES[err.kind] or {}
  local fields = { unsent = not failure.sent and not result.sent or nil, final = not failure.again,
    hint = hint_of_failure(self, request, err), unreached = err.kind == "connect"
      or err.kind == "resolve" or nil }
  if err.kind == "connect" and self.unix_socket and not self.engine then
    -- A socket on this machine does not come back by being asked again.
    fields.hint, fields.final, fields.unsent = "nobody listens there", true, nil
  end
  return errors.new(failure.kind or "connection",
    self.redact(before_words(self, request, err) .. err.message), fields)
end

-- Requests -----------------------------------------------------------------

local function encoded(request)
  if not request.json then return request.body end
  local text, problem = json.encode(request.json)
  if not text then errors.misuse(problem) end
  return text
end

local function start(self, request, body, seconds)
  local endless = request.sink or type(body) == "table"
  -- A stream of events may be silent between its keepalives.
  local patience = request.sink == "events" and IDLE_TIMEOUT or math.min(IDLE_TIMEOUT, self.timeout)
  return loop.transfer{
    method = request.method,
    url = self.base .. request.path .. query_string(request.query),
    unix_socket = self.unix_socket,
    headers = self.headers(request.json and "json" or request.body and "body", request.headers),
    body = body,
    sink = request.sink,
    max_body = request.max_body,
    sha256 = request.sha256,
    connect_timeout = CONNECT_TIMEOUT,
    idle_timeout = endless and patience or nil,
    timeout = not endless and seconds or nil,
    compressed = not self.unix_socket or nil,
  }
end

local function left(request)
  return request.deadline and request.deadline - core.now()
end

local function out_of_time(request)
  return errors.new("timeout", ("%s %s: out of time"):format(request.method, request.path))
end

-- The core's result, once it is there, with what is wanted of the headers.
local function result_of(handle)
  local result = handle:result()
  local status = result.status
  if status and status >= 300 then
    result.headers = handle:headers()
  else
    result.content_type = handle:header("content-type")
  end
  return result
end

-- One attempt: the core's result, or nil and an error.
local function attempt(self, request, body)
  local begun = core.now()
  local seconds = math.min(left(request) or self.timeout, self.timeout)
  if seconds <= 0 then return nil, out_of_time(request) end
  local port = start(self, request, body, seconds)
  port.inherit = request.inherit
  while not port.handle:done() do
    if not port:wait(left(request)) then
      port:cancel()
      return nil, out_of_time(request)
    end
  end
  local result = result_of(port.handle)
  if self.log then
    self.log(self.redact(("%s %s%s %s %.1f ms"):format(request.method, request.path,
      query_string(request.query), result.status or result.error and result.error.kind,
      (core.now() - begun) * 1000)))
  end
  if result.error then return nil, transfer_error(self, request, result) end
  self.reached = true
  if result.status >= 300 and not (request.accept and request.accept[result.status]) then
    return nil, status_error(self, request, result)
  end
  return result
end

-- Waits before the next attempt, or raises the error when there is none.
local function before_retry(self, request, err, tries, revival)
  if self.engine and err.unsent and request.revive ~= false then
    return self.engine:revive(revival.seen, revival)
  end
  if self.engine and self.engine:is_leaving(err, revival) then return loop.sleep(LEAVING_PAUSE) end
  local delay = retry.delay(tries, err.retry_after)
  local remaining = left(request)
  -- Where nobody has ever answered, a wrong address is likelier than a restart.
  local most = err.unreached and not self.reached and FIRST_ATTEMPTS or math.huge
  local last = tries >= math.min(self.policy.max_attempts, most) or request.retry == false
    or err.status ~= nil and err.status == request.raise
  if last or not retry.allowed(request, err) or delay > self.policy.max_delay
    or (remaining and delay > remaining)
    or (err.status == 429 and request.patience and core.now() + delay > request.patience) then
    if tries > 1 then err.message = ("%s (asked %d times)"):format(err.message, tries) end
    error(err, 0)
  end
  if self.log then self.log(("again in %.2f s: %s"):format(delay, err.message)) end
  loop.sleep(delay)
end

-- Adds the decoded body of a JSON answer.
local function decoded(request, result)
  local kind = result.content_type
  if result.body and result.body ~= "" and kind and kind:find("json", 1, true)
    and not request.raw then
    local value, problem = json.decode(result.body)
    if not value then
      errors.raise("server",
        ("%s %s: the answer is %s"):format(request.method, request.path, problem))
    end
    result.json = value
  end
  return result
end

--- Sends a request and waits for its answer.
--
-- request = { method, path, query, json | body, headers, sink, sha256,
--   accept = { [status] = true } beyond 2xx, repeatable = twice does no harm,
--   retry = false, raise = a status to raise at once, deadline = core.now() based, max_body,
--   secret = what no error may say, patience = until when a 429 is worth asking again,
--   revive = false: not worth starting an engine for, inherit = see contree.Port }
---@async
---@return table result { status, body, json, sha256, headers if not 2xx }
function client.request(self, request)
  if self.closed then errors.misuse("this client is closed") end
  if self.respond then return self.respond(request) end -- contree.testing
  local body = encoded(request)
  local tries, revival = 0, {}
  while true do
    tries = tries + 1
    if self.engine then
      revival.seen = self.engine.starts
      self.engine:check()
    end
    local result, err = attempt(self, request, body)
    if result then return decoded(request, result) end
    -- What an earlier attempt has removed is gone.
    if tries > 1 and request.method == "DELETE" and err.status == 404 then return {} end
    before_retry(self, request, err, tries, revival)
  end
end

--- Sends a request whose answer must be JSON; returns the object or list in it.
---@async
---@return table
function client.fetch(self, request)
  local result = client.request(self, request)
  if type(result.json) ~= "table" then
    errors.raise("server", ("%s %s: the answer is no JSON, but %s"):format(request.method,
      request.path, result.content_type or "of no known type"))
  end
  return result.json
end

--- The member of a JSON answer that must be there.
---@param kind? type what it must be; default "string"
function client.member(result, name, kind)
  local value = type(result.json) == "table" and result.json[name]
  if type(value) ~= (kind or "string") then
    errors.raise("server", ("the server's answer lacks %q"):format(name))
  end
  return value
end

--- Opens a stream of events; no retries. Returns once it is open.
---@async
---@return contree.Port
function client.open_events(self, request)
  if self.closed then errors.misuse("this client is closed") end
  request.method, request.sink = "GET", "events"
  if self.respond then return self.respond(request) end
  local port = start(self, request)
  while not port.handle:status() and not port.handle:done() do
    if not port:wait(left(request)) then
      port:cancel()
      error(out_of_time(request), 0)
    end
  end
  local status = port.handle:status()
  if self.log then self.log(("GET %s %s"):format(request.path, status or "failed")) end
  if status and status >= 200 and status < 300 then return port end
  while not port.handle:done() do port:wait() end
  local result = result_of(port.handle)
  error(result.error and not status and transfer_error(self, request, result)
    or status_error(self, request, result), 0)
end

---@class contree.WhoAmI
---@field token_uuid string
---@field token_expiration? integer          Unix time; nil: never
---@field permissions table<string, boolean> "list", "spawn", "spawn_disposable", "import", ...
---@field limits table<string, integer>      "instance_max_timeout", ...
---@field operations_stat table<string, integer> "running_instances", "running_imports"

--- Who the token belongs to, its rights and limits, as they are now.
---@async
---@return contree.WhoAmI
function Client:whoami()
  local answer = client.request(self, { method = "GET", path = "/whoami" })
  client.member(answer, "token_uuid")
  local found = answer.json
  for _, name in ipairs{ "permissions", "limits", "operations_stat" } do
    found[name] = json.as("table", found[name]) or {}
  end
  self.token_info = found
  return found
end

--- Takes up a session of a store where it was left, or begins it at `image`.
---@async
---@param given { store: string|contree.Sessions, id: string, image: contree.Image|string|nil }
---@return contree.Session
function Client:session(given) return require("contree.session").open(self, given) end

--- The same as it was when last asked for; `refresh` asks again.
---@async
---@param given? { refresh: boolean? }
---@return contree.WhoAmI
function Client:get_token_info(given)
  given = options.check("client:get_token_info", { refresh = options.boolean }, given)
  return not given.refresh and self.token_info or Client.whoami(self)
end

--- Ends the client; what is in flight is not waited for. In Lua 5.4 so does the
--- end of the scope of a `local client <close>`.
function Client:close()
  self.closed = true
end

return client
