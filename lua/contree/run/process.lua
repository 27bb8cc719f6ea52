--- image:popen: a command that is talked to while it runs, in the manner of Python's
--- subprocess.Popen. Output is fetched when it is read; unread output stays on the server
--- and takes no memory here.

local core = require("contree.core")
local class = require("contree.base.class")
local control = require("contree.wire.control")
local errors = require("contree.base.errors")
local follow = require("contree.wire.follow")
local loop = require("contree.loop")
local operations = require("contree.run.operation")
local options = require("contree.base.options")
local owned = require("contree.loop.owned")
local outcome = require("contree.run.outcome")
local run = require("contree.run")
local stdio = require("contree.base.stdio")
local subprocess = require("contree.run.subprocess")

local process = {}

local buffers = stdio.buffer_methods

-- stdin ----------------------------------------------------------------------

---@class contree.ProcessInput
local Input = {}

local make_input = class.define("contree.ProcessInput", Input)

--- Sends bytes; returns when the server has them.
---     process.stdin:write("a line\n")
--- Raises: request, conflict (the command has ended or has closed its input).
---@async
---@param data string any bytes
---@return contree.ProcessInput self
function Input:write(data)
  options.argument("stdin:write", "the data", options.bytes, data)
  if self.closed then
    errors.raise("conflict", "stdin:write: the input is closed already")
  end
  control.write(self.target, self.target.spid, data, false)
  return self
end

--- Ends the input. Does nothing when it, or the command, has ended.
---     process.stdin:close()
--- Raises: request.
---@async
function Input:close()
  if self.closed then return end
  self.closed = true
  local ok, err = pcall(control.write, self.target, self.target.spid, "", true)
  if not ok and not control.is_over(err) then error(err, 0) end
end

-- stdout, stderr -------------------------------------------------------------

---@class contree.ProcessOutput what the command writes, as it comes
---@field truncated? boolean    something was cut off; nil while nothing was
local Output = {}

local make_output = class.define("contree.ProcessOutput", Output, nil, { "truncated" })

local function new_output(target, name, safe)
  return make_output({ target = target, name = name, buffer = stdio.buffer(), got = 0,
    newlines = 0 }, safe)
end

local function take_in(self, bytes)
  self.got = self.got + #bytes
  self.newlines = self.newlines + core.newlines(bytes)
  buffers.write(self.buffer, bytes)
end

-- Take the rest of the stream, whose whole content is known now.
local function complete(self, bytes, truncated)
  if self.over then return end
  self.over = true
  self.truncated = self.truncated or truncated
  take_in(self, bytes:sub(self.got + 1))
end

-- When a stream is dropped half-way, its connection stays open until the stream is garbage
-- collected.
local function open(self, hangup)
  local target = self.target
  local follower = follow.new(target.client, target.uuid, { spid = target.spid,
    since = target.since, without = "stdin", output = { spid = target.spid }, hangup = hangup })
  self.follower = follower
  self.sentinel = class.on_collect(function() loop.later(follower.close, follower) end)
end

-- Wait for more output.
local function fetch(self)
  if not self.follower then open(self) end
  local event = self.follower:next()
  if event and event.type == self.name then
    take_in(self, event.bytes or stdio.decode(event.data))
  elseif event and event.type == "truncated" then
    if event.data.stream == self.name then self.truncated = true end
  elseif event and event.type == "completion" and self.follower.polling then
    -- A server without event streams has all output in the final state.
    local found, streams = outcome.of_operation(self.follower.final)
    complete(self, streams[self.name], found.truncated[self.name])
  elseif not event or event.type == "exit" or event.type == "completion" then
    owned.release(self.target.owned)
    self.over = true
    self.follower:close()
  end
end

local function fill(self)
  if self.over then return false end
  if self.busy then
    errors.raise("conflict", ("somebody else is reading %s"):format(self.name),
      { hint = "let one task read it" })
  end
  self.busy = true
  local ok, err = pcall(fetch, self)
  self.busy = false
  if not ok then error(err, 0) end
  return true
end

-- Raise, once, when the caller reads the end of output that was cut off without being asked
-- to: this is not the whole output, and its last line is not a whole line.
local function refuse_part(self, kind)
  if not self.over or not self.truncated or self.told then return end
  local plan = self.target.plan
  if not plan.whole or kind == "n" and buffers.length(self.buffer) > 0
    or kind:lower() == "l" and self.newlines > 0 then
    return
  end
  self.told = true
  error(outcome.cut_off(self.name, plan.limit), 0)
end

