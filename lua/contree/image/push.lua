--- Images to registries, by the local engine.

local errors = require("contree.base.errors")
local image = require("contree.image")
local options = require("contree.base.options")
local remedy = require("contree.base.remedy")
local wire = require("contree.wire")

local push = {}

---@class contree.PushOptions
---@field username? string  for the registry; default anonymous
---@field password? string  for the registry; default none
---@field timeout? number   seconds that it may take; default 600

local SPEC = { username = options.text, password = options.text, timeout = options.seconds }
local LASTING = 600

-- What a server answers that has no such request, or knows no such image.
local UNABLE = { [404] = true, [405] = true, [501] = true }

local function scheme_of(ref)
  return ref:find("^docker://") and ref or "docker://" .. ref
end

--- See image:push.
---@async
---@param self contree.Client
---@param uuid string
---@param ref string
---@param given? contree.PushOptions
---@return string ref
function push.image(self, uuid, ref, given)
  options.argument("image:push", "the reference", options.name, ref)
  given = options.check("image:push", SPEC, given)
  if (given.username == nil) ~= (given.password == nil) then
    errors.misuse("the " .. (given.username and "password" or "username") .. " is missing")
  end
  local ok, answer = pcall(wire.request, self, { method = "POST", path = "/export", json = {
    operand = uuid, registry = scheme_of(ref), username = given.username,
    password = given.password,
  }, secret = given.password, lasting = given.timeout or LASTING })
  if ok then return scheme_of(ref) end
  if errors.is(answer) and (answer.status == 403 or UNABLE[answer.status])
    and image.exists(self, uuid) then
    -- An engine that cannot says itself what it lacks.
    errors.raise("not_supported", "this server does not push images: " .. answer.message,
      { hint = answer.status ~= 501 and "a local engine on this machine does" or nil,
        status = answer.status })
  end
  if errors.is(answer) and answer.message:find("registry.credentials", 1, true) then
    remedy.set(answer, "login")
  end
  error(answer, 0)
end

return push
