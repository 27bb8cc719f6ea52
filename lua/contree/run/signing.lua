--- Secrets that are functions of ours: each signs the requests of a run to its hosts
--- (docs/use/network.md). The engine asks over a stream beside the run's events, and nothing of
--- it is stored (http-api.md §4.34).

local core = require("contree.core")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local loop = require("contree.loop")
local options = require("contree.base.options")
local tasks = require("contree.loop.task")
local wire = require("contree.wire")

local signing = {}

-- Seconds that a function may take. The airlock refuses the request after 10.
signing.LIMIT = 8
-- Requests that are signed at once, as many as the airlock asks for.
local AT_ONCE = 32
-- What was signed badly is remembered up to so many.
local ERRORS = 300
-- How often the stream is opened again, and the first pause before that.
local TRIES, PAUSE = 8, 0.05

---@class contree.SigningRequest what a program in a sandbox is about to send
---@field secret string     the name of the secret, under which the function was given
---@field method string     such as "GET"
---@field scheme string     "https", or "http"
---@field host string       in lower case
---@field port integer      such as 443
---@field path string       as it was sent, from the first slash on
---@field query? string     what follows the question mark; nil: the URL has no query
---@field headers table<string, string> by names in lower case; those that came more than once
---  are joined with ", "
---@field sha256? string    of the body, in hexadecimal, with `digest = true`; nil: without

---@class contree.Signature
---@field headers table<string, string|false> to be sent in place of those that have the same
---  name; false: to be left out

-- The request in the words of contree.SigningRequest. A server may say anything.
local function request_of(asked)
  local found = json.as("table", asked.request)
  if not found then return nil end
  local request = { secret = asked.secret, headers = {}, port = json.as("number", found.port) }
  for _, name in ipairs{ "method", "scheme", "host", "path", "query", "sha256" } do
    request[name] = json.as("string", found[name])
  end
  for _, each in ipairs(json.as("table", found.headers) or {}) do
    local name = type(each) == "table" and json.as("string", each[1])
    local value = name and json.as("string", each[2])
    if value then
      name = name:lower()
      local before = request.headers[name]
      request.headers[name] = before and before .. ", " .. value or value
    end
  end
  local whole = request.method and request.host and request.port and request.path
  return whole and request or nil
end

local function is_header(name)
  if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+.^_`|~-]+$") then
    return "names of headers"
  end
end

-- Errors never have the value.
local function is_value(value)
  if value == false then return nil end
  if type(value) ~= "string" then return ("a string or false, got a %s"):format(type(value)) end
  if value:find("%c") then return "a string without control characters" end
  if not core.is_utf8(value) then return "a string of valid UTF-8" end
end

local is_answer = options.nested{ headers = options.map(is_header, is_value) }

local function wrong(secret, words)
  errors.raise("invalid_argument", ("the function that signs with %s must return %s"):format(secret,
    words))
end

-- What the function answers, as the engine takes it.
local function ask(fn, request)
  local answer, why = tasks.timeout(signing.LIMIT, fn, request)
  if answer == nil and why ~= nil then error(why, 0) end
  local words = is_answer(answer)
  if words then wrong(request.secret, words) end
  if not answer.headers then wrong(request.secret, "a table with headers = { … }") end
  local headers = {}
  for name, value in pairs(answer.headers) do headers[name] = value or json.null end
  return { headers = headers }
end

local function note(told, request, err)
  if errors.is(err, "timeout") then
    err = errors.new("timeout", ("the function that signs with %s has not returned after %g s")
      :format(request.secret, signing.LIMIT))
  end
  if #told < ERRORS then told[#told + 1] = { request = request, err = err } end
end

---@class contree.Signing
---@field client contree.Client
---@field path string
---@field signers table<string, function>
---@field told table[]   what went wrong
---@field running integer

local function send(self, id, body)
  return pcall(wire.request, self.client, { method = "POST", json = body, revive = false,
    path = ("%s/%d"):format(self.path, id) })
end

-- Sign one request; whatever goes wrong refuses it.
local function sign(self, asked, id)
  local fn = self.signers[asked.secret]
  local request = fn and request_of(asked)
  if not request then return send(self, id, { refused = true }) end
  local ok, body = pcall(ask, fn, request)
  if not ok then
    note(self.told, request, body)
    return send(self, id, { refused = true })
  end
  local sent, err = send(self, id, body)
  if sent then return end
  note(self.told, request, err)
  if errors.is(err, "unprocessable") then send(self, id, { refused = true }) end
end

local function begin(self, asked)
  local id = json.as("number", asked.id)
  if not id or id % 1 ~= 0 then return end
  while self.running >= AT_ONCE do loop.sleep(PAUSE) end
  self.running = self.running + 1
  tasks.spawn_aside(function()
    pcall(sign, self, asked, id)
    self.running = self.running - 1
  end)
end

-- Take what is asked until the stream ends. True: nothing more will be.
local function take_all(self, port)
  while true do
    loop.pace()
    local frame = port.handle:next_event()
    if frame and frame.event == "end" then
      port:cancel()
      return true
    elseif frame and frame.event == "sign" then
      local asked = json.decode(frame.data or "")
      if asked then begin(self, asked) end
    elseif not frame and port.handle:done() then
      return false
    elseif not frame then
      port:wait()
    end
  end
end

local function is_over(err)
  return errors.is(err) and (err.status == 404 or err.status == 409 or err.status == 401
    or err.status == 403)
end

local function serve(self)
  local tries = 0
  while tries < TRIES do
    local ok, port = pcall(wire.open_events, self.client, { path = self.path,
      headers = { "Accept: text/event-stream" } })
    if ok then
      tries = 0
      if take_all(self, port) then return end
    elseif is_over(port) or self.client.closed then
      return
    end
    loop.sleep(PAUSE * 2 ^ tries)
    tries = tries + 1
  end
end

--- Sign for a run from now on, until it ends.
---@param client contree.Client
---@param uuid string  of its operation
---@param signers table<string, fun(request: contree.SigningRequest): contree.Signature>
---@return contree.Signing
function signing.start(client, uuid, signers)
  local self = { client = client, signers = signers, told = {}, running = 0,
    path = "/operations/" .. wire.segment(uuid) .. "/signing" }
  tasks.spawn_aside(function() pcall(serve, self) end)
  return self
end

-- The engine cuts long texts.
local function is_of(entry, request)
  return entry.reason == "sign" and entry.name == request.host and entry.port == request.port
    and entry.method == request.method and entry.path ~= nil
    and request.path:sub(1, #entry.path) == entry.path
end

--- Put what went wrong into the entries of a list of refusals.
---@param self contree.Signing
---@param denied? contree.DeniedList
function signing.explain(self, denied)
  for _, entry in ipairs(denied or {}) do
    for _, each in ipairs(self.told) do
      if is_of(entry, each.request) then entry.error = each.err end
    end
  end
  return denied
end

return signing
