--- A session: a reference to an image that moves with every run, and remembers
--- how it came there, in memory or in a store that outlives the program.
---
--- Modules that few sessions need are loaded by the first call that needs them:
--- they would take as long to load as all the others together.

local class = require("contree.base.class")
local errors = require("contree.base.errors")
local files = require("contree.image.files")
local filesystem = require("contree.image.filesystem")
local history = require("contree.session.history")
local image = require("contree.image")
local memory = require("contree.session.store.memory")
local moves = require("contree.session.moves")
local operation = require("contree.run.operation")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local run = require("contree.run")
local text = require("contree.base.text")

local session = {}

---@class contree.Session
---@field image contree.Image   where it is
---@field branch_name string the selected branch
---@field id? string            its name in the store; nil without one
---@field client contree.Client whose server has its images
---@field open fun(self, given: contree.BoxOptions?): contree.Box
---@field prepare fun(self, given: contree.RunOptions|string): contree.Prepared
---@field tag_as fun(self, name: string): contree.Image
---@field untag fun(self, name: string?): contree.Image
---@field session fun(self, given: contree.SessionOptions?): contree.Session
---@field workspace fun(self, given: contree.WorkspaceOptions?): contree.Workspace
---@field lineage fun(self, limit: integer?): contree.LineageEntry[]
---@field ls fun(self, path: string?): contree.FileEntry[]
---@field stat fun(self, path: string): contree.FileEntry
---@field exists fun(self, path: string): boolean
---@field read fun(self, path: string): string
---@field lines fun(self, path: string): fun(): string?
---@field download fun(self, path: string, to: string?): string
---@field archive fun(self, path: string, to: string): string
---@field export_to fun(self, path: string, given: contree.ExportOptions?): string
---@field push fun(self, ref: string, given: contree.PushOptions?): string
---@field grep fun(self, given: contree.GrepOptions|string): contree.GrepResult
---@field diff fun(self, other: any, given: contree.DiffOptions?): contree.Changes, boolean
local Session = {}

session.methods = Session

local make = class.define("contree.Session", Session, {
  __tostring = function(self)
    local where = self.id and self.id .. ", " or ""
    return ("contree.Session(%s%s at %s)"):format(where, self.branch_name, tostring(self.image))
  end,
}, { "image", "branch_name", "id", "client" })

local print_entry = printed.record(function(self)
  local code = self.exit_code and self.exit_code ~= 0 and ("  exit %d"):format(self.exit_code)
  return ("%d  %s  %s%s"):format(self.id, self.kind, text.line(self.title), code or "")
end)

local print_list = printed.list()

---@class contree.HistoryEntry
---@field id integer its number in the session
---@field parent? integer       the entry it came from; nil of the first
---@field image contree.Image what the session was at
---@field uuid? string the image's; nil until a request has told it
---@field kind "start"|"run"|"files"|"stage"|"commit"|"merge" how it came to be
---@field title string          the command, or how it began
---@field exit_code? integer of the run; nil of others
---@field operation? contree.Operation what made the image; nil: none did
---@field created_at string     as the server writes times

---@class contree.SessionOptions
---@field store? string|contree.Sessions the file that keeps it (contree.sessions); default memory:
---  the session ends with the program
---@field id? string            its name there, needed with a store; default none
---@field keep? "all"|"success" success: a run that ends with another exit code than 0, or by
---  a signal, leaves the session where it was; default all

-- Beginning ------------------------------------------------------------------

-- past: the contree.History. tip: the id of the entry where the session is. busy: a run of
-- this object is under way: what is noted of it, or true. started: operations by id. stranded:
-- results whose branch was moved meanwhile, with the place where they belong. keep: which runs
-- move it.
local function new(client, past, branch, entry, keep, id)
  return make({ client = client, past = past, branch_name = branch, tip = entry.id, id = id,
    keep = keep, image = entry.image or image.new(client, { uuid = entry.uuid }), started = {},
    stranded = setmetatable({}, { __mode = "k" }) }, client.safe)
end

