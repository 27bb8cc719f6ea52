--- The images manager: finding, listing and importing images.

local core = require("contree.core")
local class = require("contree.base.class")
local client = require("contree.wire.client")
local errors = require("contree.base.errors")
local image = require("contree.image")
local json = require("contree.base.json")
local operation = require("contree.run.operation")
local options = require("contree.base.options")
local reference = require("contree.image.reference")

local images = {}

local PAGE = 1000
local IMPORT_TIMEOUT = 300

---@class contree.Images
---@field client contree.Client
local Images = {}

images.methods = Images

-- images{…} is images:list{…}.
local make = class.define("contree.Images", Images, {
  __call = function(self, given) return Images.list(self, given) end,
})

---@return contree.Images
function images.new(self) return make({ client = self }, self.safe) end

local function of_json(self, item)
  local function text(name) return json.as("string", item[name]) end
  return image.new(self.client, { uuid = text("uuid"), tag = text("tag"),
    created_at = text("created_at") })
end

local function details(self, uuid)
  local result = client.request(self.client, { method = "GET",
    path = ("/inspect/%s/"):format(client.segment(uuid)) })
  client.member(result, "uuid")
  return of_json(self, result.json)
end

local function find(self, name)
  local uuid = reference.uuid(name)
  if uuid then return details(self, uuid) end
  local tag = reference.tag(name)
  local found = image.find_tag(self.client, tag)
  return image.new(self.client, { uuid = found, tag = tag })
end

--- The image of a uuid or a tag, or one that was imported under a reference that
--- is no tag here, such as "x@sha256:…". Nothing is sent, unless `strict` asks for
--- an error when there is none.
---@async
---@param ref string
---@param given? { strict: boolean? }
---@return contree.Image
function Images:use(ref, given)
  options.argument("images:use", "the image", options.name, ref)
  given = options.check("images:use", { strict = options.boolean }, given)
  local name = ref:gsub("^tag:", "")
  options.argument("images:use", "the image", options.name, name)
  if given.strict then return find(self, name) end
  local uuid = reference.uuid(name)
  return image.new(self.client, { uuid = uuid, tag = not uuid and reference.tag(name) or nil })
end

-- Listing ------------------------------------------------------------------

---@class contree.ImageFilter
---@field tagged? boolean        only images with a tag
---@field tag? string            whose tag begins so
---@field uuid? string
---@field since? string|number   a time, an age such as "2h", seconds ago
---@field before? string|number
---@field limit? integer         no more than so many

local LIST = {
  tagged = options.boolean, tag = options.name, uuid = options.name, since = options.time,
  before = options.time, limit = options.integer(1),
}

local function fetch_page(self, given, size, offset)
  local answer = client.fetch(self.client, { method = "GET", path = "/images", query = {
    limit = size, offset = offset, tagged = given.tagged, tag = given.tag, uuid = given.uuid,
    since = given.since, ["until"] = given.before,
  } })
  return json.as("table", answer.images) or {}
end

