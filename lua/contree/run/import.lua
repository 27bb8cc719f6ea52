--- Imports: images from registries, by operations of the server.

local core = require("contree.core")
local errors = require("contree.base.errors")
local image = require("contree.image")
local images = require("contree.image.images")
local json = require("contree.base.json")
local operation = require("contree.run.operation")
local options = require("contree.base.options")
local progress = require("contree.base.progress")
local reference = require("contree.image.reference")
local remedy = require("contree.base.remedy")
local wire = require("contree.wire")

local import = {}

local TIMEOUT = 300

---@class contree.ImportOptions
---@field tag? string       the name that it gets here; default derived from the reference
---@field timeout? number   seconds; default 300
---@field username? string  for the registry; default anonymous
---@field password? string  for the registry; default none
---@field progress? fun(progress: contree.Progress) called with each event of the import that
---  says how far it is; `layer` of `of` is the one that is on its way; default none

local SPEC = {
  tag = options.name, timeout = options.seconds, username = options.text, password = options.text,
  progress = options.callable,
}

-- Events as contree.Progress, with all that they had.
local function teller(tell)
  return function(event)
    local data = json.as("table", event.data)
    if event.type ~= "progress" or not data then return end
    data.type, data.unit, data.done = event.type, "bytes", json.as("number", data.bytes) or 0
    data.total = json.as("number", data.total)
    data.layer, data.of = json.as("number", data.layer), json.as("number", data.of)
    if data.total == 0 then data.total = nil end
    tell(progress.record(data))
  end
end

local function run(self, source, given)
  if (given.username == nil) ~= (given.password == nil) then
    errors.misuse("the " .. (given.username and "password" or "username") .. " is missing")
  end
  local timeout = math.ceil(given.timeout or self.client.import_timeout or TIMEOUT)
  local answer = wire.request(self.client, { method = "POST", path = "/images/import", json = {
    registry = { url = source.url, credentials = given.username
      and { username = given.username, password = given.password } or nil },
    tag = source.tag, timeout = timeout,
  }, secret = given.password })
  local started = operation.new(self.client, wire.member(answer, "uuid"), nil,
    { on_event = given.progress and teller(given.progress), live = given.progress ~= nil })
  local ok, result = pcall(operation.await, started, core.now() + timeout + self.client.timeout)
  if not ok then
    if errors.is(result) and result.message:find("registry.credentials", 1, true) then
      remedy.set(result, "login")
    end
    error(result, 0)
  end
  if not result.uuid then
    errors.raise("operation_failed", "the import succeeded but made no image",
      { operation = started })
  end
  return image.new(self.client, { uuid = result.uuid, tag = source.tag })
end

local function source_of(where, ref, given)
  options.argument(where, "the image", options.name, ref)
  options.check(where, SPEC, given)
  local source = images.source(where, ref)
  source.tag = given and given.tag or source.tag
  return source
end

--- See images:import_from.
---@async
---@param self contree.Images
---@param ref string
---@param given? contree.ImportOptions
---@return contree.Image
function import.always(self, ref, given)
  return run(self, source_of("images:import_from", ref, given), given or {})
end

-- The image of a tag, or nil.
local function look_up(self, tag)
  local ok, found = pcall(images.find, self, tag)
  if ok then return found end
  if not errors.is(found, "not_found") then error(found, 0) end
end

--- See images:oci.
---@async
---@param self contree.Images
---@param ref string
---@param given? contree.ImportOptions
---@return contree.Image
function import.if_missing(self, ref, given)
  local name = type(ref) == "string" and (ref:match("^tag:(.+)$") or reference.uuid(ref))
  if name then return images.find(self, name) end
  local source = source_of("images:oci", ref, given)
  local found = source.tag and look_up(self, source.tag)
  -- Other clients leave out the ":latest" that nobody wrote.
  if not found and source.short and not (given and given.tag) then
    found = look_up(self, source.short)
  end
  return found or run(self, source, given or {})
end

return import
