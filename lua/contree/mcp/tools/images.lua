--- Tools for images.

local errors = require("contree.base.errors")
local json = require("contree.base.json")
local shapes = require("contree.mcp.tools.shapes")

local function list_images(context, given)
  if given.offset < 0 then
    errors.raise("invalid_argument", "list_images: offset must be 0 or more")
  end
  local prefix = given.tag_prefix and given.tag_prefix:gsub("[:/.]+$", "")
  local found = context.client.images:list{ tagged = given.tagged or nil, since = given.since,
    before = given["until"], tag = prefix ~= "" and prefix or nil,
    limit = given.offset + given.limit }
  local images = json.array()
  for i = given.offset + 1, #found do images[#images + 1] = shapes.image(found[i]) end
  return { images = images }
end

local function get_image(context, given)
  return shapes.image(shapes.resolve(context.client, given.image))
end

local function set_tag(context, given)
  local image = shapes.resolve(context.client, given.image_uuid)
  if (given.tag or "") == "" then
    image:untag()
    return { uuid = image.uuid, tag = json.null, created_at = image.created_at }
  end
  local tagged = image:tag_as(given.tag)
  return { uuid = tagged.uuid or image.uuid, tag = given.tag, created_at = image.created_at }
end

local function import_image(context, given)
  local host = given.registry_url:gsub("^%w+://", ""):match("^[^/]+")
  local login = (context.handles.registries or {})[host] or {}
  local image = context.client.images:import_from(given.registry_url, { tag = given.tag,
    username = login.username, password = login.token,
    progress = function(far) context.progress(far.done, far.total, far.phase) end })
  return shapes.image(image)
end

return {
  { name = "list_images", title = "List images", reads = true, call = list_images,
    about = "Lists images, the newest first. Free: nothing runs.",
    takes = {
      { "limit", "integer", "the most to list", default = 100 },
      { "offset", "integer", "how many to pass over", default = 0 },
      { "tagged", "boolean", "only images with a tag" },
      { "tag_prefix", "string", "only tags that begin so" },
      { "since", "string", "made after this time, or within this age, such as 2h or 7d" },
      { "until", "string", "made before this time, or longer ago" },
    } },
  { name = "get_image", title = "Look an image up", reads = true, call = get_image,
    about = "Says the uuid and the tag of one image.",
    takes = { { "image", "string", "a uuid, or tag:NAME", required = true } } },
  { name = "set_tag", title = "Name an image", call = set_tag,
    about = "Gives an image a tag, or takes it away when no tag is given. An image that had the "
      .. "tag loses it. Names like project/purpose:v1 are found again easily.",
    takes = { { "image_uuid", "string", "the image", required = true },
      { "tag", "string", "its name; none removes it" } } },
  { name = "import_image", title = "Import an image", world = true, call = import_image,
    about = "Imports an image from a container registry. Look with list_images first: it may be "
      .. "there. Takes seconds to minutes.",
    takes = {
      { "registry_url", "string", "such as docker://host/name:tag, or name:tag",
        required = true },
      { "tag", "string", "its name here; by default made of the reference" },
      { "wait", "boolean", "accepted; an import is always waited for", default = true },
      { "i_accept_that_anonymous_access_might_be_rate_limited", "boolean",
        "accepted; access without a login is tried when registry_auth has given none",
        default = false },
    } },
}