local function in_memory(where, from, given)
  if given.id then
    errors.misuse(where .. ": a session with an id is kept in a store", "store = names its file")
  end
  local past = history.open(memory.new(), "session", from.client.origin,
    { { image = from, uuid = from.uuid, kind = "start", title = "start" } })
  local branch, entry = past:current()
  return new(from.client, past, branch, entry, given.keep)
end

local function is_store(value)
  if class.of(value) == "contree.Sessions" then return nil end
  return options.name(value) and "the path of a file, or what contree.sessions returned"
end

local keep = options.one_of(options.exactly("all"), options.exactly("success"))
local SPEC = { store = is_store, id = options.name, keep = keep }

local function rows_of(store)
  if type(store) ~= "string" then return store.rows end
  return require("contree.session.store.sqlite").new(store)
end

-- A tag may name another image tomorrow, so the store keeps the uuid that it names now.
local function in_store(client, where, given, from)
  local rows, id = rows_of(given.store), given.id
  if not id then errors.misuse(where .. ": in a store a session has a name", "id = gives it") end
  local start
  if from and not history.exists(rows, id) then
    start = { { uuid = image.uuid_of(from), kind = "start", title = from.tag or "start" } }
  end
  local past, server = history.open(rows, id, client.origin, start)
  if not past then
    errors.raise("not_found", ("the store has no session %q, and there is no image to begin one")
      :format(id), { remedy = { "begin", id } })
  end
  if server ~= client.origin then
    errors.raise("conflict", ("the session %q is one of %s, and this client's images are at %s")
      :format(id, server, client.origin))
  end
  local branch, entry = past:current()
  return new(client, past, branch, entry, given.keep, id)
end

--- A session that begins at an image.
---@async
---@param from contree.Image
---@param given? contree.SessionOptions
---@return contree.Session
function session.new(from, given)
  given = options.check("image:session", SPEC, given)
  if not given.store then return in_memory("image:session", from, given) end
  return in_store(from.client, "image:session", given, from)
end

-- An image, of whichever class.
local function is_image(value)
  local kind = class.of(value)
  if kind == "contree.Image" or kind == "contree.Result" then return nil end
  return "an image"
end

local SPEC_OF_CLIENT = { store = is_store, id = options.name, keep = keep,
  image = options.one_of(options.name, is_image) }

---@class contree.OpenedSessionOptions : contree.SessionOptions
---@field image? contree.Image|string what a new one begins at; default none: there must be one of
---  that name

--- The session of that name in a store; `image` is what a new one begins at.
---@async
---@param client contree.Client
---@param given contree.OpenedSessionOptions
---@return contree.Session
function session.open(client, given)
  given = options.check("client:session", SPEC_OF_CLIENT, given)
  local from = given.image
  if type(from) == "string" then from = client.images:use(from) end
  if from then image.reference(from) end
  if given.store then return in_store(client, "client:session", given, from) end
  if not from then errors.misuse("client:session needs store = and id =, or image =") end
  return in_memory("client:session", from, given)
end

-- Running --------------------------------------------------------------------

local function title_of(given, plan)
  local args = type(given) == "table" and given.args or {}
  return table.concat({ plan.body.command, (table.unpack or unpack)(args) }, " ")
end

--- Runs a command and moves to the image that it left. A run that fails leaves the session
--- where it was.
---     session:run("make install")
--- Raises: request, not_found (the image, an uploaded file), conflict (the session is
--- running a command, or the branch was moved meanwhile), gone (the session or its branch
--- was deleted), unprocessable (a limit or user that cannot be had, streamed output that
--- was cut off), operation_failed (the command could not be run), command_failed (with
--- `check`), file (a local file, the store).
---@async
---@param given contree.RunOptions|string a lone string is the shell command
---@return contree.Result
function Session:run(given)
  local plan = run.plan("session:run", given, false)
  return moves.run(self, plan, "run", title_of(given, plan))
end

--- Starts a command and returns at once. The session moves when somebody has waited for
--- the end; in a store, any program may do that (session:pending, session:wait).
---     local operation = session:start("make test")
--- Raises: request, not_found (the image, an uploaded file), conflict (the session is
--- running a command, or the branch was moved meanwhile), gone (the session or its branch
--- was deleted), unprocessable (a limit or user that cannot be had), file (a local file,
--- the store).
---@async
---@param given contree.RunOptions|string a lone string is the shell command
---@return contree.Operation
function Session:start(given)
  local plan = run.plan("session:start", given, false)
  return moves.start(self, plan, title_of(given, plan))
