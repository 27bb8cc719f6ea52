-- What all clients of the stress have in common. A client is a program of its own:
--   lua5.4 spec/stress/clients/KIND.lua
-- Its environment says the rest: STRESS_DIRECTORY, STRESS_NAME, STRESS_SEED, STRESS_UNTIL.
local contents = require("spec.stress.contents")
local disk = require("spec.support.disk")
local journal = require("spec.stress.journal")
local random = require("spec.stress.random")

local client = {}
client.__index = client

local function given(name) return (assert(os.getenv("STRESS_" .. name), "STRESS_" .. name)) end

--- The one of this program. Tasks of a program share its journal.
function client.new()
  local self = setmetatable({}, client)
  self.directory, self.name = given("DIRECTORY"), given("NAME")
  self.seed, self.limit = tonumber(given("SEED")), tonumber(given("UNTIL"))
  self.killing = os.getenv("STRESS_KILLS") ~= nil
  self.slowness = tonumber(os.getenv("CONTREE_TEST_SLOWNESS")) or 1
  self.data, self.socket = self.directory .. "/data", self.directory .. "/s"
  self.journal = journal.open(("%s/journal/%s"):format(self.directory, self.name))
  self.tmp = ("%s/tmp/%s"):format(self.directory, self.name)
  os.execute("mkdir -p " .. self.tmp)
  self.count = 0
  self.facts = disk.read(self.directory .. "/facts")
  return self
end

--- What the stress has made for its clients: a registry's address, …
function client:fact(name) return (self.facts:match("%f[%w]" .. name .. ":(%S+)")) end

--- Whether there is time for one more operation.
function client:goes_on()
  return journal.now() < self.limit and not disk.peek(self.directory .. "/stop")
end

--- What was killed since then (spec/stress/kills.lua), and may have made an operation fail.
---@return table<string, boolean>? names
function client:killed_since(began)
  if not self.killing then return nil end
  local names
  for name, at in (disk.peek(self.directory .. "/kills") or ""):gmatch("(%S+) %d+ ([%d.]+)\n") do
    if tonumber(at) >= began - 3 then
      names = names or {}
      names[name] = true
    end
  end
  return names
end

---- a line of operations, with what it knows of its images ----

local line = {}
line.__index = line

--- Mounts with which programs of this machine run in any image.
line.PROGRAMS = { ["/usr"] = "/usr", ["/lib"] = "/usr/lib", ["/lib64"] = "/usr/lib64" }

--- Operations that follow one another, with random numbers of their own.
---@param name string it is in all markers, so it is one of its kind
function client:line(name)
  local self_ = setmetatable({ client = self, name = name, number = 0, tagged = {} }, line)
  self_.random = random.new(self.seed, name)
  self_.images = { line.base() }
  return self_
end

function line.base() return { uuid = "tag:busybox:latest", files = {} } end

--- A new marker.
function line:marker()
  self.number = self.number + 1
  return ("%s-%d-%d"):format(self.name, self.client.seed, self.number)
end

function line:content(limit) return { self:marker(), self.random:size(limit or 3000) } end

local PATHS = { "a", "b", "c", "d/a", "d/b", "d/e/a", "f/a", "f/b" }

