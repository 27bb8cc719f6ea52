--- Users that a Dockerfile names.

local all = require("contree.image.users")
local errors = require("contree.base.errors")
local problem = require("contree.dockerfile.problem")

local users = {}

-- Call a function; an unknown user becomes an error at the place in the Dockerfile.
local function at(step, f, ...)
  local ok, result = pcall(f, ...)
  if ok then return result end
  if errors.is(result, "unprocessable") then problem.raise(step, result.message, result.hint) end
  error(result, 0)
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
  return at(step, all.find, client, uuid, text, content)
end

--- The owner of files that these mean (image/users.lua).
---@async
---@param lenient? boolean a name that the image does not know is root
---@return { uid: integer, gid: integer }
function users.owner(client, uuid, text, step, content, lenient)
  return at(step, all.owner, client, uuid, text, content, lenient)
end

return users
