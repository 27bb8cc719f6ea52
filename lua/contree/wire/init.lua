--- Requests to the server: one request() that every call goes through. It adds
--- address and credentials, encodes and decodes JSON, and repeats what may be
--- repeated. `self` is the contree.Client.

local core = require("contree.core")
local errors = require("contree.base.errors")
local failure = require("contree.wire.failure")
local json = require("contree.base.json")
local loop = require("contree.loop")
local retry = require("contree.wire.retry")

local wire = {}

local CONNECT_TIMEOUT = 10
local FIRST_ATTEMPTS = 3      -- to reach a server that has never answered
local LEAVING_PAUSE = 0.05    -- before a request is sent again to an engine that is about to end
local IDLE_TIMEOUT = 60       -- seconds without a byte, for bodies of unknown length
local PLAIN = {}              -- the key of requests without headers of their own

-- Addresses ----------------------------------------------------------------

local function escape(char) return ("%%%02X"):format(char:byte()) end

--- Percent-encodes a path segment, "/" included.
function wire.segment(text) return (text:gsub("[^%w%-._~]", escape)) end

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

-- Requests -----------------------------------------------------------------

-- No server takes a longer address. Some hang up while it is sent, as one does that has ended.
local URL_MAX = 65536

local function encoded(request)
  if not request.json then return request.body end
  local text, problem = json.encode(request.json)
  if not text then errors.misuse(problem) end
  return text
end

local function description(self, request, streamed)
  -- A stream of events may be silent between its keepalives.
  local patience = request.events and IDLE_TIMEOUT or math.min(IDLE_TIMEOUT, self.timeout)
  patience = math.max(patience, request.lasting or 0)
  return {
    method = request.method,
    unix_socket = self.unix_socket,
    headers = self.headers(request.json and "json" or request.body and "body", request.headers),
    sink = request.sink,
    max_body = request.max_body,
    sha256 = request.sha256,
    connect_timeout = CONNECT_TIMEOUT,
    idle_timeout = streamed and not request.patient and patience or nil,
    compressed = not self.unix_socket or nil,
  }
end

-- What small requests of the same kind have in common is told to the core once. Only the
-- caller's own table of headers is known again: `self.prepared` is keyed by these, weakly.
-- Nil while the program ends: the request may be finalised, or would never be.
local function prepared(self, request)
  if request.sink or request.body or request.max_body or request.sha256 or loop.leaving then
    return nil
  end
  local kinds = self.prepared[request.headers or PLAIN]
  if not kinds then
    kinds = {}
    self.prepared[request.headers or PLAIN] = kinds
  end
  local kind = request.json and request.method .. " json" or request.method
  local found = kinds[kind]
  if not found then
    found = core.request(description(self, request))
    kinds[kind] = found
  end
  return found:usable() and found
end

