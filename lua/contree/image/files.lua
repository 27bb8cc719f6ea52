--- Uploads: the values of files=, and how each content is sent once.

local core = require("contree.core")
local class = require("contree.base.class")
local errors = require("contree.base.errors")
local hash = require("contree.image.hash")
local ignore = require("contree.base.ignore")
local layers = require("contree.image.layers")
local loop = require("contree.loop")
local options = require("contree.base.options")
local progress = require("contree.base.progress")
local tasks = require("contree.loop.task")
local unpack = require("contree.image.unpack")
local uploaded = require("contree.image.uploaded")
local uploads = require("contree.image.uploads")
local wire = require("contree.wire")

local files = {}

local AT_A_TIME = 4

--- A file that was uploaded before, by its id.
---@param uuid string
---@return contree.UploadedFile
function files.uploaded(uuid) return uploaded({ uuid = uuid }) end

-- What files= means --------------------------------------------------------

-- Whether the digit b has all bits that the digit a has.
local function within(a, b)
  for _, bit in ipairs{ 4, 2, 1 } do
    if a % (2 * bit) >= bit and b % (2 * bit) < bit then return false end
  end
  return true
end

-- Whether a number looks like octal digits written in decimal. Lua has no octal numbers, so
-- `mode = 755` is a slip for "0755" and would mean 01363. In a usual mode, the group has no
-- more rights than the owner, and others no more than the group. The one usual mode whose
-- decimal digits look like another usual mode is 0777, which is 511.
local function is_slip(value)
  local owner, group, others = ("%04d"):format(value):match("^[0-7]([4-7])([0-7])([0-7])$")
  if not owner or value == 511 then return false end
  return within(tonumber(group), tonumber(owner)) and within(tonumber(others), tonumber(group))
end

local function mode_check(value)
  if type(value) == "string" and value:match("^0?[0-7][0-7][0-7][0-7]?$") then return nil end
  if not options.integer(0, 7777)(value) and is_slip(value) then
    return ('octal digits in a string: "%04d", not the decimal number %d'):format(value, value)
  end
  return options.integer(0, 4095)(value)
    and 'permission bits: octal digits in a string such as "0755", or a number'
end

---@class contree.FileSource what a run puts into its image: `source`, or `data`
---@field source? string|contree.UploadedFile a local file or directory, or an upload; no default:
---  this or `data`
---@field data? string          all of the file; no default: this or `source`
---@field path? string          in a list: where it goes; default "/" and its own name
---@field mode? string|integer  permission bits: octal digits in a string such as "0755", or a
---  number; default that of the local file, "0644" for the others
---@field uid? integer          the owner; default 0
---@field gid? integer          the group; default 0
---@field ignore? string[]|false patterns of what stays out of a directory, as in .dockerignore;
---  false: all comes in; default its .contreeignore

---@alias contree.RunFile string|contree.FileSource|contree.UploadedFile

---@alias contree.RunFiles contree.RunFile[]|table<string, contree.RunFile>

local SPEC = {
  source = options.any, data = options.any, path = options.name,
  uid = options.integer(0, 2 ^ 32 - 2), gid = options.integer(0, 2 ^ 32 - 2), mode = mode_check,
  ignore = options.one_of(options.boolean, options.texts),
}

local function octal(mode)
  if type(mode) == "string" then return ("0000" .. mode):sub(-4) end
  return ("%04o"):format(mode)
end

local function describe(path, problem)
  errors.raise("file", ("files: cannot read %s: %s"):format(path, problem))
end

local function base_name(path) return path:match("([^/]+)/*$") or path end

