--- The way in for a server that takes no layers: an archive that a run unpacks.

local image = require("contree.image")
local run = require("contree.run")
local unpack = require("contree.image.unpack")

local packed = {}

-- What is removed before the archive is unpacked: whatever changes its type, too.
local function list_of(survey, skip)
  local parts = {}
  for _, each in ipairs(survey:delta()) do
    if not (skip and skip[each.path]) and each.type ~= "directory" then
      parts[#parts + 1] = "./" .. each.path .. "\0"
    end
  end
  table.sort(parts) -- a file goes before what is to be below its name
  return table.concat(parts)
end

--- Put an archive on an image by a run; returns the uuid of the new image.
---@async
---@param pieces fun(): fun(): string?
---@return string
function packed.put(self, uuid, pieces, survey, skip)
  return unpack.put(self.client, uuid, self.at, pieces, function(from, given)
    return run.run(image.new(self.client, { uuid = from }), run.plan("workspace", given, false))
  end, list_of(survey, skip))
end

return packed
