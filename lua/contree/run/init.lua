--- Runs: options checked and turned into a plan, a plan into a request, the
--- request into an operation.

local core = require("contree.core")
local class = require("contree.base.class")
local delivery = require("contree.run.delivery")
local errors = require("contree.base.errors")
local files = require("contree.image.files")
local follow = require("contree.wire.follow")
local image = require("contree.image")
local json = require("contree.base.json")
local loop = require("contree.loop")
local networking = require("contree.wire.networking")
local secrets = require("contree.wire.secrets")
local operation = require("contree.run.operation")
local options = require("contree.base.options")
local remedy = require("contree.base.remedy")
local signing = require("contree.run.signing")
local stdin = require("contree.run.stdin")
local stdio = require("contree.base.stdio")
local tasks = require("contree.loop.task")
local uploads = require("contree.image.uploads")
local users = require("contree.image.users")
local volumes = require("contree.image.volumes")
local wire = require("contree.wire")

local run = {}

-- The most seconds for which the server may delay its answer to a spawn until the end.
local PREFER_WAIT = 10
-- Seconds after which the server ends a run that has no timeout=.
local LONGEST = 3600
--- The most bytes of output that an operation's JSON holds. More is in its events only, and
--- only a local engine is known to take more.
run.RESULT_MAX = 10485760
--- Seconds without a command after which a box ends.
run.IDLE_TIMEOUT = 300
-- The limit for output that a caller takes as it comes without naming one.
local NO_LIMIT = 2 ^ 40
-- Seconds that the answer to a cancelled spawn is still waited for.
local GRACE = 5

---@class contree.Limits what one run may take of the machine (docs/engine/engine.md)
---@field cpus? number             processors: 0.5, 2; default all, or the engine's --cpus
---@field memory_bytes? integer    memory and swap; default none, or the engine's --memory
---@field pids? integer            processes and threads; default 4096, or the engine's --pids
---@field max_layer_bytes? integer what the run may write; default 12 GiB
---@field shm_bytes? integer       size of /dev/shm; default 256 MiB

---@class contree.Tty a terminal for a command
---@field rows? integer          1 to 10000; default 24
---@field cols? integer          the same; default 80
---@field term? string           its kind, for TERM; default "xterm-256color"

---@class contree.RunOptions
---@field shell? string          run by the sandbox's shell; no default: this or `command`
---@field command? string        a program, found in PATH; no default: this or `shell`
---@field args? string[]         the program's arguments; default none
---@field stdin? any             a string, file, function, { path = } or buffer; contree.PIPE
---  leaves it open for write(); default empty
---@field stdout? any            a function, file, { path = }, contree.PIPE or buffer; default
---  a string in the result
---@field stderr? any            the same; default a string
---@field env? table<string, string> variables, beside the image's; default none
---@field preserve_env? boolean  keep env in the resulting image; default false
---@field cwd? string            absolute; default the image's, or "/"
---@field files? contree.RunFiles list of local paths, or map of destinations to what
---  is put there: a string is a local path; default none
---@field progress? fun(progress: contree.Progress) called while files are sent; default none
---@field volumes? table<string, string> names of volumes by where they are mounted: directories
---  that outlive the run, in no image (local engine); default none
---@field mounts? table<string, string|{ path: string, noexec: boolean? }> directories of the
---  engine's machine by where they are mounted, read-only (local engine); default none
---@field hostname? string       the sandbox's name; default "linuxkit" on a local engine
---@field user? string|true      "app", "app:staff", "1000:1000"; true: the image's USER;
---  default root
---@field uid? integer           in place of user; default 0
---@field gid? integer           the same; default the user's group
---@field truncate_output_at? integer bytes kept of each stream; default 1 MiB, or all of a
---  stream that is taken as it comes
---@field on_event? fun(event: contree.Event) called with each event; default none
---@field disposable? boolean    false keeps what changed as a new image; default true for
---  images without a tag, false for sessions
---@field tag? string            names the image that is kept; default none
---@field timeout? number        seconds; default 60
---@field queue_timeout? number  seconds to wait for a sandbox at most (local engine); default
---  any time
---@field check? boolean         an exit code other than 0 raises; default false
---@field networking? boolean|contree.Networking whether there is a network, and what may be
---  reached; default the client's, or the server's: a local engine gives none
---@field secrets? table<string, contree.Secret> what the run may use and never sees, by the
---  variable that has a placeholder of it (local engine, with rules of networking); default the
---  client's
---@field trace? boolean|"files" result.tried lists what it tried: programs, refused system calls
---  and, with rules of networking, connections; "files" also files (local engine); default false
---@field image_etc? boolean     /etc/hosts, hostname and resolv.conf are the image's, and kept;
---  default false
---@field resources_limits? contree.Limits default the server's
---@field detach? boolean        it goes on when its object, its task or the program is gone;
---  default false
---@field tty? boolean|contree.Tty a terminal in place of the three streams: all output is
---  stdout (local engine); default false
---@field idempotency_key? string a local engine runs it once, however often it is asked; default
---  none

