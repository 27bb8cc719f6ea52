--- The local engine: where its program, data and socket are, and how to start it.

local core = require("contree.core")
local errors = require("contree.base.errors")
local loop = require("contree.loop")
local options = require("contree.base.options")

local engine = {}

local PROGRAM = "contree-engine"
-- Of a plugin: make nvim puts the program beside the module. Of an installation in any place:
-- the programs that came with it.
local HERE = debug.getinfo(1, "S").source
local OWN = { HERE:match("^@(/.*)/wire/[^/]*$"),
  HERE:match("^@(/.*)/share/lua/[^/]+/contree/wire/") }
local PLACES = { "/usr/local/bin", "/usr/bin", "/opt/contree/bin" }
-- The path that fits a sockaddr_un, less the ".new" that the engine adds while it binds.
local SOCKET_MAX = 98
local START_TIMEOUT = 15
-- Seconds between two looks whether the engine has started.
local SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 0.01
-- Seconds that an engine which another process has started may take to listen.
local PATIENCE = 5
-- Seconds that an engine may take to end, and between two attempts to start the next one.
local LEAVING, RELAUNCH_PAUSE = 30, 0.5

---@class contree.EngineOptions
---@field path? string        the program; default it is looked for beside the module and in PATH
---@field data_dir? string    absolute; where it keeps its images; default $CONTREE_DATA_DIR, then
---  ~/.local/share/contree
---@field socket? string      absolute; where it listens; default one for the data directory below
---  $XDG_RUNTIME_DIR/contree
---@field idle? number        seconds without work after which it ends; default 300
---@field nice? integer       by how much its sandboxes have a lower priority, 0 to 19; default 10
---@field max_runs? integer   sandboxes at a time, 1 to 64; default 64
---@field max_queued? integer runs that may wait for one; others are `rate_limited`; default 1024
---@field runtime? string     what makes the sandboxes: "native", "crun", "runc", "/a/path";
---  default $CONTREE_RUNTIME, then "native"
---@field plain_api? boolean  no more than the hosted service has, to try what a program needs;
---  default false

--- What contree.new's engine= may hold.
engine.spec = {
  path = options.name, data_dir = options.absolute, socket = options.absolute,
  idle = options.seconds, nice = options.integer(0, 19), max_runs = options.integer(1, 64),
  max_queued = options.integer(0), plain_api = options.boolean, runtime = options.name,
}

-- The permission bits as three octal digits.
local function permissions(stat) return ("%03o"):format(stat.mode % 512) end

local function is_program(path)
  local stat = core.stat(path)
  return stat and stat.type == "file" and permissions(stat):find("[1357]")
end

local function find(given, getenv)
  local named = given or getenv("CONTREE_ENGINE")
  if named and named ~= "" then
    if is_program(named) then return named end
    return nil, ("%s is not a program"):format(named)
  end
  for _, root in pairs(OWN) do
    if is_program(root .. "/bin/" .. PROGRAM) then return root .. "/bin/" .. PROGRAM end
  end
  for directory in (getenv("PATH") or ""):gmatch("[^:]+") do
    local path = directory .. "/" .. PROGRAM
    if directory:sub(1, 1) == "/" and is_program(path) then return path end
  end
  for _, directory in ipairs(PLACES) do
    if is_program(directory .. "/" .. PROGRAM) then return directory .. "/" .. PROGRAM end
  end
  return nil, PROGRAM .. " is neither in PATH nor in " .. table.concat(PLACES, ", ")
end

-- The engine finds its place by the same C code (src/core/place.c).
local function find_place(data_dir, getenv)
  local found, socket, directory = core.place{
    data_dir = data_dir, own = getenv("CONTREE_DATA_DIR"), home = getenv("HOME"),
    xdg_data_home = getenv("XDG_DATA_HOME"), xdg_runtime_dir = getenv("XDG_RUNTIME_DIR"),
  }
  if not found then errors.misuse(socket) end
  return found, socket, directory
end

-- A relative path would mean another file: the engine's working directory differs from ours.
local function find_runtime(given, getenv)
  local runtime = given or getenv("CONTREE_RUNTIME")
  if runtime == "" then return nil end
  if runtime and runtime:find("/", 1, true) and runtime:sub(1, 1) ~= "/" then
    errors.misuse(('the runtime "%s" must be a name or an absolute path'):format(runtime))
  end
  return runtime
end

local Engine = {}
Engine.__index = Engine

--- The local engine of a client. Nothing is started yet.
---@param given table contree.new's engine=
function engine.new(given, getenv)
  getenv = getenv or os.getenv
  local data_dir, socket, directory = find_place(given.data_dir, getenv)
  if given.socket then socket, directory = given.socket, nil end
  if #socket > SOCKET_MAX then
    errors.misuse(("the socket's path %s is too long: %d bytes fit"):format(socket, SOCKET_MAX),
      "pass a shorter one as engine = { socket = }")
  end
  local path, problem = find(given.path, getenv)
  return setmetatable({ path = path, problem = problem, data_dir = data_dir, socket = socket,
    directory = directory, idle = given.idle, nice = given.nice,
    max_runs = given.max_runs, max_queued = given.max_queued, plain_api = given.plain_api,
    runtime = find_runtime(given.runtime, getenv), starts = 0 }, Engine)
