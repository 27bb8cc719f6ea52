--- client.images:build{…}: an image from a Dockerfile, by ordinary runs. The image that a
--- step makes depends only on the image before it and on the step, so a step that ran before
--- is not run again (base/cache.lua).

local core = require("contree.core")
local arguments = require("contree.dockerfile.arguments")
local builder = require("contree.dockerfile.builder")
local cache = require("contree.base.cache")
local context = require("contree.dockerfile.context")
local disk = require("contree.dockerfile.disk")
local errors = require("contree.base.errors")
local image = require("contree.image")
local loop = require("contree.loop")
local networking = require("contree.wire.networking")
local options = require("contree.base.options")
local parser = require("contree.dockerfile.parser")
local paths = require("contree.dockerfile.paths")
local problem = require("contree.dockerfile.problem")
local run = require("contree.run")
local stage = require("contree.dockerfile.stage")

local build = {}

-- Seconds that one step may take: the most that a server allows.
local STEP_TIMEOUT = 3600

---@class contree.BuildOptions
---@field dockerfile? string|{ data: string } its path or text; default: the context's Dockerfile
---@field context? string       a directory; default: the Dockerfile's
---@field args? table<string, string> for ARG; default none
---@field target? string        the stage that is wanted; default: the last
---@field tag? string          names the image; default none
---@field no_cache? boolean     runs every step; default false
---@field timeout? number       seconds that one step may take; default 3600
---@field networking? boolean|contree.Networking of RUN; default the client's, or the server's:
---  a local engine gives none
---@field resources_limits? contree.Limits of each step; default the server's
---@field cache_dir? string     where earlier steps are remembered; default ~/.cache/contree
---@field username? string      for images that are imported; default none
---@field password? string     goes with username; default none
---@field on_event? fun(event: contree.BuildEvent) called for every event; default none
---@field on_step? fun(event: contree.BuildEvent) called for each step that is done; default none

---@class contree.BuildEvent
---@field type "step_started"|"stdout"|"stderr"|"cache_hit"|"step_completed"|"step_failed" what
---  happened
---@field stage string          its name, or its number from 0
---@field file string the Dockerfile
---@field line integer of the instruction, from 1
---@field name string           of the instruction
---@field text string           the instruction
---@field data? string          output; nil of others
---@field uuid? string          the image after the step; nil before its end
---@field duration? number      seconds; nil before its end
---@field error? contree.Error why the step failed; nil of others

---@class contree.BuiltImage : contree.Image
---@field stages table<string|integer, contree.Image> the stages that were made, by name and number
---@field config contree.BuildConfig what the image is to be told with each run

local SPEC = {
  dockerfile = options.one_of(options.name, options.nested{ data = options.bytes }),
  context = options.name, args = options.env(), target = options.name, tag = options.name,
  no_cache = options.boolean, cache_dir = options.name, timeout = options.seconds,
  networking = networking.check, resources_limits = run.limits,
  username = options.text, password = options.text, on_event = options.callable,
  on_step = options.callable,
}

local function cannot_read(path, wrong)
  errors.raise("file", "images:build: cannot read " .. (wrong or path .. ": there is no such file"),
    { hint = path:find("\n", 1, true) and "a text goes into dockerfile = { data = … }" or nil })
end

-- The Dockerfile that the call names. Links in its path are followed wherever they lead.
local function named(given)
  local path = given.dockerfile
  local text, wrong = disk.read(path)
  if not text then cannot_read(path, wrong) end
  local directory = path:match("^(.*)/[^/]*$")
  if directory == "" then directory = "/" end
  return text, path, path, given.context or directory or "."
end

-- The context's own Dockerfile. A link that leads out of the context is refused.
local function of_context(given)
  local path = paths.join(given.context:gsub("(.)/+$", "%1"), "Dockerfile")
  local text, wrong = disk.read("Dockerfile", given.context)
  if not text then cannot_read(path, wrong:gsub("^Dockerfile", function() return path end)) end
  return text, path, path, given.context
end

-- The Dockerfile's text, its name in messages, its path, and the context's directory.
local function sources(given)
  if type(given.dockerfile) == "table" then
    if not given.dockerfile.data then errors.misuse("images:build: dockerfile lacks its data") end
    return given.dockerfile.data, "Dockerfile", nil, given.context
  end
  return (given.dockerfile and named or of_context)(given)
end

local function options_of(given)
  if type(given) == "string" then
    options.argument("images:build", "the context", options.name, given)
    local stat = core.stat(given)
    given = { [stat and stat.type == "directory" and "context" or "dockerfile"] = given }
  end
  given = options.check("images:build", SPEC, given)
  if not given.dockerfile and not given.context then
    errors.misuse("images:build needs dockerfile = or context =")
  end
  if (given.username == nil) ~= (given.password == nil) then
    errors.misuse("images:build: the " .. (given.username and "password" or "username")
      .. " is missing")
  end
  return given
end

local function new_build(self, given)
  local text, file, path, directory = sources(given)
  local this = builder.new{
    client = self, args = given.args or {}, globals = {}, file = file,
    platform = arguments.platform(self), no_cache = given.no_cache,
    networking = networking.member(given.networking) or self.run_defaults.networking,
    resources_limits = given.resources_limits,
    timeout = given.timeout or STEP_TIMEOUT, username = given.username,
    password = given.password, on_event = given.on_event, on_step = given.on_step,
  }
  local steps, before
  steps, this.escape = parser.parse(text, file)
  this.stages, before = stage.split(steps, file)
  arguments.check(this, before)
  arguments.read(this, before)
  this.context = directory and context.open(directory, path)
  this.cache = cache.open(self, "build", given.cache_dir)
  return this
end

local function target_of(self, name)
  if not name then return self.stages[#self.stages] end
  local found = stage.named(self.stages, name, #self.stages)
  if found then return found end
  local names = {}
  for _, each in ipairs(self.stages) do names[stage.label(each)] = true end
  errors.misuse(("images:build: there is no stage %q"):format(name),
    problem.nearest(name, names))
end

local function result_of(self, made, tag)
  local uuid = tag and self:to_be_tagged(made.uuid, tag) or made.uuid
  local stages = {}
  for _, each in ipairs(self.stages) do
    if each.made then
      local one = image.new(self.client, { uuid = each.made.uuid })
      stages[each.index] = one
      if each.name then stages[each.name] = one end
    end
  end
  local built = image.new(self.client, { uuid = uuid, stages = stages, config = made.config })
  if tag then image.methods.tag_as(built, tag) end
  return built
end

local function remove_all(list)
  for _, path in ipairs(list) do os.remove(path) end
end

--- Build an image.
---@async
---@param self contree.Client
---@param given contree.BuildOptions|string
---@return contree.BuiltImage
function build.build(self, given)
  given = options_of(given)
  local this = new_build(self, given)
  local target = target_of(this, given.target)
  local revoke = loop.will(remove_all, this.temporaries)
  local ok, result = pcall(function()
    return result_of(this, this:make(target, true), given.tag)
  end)
  revoke()
  remove_all(this.temporaries)
  if ok then return result end
  error(result, 0)
end

return build
