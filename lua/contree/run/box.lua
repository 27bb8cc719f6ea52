--- A box: one sandbox for many commands (docs/use/box.md), in the sandbox of an operation that
--- has no command of its own (http-api.md §8.16).

local class = require("contree.base.class")
local control = require("contree.wire.control")
local errors = require("contree.base.errors")
local follow = require("contree.wire.follow")
local image = require("contree.image")
local json = require("contree.base.json")
local loop = require("contree.loop")
local operations = require("contree.run.operation")
local options = require("contree.base.options")
local outcome = require("contree.run.outcome")
local process = require("contree.run.process")
local run = require("contree.run")
local subprocess = require("contree.run.subprocess")
local wire = require("contree.wire")

local box = {}

-- Seconds after which the state of a box that ends is asked for again, and how often.
local PAUSE, TRIES, DOUBTS = 0.02, 50, 10

---@class contree.BoxOptions
---@field idle_timeout? number   seconds without a command until it ends; default 300
---@field timeout? number        seconds until it ends in any case; default none
---@field env? table<string, string> variables of its commands, beside the image's; default none
---@field cwd? string            where its commands run; default the image's, or "/"
---@field user? string|true      who runs them; default root
---@field uid? integer           in place of user; default 0
---@field gid? integer           the same; default the user's group
---@field files? contree.RunFiles as for runs; default none
---@field progress? fun(progress: contree.Progress) called while files are sent; default none
---@field volumes? table<string, string> as for runs; default none
---@field mounts? table<string, string|{ path: string, noexec: boolean? }> as for runs; default none
---@field hostname? string       the sandbox's name; default "linuxkit"
---@field image_etc? boolean     as for runs; default false
---@field networking? boolean|contree.Networking as for runs; default the client's, or false
---@field secrets? table<string, contree.Secret> as for runs; default the client's
---@field trace? boolean|"files" as for runs; default false
---@field resources_limits? contree.Limits of all its commands together; default the server's
---@field queue_timeout? number  seconds to wait for a sandbox at most; default any time

---@class contree.Box one sandbox for many commands
---@field operation contree.Operation its sandbox: forward, usage, watch, pause
---@field client contree.Client whose server it is on
---@field uuid string            the operation's
local Box = {}

local make = class.define("contree.Box", Box, {
  __close = function(self) pcall(Box.close, self) end,
  __tostring = function(self) return ("contree.Box(%s)"):format(self.uuid) end,
}, { "operation", "client", "uuid" })

-- The end ------------------------------------------------------------------------

local LOST = "the engine stopped"

-- Why it has ended: a word for programs, and words for people.
local function reason_of(self, found)
  local ended = outcome.of_operation(found)
  local limit = ended.limit or json.as("string", found.limit)
  local said = ended.error or "it was cancelled"
  if self.closed then return "closed", "box:close() was called" end
  if limit == "idle" or limit == "timeout" then return limit, said end
  if said:find(LOST, 1, true) then return "engine", said end
  if ended.status == "CANCELLED" then return "cancelled", "it was cancelled" end
  return limit and limit ~= "cancelled" and "limit" or "failed", said
end

local HINTS = {
  idle = "idle_timeout = keeps it open for longer; image:open{…} opens another one",
  timeout = "timeout = sets the limit; image:open{…} opens another one",
}

-- The error that says why the box has ended.
local function ended_error(self, found)
  local reason, words = reason_of(self, found)
  return errors.new("gone", ("the box has ended: %s"):format(words),
    { reason = reason, operation = self.operation,
      hint = HINTS[reason] or "image:open{…} opens another one" })
end

-- What is known of it when it has ended. Its end is written down a moment after it was told.
local function await_end(self, tries)
  for try = 1, tries do
    local found = wire.fetch(self.client,
      { method = "GET", path = "/operations/" .. wire.segment(self.uuid) })
    if follow.is_terminal(found.status) then return found end
    if found.paused then return nil end
    if try < tries then loop.sleep(PAUSE) end
  end
end

