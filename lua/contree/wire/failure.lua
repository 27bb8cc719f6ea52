--- Failures of requests as contree.Error: of an answer by its status, of a
--- transfer by what the core calls it.

local errors = require("contree.base.errors")
local json = require("contree.base.json")
local retry = require("contree.wire.retry")

local failure = {}

-- A shorter token may be an ordinary word of the text, and is not hidden.
local SECRET_LENGTH = 6

--- A function that hides a token in a text.
---@param token? string|false
---@return fun(text: string): string
function failure.redactor(token)
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

--- The kind of an error with this status.
---@param status integer
---@return string
function failure.kind_of(status)
  local sound = status >= 400 and status < 500
  return KINDS[status] or sound and "invalid_argument" or "server"
end

-- Redirects are not followed: they would take the token along.
local function hint_of(status, headers)
  local to = status >= 300 and status < 400 and headers.location or nil
  return HINTS[status] or to and ("it points to %s: is url right?"):format(to:sub(1, 200))
end

-- The message in the body of an error: {"error": text or object}, or plain text.
local function said(body)
  local value = body and body ~= "" and json.decode(body)
  local text = value and value.error
  if type(text) == "table" then text = text.message or text.detail or text.error end
  if text == nil then text = body end
  text = tostring(text or "")
  return text:match("%S") and text:sub(1, 500) or nil
end

--- The error that an answer's status and body mean.
---@return contree.Error
function failure.of_status(self, request, result)
  local status, headers = result.status, result.headers
  local text = said(result.body) or ("%s %s was refused"):format(request.method, request.path)
  text = failure.redactor(request.secret)(self.redact(text))
  return errors.new(failure.kind_of(status), ("%s [%d]"):format(text, status), {
    status = status, request = request.method .. " " .. request.path,
    hint = hint_of(status, headers),
    request_id = headers["x-request-id"] or headers["request-id"] or headers.traceparent,
    retry_after = retry.after(headers["retry-after"]),
  })
end

-- By the core's name of a failure: the kind of the error (default "connection"), its hint,
-- `again`: another attempt may succeed, `sent`: count the request as sent, whether or not a
-- byte of it has left us.
local FAILURES = {
  connect = { again = true }, resolve = { again = true }, closed = { again = true },
  protocol = { again = true },
  timeout = { kind = "timeout", sent = true, remedy = { "answer" } },
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

-- The beginning of the message: the request and the server, unless this machine failed.
local function before_words(self, request, err)
  if err.kind == "file" then return "a local file: " end
  if err.kind == "connect" then
    return not self.unix_socket and ("cannot reach %s: "):format(self.address) or ""
  end
  return ("%s %s at %s: "):format(request.method, request.path, self.address)
end

--- The error of a transfer that failed.
---@param result table with `error`, as the core gives it
---@return contree.Error
function failure.of_transfer(self, request, result)
  local err = result.error
  local known = FAILURES[err.kind] or {}
  local fields = { unsent = not known.sent and not result.sent or nil, final = not known.again,
    hint = hint_of_failure(self, request, err), remedy = known.remedy,
    unreached = err.kind == "connect" or err.kind == "resolve" or nil }
  if err.kind == "connect" and self.unix_socket and not self.engine then
    -- Another attempt does not help: we start no engine on this socket.
    local denied = err.message:find("Permission denied", 1, true)
    fields.hint = denied and "its engine serves its own user, with --group also the socket's group"
      or "nobody listens there"
    fields.final, fields.unsent = true, nil
  end
  return errors.new(known.kind or "connection",
    self.redact(before_words(self, request, err) .. err.message), fields)
end

return failure
