--- Follows an operation's events to their end, whatever happens to the
--- connection: resumes after the last event seen, and falls back to polling
--- where a server has no event stream (http-api.md §6, §7).

local core = require("contree.core")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local loop = require("contree.loop")
local printed = require("contree.base.printed")
local retry = require("contree.wire.retry")
local text = require("contree.base.text")
local wire = require("contree.wire")

local follow = {}

local NO_PROGRESS_PAUSE = 0.5
local DRAINS = 3          -- reads of a finished log that lacks its end
local MALFORMED = 5       -- broken frames in a row before we give up

local RECORDS = "Accept: application/vnd.contree.records, text/event-stream"
-- Output that the engine keeps in a file need not travel: we read it there.
local SPOOLED = RECORDS:gsub("records", "%0;spool=1")

local TERMINAL = { SUCCESS = true, FAILED = true, CANCELLED = true }

--- Whether a status is final.
function follow.is_terminal(status) return TERMINAL[status] or false end

---@class contree.Follower
---@field cursor? integer id of the last event seen
---@field final? table the operation, when a poll found it terminal
local Follower = {}
Follower.__index = Follower

---@class contree.FollowChoice
---@field since? integer   the id of the last event that was seen
---@field spid? integer    only of this process
---@field without? string  a type of events that nobody wants
---@field output? table    that of its process `spid` may come as bytes; `stdout`, `stderr`: files
---  that it is written to, `buffers`: a function that returns buffers of the core for both; then
---  it is no event, and `count` has the numbers of bytes
---@field hangup? integer  the process whose terminal is hung up when the connection ends

---@param self contree.Client
---@param uuid string of the operation
---@param choice? contree.FollowChoice
---@return contree.Follower
function follow.new(self, uuid, choice)
  choice = choice or {}
  return setmetatable({ client = self, uuid = uuid, path = "/operations/" .. wire.segment(uuid),
    since = choice.since, spid = choice.spid, without = choice.without, hangup = choice.hangup,
    output = choice.output, tries = 0, drains = 0, malformed = 0 }, Follower)
end

local function check_deadline(self, deadline)
  if deadline and core.now() >= deadline then
    self:close()
    errors.raise("timeout", ("the operation %s has not ended in time"):format(self.uuid))
  end
end

local function pause(self, seconds, deadline)
  seconds = math.min(seconds, math.max(self.client.policy.max_delay, NO_PROGRESS_PAUSE))
  if deadline then seconds = math.min(seconds, math.max(0, deadline - core.now())) end
  loop.sleep(seconds)
end

-- Whether an error may go away by itself: the server says "later", or did not answer.
local function transient(err)
  return errors.is(err) and (err.kind == "connection" and not err.final or err.kind == "timeout"
    or err.status == 410 or err.status == 425 or err.status == 429
    or (err.status or 0) >= 500 and err.status ~= 501)
end

-- Count a failure, and raise it after too many in a row.
local function failed(self, err)
  self.tries = self.tries + 1
  if self.tries >= self.client.policy.max_attempts then error(err, 0) end
end

-- The operation as it is now; nil and the error when the server cannot say now.
local function probe(self, deadline)
  local ok, found = pcall(wire.fetch, self.client,
    { method = "GET", path = self.path, retry = false, deadline = deadline })
  if ok then
    self.tries = 0
    if TERMINAL[found.status] then self.final = found end
    return found
  end
  if not transient(found) then error(found, 0) end
  check_deadline(self, deadline)
  if found.status ~= 425 and found.status ~= 410 then failed(self, found) end
  return nil, found
end

