--- Volumes: directories of a local engine that outlive runs and are shared by them, in no image
--- (http-api.md §4.31). Also the checks of `volumes` and `mounts` of a run.

local core = require("contree.core")
local class = require("contree.base.class")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local text = require("contree.base.text")
local wire = require("contree.wire")

local volumes = {}

-- What a run asks for ----------------------------------------------------------

local function is_directory(value)
  local wrong, is_data = options.file_name(value)
  if wrong then return "the path of a directory: " .. wrong, is_data end
end

--- Checks of the two options of a run.
volumes.by_target = options.map(options.absolute, options.name)
volumes.mounts_by_target = options.map(options.absolute, options.one_of(is_directory,
  options.nested{ path = is_directory, noexec = options.boolean }))

-- The engine takes absolute paths. One that is not is of this machine, like those of `files`.
local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  local full, problem = core.real_path(path)
  if not full then errors.raise("file", "mounts: cannot find " .. problem) end
  return full
end

--- The member `mounts` of a request.
function volumes.mounts(given)
  if not given then return nil end
  local found = {}
  for target, what in pairs(given) do
    if type(what) == "table" then
      if what.path == nil then
        errors.misuse(("mounts: %s needs path ="):format(target))
      end
      found[target] = { path = absolute(what.path), noexec = what.noexec }
    else
      found[target] = absolute(what)
    end
  end
  return found
end

local UNABLE = { [404] = true, [405] = true, [501] = true }

-- Raise "not_supported" for what a server answers that knows no volumes.
local function explain(err)
  if errors.is(err) and UNABLE[err.status] then
    errors.raise("not_supported", "this server has no volumes and mounts no directories",
      { hint = "the local engine does", status = err.status })
  end
  error(err, 0)
end

local function fetch_list(self, query)
  local ok, answer = pcall(wire.fetch, self, { method = "GET", path = "/volumes", query = query })
  if not ok then explain(answer) end
  self.has_volumes = true
  return json.as("table", answer.volumes) or {}
end

--- Make sure that the server will not ignore `volumes` or `mounts` of a run. It is asked once.
---@async
---@param self contree.Client
function volumes.need(self)
  if not self.has_volumes then fetch_list(self, { unmeasured = true }) end
end

-- The manager --------------------------------------------------------------------

---@class contree.Volume
---@field name string as runs name it
---@field size? integer      bytes; nil: runs change it all the time
---@field quota? integer     bytes; nil: none
---@field created_at string  as the server writes times
---@field used_at? string    when the last run began to use it; nil: none has
---@field runs integer       how many runs use it, or wait to
---@field in_use boolean     whether there are any

local print_volume = printed.record(function(self)
  local quota = self.quota and " of " .. text.size(self.quota) or ""
  return ("%s  %s%s  %s"):format(tostring(self.name), self.size and text.size(self.size) or "?",
    quota, self.in_use and ("in use by %d"):format(self.runs) or "not in use")
end)

local print_volumes = printed.list()

local function of_json(found)
  found = json.as("table", found) or {}
  local runs = json.as("number", found.runs) or 0
  return print_volume{ name = json.as("string", found.name), size = json.as("number", found.size),
    quota = json.as("number", found.quota), created_at = json.as("string", found.created_at),
    used_at = json.as("string", found.used_at), runs = runs, in_use = runs > 0 }
end

---@class contree.Volumes
---@field client contree.Client whose volumes they are
---@operator call(): contree.Volume[]
local Volumes = {}

local make = class.define("contree.Volumes", Volumes, {
  __call = function(self) return Volumes.list(self) end,
}, { "client" })

---@return contree.Volumes
function volumes.new(self) return make({ client = self }, self.safe) end

local function path_of(where, name)
  options.argument(where, "the name", options.name, name)
  return "/volumes/" .. wire.segment(name)
end

-- A server without volumes answers "not found", too.
local function ask(self, request)
  local ok, answer = pcall(wire.request, self.client, request)
  if ok then return answer end
  if errors.is(answer) and UNABLE[answer.status] then volumes.need(self.client) end
  error(answer, 0)
end

--- All volumes, by name. `client.volumes()` is short for it.
---     for _, volume in ipairs(client.volumes:list()) do print(volume.name, volume.size) end
--- Raises: request, not_supported (the hosted service).
---@async
---@return contree.Volume[]
function Volumes:list()
  local found = {}
  for i, each in ipairs(fetch_list(self.client)) do found[i] = of_json(each) end
  return print_volumes(found)
end

--- One volume.
---     local volume = client.volumes:get("cargo")
--- Raises: request, not_found (no volume has the name), not_supported (the hosted service).
---@async
---@param name string of the volume
---@return contree.Volume
function Volumes:get(name)
  return of_json(ask(self, { method = "GET", path = path_of("volumes:get", name) }).json)
end

---@class contree.VolumeOptions
---@field quota? integer bytes: a run that makes it larger is ended; 0: none; default the one that
---  it has

--- Makes a volume, or finds the one of that name. A quota that is given is set. Runs make the
--- volumes that they lack, so only a quota needs this.
---     client.volumes:create("cargo", { quota = 10 * 2 ^ 30 })
--- Raises: request, invalid_argument (the name), not_supported (the hosted service).
---@async
---@param name string as tags are: a-z 0-9 _ - with single : / . between them
---@param given? contree.VolumeOptions
---@return contree.Volume
function Volumes:create(name, given)
  options.argument("volumes:create", "the name", options.name, name)
  given = options.check("volumes:create", { quota = options.integer(0) }, given)
  return of_json(ask(self, { method = "POST", path = "/volumes", repeatable = true,
    json = { name = name, quota = given.quota } }).json)
end

--- Deletes a volume and all in it, for good.
---     client.volumes:remove("cargo")
--- Raises: request, not_found (no volume has the name), conflict (a run uses it, or waits to),
--- not_supported (the hosted service).
---@async
---@param name string of the volume
---@return true
function Volumes:remove(name)
  ask(self, { method = "DELETE", path = path_of("volumes:remove", name) })
  return true
end

return volumes