run.limits = options.nested{
  cpus = options.positive, memory_bytes = options.integer(1), pids = options.integer(1),
  max_layer_bytes = options.integer(0), shm_bytes = options.integer(4096),
}

--- A number of rows or columns of a terminal.
run.rows = options.integer(1, 10000)
run.terminal = options.nested{ rows = run.rows, cols = run.rows, term = options.name }

--- What is traced.
run.tracing = options.one_of(options.boolean, options.exactly("files"))

--- The options of a run. stdio and files check stdin, stdout, stderr and files.
run.spec = {
  shell = options.text, command = options.name, args = options.texts,
  stdin = options.any, stdout = options.any, stderr = options.any, files = options.any,
  progress = options.callable, env = options.env(json.null),
  preserve_env = options.boolean, cwd = options.absolute,
  hostname = options.name, user = options.user, uid = options.integer(0, 2 ^ 32 - 2),
  gid = options.integer(0, 2 ^ 32 - 2), truncate_output_at = options.integer(0),
  on_event = options.callable, disposable = options.boolean, tag = options.name,
  timeout = options.seconds, queue_timeout = options.duration, check = options.boolean,
  networking = networking.check, secrets = secrets.check, trace = run.tracing,
  resources_limits = run.limits,
  idempotency_key = options.name, detach = options.boolean,
  image_etc = options.boolean, volumes = volumes.by_target, mounts = volumes.mounts_by_target,
  tty = options.one_of(options.boolean, run.terminal),
}

--- The options of a command that runs beside another one (http-api.md §5.6).
run.process_spec = {}
for _, name in ipairs{ "shell", "command", "args", "stdin", "stdout", "stderr", "env", "cwd",
  "user", "uid", "gid", "truncate_output_at", "on_event", "check", "tty" } do
  run.process_spec[name] = run.spec[name]
end

--- The options of a command in a box. A server without boxes has no time limit for it.
run.command_spec = { timeout = run.spec.timeout }
for name, check in pairs(run.process_spec) do run.command_spec[name] = check end

--- The options of a box.
run.box_spec = { idle_timeout = options.seconds }
for _, name in ipairs{ "env", "cwd", "user", "uid", "gid", "files", "progress", "volumes",
  "mounts", "hostname", "image_etc", "networking", "secrets", "trace",
  "resources_limits", "timeout",
  "queue_timeout" } do
  run.box_spec[name] = run.spec[name]
end

local function check_user(where, given)
  if given.user ~= nil and (given.uid or given.gid) then
    errors.misuse(where .. " takes either user, or uid and gid", 'user = "1000:100"')
  end
end

local function check_command(where, given)
  if (given.shell == nil) == (given.command == nil) then
    errors.misuse(where .. (given.shell and " takes either shell or command, not both"
      or " needs shell = or command ="))
  end
  if given.shell and given.args and #given.args > 0 then
    errors.misuse(where .. ": args go with command, not with shell")
  end
end

-- The request's body without image, files and stdin. Options that are not set are not
-- sent, so the server's defaults hold.
local function body_of(given)
  return {
    command = given.shell or given.command,
    shell = given.shell ~= nil,
    args = given.args and json.array({ (table.unpack or unpack)(given.args) }),
    env = given.env, preserve_env = given.preserve_env, cwd = given.cwd,
    hostname = given.hostname, user = given.user, uid = given.uid, gid = given.gid,
    truncate_output_at = given.truncate_output_at,
    timeout = given.timeout and math.ceil(given.timeout), queue_timeout = given.queue_timeout,
    networking = networking.member(given.networking), secrets = secrets.member(given.secrets),
    trace = given.trace or nil,
    resources_limits = given.resources_limits,
    disposable = given.disposable, image_etc = given.image_etc,
    volumes = given.volumes, mounts = volumes.mounts(given.mounts),
    tty = given.tty or nil,
  }
