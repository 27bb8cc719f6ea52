--- contree for OpenResty, and for nginx with its Lua module: what `require("contree.safe")`
--- returns, and what handlers need beside it.
--
--   local contree = require("resty.contree")
--   local image = contree.new("unix:/run/contree/engine.sock").images:use("busybox:latest")
--
-- opm installs this file alone (dist.ini). The module itself has a part in C, which opm
-- cannot install: docs/use/hosts/openresty.md.

local function fail_to_load(what, fix, problem)
  error(("resty.contree: %s; %s\n%s"):format(what, fix, problem), 0)
end

-- `require`, with what to do about a module that is missing.
local function need(name, what, fix)
  local ok, found = pcall(require, name)
  if not ok then fail_to_load(what, fix, found) end
  return found
end

local ngx = rawget(_G, "ngx")
if not ngx then
  error("resty.contree: this is for nginx; other programs use require(\"contree\")", 0)
end

need("ngx.semaphore", "lua-resty-core is missing",
  "OpenResty has it; Debian: apt install lua-resty-core")
local cjson = need("cjson", "lua-cjson is missing",
  "OpenResty has it; Debian: apt install lua-cjson")
local safe = need("contree.safe", "the contree module is missing",
  "install it for LuaJIT, or name its folders with lua_package_path and lua_package_cpath "
  .. "(docs/use/hosts/openresty.md)")

-- Misuse raises, and nginx calls a raised object "unknown reason": so that the log has the reason.
require("contree.base.errors").on_misuse(function(err) ngx.log(ngx.ERR, tostring(err)) end)

-- What the request is answered with; 500 for other kinds.
local STATUS = { rate_limited = 429, conflict = 409, engine_unavailable = 503, connection = 503,
  cancelled = 503, timeout = 504, server = 502 }
-- What the `exit` event tells of a result.
local TOLD = { "exit_code", "signal", "timed_out", "limit", "duration", "stdout_truncated",
  "stderr_truncated", "uuid" }

---@class resty.contree : contree.safe for handlers of OpenResty
---@field silence number seconds without output after which a stream sends a comment, so that no
---  proxy gives it up; 15 unless it is changed
local resty = setmetatable({ silence = 15 }, { __index = safe })

--- Answers the request for an error: 429 with `Retry-After` for rate_limited, 409 for conflict,
--- 503, 504 or 502 when the engine or the service cannot be reached, 500 for everything else. The
--- body is JSON with the `kind`; the message goes to nginx's log only. If part of an answer has
--- been sent, the connection is cut, so that nobody takes the part for the whole. Does not return.
---     if not result then return contree.fail(err) end
--- Raises: nothing.
---@param err contree.Error
function resty.fail(err)
  ngx.log(ngx.ERR, tostring(err))
  if ngx.headers_sent then ngx.exit(ngx.ERROR) end
  local kind = safe.is_error(err) and err.kind or "internal"
  ngx.status = STATUS[kind] or 500
  if kind == "rate_limited" then
    ngx.header.retry_after = math.ceil(math.max(err.retry_after or 1, 1))
  end
  ngx.header.content_type = "application/json"
  ngx.say(cjson.encode{ error = kind })
  ngx.exit(ngx.HTTP_OK)
end

-- Server-sent events ------------------------------------------------------------------

-- A text up to its last whole character, and the rest.
local function whole_characters(text)
  local at, lead = text:match("()([\194-\244])[\128-\191]*$")
  if not at then return text, "" end
  local byte = lead:byte()
  local length = byte < 224 and 2 or byte < 240 and 3 or 4
  if #text - at + 1 >= length then return text, "" end
  return text:sub(1, at - 1), text:sub(at)
end

---@class resty.contree.Stream the answer to a request, in events
---@field id integer             of the last event
---@field rest table             stream -> the bytes of a character that is not whole
---@field open boolean           the header has been sent
---@field last number            when something was sent last
---@field gone boolean           nobody reads it any more
---@field task contree.Task      the run