-- Why the box has ended, of which something has told.
local function ending(self)
  local found = await_end(self, TRIES)
  if found then return ended_error(self, found) end
  return errors.new("gone", "the box is ending", { reason = "failed", operation = self.operation })
end

-- Errors that a box answers with that has ended.
local function may_be_over(err)
  return errors.is(err) and (err.kind == "conflict" or err.kind == "not_found")
end

-- Call fn; if it fails because the box has ended, say so, and why.
local function inside(self, fn, ...)
  if self.closed then error(ended_error(self, { status = "CANCELLED" }), 0) end
  local ok, value = pcall(fn, ...)
  if ok then return value end
  local found = may_be_over(value) and await_end(self, DOUBTS)
  if found then error(ended_error(self, found), 0) end
  error(value, 0)
end

-- The beginning ------------------------------------------------------------------

local function connect(self)
  local follower = follow.new(self.client, self.uuid, { spid = 0, hangup = 1 })
  follower:start()
  if not follower.port then
    operations.cancel_quietly(self.client, self.uuid)
    errors.raise("connection", "the box was opened, and the connection that keeps it was not")
  end
  self.follower = follower
  self.sentinel = class.on_collect(function() loop.later(follower.close, follower) end)
end

--- Open a box; image:open calls this.
---@async
---@param from contree.Image
---@param given? contree.BoxOptions
---@return contree.Box
function box.open(where, from, given)
  local plan
  plan, given = run.box_plan(where, given)
  local operation = run.start(from, plan)
  local self = make({ operation = operation, client = operation.client, uuid = operation.uuid,
    closed = false,
    defaults = { env = given.env, cwd = given.cwd, user = given.user, uid = given.uid,
      gid = given.gid } }, operation.client.safe)
  self.explain = function() return ending(self) end -- for its commands
  connect(self)
  return self
end

-- Commands -------------------------------------------------------------------------

-- What a command inherits from the box.
local function defaults_for(self, body)
  local found = {}
  for name, value in pairs(self.defaults) do found[name] = value end
  if body.user or body.uid or body.gid then found.user, found.uid, found.gid = nil, nil, nil end
  if found.env and body.env then
    local env = {}
    for name, value in pairs(found.env) do env[name] = value end
    for name, value in pairs(body.env) do env[name] = value end
    body.env = env
  end
  return found
end

local function start(self, plan, caller)
  local defaults = defaults_for(self, plan.body)
  return inside(self, subprocess.begin, self.operation, plan, defaults, self, caller)
end

--- Runs a command in the box and waits for its end. What it does to files is there for the
--- commands after it. Other commands may run at the same time. A task that is cancelled while
--- it waits kills the command.
---     local result = box:run{ shell = "make test", timeout = 60 }
--- Raises: request, gone (the box has ended, and the field `reason` says why), unprocessable
--- (a user that the image does not have, streamed output that was cut off), command_failed
--- (with `check`), file (a local file).
---@async
---@param given contree.CommandOptions|string a lone string is the shell command
---@return contree.SubprocessResult
function Box:run(given)
  local plan = run.plan("box:run", given, true, run.command_spec)
  if plan.stdin_open then
    errors.misuse("stdin = contree.PIPE is for a command that is not waited for",
      "box:spawn returns one to write to")
  end
  return subprocess.await(start(self, plan, "waits"))
end

---@class contree.CommandOptions : contree.SpawnOptions
---@field timeout? number seconds until the engine kills it, with all processes that it has
---  started; the box and its other commands go on; default none

--- Starts a command in the box and returns at once.
---     local server = box:spawn{ command = "httpd", args = { "-f" } }
--- Raises: request, gone (the box has ended), unprocessable (a user that the image does not
--- have), file (a local file).
---@async
---@param given contree.CommandOptions|string a lone string is the shell command
---@return contree.Subprocess
function Box:spawn(given)
  return start(self, run.plan("box:spawn", given, true, run.command_spec))
end