--- An image that this line may work on: often the newest, so that chains become long.
function line:image()
  if self.random:chance(0.6) then return self.images[#self.images] end
  return self.random:pick(self.images)
end

--- A change to some files, as a shell line, and the files as they are then. Each change leaves
--- a file of its own, so that no two images are the same.
function line:change(image)
  local files, commands = contents.copy(image.files), {}
  for _ = 1, self.random:number(3) do
    local path = self.random:pick(PATHS)
    if files[path] and self.random:chance(0.3) then
      commands[#commands + 1] = "rm /s/" .. path
      files[path] = nil
    else
      files[path] = self:content(self.random:chance(0.1) and 60000 or 2000)
      commands[#commands + 1] = contents.write(files[path], path)
    end
  end
  files.last = self:content(3)
  commands[#commands + 1] = contents.write(files.last, "last")
  return table.concat(commands, " && "), files
end

--- Says, before it is asked for, that an image with these files may come to be.
function line:intend(files)
  self.client.journal:write("intent", { files = contents.signature(files) })
end

--- Notes an image that was told.
---@param more? table { parent, operation }
function line:told(uuid, files, more)
  assert(type(uuid) == "string", "an image without a uuid")
  local record = { uuid = uuid, files = contents.signature(files) }
  for name, value in pairs(more or {}) do record[name] = value end
  self.client.journal:write("image", record)
  local image = { uuid = uuid, files = files }
  if #self.images > 12 then table.remove(self.images, self.random:number(6)) end
  self.images[#self.images + 1] = image
  return image
end

--- Raises unless two texts are the same.
function line.same(_, expected, found, what)
  if expected == found then return end
  found = tostring(found)
  local at = 1
  while at <= #expected and expected:byte(at) == found:byte(at) do at = at + 1 end
  error(("%s: %d bytes in place of %d, other from byte %d on: %q in place of %q"):format(what,
    #found, #expected, at, found:sub(at, at + 80), expected:sub(at, at + 80)), 0)
end

--- Raises unless the files of a directory are these.
function line:same_files(files, directory, what)
  local found, problem = contents.read(directory)
  self:same(contents.signature(files), found and contents.signature(found) or problem, what)
end

--- A directory for one operation, empty and new: sessions of folders know them by their paths.
function line:scratch()
  if self.folder then os.execute("rm -rf " .. self.folder) end
  self.folder = ("%s/%s"):format(self.client.tmp, self:marker())
  os.execute("mkdir -p " .. self.folder)
  return self.folder
end

--- An image that some client was told, from the journals: nil if there is none yet.
function line:anybodys()
  local names = {}
  for name in disk.capture(("ls %s/journal"):format(self.client.directory)):gmatch("%S+") do
    names[#names + 1] = name
  end
  local path = ("%s/journal/%s"):format(self.client.directory, self.random:pick(names))
  local text = disk.capture(("grep '\"kind\":\"image\"' %s | tail -n %d | sed -n 1p"):format(path,
    self.random:size(200)))
  local ok, record = pcall(require("cjson").decode, text)
  if not ok then return nil end
  return record
end

--- The files of a signature.
function line.files_of(signature)
  local files = {}
  for path, marker, lines in signature:gmatch("(%S+)=(%S+)%*(%d+)") do
    files[path] = { marker, tonumber(lines) }
  end
  return files
end

-- STRESS_ONLY names the operations that are wanted.
local function narrowed(weights)
  local only, rest = os.getenv("STRESS_ONLY"), {}
  if not only then return weights end
  for name, weight in pairs(weights) do
    rest[name] = (" " .. only .. " "):find(" " .. name .. " ", 1, true) and weight or 0
  end
  return rest
end

--- Does operations until the time is over. `operations` has a function for each name, and
--- `weights` how often it is done.
---@param around fun(operation: function): boolean, any   calls it; as pcall
function line:go(operations, weights, around)
  local log = self.client.journal
  weights = narrowed(weights)
  while self.client:goes_on() do
    local name = self.random:weighed(weights)
    local began = journal.now()
    log:write("begin", { line = self.name, operation = name })
    local ok, problem = around(function() return operations[name](self) end)
    local killed = not ok and self.client:killed_since(began)
    if ok then
      log:write("end", { line = self.name, operation = name })
    elseif killed and self.tolerates(problem, killed) then
      log:write("end", { line = self.name, operation = name, failed = tostring(problem) })
    else
      log:write("fault", { line = self.name, operation = name, problem = self.describe(problem),
        began = began })
      log:write("end", { line = self.name, operation = name })
    end
  end
end

--- Whether an operation may have failed so because of what was killed.
---@param problem any
---@param killed table<string, boolean>
function line.tolerates(problem, killed) return problem ~= nil and next(killed) ~= nil end

function line.describe(problem) return tostring(problem) end

return client
