--- The way in for a server that takes no layers: an archive that a run unpacks.

local core = require("contree.core")
local errors = require("contree.base.errors")
local image = require("contree.image")
local loop = require("contree.loop")
local run = require("contree.run")
local stdio = require("contree.base.stdio")

local packed = {}

local ARCHIVE, LIST = "/tmp/.contree-workspace.tar", "/tmp/.contree-workspace.list"
local TIMEOUT = 600

-- Paths that are gone or become something else are removed first. The archive says so, too, but
-- only to a server that takes layers: the marks are removed at the end.
local SCRIPT = [[
set -e
mkdir -p "$1" && cd "$1"
xargs -0 rm -rf -- <"$3"
tar -xpf "$2"
find . -name '.wh.?*' -type f -exec rm -f -- {} +
rm -f "$2" "$3"
]]

local function write_archive(path, pieces)
  local file, problem = stdio.open_file(path, "wb")
  if not file then errors.raise("file", "workspace: " .. tostring(problem)) end
  local ok = true
  for bytes in pieces() do
    ok = ok and file:write(bytes)
    loop.pace()
  end
  if not file:close() or not ok then errors.raise("file", "workspace: cannot write " .. path) end
end

local function list_of(survey, skip)
  local parts = {}
  for _, each in ipairs(survey:delta()) do
    if not (skip and skip[each.path]) and each.type ~= "directory" then
      parts[#parts + 1] = "./" .. each.path .. "\0"
    end
  end
  return table.concat(parts)
end

--- Put an archive on an image by a run; returns the uuid of the new image.
---@async
---@param pieces fun(): fun(): string?
---@return string
function packed.put(self, uuid, pieces, survey, skip)
  local path = ("%s/packed.%d.tar"):format(self.records.directory, core.getpid())
  local plan
  local ok, result = pcall(function()
    write_archive(path, pieces)
    plan = run.plan("workspace", { command = "sh",
      args = { "-c", SCRIPT, "sh", self.at, ARCHIVE, LIST }, timeout = TIMEOUT, check = true,
      files = { [ARCHIVE] = path, [LIST] = { data = list_of(survey, skip) } } }, false)
    return run.run(image.new(self.client, { uuid = uuid }), plan)
  end)
  os.remove(path)
  if not ok then error(result, 0) end
  return result.uuid or uuid
end

return packed