end

--- Starts a command that is talked to while it runs (image:popen). It runs beside the
--- session and leaves no trace. With `disposable = false` it is a run of the session, which
--- moves when the process has been waited for.
---     local process = session:popen({ "sh" }, { disposable = false })
--- Raises: request, not_found (the image, an uploaded file), unprocessable (a limit or user
--- that cannot be had), file (a local file, the store), conflict (with `disposable = false`:
--- the session is running a command, or the branch was moved meanwhile), gone (likewise: the
--- session or its branch was deleted).
---@async
---@param argv string|string[] the program and its arguments; a lone string is a program's
---  name or, with `shell = true`, a line for the sandbox's shell
---@param given? contree.PopenOptions
---@return contree.Process
function Session:popen(argv, given)
  return require("contree.run.process").open("session:popen", function(plan, translated)
    if plan.disposable then return run.start(self.image, plan) end
    return moves.start(self, plan, title_of(translated, plan))
  end, argv, given)
end

--- Puts files into the image by a run of `true`, and moves to the new image.
---     session:apply_files{ ["/app/main.lua"] = "main.lua" }
--- Raises: request, not_found (the image, an uploaded file), conflict (the session is
--- running a command, or the branch was moved meanwhile), gone (the session or its branch
--- was deleted), operation_failed, command_failed (the image has no program `true`), file (a
--- local file, the store).
---@async
---@param given table|string as `files` of a run, or the path of one local file
---@return contree.Result
function Session:apply_files(given)
  if type(given) == "string" then given = { given } end
  local plan = run.plan("session:apply_files",
    { command = "true", files = given, check = true }, false)
  return moves.run(self, plan, "files", "apply_files")
end

--- Puts files into the session's image without running a command, and moves to the new image.
--- Until then nothing is executed: on a local engine the files become one layer. A server without
--- layers runs `true`. In the history it is an entry of its own, which rollback() undoes.
---     session:stage{ ["/app/main.lua"] = "main.lua", ["/app/conf"] = { data = "x" } }
--- Raises: request, not_found (the image, an uploaded file), conflict (the session is
--- running a command, or the branch was moved meanwhile), gone (the session or its branch
--- was deleted), unprocessable (a directory is in the way), operation_failed (the same on such
--- a server), not_supported (there, the image has no program `true`), file (a local file, the
--- store).
---@async
---@param given table|string as `files` of a run, or the path of one local file
---@return contree.Image image where the session is now
function Session:stage(given)
  if type(given) == "string" then given = { given } end
  return moves.stage(self, files.plan(given))
end

--- The runs of this session, on all its branches, that were started and not waited for, the
--- oldest first. Waiting for one moves its branch.
---     for _, operation in ipairs(session:pending()) do operation:wait() end
--- Raises: gone (the session was deleted), file (the store), timeout (the store is locked).
---@async
---@return contree.Operation[]
function Session:pending()
  local list = {}
  for i, row in ipairs(self.past:pending()) do list[i] = moves.operation_of(self, row) end
  return print_list(list)
end

--- Waits for the run that was started on this branch, by this program or by one that has
--- ended, and moves to the image that it left.
---     local result = session:wait(60)
--- Raises: request, conflict (the branch was moved since the run was started), gone (the
--- session was deleted), operation_failed (the command could not be run), command_failed
--- (with `check`), unprocessable (streamed output was cut off), file (a local file, the
--- store).
---@async
---@param seconds? number raises `timeout` after so long, and the run goes on; default no limit
---@return contree.Result? result nil: no run is pending on this branch
function Session:wait(seconds)
  if seconds ~= nil then
    options.argument("session:wait", "the timeout", options.seconds, seconds)
  end
  local entry, row = self.past:position(self.branch_name)
  if entry and not self.busy then moves.go(self, entry) end
  -- A run that was started before the branch moved is waited for, too: it ends in a conflict.
  for _, each in ipairs(row and {} or self.past:pending()) do
    if each.branch == self.branch_name then row = row or each end
  end
  if not row then return nil end
  return operation.methods.wait(moves.operation_of(self, row), seconds)
