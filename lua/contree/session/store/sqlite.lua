--- A store of sessions in a file: an SQLite database that any number of processes use at
--- once. A write that has returned survives a power cut.
--
-- A transaction is never suspended; it takes as long as one fsync. The wait for a locked
-- database is done in Lua, so that other tasks run meanwhile.

local core = require("contree.core")
local errors = require("contree.base.errors")
local loop = require("contree.loop")

local sqlite = {}

-- Seconds that a transaction waits for a lock, and between two attempts.
local PATIENCE = 5
local SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 0.05

local APPLICATION = 1668247140 -- "cont"
local VERSION = 2

-- The rows are described in store/memory.lua. Ids of entries are not used again.
local SCHEMA = {
  [[CREATE TABLE session (
    id TEXT PRIMARY KEY, server TEXT NOT NULL, branch TEXT NOT NULL,
    created_at TEXT NOT NULL, updated_at TEXT NOT NULL)]],
  [[CREATE TABLE entry (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session TEXT NOT NULL REFERENCES session ON DELETE CASCADE,
    parent INTEGER REFERENCES entry, uuid TEXT NOT NULL, kind TEXT NOT NULL,
    title TEXT NOT NULL, exit_code INTEGER, operation TEXT,
    created_at TEXT NOT NULL)]],
  "CREATE INDEX entry_operation ON entry (session, operation)",
  "CREATE INDEX entry_parent ON entry (parent)",
  [[CREATE TABLE branch (
    session TEXT NOT NULL REFERENCES session ON DELETE CASCADE,
    name TEXT NOT NULL, tip INTEGER NOT NULL REFERENCES entry,
    PRIMARY KEY (session, name)) WITHOUT ROWID]],
  [[CREATE TABLE pending (
    operation TEXT PRIMARY KEY,
    session TEXT NOT NULL REFERENCES session ON DELETE CASCADE,
    branch TEXT NOT NULL, tip INTEGER NOT NULL, kind TEXT NOT NULL,
    title TEXT NOT NULL, created_at TEXT NOT NULL)]],
  "PRAGMA application_id = " .. APPLICATION,
  "PRAGMA user_version = " .. VERSION,
}

-- Step N takes a file from version N to N + 1. Steps are never edited, only added.
local STEPS = {
  -- At first, times were numbers.
  { [[UPDATE session SET created_at = strftime('%Y-%m-%dT%H:%M:%SZ', created_at, 'unixepoch'),
      updated_at = strftime('%Y-%m-%dT%H:%M:%SZ', updated_at, 'unixepoch')
      WHERE typeof(created_at) = 'integer']],
    [[UPDATE entry SET created_at = strftime('%Y-%m-%dT%H:%M:%SZ', created_at, 'unixepoch')
      WHERE typeof(created_at) = 'integer']],
    [[UPDATE pending SET created_at = strftime('%Y-%m-%dT%H:%M:%SZ', created_at, 'unixepoch')
      WHERE typeof(created_at) = 'integer']] },
}

-- Raised when the database is locked. It never leaves this file.
local BUSY = {}

---@class contree.RowsInFile : contree.Rows
---@field path string
---@field patience number
local Rows = {}
Rows.__index = Rows

--- The rows of a file. The first use opens it or makes it.
---@param path string
---@param patience? number seconds
---@return contree.RowsInFile
function sqlite.new(path, patience)
  -- With "./", SQLite takes names such as ":memory:" as files, too.
  local full = path:sub(1, 1) == "/" and path or "./" .. path
  return setmetatable({ path = path, full = full, patience = patience or PATIENCE,
    durable = true }, Rows)
end

local function broken(self, message, hint)
  errors.raise("file", ("the store %s: %s"):format(self.path, message), { hint = hint })
end

local function exec(self, db, sql, ...)
  local rows, changed, kind = db:exec(sql, ...)
  if rows then return rows, changed end
  if kind == "busy" then error(BUSY, 0) end
  broken(self, changed)