local function connect(self, deadline)
  local query = { follow = not self.final, spid = self.spid, since = self.since,
    without = self.client.extended and self.without, -- only our engine knows it
    hangup = self.hangup }
  local headers = { "Accept: text/event-stream" }
  local output, sink = self.output, nil
  if output and self.client.extended and not self.client.wants_json then
    local spool = not self.client.sees_no_spool
    headers[1] = spool and SPOOLED or RECORDS
    sink = { events = true, spid = output.count and output.spid, stdout = output.stdout,
      stderr = output.stderr, spool = spool and self.uuid .. ".raw" or nil }
  end
  if self.cursor then headers[2] = "Last-Event-Id: " .. self.cursor end
  self.moved, self.written = false, { stdout = 0, stderr = 0 }
  local port = wire.open_events(self.client, { path = self.path .. "/events", query = query,
    headers = headers, deadline = deadline, sink = sink })
  self.client.has_records = self.client.has_records
    or port.handle:header("content-type") == "application/vnd.contree.records"
  return port
end

-- A completion event made from the operation's final state.
local function synthetic(self)
  local operation = self.final
  self.over = true
  return {
    id = (self.cursor or -1) + 1, type = "completion", synthetic = true,
    data = {
      status = operation.status, error = operation.error,
      result_image_uuid = operation.result_image_uuid,
      duration_ms = math.floor((tonumber(operation.duration) or 0) * 1000 + 0.5),
    },
  }
end

-- Called when the stream could not be opened or has ended without a completion event: find
-- out whether the operation goes on. Returns a completion event when the stream has none.
local function recover(self, deadline, err)
  if not self.final then probe(self, deadline) end
  if self.final then
    self.drains = self.drains + 1
    if self.drains > DRAINS or self.polling then return synthetic(self) end
    if self.drains > 1 then pause(self, NO_PROGRESS_PAUSE, deadline) end
  elseif err then
    pause(self, err.retry_after and retry.delay(1, err.retry_after)
      or retry.delay(self.tries + 1), deadline)
  elseif not self.moved then
    pause(self, NO_PROGRESS_PAUSE, deadline)
  end
end

-- Whether the server has no event streams, or has forgotten this one.
local function lacks_stream(err)
  local status = errors.is(err) and err.status
  return status == 400 or status == 404 or status == 405 or status == 406 or status == 501
end

local function open(self, deadline)
  local ok, port = pcall(connect, self, deadline)
  if ok then
    self.port = port
    self.tries = 0
    return
  end
  if lacks_stream(port) then
    self.polling = true
  elseif transient(port) then
    check_deadline(self, deadline)
    if port.kind == "connection" and self.client.engine then
      -- The probe starts an engine that has ended again.
      self.tries = 0
    elseif port.status ~= 410 and port.status ~= 425 then
      failed(self, port)
    end
    return recover(self, deadline, port)
  else
    error(port, 0)
  end
end

local function poll(self, deadline)
  local step = 0
  while not self.final do
    step = step + 1
    local operation, err = probe(self, deadline)
    if operation and TERMINAL[operation.status] then break end
    check_deadline(self, deadline)
    pause(self, retry.delay(step, err and err.retry_after), deadline)
  end
  return synthetic(self)
end

-- Count a broken frame; it is fetched again a few times.
local function malformed(self, what, for_good)
  self.malformed = self.malformed + 1
  if for_good or self.malformed >= MALFORMED then
    self:close()
    errors.raise("server", "the event stream is broken: " .. what)
  end
end

-- Move the cursor to an id. False when that event was seen before: a server that does not
-- know our cursor begins with the first event.
local function advance(self, id)
  if not id then return true end
  if self.cursor and id <= self.cursor then return false end
  self.cursor, self.moved = id, true
  return true
end

-- Take note of the output that the core has written to files.
local function note_written(self)
  local id, out, err = self.port.handle:written()
  if not id then return end
  local count, written = self.output.count, self.written
  count.stdout = count.stdout + out - written.stdout
  count.stderr = count.stderr + err - written.stderr
  written.stdout, written.stderr = out, err
  advance(self, id)
end

