--- The objects that several tools return, as the official server has them.

local errors = require("contree.base.errors")
local json = require("contree.base.json")

local shapes = {}

--- An image.
function shapes.image(image)
  return { uuid = image.uuid, tag = image.tag or json.null, created_at = image.created_at }
end

--- The image that an argument means: a uuid, "tag:NAME", a tag or a reference.
function shapes.find(client, word) return client.images:use(word) end

--- The same, with its uuid known; raises not_found.
function shapes.resolve(client, word) return client.images:use(word, { strict = true }) end

--- An operation, as the server tells it.
---@async
function shapes.operation(client, uuid)
  local _, found = client.operations:get(uuid):status()
  local result, metadata = json.as("table", found.result) or {}, json.as("table", found.metadata)
  if metadata and metadata.args then metadata.args = json.array(metadata.args) end
  return { uuid = found.uuid, status = found.status, kind = found.kind,
    error = found.error or json.null, metadata = found.metadata or json.null,
    result = { image = result.image or found.result_image_uuid or json.null,
      tag = result.tag or json.null },
    duration = found.duration or json.null }
end

--- Whether an error says that the call is no longer wanted. (An operation that somebody has
--- cancelled is told by the same kind, with the operation.)
function shapes.is_interrupt(err)
  return errors.is(err, "cancelled") and rawget(err, "operation") == nil
end

--- Waits for the end of an operation, however it ends, or until the time is up.
---@async
---@param operation contree.Operation
---@param seconds? number
function shapes.wait(operation, seconds)
  local ok, err = pcall(operation.wait, operation, seconds)
  if ok or not errors.is(err) or err.kind == "timeout" then return end
  if shapes.is_interrupt(err) or not rawget(err, "operation") then error(err, 0) end
end

--- The absolute path of what an argument names on this machine; ~ is the user's home.
function shapes.path(word)
  return (word:gsub("^~%f[/\0]", os.getenv("HOME") or "~"))
end

return shapes