--- Reads as io files do, waiting for output that is not there yet: "a" all of it to the end,
--- "l" or "L" a line, a number what there is of up to so many bytes (and waits only when
--- there is nothing); nil at the end.
---     local line = process.stdout:read("l")
--- Raises: request, conflict (another task is reading), unprocessable (once, at the end of
--- what was cut off, unless `truncate_output_at` was asked for).
---@async
---@param format? "a"|"l"|"L"|"*a"|"*l"|"*L"|integer default "a"
---@return string?
function Output:read(format)
  loop.pace()
  format = format or "a"
  local kind = type(format) == "number" and "n" or tostring(format):gsub("^%*", "")
  if kind == "n" then
    while buffers.length(self.buffer) == 0 and fill(self) do end
  elseif kind == "a" then
    while fill(self) do end
  elseif kind == "l" or kind == "L" then
    while self.newlines == 0 and fill(self) do end
  end
  refuse_part(self, kind)
  local bytes = buffers.read(self.buffer, format)
  if kind == "a" then
    self.newlines = 0
  elseif kind == "n" then
    self.newlines = self.newlines - core.newlines(bytes or "")
  elseif self.newlines > 0 then
    self.newlines = self.newlines - 1
  end
  return bytes
end

--- Iterates over the lines as they come.
---     for line in process.stderr:lines() do print(line) end
--- Raises: request, conflict (another task is reading), unprocessable (as read).
---@async
---@return fun(): string?
function Output:lines()
  return class.entry(function() return Output.read(self, "l") end)
end

-- The process ----------------------------------------------------------------

---@class contree.Process
---@field stdin? contree.ProcessInput   nil when stdin= or input= said it all
---@field stdout contree.ProcessOutput what it writes; read(), lines()
---@field stderr contree.ProcessOutput the same of standard error
---@field args string[]              the program and its arguments
---@field returncode? integer          exit code; -9 when signal 9 ended it; nil while it runs
---@field result? contree.Result       when wait() has returned; nil before
---@field operation contree.Operation the run that it is
---@field box? contree.Box        that it runs in; nil: in none
local Process = {}

-- `target` is what is talked to: an operation, whose process 1 this is, or a contree.Subprocess.

local make = class.define("contree.Process", Process, {
  -- Lua 5.4: a `local p <close>` does not outlive its scope.
  __close = function(self)
    if not self.returncode then pcall(control.kill, self.target, self.target.spid, "KILL") end
  end,
  __tostring = function(self)
    local state = self.returncode and "returned " .. self.returncode or "running"
    return ("contree.Process(%s, %s)"):format(self.args[1], state)
  end,
}, { "stdin", "stdout", "stderr", "args", "returncode", "result", "operation", "box" })

local function exactly_pipe(value)
  if value ~= stdio.PIPE then
    return "contree.PIPE, or left out (image:start{ stdout = … } sends output elsewhere)"
  end
end

---@class contree.PopenOptions
---@field shell? boolean        the command is a string for the sandbox's shell; default false
---@field stdin? any            contree.PIPE (the default), or all of the input as for runs
---@field input? any            the same as stdin; default none
---@field cwd? string           absolute; default the image's, or "/"
---@field env? table<string, string> variables, beside the image's; default none
---@field timeout? number       seconds until the server kills it; default 60
---@field queue_timeout? number seconds to wait for a sandbox at most; default any time
---@field check? boolean        wait() and communicate() raise for an exit code other than 0;
---  default false
---@field tty? boolean|contree.Tty a terminal (local engine): all output is stdout, a timeout
---  is 3600 by default, and it is hung up when its object, its task or the program is gone
---@field detach? boolean       it goes on when its object, its task or the program is gone;
---  default false
---@field text? boolean         means nothing: Lua strings are bytes; default false
---@field stdout? any           default contree.PIPE, all that it may be
---@field stderr? any           the same; default contree.PIPE
---@field preserve_env? boolean keep env in the resulting image; default false
---@field files? contree.RunFiles as for runs; default none
---@field progress? fun(progress: contree.Progress) called while files are sent; default none
---@field volumes? table<string, string> names of volumes by where they are mounted; default none
---@field mounts? table<string, string|{ path: string, noexec: boolean? }> directories of the
---  engine's machine by where they are mounted, read-only; default none
---@field hostname? string      the sandbox's name; default "linuxkit" on a local engine
---@field user? string|true     as for runs; default root
---@field uid? integer          in place of user; default 0
---@field gid? integer          the same; default the user's group
---@field truncate_output_at? integer bytes kept of each stream; default all
---@field disposable? boolean   false keeps what changed as a new image; default true
---@field tag? string           names the image that is kept; default none
---@field secrets? table<string, contree.Secret> what it may use and never sees (local engine,
---  with rules of networking); default the client's
---@field trace? boolean|"files" tell what it tried, too;
---  default false
---@field networking? boolean|contree.Networking whether there is a network; default the
---  server's
---@field image_etc? boolean    /etc/hosts, hostname and resolv.conf are the image's, and kept;
---  default false
---@field resources_limits? contree.Limits default the server's
---@field idempotency_key? string a local engine runs it once, however often it is asked; default
---  none