end

--- Check that the socket's directory is ours, until that has been seen once: in a directory
--- that another user has made, a socket of that user may wait for our requests.
function Engine:check()
  local stat = self.directory and core.stat(self.directory)
  if not stat then return end
  if stat.link or stat.type ~= "directory" or stat.uid ~= core.geteuid()
    or not permissions(stat):find("^.00$") then
    errors.raise("engine_unavailable",
      self.directory .. " must be a directory of yours with mode 0700, and no link",
      { hint = "remove it, or set XDG_RUNTIME_DIR" })
  end
  self.directory = nil
end

-- The file that the engine writes its problems to.
local function log_of(self) return self.socket .. ".log" end

--- The hint for a request during which the engine ended.
function Engine:where_to_look()
  local log = log_of(self)
  return core.stat(log) and ("the local engine has ended; its log is %s"):format(log)
    or "the local engine has ended"
end

--- Whether the engine has refused a request because it is about to end. Nothing was done,
--- so the request may be sent again: the next engine is started once nothing listens.
---@param try table kept by the caller from one call to the next
function Engine:is_leaving(err, try) -- luacheck: no self
  if err.status ~= 503 or not err.message:find("the engine is stopping", 1, true) then
    return false
  end
  try.leaving_since = try.leaving_since or core.now()
  return core.now() - try.leaving_since < LEAVING
end

local function unavailable(self, message)
  local log = core.stat(log_of(self)) and ("; its log is %s"):format(log_of(self)) or ""
  errors.raise("engine_unavailable", "the local engine cannot be used: " .. message, {
    hint = self.path and ("%s doctor says what this machine lacks%s"):format(self.path, log)
      or "install the package contree-engine, or make install in contree's sources; "
      .. "CONTREE_ENGINE names one elsewhere",
  })
end

-- The file for the engine's messages: beside the socket, unless other users can make files
-- there.
local function log_path(self)
  local directory = self.socket:match("^(.+)/[^/]+$") or "/"
  core.mkdir(directory, 448)
  local stat = core.stat(directory)
  if stat and not stat.link and stat.uid == core.geteuid()
    and permissions(stat):find("^.[0145][0145]$") then
    return log_of(self)
  end
end

-- Start the program. All requests that find nothing listening wait for self.starting:
-- { program, due }, and when it is over maybe a failure.
local function launch(self)
  -- argv[0] is the program's own path.
  local argv = { self.path, "serve", "--data-dir", self.data_dir, "--socket", self.socket }
  local function add(option, format, value)
    if not value then return end
    argv[#argv + 1] = option
    argv[#argv + 1] = format:format(value)
  end
  add("--idle-exit", "%g", self.idle)
  add("--nice", "%d", self.nice)
  add("--max-runs", "%d", self.max_runs)
  add("--max-queued", "%d", self.max_queued)
  add("--runtime", "%s", self.runtime)
  if self.plain_api then argv[#argv + 1] = "--plain-api" end
  local program, message = core.start_detached(self.path, argv, log_path(self))
  if not program then unavailable(self, message) end
  self.starts = self.starts + 1
  self.starting = { program = program, due = core.now() + START_TIMEOUT }
end

-- Wait until the program that is being started listens; returns why it does not.
local function await(self, start)
  local pause = SHORTEST_PAUSE
  while not start.over do
    local ready = start.program:ready()
    if ready == nil and core.now() < start.due then
      loop.sleep(pause)
      pause = math.min(2 * pause, LONGEST_PAUSE)
    else
      start.over, self.starting = true, nil
      start.program:stop()
      if not ready then
        local last = start.program:last_line()
        start.failure = ("%s %s%s"):format(self.path,
          ready == nil and ("was not ready within %g seconds"):format(START_TIMEOUT)
          or "exited before it was ready", last and ": " .. last or "")
      end
    end
  end
  return start.failure
end

-- Whether another engine holds the data directory: that one is going to listen.
local function lost_the_race(message)
  return message:find("another contree-engine", 1, true) ~= nil
end

--- Called when nothing listens on the socket: start the engine, or wait a moment for one
--- that another process is starting. Raises `engine_unavailable` when neither helps.
---@async
---@param seen integer the value of `starts` before the connection was tried
---@param try table kept by the caller from one call to the next
function Engine:revive(seen, try)
  if not self.path then unavailable(self, self.problem) end
  local tried = try.launched and core.now() - try.launched < RELAUNCH_PAUSE
  if not self.starting and self.starts == seen and not tried then
    try.launched = core.now()
    launch(self)
  end
  if self.starting then
    local failure = await(self, self.starting)
    if not failure then return end
    self.failure = failure
    if not lost_the_race(failure) then unavailable(self, failure) end
  end
  try.since = try.since or core.now()
  if core.now() - try.since > PATIENCE then
    unavailable(self, self.failure or "it does not answer on " .. self.socket)
  end
  loop.sleep(0.05)
end

return engine
