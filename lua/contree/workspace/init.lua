--- A workspace: a session whose images have a folder of this machine. What is edited in the
--- folder comes in before each run; what runs change comes home when apply() is called, and only
--- where the folder still is what it was.

local apply = require("contree.workspace.apply")
local changes = require("contree.workspace.changes")
local class = require("contree.base.class")
local core = require("contree.core")
local errors = require("contree.base.errors")
local filesystem = require("contree.image.filesystem")
local image = require("contree.image")
local moves = require("contree.session.moves")
local options = require("contree.base.options")
local record = require("contree.workspace.record")
local session = require("contree.session")
local sync = require("contree.workspace.sync")

local workspace = {}

local AT = "/work"
local MAX_FILE = 4 * 2 ^ 30
local MAX_SIZE = 2 ^ 30

---@class contree.Workspace : contree.Session
---@field path string           the folder: absolute, without links
---@field at string             where it is in the sandbox
---@field rule? string          what decided which files came in: "git", ".contreeignore",
---  "all files" or "ignore ="; nil before the first look
---@field rule_reason? string   why git did not; nil when it did
---@field skipped { path: string, why: string }[] what cannot come in: sockets, devices, files
---  that cannot be read or are too large
local Workspace = {}
for name, method in pairs(session.methods) do Workspace[name] = method end

local make = class.define("contree.Workspace", Workspace, {
  __tostring = function(self)
    return ("contree.Workspace(%s, %s at %s)"):format(self.path, self.branch_name,
      tostring(self.image))
  end,
}, { "path", "at", "rule", "rule_reason", "skipped", "image", "branch_name", "id", "client" })

---@class contree.WorkspaceOptions
---@field path? string           the folder; default "."
---@field at? string             where it is in the sandbox, and the directory of runs that name
---  none; default "/work"
---@field ignore? string[]|false patterns of files that stay out, as in .dockerignore, in place
---  of what git says; false: all files come in; default what git says
---@field prefer? "host"|"sandbox" whose version it is where both sides have changed; default: a
---  `conflict` is raised
---@field max_file? integer      bytes; larger files stay out; default 4 GiB
---@field store? string|contree.Sessions as for sessions; default memory
---@field id? string             as for sessions; default none
---@field keep? "all"|"success"  as for sessions; default "all"
---@field progress? fun(progress: contree.Progress) called while the folder comes in and changes
---  come home, by this workspace and its forks; default none

local prefer = options.one_of(options.exactly("host"), options.exactly("sandbox"))

local SPEC = {
  path = options.file_name, at = options.image_path, prefer = prefer,
  ignore = options.one_of(options.exactly(false), options.file_names),
  max_file = options.integer(0, 2 ^ 40),
  progress = options.callable, store = options.any, id = options.any, keep = options.any,
}

-- The workspace of a session. It shares the fields that the methods of sessions use.
local function new(over, fields)
  local self = {}
  for key, value in pairs(over) do self[key] = value end
  for key, value in pairs(fields) do self[key] = value end
  return make(self, over.client.safe)
end

local FIELDS = { "path", "at", "ignore", "prefer", "max_file", "progress", "records", "skipped" }

local function alike(self, over)
  local fields = {}
  for _, name in ipairs(FIELDS) do fields[name] = self[name] end
  return new(over, fields)
end

local function place_of(given)
  local at = options.normal(given.at or AT)
  if at == "/" or ("/" .. at .. "/"):find("/%.%.?/") then
    errors.misuse("image:workspace: at must be a directory below /, without . and ..",
      "the default is " .. AT)
  end
  return at
end

local function folder_of(given)
  local path, problem = core.real_path(given.path or ".")
  local stat = path and core.stat(path)
  if stat and stat.type == "directory" then return path end
  errors.raise("file", "workspace: " .. (problem or path .. ": it is no directory"))
end

-- The folder cannot come in below what is a file in the image.
local function check_place(self, from, problem)
  if not errors.is(problem, "unprocessable") then error(problem, 0) end
  local path = self.at
  while path ~= "" do
    local ok, found = pcall(filesystem.stat, self.client, image.uuid_of(from), path)
    if ok and found.type == "file" then
      errors.misuse(("image:workspace: at = %q: %s is a file in the image"):format(self.at, path),
        "name a directory, or one that is not there yet")
    end
    path = path:match("^(.*)/")
  end
  error(problem, 0)
end

-- A new session goes to the mirror that an earlier workspace of this folder has left.
local function begin(self, from)
  local below = image.uuid_of(from)
  local mirror = #self.past:chain(self.tip) == 1 and sync.mirror(self, below)
  if mirror then
    local entry = { uuid = mirror, kind = "files", title = "workspace" }
    if self.past:add(moves.place_of(self), entry) then moves.go(self, entry) end
  end
  local first = #self.past:chain(self.tip) <= 2
  local ok, problem = pcall(sync.run, self, self.prefer)
  if not ok then check_place(self, from, problem) end
  if first then self.records:keep_mirror(below, sync.last(self).base) end
