--- Names of users and groups, as an image's /etc/passwd and /etc/group have them.

local errors = require("contree.base.errors")
local filesystem = require("contree.image.filesystem")

local users = {}

---@class contree.User
---@field uid integer
---@field gid integer
---@field home? string

local function file_of(client, uuid, path)
  local ok, text = pcall(filesystem.read, client, uuid, path)
  if ok then return text end
  if errors.is(text, "not_found") or errors.is(text, "unprocessable") then return "" end
  error(text, 0)
end

local function is_id(text) return text ~= nil and text:find("^%d+$") ~= nil end

-- The number of a text of digits, if it can be an id.
local function number(text)
  local id = is_id(text) and #text <= 10 and tonumber(text)
  return id and id <= 4294967294 and id or nil
end

-- The fields of the line for a name (the first field) or a number (the third field). A user
-- whose name consists of digits is not found by it. Each of the fields in `ids` must be an id:
-- the engine passes over other lines, too (src/init/account.c).
local function find(text, wanted, ids)
  local key = is_id(wanted) and 3 or 1
  for line in text:gmatch("[^\n]+") do
    local fields = {}
    for field in (line .. ":"):gmatch("(.-):") do fields[#fields + 1] = field end
    local good = fields[key] == wanted
    for _, each in ipairs(ids) do good = good and number(fields[each]) ~= nil end
    if good then return fields end
  end
end

local function id_of(text, what)
  local id = number(text)
  if not id then
    errors.raise("unprocessable", ("%s is not a valid id of a %s"):format(text, what))
  end
  return id
end

local function unknown(what, name, path)
  errors.raise("unprocessable", ("the image has no %s %q"):format(what, name),
    { hint = ("its %s does not name it; a number always works"):format(path) })
end

--- What "user", "user:group" and their numbers mean in an image.
---@async
---@param client contree.Client
---@param uuid string of the image
---@param text string
---@param content? fun(path: string): string? files that are about to be in the image
---@return contree.User
function users.find(client, uuid, text, content)
  local name, group = text:match("^([^:]*):?(.*)$")
  local function read(path)
    return content and content(path) or file_of(client, uuid, path)
  end
  local found = find(read("/etc/passwd"), name, { 3, 4 })
  if not found and not is_id(name) then unknown("user", name, "/etc/passwd") end
  local user = {
    uid = id_of(found and found[3] or name, "user"),
    gid = found and number(found[4]), home = found and found[6],
  }
  if group ~= "" then
    local line = not is_id(group) and find(read("/etc/group"), group, { 3 })
    if not line and not is_id(group) then unknown("group", group, "/etc/group") end
    user.gid = id_of(line and line[3] or group, "group")
  end
  return user
end

--- The owner that "user", "user:group" and their numbers mean for files. A lone number is
--- the group's number, too, whatever /etc/passwd says about it.
---@async
---@param client contree.Client
---@param uuid string of the image
---@param text string
---@param content? fun(path: string): string? files that are about to be in the image
---@param lenient? boolean a name that the image does not know is root
---@return { uid: integer, gid: integer }
function users.owner(client, uuid, text, content, lenient)
  local alone = text:match("^(%d+):?$")
  if alone then
    local id = id_of(alone, "user")
    return { uid = id, gid = id }
  end
  local ok, user = pcall(users.find, client, uuid, text, content)
  if ok then return { uid = user.uid, gid = user.gid or user.uid } end
  if lenient and errors.is(user, "unprocessable") then return { uid = 0, gid = 0 } end
  error(user, 0)
end

local function no_file() return "" end

--- Replace the user in a request by numbers, looked up in the image, on servers that know
--- only these. The local engine looks users up itself.
---@async
---@param client contree.Client
---@param uuid string|false  of the image, if it is known
---@param body table         of the request
function users.settle(client, uuid, body)
  if body.user == nil or client.extended then return end
  if body.user == true or not uuid and body.user:find("[^%d:]") then
    errors.raise("not_supported", "this server takes users by number only",
      { hint = "pass uid = and gid =" })
  end
  local user = users.find(client, uuid, body.user, not uuid and no_file or nil)
  body.uid, body.gid = user.uid, user.gid or 0
  if user.home and user.home ~= "" and (body.env or {}).HOME == nil then
    local env = { HOME = user.home }
    for name, value in pairs(body.env or {}) do env[name] = value end
    body.env = env
  end
end

return users