end

--- Gives up a run that nobody wants to wait for: it is cancelled if it still runs, and is
--- pending no longer.
---     session:abandon(session:pending()[1])
--- Raises: gone (the session was deleted), file (the store), timeout (the store is locked).
---@async
---@param pending contree.Operation one of session:pending()
---@return contree.Session self
function Session:abandon(pending)
  if class.of(pending) ~= "contree.Operation" then
    errors.misuse("session:abandon takes one of session:pending()")
  end
  operation.cancel_quietly(self.client, pending.uuid)
  self.past:settle(pending.uuid)
  if self.started[pending.uuid] then
    self.started[pending.uuid] = nil
    self.busy = false
  end
  return self
end

--- Moves the session to an image that none of its runs made, or to the result of a run
--- whose branch was moved meanwhile (`err.result`).
---     local ok, err = pcall(session.run, session, "make")
---     if not ok and err.result then session:commit(err.result, "mine") end
--- Raises: request (to look up a tag), not_found (no image has the tag), conflict (the
--- session is running a command, the branch was moved, or there is a branch of that name),
--- gone (the session was deleted), file (the store).
---@async
---@param result contree.Image the image to go on with
---@param branch? string a new branch, from where the run was started; default the one that
---  the run was started on
---@return contree.Session self
function Session:commit(result, branch)
  options.argument("session:commit", "the image", is_image, result)
  if branch ~= nil then options.argument("session:commit", "the branch", options.name, branch) end
  moves.check_free(self)
  image.uuid_of(result)
  local stranded = self.stranded[result]
  local place = stranded and stranded.place or moves.place_of(self)
  local entry = stranded and stranded.entry
    or { image = result, uuid = result.uuid, kind = "commit", title = result.tag or "commit" }
  if not self.past:add(place, entry, branch) then
    if branch then
      errors.raise("conflict", ("session:commit: there is a branch %q already"):format(branch),
        { hint = "choose another name" })
    end
    moves.raise_moved(self, { result = result })
  end
  self.stranded[result] = nil
  self.branch_name = branch or place.branch
  moves.go(self, entry, result)
  return self
end

--- Brings in what another session, or image, has done since both came from one, and moves to
--- the result (image:merge). With forks of one workspace, two fixes become one.
---     session:merge(fork)
--- Raises: request, not_found (an image), conflict (both sides changed something; the session is
--- running a command, or the branch was moved meanwhile), gone (the session or its branch was
--- deleted), operation_failed, not_supported (by the server), file (the store).
---@async
---@param other contree.Image|contree.Session|string an image, where a session is, a uuid or tag
---@param given? contree.MergeOptions
---@return contree.Image image where the session is now
---@return contree.Conflict[] conflicts that `prefer` has decided
function Session:merge(other, given)
  local title = type(other) == "string" and other
    or type(other) == "table" and (other.branch_name or other.tag) or "an image"
  return moves.make(self, "merge", "merge " .. title, function(from)
    return image.methods.merge(from, other, given)
  end)
end

-- History --------------------------------------------------------------------

local function shown(self, entry)
  local found = moves.image_of(self, entry)
  return print_entry{ id = entry.id, parent = entry.parent, image = found,
    uuid = entry.uuid or found.uuid, kind = entry.kind, title = entry.title,
    exit_code = entry.exit_code, created_at = entry.created_at,
    operation = found.operation or entry.operation
      and operation.new(self.client, entry.operation) or nil }
end

local no_branch -- function, below

--- How the session came to where it is, or how a branch came to where it ends, the oldest
--- entry first. The session does not move.
---     for _, entry in ipairs(session:history()) do print(entry.id, entry.title) end
--- Raises: not_found (there is no such branch), gone (the session was deleted), file (the
--- store), timeout (the store is locked).
---@async
---@param given? { branch: string? } branch: the one to list; default the entries that led to
---  where the session is
---@return contree.HistoryEntry[]
function Session:history(given)
  given = options.check("session:history", { branch = options.name }, given)
  local chain
  if given.branch then
    chain = self.past:chain_of(given.branch) or no_branch(self, "session:history", given.branch)
  else
    chain = self.past:chain(self.tip)
  end
  local list = {}
  for i, entry in ipairs(chain) do list[i] = shown(self, entry) end
  return print_list(list)