end

-- The workspace as its session has it: nothing comes in.
local function open(from, given)
  given = options.check("image:workspace", SPEC, given)
  local at, path = place_of(given), folder_of(given)
  local over = session.new(from, { store = given.store, id = given.id, keep = given.keep })
  local rules = given.ignore and table.concat(given.ignore, "\n") or tostring(given.ignore)
  local records = record.open({ over.client.origin, path, at, rules },
    given.store ~= nil)
  local self = new(over, { path = path, at = at, ignore = given.ignore, prefer = given.prefer,
    max_file = given.max_file or MAX_FILE, progress = given.progress, records = records,
    skipped = {} })
  return self
end

--- See image:workspace.
---@async
---@param from contree.Image
---@param given? contree.WorkspaceOptions
---@return contree.Workspace
function workspace.new(from, given)
  local self = open(from, given)
  begin(self, from)
  return self
end

--- The workspace of a session that there is. The folder comes in with its next run, not now:
--- that would move the branch, and a run that another program has under way would have no place
--- on it.
---@async
---@param from contree.Image
---@param given contree.WorkspaceOptions
---@return contree.Workspace
function workspace.reopen(from, given) return open(from, given) end


-- Running --------------------------------------------------------------------

-- The options of a run, in the folder unless they say otherwise.
local function in_folder(self, given)
  if type(given) == "string" then return { shell = given, cwd = self.at } end
  if type(given) ~= "table" or given.cwd ~= nil then return given end
  local copy = { cwd = self.at }
  for name, value in pairs(given) do copy[name] = value end
  return copy
end

-- While the folder comes in, the session is busy.
local function bring_in(self, who)
  moves.check_free(self)
  self.busy = true
  local ok, result = pcall(sync.run, self, who or self.prefer)
  self.busy = false
  if not ok then error(result, 0) end
  return result
end

--- Runs a command on the folder as it is now, in it, and moves to the image that it left.
---     workspace:run("make test")
--- Raises: request, not_found (the image, an uploaded file), conflict (a file was changed on
--- both sides; the session is running a command, or the branch was moved meanwhile), gone (the
--- session or its branch was deleted), unprocessable (a limit or user that cannot be had,
--- streamed output that was cut off), operation_failed (the command could not be run),
--- command_failed (with `check`), file (the folder, its index, a local file, the store).
---@async
---@param given contree.RunOptions|string a lone string is the shell command
---@return contree.Result
function Workspace:run(given)
  bring_in(self)
  return session.methods.run(self, in_folder(self, given))
end

--- Starts a command on the folder as it is now, in it, and returns at once (session:start).
---     local operation = workspace:start("make test")
--- Raises: request, not_found (the image, an uploaded file), conflict (a file was changed on
--- both sides; the session is running a command, or the branch was moved meanwhile), gone (the
--- session or its branch was deleted), unprocessable (a limit or user that cannot be had), file
--- (the folder, its index, a local file, the store).
---@async
---@param given contree.RunOptions|string a lone string is the shell command
---@return contree.Operation
function Workspace:start(given)
  bring_in(self)
  return session.methods.start(self, in_folder(self, given))
end

--- Starts a command that is talked to while it runs, on the folder as it is now, in it
--- (session:popen).
---     local process = workspace:popen({ "python3", "-i" })
--- Raises: request, not_found (the image, an uploaded file), conflict (a file was changed on
--- both sides; the session is running a command, or the branch was moved meanwhile), gone (the
--- session or its branch was deleted), unprocessable (a limit or user that cannot be had), file
--- (the folder, its index, a local file, the store).
---@async
---@param argv string|string[] the program and its arguments
---@param given? contree.PopenOptions
---@return contree.Process
function Workspace:popen(argv, given)
  bring_in(self)
  return session.methods.popen(self, argv, in_folder(self, given or {}))
end

--- Moves the workspace to another image (session:commit), which has to have the folder: else all
--- its files would count as removed, and apply() would remove them.
---     workspace:commit(err.result, "mine")
--- Raises: request, not_found (no image has the tag), unprocessable (the image has no folder
--- there), conflict (the session is running a command, the branch was moved, or there is a branch
--- of that name), gone (the session was deleted), file (the store).
---@async
---@param result contree.Image the image to go on with
---@param branch? string a new branch, from where the run was started; default the one that
---  the run was started on
---@return contree.Workspace self
function Workspace:commit(result, branch)
  options.argument("session:commit", "the image", session.is_image, result)
  local ok, found = pcall(filesystem.stat, self.client, image.uuid_of(result), self.at)
  if not ok and not errors.is(found, "not_found") then error(found, 0) end
  if not ok or found.type ~= "directory" then
    errors.raise("unprocessable", ("workspace:commit: the image has no directory %s, so all files "
      .. "of the folder would count as removed"):format(self.at),
      { hint = "image:workspace begins one at that image" })
  end
  return session.methods.commit(self, result, branch)