---@class contree.Event what happened in an operation (http-api.md §5.17); printed, it is a line
---@field id integer      from 0, rising
---@field ts? string      when, as the server writes times; nil for some output
---@field type string     "init", "spawn", "stdin", "stdout", "stderr", "exit", "shutdown",
---  "completion", …
---@field spid? integer   of which process: 1 is the main one; 0, or nil: the sandbox
---@field data? table     what the type says (http-api.md §5.18); nil for some output
---@field bytes? string   what was written; nil for other types

-- What an event says beside its type.
local function details_of(event)
  local data = event.data or {}
  local bytes = event.bytes or json.as("string", data.value)
  if bytes then return "  " .. text.quoted(bytes) end
  local signal = json.as("number", data.signal)
  if event.type ~= "exit" then return data.status and "  " .. tostring(data.status) or "" end
  return signal and signal > 0 and "  signal " .. signal or "  exit " .. tostring(data.code)
end

local print_event = printed.record(function(self)
  local process = self.spid and self.spid > 1 and (" of process %d"):format(self.spid) or ""
  return ("%s  %s%s%s"):format(self.id or "-", self.type, process, details_of(self))
end)

-- The event in a frame; nil when it holds none; nil and true when the stream must be opened
-- again. The cursor does not pass a broken frame.
local function event_of(self, frame)
  if frame == true then return nil end -- output went to its file or buffer
  local event, problem
  local unwanted = frame.event == "sse_error"
    or self.without and frame.id and frame.event == self.without
  if frame.bytes and not unwanted then
    event = { id = frame.id, type = frame.event, spid = frame.spid, bytes = frame.bytes }
  elseif frame.data and not unwanted then
    event, problem = json.decode(frame.data)
    if not event then
      malformed(self, problem)
      return nil, true
    end
    self.malformed = 0
  end
  local id = tonumber(frame.id) or event and tonumber(event.id)
  if not advance(self, id) or not event then return nil, frame.event == "sse_error" end
  if type(event.type) ~= "string" then return nil end
  event.data = type(event.data) == "table" and event.data or {}
  return print_event(event)
end

local function none() end

-- The next event of the open stream, or nil when it has ended.
local function read(self, deadline)
  local handle, buffers = self.port.handle, self.output and self.output.buffers or none
  while true do
    -- Also while frames come: a server may repeat old events for ever.
    check_deadline(self, deadline)
    -- It may wait, and a frame that was taken must not be lost then.
    loop.pace()
    note_written(self)
    local frame, problem = handle:next_event(buffers())
    if problem then
      self:close()
      errors.raise("file", problem)
    elseif frame then
      local event, broken = event_of(self, frame)
      if event then return event end
      if broken then break end
    elseif handle:done() then
      local err = handle:result().error
      if err and err.kind == "file" then
        self:close()
        errors.raise("file", err.message)
      end
      if err and err.kind == "spool" then
        self.client.sees_no_spool, self.moved = true, true
      end
      local endless = err and err.kind == "too_large"
      if endless or err and err.kind == "protocol" then malformed(self, err.message, endless) end
      break
    else
      self.port:wait(deadline and math.max(0, deadline - core.now()))
    end
  end
  self:close()
end

--- The next event: { id, ts, type, spid, data }; nil after the completion.
---@async
---@param deadline? number of core.now()
---@return table? event
function Follower:next(deadline)
  while not self.over do
    check_deadline(self, deadline)
    local event
    if self.polling then
      event = poll(self, deadline)
    elseif self.port then
      event = read(self, deadline) or recover(self, deadline)
    else
      event = open(self, deadline)
    end
    if event then
      if event.type == "completion" then
        self.over = true
        self:close()
      end
      return event
    end
  end
end

--- Connects now, for those who must not lose what they follow. Where that fails, next()
--- tries again.
---@async
function Follower:start()
  local ok, port = pcall(connect, self)
  if ok then self.port = port end
end

--- Drops the connection; next() would resume.
function Follower:close()
  if self.port then
    note_written(self)
    self.port:cancel()
  end
  self.port = nil
end

return follow
