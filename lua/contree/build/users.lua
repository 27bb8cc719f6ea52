--- Users that a Dockerfile names.

local all = require("contree.users")
local problem = require("contree.build.problem")

local users = {}

local function refuser(step)
  return function(message, hint) problem.raise(step, message, hint) end
end

--- What "user", "user:group" and their numbers mean in an image.
---@async
---@param client contree.Client
---@param uuid string of the image
---@param text string
---@param step contree.build.Instruction
---@param content? fun(path: string): string? files that are about to be in the image
---@return contree.User
function users.find(client, uuid, text, step, content)
  return all.find(client, uuid, text, refuser(step), content)
end

--- The owner that they mean for files (contree.users.owner).
---@async
---@param lenient? boolean a name that the image does not know is root
---@return { uid: integer, gid: integer }
function users.owner(client, uuid, text, step, content, lenient)
  return all.owner(client, uuid, text, refuser(step), content, lenient)
end

return users
