--- A command that runs beside another one, in the sandbox of an operation
--- (http-api.md §8.13).

local core = require("contree.core")
local class = require("contree.base.class")
local control = require("contree.wire.control")
local delivery = require("contree.run.delivery")
local errors = require("contree.base.errors")
local follow = require("contree.wire.follow")
local loop = require("contree.loop")
local options = require("contree.base.options")
local outcome = require("contree.run.outcome")
local printed = require("contree.base.printed")
local run = require("contree.run")
local shared = require("contree.run.shared")
local stdin = require("contree.run.stdin")
local users = require("contree.image.users")

local subprocess = {}

-- Seconds that the clean-up after an interrupted wait may take.
local KILL_TIMEOUT = 5

---@class contree.SpawnOptions
---@field shell? string          run by the sandbox's shell; no default: this or `command`
---@field command? string        a program, found in PATH; no default: this or `shell`
---@field args? string[]         the program's arguments; default none
---@field stdin? any             as for runs; contree.PIPE leaves it open for write(); default
---  nothing
---@field stdout? any            as for runs; default a string
---@field stderr? any            as for runs; default a string
---@field env? table<string, string> variables, beside the image's; those of
---  the run are not passed on; default none
---@field cwd? string            absolute; default the main command's
---@field user? string|true      as for runs; default root
---@field uid? integer           as for runs; default 0
---@field gid? integer           as for runs; default the user's group
---@field truncate_output_at? integer as for runs; default 1 MiB
---@field on_event? fun(event: contree.Event) called with each event; default none
---@field check? boolean         an exit code other than 0 raises; default false
---@field tty? boolean|contree.Tty as for runs; its input is open; default false

---@class contree.Subprocess
---@field spid integer          its number in the sandbox, from 2 on
---@field uuid string           the operation's
---@field operation contree.Operation the run that it is in
---@field client contree.Client whose server it is on
---@field box? contree.Box        that it runs in; nil: in none
local Subprocess = {}

subprocess.methods = Subprocess

local make = class.define("contree.Subprocess", Subprocess, {
  __tostring = function(self)
    return ("contree.Subprocess(%d of %s)"):format(self.spid, self.uuid)
  end,
}, { "spid", "uuid", "operation", "client", "box" })

---@class contree.SubprocessResult
---@field stdout any a string, or what `stdout =` asked for
---@field stderr any a string, or what `stderr =` asked for
---@field stdout_truncated boolean whether something was cut off
---@field stderr_truncated boolean whether something was cut off
---@field exit_code? integer 0 to 255; -1 when a signal ended it; nil: it never began
---@field signal? integer the signal that ended it; nil: none did
---@field timed_out boolean whether its `timeout` has ended it
---@field limit? string "timeout"; nil: it was not that
---@field limit_value? number its seconds; nil as well
---@field duration? number seconds; nil: it never began
---@field resources contree.Resources what it has used
---@field process contree.Subprocess the process that this is the result of
local make_result = class.define("contree.SubprocessResult", {}, {
  __tostring = function(self)
    local ending = self.signal and "signal " .. self.signal or "exit " .. tostring(self.exit_code)
    return ("contree.SubprocessResult(%s%s)"):format(ending, printed.output(self))
  end,
}, { "stdout", "stderr", "stdout_truncated", "stderr_truncated", "exit_code", "signal",
  "timed_out", "limit", "limit_value", "duration", "resources", "process" })

local function send(operation, body, headers)
  users.settle(operation.client, operation.input and operation.input.uuid, body)
  return control.spawn(operation, body, headers)
end

local function follow_it(self, hangup)
  return follow.new(self.client, self.uuid,
    { spid = self.spid, since = self.since, without = not self.plan.on_event and "stdin" or nil,
      output = delivery.output(self), hangup = hangup })
end

-- A terminal is hung up when nothing here can use it any more: its connection ends then.
local function attach(self)
  delivery.begin(self)
  local follower = follow_it(self, self.spid)
  self.follower = follower
  follower:start()
  self.sentinel = class.on_collect(function() loop.later(follower.close, follower) end)
end

--- Start a command beside an operation's main one; operation:spawn calls this.
---@async
---@param operation contree.Operation
---@param given contree.SpawnOptions|string
---@return contree.Subprocess
function subprocess.start(operation, given)
  return subprocess.begin(operation,
    run.plan("operation:spawn", given, true, run.process_spec), {})
end

-- A local engine holds back its answer until the command has ended, for a while, and kills it
-- when we hang up.
local function held_back(client, plan)
  local can = client.extended and not plan.live and not plan.body.tty and client.timeout >= 2
  return can and run.prefer(client) or nil
end

--- Start the command of a plan.
---@async
---@param operation contree.Operation
---@param planned table            of run.plan
---@param defaults table           what the request says where the plan says nothing
---@param box? contree.Box         that it runs in
---@param caller? "waits"|"talks"  it is waited for, or a contree.Process holds its terminal
---@return contree.Subprocess
function subprocess.begin(operation, planned, defaults, box, caller)
  local plan = run.begin(planned, operation.client, false, nil, nil, defaults)
  plan.body.disposable = nil
  local ok, spid, has_terminal, since, result = pcall(send, operation, plan.body,
    caller == "waits" and held_back(operation.client, plan) or nil)
  local lacks = ok and plan.body.tty and not has_terminal
  if not ok or lacks then delivery.close(plan.sinks) end
  if not ok then error(spid, 0) end
  if lacks then
    pcall(control.kill, operation, spid, "KILL")
    run.lacks_terminals()
  end
  local self = make({ client = operation.client, uuid = operation.uuid, operation = operation,
    spid = spid, plan = plan, since = since, box = box,
    final = result and { metadata = { result = result } } }, operation.client.safe)
  if plan.body.tty and caller ~= "talks" then attach(self) end
  plan.body = nil
  return self
