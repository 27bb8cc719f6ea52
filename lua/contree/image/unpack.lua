--- The way in for a server that takes no layers (layers.lua): an archive is uploaded as it is
--- made, and a run unpacks it. Runs belong to a room above: the caller lends one.

local errors = require("contree.base.errors")
local uploaded = require("contree.image.uploaded")
local wire = require("contree.wire")

local unpack = {}

local ARCHIVE, LIST = "/tmp/.contree-layer.tar", "/tmp/.contree-layer.list"
local TIMEOUT = 600
local LASTING = 600 -- seconds that making the archive may take between two bytes

-- What is listed is removed first: paths that are gone, or become something else.
local SCRIPT = [[
set -e
mkdir -p "$1"
cd "$1"
if [ -s "$3" ]; then xargs -0 rm -rf -- <"$3"; fi
tar -xpf "$2"
find . -xdev -name "$4" -type f -exec rm -f -- {} +
rm -f "$2" "$3"
]]

-- The names of marks, which only a server reads that takes layers: in an archive of changes each
-- removal has one, in that of a directory only empty directories have.
local MARKS, MARK = ".wh.?*", ".wh..wh.plnk"

local function upload(self, feed)
  return uploaded(wire.fetch(self, { method = "POST", path = "/files", repeatable = true,
    body = { chunks = true }, feed = feed, lasting = LASTING }))
end

--- Put an archive on an image, at a directory of it. Returns the uuid of the new image.
---@async
---@param self contree.Client
---@param uuid string
---@param at string
---@param feed fun(): fun(): string? see layers.put
---@param execute fun(uuid: string, given: table): contree.Result runs a command and keeps
---  what it changed
---@param removed? string paths below `at` that go first, each with a NUL behind it; nil: the
---  archive only adds
---@return string
function unpack.put(self, uuid, at, feed, execute, removed)
  local ok, result = pcall(execute, uuid, {
    command = "sh",
    args = { "-c", SCRIPT, "sh", at, ARCHIVE, LIST, removed and MARKS or MARK },
    timeout = TIMEOUT, check = true,
    files = { [ARCHIVE] = upload(self, feed), [LIST] = { data = removed or "" } } })
  if ok then return result.uuid or uuid end
  if errors.is(result, "command_failed") or errors.is(result, "operation_failed") then
    errors.raise("not_supported", "this server takes no directories, and the run that was to "
      .. "unpack an archive failed: " .. result.message,
      { hint = "the image needs sh and tar; or name the files one by one, 4,096 at most" })
  end
  error(result, 0)
end

return unpack
