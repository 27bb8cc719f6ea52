--- One build under way: its stages and images, the steps that ran before, and the events for
--- the user.

local core = require("contree.core")
local arguments = require("contree.dockerfile.arguments")
local cache = require("contree.base.cache")
local copy = require("contree.dockerfile.copy")
local errors = require("contree.base.errors")
local expand = require("contree.dockerfile.expand")
local filesystem = require("contree.image.filesystem")
local image = require("contree.image")
local imports = require("contree.run.import")
local json = require("contree.base.json")
local layer = require("contree.dockerfile.layer")
local paths = require("contree.dockerfile.paths")
local pattern = require("contree.base.pattern")
local printed = require("contree.base.printed")
local problem = require("contree.dockerfile.problem")
local reference = require("contree.image.reference")
local shared = require("contree.run.shared")
local stage = require("contree.dockerfile.stage")
local tasks = require("contree.loop.task")
local text = require("contree.base.text")
local wire = require("contree.wire")

local builder = {}

---@class contree.build.Build one build
---@field client contree.Client
---@field args table<string, string>
---@field globals table<string, string>  the ARGs before the first FROM
---@field stages contree.build.Stage[]
---@field cache contree.Cache
---@field context? contree.build.Context
local Build = {}
Build.__index = Build

--- A build; `fields` are those of contree.build.Build.
---@return contree.build.Build
function builder.new(fields)
  fields.slots, fields.temporaries = {}, {}
  fields.tells = fields.on_event ~= nil or fields.on_step ~= nil
  return setmetatable(fields, Build)
end

-- Events ------------------------------------------------------------------------

local ENDS = { cache_hit = "known from before", step_failed = "failed" }

local print_event = printed.record(function(self)
  local ending = self.type == "step_completed" and text.duration(self.duration) or ENDS[self.type]
    or self.data and text.quoted(self.data) or self.type
  return ("%s:%d: %s: %s"):format(self.file, self.line, text.line(self.text), ending)
end)

local STEP_ENDS = { cache_hit = true, step_completed = true, step_failed = true }

--- Send an event to the user's callbacks.
function Build:emit(kind, step, fields)
  if not step or not self.tells then return end
  local event = print_event{ type = kind, stage = stage.label(step.stage), file = step.file,
    line = step.line, name = step.name, text = step.source }
  for name, value in pairs(fields or {}) do event[name] = value end
  if self.on_event then self.on_event(event) end
  if self.on_step and STEP_ENDS[kind] then self.on_step(event) end
end