end

--- Checks run options; sends nothing. A plan can be run many times.
---@param where string how the caller's method is named
---@param given contree.RunOptions|string
---@param disposable? boolean what holds when the options do not say (default true)
---@param spec? table which options there are
function run.plan(where, given, disposable, spec)
  if type(given) == "string" then given = { shell = given } end
  if given == nil then errors.misuse(where .. " needs shell = or command =") end
  options.check(where, spec or run.spec, given)
  check_command(where, given)
  check_user(where, given)
  if given.disposable ~= nil then
    disposable = given.disposable
  elseif disposable == nil then
    disposable = given.tag == nil
  end
  if disposable and given.tag then
    errors.misuse(where .. ": a disposable run keeps no image that could get the tag",
      "disposable = false keeps it")
  end
  if given.tty and given.stderr ~= nil then
    errors.misuse(where .. ": a terminal has one stream, and stderr is part of it",
      "stdout = … gets all output")
  end
  local body = body_of(given)
  body.disposable = disposable
  return {
    body = body,
    disposable = disposable,
    stdin_open = given.stdin == stdio.PIPE,
    stdin = given.stdin ~= nil and given.stdin ~= stdio.PIPE and stdio.input(given.stdin, "stdin")
      or nil,
    stdout = stdio.output(given.stdout, "stdout"),
    stderr = stdio.output(given.stderr, "stderr"),
    files = given.files and files.plan(given.files), progress = given.progress,
    on_event = given.on_event, check = given.check, tag = given.tag,
    key = given.idempotency_key, detach = given.detach, signers = secrets.signers(given.secrets),
  }
end

--- The same for a box, which has no command of its own. Nothing of it is kept unless it is
--- closed with `keep`, so it is not disposable.
---@param where string
---@param given? table
function run.box_plan(where, given)
  given = options.check(where, run.box_spec, given)
  check_user(where, given)
  local body = body_of(given)
  body.shell, body.disposable = nil, false
  -- Those are of its commands.
  body.env, body.cwd, body.user, body.uid, body.gid = nil, nil, nil, nil, nil
  body.box = { idle_timeout = given.idle_timeout or run.IDLE_TIMEOUT }
  return { body = body, disposable = false, stdout = stdio.output(nil, "stdout"),
    stderr = stdio.output(nil, "stderr"), files = given.files and files.plan(given.files),
    progress = given.progress, signers = secrets.signers(given.secrets) }, given
end

-- Set the bytes after which the streams are cut. Output that is taken as it comes is not
-- cut, unless the caller asks for it: a program that reads lines would take a part of a
-- line for a whole one.
local function set_limit(this, self, streamed)
  local body = this.body
  local asked = body.truncate_output_at
  if not asked and (streamed or this.sinks.stdout.live or this.sinks.stderr.live) then
    body.truncate_output_at = self.extended and NO_LIMIT or run.RESULT_MAX
    this.whole = true
  end
  this.limit = body.truncate_output_at
  return (asked or 0) > run.RESULT_MAX
end

--- The state of one run of a plan.
---@param self contree.Client
---@param streamed boolean the output may be read while it runs, by op:output() or popen
---@param keep? function see run.start
---@param defaults? table what the request says where the plan says nothing
function run.begin(plan, self, streamed, on_end, keep, defaults)
  local this = {
    body = {}, disposable = plan.disposable, check = plan.check, tag = plan.tag,
    detach = plan.detach, signers = plan.signers or not plan.body.secrets and defaults
      and self.signers or nil,
    on_event = plan.on_event, on_end = on_end, keep = keep,
    sinks = { stdout = plan.stdout(), stderr = plan.stderr() },
  }
  for name, value in pairs(defaults or {}) do this.body[name] = value end
  if plan.offline then this.body.networking = nil end
  for name, value in pairs(plan.body) do this.body[name] = value end
  if plan.stdin_open then this.body.stdin = { value = "", encoding = "ascii", close = false } end
  if plan.stdin then this.body.stdin, this.rest_of_stdin = stdin.begin(plan.stdin()) end
  local is_long = set_limit(this, self, streamed)
  this.live = this.sinks.stdout.live or this.sinks.stderr.live or this.on_event ~= nil
    or this.rest_of_stdin ~= nil or is_long
  return this
end