end

-- What the server knows of it. A process that was told may be unknown later, when an engine was
-- killed that alone had the log: then the operation says why.
local function state_of(self, deadline)
  local ok, found = pcall(control.state, self, self.spid, deadline)
  if ok then return found end
  if not errors.is(found) or found.status ~= 404 then error(found, 0) end
  local operation = outcome.of_operation(control.operation(self, deadline))
  if operation.status ~= "FAILED" then error(found, 0) end
  local engine = self.client.engine
  errors.raise("operation_failed", operation.error or "the operation failed",
    { hint = engine and engine:where_to_look() or nil, process = self })
end

-- Follow it to its exit. It ends with the operation at the latest.
local function collect(self, deadline)
  if self.final then return delivery.take_json(self, self.final) end
  self.follower = self.follower or follow_it(self)
  repeat
    local event = self.follower:next(deadline)
    if event then delivery.take(self, event) end
  until not event or self.seen.exited or event.type == "completion"
  self.follower:close()
  stdin.stop(self)
  if self.seen.exited then return self.seen end
  return delivery.take_json(self, { metadata = { result = state_of(self, deadline) } })
end

local function run_to_end(self, deadline)
  delivery.begin(self)
  local found = collect(self, deadline)
  local out, err = delivery.finish(self)
  local result = make_result({
    stdout = out, stderr = err,
    stdout_truncated = found.truncated.stdout, stderr_truncated = found.truncated.stderr,
    exit_code = found.exit_code, signal = found.signal, timed_out = found.timed_out,
    duration = found.duration, resources = printed.fields(found.resources), process = self,
    limit = found.limit, limit_value = found.limit_value,
  })
  if self.box and found.limit == "box" then
    local gone = self.box.explain()
    gone.result, gone.process = result, self
    error(gone, 0)
  end
  local failure = self.feed_error
    or self.plan.check and outcome.is_failure(result) and outcome.failure(result)
  if failure then
    if errors.is(failure) then failure.result, failure.process = result, self end
    error(failure, 0)
  end
  return result
end

local job = { name = "the subprocess", run = run_to_end }

function job.owns(self, err) return errors.is(err) and err.process == self end

local function abandon(self)
  shared.settle(self, job, false,
    errors.new("cancelled", "the subprocess was killed", { process = self }))
  if self.follower then self.follower:close() end
  stdin.stop(self)
  pcall(control.kill, self, self.spid, "KILL", core.now() + KILL_TIMEOUT, self.box ~= nil)
  delivery.close(self.sinks)
end

job.forsake = abandon

--- Wait for the end; when the wait is cancelled, kill it.
---@async
---@return contree.SubprocessResult
function subprocess.await(self) return shared.wait_for(self, job, nil, abandon) end

--- Waits for the end; output goes to its sinks meanwhile. A task that is cancelled while it
--- waits kills the subprocess.
---     local result = subprocess:wait()
--- Raises: request, not_found (the operation), operation_failed (the engine was killed),
--- command_failed (with `check`), unprocessable
--- (streamed output was cut off), file (a local file).
---@async
---@param seconds? number raises `timeout` after so long, and the subprocess goes on; default
---  no limit
---@return contree.SubprocessResult
function Subprocess:wait(seconds)
  if seconds ~= nil then
    options.argument("subprocess:wait", "the timeout", options.seconds, seconds)
  end
  return shared.wait_for(self, job, seconds, abandon)
end

--- Sends bytes to its input, which `stdin = contree.PIPE` has left open.
---     subprocess:write("a line\n")
--- Raises: request, conflict (it has ended or has closed its input).
---@async
---@param data string any bytes
---@return contree.Subprocess self
function Subprocess:write(data)
  options.argument("subprocess:write", "the data", options.bytes, data)
  control.write(self, self.spid, data, false)
  return self
end

--- Ends its input.
---     subprocess:close_stdin()
--- Raises: request, conflict (it has ended or its input is closed).
---@async
---@return contree.Subprocess self
function Subprocess:close_stdin()
  control.write(self, self.spid, "", true)
  return self
end

--- Gives its terminal another size; the programs in the foreground get SIGWINCH.
---     subprocess:resize(40, 120)
--- Raises: request, conflict (it has ended, or has no terminal).
---@async
---@param rows integer 1 to 10000
---@param cols integer 1 to 10000
---@return contree.Subprocess self
function Subprocess:resize(rows, cols)
  options.argument("subprocess:resize", "the rows", run.rows, rows)
  options.argument("subprocess:resize", "the columns", run.rows, cols)
  control.resize(self, self.spid, rows, cols)
  return self
end

--- Hangs up its terminal: it gets SIGHUP.
---     subprocess:close()
--- Raises: request.
---@async
---@return boolean sent false when it had ended before, or has no terminal
function Subprocess:close()
  return control.hang_up(self, self.spid)
end

--- Sends it, and its process group, a signal.
---     subprocess:kill("TERM")
--- Raises: request.
---@async
---@param signal? string|integer "TERM", "SIGTERM", 15; default "KILL"
---@param given? { family: boolean? } family: also to all processes that it has started, those
---  that left it (daemons) and those that outlived it, too (local engine); default false
---@return boolean sent false when the sandbox had ended before
function Subprocess:kill(signal, given)
  signal = signal or "KILL"
  options.argument("subprocess:kill", "the signal", control.is_signal, signal)
  given = options.check("subprocess:kill", { family = options.boolean }, given)
  return control.kill(self, self.spid, signal, nil, given.family)
end

return subprocess
