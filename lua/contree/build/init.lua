--- client.images:build{…}: an image from a Dockerfile, by ordinary runs. What a
--- step makes depends on the image before it and on the step alone, so a step that
--- ran before is not run again (build/cache.lua).

local core = require("contree.core")
local cache = require("contree.build.cache")
local client = require("contree.client")
local context = require("contree.build.context")
local copy = require("contree.build.copy")
local errors = require("contree.errors")
local expand = require("contree.build.expand")
local filesystem = require("contree.filesystem")
local image = require("contree.image")
local json = require("contree.json")
local layer = require("contree.build.layer")
local loop = require("contree.loop")
local options = require("contree.options")
local parser = require("contree.build.parser")
local paths = require("contree.build.paths")
local pattern = require("contree.build.pattern")
local problem = require("contree.build.problem")
local reference = require("contree.reference")
local stage = require("contree.build.stage")

local build = {}

-- Of one step, in seconds: the longest that a server allows.
local STEP_TIMEOUT = 3600

---@class contree.BuildOptions
---@field dockerfile? string|{ data: string } its path or text; default: the context's Dockerfile
---@field context? string       a directory; default: the Dockerfile's
---@field args? table<string, string> for ARG
---@field target? string        the stage that is wanted; default: the last
---@field tag? string
---@field no_cache? boolean     runs every step
---@field timeout? number       seconds that one step may take
---@field networking? boolean   of RUN
---@field resources_limits? table<string, integer> of each step
---@field username? string      for images that are imported
---@field password? string
---@field on_event? fun(event: contree.BuildEvent) told of all that happens
---@field on_step? fun(event: contree.BuildEvent) told of each step that is done

---@class contree.BuildEvent
---@field type "step_started"|"stdout"|"stderr"|"cache_hit"|"step_completed"|"step_failed"
---@field stage string          its name, or its number from 0
---@field file string
---@field line integer
---@field name string           of the instruction
---@field text string           the instruction
---@field data? string          output
---@field uuid? string          the image after the step
---@field duration? number      seconds
---@field error? contree.Error

---@class contree.BuiltImage : contree.Image
---@field stages table<string|integer, contree.Image> the stages that were made, by name and number
---@field config contree.BuildConfig what the image is to be told with each run

local SPEC = {
  dockerfile = options.one_of(options.name, options.nested{ data = options.bytes }),
  context = options.name, args = options.env(), target = options.name, tag = options.name,
  no_cache = options.boolean, timeout = options.seconds, networking = options.boolean,
  resources_limits = options.map(options.name, options.integer(1)), username = options.text,
  password = options.text, on_event = options.callable, on_step = options.callable,
}

---@class contree.build.Build one build
---@field client contree.Client
---@field args table<string, string>
---@field globals table<string, string>  the ARGs before the first FROM
---@field stages contree.build.Stage[]
---@field cache contree.build.Cache
---@field context? contree.build.Context
local Build = {}
Build.__index = Build

-- Telling -----------------------------------------------------------------------

local STEP_ENDS = { cache_hit = true, step_completed = true, step_failed = true }

--- Tells the user of something.
function Build:emit(kind, step, fields)
  if not step or not self.tells then return end
  local event = { type = kind, stage = stage.label(self.current), file = step.file,
    line = step.line, name = step.name, text = step.source }
  for name, value in pairs(fields or {}) do event[name] = value end
  if self.on_event then self.on_event(event) end
  if self.on_step and STEP_ENDS[kind] then self.on_step(event) end
end

--- Calls fn, and says of its errors where they struck.
function Build.enter(_, step, fn)
  local ok, result = pcall(fn)
  if ok then return result end
  error(problem.locate(result, step), 0)
end