-- Call fn for some instructions, with events before and after it.
local function perform(self, steps, fn)
  local begun = core.now()
  for _, step in ipairs(steps) do self:emit("step_started", step) end
  local ok, result = pcall(fn)
  local took = core.now() - begun
  if not ok then
    self:emit("step_failed", steps[#steps], { error = result, duration = took })
    error(result, 0)
  end
  for _, step in ipairs(steps) do
    self:emit("step_completed", step, { uuid = result, duration = took })
  end
  return result
end

-- Work that several stages may need at once.
local job = { name = "a part of the build" }

function job.run(slot) return slot.fn() end

function job.owns(_, err) return not errors.is(err, "cancelled") end

job.forsake = function() end

--- Call fn for the first call with a key; all calls get its result or error.
---@async
---@param key any
---@param fn fun(): any
function Build:once(key, fn)
  local slot = self.slots[key] or { fn = fn }
  self.slots[key] = slot
  local ok, value = shared.wait(slot, job)
  if ok then return value end
  error(value, 0)
end

-- Temporary files -----------------------------------------------------------------

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
  if not reference.uuid(uuid) then return false end
  return wire.request(self.client, { method = "GET",
    accept = { [404] = true, [410] = true },
    path = ("/inspect/%s/"):format(wire.segment(uuid)) }).status == 200
end

-- The image with exactly this tag.
local function tagged(self, name)
  if not reference.is_tag(name) then return nil end
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
  return image.uuid_of(imports.if_missing(self.client.images, name,
    { username = self.username, password = self.password }))
end

--- The image of a uuid or a tag; one that is not there is imported.
---@async
---@param name string
---@return string uuid
function Build:image_of(name)
  return self:once("image " .. name, function() return import(self, name) end)
end

-- Steps that ran before ----------------------------------------------------------------

--- The value that the cache has for a key.
---@return string?
function Build:cached(key)
  return not self.no_cache and self.cache:get(key) or nil
end

-- The image that a script makes of another: from the cache if it still exists, or made now.
local function derived(self, from, key, script)
  local uuid = self:cached(key)
  if not uuid or not is_there(self, uuid) then
    uuid = layer.script(self, from, script, { env = {} }).uuid
    self.cache:put(key, uuid)
  end
  return uuid
end

-- The script that makes an empty image of one with busybox.
local EMPTY = {
  'for f in /* /.[!.]*; do case "$f" in /proc|/sys|/dev|/.contree-build) ;;',
  '*) "$b" rm -rf "$f" || : ;; esac; done',
}

local function make_scratch(self)
  local from = self:image_of("busybox:latest")
  return derived(self, from, cache.key{ "scratch", from }, EMPTY)
end

local function scratch(self)
  return self:once("scratch", function() return make_scratch(self) end)
end

-- A function that returns the environment of a plain run of an image, found at its first call.
local function prober(self, uuid)
  local found
  return function()
    if found then return found end
    local key = "probe:" .. uuid
    found = json.decode(self:cached(key) or "")
    if not found or type(found.env) ~= "table" or type(found.cwd) ~= "string" then
      found = layer.probe(self, uuid)
      local encoded = json.encode(found)
      if encoded then self.cache:put(key, encoded) end
    end
    return found
  end
end

-- The images of the layers from `at` on that ran before. The last one still exists.
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

-- The image that a stage begins with.
local function base_of(self, this)
  local step = this.from
  local name = expand.text(this.base, arguments.lookup(self, step))
  if name == "" then problem.raise(step, ("FROM %s names no image"):format(this.base)) end
  local named = stage.named(self.stages, name, this.index)
  if named then
    local made = self:make(named, false)
    return { uuid = made.uuid, config = made.config, baked = made.baked, probe = made.probe }
  end
  local uuid = perform(self, { step }, function()
    return problem.within(step, function()
      return name == "scratch" and scratch(self) or self:image_of(name)
    end)
  end)
  return { uuid = uuid, probe = prober(self, uuid) }
end

-- The stages that a stage begins with or copies from, as far as their names are known before
-- its variables are.
local function sources_of(self, this)
  local list, seen = {}, {}
  local function add(name)
    local named = name and stage.named(self.stages, name, this.index)
    if named and not seen[named] then
      seen[named], list[#list + 1] = true, named
    end
  end
  add(expand.text(this.base, arguments.lookup(self, this.from)))
  for _, step in ipairs(this.steps) do add(step.flags.from) end
  return list
end

-- Make the stages that a stage needs, in parallel. The first failure ends the others.
local function make_sources(self, this)
  local jobs = {}
  for i, each in ipairs(sources_of(self, this)) do
    jobs[i] = function() return self:make(each, false) end
  end
  if #jobs == 1 then jobs[1]() elseif #jobs > 1 then tasks.gather(jobs) end
end

local function make_stage(self, this, final)
  make_sources(self, this)
  local base = base_of(self, this)
  local plan = stage.plan(self, this, base, final)
  this.made = { uuid = make_layers(self, plan.layers, base.uuid), config = plan.config,
    baked = plan.baked, probe = base.probe }
  return this.made
end

--- Make a stage and the stages that it needs, once. The image of the final stage gets its
--- variables.
---@async
---@param this contree.build.Stage
---@param final boolean
---@return { uuid: string, config: contree.BuildConfig, baked: table, probe: function } made
function Build:make(this, final)
  return self:once(this, function() return make_stage(self, this, final) end)
end

--- The image that COPY --from= names: a stage before this one, or any image.
---@async
---@return string uuid
function Build:image_named(step, name)
  local found = stage.named(self.stages, name, step.stage.index)
  if found then return self:make(found, false).uuid end
  if name:find("^%d+$") or name:lower() == step.stage.name then
    problem.raise(step, ("there is no stage %s before this one"):format(name))
  end
  return self:image_of(name)
end

--- The paths in an image that match a path whose names may be patterns.
---@async
---@return string[]
function Build:match_image(step, uuid, path)
  if not copy.is_wild(path) then return { path } end
  local found = { "/" }
  for name in path:gmatch("[^/]+") do
    local next_found = {}
    local fits, wrong = pattern.name(name)
    if not fits then problem.raise(step, ("the pattern %s %s"):format(name, wrong)) end
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

-- Tags ------------------------------------------------------------------------------------

-- Touches a directory with its own time: nothing changes, but the run makes another image.
local CLONE = {
  'for d in /*/; do case "$d" in /proc/|/sys/|/dev/) ;;',
  '*) "$b" touch -r "$d" "$d" && found=1 && break ;; esac; done',
  '[ "$found" ] || "$b" mkdir /tmp',
}

--- The image to give a tag to. An image has one tag, so if it has another one already, this
--- is a copy of it.
---@async
---@return string uuid
function Build:to_be_tagged(uuid, tag)
  local details = wire.fetch(self.client, { method = "GET",
    path = ("/inspect/%s/"):format(wire.segment(uuid)) })
  if not details.tag or details.tag == tag then return uuid end
  return derived(self, uuid, cache.key{ "copy", uuid, tag }, CLONE)
end

return builder
