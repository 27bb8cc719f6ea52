--- Orders to the processes of a running operation (http-api.md §4.13 to §4.16).
--- Number 1 is the operation's main process.

local errors = require("contree.base.errors")
local follow = require("contree.wire.follow")
local json = require("contree.base.json")
local loop = require("contree.loop")
local stdio = require("contree.base.stdio")
local wire = require("contree.wire")

local control = {}

local PIECE = 1048576 -- of input, in one request
local JSON_PIECE = 262144 -- the same as JSON, which takes longer to encode
local LARGE = 16384   -- from this size on, input is sent as plain bytes
local PAUSE = 0.2     -- before input that the pipe had no room for is sent again

-- Signals travel by name. The numbers of these are the same on all architectures of Linux.
local NAMES = { "HUP", "INT", "QUIT", [6] = "ABRT", [9] = "KILL", [10] = "USR1", [12] = "USR2",
  [13] = "PIPE", [14] = "ALRM", [15] = "TERM", [18] = "CONT", [19] = "STOP" }

--- Check of a signal: "TERM", "SIGTERM" or 15.
function control.is_signal(value)
  local kind = type(value)
  local good = kind == "number" and value % 1 == 0 and value >= 1 and value <= 64
    or kind == "string" and value:match("^%u[%u%d+-]*$")
  if not good then return 'a signal: "TERM", "SIGTERM" or a number' end
end

local function signal_name(value)
  if type(value) == "number" then return NAMES[value] or ("%d"):format(value) end
  return (value:gsub("^SIG", ""))
end

local function path_of(self, spid, rest)
  local path = "/operations/" .. wire.segment(self.uuid) .. "/subprocesses"
  return spid and ("%s/%d%s"):format(path, spid, rest or "") or path
end

-- Wait until a process has started; false when it has ended already.
local function await_start(self, spid, deadline)
  local follower = follow.new(self.client, self.uuid, { spid = spid })
  local event
  repeat
    event = follower:next(deadline)
    local kind = event and event.type
  until not event or kind == "spawn" or kind == "exit" or kind == "completion"
  follower:close()
  return event ~= nil and event.type == "spawn"
end