-- Calls fn for some instructions, and tells of it.
local function perform(self, steps, fn)
  local begun = core.now()
  for _, step in ipairs(steps) do self:emit("step_started", step) end
  local ok, uuid = pcall(fn)
  local took = core.now() - begun
  if not ok then
    self:emit("step_failed", steps[#steps], { error = uuid, duration = took })
    error(uuid, 0)
  end
  for _, step in ipairs(steps) do
    self:emit("step_completed", step, { uuid = uuid, duration = took })
  end
  return uuid
end

-- Temporary files -----------------------------------------------------------------

local function remove_all(list)
  for _, path in ipairs(list) do os.remove(path) end
end

--- The path of a new file that is removed when the build ends.
---@return string
function Build:temporary()
  local ok, path = pcall(os.tmpname)
  if not ok then errors.raise("file", "cannot make a temporary file: " .. tostring(path)) end
  table.insert(self.temporaries, path)
  return path
end

-- Images ----------------------------------------------------------------------------

local function is_there(self, uuid)
  return client.request(self.client, { method = "GET", accept = { [404] = true },
    path = ("/inspect/%s/"):format(client.segment(uuid)) }).status ~= 404
end

-- The image with exactly this tag.
local function tagged(self, name)
  if not name:find("^[%l%d_:/.-]+$") then return nil end
  local ok, found = pcall(image.find_tag, self.client, name)
  if ok then return found end
  if not errors.is(found, "not_found") and not errors.is(found, "invalid_argument") then
    error(found, 0)
  end
end

local function import(self, name)
  local uuid = reference.uuid(name)
  local source, wrong = reference.parse(name)
  if not uuid and not source then errors.raise("invalid_argument", wrong) end
  local found = source and source.tag ~= name and tagged(self, name)
  if found then return found end
  local images = require("contree.images").methods
  return image.uuid_of(images.oci(self.client.images, name,
    { username = self.username, password = self.password }))
end

--- The image of a uuid or a tag; one that is not there is imported.
---@async
---@param name string
---@return string uuid
function Build:image_of(name)
  self.found[name] = self.found[name] or import(self, name)
  return self.found[name]
end

-- An image without files, made of one that can empty itself.
local EMPTY = {
  'for f in /* /.[!.]*; do case "$f" in /proc|/sys|/dev|/.contree-build) ;;',
  '*) "$b" rm -rf "$f" || : ;; esac; done',
}

local function scratch(self)
  local from = self:image_of("busybox:latest")
  local key = cache.key{ "scratch", from }
  local uuid = self:cached(key)
  if not uuid or not is_there(self, uuid) then
    uuid = layer.script(self, from, EMPTY, { env = {} }).uuid
    self.cache:put(key, uuid)
  end
  return uuid
end

-- What ran before ---------------------------------------------------------------------

--- What is known under a key.
---@return string?
function Build:cached(key)
  return not self.no_cache and self.cache:get(key) or nil
end

-- A function that gives what a plain run of an image sees, once it is asked.
local function prober(self, uuid)
  local found
  return function()
    if found then return found end
    local key = "probe:" .. uuid
    found = json.decode(self:cached(key) or "")
    if not found then
      found = layer.probe(self, uuid)
      local text = json.encode(found)
      if text then self.cache:put(key, text) end
    end
    return found
  end
end

-- How far the layers from `at` on ran before: their images, of which the last one is
-- still there.
local function remembered(self, layers, at, uuid)
  local images = {}
  for i = at, #layers do
    uuid = self:cached(layer.key(layers[i], uuid))
    if not uuid then break end
    images[#images + 1] = uuid
  end
  while #images > 0 and not is_there(self, images[#images]) do images[#images] = nil end
  return images
end

local function make_layers(self, layers, uuid)
  local at = 1
  while at <= #layers do
    for _, each in ipairs(remembered(self, layers, at, uuid)) do
      for _, step in ipairs(layers[at].steps) do self:emit("cache_hit", step, { uuid = each }) end
      uuid, at = each, at + 1
    end
    local this = layers[at]
    if this then
      local before = uuid
      uuid = perform(self, this.steps, function() return layer.make(self, this, before) end)
      self.cache:put(layer.key(this, before), uuid)
      at = at + 1
    end
  end
  return uuid
end

-- Stages -------------------------------------------------------------------------------

local function stage_named(self, name, before)
  for i = before, 1, -1 do
    local each = self.stages[i]
    if each.name == name:lower() or tostring(each.index) == name then return each end
  end
end

local make_stage

-- Where a stage begins.
local function base_of(self, this)
  local step = this.from
  local name = self:enter(step, function() return expand.text(this.base, self:lookup(step)) end)
  if name == "" then problem.raise(step, ("FROM %s names no image"):format(this.base)) end
  local named = stage_named(self, name, this.index)
  if named then
    local made = make_stage(self, named, false)
    return { uuid = made.uuid, config = made.config, baked = made.baked, probe = made.probe }
  end
  local uuid = perform(self, { step }, function()
    return self:enter(step, function()
      return name == "scratch" and scratch(self) or self:image_of(name)
    end)
  end)
  return { uuid = uuid, probe = prober(self, uuid) }
end

-- A stage that is the final one has the variables in its image.
function make_stage(self, this, final)
  if this.made then return this.made end
  local outer = self.current
  self.current = this
  local base = base_of(self, this)
  self.current = this
  local plan = stage.plan(self, this, base, final)
  this.made = { uuid = make_layers(self, plan.layers, base.uuid), config = plan.config,
    baked = plan.baked, probe = base.probe }
  self.current = outer
  return this.made
end

--- The image that COPY --from= names: a stage before this one, or any image.
---@async
---@return string uuid
function Build:image_named(step, name)
  local found = stage_named(self, name, self.current.index)
  if found then return make_stage(self, found, false).uuid end
  if name:find("^%d+$") or name:lower() == self.current.name then
    problem.raise(step, ("there is no stage %s before this one"):format(name))
  end
  return self:image_of(name)
end

--- The paths in an image that fit a path, whose names may be patterns.
---@async
---@return string[]
function Build:match_image(step, uuid, path)
  if not copy.is_wild(path) then return { path } end
  local found = { "/" }
  for name in path:gmatch("[^/]+") do
    local fits, next_found = pattern.name(name), {}
    if not fits then problem.raise(step, ("the pattern %s has a [ without its ]"):format(name)) end
    for _, directory in ipairs(found) do
      if not pattern.is_wild(name) then
        next_found[#next_found + 1] = paths.join(directory, name)
      else
        local ok, entries = pcall(filesystem.ls, self.client, uuid, directory)
        for _, entry in ipairs(ok and entries or {}) do
          if fits(entry.name) then next_found[#next_found + 1] = entry.path end
        end
      end
    end
    found = next_found
  end
  if #found == 0 then problem.raise(step, ("there is no %s in the image"):format(path)) end
  table.sort(found)
  return found
end

-- Arguments ------------------------------------------------------------------------------

local ARCHITECTURES = { x86_64 = "amd64", aarch64 = "arm64", x64 = "amd64", arm64 = "arm64" }

-- A local engine runs what this machine runs.
local function architecture(self)
  local file = self.unix_socket and io.open("/proc/sys/kernel/arch")
  local name = file and file:read("l") or jit and self.unix_socket and jit.arch
  if file then file:close() end
  return ARCHITECTURES[name] or "amd64"
end

local function platform(self)
  local arch = architecture(self)
  local found = {}
  for _, side in ipairs{ "TARGET", "BUILD" } do
    found[side .. "PLATFORM"], found[side .. "OS"] = "linux/" .. arch, "linux"
    found[side .. "ARCH"], found[side .. "VARIANT"] = arch, ""
  end
  return found
end

--- Variables before the first FROM, and in FROM itself.
---@return contree.build.Lookup
function Build:lookup(step)
  return {
    escape = self.escape,
    value = function(name)
      if self.globals[name] ~= nil then return self.globals[name] end
      return self.args[name] or self.platform[name]
    end,
    fail = function(message, hint) problem.raise(step, message, hint) end,
  }
end

local function read_globals(self, arguments)
  for _, step in ipairs(arguments) do
    local lookup = self:lookup(step)
    for _, each in ipairs(stage.arguments(step, lookup)) do
      local value = self.args[each.name]
      if value == nil and each.default then value = expand.text(each.default, lookup) end
      if value ~= nil then self.globals[each.name] = value end
    end
  end
end

local function check_arguments(self, arguments)
  local known = {}
  local function learn(step)
    for _, each in ipairs(stage.arguments(step, self:lookup(step))) do known[each.name] = true end
  end
  for _, step in ipairs(arguments) do learn(step) end
  for _, each in ipairs(self.stages) do
    for _, step in ipairs(each.steps) do
      if step.name == "ARG" then learn(step) end
    end
  end
  for name in pairs(self.args) do
    if not known[name] and not stage.proxies[name] and self.platform[name] == nil then
      errors.misuse(("images:build: %s has no ARG %s"):format(self.file, name),
        problem.nearest(name, known))
    end
  end
end

-- The call ----------------------------------------------------------------------------------

local function read_dockerfile(path)
  local stat, wrong = core.stat(path)
  if stat and stat.type ~= "file" then wrong = path .. " is no file" end
  local file
  if not wrong then file, wrong = io.open(path, "rb") end
  local text = file and file:read("*a")
  if file then file:close() end
  if not text then
    errors.raise("file", "images:build: cannot read " .. (wrong or path),
      { hint = path:find("\n", 1, true) and "a text is passed as dockerfile = { data = … }" or nil })
  end
  return text
end

-- The text, how messages name it, its path, and the context's directory.
local function sources(given)
  if type(given.dockerfile) == "table" then
    if not given.dockerfile.data then errors.misuse("images:build: dockerfile lacks its data") end
    return given.dockerfile.data, "Dockerfile", nil, given.context
  end
  local path = given.dockerfile or paths.join(given.context:gsub("(.)/+$", "%1"), "Dockerfile")
  local directory = path:match("^(.*)/[^/]*$")
  if directory == "" then directory = "/" end
  return read_dockerfile(path), path, path, given.context or directory or "."
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
  local this = setmetatable({
    client = self, args = given.args or {}, globals = {}, found = {}, temporaries = {},
    file = file, platform = platform(self), no_cache = given.no_cache, networking = given.networking,
    resources_limits = given.resources_limits, timeout = given.timeout or STEP_TIMEOUT,
    username = given.username, password = given.password, on_event = given.on_event,
    on_step = given.on_step, tells = given.on_event ~= nil or given.on_step ~= nil,
  }, Build)
  local steps, arguments
  steps, this.escape = parser.parse(text, file)
  this.stages, arguments = stage.split(steps, file)
  check_arguments(this, arguments)
  read_globals(this, arguments)
  this.context = directory and context.open(directory, path)
  this.cache = cache.open(self)
  return this
end

local function target_of(self, name)
  if not name then return self.stages[#self.stages] end
  local found = stage_named(self, name, #self.stages)
  if found then return found end
  local names = {}
  for _, each in ipairs(self.stages) do names[stage.label(each)] = true end
  errors.misuse(("images:build: there is no stage %q"):format(name), problem.nearest(name, names))
end

-- Copies a directory's inode up, which changes nothing but makes another image.
local CLONE = {
  'for d in /*/; do case "$d" in /proc/|/sys/|/dev/) ;;',
  '*) "$b" touch -r "$d" "$d" && found=1 && break ;; esac; done',
  '[ "$found" ] || "$b" mkdir /tmp',
}

-- A server gives an image one tag: another one's is not taken away, but a copy made
-- of the image.
local function to_be_tagged(self, uuid, tag)
  local details = client.request(self.client, { method = "GET",
    path = ("/inspect/%s/"):format(client.segment(uuid)) }).json
  if not details.tag or details.tag == tag then return uuid end
  local key = cache.key{ "copy", uuid, tag }
  local clone = self:cached(key)
  if not clone or not is_there(self, clone) then
    clone = layer.script(self, uuid, CLONE, { env = {} }).uuid
    self.cache:put(key, clone)
  end
  return clone
end

local function result_of(self, made, tag)
  local uuid = tag and to_be_tagged(self, made.uuid, tag) or made.uuid
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

--- Builds an image.
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
    return result_of(this, make_stage(this, target, true), given.tag)
  end)
  revoke()
  remove_all(this.temporaries)
  if ok then return result end
  error(result, 0)
end

return build
