--- What a survey has found becomes a layer of an image. `self` is the contree.Workspace.

local errors = require("contree.base.errors")
local layers = require("contree.image.layers")
local loop = require("contree.loop")
local packed = require("contree.workspace.packed")
local progress = require("contree.base.progress")
local tar = require("contree.base.tar")

local archive = {}

local SMALL = 1048576 -- bytes of an archive that is held in memory

-- A function that tells how many bytes of the contents are sent. What an archive has beside
-- them is not counted.
local function teller(self, survey, skip)
  if not self.progress then return nil end
  local done, total = 0, 0
  for _, each in ipairs(survey:delta()) do
    if not skip[each.path] and each.type == "file" then total = total + each.size end
  end
  return function(bytes)
    done = bytes and math.min(done + #bytes, total) or total
    progress.tell(self.progress, "sending", "bytes", done, total)
  end
end

--- The pieces of an archive of what a survey has found, but what is in `less.skip`.
---@param less { skip: table?, keep: table? } keep: directories that stay where the folder has
---  none any more
---@return fun(): fun(): string?
function archive.of(self, survey, less)
  return function()
    survey:pack(less.skip, less.keep)
    local tell = teller(self, survey, less.skip or {})
    return function()
      local bytes, problem = survey:piece(loop.SLICE)
      if problem then
        errors.raise("file", ("workspace: cannot read %s/%s"):format(self.path, problem))
      end
      if tell then tell(bytes) end
      return bytes
    end
  end
end

local function one_piece(text)
  return function()
    local left = text
    return function()
      local bytes = left
      left = nil
      return bytes
    end
  end
end

--- A small archive as a whole, so that two images can get it at the same time; else nil.
---@async
function archive.whole(pieces)
  local parts, size = {}, 0
  for bytes in pieces() do
    parts[#parts + 1], size = bytes, size + #bytes
    if size > SMALL then return nil end
    loop.pace()
  end
  return one_piece(table.concat(parts))
end

--- The index of what a survey has found, with what was read since.
---@async
---@return string
function archive.index(survey)
  loop.pace()
  local index = survey:index()
  loop.pace()
  return index
end

--- Put what has changed on an image. Returns the uuid of the new one.
---@async
---@param uuid string
---@param pieces? fun(): fun(): string? the archive, if it is there already
---@return string
function archive.put(self, uuid, survey, less, pieces)
  pieces = pieces or archive.of(self, survey, less)
  return layers.put(self.client, uuid, self.at, pieces)
    or packed.put(self, uuid, pieces, survey, less.skip)
end

-- The name of a file that makes its directory and is not put there.
local MARK = ".wh..wh.plnk"

--- Put the folder on an image while it has no files: commands run in it all the same.
---@async
---@param uuid string
---@return string
function archive.empty(self, uuid, survey)
  local text = tar.header{ name = MARK, type = "file", mode = 420, uid = 0, gid = 0, size = 0 }
    .. tar.FINISH
  return archive.put(self, uuid, survey, {}, one_piece(text))
end

return archive
