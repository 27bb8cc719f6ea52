--- Names of users and groups, as an image's /etc/passwd and /etc/group have them.

local errors = require("contree.errors")
local filesystem = require("contree.filesystem")
local problem = require("contree.build.problem")

local users = {}

---@class contree.build.User
---@field uid integer
---@field gid integer
---@field home? string

local function file_of(client, uuid, path)
  local ok, text = pcall(filesystem.read, client, uuid, path)
  if ok then return text end
  if errors.is(text, "not_found") or errors.is(text, "unprocessable") then return "" end
  error(text, 0)
end

-- The fields of the line whose first field, or third, is `wanted`.
local function find(text, wanted)
  local by_id
  for line in text:gmatch("[^\n]+") do
    local fields = {}
    for field in (line .. ":"):gmatch("(.-):") do fields[#fields + 1] = field end
    if fields[1] == wanted then return fields end
    if fields[3] == wanted then by_id = by_id or fields end
  end
  return by_id
end

local function is_id(text) return text:find("^%d+$") ~= nil end

local function id_of(step, text, what)
  local id = tonumber(text)
  if not id or id > 4294967294 then
    problem.raise(step, ("%s is no %s's number"):format(text, what))
  end
  return id
end

local function unknown(step, what, name, path)
  problem.raise(step, ("the image has no %s %q"):format(what, name),
    ("its %s does not name it; a number always works"):format(path))
end

--- What "user", "user:group" and their numbers mean in an image.
---@async
---@param client contree.Client
---@param uuid string of the image
---@param text string
---@param step contree.build.Instruction
---@param content? fun(path: string): string? files that are about to be in the image
---@return contree.build.User
function users.find(client, uuid, text, step, content)
  local name, group = text:match("^([^:]*):?(.*)$")
  local function read(path)
    return content and content(path) or file_of(client, uuid, path)
  end
  local found = find(read("/etc/passwd"), name)
  if not found and not is_id(name) then unknown(step, "user", name, "/etc/passwd") end
  local user = {
    uid = id_of(step, found and found[3] or name, "user"),
    gid = found and tonumber(found[4]), home = found and found[6],
  }
  if group ~= "" then
    local line = not is_id(group) and find(read("/etc/group"), group)
    if not line and not is_id(group) then unknown(step, "group", group, "/etc/group") end
    user.gid = id_of(step, line and line[3] or group, "group")
  end
  return user
end

--- The owner that "user", "user:group" and their numbers mean for files. A lone number
--- is that of the group, too, whatever /etc/passwd says of it.
---@async
---@param client contree.Client
---@param uuid string of the image
---@param text string
---@param step contree.build.Instruction
---@param content? fun(path: string): string? files that are about to be in the image
---@param lenient? boolean a name that the image does not know is root
---@return { uid: integer, gid: integer }
function users.owner(client, uuid, text, step, content, lenient)
  local alone = text:match("^(%d+):?$")
  if alone then
    local id = id_of(step, alone, "user")
    return { uid = id, gid = id }
  end
  local ok, user = pcall(users.find, client, uuid, text, step, content)
  if ok then return { uid = user.uid, gid = user.gid or user.uid } end
  if lenient and errors.is(user, "invalid_argument") then return { uid = 0, gid = 0 } end
  error(user, 0)
end

return users