end

---@class contree.TreeEntry : contree.HistoryEntry
---@field branches string[]     the branches that end here, sorted
---@field children integer[]    ids of the entries that came from it
---@field here boolean          whether the session is here

---@class contree.Tree the entries of a session, the oldest first; tostring() draws them
---@field [integer] contree.TreeEntry in the order in which they came

local function line_of(entry, depth)
  local names = #entry.branches > 0 and " (" .. table.concat(entry.branches, ", ") .. ")" or ""
  return ("%s%s %d %s%s"):format(("| "):rep(depth), entry.here and "@" or "*", entry.id,
    text.line(entry.title), names)
end

-- Draw the entries that came from an entry below it: first, further right, the branches that
-- left there, then its own continuation.
local function draw(lines, by_id, entry, depth)
  while entry do
    lines[#lines + 1] = line_of(entry, depth)
    for i = #entry.children, 2, -1 do
      draw(lines, by_id, by_id[entry.children[i]], depth + 1)
    end
    entry = by_id[entry.children[1]]
  end
end

local make_tree = class.define("contree.Tree", {}, {
  __tostring = function(tree)
    local by_id, lines = {}, {}
    for _, entry in ipairs(tree) do by_id[entry.id] = entry end
    for _, entry in ipairs(tree) do
      if not by_id[entry.parent] then draw(lines, by_id, entry, 0) end
    end
    return table.concat(lines, "\n")
  end,
})

--- All entries of the session, on all its branches. The session does not move.
---     print(session:tree())
--- Raises: gone (the session was deleted), file (the store), timeout (the store is locked).
---@async
---@return contree.Tree
function Session:tree()
  local entries, tips = self.past:tree()
  local tree, by_id = {}, {}
  for i, entry in ipairs(entries) do
    local one = shown(self, entry)
    one.branches, one.children, one.here = {}, {}, entry.id == self.tip
    tree[i], by_id[entry.id] = one, one
    if by_id[entry.parent] then table.insert(by_id[entry.parent].children, entry.id) end
  end
  for name, tip in pairs(tips) do table.insert(by_id[tip].branches, name) end
  for _, one in ipairs(tree) do table.sort(one.branches) end
  return make_tree(tree, self.client.safe)
end

--- Goes back by some runs.
---     session:rollback()
--- Raises: conflict (the session is running a command, the branch was moved, or there are
--- fewer runs), gone (the session was deleted), file (the store), timeout (the store is
--- locked).
---@async
---@param steps? integer how many runs; default 1
---@return contree.Session self
function Session:rollback(steps)
  steps = steps or 1
  options.argument("session:rollback", "the number of runs", options.integer(1), steps)
  moves.check_free(self)
  local chain = self.past:chain(self.tip)
  if steps >= #chain then
    errors.raise("conflict", ("session:rollback: there are %d runs to go back by, not %d")
      :format(#chain - 1, steps), { remedy = { "history" } })
  end
  local target = chain[#chain - steps]
  if not self.past:move(moves.place_of(self), target.id) then moves.raise_moved(self, {}) end
  moves.go(self, target)
  return self
end

--- Begins a branch where the session is, and selects it.
---     session:branch("experiment")
--- Raises: conflict (the session is running a command, or there is such a branch), gone (the
--- session was deleted), file (the store), timeout (the store is locked).
---@async
---@param name string the name of the new branch
---@return contree.Session self
function Session:branch(name)
  options.argument("session:branch", "the name", options.name, name)
  moves.check_free(self)
  if not self.past:branch(name, self.tip) then
    errors.raise("conflict", ("session:branch: there is a branch %q already"):format(name),
      { remedy = { "checkout_that" } })
  end
  self.branch_name = name
  return self
end

function no_branch(self, where, name)
  errors.raise("not_found", ("%s: there is no branch %q"):format(where, name),
    { hint = "there are " .. table.concat(self.past:branches(), ", ") })
end

--- Selects a branch and moves to where it ends.
---     session:checkout("main")
--- Raises: not_found (there is no such branch), conflict (the session is running a command),
--- gone (the session was deleted), file (the store), timeout (the store is locked).
---@async
---@param name string the branch
---@return contree.Session self
function Session:checkout(name)
  options.argument("session:checkout", "the name", options.name, name)
  moves.check_free(self)
  local entry = self.past:select(name)
  if not entry then no_branch(self, "session:checkout", name) end
  self.branch_name = name
  moves.go(self, entry)
  return self
end

--- The names of the branches, sorted.
---     print(table.concat(session:list_branches(), ", "))
--- Raises: gone (the session was deleted), file (the store), timeout (the store is locked).
---@async
---@return string[]
function Session:list_branches() return print_list(self.past:branches()) end

--- Removes a branch that the session is not on.
---     session:delete_branch("experiment")
--- Raises: not_found (there is no such branch), conflict (the session is on it), gone (the
--- session was deleted), file (the store), timeout (the store is locked).
---@async
---@param name string the branch
---@return contree.Session self
function Session:delete_branch(name)
  options.argument("session:delete_branch", "the name", options.name, name)
  local what = name == self.branch_name and "selected" or self.past:remove_branch(name)
  if what == "selected" then
    errors.raise("conflict", ("session:delete_branch: the session is on %q"):format(name),
      { remedy = { "checkout" } })
  end
  if what == "none" then no_branch(self, "session:delete_branch", name) end
  return self
end

--- An independent session that begins where this one is, with its history. In a store it
--- has a name of its own.
---     local copy = session:fork("demo-2")
--- Raises: conflict (there is a session of that name), gone (this session was deleted),
--- file (the store), timeout (the store is locked).
---@async
---@param id? string the name in the store; default this session's and a number
---@return contree.Session
function Session:fork(id)
  if id ~= nil then options.argument("session:fork", "the id", options.name, id) end
  local past = self.past:fork(id, self.tip)
  if not past then
    errors.raise("conflict", ("session:fork: there is a session %q already"):format(id),
      { hint = "choose another name" })
  end
  local branch, entry = past:current()
  return new(self.client, past, branch, entry, self.keep, id or self.id and past.id)
end

--- The run that last changed a path, and the change (image:blame).
---     local entry, change = session:blame("/etc/passwd")
--- Raises: request, not_found (an image, or no image had the path), gone (the session was
--- deleted), file (the store).
---@async
---@param path string absolute
---@return contree.HistoryEntry|contree.LineageEntry entry
---@return contree.Change? change nil: the path came with the oldest image that is known
function Session:blame(path)
  local lineage = require("contree.history.lineage")
  return lineage.blame(self.client, lineage.behind(self.client, Session.history(self)), path)
end

--- Finds the run that broke it, by disposable runs of a test in the images of the history:
--- about as many as the logarithm of its length. A test that is a command ends with 0 for
--- good, with 125 for "cannot tell" and with anything else for bad. A test that is a
--- function returns true, nil or false.
---     local entry = session:bisect("make check")
--- Raises: request, not_found (an image; no entry has the number), unprocessable (the ends
--- are not good and bad, or all between them was skipped), operation_failed, gone (the
--- session was deleted), file (the store).
---@async
---@param test contree.BisectBy a command, or a function that gets the image and the entry
---@param given? contree.BisectOptions
---@return contree.HistoryEntry entry the run that turned it bad
---@return contree.BisectTest[] tests that were made, in the order in which they ended
function Session:bisect(test, given)
  return require("contree.history.bisect").search("session:bisect", function()
    local entries = Session.history(self)
    for _, entry in ipairs(entries) do entry.uuid = entry.uuid or image.uuid_of(entry.image) end
    return entries
  end, test, given)
end

-- Methods of the image that the session is at.
local PASSED_ON = { "open", "prepare", "tag_as", "untag", "session", "workspace", "lineage",
  "diff", "push" }
for name in pairs(filesystem) do PASSED_ON[#PASSED_ON + 1] = name end

for _, name in ipairs(PASSED_ON) do
  Session[name] = function(self, ...) return image.methods[name](self.image, ...) end
end

session.is_image = is_image

return session