-- Add an entry { path | data | uuid, mode, ... } under its destination.
local function put(plan, destination, entry)
  if plan.by_path[destination] then
    errors.misuse(("files: %s is there twice"):format(destination))
  end
  plan.by_path[destination] = entry
  plan[#plan + 1] = entry
  entry.destination = destination
end

-- The mode for a local file: only its executable bit is kept, the rest depends on a umask.
local function local_mode(stat)
  return octal(stat.mode):find("^.[1357]") and "0755" or "0644"
end

-- Call `see` with each entry of a directory that its rules let in: its path, its names below the
-- directory, its stat, and how many entries it has if it is a directory. True ends the walk.
local function walk(tree, names, see)
  local below = table.concat(names, "/")
  local directory = tree.path .. (below == "" and "" or "/" .. below)
  local list, problem = core.list(directory)
  if not list then describe(directory, problem) end
  table.sort(list)
  local count, over = 0, false
  for _, name in ipairs(list) do
    loop.pace()
    names[#names + 1] = name
    local path, rules = directory .. "/" .. name, tree.ignore
    local stat, why = core.lstat(path)
    if not stat then describe(path, why) end
    local is_directory = stat.type == "directory"
    if not (rules and rules:ignores(names) and (not is_directory or rules:prunes(names))) then
      count = count + 1
      local inside = 0
      if is_directory then inside, over = walk(tree, names, see) end
      over = over or see(path, names, stat, inside)
    end
    names[#names] = nil
    if over then break end
  end
  return count, over
end

local EACH = 64 -- requests for single files take longer than a run that unpacks more

-- Whether a directory can be sent file by file, and that is fast.
local function is_small(tree)
  local files_seen, small = 0, true
  walk(tree, {}, function(path, _, stat, inside)
    if stat.type ~= "directory" and stat.type ~= "file" and stat.type ~= "link" then
      errors.raise("file", ("files: %s is neither a file nor a directory"):format(path))
    end
    files_seen = files_seen + (stat.type == "file" and 1 or 0)
    small = files_seen <= EACH and stat.nlink == (stat.type == "file" and 1 or stat.nlink)
      and (stat.type == "file" or stat.type == "directory" and inside > 0)
    return not small
  end)
  return small and files_seen > 0
end

-- Add each file of a directory.
local function put_each(plan, tree)
  walk(tree, {}, function(path, names, stat)
    if stat.type == "file" then
      put(plan, tree.destination:gsub("/$", "") .. "/" .. table.concat(names, "/"),
        { path = path, mode = tree.mode or local_mode(stat), uid = tree.uid, gid = tree.gid })
    end
  end)
end

-- The rules of a directory: those that are given, else those of the file in it.
local IGNORE_FILE = ".contreeignore"
local IGNORE_MAX = 1048576

local function rules_of(directory, given)
  if given == false then return nil end
  if type(given) == "table" then
    return ignore.parse(table.concat(given, "\n"), "ignore")
  end
  local text, problem, missing = core.read_file(IGNORE_FILE, IGNORE_MAX, directory)
  if not text and not missing then describe(directory .. "/" .. IGNORE_FILE, problem) end
  return text and ignore.parse(text, IGNORE_FILE)
end

local function put_tree(plan, destination, directory, attributes)
  plan.trees[#plan.trees + 1] = { destination = destination, path = directory,
    mode = attributes.mode, uid = attributes.uid, gid = attributes.gid,
    ignore = rules_of(directory, attributes.ignore) }
end

local function put_local(plan, destination, path, attributes)
  local stat, problem = core.stat(path)
  if not stat then describe(path, problem) end
  if stat.type == "directory" then
    put_tree(plan, (destination:gsub("(.)/+$", "%1")), (path:gsub("(.)/+$", "%1")), attributes)
  elseif stat.type == "file" then
    put(plan, destination, { path = path, mode = attributes.mode or local_mode(stat),
      uid = attributes.uid, gid = attributes.gid })
  else
    errors.raise("file", ("files: %s is neither a file nor a directory"):format(path))
  end
end

local function put_source(plan, destination, source, attributes)
  if class.of(source) == "contree.UploadedFile" then
    put(plan, destination, { uuid = source.uuid, mode = attributes.mode or "0644",
      uid = attributes.uid, gid = attributes.gid })
  elseif type(source) == "string" then
    put_local(plan, destination, source, attributes)
  else
    errors.misuse(("files: %s must come from a local path or an uploaded file, got a %s")
      :format(destination, type(source)))
  end
end

local function put_spec(plan, destination, spec)
  options.check("files", SPEC, spec)
  if (spec.source == nil) == (spec.data == nil) then
    errors.misuse(("files: %s needs either source or data"):format(destination))
  end
  local attributes = { uid = spec.uid, gid = spec.gid, mode = spec.mode and octal(spec.mode),
    ignore = spec.ignore }
  if spec.source ~= nil then return put_source(plan, destination, spec.source, attributes) end
  if type(spec.data) ~= "string" then
    errors.misuse(("files: the data of %s must be a string, got a %s")
      :format(destination, type(spec.data)))
  end
  attributes.data, attributes.mode = spec.data, attributes.mode or "0644"
  put(plan, destination, attributes)
end

-- A destination as an absolute path; the slash at its beginning may be left out.
local function rooted(destination)
  local wrong = options.name(destination)
  if wrong then
    errors.misuse(("files: the destination %s must be %s"):format(tostring(destination), wrong))
  end
  local path = "/" .. destination:gsub("^/+", ""):gsub("^%./+", "")
  if ("/" .. path .. "/"):find("/%.%.?/") then
    errors.misuse(("files: the destination %s must have no . and .. in it"):format(destination))
  end
  return path
end

local function put_mapped(plan, destination, what)
  destination = rooted(destination)
  if type(what) == "table" and not class.of(what) then
    put_spec(plan, destination, what)
  else
    put_source(plan, destination, what, {})
  end
end

-- Add a member of a list: a local path, or a table with further fields.
local function put_listed(plan, what)
  local is_spec = type(what) == "table" and not class.of(what)
  if is_spec and what.path ~= nil then return put_mapped(plan, what.path, what) end
  local source = is_spec and what.source or what
  if type(source) ~= "string" then
    errors.misuse("files: this member of the list needs a destination",
      'name it: ["/in/the/sandbox"] = …, or path = "/in/the/sandbox"')
  end
  put_mapped(plan, base_name(source), what)
end

--- Check files= and find the local files that it names. Nothing is sent.
---@param given table list of local paths, or map of destinations
---@return table plan list of { destination, path | data | uuid, mode, uid, gid }, with the
---  directories in its field trees
function files.plan(given)
  if type(given) ~= "table" or class.of(given) then
    errors.misuse("files must be a list of local paths or a map of destinations, got a "
      .. (class.of(given) or type(given)))
  end
  local plan = { by_path = {}, trees = {} }
  for key, what in pairs(given) do
    if type(key) == "number" then
      put_listed(plan, what)
    else
      put_mapped(plan, key, what)
    end
  end
  return plan
end

-- Sending ------------------------------------------------------------------

local function digest_of(entry)
  if entry.data then return hash.text(entry.data) end
  local digest, problem = hash.file(entry.path)
  if not digest then describe(entry.path, problem) end
  return digest
end

local function look_up(self, digest)
  local ok, found = pcall(wire.fetch, self, { method = "GET", path = "/files/" .. digest })
  if ok then return found end
  if not errors.is(found, "not_found") then error(found, 0) end
end

-- A content from this size on is offered before it is sent: the server may have no room.
local OFFERED = 1048576

-- Sending a content twice does no harm: the server keeps it once. Only a local engine is
-- known to answer an offer at once.
local function post(self, entry)
  local offered = self.extended and not (entry.data and #entry.data < OFFERED)
  return wire.fetch(self, {
    method = "POST", path = "/files", repeatable = true,
    headers = offered and { "Expect: 100-continue" } or nil,
    body = entry.data or { path = entry.path },
  })
end

-- With more contents than this, the client forgets which the server has, and asks again.
local KNOWN_MAX = 16384

-- The answer to an upload, which tells the content's own hash: a file may have changed since
-- it was hashed here.
local function known(self, file, digest)
  if type(file.uuid) ~= "string" then
    errors.raise("server", "the server's answer to an upload lacks the file's uuid")
  end
  self.known_count = self.known_count + 1
  if self.known_count > KNOWN_MAX then self.known_files, self.known_count = {}, 1 end
  local is_told = options.sha256(file.sha256) == nil
  self.known_files[is_told and file.sha256:lower() or digest] = file
  return file
end

-- One call of several for the same key makes the content known; the others wait for it.
local function once(self, key, fn)
  while self.uploading[key] do
    local w = {}
    table.insert(self.uploading[key], w)
    loop.await(w)
  end
  if self.known_files[key] then return self.known_files[key] end
  self.uploading[key] = {}
  local ok, file = pcall(fn)
  local waiters = self.uploading[key]
  self.uploading[key] = nil
  for _, w in ipairs(waiters) do loop.fire(w) end
  if not ok then error(file, 0) end
  return file
end

-- A local engine copies a file of this size by itself, from our descriptor: then the bytes
-- are read once, and hashed there.
local HANDED = 1048576
-- What an engine or another server answers that cannot do this.
local UNABLE = { [403] = true, [404] = true, [405] = true, [422] = true, [501] = true }
local COPIED = 8388608 -- bytes a second, at the least

local function hand_over(self, file)
  local what, problem = file:describe()
  if not what then errors.raise("file", "files: cannot read " .. problem) end
  local ok, answer = pcall(wire.fetch, self, { method = "POST", path = "/files/descriptor",
    repeatable = true, lasting = what.size / COPIED, json = { fd = what.fd, inode = what.inode } })
  if ok then return known(self, answer) end
  if not errors.is(answer) or not answer.status then error(answer, 0) end
  -- What is wrong with the content is told when it is sent.
  self.sends_files = UNABLE[answer.status] or self.sends_files
end

-- The answer of an engine that has copied a large local file; nil: it must be sent.
local function handed(self, entry)
  if entry.data or not self.extended or self.sends_files then return nil end
  local file, problem = core.open_file(entry.path)
  if not file then errors.raise("file", "files: cannot read " .. problem) end
  local what, wrong = file:describe()
  local ok, answer = true, nil
  if not what then
    file:close()
    errors.raise("file", "files: cannot read " .. wrong)
  end
  if what.size >= HANDED then
    ok, answer = pcall(once, self, what.inode, function() return hand_over(self, file) end)
  end
  file:close()
  if not ok then error(answer, 0) end
  return answer
end

local function check_unchanged(entry, digest)
  if entry.sha256 and digest ~= entry.sha256 then
    errors.raise("file", ("files: %s has changed meanwhile"):format(entry.path))
  end
end

-- Upload an entry unless the server has it; returns { uuid, sha256, size }. If the entry has
-- a sha256, the file must still have it. `remembered`: what another program has sent counts.
local function ensure(self, entry, remembered)
  local file = handed(self, entry)
  local digest = file and file.sha256 or digest_of(entry)
  check_unchanged(entry, digest)
  return file or once(self, digest, function()
    local found = remembered and uploads.find(self.uploads, digest)
    if found then return known(self, found, digest) end
    found = known(self, look_up(self, digest) or post(self, entry), digest)
    uploads.add(self.uploads, found, digest)
    return found
  end)
end

--- A plan with each file of some directories in place of these.
---@async
---@param trees? table[] default those of the plan
---@return table plan
function files.listed(plan, trees)
  local all = { by_path = {} }
  for _, entry in ipairs(plan) do put(all, entry.destination, entry) end
  for _, tree in ipairs(trees or plan.trees) do put_each(all, tree) end
  return all
end

-- Put the directories of a plan on an image: as layers, or, where the server takes none, a small
-- one file by file and another one unpacked by a run. Returns the uuid of the new image, if there
-- is one.
local function put_trees(self, plan, base, temporary, execute, sent)
  local small, uuid = {}, nil
  for _, tree in ipairs(plan.trees) do
    local made = layers.add(self, uuid or base(), tree, temporary, sent)
    if not made and is_small(tree) then
      small[#small + 1] = tree
    else
      uuid = made
        or unpack.put(self, uuid or base(), tree.destination, layers.feed(tree, sent), execute)
    end
  end
  return files.listed(plan, small), uuid
end

local function size_of(entry)
  local stat = entry.path and core.stat(entry.path)
  return entry.data and #entry.data or stat and stat.size or 0
end

-- A function that is called with the size of what has been sent, and at the end, and tells how
-- far that is. How much there is in directories is not known before.
local function teller(tell, plan)
  if not tell then return nil end
  local done, total = 0, 0
  for _, entry in ipairs(plan) do total = total + (entry.uuid and 0 or size_of(entry)) end
  if plan.trees and #plan.trees > 0 then total = nil end
  return function(bytes, is_over)
    done = done + bytes
    if not is_over or not total then
      progress.tell(tell, "sending", "bytes", done, total or is_over and done or nil)
    end
  end
end

--- Upload the files of a plan, four at a time, each content once. Directories are put on the
--- image.
---@async
---@param base fun(): string tells the image of the run
---@param temporary boolean the run is not kept
---@param execute fun(uuid: string, given: table): contree.Result see unpack.put
---@param tell? fun(progress: contree.Progress)
---@return table body the files member of a spawn request
---@return string? uuid the image that has the directories
function files.send(self, plan, base, temporary, execute, tell)
  local jobs, body, uuid, sent_bytes = {}, {}, nil, teller(tell, plan)
  if plan.trees and #plan.trees > 0 then
    plan, uuid = put_trees(self, plan, base, temporary, execute, sent_bytes)
  end
  for _, entry in ipairs(plan) do
    local sent = { uuid = entry.uuid, mode = entry.mode, uid = entry.uid, gid = entry.gid,
      xattrs = entry.xattrs }
    body[entry.destination] = sent
    if not entry.uuid then
      jobs[#jobs + 1] = function()
        sent.uuid = ensure(self, entry, true).uuid
        if sent_bytes then sent_bytes(size_of(entry)) end
      end
    end
  end
  if #jobs == 1 then jobs[1]() else tasks.gather(jobs, AT_A_TIME) end
  if sent_bytes then sent_bytes(0, true) end
  return body, uuid
end

-- The manager --------------------------------------------------------------

---@class contree.Files
---@field client contree.Client whose uploads they are
local Files = {}

local make = class.define("contree.Files", Files, nil, { "client" })

---@return contree.Files
function files.new(self)
  self.known_files, self.known_count, self.uploading = {}, 0, {}
  self.uploads = uploads.new(self)
  return make({ client = self }, self.safe)
end

--- Uploads a local file, or { data = "bytes" }, unless the server has it.
---     local file = client.files:upload("big.tar")
--- Raises: request, file (the local file), unprocessable (larger than the server takes).
---@async
---@param what string|{ path: string?, data: string? } a local path, or
---  { path = } or { data = }: no default
---@return contree.UploadedFile
function Files:upload(what)
  local entry = what
  if type(what) == "string" then entry = { path = what } end
  options.check("files:upload", { path = options.name, data = options.bytes }, entry)
  if (entry.path == nil) == (entry.data == nil) then
    errors.misuse("files:upload takes a local path, or { data = }")
  end
  local found = ensure(self.client, entry)
  return uploaded({ uuid = found.uuid, sha256 = found.sha256, size = found.size })
end

--- The uploaded file with that content, or nil.
---     local file = client.files:find(digest)
--- Raises: request.
---@async
---@param sha256 string the digest of the content, 64 hexadecimal digits
---@return contree.UploadedFile?
function Files:find(sha256)
  options.argument("files:find", "sha256", options.sha256, sha256)
  local found = look_up(self.client, sha256:lower())
  return found and uploaded({ uuid = found.uuid, sha256 = found.sha256, size = found.size })
end

return files
