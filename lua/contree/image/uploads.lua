--- What this machine's programs have uploaded to a server within a day, so that the next program
--- need not ask for each file. Asking a local engine is as quick as remembering, so only other
--- servers are remembered. A server that has lost a file meanwhile refuses the run, and then is
--- asked (run/init.lua).

local cache = require("contree.base.cache")

local uploads = {}

-- Seconds. Servers keep an upload far longer after its last use.
local AGE = 86400

---@class contree.Uploads
---@field client contree.Client
---@field cache? contree.Cache
---@field used boolean     something was answered
---@field doubted boolean  the server has refused a run with files: it may lack some

---@param client contree.Client
---@return contree.Uploads
function uploads.new(client) return { client = client, used = false, doubted = false } end

-- The client knows whether its server is a local engine after it was made.
local function memory_of(self)
  if self.client.extended then return nil end
  self.cache = self.cache or cache.open(self.client, "uploads")
  return self.cache
end

--- The upload with that content, if one is remembered.
---@param self contree.Uploads
---@param digest string
---@return { uuid: string, sha256: string, size: integer }?
function uploads.find(self, digest)
  local memory = not self.doubted and memory_of(self)
  local uuid, size, at = (memory and memory:get(digest) or ""):match("^([%w-]+),(%d+),(%d+)$")
  if not uuid or math.abs(os.time() - tonumber(at)) > AGE then return nil end
  self.used = true
  return { uuid = uuid, sha256 = digest, size = tonumber(size) }
end

--- Remembers an upload.
---@param self contree.Uploads
---@param file { uuid: string, size: integer? }
---@param digest string
function uploads.add(self, file, digest)
  local memory = file.uuid:match("^[%w-]+$") and memory_of(self)
  if not memory then return end
  local size = type(file.size) == "number" and file.size or 0
  memory:put(digest, ("%s,%.0f,%d"):format(file.uuid, size, os.time()))
end

--- Answers nothing any more, since a run was refused; returns whether anything was answered.
---@param self contree.Uploads
function uploads.doubt(self)
  local used = self.used
  self.used, self.doubted = false, true
  return used
end

return uploads