---@class contree.BoxPopenOptions
---@field shell? boolean        the command is a string for the sandbox's shell; default false
---@field stdin? any            contree.PIPE (the default), or all of the input as for runs
---@field input? any            the same as stdin; default none
---@field stdout? any           default contree.PIPE, all that it may be
---@field stderr? any           the same; default contree.PIPE
---@field env? table<string, string> variables, beside the box's; default none
---@field cwd? string           absolute; default the box's
---@field user? string|true     who runs it; default the box's
---@field uid? integer          in place of user; default the box's
---@field gid? integer          the same; default the user's group
---@field timeout? number       seconds until the engine kills it, as of box:run; default none
---@field truncate_output_at? integer bytes kept of each stream; default all
---@field check? boolean        wait() and communicate() raise for an exit code other than 0;
---  default false
---@field tty? boolean|contree.Tty a terminal: all output is stdout, and it is hung up when its
---  object, its task or the program is gone; default false
---@field text? boolean         means nothing: Lua strings are bytes; default false

--- Starts a command that is talked to while it runs (image:popen), also on a terminal.
---     local shell = box:popen({ "sh" }, { tty = true })
--- Raises: request, gone (the box has ended), unprocessable (a user that the image does not
--- have), file (a local file).
---@async
---@param argv string|string[] the program and its arguments; a lone string is a program's
---  name or, with `shell = true`, a line for the sandbox's shell
---@param given? contree.BoxPopenOptions
---@return contree.Process
function Box:popen(argv, given)
  return process.open_in_box("box:popen", function(plan) return start(self, plan, "talks") end,
    argv, given)
end

-- Keeping ------------------------------------------------------------------------

-- Seconds that the copy of what a box holds may take.
local LASTING = 3600

--- Makes an image of what the box holds now, while it goes on. All its commands stand still for a
--- moment, so the image is of one point in time; it is durable when this returns. Volumes and
--- directories of the host are not in it. A box that has changed nothing gives its image.
---     local built = box:snapshot()
---     built:run("make test")
--- Raises: request, gone (the box has ended), server (a command does not stop, or the disk is
--- full; the box goes on).
---@async
---@param given? { tag: string? } tag: names the image; default none
---@return contree.Image
function Box:snapshot(given)
  given = options.check("box:snapshot", { tag = options.name }, given)
  local answer = inside(self, control.order, self.operation, 1, { method = "POST",
    path = "/operations/" .. wire.segment(self.uuid) .. "/snapshot", lasting = LASTING })
  local made = image.new(self.client, { uuid = wire.member(answer, "uuid") })
  if given.tag then image.methods.tag_as(made, given.tag) end
  return made
end

-- Closing ------------------------------------------------------------------------

local CLOSE = { keep = options.boolean, tag = options.name }

-- End its commands; what they wrote becomes an image.
local function keep(self, tag)
  if not control.kill(self.operation, 1, "TERM") then error(ending(self), 0) end
  local ok, result = pcall(operations.methods.wait, self.operation)
  self.closed = true
  self.follower:close()
  if not ok then error(result, 0) end
  local kept = image.new(self.client, { uuid = result.uuid })
  if tag then image.methods.tag_as(kept, tag) end
  return kept
end

--- Ends the box with all that runs in it. What its commands wrote is dropped or, with `keep`,
--- becomes an image. A box that is garbage, or that goes out of scope as `local box <close>`,
--- is closed, and so is one whose program has ended, however that was.
---     local built = box:close{ keep = true }
--- Raises: request, gone (with `keep`: the box has ended), operation_failed (with `keep`: it
--- could not be kept).
---@async
---@param given? { keep: boolean?, tag: string? } keep: default false; tag: names the image that
---  is kept; default none
---@return contree.Image|boolean kept the image; without `keep` whether the box was open
function Box:close(given)
  given = options.check("box:close", CLOSE, given)
  if given.tag and not given.keep then
    errors.misuse("box:close: nothing is kept that could get the tag", "keep = true keeps it")
  end
  if given.keep then return inside(self, keep, self, given.tag) end
  if self.closed then return false end
  self.closed = true
  local open = operations.methods.cancel(self.operation)
  self.follower:close()
  return open
end

return box
