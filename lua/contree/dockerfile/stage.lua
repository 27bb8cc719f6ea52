--- A stage: its instructions become layers and a configuration.

local arguments = require("contree.dockerfile.arguments")
local core = require("contree.core")
local copy = require("contree.dockerfile.copy")
local expand = require("contree.dockerfile.expand")
local mounts = require("contree.dockerfile.mounts")
local parser = require("contree.dockerfile.parser")
local paths = require("contree.dockerfile.paths")
local problem = require("contree.dockerfile.problem")

local stage = {}

---@class contree.build.Stage
---@field index integer     from 0
---@field name? string      of FROM … AS name, in lower case
---@field from contree.build.Instruction
---@field base string       the image or stage that FROM names
---@field steps contree.build.Instruction[]

---@class contree.BuildConfig the configuration, which the API cannot store in an image
---@field env table<string, string> of ENV
---@field cmd? string[] of CMD; nil: none
---@field entrypoint? string[] of ENTRYPOINT; nil: none
---@field workdir? string of WORKDIR; nil: none
---@field user? string of USER; nil: none
---@field labels table<string, string> of LABEL
---@field exposed string[] of EXPOSE: "80/tcp"
---@field volumes string[] of VOLUME: paths
---@field stopsignal? string of STOPSIGNAL; nil: none
---@field shell? string[] of SHELL; nil: none

-- Variables that every command has, whatever the image's own variables are.
local NOT_OF_IMAGE = { HOME = true, USER = true, PWD = true, OLDPWD = true, SHLVL = true,
  HOSTNAME = true, TERM = true, _ = true }

local function copy_map(map)
  local new = {}
  for name, value in pairs(map) do new[name] = value end
  return new
end

local function is_empty(map) return next(map) == nil end

local function same(a, b)
  for name, value in pairs(a) do
    if b[name] ~= value then return false end
  end
  for name in pairs(b) do
    if a[name] == nil then return false end
  end
  return true
end

-- The state of a stage while its instructions are read: Planner --------------------

---@class contree.build.Planner
---@field config contree.BuildConfig
---@field args table<string, string>  the variables of ARG
---@field layers contree.build.Layer[]
---@field pending table[]             copies and directories for the next layer
local Planner = {}
Planner.__index = Planner

-- The value of a variable: of ENV, then of ARG, then of the base image.
local function value_of(self, name)
  local value = self.config.env[name] or self.args[name]
  if value == nil and arguments.proxies[name] then value = self.build.args[name] end
  if value == nil and not NOT_OF_IMAGE[name] then value = self.probe().env[name] end
  return value
end

local function lookup_at(self, step)
  return {
    escape = self.build.escape,
    value = function(name) return value_of(self, name) end,
    fail = function(message, hint) problem.raise(step, message, hint) end,
  }
end

local function cwd_of(self) return self.config.workdir or self.probe().cwd end

local function new_layer(self, steps, ops, fields)
  fields.steps, fields.ops, fields.env = steps, ops, copy_map(self.config.env)
  fields.extra = fields.extra or {}
  fields.preserve = is_empty(fields.extra) and not fields.as_other
  fields.rebake = fields.preserve and not same(self.baked, fields.env)
  if fields.preserve then self.baked = fields.env end
  table.insert(self.layers, fields)
end

-- Take the pending copies and directories for the next layer.
local function take_pending(self)
  local steps, ops = {}, self.pending
  for i, op in ipairs(ops) do steps[i] = op.step end
  self.pending = {}
  return steps, ops
end

local function flush(self)
  if #self.pending == 0 then return end
  local steps, ops = take_pending(self)
  new_layer(self, steps, ops, {})
end

-- Instructions ----------------------------------------------------------------------

local handlers = {}

local function one_word(step, text)
  if text == "" then problem.raise(step, step.name .. " needs an argument that is not empty") end
  return text
end

function handlers.ENV(self, step, lookup)
  for _, pair in ipairs(expand.pairs(step.text, lookup)) do
    self.config.env[pair.name] = pair.value
  end
end

function handlers.LABEL(self, step, lookup)
  for _, pair in ipairs(expand.pairs(step.text, lookup)) do
    self.config.labels[pair.name] = pair.value
  end
end