-- Called when the wait for the answer to a spawn is given up: wait a little longer for it,
-- since the operation can be cancelled only by the id in it.
local function take_back(sent)
  local task, self = sent.task, sent.client
  local answered, late = pcall(task.wait, task, GRACE)
  if answered and late.json and late.json.uuid then
    operation.cancel_quietly(self, late.json.uuid)
  else
    task:cancel()
    pcall(task.wait, task)
  end
end

-- The same for a transfer whose task the host has killed: the transfer lives on.
local function inheritor(self)
  return function(port)
    local deadline = core.now() + GRACE
    while not port.handle:done() and port:wait(math.max(0, deadline - core.now())) do end
    port:cancel()
    local answer = port.handle:result()
    local started = not answer.error and json.decode(answer.body or "")
    if type(started) == "table" and started.uuid then
      operation.cancel_quietly(self, started.uuid)
    end
  end
end

--- Raise that the server has no terminals.
function run.lacks_terminals()
  errors.raise("not_supported", "this server gives no terminals",
    { hint = "a local engine does" })
end

local function send(self, request, held_back)
  -- While a local engine delays its answer, it cancels the run when we hang up.
  if held_back and self.extended then return wire.request(self, request) end
  request.inherit = inheritor(self)
  local task = tasks.spawn(wire.request, self, request)
  task.shielded = true
  local sent = { task = task, client = self }
  local revoke = loop.will(take_back, sent)
  local ok, result = pcall(task.wait, task)
  revoke()
  if ok then return result end
  if not task.err then take_back(sent) end
  error(result, 0)
end

-- Of a run we need no more than its id and its end (RFC 7240).
local MINIMAL = { "Prefer: return=minimal" }

--- The headers of a spawn whose answer is wanted late: one table for all, which wire knows.
function run.prefer(self)
  local seconds = math.min(PREFER_WAIT, math.floor(self.timeout / 2))
  self.prefer = rawget(self, "prefer") or { ("Prefer: wait=%d, return=minimal"):format(seconds) }
  return self.prefer
end

-- Runs for files.send, which is in a room below.
local function executor(self)
  return function(uuid, given)
    local plan = run.plan("files", given, false)
    plan.offline = true
    return run.run(image.new(self, { uuid = uuid }), plan)
  end
end

-- Who signs has to be there while the run goes on.
local function settle_signers(this)
  if not this.body.secrets then this.signers = nil end
  if this.signers and this.detach then
    errors.misuse("a detached run cannot have secrets with sign: nobody might be there to sign",
      "leave detach out, or give a value")
  end
end

local function request_of(from, plan, this, wait)
  local self = from.client
  local base
  if plan.files then
    this.body.files, base = files.send(self, plan.files, function() return image.uuid_of(from) end,
      this.disposable, executor(self), plan.progress)
  end
  this.put = base ~= nil
  -- Events do not say which image a tag meant, so whether the run changed it is not known.
  if this.live and not this.disposable then image.uuid_of(from) end
  if this.body.user and not self.extended then
    users.settle(self, image.uuid_of(from), this.body)
  end
  if this.body.volumes or this.body.mounts then volumes.need(self) end
  secrets.settle(this.body, plan.body.secrets)
  settle_signers(this)
  networking.need(self, this.body.networking)
  this.body.image = base or image.reference(from)
  -- A run with a key goes on when we hang up, so we need its id at once.
  local held_back = wait and not this.live and not plan.key and not plan.detach
    and not this.body.tty and not this.signers and self.timeout >= 2
  local headers = held_back and run.prefer(self) or MINIMAL
  if plan.key then headers = { "Idempotency-Key: " .. plan.key, MINIMAL[1] } end
  -- The answer repeats `tty` and `box` if the server knows them.
  if this.body.tty or this.body.box then headers = plan.key and { headers[1] } or nil end
  local queue = this.body.queue_timeout
  return { method = "POST", path = "/instances", json = this.body, headers = headers,
    patience = queue and core.now() + queue,
    repeatable = plan.key ~= nil and self.extended }, held_back
end