-- Sends something, or cancels the run when the client has left.
local function send(self, text)
  if not ngx.print(text) or not ngx.flush(true) then
    self.gone = true
    self.task:cancel()
  end
  self.last = ngx.now()
end

local function open(self)
  if self.open then return end
  self.open = true
  ngx.header.content_type = "text/event-stream"
  ngx.header.cache_control = "no-cache"
  ngx.header["X-Accel-Buffering"] = "no" -- an nginx in front of this one passes it on at once
  send(self, ":\n\n")
end

local function event(self, name, data)
  open(self)
  self.id = self.id + 1
  send(self, ("id: %d\nevent: %s\ndata: %s\n\n"):format(self.id, name, cjson.encode(data)))
end

local function output(self, name)
  return function(chunk)
    local text
    text, self.rest[name] = whole_characters((self.rest[name] or "") .. chunk)
    if text ~= "" then event(self, name, text) end
  end
end

local function keep_alive(self)
  while not self.gone do
    ngx.sleep(resty.silence)
    ngx.update_time()
    if self.open and ngx.now() - self.last >= resty.silence then send(self, ":\n\n") end
  end
end

local function finish(self, result, err)
  for name, rest in pairs(self.rest) do
    if rest ~= "" then event(self, name, rest) end
  end
  if err then return event(self, "failed", { kind = err.kind }) end
  local told = {}
  for _, name in ipairs(TOLD) do told[name] = result[name] end
  event(self, "exit", told)
end

-- The options of the run, with our own functions for what comes.
local function options_of(self, options)
  local made = {}
  for name, value in pairs(type(options) == "string" and { shell = options } or options) do
    made[name] = value
  end
  local also = made.on_event
  made.stdout, made.stderr = output(self, "stdout"), output(self, "stderr")
  made.on_event = function(what)
    if what.type == "spawn" then open(self) end
    if also then also(what) end
  end
  return made
end

--- Runs a command and sends its output to the client while it is written, as server-sent
--- events (`text/event-stream`, for a browser's EventSource): `stdout` and `stderr` with a
--- JSON string each, at the end `exit` with `exit_code`, `signal`, `timed_out`, `limit`,
--- `duration`, or `failed` with `kind`. Bytes that are no UTF-8 arrive as U+FFFD. Comments keep
--- a silent stream open. When the client leaves, the run is cancelled. An EventSource that
--- connects again is answered 204, so that nothing is run twice.
--- An error before the command has begun (`rate_limited`, `not_found`) is returned, and nothing
--- has been sent: `contree.fail` answers it.
---     local result, err = contree.stream(image, { shell = "make", queue_timeout = 2 })
---     if err then return contree.fail(err) end
--- Raises: misuse (as a string, which nginx logs).
---@param target contree.Image|contree.Session what runs it
---@param options contree.RunOptions|string as of run, without stdout and stderr; a string is
---  the shell command
---@return contree.Result? result
---@return contree.Error? err
function resty.stream(target, options)
  if ngx.var.http_last_event_id then return ngx.exit(ngx.HTTP_NO_CONTENT) end
  local self = { id = 0, rest = {}, open = false, last = ngx.now(), gone = false }
  local caller = debug.getinfo(2, "Sl")
  local here = ("%s:%d"):format(caller.short_src, caller.currentline)
  local made = options_of(self, options)
  local silence = ngx.thread.spawn(keep_alive, self)
  self.task = safe.spawn(function() return target:run(made) end)
  local ok, result, err = pcall(self.task.wait, self.task)
  if self.gone then ngx.exit(499) end
  if not ok or err then (err or result).where = here end
  -- nginx logs a raised string, and calls any other value "unknown reason".
  if not ok then error(tostring(result), 0) end
  if self.open then finish(self, result, err) end
  ngx.thread.kill(silence)
  return result, err
end

return resty
