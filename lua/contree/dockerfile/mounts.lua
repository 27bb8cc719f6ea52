--- The mounts of RUN. A cache is a volume where the server has these: a local engine. Elsewhere,
--- and for a tmpfs, there is the image's directory: both only save time and space.

local expand = require("contree.dockerfile.expand")
local hash = require("contree.image.hash")
local paths = require("contree.dockerfile.paths")
local problem = require("contree.dockerfile.problem")

local mounts = {}

local REFUSED = { bind = "COPY what it needs", secret = "pass it with args, or fetch it before",
  ssh = "clone before, and COPY" }
local TARGET = { target = true, dst = true, destination = true }

local function read(step, text, lookup)
  local found = { type = "bind" }
  for pair in (text .. ","):gmatch("([^,]*),") do
    local name, value = pair:match("^%s*([^=]*)=?(.-)%s*$")
    found[TARGET[name] and "target" or name] = expand.text(value, lookup)
  end
  if found.type ~= "cache" and found.type ~= "tmpfs" then
    problem.raise(step, ("--mount=type=%s is not supported"):format(found.type),
      REFUSED[found.type])
  end
  if (found.target or "") == "" then
    problem.raise(step, ("--mount=type=%s needs target="):format(found.type))
  end
  return found
end

-- Volumes are shared by all who use them at once, and begin empty. A cache for one user at a
-- time, or with content, cannot be one.
local function is_volume(mount)
  return mount.type == "cache" and (mount.sharing or "shared") == "shared" and not mount.from
    and not mount.ro and not mount.readonly
end

--- The name of the volume of a cache: readable, and another one for another id.
function mounts.volume(id)
  local readable = id:lower():gsub("[^%w_]+", "-"):gsub("^%-", ""):gsub("%-$", "")
  return ("build/%s-%s"):format(readable:sub(1, 100), hash.text(id):sub(1, 12))
end

-- A volume in another one cannot be mounted.
local function without_inner(volumes)
  local kept = {}
  for target, name in pairs(volumes) do
    local inner = false
    for other in pairs(volumes) do
      inner = inner or other ~= target and target:sub(1, #other + 1) == other .. "/"
    end
    if not inner then kept[target] = name end
  end
  return next(kept) and kept
end

--- Check the mounts of a RUN. Returns the volumes for it, by target; nil if there are none.
---@param step contree.build.Instruction
---@param has_volumes boolean whether the server has some
---@param lookup contree.build.Lookup
---@param cwd fun(): string the working directory
---@return table<string, string>?
function mounts.volumes(step, has_volumes, lookup, cwd)
  local volumes = {}
  for _, flag in ipairs(step.flag_list) do
    local mount = flag.name == "mount" and read(step, flag.value, lookup)
    if mount and is_volume(mount) and has_volumes then
      local target = paths.absolute(mount.target,
        mount.target:sub(1, 1) ~= "/" and cwd() or nil)
      volumes[target] = mounts.volume(mount.id and mount.id ~= "" and mount.id or target)
    end
  end
  return without_inner(volumes) or nil
end

return mounts
