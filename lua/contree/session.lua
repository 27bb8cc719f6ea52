--- A session: a reference to an image that moves with every run, and remembers
--- how it came there.

local class = require("contree.class")
local errors = require("contree.errors")
local filesystem = require("contree.filesystem")
local image = require("contree.image")
local options = require("contree.options")
local run = require("contree.run")

local session = {}

---@class contree.Session
---@field image contree.Image   where it is
---@field branch_name string
---@field client contree.Client
---@field prepare fun(self, given: contree.RunOptions|string): contree.Prepared
---@field tag_as fun(self, name: string): contree.Image
---@field untag fun(self, name: string?): contree.Image
---@field session fun(self): contree.Session
---@field ls fun(self, path: string?): contree.FileEntry[]
---@field stat fun(self, path: string): contree.FileEntry
---@field exists fun(self, path: string): boolean
---@field read fun(self, path: string): string
---@field lines fun(self, path: string): fun(): string?
---@field download fun(self, path: string, to: string?): string
---@field archive fun(self, path: string, to: string): string
---@field grep fun(self, given: string|table): table
local Session = {}

local make = class.define("contree.Session", Session, {
  __tostring = function(self)
    return ("contree.Session(%s at %s)"):format(self.branch_name, tostring(self.image))
  end,
})

---@class contree.HistoryEntry
---@field image contree.Image
---@field uuid? string
---@field title string       the command, or how it began
---@field exit_code? integer

--- A session that begins at an image.
---@param from contree.Image
---@return contree.Session
function session.new(from)
  local start = { image = from, uuid = from.uuid, title = "start" }
  return make({ client = from.client, image = from, branch_name = "main",
    branches = { main = { start } } }, from.client.safe)
end

local function line(self) return self.branches[self.branch_name] end

local function check_free(self)
  if self.busy then
    errors.raise("conflict", "this session is running a command",
      { hint = "wait for it, or fork() the session" })
  end
end

local function title_of(given, plan)
  local command = plan.body.command
  local args = type(given) == "table" and given.args or {}
  return table.concat({ command, (table.unpack or unpack)(args) }, " ")
end

local function move(self, result, title)
  local history = line(self)
  history[#history + 1] = { image = result, uuid = result.uuid, title = title,
    exit_code = result.exit_code }
  self.image = result
end

-- What a run leaves is where the session goes, unless nothing was kept, or the
-- command was stopped half-way.
local function settle(self, plan, result, title)
  self.busy = false
  if result and not plan.disposable and result.uuid and not result.timed_out then
    move(self, result, title)
  end
end

local function run_here(self, plan, title)
  check_free(self)
  self.busy = true
  local ok, result = pcall(run.run, self.image, plan)
  settle(self, plan, ok and result or nil, title)
  if not ok then error(result, 0) end
  return result
end

-- A run whose end somebody else waits for; until then the session is busy.
local function start_here(self, plan, title)
  check_free(self)
  self.busy = true
  local ok, started = pcall(run.start, self.image, plan, function(result)
    settle(self, plan, result, title)
  end)
  if ok then return started end
  self.busy = false
  error(started, 0)
end

--- Runs a command and moves to what it left. A run that fails leaves the
--- session where it was.
---@async
---@param given contree.RunOptions|string
---@return contree.Result
function Session:run(given)
  local plan = run.plan("session:run", given, false)
  return run_here(self, plan, title_of(given, plan))
end

--- Starts a command; the session moves when its end has been waited for.
---@async
---@param given contree.RunOptions|string
---@return contree.Operation
function Session:start(given)
  local plan = run.plan("session:start", given, false)
  return start_here(self, plan, title_of(given, plan))
end

--- Starts a command that is talked to while it runs, see image:popen. It runs
--- beside the session and leaves no trace; with disposable = false it is a run
--- of the session, which moves when the process has been waited for.
---@async
---@param argv string|string[]
---@param given? contree.PopenOptions
---@return contree.Process
function Session:popen(argv, given)
  return require("contree.process").open("session:popen", function(plan, translated)
    if plan.disposable then return run.start(self.image, plan) end
    return start_here(self, plan, title_of(translated, plan))
  end, argv, given)
end

--- Puts files into the image and moves to the new one.
---@async
---@param given table as run's files=
---@return contree.Result
function Session:apply_files(given)
  local plan = run.plan("session:apply_files",
    { command = "true", files = given, check = true }, false)
  return run_here(self, plan, "apply_files")
end

--- How the session came to where it is, the oldest first.
---@return contree.HistoryEntry[]
function Session:history()
  local copy = {}
  for i, entry in ipairs(line(self)) do copy[i] = entry end
  return copy
end

--- Goes back by some runs.
---@param steps? integer default 1
---@return contree.Session self
function Session:rollback(steps)
  steps = steps or 1
  options.argument("session:rollback", "the number of runs", options.integer(1), steps)
  check_free(self)
  local history = line(self)
  if steps >= #history then
    errors.misuse(("session:rollback: there are %d runs to go back by, not %d")
      :format(#history - 1, steps))
  end
  for _ = 1, steps do history[#history] = nil end
  self.image = history[#history].image
  return self
end

--- Begins a branch here, and goes on on it.
---@param name string
---@return contree.Session self
function Session:branch(name)
  options.argument("session:branch", "the name", options.name, name)
  check_free(self)
  if self.branches[name] then
    errors.misuse(("session:branch: there is a branch %q"):format(name),
      "session:checkout goes to it")
  end
  self.branches[name] = Session.history(self)
  self.branch_name = name
  return self
end

--- Goes to a branch.
---@param name string
---@return contree.Session self
function Session:checkout(name)
  options.argument("session:checkout", "the name", options.name, name)
  check_free(self)
  if not self.branches[name] then
    errors.misuse(("session:checkout: there is no branch %q"):format(name),
      "there are " .. table.concat(Session.list_branches(self), ", "))
  end
  self.branch_name = name
  self.image = line(self)[#line(self)].image
  return self
end

--- The names of the branches.
---@return string[]
function Session:list_branches()
  local names = {}
  for name in pairs(self.branches) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- An independent session that begins where this one is, with its history.
---@return contree.Session
function Session:fork()
  local copy = session.new(self.image)
  copy.branches.main = Session.history(self)
  return copy
end

-- What is asked of the session is asked of the image that it is at.
local PASSED_ON = { "prepare", "tag_as", "untag", "session" }
for name in pairs(filesystem) do PASSED_ON[#PASSED_ON + 1] = name end

for _, name in ipairs(PASSED_ON) do
  Session[name] = function(self, ...) return image.methods[name](self.image, ...) end
end

return session