end

-- Opening --------------------------------------------------------------------

local function pragma(self, db, name) return exec(self, db, "PRAGMA " .. name)[1][name] end

-- The version of our tables, or nil if there are none yet.
local function made(self, db)
  local made_by, version = pragma(self, db, "application_id"), pragma(self, db, "user_version")
  if made_by ~= APPLICATION then
    if #exec(self, db, "SELECT 1 FROM sqlite_master LIMIT 1") > 0 then
      broken(self, "this is a database of something else")
    end
    return nil
  end
  if version > VERSION then
    broken(self, ("it was made by a newer contree (version %d, this one knows %d)"):format(
      version, VERSION), "use that one, or another file")
  end
  return version
end

local function prepare(self, db)
  exec(self, db, "PRAGMA synchronous = FULL")
  exec(self, db, "PRAGMA foreign_keys = ON")
  local version = made(self, db)
  if version == VERSION then return end
  if not version then exec(self, db, "PRAGMA journal_mode = WAL") end
  exec(self, db, "BEGIN IMMEDIATE")
  -- Another process may have been first.
  version = made(self, db)
  if not version then
    for _, statement in ipairs(SCHEMA) do exec(self, db, statement) end
  else
    for step = version, VERSION - 1 do
      for _, statement in ipairs(STEPS[step]) do exec(self, db, statement) end
    end
    exec(self, db, "PRAGMA user_version = " .. VERSION)
  end
  exec(self, db, "COMMIT")
end

-- The connection of this process. A connection of the parent of a fork is not used.
local function connection(self)
  if self.db and self.pid == core.getpid() then return self.db end
  local db, problem = core.database(self.full)
  if not db then broken(self, problem) end
  local ok, err = pcall(prepare, self, db)
  if not ok then
    db:close()
    error(err, 0)
  end
  self.db, self.pid = db, core.getpid()
  return db
end

-- Transactions ---------------------------------------------------------------

local function finish(self, db, ok, ...)
  local problem = ...
  if ok then
    ok, problem = pcall(exec, self, db, "COMMIT")
    if ok then return ... end
  end
  db:exec("ROLLBACK")
  error(problem, 0)
end

local function once(self, begin, fn, ...)
  local db = connection(self)
  exec(self, db, begin)
  return finish(self, db, pcall(fn, self, ...))
end

local function pass(self, pause, deadline, again, ok, ...)
  if ok then return ... end
  if (...) ~= BUSY then error((...), 0) end
  if core.now() >= deadline then
    errors.raise("timeout", ("the store %s is locked by another process"):format(self.path),
      { remedy = { "store" } })
  end
  loop.sleep(pause)
  return again(math.min(pause * 2, LONGEST_PAUSE))
end

local function patiently(self, seconds, begin, fn, ...)
  local deadline = core.now() + seconds
  local count, list = select("#", ...), { ... }
  local function again(pause)
    return pass(self, pause, deadline, again,
      pcall(once, self, begin, fn, (table.unpack or unpack)(list, 1, count)))
  end
  return again(SHORTEST_PAUSE)
end

--- Call fn(rows, …) in a transaction that reads. It may be called more than once, and must
--- not wait for anything.
---@async
function Rows:read(fn, ...) return patiently(self, self.patience, "BEGIN", fn, ...) end

--- The same in a transaction that writes.
---@async
function Rows:write(fn, ...) return patiently(self, self.patience, "BEGIN IMMEDIATE", fn, ...) end

--- The same without waiting: raises `timeout` when the database is locked.
function Rows:write_now(fn, ...)
  local results = { pcall(once, self, "BEGIN IMMEDIATE", fn, ...) }
  if not results[1] and results[2] == BUSY then
    errors.raise("timeout", ("the store %s is locked"):format(self.path))
  end
  if not results[1] then error(results[2], 0) end
  return results[2]
end