-- run.plan checks the options that a run has, too.
local SPEC = {}
for name in pairs(run.spec) do SPEC[name] = options.any end
SPEC.shell, SPEC.input, SPEC.text = options.boolean, options.any, options.boolean
SPEC.stdout, SPEC.stderr = exactly_pipe, exactly_pipe
SPEC.command, SPEC.args, SPEC.on_event = nil, nil, nil

-- The same in a box.
local BOX_SPEC = {}
for name in pairs(run.command_spec) do BOX_SPEC[name] = SPEC[name] end
BOX_SPEC.input, BOX_SPEC.text = SPEC.input, SPEC.text

local function is_argv(value)
  if type(value) == "string" and value ~= "" then return nil end
  local wrong, is_data = options.texts(value)
  if wrong or #value == 0 then
    return "a command's name, or a list of it and its arguments", is_data
  end
end

local function discard() end

-- The run options that popen's arguments mean, and the list of arguments.
local function run_options(where, argv, given, spec)
  options.argument(where, "the command", is_argv, argv)
  given = options.check(where, spec, given)
  if given.shell and type(argv) == "table" then
    errors.misuse(where .. ": shell = true goes with a string, not with a list")
  end
  if given.input ~= nil and given.stdin ~= nil then
    errors.misuse(where .. " takes either input or stdin, not both")
  end
  local translated = {}
  for name, value in pairs(given) do translated[name] = value end
  translated.shell, translated.text, translated.input = nil, nil, nil
  -- Output that is too long for the operation's JSON is read from the events, so wait() need
  -- not collect it.
  local limit = given.truncate_output_at
  local long = type(limit) == "number" and limit > run.RESULT_MAX
  translated.stdout = long and discard or nil
  translated.stderr = translated.stdout
  translated.stdin = given.input
  if translated.stdin == nil then translated.stdin = given.stdin end
  if translated.stdin == nil then translated.stdin = stdio.PIPE end
  if type(argv) == "string" then argv = { argv } end
  if given.shell then
    translated.shell = argv[1]
  else
    translated.command, translated.args = argv[1], { (table.unpack or unpack)(argv, 2) }
  end
  return translated, argv
end

-- A terminal is hung up when its connection for events ends.
local function make_process(target, translated, args, discards)
  local safe = target.client.safe
  local self = make({
    operation = target.operation or target, target = target, box = target.box, args = args,
    stdin = translated.stdin == stdio.PIPE and make_input({ target = target }, safe) or nil,
    stdout = new_output(target, "stdout", safe),
    stderr = new_output(target, "stderr", safe),
    discards = discards,
  }, safe)
  if translated.tty then
    self.stderr.over = true
    open(self.stdout, not translated.detach and target.spid or nil)
    self.stdout.follower:start()
  end
  return self
end

--- Start a command to be talked to; image:popen and session:popen call this.
---@async
---@param where string how the caller's method is named
---@param start fun(plan: table, given: contree.RunOptions): contree.Operation
---@param argv string|string[]
---@param given? contree.PopenOptions
---@return contree.Process
function process.open(where, start, argv, given)
  local translated, args = run_options(where, argv, given, SPEC)
  local operation = start(run.plan(where, translated, true), translated)
  return make_process(operation, translated, args, translated.stdout ~= nil)
end

--- The same in a box. Its output is in the events only.
---@async
---@param start fun(plan: table): contree.Subprocess
---@return contree.Process
function process.open_in_box(where, start, argv, given)
  local translated, args = run_options(where, argv, given, BOX_SPEC)
  translated.stdout, translated.stderr = discard, not translated.tty and discard or nil
  local target = start(run.plan(where, translated, true, run.command_spec))
  return make_process(target, translated, args, true)
end

local function code_of(ending) return ending.signal and -ending.signal or ending.exit_code end

local function settle(self, result)
  self.result, self.returncode = result, code_of(result)
  if self.discards then return end
  for _, output in ipairs{ self.stdout, self.stderr } do
    local truncated = result[output.name .. "_truncated"]
    -- Output that is too long for the operation's JSON is in the events.
    local elsewhere = truncated and (self.target.plan.limit or 0) > run.RESULT_MAX
    if not output.busy and not elsewhere then
      complete(output, result[output.name], truncated)
    end
  end
end

-- The methods of what it talks to, on the face that raises.
local function methods_of(self)
  return self.box and subprocess.methods or operations.methods
end

