--- The images manager: finding and listing images.

local class = require("contree.base.class")
local errors = require("contree.base.errors")
local image = require("contree.image")
local json = require("contree.base.json")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local reference = require("contree.image.reference")
local wire = require("contree.wire")

local images = {}

local PAGE = 1000

---@class contree.Images
---@field client contree.Client whose images they are
---@field docker fun(self, ref: string, given: contree.ImportOptions?): contree.Image as oci()
---@field podman fun(self, ref: string, given: contree.ImportOptions?): contree.Image as oci()
---@field pull fun(self, ref: string, given: contree.ImportOptions?): contree.Image as oci()
---@field pull_by_oci fun(self, ref: string, given: contree.ImportOptions?): contree.Image as oci()
---@operator call(contree.ImageFilter?): contree.Image[]
local Images = {}

images.methods = Images

-- images{…} is images:list{…}.
local make = class.define("contree.Images", Images, {
  __call = function(self, given) return Images.list(self, given) end,
}, { "client" })

---@return contree.Images
function images.new(self) return make({ client = self }, self.safe) end

-- A line for an image.
local print_list = printed.list(function(one)
  return ("%s  %s  %s"):format(one.tag or "-", one.uuid or "-", one.created_at or "-")
end)

local function of_json(self, item)
  local function text(name) return json.as("string", item[name]) end
  return image.new(self.client, { uuid = text("uuid"), tag = text("tag"),
    created_at = text("created_at") })
end

local function details(self, uuid)
  local result = wire.request(self.client, { method = "GET",
    path = ("/inspect/%s/"):format(wire.segment(uuid)) })
  wire.member(result, "uuid")
  return of_json(self, result.json)
end

--- The image of a uuid or a tag, looked up.
---@async
---@param self contree.Images
---@param name string
---@return contree.Image
function images.find(self, name)
  local uuid = reference.uuid(name)
  if uuid then return details(self, uuid) end
  local tag = reference.tag(name)
  local found = image.find_tag(self.client, tag)
  return image.new(self.client, { uuid = found, tag = tag })
end

--- The image of a uuid, of a tag, or of the reference under which it was imported, such as
--- "x@sha256:…". Nothing is sent, unless `strict` asks for an error when no such image
--- exists.
---     local image = client.images:use("busybox:latest")
--- Raises: request, not_found (both with `strict` only).
---@async
---@param ref string a uuid, a tag, "tag:NAME" or a reference
---@param given? { strict: boolean? } whether it must be there; default false
---@return contree.Image
function Images:use(ref, given)
  options.argument("images:use", "the image", options.name, ref)
  given = options.check("images:use", { strict = options.boolean }, given)
  local name = ref:gsub("^tag:", "")
  options.argument("images:use", "the image", options.name, name)
  if given.strict then return images.find(self, name) end
  local uuid = reference.uuid(name)
  return image.new(self.client, { uuid = uuid, tag = not uuid and reference.tag(name) or nil })
end

-- Listing ------------------------------------------------------------------

---@class contree.ImageFilter
---@field tagged? boolean        only images with a tag; default false
---@field tag? string            whose tag begins so; default any
---@field uuid? string           whose uuid begins so; default any
---@field since? string|number   a time, an age such as "2h", seconds ago; default any time
---@field before? string|number  the same; default any time
---@field limit? integer         no more than so many; default all

local LIST = {
  tagged = options.boolean, tag = options.name, uuid = options.name, since = options.time,
  before = options.time, limit = options.integer(1),
}

local function fetch_page(self, given, size, offset)
  local answer = wire.fetch(self.client, { method = "GET", path = "/images", query = {
    limit = size, offset = offset, tagged = given.tagged, tag = given.tag, uuid = given.uuid,
    since = given.since, ["until"] = given.before,
  } })
  return json.as("table", answer.images) or {}
end

-- An image that is made meanwhile is listed first, so the last ones of a page come again on
-- the next.
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
---     for image in client.images:each{ tagged = true } do print(image.tag) end
--- Raises: request (while it iterates).
---@async
---@param given? contree.ImageFilter
---@return fun(): contree.Image?
function Images:each(given) return class.entry(each(self, "images:each", given)) end

--- All images that a filter finds.
---@async
---@param self contree.Images
---@param where string how the caller's method is named
---@param given? contree.ImageFilter
---@return contree.Image[]
function images.find_all(self, where, given)
  local found = {}
  for one in each(self, where, given) do found[#found + 1] = one end
  return print_list(found)
end

--- A list of images, the newest first. `client.images{…}` is short for it.
---     local images = client.images:list{ since = "7d", limit = 10 }
--- Raises: request.
---@async
---@param given? contree.ImageFilter
---@return contree.Image[]
function Images:list(given) return images.find_all(self, "images:list", given) end

-- References ----------------------------------------------------------------

--- Where the image of a reference comes from, and the tag that it gets here.
---@param where string how the caller's method is named
---@param ref string
---@return { url: string, tag: string?, short: string? }
function images.source(where, ref)
  options.argument(where, "the image", options.name, ref)
  local source, problem = reference.parse(ref)
  if not source then errors.misuse(("%s: %s"):format(where, problem)) end
  return source
end

--- Where an image comes from, and the tag that it gets here; nothing is sent.
---     local tag = client.images:reference("debian@sha256:" .. digest).tag
--- Raises: misuse (a malformed reference).
---@param ref string "busybox", "ghcr.io/a/b:1", "docker://…"
---@return { url: string, tag: string? }
function Images:reference(ref) -- luacheck: no self
  local source = images.source("images:reference", ref)
  return { url = source.url, tag = source.tag }
end

return images
