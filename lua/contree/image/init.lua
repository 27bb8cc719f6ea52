--- An image: an immutable state of a file system, from which commands run.
--- The result of a run (contree.Result) is an image, too.

local class = require("contree.base.class")
local errors = require("contree.base.errors")
local filesystem = require("contree.image.filesystem")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local remedy = require("contree.base.remedy")
local wire = require("contree.wire")

local image = {}

---@class contree.Image
---@field uuid? string nil until a request has told it, and of a disposable result
---@field tag? string nil: it has none, or it is not known
---@field created_at? string ISO 8601; nil where no request has told it
---@field client contree.Client whose server has it
---@field ls fun(self, path: string?): contree.FileEntry[]
---@field stat fun(self, path: string): contree.FileEntry
---@field exists fun(self, path: string): boolean
---@field read fun(self, path: string): string
---@field lines fun(self, path: string): fun(): string?
---@field download fun(self, path: string, to: string?): string
---@field archive fun(self, path: string, to: string): string
---@field grep fun(self, given: contree.GrepOptions|string): contree.GrepResult
---@field diff fun(self, other: any, given: contree.DiffOptions?): contree.Changes, boolean
---@field merge fun(self, other: any, given: contree.MergeOptions?): contree.Image, table
local Image = {}

image.methods = Image

local function label(self)
  if self.uuid and self.tag then return self.uuid .. " " .. self.tag end
  return self.uuid or self.tag or "not kept"
end

local make = class.define("contree.Image", Image, {
  __tostring = function(self) return ("contree.Image(%s)"):format(label(self)) end,
}, { "uuid", "tag", "created_at", "client" })

---@param self contree.Client
---@param fields table uuid, tag, created_at
---@return contree.Image
function image.new(self, fields)
  fields.client = self
  return make(fields, self.safe)
end

local make_result = class.define("contree.Result", Image, {
  __tostring = function(self)
    local ending = self.timed_out and "timed out" or self.signal and "signal " .. self.signal
      or "exit " .. tostring(self.exit_code)
    return ("contree.Result(%s, %s%s)"):format(ending, label(self), printed.output(self))
  end,
}, { "uuid", "tag", "created_at", "client", "stdout", "stderr", "stdout_truncated",
  "stderr_truncated", "exit_code", "signal", "timed_out", "limit", "limit_value", "changed",
  "duration", "resources", "isolation", "background_killed", "denied",
  "tried", "operation" })

---@class contree.Resources what a process has used (http-api.md §5.8); printed, a line for each
---@field elapsed_time? number         seconds; all are nil if the server does not say
---@field user_cpu_time? number        seconds, or nil
---@field system_cpu_time? number      seconds, or nil
---@field monotonic_time? number       seconds, or nil
---@field max_rss? integer             KiB of memory at most, or nil
---@field layer_bytes? integer         what the run wrote into its image, or nil
---@field block_input? integer         blocks that were read from disks, or nil
---@field block_output? integer        blocks that were written to disks, or nil
---@field page_faults? integer         page faults without a disk, or nil
---@field page_faults_io? integer      page faults that read from a disk, or nil
---@field voluntary_switches? integer  context switches while it waited, or nil
---@field involuntary_switches? integer context switches that were forced on it, or nil
---@field cost? number                 what the hosted service counts, or nil

---@class contree.Result : contree.Image
---@field stdout any         a string, or what stdout= asked for
---@field stderr any the same of standard error
---@field stdout_truncated boolean whether something was cut off
---@field stderr_truncated boolean whether something was cut off
---@field exit_code? integer 0 to 255; -1 when a signal ended the command; nil: it never began
---@field signal? integer    the signal that ended it; nil: none did
---@field timed_out boolean whether its time limit ended it
---@field limit? string      which limit ended it: "timeout", "memory", "pids", "disk", ...; nil:
---  none did
---@field limit_value? number how much it allowed: seconds, bytes, processes; nil: no limit did
---@field changed? boolean   whether the file system differs; nil if disposable
---@field duration? number   seconds; nil: it never began
---@field resources contree.Resources what it has used
---@field isolation? string[] the walls that were there; nil: the server does not say
---@field background_killed? integer how many processes it had left running, which were ended; nil:
---  the server does not say
---@field denied? contree.DeniedList what was refused; nil: networking had no rules
---@field tried? contree.DeniedList what it tried; nil: nothing, or without trace
---@field operation contree.Operation what ran it

---@return contree.Result
function image.result(self, fields)
  fields.client = self
  return make_result(fields, self.safe)
end

local function gone()
  errors.misuse("this run kept no image", "run it with disposable = false to go on from it")
end

--- The name of the image in a spawn request.
function image.reference(self)
  if self.uuid then return self.uuid end
  if self.tag then return "tag:" .. self.tag end
  gone()
end

--- The uuid. A tag is looked up once: the object stands for one image.
---@async
function image.uuid_of(self)
  if not self.uuid then
    if not self.tag then gone() end
    self.uuid = image.find_tag(self.client, self.tag)
  end
  return self.uuid
end

--- The uuid of the image that has a tag (GET /inspect/?tag=).
---@async
function image.find_tag(self, tag)
  local ok, result = pcall(wire.request, self, { method = "GET", path = "/inspect/",
    query = { tag = tag }, accept = { [302] = true } })
  if not ok then
    if errors.is(result, "not_found") then remedy.set(result, "import", tag) end
    error(result, 0)
  end
  local uuid = (result.headers.location or ""):match("([^/?#]+)/*$")
  if not uuid then errors.raise("server", "the server's answer lacks the image's uuid") end
  return uuid
end

--- Whether the server has an image; a name that begins with "tag:" is a tag.
---@async
function image.exists(self, name)
  local tag = name:match("^tag:(.*)")
  if tag then return (pcall(image.find_tag, self, tag)) end
  return (pcall(wire.request, self, { method = "GET",
    path = ("/inspect/%s/"):format(wire.segment(name)) }))
end

-- Tags ---------------------------------------------------------------------

local function tag_path(self)
  return ("/images/%s/tag"):format(wire.segment(image.uuid_of(self)))
end

--- Names the image; an image that had the name loses it.
---     image:tag_as("app:v1")
--- Raises: request, not_found (the image), invalid_argument (a malformed tag).
---@async
---@param name string the tag, such as "app:v1"
---@return contree.Image self
function Image:tag_as(name)
  options.argument("image:tag_as", "the tag", options.name, name)
  wire.request(self.client, { method = "PATCH", path = tag_path(self), json = { tag = name } })
  self.tag = name
  return self
end

--- Takes a name away from the image.
---     image:untag("app:v1")
--- Raises: request, not_found (the image has no such tag).
---@async
---@param name? string the tag; default the one that it has
---@return contree.Image self
function Image:untag(name)
  if name ~= nil then options.argument("image:untag", "the tag", options.name, name) end
  wire.request(self.client, { method = "DELETE", path = tag_path(self), query = { tag = name } })
  if not name or name == self.tag then self.tag = nil end
  return self
end

-- Reading ------------------------------------------------------------------

for name, read in pairs(filesystem) do
  Image[name] = function(self, ...)
    return read(self.client, image.uuid_of(self), ...)
  end
end

return image