-- Wait for the end. An end that is an error has a result, too.
local function await(self, seconds)
  local target = self.target
  local ok, value = pcall(methods_of(self).wait, target, seconds)
  local result = value
  if not ok then
    result = errors.is(value) and (value.operation == target or value.process == target)
      and value.result
  end
  if result and not self.result then settle(self, result) end
  if not ok then error(value, 0) end
end

-- Whether it has ended, and what is known of it.
local function look(self)
  local target = self.target
  if not self.box then
    local status, details = operations.methods.status(target)
    return follow.is_terminal(status), details
  end
  local details = { metadata = { result = control.state(target, target.spid) } }
  return outcome.of_operation(details).exited, details
end

--- The exit code when the command has ended, else nil; does not wait for it.
---     if process:poll() then print("done") end
--- Raises: request, operation_failed (the command could not be run).
---@async
---@return integer? returncode negative: the signal that ended it
function Process:poll()
  if self.returncode == nil then
    local ended, details = look(self)
    if not ended then return nil end
    self.returncode = code_of(outcome.of_operation(details))
    if not self.returncode then await(self) end -- it could not run: raise the reason
  end
  return self.returncode
end

--- Waits for the end. Output need not be read first: it waits with the server.
---     local code = process:wait()
--- Raises: request, operation_failed (the command could not be run), command_failed (with
--- `check`).
---@async
---@param timeout? number raises `timeout` after so many seconds, and the command goes on;
---  default no limit
---@return integer returncode negative: the signal that ended it
function Process:wait(timeout)
  if timeout ~= nil then
    options.argument("process:wait", "the timeout", options.seconds, timeout)
  end
  await(self, timeout)
  return self.returncode
end

local function send_input(self, input)
  if self.communicated or not self.stdin or self.stdin.closed then return end
  self.communicated = true
  local ok, err = pcall(control.write, self.target, self.target.spid, input or "", true)
  self.stdin.closed = true
  -- A command need not read all that it is sent.
  if not ok and not control.is_over(err) then error(err, 0) end
end

--- Sends input, ends it, waits for the end; returns the output that was not read yet.
---     local out, err = process:communicate("1 2 3\n", 10)
--- Raises: request, operation_failed (the command could not be run), command_failed (with
--- `check`), conflict (another task is reading), unprocessable (output was cut off).
---@async
---@param input? string all of the input; default none
---@param timeout? number raises `timeout` after so many seconds; call it again to go on
---  waiting; default no limit
---@return string stdout
---@return string stderr
function Process:communicate(input, timeout)
  if input ~= nil then
    options.argument("process:communicate", "the input", options.bytes, input)
    if not self.stdin then
      errors.misuse("process:communicate: popen was given the input already")
    end
  end
  if timeout ~= nil then
    options.argument("process:communicate", "the timeout", options.seconds, timeout)
  end
  send_input(self, input)
  await(self, timeout)
  return Output.read(self.stdout, "a"), Output.read(self.stderr, "a")
end

--- Sends a signal; does nothing when the command has ended.
---     process:send_signal("INT")
--- Raises: request.
---@async
---@param signal string|integer "INT", "SIGINT" or 2
---@return boolean sent
function Process:send_signal(signal)
  options.argument("process:send_signal", "the signal", control.is_signal, signal)
  return control.kill(self.target, self.target.spid, signal)
end

--- Asks the command to end (SIGTERM).
---     process:terminate()
--- Raises: request.
---@async
---@return boolean sent
function Process:terminate() return control.kill(self.target, self.target.spid, "TERM") end

--- Gives its terminal (`tty`) another size; the programs in the foreground get SIGWINCH.
---     process:resize(40, 120)
--- Raises: request, conflict (it has ended, or has no terminal).
---@async
---@param rows integer 1 to 10000
---@param cols integer 1 to 10000
---@return contree.Process self
function Process:resize(rows, cols)
  options.argument("process:resize", "the rows", run.rows, rows)
  options.argument("process:resize", "the columns", run.rows, cols)
  control.resize(self.target, self.target.spid, rows, cols)
  return self
end

--- Hangs up its terminal: the command gets SIGHUP.
---     process:close()
--- Raises: request.
---@async
---@return boolean sent false when it had ended before, or has no terminal
function Process:close() return control.hang_up(self.target, self.target.spid) end

--- Ends the command (SIGKILL).
---     process:kill()
--- Raises: request.
---@async
---@return boolean sent
function Process:kill() return control.kill(self.target, self.target.spid, "KILL") end

--- Iterates over the lines of its standard output as they come.
---     for line in process:lines() do print(line) end
--- Raises: request, conflict (another task is reading), unprocessable (as read).
---@async
---@return fun(): string?
function Process:lines() return Output.lines(self.stdout) end

return process
