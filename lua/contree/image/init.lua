--- An image: an immutable state of a file system, from which commands run.
--- What a run leaves (contree.Result) is an image too.

local class = require("contree.base.class")
local client = require("contree.wire.client")
local errors = require("contree.base.errors")
local filesystem = require("contree.image.filesystem")
local options = require("contree.base.options")

local image = {}

---@class contree.Image
---@field uuid? string
---@field tag? string
---@field created_at? string
---@field client contree.Client
---@field ls fun(self, path: string?): contree.FileEntry[]
---@field stat fun(self, path: string): contree.FileEntry
---@field exists fun(self, path: string): boolean
---@field read fun(self, path: string): string
---@field lines fun(self, path: string): fun(): string?
---@field download fun(self, path: string, to: string?): string
---@field archive fun(self, path: string, to: string): string
---@field grep fun(self, given: string|table): table
---@field diff fun(self, other: any, given: contree.DiffOptions?): contree.Changes, boolean
local Image = {}

image.methods = Image

local function label(self)
  if self.uuid and self.tag then return self.uuid .. " " .. self.tag end
  return self.uuid or self.tag or "not kept"
end

local make = class.define("contree.Image", Image, {
  __tostring = function(self) return ("contree.Image(%s)"):format(label(self)) end,
})

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
    return ("contree.Result(%s, %s)"):format(ending, label(self))
  end,
})

---@class contree.Result : contree.Image
---@field stdout any         a string, or what stdout= asked for
---@field stderr any
---@field stdout_truncated boolean
---@field stderr_truncated boolean
---@field exit_code? integer 0 to 255; -1 when a signal ended the command
---@field signal? integer    the signal that ended it
---@field timed_out boolean
---@field limit? string      which limit ended it: "timeout", "memory", "pids", "disk", ...
---@field limit_value? number how much it allowed: seconds, bytes, processes
---@field changed? boolean   whether the file system differs; nil if disposable
---@field duration? number   seconds
---@field resources table    CPU, memory, ... (http-api.md §5.8)
---@field isolation? string[] the walls that were there
---@field operation contree.Operation

---@return contree.Result
function image.result(self, fields)
  fields.client = self
  return make_result(fields, self.safe)
end

local function gone()
  errors.misuse("this run kept no image", "run it with disposable = false to go on from it")
end

--- How a spawn request names the image.
function image.reference(self)
  if self.uuid then return self.uuid end
  if self.tag then return "tag:" .. self.tag end
  gone()
end

--- The uuid; a tag is looked up, once: an image does not change.
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
  local result = client.request(self, { method = "GET", path = "/inspect/",
    query = { tag = tag }, accept = { [302] = true } })
  local uuid = (result.headers.location or ""):match("([^/?#]+)/*$")
  if not uuid then errors.raise("server", "the server's answer lacks the image's uuid") end
  return uuid
end

-- Running ------------------------------------------------------------------

-- run.lua stands on this module.
local function runner() return require("contree.run") end

--- Runs a command and waits for its end. A lone string is the shell command.
---@async
---@param given contree.RunOptions|string
---@return contree.Result
function Image:run(given)
  local run = runner()
  image.reference(self)
  return run.run(self, run.plan("image:run", given))
end

--- Starts a command and returns at once.
---@async
---@param given contree.RunOptions|string
---@return contree.Operation
function Image:start(given)
  local run = runner()
  image.reference(self)
  return run.start(self, run.plan("image:start", given))
end

--- Starts a command that is talked to while it runs, in the manner of Python's
--- subprocess.Popen. A list is the command and its arguments; a string is the
--- name of a command, or with shell = true a line for the sandbox's shell. What
--- it changes is dropped, unless disposable = false.
---@async
---@param argv string|string[]
---@param given? contree.PopenOptions
---@return contree.Process
function Image:popen(argv, given)
  image.reference(self)
  return require("contree.run.process").open("image:popen", function(plan)
    return runner().start(self, plan)
  end, argv, given)
end

--- A run to be called as often as wanted; each call runs anew.
---@param given contree.RunOptions|string
---@return contree.Prepared
function Image:prepare(given)
  local run = runner()
  image.reference(self)
  return run.prepare(self, run.plan("image:prepare", given))
end

--- A session: an image that moves with every run. With store = and id = it
--- outlives the program; one that is there already goes on where it was.
---@async
---@param given? contree.SessionOptions
---@return contree.Session
function Image:session(given)
  image.reference(self)
  return require("contree.session").new(self, given)
end

--- Puts files into the image; returns the new image.
---@async
---@param given table|string as run's files=, or one local file
---@return contree.Result
function Image:apply_files(given)
  local run = runner()
  if type(given) == "string" then given = { given } end
  image.reference(self)
  return run.run(self, run.plan("image:apply_files",
    { command = "true", files = given, disposable = false, check = true }))
end

-- Tags ---------------------------------------------------------------------

local function tag_path(self)
  return ("/images/%s/tag"):format(client.segment(image.uuid_of(self)))
end

--- Names the image; an image that had the name loses it.
---@async
---@param name string
---@return contree.Image self
function Image:tag_as(name)
  options.argument("image:tag_as", "the tag", options.name, name)
  client.request(self.client, { method = "PATCH", path = tag_path(self), json = { tag = name } })
  self.tag = name
  return self
end

--- Takes a name away from the image; without one, the name it has.
---@async
---@param name? string
---@return contree.Image self
function Image:untag(name)
  if name ~= nil then options.argument("image:untag", "the tag", options.name, name) end
  client.request(self.client, { method = "DELETE", path = tag_path(self), query = { tag = name } })
  if not name or name == self.tag then self.tag = nil end
  return self
end

-- Where it comes from ------------------------------------------------------

--- The image and those that it comes from, with the runs that made them, the
--- newest first. Ends where the server does not know further.
---@async
---@param limit? integer no more than so many
---@return contree.LineageEntry[]
function Image:lineage(limit)
  return require("contree.history.lineage").list(self.client, image.uuid_of(self), limit)
end

--- The run that last changed a path (or anything below it), and what it did to
--- it; no change: it came with the oldest image that is known. Links are not
--- followed.
---@async
---@param path string absolute
---@return contree.LineageEntry entry, contree.Change? change
function Image:blame(path)
  local lineage = require("contree.history.lineage")
  return lineage.blame(self.client, lineage.walk(self.client, image.uuid_of(self)), path)
end

--- Which of the runs that made this image broke it: see session:bisect.
---@async
---@param test contree.BisectBy
---@param given? contree.BisectOptions
---@return contree.LineageEntry entry, contree.BisectTest[] tests
function Image:bisect(test, given)
  return require("contree.history.bisect").search("image:bisect", function()
    local newest_first, entries = Image.lineage(self), {}
    for i = #newest_first, 1, -1 do entries[#entries + 1] = newest_first[i] end
    return entries
  end, test, given)
end

-- Reading ------------------------------------------------------------------

for name, read in pairs(filesystem) do
  Image[name] = function(self, ...)
    local uuid = self.uuid or self.tag and image.uuid_of(self) or gone()
    return read(self.client, uuid, ...)
  end
end

return image
