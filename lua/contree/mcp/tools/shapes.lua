--- The objects that several tools return, as the official server has them.

local core = require("contree.core")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local words = require("contree.base.text")

local shapes = {}

local PATH_MAX = 4096 -- of Linux

-- Bytes of a patch in an answer.
local MAX_PATCH = 100000

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
---@param word string
---@return string
function shapes.path(word)
  if #word > PATH_MAX then
    errors.raise("invalid_argument", ("a path has at most %d bytes, and this one %d"):format(
      PATH_MAX, #word))
  end
  local path = word:gsub("^~%f[/\0]", os.getenv("HOME") or "~")
  if path:sub(1, 1) == "/" then return path end
  errors.raise("invalid_argument", word .. " is no absolute path",
    { hint = "this server's directory is not yours" })
end

--- The arguments of what a command may reach.
shapes.NETWORKING = { "networking", "boolean", "let it use the network" }
shapes.ALLOW = { "allow", "list", "in place of networking: hosts that it may reach, and nothing "
  .. "else, such as example.org or *.example.org:8443" }

shapes.TRACE = { "trace", "string", "tell what it tried, when it fails and does not say why: the "
  .. "programs and the system calls that were refused, or files that it wanted as well",
  choices = { "programs", "files" } }

--- The same as the option of a run.
---@param given { networking: boolean?, allow: string[]? }
---@return boolean|contree.Networking|nil
function shapes.networking(given)
  if not given.allow then return given.networking end
  if given.networking then
    errors.raise("invalid_argument", "networking lets it reach everything, allow only some hosts",
      { hint = "leave one of them out" })
  end
  return { allow = given.allow }
end

--- Bytes as a text that JSON can hold.
---@param bytes string
---@return string
function shapes.text(bytes)
  if utf8.len(bytes) then return bytes end
  return "base64:" .. core.base64_encode(bytes)
end

--- A value for JSON: bytes that are no UTF-8, such as those of a file's name, become "?".
function shapes.utf8(value)
  if type(value) == "string" then return words.utf8(value) end
  if type(value) ~= "table" then return value end
  local copy = setmetatable({}, getmetatable(value))
  for key, each in pairs(value) do copy[shapes.utf8(key)] = shapes.utf8(each) end
  return copy
end

-- What a name may have in a message, in bytes.
local NAME_MAX = 200

--- Somebody else's word in a message of ours.
---@param word any
---@return string
function shapes.word(word)
  return type(word) == "string" and words.plain(words.cut(word, NAME_MAX)) or type(word)
end

-- The first bytes of a text, without a part of a character at the end.
local function beginning(text, size)
  local last = size
  while last > 0 and text:byte(last + 1) & 0xC0 == 0x80 do last = last - 1 end
  return text:sub(1, last)
end

--- A list of changes as a patch, and whether it was too long for an answer.
---@param changes contree.Changes
---@return string patch, boolean cut
function shapes.patch(changes)
  local patch = tostring(changes)
  if #patch <= MAX_PATCH then return shapes.text(patch), false end
  return shapes.text(beginning(patch, MAX_PATCH)), true
end

return shapes
