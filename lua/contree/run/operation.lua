--- An operation: a command or an import that runs, or has run, on the server.

local core = require("contree.core")
local class = require("contree.base.class")
local control = require("contree.wire.control")
local delivery = require("contree.run.delivery")
local errors = require("contree.base.errors")
local follow = require("contree.wire.follow")
local image = require("contree.image")
local json = require("contree.base.json")
local loop = require("contree.loop")
local options = require("contree.base.options")
local owned = require("contree.loop.owned")
local outcome = require("contree.run.outcome")
local printed = require("contree.base.printed")
local shared = require("contree.run.shared")
local signing = require("contree.run.signing")
local stdin = require("contree.run.stdin")
local stdio = require("contree.base.stdio")
local text = require("contree.base.text")
local wire = require("contree.wire")

local operation = {}

-- Seconds that the clean-up after an interrupted wait may take.
local CANCEL_TIMEOUT = 5

---@class contree.OperationSummary an operation in a list (http-api.md §5.9)
---@field uuid string               its id
---@field kind "instance"|"image_import" a command, or an import
---@field status "PENDING"|"ASSIGNED"|"EXECUTING"|"SUCCESS"|"FAILED"|"CANCELLED" how far it is
---@field error? string             why it failed; nil: it has not
---@field created_at string         as the server writes times
---@field duration? number          seconds; nil: it has not begun
---@field consumed_cpu? number      seconds; nil: not known yet
---@field consumed_memory? integer  KiB; nil: not known yet
---@field image_size? integer       bytes; nil: not known
---@field image_uuid? string        what it ran from; nil of an import
---@field result_image_uuid? string what it left; nil: nothing
---@field paused? boolean           true: its processes are stopped; nil: they are not
---@field usage? contree.Usage      of one that runs on a local engine; nil of others

---@class contree.OperationDetails : contree.OperationSummary
---@field metadata table            the request, and the process's result (http-api.md §5.11)
---@field result? { image: string?, tag: string? } what it left; nil: nothing yet

---@class contree.Operation
---@field uuid string            its id
---@field client contree.Client whose server it is on
local Operation = {}

operation.methods = Operation

local make = class.define("contree.Operation", Operation, {
  __tostring = function(self) return ("contree.Operation(%s)"):format(self.uuid) end,
}, { "uuid", "client" })

--- An operation by its id. The plan (run/init.lua) says where its output goes and how its
--- end is taken. Without one, output becomes strings.
---@param self contree.Client
---@param uuid string
---@param input? contree.Image  what it runs from
---@param plan? table
---@return contree.Operation
function operation.new(self, uuid, input, plan)
  return make({ client = self, uuid = uuid, spid = 1, input = input, plan = plan or {} },
    self.safe)
end

local function cancel_owned(one) operation.cancel_quietly(one.client, one.uuid) end

--- Make an operation end with the object or the call that it was started for.
---@param self contree.Operation
---@param awaited? boolean  the call that started it waits for its end
function operation.own(self, awaited)
  self.owned = owned.watch(not awaited and self or nil, cancel_owned,
    { client = self.client, uuid = self.uuid })
end

local function path(self) return "/operations/" .. wire.segment(self.uuid) end

local function fetch(self, deadline)
  return wire.fetch(self.client,
    { method = "GET", path = path(self), deadline = deadline })
end

--- The operation's status, and everything that the server knows of it.
---     local status = operation:status()
--- Raises: request, not_found (the operation).
---@async
---@return "PENDING"|"ASSIGNED"|"EXECUTING"|"SUCCESS"|"FAILED"|"CANCELLED" status
---@return contree.OperationDetails details
function Operation:status()
  local found = fetch(self)
  if follow.is_terminal(found.status) then owned.release(self.owned) end
  return found.status, printed.fields(found)
end

--- Cancels the operation; its changes are dropped.
---     operation:cancel()
--- Raises: request, not_found (the operation).
---@async
---@return boolean accepted false when it had ended before
function Operation:cancel()
  local ok, err = pcall(wire.request, self.client, { method = "DELETE", path = path(self) })
  if not ok and not errors.is(err, "conflict") then error(err, 0) end
  owned.release(self.owned)
  return ok
end