function handlers.ARG(self, step, lookup)
  for _, each in ipairs(arguments.of(step, lookup)) do
    local value = self.build.args[each.name]
    if value == nil and each.default then value = expand.text(each.default, lookup) end
    if value == nil then value = self.build.globals[each.name] end
    if value == nil then value = self.build.platform[each.name] end
    self.args[each.name] = value
  end
end

function handlers.WORKDIR(self, step, lookup)
  local text = one_word(step, expand.text(step.text, lookup))
  local path = paths.absolute(text, text:sub(1, 1) ~= "/" and cwd_of(self) or nil)
  self.config.workdir = path
  if path == "/" then return end
  table.insert(self.pending, { kind = "directory", path = path, user = self.config.user,
    fingerprint = path .. "\n" .. (self.config.user or ""), step = step })
end

function handlers.USER(self, step, lookup)
  self.config.user = one_word(step, expand.text(step.text, lookup))
end

function handlers.SHELL(self, step)
  if not step.list or #step.list == 0 then
    problem.raise(step, "SHELL is a JSON list", 'SHELL ["/bin/sh", "-c"]')
  end
  self.config.shell = step.list
end

-- The shell's script of a RUN with here-documents. A lone here-document is the script itself;
-- if it begins with "#!", it is written to a file that is executed.
local function script_of(step)
  local doc = step.heredocs[1]
  if not doc then return step.text end
  if #step.heredocs > 1 or not step.text:find("^%d*<<%-?[\"']?[^%s\"']+[\"']?$") then
    local parts = { step.text, "\n" }
    for _, each in ipairs(step.heredocs) do parts[#parts + 1] = each.body .. each.name .. "\n" end
    return table.concat(parts)
  end
  if not doc.body:find("^#!") then return doc.body end
  local word = "CONTREE_" .. core.sha256(doc.body):sub(1, 16)
  return ('f=$(mktemp) && cat > "$f" <<\'%s\' && chmod +x "$f" && { "$f"; s=$?; rm -f "$f"; '
    .. '(exit "$s"); }\n%s%s\n'):format(word, doc.body, word)
end

local function command_of(self, step)
  if step.list then
    if #step.list == 0 then problem.raise(step, "RUN of an empty list") end
    return { command = step.list[1], args = { (table.unpack or unpack)(step.list, 2) } }
  end
  local text, shell = script_of(step), self.config.shell
  if not shell then return { shell = text } end
  local args = { (table.unpack or unpack)(shell, 2) }
  args[#args + 1] = text
  return { command = shell[1], args = args }
end

local function check_security(step)
  local security = step.flags.security
  if security and security ~= "sandbox" then
    problem.raise(step, ("--security=%s is not supported"):format(security))
  end
end

local function networking_of(self, step)
  local network = step.flags.network
  if network == "none" then return { enabled = false } end
  if network and network ~= "default" and network ~= "host" then
    problem.raise(step, ("--network=%s is not understood"):format(network), "default or none")
  end
  return self.build.networking
end

local function is_root(user)
  local name = user and user:match("^[^:]*")
  return name == nil or name == "root" or name == "0"
end

function handlers.RUN(self, step, lookup)
  check_security(step)
  local volumes = mounts.volumes(step, self.build.client.extended, lookup,
    function() return cwd_of(self) end)
  local extra, keyed = copy_map(self.args), copy_map(self.args)
  -- Proxy settings do not change the image, so they are not part of the key.
  for name in pairs(arguments.proxies) do
    extra[name], keyed[name] = extra[name] or self.build.args[name], nil
  end
  local user = self.config.user
  local steps, ops = take_pending(self)
  steps[#steps + 1] = step
  new_layer(self, steps, ops, { command = command_of(self, step), extra = extra, keyed = keyed,
    cwd = self.config.workdir, user = user, networking = networking_of(self, step),
    volumes = volumes, as_other = not is_root(user) })
end

function handlers.COPY(self, step, lookup)
  local op = copy.plan(self.build, step, lookup, function() return cwd_of(self) end)
  table.insert(self.pending, op)
  -- A copy that needs a script is a layer of its own, so that a change of the RUN behind it
  -- does not repeat it.
  if op.heavy then flush(self) end
end

handlers.ADD = handlers.COPY

-- The list of words of a CMD or ENTRYPOINT.
local function exec_form(self, step)
  if step.list then return step.list end
  local line = {}
  for i, word in ipairs(self.config.shell or { "/bin/sh", "-c" }) do line[i] = word end
  line[#line + 1] = step.text
  return line
end

function handlers.CMD(self, step)
  self.config.cmd, self.own_cmd = exec_form(self, step), true
end

-- A new entry point drops the inherited CMD.
function handlers.ENTRYPOINT(self, step)
  self.config.entrypoint = exec_form(self, step)
  if not self.own_cmd then self.config.cmd = nil end
end

function handlers.EXPOSE(self, step, lookup)
  for _, word in ipairs(expand.words(step.text, lookup)) do
    table.insert(self.config.exposed, word)
  end
end

function handlers.VOLUME(self, step, lookup)
  for _, word in ipairs(step.list or parser.words(step.text, lookup.escape)) do
    table.insert(self.config.volumes, expand.text(word, lookup))
  end
end

function handlers.STOPSIGNAL(self, step, lookup)
  self.config.stopsignal = expand.text(step.text, lookup)
end

local function nothing() end

handlers.HEALTHCHECK, handlers.MAINTAINER, handlers.ONBUILD = nothing, nothing, nothing

-- Planning --------------------------------------------------------------------------

local function new_config()
  return { env = {}, labels = {}, exposed = {}, volumes = {} }
end

local function copy_config(from)
  local config = copy_map(from)
  for _, name in ipairs{ "env", "labels", "exposed", "volumes" } do
    config[name] = copy_map(from[name])
  end
  return config
end

--- Turn the instructions of a stage into layers.
---@async
---@param build contree.build.Build
---@param self contree.build.Stage
---@param base { config: contree.BuildConfig?, baked: table?, probe: fun(): table }
---@param final boolean the build returns this stage's image
---@return contree.build.Planner plan
function stage.plan(build, self, base, final)
  local plan = setmetatable({ build = build, args = {}, layers = {}, pending = {},
    config = base.config and copy_config(base.config) or new_config(),
    baked = base.baked or {}, probe = base.probe }, Planner)
  for _, step in ipairs(self.steps) do
    problem.within(step, function()
      handlers[step.name](plan, step, lookup_at(plan, step))
    end)
  end
  flush(plan)
  if final and not same(plan.baked, plan.config.env) then new_layer(plan, {}, {}, {}) end
  return plan
end

-- Stages ------------------------------------------------------------------------------

local function begin(list, step)
  local words = {}
  for word in step.text:gmatch("%S+") do words[#words + 1] = word end
  local named = #words == 3 and words[2]:upper() == "AS"
  if #words ~= 1 and not named then
    problem.raise(step, "FROM is not understood", "FROM IMAGE [AS NAME]")
  end
  local name = named and words[3]:lower()
  if name and not name:find("^%l[%w_.-]*$") then
    problem.raise(step, ("%q is no name for a stage"):format(words[3]),
      "a letter, then letters, digits, _ - and .")
  end
  local new = { index = #list, name = name or nil, from = step, base = words[1], steps = {} }
  list[#list + 1], step.stage = new, new
  return new
end

--- The stages of a Dockerfile, and the ARGs before the first.
---@param steps contree.build.Instruction[]
---@param file string
---@return contree.build.Stage[] stages
---@return contree.build.Instruction[] before
function stage.split(steps, file)
  local stages, before, current = {}, {}, nil
  for _, step in ipairs(steps) do
    if step.name == "FROM" then
      current = begin(stages, step)
    elseif current then
      step.stage = current
      table.insert(current.steps, step)
    elseif step.name == "ARG" then
      before[#before + 1] = step
    else
      problem.raise(step, step.name .. " before the first FROM", "only ARG may come before it")
    end
  end
  if not current then
    problem.raise({ file = file, line = 1 }, "there is no FROM", "FROM busybox:latest")
  end
  return stages, before
end

--- The stage of a name or number among the first `count`; the last one if several have the name.
---@return contree.build.Stage?
function stage.named(stages, name, count)
  for i = count, 1, -1 do
    if stages[i].name == name:lower() or tostring(stages[i].index) == name then
      return stages[i]
    end
  end
end

--- The name of a stage in events and results.
function stage.label(self) return self.name or tostring(self.index) end

return stage
