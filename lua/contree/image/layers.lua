--- Directories of this machine that become part of an image, in one request: the server puts
--- them on it as a layer (http-api.md §4.25).

local core = require("contree.core")
local errors = require("contree.base.errors")
local loop = require("contree.loop")
local wire = require("contree.wire")

local layers = {}

local LASTING = 600 -- seconds that unpacking may take

-- What a server answers that has no such request, or knows no such image.
local UNABLE = { [404] = true, [405] = true, [501] = true }

-- The chunks of an archive of the tree.
local function chunks(tree)
  local pack, problem = core.pack{ path = tree.path, uid = tree.uid, gid = tree.gid,
    mode = tree.mode and tonumber(tree.mode, 8), ignores = tree.ignore and tree.ignore:verdict() }
  if not pack then errors.raise("file", "files: cannot read " .. problem) end
  return function()
    local bytes, wrong = pack:step(loop.SLICE)
    if wrong then errors.raise("file", "files: cannot read " .. wrong) end
    return bytes
  end
end

--- Whether it is worth asking the server.
function layers.can(self) return self.extended and not self.sends_files end

--- Put an archive on an image, at a directory of it. `feed` returns, for each attempt, a
--- function that returns its bytes in pieces, then nil. Returns the uuid of the new image; nil
--- if the server cannot do that.
---@async
---@param self contree.Client
---@param uuid string
---@param at string
---@param feed fun(): fun(): string?
---@param temporary? boolean nobody will be told of the image
---@return string?
function layers.put(self, uuid, at, feed, temporary)
  if not layers.can(self) then return nil end
  local ok, answer = pcall(wire.request, self, {
    method = "POST", path = ("/images/%s/layers"):format(wire.segment(uuid)),
    query = { at = at, temporary = temporary }, repeatable = true, lasting = LASTING,
    body = { chunks = true }, feed = feed,
  })
  if ok then return wire.member(answer, "uuid") end
  if errors.is(answer) and UNABLE[answer.status] then return nil end
  error(answer, 0)
end

--- Put a directory on an image. Returns the uuid of the new image; nil if the server cannot do
--- that.
---@async
---@param self contree.Client
---@param uuid string
---@param tree table { path, destination, mode, uid, gid, ignore }
---@param temporary? boolean nobody will be told of the image
---@param sent? fun(bytes: integer) called with the size of each piece
---@return string?
function layers.add(self, uuid, tree, temporary, sent)
  return layers.put(self, uuid, tree.destination, layers.feed(tree, sent), temporary)
end

--- The archive of a directory, for layers.put.
---@param tree table { path, mode, uid, gid, ignore }
---@param sent? fun(bytes: integer) called with the size of each piece
---@return fun(): fun(): string?
function layers.feed(tree, sent)
  return function()
    local next_chunk = chunks(tree)
    if not sent then return next_chunk end
    return function()
      local bytes = next_chunk()
      if bytes then sent(#bytes) end
      return bytes
    end
  end
end

return layers