-- What is made meanwhile comes first, and moves the last of a page to the next.
local function without_seen(page, seen)
  local fresh = {}
  for _, item in ipairs(page) do
    local uuid = json.as("string", json.as("table", item) and item.uuid)
    if uuid and not seen[uuid] then
      seen[uuid] = true
      fresh[#fresh + 1] = item
    end
  end
  return fresh
end

local function each(self, where, given)
  given = options.check(where, LIST, given)
  local offset, left, last, seen = 0, given.limit or math.huge, false, {}
  local page, at = {}, 0
  return function()
    at = at + 1
    while at > #page and not last and left > 0 do
      local size = math.min(PAGE, left)
      local got = fetch_page(self, given, size, offset)
      page, at = without_seen(got, seen), 1
      offset, left, last = offset + #got, left - #page, #got < size or #page == 0
    end
    return page[at] and of_json(self, page[at])
  end
end

--- Iterates over images, fetching them page by page.
---@async
---@param given? contree.ImageFilter
---@return fun(): contree.Image?
function Images:each(given) return class.entry(each(self, "images:each", given)) end

--- A list of images.
---@async
---@param given? contree.ImageFilter
---@return contree.Image[]
function Images:list(given)
  local found = {}
  for one in each(self, "images:list", given) do found[#found + 1] = one end
  return found
end

-- Importing ----------------------------------------------------------------

---@class contree.ImportOptions
---@field tag? string       the name that it gets here
---@field timeout? number   seconds
---@field username? string
---@field password? string
---@field progress? fun(event: table)

local IMPORT = {
  tag = options.name, timeout = options.seconds, username = options.text, password = options.text,
  progress = options.callable,
}

local function import(self, source, given)
  if (given.username == nil) ~= (given.password == nil) then
    errors.misuse("the " .. (given.username and "password" or "username") .. " is missing")
  end
  local timeout = math.ceil(given.timeout or self.client.import_timeout or IMPORT_TIMEOUT)
  local answer = client.request(self.client, { method = "POST", path = "/images/import", json = {
    registry = { url = source.url, credentials = given.username
      and { username = given.username, password = given.password } or nil },
    tag = source.tag, timeout = timeout,
  }, secret = given.password })
  local started = operation.new(self.client, client.member(answer, "uuid"), nil,
    { on_event = given.progress, live = given.progress ~= nil })
  local result = operation.await(started, core.now() + timeout + self.client.timeout)
  if not result.uuid then
    errors.raise("operation_failed", "the import succeeded but made no image",
      { operation = started })
  end
  return image.new(self.client, { uuid = result.uuid, tag = source.tag })
end

local function source_of(where, ref, given)
  options.argument(where, "the image", options.name, ref)
  options.check(where, IMPORT, given)
  local source, problem = reference.parse(ref)
  if not source then errors.misuse(("%s: %s"):format(where, problem)) end
  source.tag = given and given.tag or source.tag
  return source
end

--- Imports an image from a registry (or, on a local engine, from anything that
--- skopeo reads) and waits for it.
---@async
---@param ref string "busybox", "ghcr.io/a/b:1", "docker://…", "oci-archive:/path"
---@param given? contree.ImportOptions
---@return contree.Image
function Images:import_from(ref, given)
  return import(self, source_of("images:import_from", ref, given), given or {})
end

-- The image of a tag, or nil.
local function look_up(self, tag)
  local ok, found = pcall(find, self, tag)
  if ok then return found end
  if not errors.is(found, "not_found") then error(found, 0) end
end

--- The image that has the reference's tag, or is imported now. One that can only
--- be there already, a uuid or "tag:NAME", is never imported.
---@async
---@param ref string
---@param given? contree.ImportOptions
---@return contree.Image
function Images:oci(ref, given)
  local name = type(ref) == "string" and (ref:match("^tag:(.+)$") or reference.uuid(ref))
  if name then return find(self, name) end
  local source = source_of("images:oci", ref, given)
  local found = source.tag and look_up(self, source.tag)
  -- Other clients leave out the ":latest" that nobody wrote.
  if not found and source.short and not (given and given.tag) then
    found = look_up(self, source.short)
  end
  return found or import(self, source, given or {})
end

Images.docker, Images.podman, Images.pull_by_oci = Images.oci, Images.oci, Images.oci
Images.pull = Images.oci

--- Where an image comes from, and the tag that it gets here; nothing is sent.
---@param ref string "busybox", "ghcr.io/a/b:1", "docker://…"
---@return { url: string, tag: string? }
function Images:reference(ref) -- luacheck: no self
  local source = source_of("images:reference", ref)
  return { url = source.url, tag = source.tag }
end

-- Building -----------------------------------------------------------------

--- Builds an image from a Dockerfile (docs/use/build.md). A step that ran before is
--- not run again. A lone string is the context, or the Dockerfile.
---@async
---@param given contree.BuildOptions|string
---@return contree.BuiltImage
function Images:build(given) return require("contree.dockerfile").build(self.client, given) end

return images
