--- Two images that came from one become one again (http-api.md §4.26).

local errors = require("contree.base.errors")
local image = require("contree.image")
local json = require("contree.base.json")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local reference = require("contree.image.reference")
local text = require("contree.base.text")
local wire = require("contree.wire")

local merge = {}

local LASTING = 300 -- seconds, unless `timeout` says otherwise
local NAMED = 3 -- paths in the message of an error

---@class contree.MergeOptions
---@field base? contree.Image|contree.Session|string  what both came from; default: the nearest
---  image that they did
---@field prefer? "ours"|"theirs"  which side wins where both changed something: "ours" is the
---  image that merges, "theirs" the other; default: neither, then it is an error
---@field tag? string       given to the new image; default none
---@field timeout? integer  seconds; default 300

---@class contree.ConflictVersion
---@field type "file"|"directory"|"link"|"other" what it is
---@field size integer bytes
---@field mode integer  permission bits
---@field uid integer the owner's number
---@field gid integer the group's number

---@class contree.Conflict a path at which both sides changed something
---@field path string absolute
---@field conflict "content"|"binary"|"target"|"type"|"removed"|"mode"|"owner"|"attributes" what
---  cannot be merged
---@field base? contree.ConflictVersion    nil: nothing was there
---@field ours? contree.ConflictVersion nil: it was removed here
---@field theirs? contree.ConflictVersion nil: it was removed there

local OPTIONS = {
  base = options.any, tag = options.name, timeout = options.integer(1, 3600),
  prefer = options.one_of(options.exactly("ours"), options.exactly("theirs")),
}

local function version(found)
  found = json.as("table", found)
  if not found then return nil end
  return { type = found.kind == "symlink" and "link" or found.kind, size = found.size,
    mode = json.as("number", found.mode) and found.mode % 4096 or nil,
    uid = found.uid, gid = found.gid }
end

local print_conflict = printed.record(function(self)
  return ("%s  %s"):format(text.line(self.path), tostring(self.conflict))
end)

local print_conflicts = printed.list()

local function conflicts_of(result)
  local list = {}
  for _, each in ipairs(wire.member(result, "conflicts", "table")) do
    local found = json.as("table", each)
    local path = found and json.file_name(found, "path")
    if path then
      list[#list + 1] = print_conflict{ path = path, conflict = found.conflict,
        base = version(found.base), ours = version(found.ours), theirs = version(found.theirs) }
    end
  end
  return print_conflicts(list)
end

local function refuse(conflicts, count)
  local paths = {}
  for i, each in ipairs(conflicts) do paths[i] = each.path end
  errors.raise("conflict", ("both sides changed %s, each in its own way")
    :format(text.some(paths, NAMED, count)), { conflicts = conflicts, remedy = { "merge" } })
end

-- A server without this endpoint answers "not found", as it does for a missing image, so then
-- the images are looked up.
local function ask(self, body)
  local ok, result = pcall(wire.request, self, { method = "POST", path = "/merge", json = body,
    lasting = body.timeout or LASTING, accept = { [200] = true, [201] = true } })
  if ok then return result end
  local missing = errors.is(result, "not_found") or errors.is(result, "not_supported")
  if missing and image.exists(self, body.ours) and image.exists(self, body.theirs)
    and (not body.base or image.exists(self, body.base)) then
    errors.raise("not_supported", "this server does not merge images",
      { hint = "the local engine does", status = result.status })
  end
  error(result, 0)
end

--- See image:merge.
---@async
---@return contree.Image image, contree.Conflict[] conflicts
function merge.images(self, uuid, other, given)
  given = options.check("image:merge", OPTIONS, given)
  local result = ask(self, {
    ours = uuid, theirs = reference.named("image:merge", "the other image", other),
    base = given.base ~= nil and reference.named("image:merge", "base", given.base) or nil,
    prefer = given.prefer, tag = given.tag, timeout = given.timeout,
  })
  local conflicts = conflicts_of(result)
  local made = json.as("table", result.json.image)
  if not made then refuse(conflicts, json.as("number", result.json.conflict_count) or 0) end
  local function member(name) return json.as("string", made[name]) end
  return image.new(self, { uuid = member("uuid"), tag = member("tag"),
    created_at = member("created_at") }), conflicts
end

return merge