end

--- An independent workspace that begins where this one is (session:fork): three of them try
--- three things on the same folder.
---     local copy = workspace:fork()
--- Raises: conflict (there is a session of that name), gone (this session was deleted), file
--- (the store), timeout (the store is locked).
---@async
---@param id? string the name in the store; default this session's and a number
---@return contree.Workspace
function Workspace:fork(id) return alike(self, session.methods.fork(self, id)) end

--- Brings in what has changed in the folder, as each run does first.
---     local counts = workspace:sync{ prefer = "host" }
--- Raises: request, conflict (a file was changed on both sides and nothing is preferred; the
--- session is running a command, or its branch was moved), file (the folder, its index).
---@async
---@param given? { prefer: "host"|"sandbox" } whose version it is where both
---  have changed; default as the workspace was opened
---@return { added: integer, changed: integer, removed: integer } counts of files
function Workspace:sync(given)
  given = options.check("workspace:sync", { prefer = prefer }, given)
  return bring_in(self, given.prefer)
end

-- Coming home ----------------------------------------------------------------

---@class contree.ChangesOptions
---@field text? boolean     finds the hunks of each changed file; default true
---@field context? integer  lines around the changed ones; default 3
---@field max_size? integer bytes; larger files have no hunks; default 4 MiB
---@field limit? integer    no more changes than that; default 100,000
---@field ignored? boolean  what is ignored is there, too; default false

--- What the runs have done to the folder's files since they came in. Nothing on the host is
--- touched. What git ignores (or what decides in its place) is left out. Printed, it is a patch.
---     print(workspace:changes())
--- Raises: request, file (the folder, its index).
---@async
---@param given? contree.ChangesOptions
---@return contree.Changes changes with paths below the folder, and `risky`, which says why
---  apply() leaves a change alone
---@return boolean truncated there were more than `limit`
function Workspace:changes(given)
  given = options.check("workspace:changes", { text = options.boolean,
    context = options.integer(0, 1000000), max_size = options.integer(1, 2 ^ 27),
    limit = options.integer(1), ignored = options.boolean }, given)
  local list, _, truncated = changes.list(self, { text = given.text ~= false,
    context = given.context, max_size = given.max_size, limit = given.limit,
    ignored = given.ignored })
  return list, truncated
end

local function is_hunks(value)
  if type(value) ~= "table" then return "a map of paths to lists of numbers" end
  for path, numbers in pairs(value) do
    local ok = type(path) == "string" and type(numbers) == "table"
    for _, number in ipairs(ok and numbers or {}) do ok = ok and type(number) == "number" end
    if not ok then return "a map of paths to lists of numbers" end
  end
end

--- Brings changes home. A path is written only if the folder's file is still what it was when
--- it came in; else it is left alone, and `skipped` says so. Each file is the old or the new
--- one at any time, also when the program is killed.
---     workspace:apply{ only = { "src/**" } }
--- Raises: request, conflict (another
--- program brings changes home to this folder), file (the folder, the journal).
---@async
---@param given? contree.ApplyOptions
---@return contree.Applied
function Workspace:apply(given)
  given = options.check("workspace:apply", { only = options.one_of(options.file_name,
    options.file_names), dry_run = options.boolean, risky = options.boolean, hunks = is_hunks,
    max_size = options.integer(0, 2 ^ 40) }, given)
  moves.check_free(self)
  return apply.run(self, { only = given.only, dry_run = given.dry_run, risky = given.risky,
    hunks = given.hunks, max_size = given.max_size or MAX_SIZE })
end

---@class contree.ApplyOptions
---@field only? string|string[] paths and patterns of what comes home; default all
---@field dry_run? boolean      true says what would be done; default false
---@field risky? boolean        true takes what changes() marks as risky, too; a path that `only`
---  names comes home without it; default false
---@field hunks? table<string, integer[]> by path, the numbers of the hunks that come home, as
---  in changes() with its usual `context`: the rest of the file stays as it is. Other paths come
---  home only if `only` says so; default all of them
---@field max_size? integer     bytes; larger files are left alone; default 1 GiB

--- Takes the last apply() back that was not taken back, of whichever program: files that have
--- changed since are left alone. The sandbox keeps its version.
---     workspace:undo()
--- Raises: request, not_found (there is nothing to take back), conflict (another program brings
--- changes home to this folder), file (the folder, the journal).
---@async
---@return contree.Applied
function Workspace:undo()
  moves.check_free(self)
  return apply.undo(self)
end

--- The paths that were changed both in the folder and in the sandbox since it last came in, and
--- cannot be merged. Nothing is brought in.
---     for _, each in ipairs(workspace:conflicts()) do print(each.path, each.host) end
--- Raises: request, file (the folder, its index).
---@async
---@return contree.workspace.Clash[]
function Workspace:conflicts() return sync.conflicts(self) end

return workspace
