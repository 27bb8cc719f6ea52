--- A layer: the runs that make the next image of a stage. Its content is known before the
--- image below it is, and so is its part of the cache key.

local core = require("contree.core")
local errors = require("contree.base.errors")
local image = require("contree.image")
local options = require("contree.base.options")
local cache = require("contree.base.cache")
local networking = require("contree.wire.networking")
local pack = require("contree.dockerfile.pack")
local problem = require("contree.dockerfile.problem")
local remedy = require("contree.base.remedy")
local run = require("contree.run")
local shipment = require("contree.dockerfile.shipment")
local stdio = require("contree.base.stdio")
local users = require("contree.dockerfile.users")

local layer = {}

local HELPER = shipment.directory .. "/busybox"
local SCRIPT = shipment.directory .. "/script"
local ARGUMENT_MAX = 65536 -- a longer script travels as a file
local HELPER_IMAGE, HELPER_PATH = "busybox:latest", "/bin/busybox"
-- Part of every key. Change it when equal instructions make another image than before.
local VERSION = "2"

---@class contree.build.Layer
---@field steps contree.build.Instruction[] the instructions in it; a RUN comes last
---@field ops table[]            copies and working directories, in order
---@field command? { shell: string?, command: string?, args: string[]? } of RUN
---@field env table<string, string>    the variables of ENV
---@field extra table<string, string>  variables of this run only, which the image does not keep
---@field cwd? string
---@field user? string
---@field networking? table   of RUN, as a request has it
---@field volumes? table<string, string> by target: the caches of RUN
---@field preserve boolean       the image keeps the variables of ENV
---@field rebake boolean         the image has other variables: a run must change them