-- A follower for an iterator. When a loop is left early, the connection stays open until the
-- iterator is garbage collected.
local function follow_in_loop(self, choice)
  local follower = follow.new(self.client, self.uuid, choice)
  follower.sentinel = class.on_collect(function() loop.later(follower.close, follower) end)
  return follower
end

--- Iterates over the events, from the first on, until the operation has ended:
--- { id, ts, type, spid, data }; `bytes` holds what an output event carries.
---     for event in operation:events() do print(event.type) end
--- Raises: request, not_found (the operation; both while it iterates).
---@async
---@param choice? { since: integer?, spid: integer? } since: the id of the last event that
---  was seen, default none: from the first on; spid: only of this process
---@return fun(): contree.Event?
function Operation:events(choice)
  options.check("operation:events",
    { since = options.integer(-1), spid = options.integer(0) }, choice)
  local follower = follow_in_loop(self, choice)
  return class.entry(function()
    local event = follower:next()
    if event and event.type == "completion" then owned.release(self.owned) end
    if event and event.data.value then event.bytes = stdio.decode(event.data) end
    return event
  end)
end

-- The output that is left, on a server without event streams: it tells all at the end.
local function rest_of_output(final, truncated)
  local found, streams = outcome.of_operation(final)
  local rest = {}
  for name, is in pairs(found.truncated) do truncated[name] = is or nil end
  for _, name in ipairs{ "stdout", "stderr" } do
    if streams[name] ~= "" then rest[#rest + 1] = { streams[name], name } end
  end
  return rest
end

--- Iterates over the command's output, from its beginning, as it comes: the bytes, and
--- "stdout" or "stderr". wait() returns how the command ended.
---     for bytes, stream in operation:output() do io.write(stream, ": ", bytes) end
--- Raises: request, not_found (the operation), unprocessable (at the end of what was cut
--- off, unless `truncate_output_at` was asked for; all while it iterates).
---@async
---@return fun(): string?, string?
function Operation:output()
  local follower, rest = follow_in_loop(self,
    { spid = 1, without = "stdin", output = { spid = 1 } }), nil
  local truncated = {}
  return class.entry(function()
    while not rest do
      local event = follower:next()
      local kind = event and event.type
      if kind == "stdout" or kind == "stderr" then
        return event.bytes or stdio.decode(event.data), kind
      end
      if not event or kind == "exit" or kind == "completion" then
        owned.release(self.owned)
        follower:close()
        rest = event and follower.polling and rest_of_output(follower.final, truncated) or {}
      elseif kind == "truncated" and event.data.stream then
        truncated[event.data.stream] = true
      end
    end
    local piece, name = table.remove(rest, 1), next(truncated)
    if not piece and name and (self.plan.whole or not self.plan.limit) then
      truncated = {}
      error(outcome.cut_off(name, self.plan.limit), 0)
    end
    return (table.unpack or unpack)(piece or {})
  end)
end

-- Waiting ------------------------------------------------------------------

-- The final state. The server may store it a moment after the last event.
local function fetch_final(self, deadline)
  for attempt = 1, 10 do
    local found = fetch(self, deadline)
    if follow.is_terminal(found.status) then return found end
    loop.sleep(0.05 * attempt)
  end
  errors.raise("server", "the operation has ended, but its state does not say so")
end

-- Follows the operation to its end.
---@return contree.Outcome
local function collect(self, deadline)
  if self.final then return delivery.take_json(self, self.final) end
  local live = self.plan.live
  self.follower = self.follower
    or follow.new(self.client, self.uuid, { spid = not live and 0 or nil,
      without = not self.plan.on_event and "stdin" or nil,
      output = live and delivery.output(self) or nil })
  repeat
    local event = self.follower:next(deadline)
    if event and live then delivery.take(self, event) end
  until not event
  stdin.stop(self)
  local found = self.follower.final
  local told = self.seen.exited or (self.seen.status and self.seen.status ~= "SUCCESS")
  if live and self.seen.status and told then return self.seen end
  return delivery.take_json(self, found or fetch_final(self, deadline))
end

local function make_result(self, found)
  local out, err = delivery.finish(self)
  local plan = self.plan
  local from = self.input
  -- An image object stands for one image, also if its tag names another one later.
  if from and not from.uuid then from.uuid = found.input_uuid end
  -- Directories of files= were put on an image in between.
  local input = not plan.put and found.input_uuid or from and from.uuid
  -- If another program started the run, we do not know whether it was disposable.
  local changed
  if not plan.disposable and input and (from or found.image_uuid) then
    changed = found.image_uuid ~= input
  end
  self.input = nil -- or each result would keep the one it came from, and all before it
  return image.result(self.client, {
    uuid = found.image_uuid, stdout = out, stderr = err,
    stdout_truncated = found.truncated.stdout, stderr_truncated = found.truncated.stderr,
    exit_code = found.exit_code, signal = found.signal, timed_out = found.timed_out,
    limit = found.limit, limit_value = found.limit_value, isolation = found.isolation,
    background_killed = found.background_killed, tried = found.tried,
    denied = plan.signing and signing.explain(plan.signing, found.denied) or found.denied,
    duration = found.duration, resources = printed.fields(found.resources), changed = changed,
    operation = self,
  })
end

-- Turn the end of the operation into the result or the error for the caller.
local function conclude(self, found)
  local result = make_result(self, found)
  local err
  if self.feed_error then
    err = self.feed_error
  elseif found.status == "CANCELLED" then
    err = errors.new("cancelled", "the operation was cancelled")
  elseif found.limit == "queue" then
    err = errors.new("rate_limited", found.error or "no sandbox was free in time",
      { hint = "nothing has run; a longer queue_timeout waits for longer" })
  elseif found.status ~= "SUCCESS" then
    local engine, why = self.client.engine, found.error or "the operation failed"
    local lost = engine and why:find("the engine stopped", 1, true)
    -- The quota of a volume has the same limit, and another remedy.
    local full = found.limit == "disk" and why:find("max_layer_bytes", 1, true)
    err = errors.new("operation_failed", why,
      { hint = lost and engine:where_to_look() or nil, remedy = full and { "disk" } or nil })
  elseif self.plan.check and outcome.is_failure(result) then
    err = outcome.failure(result)
  end
  if err then
    if errors.is(err) then err.result, err.operation = result, self end
    error(err, 0)
  end
  if self.plan.tag then image.methods.tag_as(result, self.plan.tag) end
  return result
end

local job = { name = "the operation" }

-- Whether an error ended the operation, not only our wait for it.
function job.owns(self, err) return errors.is(err) and err.operation == self end

local function conclude_all(self, deadline)
  delivery.begin(self)
  return conclude(self, collect(self, deadline))
end

-- A session keeps the image that the operation left. If keeping fails, the end is remembered
-- for the next attempt.
function job.run(self, deadline)
  local ending = self.ending
  if not ending then
    ending = { pcall(conclude_all, self, deadline) }
    if not ending[1] and not job.owns(self, ending[2]) then error(ending[2], 0) end
    self.ending = ending
  end
  if self.plan.keep then self.plan.keep(self, ending[1] and ending[2] or nil) end
  if not ending[1] then error(ending[2], 0) end
  return ending[2]
end

--- Cancel an operation for code that was cancelled or interrupted itself: this takes a short
--- time and never raises.
function operation.cancel_quietly(self, uuid)
  pcall(wire.request, self, { method = "DELETE", retry = false, revive = false,
    path = "/operations/" .. wire.segment(uuid), deadline = core.now() + CANCEL_TIMEOUT })
end

function job.ended(self, result)
  owned.release(self.owned)
  if self.plan.on_end then self.plan.on_end(result) end
end

local function abandon(self)
  shared.settle(self, job, false,
    errors.new("cancelled", "the operation was cancelled", { operation = self }))
  if self.follower then self.follower:close() end
  stdin.stop(self)
  if not self.plan.detach then operation.cancel_quietly(self.client, self.uuid) end
  delivery.close(self.sinks)
end

job.forsake = abandon

--- Wait for the end until core.now() is `deadline`. If the wait ends before the operation
--- does, the operation is cancelled.
---@async
---@return contree.Result
function operation.await(self, deadline)
  local ok, value = shared.wait(self, job, deadline)
  if ok then return value end
  if not job.owns(self, value) then abandon(self) end
  error(value, 0)
end

--- Waits for the end; returns the Result or raises what went wrong. A task that is cancelled
--- while it waits cancels the operation.
---     local result = operation:wait(60)
--- Raises: request, not_found (the operation), operation_failed (the command could not be
--- run), command_failed (with `check`), unprocessable (streamed output was cut off), file
--- (a local file).
---@async
---@param seconds? number raises `timeout` after so long, and the operation goes on; default
---  no limit
---@return contree.Result
function Operation:wait(seconds)
  if seconds ~= nil then
    options.argument("operation:wait", "the timeout", options.seconds, seconds)
  end
  return shared.wait_for(self, job, seconds, abandon)
end

-- Processes ----------------------------------------------------------------

-- Rows or columns of a terminal.
local SIDE = options.integer(1, 10000)

--- Sends bytes to the command's input, which `stdin = contree.PIPE` has left open; returns
--- when the server has them.
---     operation:write("a line\n")
--- Raises: request, not_found (the operation), conflict (the command has ended or has
--- closed its input).
---@async
---@param data string any bytes
---@return contree.Operation self
function Operation:write(data)
  options.argument("operation:write", "the data", options.bytes, data)
  control.write(self, 1, data, false)
  return self
end

--- Ends the command's input.
---     operation:close_stdin()
--- Raises: request, not_found (the operation), conflict (the command has ended or its input
--- is closed).
---@async
---@return contree.Operation self
function Operation:close_stdin()
  control.write(self, 1, "", true)
  return self
end

--- Gives the command's terminal (`tty`) another size; the programs in its foreground get
--- SIGWINCH.
---     operation:resize(40, 120)
--- Raises: request, not_found (the operation), conflict (the command has ended, or has no
--- terminal).
---@async
---@param rows integer 1 to 10000
---@param cols integer 1 to 10000
---@return contree.Operation self
function Operation:resize(rows, cols)
  options.argument("operation:resize", "the rows", SIDE, rows)
  options.argument("operation:resize", "the columns", SIDE, cols)
  control.resize(self, 1, rows, cols)
  return self
end

--- Sends a signal to the command. One that ends it ends the operation as any other end does:
--- what it wrote is kept, unless it is disposable.
---     operation:kill("TERM")
--- Raises: request, not_found (the operation).
---@async
---@param signal? string|integer "TERM", "SIGTERM", 15; default "KILL"
---@return boolean sent false when the command had ended before
function Operation:kill(signal)
  signal = signal or "KILL"
  options.argument("operation:kill", "the signal", control.is_signal, signal)
  return control.kill(self, 1, signal)
end

-- The manager --------------------------------------------------------------

---@class contree.OperationFilter
---@field status? string           "EXECUTING", "SUCCESS", …; default any
---@field kind? string             "instance" or "image_import"; default both
---@field limit? integer           no more than so many, 1000 at most; default 100
---@field offset? integer          passes over so many; default 0
---@field since? string|number     a time, an age such as "2h", seconds ago; default any time
---@field before? string|number    the same; default any time

---@class contree.Operations
---@field client contree.Client whose operations they are
local Operations = {}

local make_manager = class.define("contree.Operations", Operations, nil, { "client" })

function operation.manager(self)
  return make_manager({ client = self }, self.safe)
end

--- An operation by its id; nothing is sent.
---     local result = client.operations:get(id):wait()
--- Raises: nothing.
---@param uuid string its id
---@return contree.Operation
function Operations:get(uuid)
  options.argument("operations:get", "the id", options.name, uuid)
  return operation.new(self.client, uuid)
end

local LIST = {
  status = options.name, kind = options.name, limit = options.integer(1, 1000),
  offset = options.integer(0), since = options.time, before = options.time,
}

local print_summary = printed.record(function(self)
  return ("%s  %s  %s  %s"):format(tostring(self.uuid), tostring(self.status),
    tostring(self.kind), text.duration(json.as("number", self.duration)))
end)

local print_summaries = printed.list()

--- Summaries of operations, newest first (http-api.md §5.9).
---     local running = client.operations:list{ status = "EXECUTING" }
--- Raises: request, invalid_argument (an unknown status or kind).
---@async
---@param given? contree.OperationFilter
---@return contree.OperationSummary[]
function Operations:list(given)
  given = options.check("operations:list", LIST, given)
  local found = wire.fetch(self.client, { method = "GET", path = "/operations", query = {
    status = given.status, kind = given.kind, limit = given.limit, offset = given.offset,
    since = given.since, ["until"] = given.before,
  } })
  local list = json.as("table", found.operations) or found
  for _, each in ipairs(list) do
    if json.as("table", each) then print_summary(each) end
  end
  return print_summaries(list)
end

return operation