--- Close the file. The next use opens it again.
function Rows:close()
  if self.db and self.pid == core.getpid() then self.db:close() end
  self.db = nil
end

-- Rows, inside a transaction --------------------------------------------------

local function query(self, sql, ...) return exec(self, self.db, sql, ...) end

local function one(self, sql, ...) return query(self, sql, ...)[1] end

-- Note that the session was used now.
local function touch(self, id)
  query(self, [[UPDATE session SET updated_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now')
    WHERE id = ?]], id)
end

function Rows:session(id) return one(self, "SELECT * FROM session WHERE id = ?", id) end

--- All sessions, with the image and the title of the entry where each is.
function Rows:list_sessions()
  return query(self, [[SELECT s.*, e.uuid, e.title FROM session s
    LEFT JOIN branch b ON b.session = s.id AND b.name = s.branch
    LEFT JOIN entry e ON e.id = b.tip ORDER BY s.updated_at DESC, s.id]])
end

function Rows:add_session(row)
  query(self, "INSERT INTO session VALUES (?, ?, ?, ?, ?)", row.id, row.server, row.branch,
    row.created_at, row.updated_at)
end

---@return boolean removed false: there was none
function Rows:remove_session(id)
  query(self, "DELETE FROM branch WHERE session = ?", id)
  -- An entry refers to its parent, so the references go before the entries.
  query(self, "UPDATE entry SET parent = NULL WHERE session = ?", id)
  local _, count = query(self, "DELETE FROM session WHERE id = ?", id)
  return count == 1
end

function Rows:select_branch(id, name)
  query(self, "UPDATE session SET branch = ? WHERE id = ?", name, id)
  touch(self, id)
end

function Rows:tip(id, name)
  local row = one(self, "SELECT tip FROM branch WHERE session = ? AND name = ?", id, name)
  return row and row.tip
end

function Rows:set_tip(id, name, tip)
  if tip then
    query(self, "INSERT OR REPLACE INTO branch VALUES (?, ?, ?)", id, name, tip)
  else
    query(self, "DELETE FROM branch WHERE session = ? AND name = ?", id, name)
  end
  touch(self, id)
end

function Rows:tips(id)
  local tips = {}
  for _, row in ipairs(query(self, "SELECT name, tip FROM branch WHERE session = ?", id)) do
    tips[row.name] = row.tip
  end
  return tips
end

function Rows:add_entry(row)
  query(self, [[INSERT INTO entry (session, parent, uuid, kind, title, exit_code, operation,
    created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)]], row.session, row.parent, row.uuid, row.kind,
    row.title, row.exit_code, row.operation, row.created_at)
  return one(self, "SELECT last_insert_rowid() AS id").id
end

function Rows:entry(id) return one(self, "SELECT * FROM entry WHERE id = ?", id) end

function Rows:chain(tip)
  return query(self, [[WITH RECURSIVE chain AS (
    SELECT * FROM entry WHERE id = ? UNION ALL
    SELECT entry.* FROM entry JOIN chain ON entry.id = chain.parent)
    SELECT * FROM chain ORDER BY id]], tip)
end

function Rows:list_entries(id)
  return query(self, "SELECT * FROM entry WHERE session = ? ORDER BY id", id)
end

function Rows:made_by(id, operation)
  return one(self, "SELECT * FROM entry WHERE session = ? AND operation = ?", id, operation)
end

function Rows:add_pending(row)
  query(self, "INSERT OR IGNORE INTO pending VALUES (?, ?, ?, ?, ?, ?, ?)", row.operation,
    row.session, row.branch, row.tip, row.kind, row.title, row.created_at)
end

function Rows:list_pending(id)
  return query(self, "SELECT * FROM pending WHERE session = ? ORDER BY rowid", id)
end

function Rows:find_pending(operation)
  return one(self, "SELECT * FROM pending WHERE operation = ?", operation)
end

function Rows:remove_pending(operation)
  query(self, "DELETE FROM pending WHERE operation = ?", operation)
end

return sqlite