local function sorted(map)
  local list = {}
  for name, value in pairs(map) do list[#list + 1] = name .. "=" .. value end
  table.sort(list)
  return list
end

--- The cache key of the image that a layer makes from its parent.
---@param self contree.build.Layer
---@param parent string uuid
---@return string
function layer.key(self, parent)
  local texts = { VERSION, parent, self.cwd or "", self.user or "", tostring(self.preserve),
    networking.key(self.networking) }
  local function add(list)
    texts[#texts + 1] = ("%d"):format(#list)
    for _, text in ipairs(list) do texts[#texts + 1] = text end
  end
  local command = self.command or {}
  add{ command.shell or "", command.command or "" }
  add(command.args or {})
  add(sorted(self.env))
  add(sorted(self.keyed or self.extra))
  for _, op in ipairs(self.ops) do add{ op.kind, op.fingerprint or op.path } end
  -- Images do not hold what is in a volume. Keys of layers without any stay what they were.
  if self.volumes then add(sorted(self.volumes)) end
  return cache.key(texts)
end

-- Runs ------------------------------------------------------------------------

-- An on_event for a run that passes output to the build's events.
local function teller(build, step)
  if not build.on_event then return nil end
  return function(event)
    if event.type == "stdout" or event.type == "stderr" then
      build:emit(event.type, step, { data = stdio.decode(event.data) })
    end
  end
end

local OFFLINE = { "resolv", "network", "unreachable", "connect", "bad address" }

-- Add a hint to the error of a command that seems to have missed the network.
local function with_hint(build, self, err)
  local failed = errors.is(err, "command_failed") and build.client.extended
    and self.networking == nil and err.result
  local said = failed and (failed.stdout .. failed.stderr):sub(-4096):lower() or ""
  for _, word in ipairs(OFFLINE) do
    if not err.hint and said:find(word, 1, true) then remedy.set(err, "network") end
  end
  return err
end

local function plan_of(given)
  local wrong = options.env()(given.env)
  if wrong then errors.raise("invalid_argument", "the variables must be " .. wrong) end
  return run.plan("images:build", given)
end

-- Run a command in an image and keep the new image.
local function run_in(build, uuid, step, given, files)
  given.disposable, given.timeout = false, build.timeout
  given.resources_limits = build.resources_limits
  given.on_event = step and teller(build, step)
  if not next(given.env) then given.preserve_env = nil end
  local user = given.user
  given.user = nil
  local plan = plan_of(given)
  plan.files = #files > 0 and files or nil
  plan.offline = true -- RUN says what it may reach
  plan.body.user = user -- the local engine knows users; other servers take the ids
  local result = run.run(image.new(build.client, { uuid = uuid }), plan)
  if not result.uuid then errors.raise("server", "the run succeeded but made no image") end
  return result
end

-- The helper ------------------------------------------------------------------

-- A busybox that is sent along: the image itself may have neither shell nor tar.
local function helper(build)
  local bytes = build:once("helper", function()
    local found = build:image_of(HELPER_IMAGE)
    return image.methods.read(image.new(build.client, { uuid = found }), HELPER_PATH)
  end)
  return { destination = HELPER, data = bytes, mode = "0755" }
end

local function script_of(lines)
  return ('set -e\nb=%s\n%s\n"$b" rm -rf %s'):format(HELPER, table.concat(lines, "\n"),
    shipment.directory)
end

--- Run a script with the helper's shell. In it, "$b" is busybox.
---@async
---@return contree.Result
function layer.script(build, uuid, lines, given, files)
  local all, text = { helper(build) }, script_of(lines)
  for _, file in ipairs(files or {}) do all[#all + 1] = file end
  given.command, given.args = HELPER, { "sh", "-c", text }
  if #text > ARGUMENT_MAX or not core.is_utf8(text) then
    all[#all + 1] = { destination = SCRIPT, data = text, mode = "0600" }
    given.args = { "sh", SCRIPT }
  end
  given.image_etc = true -- the archive may have files there
  given.cwd, given.check = "/", given.check ~= false
  return run_in(build, uuid, nil, given, all)
end

--- The variables and the working directory of a plain run of an image.
---@async
---@return { env: table<string, string>, cwd: string }
function layer.probe(build, uuid)
  local plan = run.plan("images:build", { command = HELPER, args = { "sh", "-c",
    ('b=%s; "$b" pwd; "$b" env -0'):format(HELPER) }, check = true, timeout = build.timeout })
  plan.files = { helper(build) }
  local text = run.run(image.new(build.client, { uuid = uuid }), plan).stdout
  local cwd, rest = text:match("^([^\n]*)\n(.*)$")
  local env = {}
  for pair in (rest or ""):gmatch("[^%z]+") do
    local name, value = pair:match("^([^=]+)=(.*)$")
    if name then env[name] = value end
  end
  return { env = env, cwd = cwd or "/" }
end

-- Making it -------------------------------------------------------------------

local function packed(build, self, uuid)
  local into = pack.new(build, uuid)
  for _, op in ipairs(self.ops) do
    if op.kind == "copy" then into:add(op) else into:make_directory(op) end
  end
  return into, into:ship()
end

local function variables(self)
  return { env = self.env, preserve_env = self.preserve or nil }
end

-- Place files without a script: the run needs only `true`, which most images have.
local function place_files(build, self, uuid, files)
  local given = variables(self)
  given.command, given.cwd = "true", "/"
  local result = run_in(build, uuid, nil, given, files)
  if result.exit_code ~= 0 then
    return layer.script(build, uuid, {}, variables(self), files)
  end
  return result
end

local function place(build, self, uuid, shipped)
  if #shipped.script > 0 then
    return layer.script(build, uuid, shipped.script, variables(self), shipped.files).uuid
  elseif #shipped.files > 0 or self.rebake then
    return place_files(build, self, uuid, shipped.files).uuid
  end
  return uuid
end

-- Set the user of the command, and HOME for that user.
local function identity(build, self, uuid, step, given, into)
  if not self.user then return end
  local user = users.find(build.client, uuid, self.user, step,
    function(path) return into:content(path) end)
  given.user, given.uid, given.gid = self.user, user.uid, user.gid or 0
  if user.uid ~= 0 and not given.env.HOME then given.env.HOME = user.home or "/" end
end

local function run_command(build, self, uuid, step, into, shipped)
  local files = shipped.files
  if #shipped.script > 0 then uuid, files = place(build, self, uuid, shipped), {} end
  local env = {}
  for name, value in pairs(self.extra) do env[name] = value end
  for name, value in pairs(self.env) do env[name] = value end
  local given = { env = env, preserve_env = self.preserve or nil, check = true, cwd = self.cwd,
    shell = self.command.shell, command = self.command.command, args = self.command.args,
    networking = self.networking, volumes = self.volumes }
  identity(build, self, uuid, step, given, into)
  return run_in(build, uuid, step, given, files).uuid
end

--- Make the layer on an image.
---@async
---@param build contree.build.Build
---@param self contree.build.Layer
---@param uuid string of the image
---@return string uuid of the new one
function layer.make(build, self, uuid)
  local step = self.steps[#self.steps]
  local ok, result = pcall(function()
    local into, shipped = packed(build, self, uuid)
    if self.command then return run_command(build, self, uuid, step, into, shipped) end
    return place(build, self, uuid, shipped)
  end)
  if ok then return result end
  error(step and problem.locate(with_hint(build, self, result), step) or result, 0)
end

return layer