local function spawn(from, plan, this, wait)
  local self = from.client
  local remembered = plan.files and next(self.known_files)
  local function try()
    local request, held_back = request_of(from, plan, this, wait)
    -- Sending files takes time: a session checks again whether it may run.
    if plan.before_sent then plan.before_sent() end
    return send(self, request, held_back)
  end
  local ok, result = pcall(try)
  local refused = errors.is(result)
    and (result.status == 400 or result.status == 404 or result.status == 422)
  if refused and plan.files and (uploads.doubt(self.uploads) or remembered) then
    -- The server deletes unused uploads after a time, and we may still remember them.
    self.known_files = {}
    ok, result = pcall(try)
  end
  if ok then return result end
  if errors.is(result, "not_found") and not plan.files then
    result.message = ("%s: %s"):format(from.tag or from.uuid, result.message)
    if from.tag then remedy.set(result, "import", from.tag) else result.hint = nil end
  end
  error(result, 0)
end

-- Without a terminal the command would be another one, so it is taken back.
local function refuse_streams(self, answer)
  if answer.json.tty then return end
  operation.cancel_quietly(self, wire.member(answer, "uuid"))
  run.lacks_terminals()
end

-- The same for a box: without it there is nothing to work in.
local function refuse_box(self, ok, answer)
  if ok and answer.json.box then return end
  if ok then
    operation.cancel_quietly(self, wire.member(answer, "uuid"))
  elseif self.extended or not errors.is(answer)
    or answer.status ~= 400 and answer.status ~= 422 then
    error(answer, 0)
  end
  errors.raise("not_supported", "this server has no boxes",
    { hint = "the local engine does; image:start and operation:spawn work there, too" })
end

local function launch(from, plan, wait, on_end, keep)
  local this = run.begin(plan, from.client, not wait, on_end, keep, from.client.run_defaults)
  -- Nobody can type while the run is waited for.
  if wait and this.body.tty and not this.body.stdin then
    this.body.stdin = { value = "", encoding = "ascii", close = true }
  end
  local ok, answer = pcall(spawn, from, plan, this, wait)
  if ok and this.body.tty then
    local good, err = pcall(refuse_streams, from.client, answer)
    if not good then ok, answer = good, err end
  end
  if this.body.box then
    local good, err = pcall(refuse_box, from.client, ok, answer)
    if not good then ok, answer = false, err end
  end
  if not ok then
    delivery.close(this.sinks)
    error(answer, 0)
  end
  this.timeout = (this.body.timeout or LONGEST) + (this.body.queue_timeout or 0)
  this.body = nil
  local started = operation.new(from.client, wire.member(answer, "uuid"), from, this)
  if follow.is_terminal(answer.json.status) then
    started.final = answer.json
  elseif not plan.detach then
    operation.own(started, wait)
    if this.signers and not from.client.respond then
      this.signing = signing.start(from.client, started.uuid, this.signers)
    end
  end
  return started
end

--- Run a plan from an image and wait for its end.
---@async
---@param from contree.Image
---@return contree.Result
function run.run(from, plan)
  if plan.stdin_open then
    errors.misuse("stdin = contree.PIPE is for a run that is not waited for",
      "image:start returns an operation to write to")
  end
  local started = launch(from, plan, true)
  local deadline = core.now() + started.plan.timeout + from.client.timeout
  return operation.await(started, deadline)
end

--- Starts a plan.
---@async
---@param on_end? fun(result: contree.Result?) called once, when the end is known
---@param keep? fun(started: contree.Operation, result: contree.Result?) called before that; it
---  may wait, and what it raises is the end when it names the operation, else it is called again
---@return contree.Operation
function run.start(from, plan, on_end, keep)
  return launch(from, plan, false, on_end, keep)
end

---@class contree.Prepared a run to be called as often as wanted: prepared()
---@operator call(): contree.Result
local Prepared = {}

local make_prepared = class.define("contree.Prepared", Prepared, {
  __call = function(self) return run.run(self.image, self.plan) end,
})

---@return contree.Prepared
function run.prepare(from, plan)
  return make_prepared({ image = from, plan = plan }, from.client.safe)
end

--- Runs it and waits for its end; calling it does the same.
---     local result = prepared:run()
--- Raises: request, not_found (the image, an uploaded file), unprocessable (as image:run),
--- operation_failed, command_failed (with `check`), file (a local file).
---@async
---@return contree.Result
function Prepared:run() return run.run(self.image, self.plan) end

--- Starts it and returns at once.
---     local operation = prepared:start()
--- Raises: request, not_found (the image, an uploaded file), unprocessable (as image:start),
--- file (a local file).
---@async
---@return contree.Operation
function Prepared:start() return run.start(self.image, self.plan) end

return run