local function start(self, request, body, seconds)
  local url = self.base .. request.path
  if request.query then url = url .. query_string(request.query) end
  if #url > URL_MAX then
    errors.raise("invalid_argument", ("a name or a path is too long: the address of the request "
      .. "would have %d bytes, and may have %d"):format(#url, URL_MAX))
  end
  local known = prepared(self, request)
  if known then return loop.transfer(known, url, body, seconds) end
  local streamed = request.sink or type(body) == "table"
  return loop.transfer(description(self, request, streamed), url, body,
    not streamed and seconds or nil)
end

local function left(request)
  return request.deadline and request.deadline - core.now()
end

local function out_of_time(request)
  return errors.new("timeout", ("%s %s: out of time"):format(request.method, request.path))
end

-- The result of a finished transfer, with the headers that are needed.
local function result_of(handle)
  local result
  local status, body, content_type, sha256 = handle:answer()
  if not status then
    result = handle:result()
    if result.status and result.status >= 300 then result.headers = handle:headers() end
  else
    result = { status = status, body = body, content_type = content_type, sha256 = sha256 }
    if status >= 300 then result.headers = handle:headers() end
  end
  handle:close()
  return result
end

local function log_attempt(self, request, result, begun)
  self.log(self.redact(("%s %s%s %s %.1f ms"):format(request.method, request.path,
    query_string(request.query), result.status or result.error and result.error.kind,
    (core.now() - begun) * 1000)))
end

-- Send a body in chunks, which a function returns until it returns nil, as fast as the server
-- takes them; beside one, where it begins in it. An answer that comes before the end is final.
local function feed(port, next_chunk)
  local handle = port.handle
  local ok, problem = pcall(function()
    for chunk, from in next_chunk do
      from = from or 1
      while from <= #chunk do
        local taken = handle:write(chunk, from)
        if taken then
          from = taken
          loop.pace()
        elseif handle:done() or handle:status() then
          return
        else
          port:wait()
        end
      end
    end
    handle:finish()
  end)
  if ok then return end
  port:cancel()
  error(problem, 0)
end

-- Give the body to a function as it comes, until the transfer has no more for now. That of a
-- refusal is kept for the error.
local function drain(port, take, refusal)
  local handle = port.handle
  local ok, problem = pcall(function()
    for bytes in function() return handle:read() end do
      if handle:status() < 300 then take(bytes) else refusal[#refusal + 1] = bytes end
      loop.pace()
    end
  end)
  if ok then return end
  port:cancel()
  error(problem, 0)
end

-- One attempt: the core's result, or nil and an error.
local function attempt(self, request, body)
  local begun = self.log and core.now()
  local seconds = math.max(request.lasting or 0, self.timeout)
  if request.deadline then
    seconds = math.min(left(request), seconds)
    if seconds <= 0 then return nil, out_of_time(request) end
  end
  local port = start(self, request, body, seconds)
  port.inherit = request.inherit
  if request.feed then feed(port, request.feed()) end
  local take, refusal = request.take and request.take(), nil
  if take then refusal = {} end
  while not port.done do
    if not port:wait(left(request)) then
      port:cancel()
      return nil, out_of_time(request)
    end
    if take then drain(port, take, refusal) end
  end
  if take then drain(port, take, refusal) end
  local result = result_of(port.handle)
  if take then result.body = result.body or table.concat(refusal) end
  if begun then log_attempt(self, request, result, begun) end
  if result.error then return nil, failure.of_transfer(self, request, result) end
  self.reached = true
  if result.status >= 300 and not (request.accept and request.accept[result.status]) then
    return nil, failure.of_status(self, request, result)
  end
  return result
end

-- Whether the error of an attempt is final.
local function is_final(self, request, err, tries)
  -- When the server has never answered, a wrong address is likelier than a restart.
  local most = err.unreached and not self.reached and FIRST_ATTEMPTS or math.huge
  return tries >= math.min(self.policy.max_attempts, most) or request.retry == false
    or err.status ~= nil and err.status == request.raise or not retry.allowed(request, err)
end

-- Whether an attempt after `delay` seconds would be too late.
local function is_too_late(self, request, err, delay)
  local at = core.now() + delay
  return delay > self.policy.max_delay or request.deadline and at > request.deadline
    or err.status == 429 and request.patience and at > request.patience
end

-- Wait before the next attempt, or raise the error when this was the last one.
local function before_retry(self, request, err, tries, revival)
  if self.engine and err.unsent and request.revive ~= false then
    return self.engine:revive(revival.seen, revival)
  end
  if self.engine and self.engine:is_leaving(err, revival) then return loop.sleep(LEAVING_PAUSE) end
  local delay = retry.delay(tries, err.retry_after)
  if is_final(self, request, err, tries) or is_too_late(self, request, err, delay) then
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
-- The fields of a request:
--   method, path, query, json or body, headers, sink, sha256, max_body
--   patient      the server may stop reading for as long as it likes
--   feed         returns for each attempt a function that returns the chunks of the body, then
--                nil; with body = { chunks = true }
--   take         returns for each attempt a function that is given the body in pieces; with
--                sink = "chunks"
--   accept       { [status] = true }: results although they are not 2xx
--   repeatable   sending it twice does no harm
--   retry        false: one attempt only
--   raise        a status that is not asked again
--   lasting      seconds that it may take although no byte travels
--   deadline     of core.now()
--   patience     time of core.now() until which a 429 is asked again
--   secret       a text that no error may contain
--   revive       false: do not start an engine for it
--   inherit      see contree.Port
---@async
---@return table result { status, body, json, sha256, headers if not 2xx }
function wire.request(self, request)
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
    -- An earlier attempt has removed it.
    if tries > 1 and request.method == "DELETE" and err.status == 404 then return {} end
    before_retry(self, request, err, tries, revival)
  end
end

--- Sends a request whose answer must be JSON; returns the object or list in it.
---@async
---@return table
function wire.fetch(self, request)
  local result = wire.request(self, request)
  if type(result.json) ~= "table" then
    errors.raise("server", ("%s %s: the answer is no JSON, but %s"):format(request.method,
      request.path, result.content_type or "of no known type"))
  end
  return result.json
end

--- The member of a JSON answer that must be there.
---@param kind? type what it must be; default "string"
function wire.member(result, name, kind)
  local value = type(result.json) == "table" and result.json[name]
  if type(value) ~= (kind or "string") then
    errors.raise("server", ("the server's answer lacks %q"):format(name))
  end
  return value
end

--- Opens a stream of events; no retries. Returns once it is open. `request.sink` may say
--- to which files output goes.
---@async
---@return contree.Port
function wire.open_events(self, request)
  if self.closed then errors.misuse("this client is closed") end
  request.method, request.events = "GET", true
  request.sink = request.sink or "events"
  if self.respond then return self.respond(request) end
  local port = start(self, request)
  while not port.handle:status() and not port.done do
    if not port:wait(left(request)) then
      port:cancel()
      error(out_of_time(request), 0)
    end
  end
  local status = port.handle:status()
  if self.log then self.log(("GET %s %s"):format(request.path, status or "failed")) end
  if status and status >= 200 and status < 300 then return port end
  while not port.done do port:wait() end
  local result = result_of(port.handle)
  error(result.error and not status and failure.of_transfer(self, request, result)
    or failure.of_status(self, request, result), 0)
end

return wire