--- Sends a request that needs a running process. A process that has just been asked for is
--- waited for.
---@async
---@param self table { client, uuid = the operation's }
---@param send? function in place of wire.request
---@return any answer
function control.order(self, spid, request, send)
  send = send or wire.request
  request.raise = 425
  local ok, answer = pcall(send, self.client, request)
  if ok then return answer end
  if not errors.is(answer) or answer.status ~= 404 and answer.status ~= 425 then
    error(answer, 0)
  end
  if not await_start(self, spid, request.deadline) then
    errors.raise("conflict", "the operation is not running any more")
  end
  request.raise = nil
  return send(self.client, request)
end

local order = control.order

--- Whether an error says that the process can take no order any more: it has ended, or has
--- closed its input.
function control.is_over(err)
  return errors.is(err) and (err.status == 404 or err.status == 410 or err.kind == "conflict")
end

-- Whether input may be sent as plain bytes: a local engine takes these.
local function takes_bytes(self) return self.client.extended and not self.client.wants_json end

local function request_to_write(self, spid, bytes, close)
  local request = { method = "POST", path = path_of(self, spid, "/stdin") }
  if takes_bytes(self) and #bytes >= LARGE then
    request.body, request.query = bytes, { close = close }
  else
    request.json = stdio.encode(bytes)
    request.json.close = close
  end
  return request
end

local function write_piece(self, spid, bytes, close)
  while true do
    local request = request_to_write(self, spid, bytes, close)
    local ok, err = pcall(order, self, spid, request)
    if ok then return end
    local too_new = request.body and errors.is(err) and err.status == 400
    if too_new then
      self.client.wants_json = true
      return write_piece(self, spid, bytes, close)
    end
    -- The process has not read its earlier input: give it time.
    if not errors.is(err, "rate_limited") then error(err, 0) end
    loop.sleep(math.min(err.retry_after or PAUSE, self.client.policy.max_delay))
  end
end

--- Sends bytes to a process's input; returns when the server has them.
---@async
---@param self table { client, uuid = the operation's }
---@param close boolean ends the input after them
function control.write(self, spid, bytes, close)
  local at = 1
  while at <= #bytes or close and at == 1 do
    local size = takes_bytes(self) and PIECE or JSON_PIECE
    write_piece(self, spid, bytes:sub(at, at + size - 1), close and at + size > #bytes)
    at = at + size
  end
end

--- Sends all the rest of a process's input, as fast as it is read, and ends it.
---@async
---@param reader fun(): string?, integer? bytes, and where they begin in them
function control.stream(self, spid, reader)
  if not takes_bytes(self) or not self.client.has_records then
    for chunk, from in reader do
      control.write(self, spid, from and chunk:sub(from) or chunk, false)
    end
    return control.write(self, spid, "", true)
  end
  local ok, err = pcall(wire.request, self.client, { method = "POST",
    path = path_of(self, spid, "/stdin/stream"), headers = { "Expect: 100-continue" },
    body = { chunks = true }, feed = function() return reader end,
    patient = true, retry = false, revive = false })
  -- The engine hangs up when the process reads no more; if the engine itself has ended, the
  -- operation says so.
  if not ok and not errors.is(err, "connection") then error(err, 0) end
end

-- What an engine or another server answers that cannot do this.
local UNABLE = { [400] = true, [403] = true, [404] = true, [405] = true, [422] = true,
  [501] = true }

--- Lets a local engine read the rest of a process's input from a file of ours.
---@async
---@param file userdata of core.open_file
---@param offset integer where the rest begins
---@return boolean done false: send it
function control.hand_over(self, spid, file, offset)
  if not takes_bytes(self) then return false end
  local what = file:describe()
  if not what then return false end
  local ok, err = pcall(wire.request, self.client, { method = "POST",
    path = path_of(self, spid, "/stdin/descriptor"),
    json = { fd = what.fd, inode = what.inode, offset = offset } })
  if not ok and not (errors.is(err) and UNABLE[err.status]) then error(err, 0) end
  return ok
end

--- Sends a signal.
---@async
---@param family? boolean also to all that the process has started (local engine)
---@return boolean sent false when the process had ended before
function control.kill(self, spid, signal, deadline, family)
  local ok, err = pcall(order, self, spid, { method = "DELETE", path = path_of(self, spid),
    query = { signal = signal_name(signal), family = family }, deadline = deadline })
  if not ok and not (control.is_over(err) and err.status ~= 404) then error(err, 0) end
  return ok
end

--- Starts another process.
---@async
---@return integer spid
---@return boolean tty whether it has the terminal that was asked for
---@return integer? since the event before its first (local engine)
---@return table? result when it has ended already (`headers` ask a local engine to wait for that)
function control.spawn(self, body, headers)
  local answer = order(self, 1, { method = "POST", path = path_of(self), json = body,
    headers = headers })
  return math.floor(wire.member(answer, "spid", "number")), answer.json.tty ~= nil,
    tonumber(answer.json.since), json.as("table", answer.json.result)
end

--- Gives a process's terminal another size (http-api.md §4.30).
---@async
function control.resize(self, spid, rows, cols)
  order(self, spid, { method = "POST", path = path_of(self, spid, "/tty"),
    json = { rows = rows, cols = cols } })
end

--- Closes a process's terminal: it gets SIGHUP.
---@async
---@return boolean sent false when the process had ended before
function control.hang_up(self, spid)
  local ok, err = pcall(order, self, spid,
    { method = "DELETE", path = path_of(self, spid, "/tty") })
  if not ok and not control.is_over(err) then error(err, 0) end
  return ok
end

--- What is known of a process (http-api.md §4.14).
---@async
function control.state(self, spid, deadline)
  return wire.fetch(self.client,
    { method = "GET", path = path_of(self, spid), deadline = deadline })
end

--- The operation, as the server knows it (http-api.md §5.10).
---@async
function control.operation(self, deadline)
  return wire.fetch(self.client,
    { method = "GET", path = "/operations/" .. wire.segment(self.uuid), deadline = deadline })
end

return control
