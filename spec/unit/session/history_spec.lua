-- The history of sessions: the same calls have the same answers in both stores.
local core = require("contree.core")
local disk = require("spec.support.disk")
local errors = require("contree.base.errors")
local failure = require("spec.support.failure")
local history = require("contree.session.history")
local memory = require("contree.session.store.memory")
local sqlite = require("contree.session.store.sqlite")

local function entry(title, fields)
  local new = { kind = "run", title = title, uuid = "image of " .. title, exit_code = 0 }
  for key, value in pairs(fields or {}) do new[key] = value end
  return new
end

local function titles(past, tip)
  local list = {}
  for i, each in ipairs(past:chain(tip)) do list[i] = each.title end
  return table.concat(list, "|")
end

-- Two connections to one store; in memory both are the same.
local STORES = {
  memory = function()
    local rows = memory.new()
    return rows, rows
  end,
  sqlite = function(directory)
    local path = os.tmpname():gsub(".*/", directory .. "/")
    return sqlite.new(path, 0.2), sqlite.new(path, 0.2)
  end,
}

for name, open in pairs(STORES) do
  describe("a history kept by " .. name, function()
    local directory, rows, others, past, same

    setup(function() directory = disk.directory() end)
    teardown(function() os.execute("rm -rf " .. disk.quote(directory)) end)
    before_each(function()
      rows, others = open(directory)
      past = history.open(rows, "demo", "here", { entry("start", { kind = "start" }) })
      same = history.open(others, "demo", "here")
    end)

    local function tip(branch) return (past:position(branch or "main")).id end
    local function add(title, branch)
      assert.is_true(past:add({ branch = branch or "main", tip = tip(branch) }, entry(title)))
    end

    it("is made once and found again", function()
      assert.is_nil(history.open(rows, "other", "here"))
      local _, server = history.open(others, "demo", "there", { entry("x") })
      assert.are.equal("here", server)
      local branch, now = same:current()
      assert.are.equal("main", branch)
      assert.are.equal("start", now.title)
      assert.is_true(history.exists(rows, "demo"))
      assert.is_false(history.exists(rows, "other"))
    end)

    it("grows, moves back, and keeps every field", function()
      assert.is_true(past:add({ branch = "main", tip = tip() },
        entry("1", { exit_code = 3, operation = "op-1", created_at = "then" })))
      local found = same:position("main")
      assert.are.same({ "run", "1", "image of 1", 3, "op-1", "then" }, { found.kind, found.title,
        found.uuid, found.exit_code, found.operation, found.created_at })
      add("2")
      assert.are.equal("start|1|2", titles(same, tip()))
      assert.is_true(past:move({ branch = "main", tip = tip() }, found.id))
      add("3")
      assert.are.equal("start|1|3", titles(same, tip()))
    end)

    it("adds nothing to a branch that has moved", function()
      local place = { branch = "main", tip = tip() }
      assert.is_true(same:add(place, entry("first")))
      assert.is_false(past:add(place, entry("second")))
      assert.is_false(past:move(place, place.tip))
      assert.are.equal("start|first", titles(past, tip()))
      assert.is_true(past:add(place, entry("second"), "mine"))
      assert.are.equal("start|second", titles(same, tip("mine")))
      assert.are.equal("mine", (same:current()))
      assert.is_false(past:add(place, entry("third"), "mine"))
    end)

    it("branches", function()
      add("1")
      assert.is_true(past:branch("risky", tip()))
      assert.is_false(past:branch("risky", tip()))
      add("2", "risky")
      assert.are.same({ "main", "risky" }, same:branches())
      assert.are.equal("1", same:select("main").title)
      assert.is_nil(same:select("none"))
      assert.are.equal("selected", past:remove_branch("main"))
      assert.are.equal("none", past:remove_branch("none"))
      assert.are.equal("removed", past:remove_branch("risky"))
      assert.are.same({ "main" }, same:branches())
      assert.is_nil(same:position("risky"))
    end)

    it("finds the name of its hundredth fork with few questions", function()
      for n = 2, 100 do assert.are.equal("demo-" .. n, past:fork(nil, tip()).id) end
      local asked, session = 0, rows.session
      rows.session = function(...)
        asked = asked + 1
        return session(...)
      end
      assert.are.equal("demo-101", past:fork(nil, tip()).id)
      rows.session = nil
      assert.is_true(asked < 25, asked)
    end)

    it("forks under a name that is free", function()
      add("1")
      local fork = past:fork(nil, tip())
      assert.are.equal("demo-2", fork.id)
      assert.are.equal("demo-3", past:fork(nil, tip()).id)
      assert.are.equal("other", past:fork("other", tip()).id)
      assert.is_nil(past:fork("other", tip()))
      add("2")
      local _, now = fork:current()
      assert.are.equal("start|1", titles(fork, now.id))
    end)

    it("takes the end of a run once", function()
      past:expect{ operation = "op-1", branch = "main", tip = tip(), kind = "run", title = "1" }
      assert.are.equal("op-1", select(2, same:position("main")).operation)
      assert.are.equal("1", same:pending()[1].title)
      assert.are.equal("placed", same:settle("op-1", entry("1", { operation = "op-1" })))
      assert.are.equal("done", past:settle("op-1", entry("1", { operation = "op-1" })))
      assert.are.same({}, past:pending())
      assert.are.equal("start|1", titles(past, tip()))
      past:expect{ operation = "op-2", branch = "main", tip = tip(), kind = "run", title = "2" }
      assert.are.equal("placed", past:settle("op-2"))
      past:expect{ operation = "op-3", branch = "main", tip = tip(), kind = "run", title = "3" }
      past:forget("op-3")
      assert.are.same({}, past:pending())
      assert.are.equal("start|1", titles(past, tip()))
    end)

    it("keeps a run whose branch has moved until it is committed", function()
      local place = { branch = "main", tip = tip() }
      past:expect{ operation = "op-1", branch = "main", tip = tip(), kind = "run", title = "1" }
      add("other")
      assert.is_nil(select(2, past:position("main")))
      local late = entry("1", { operation = "op-1" })
      assert.are.equal("moved", past:settle("op-1", late))
      assert.are.equal(1, #past:pending())
      assert.is_true(past:add(place, late, "late"))
      assert.are.equal(0, #past:pending())
    end)
  end)
end

describe("a store in a file", function()
  local directory, path

  setup(function() directory = disk.directory() end)
  teardown(function() os.execute("rm -rf " .. disk.quote(directory)) end)
  before_each(function() path = os.tmpname():gsub(".*/", directory .. "/") end)

  local function open(rows)
    return history.open(rows, "demo", "here", { entry("start", { kind = "start" }) })
  end

  it("is the owner's alone", function()
    open(sqlite.new(path))
    assert.are.equal("600\n", disk.capture("stat -c %a " .. disk.quote(path)))
  end)

  it("waits for who has it locked, but not for ever", function()
    local past = open(sqlite.new(path, 0.1))
    local other = core.database(path)
    assert(other:exec("BEGIN IMMEDIATE"))
    local err = failure(past.branch, past, "x", 1)
    assert.are.equal("timeout", err.kind)
    assert.matches("locked by another process", tostring(err))
    assert.is_true(pcall(past.forget, past, "op"))
    assert.are.equal("main", (past:current())) -- reading goes on
    assert(other:exec("COMMIT"))
    assert.is_true(past:branch("x", 1))
  end)

  it("leaves nothing of a transaction that fails", function()
    local rows = sqlite.new(path)
    local past = open(rows)
    local err = failure(rows.write, rows, function()
      rows:set_tip("demo", "half", 1)
      error("enough", 0)
    end)
    assert.are.equal("enough", err)
    assert.are.same({ "main" }, past:branches())
  end)

  it("lists and deletes", function()
    local rows = sqlite.new(path)
    local past = open(rows)
    past:add({ branch = "main", tip = 1 }, entry("1"))
    past:expect{ operation = "op-1", branch = "main", tip = 2, kind = "run", title = "1" }
    local list = rows:read(rows.list_sessions)
    assert.are.equal(1, #list)
    assert.are.same({ "demo", "here", "main", "image of 1", "1" },
      { list[1].id, list[1].server, list[1].branch, list[1].uuid, list[1].title })
    assert.is_true(rows:write(rows.remove_session, "demo"))
    assert.is_false(rows:write(rows.remove_session, "demo"))
    for call, arguments in pairs{ current = {}, chain = { 1 }, chain_of = { "main" }, tree = {},
      fork = {}, pending = {}, branches = {}, position = { "main" }, branch = { "side", 1 },
      select = { "main" }, remove_branch = { "side" },
      add = { { branch = "main", tip = 1 }, entry("2") },
      expect = { { operation = "op-2", branch = "main", tip = 2, kind = "run", title = "2" } },
      settle = { "op-1", entry("2") }, move = { { branch = "main", tip = 1 }, 1 } } do
      local err = failure(past[call], past, arguments[1], arguments[2])
      assert.are.equal("gone", err.kind, call)
    end
    for _, of in ipairs{ "session", "entry", "branch", "pending" } do
      assert.are.equal(0, rows:read(function()
        return rows.db:exec("SELECT count(*) AS n FROM " .. of)[1].n
      end))
    end
  end)

  it("says what is wrong with a file", function()
    local function refused(text)
      local err = failure(open, sqlite.new(path))
      assert.are.equal("file", err.kind)
      assert.matches(text, tostring(err))
    end
    disk.write(path, ("not a database"):rep(100))
    refused("not a database")
    os.remove(path)
    local db = core.database(path)
    db:exec("CREATE TABLE mine (x)")
    refused("of something else")
    db:exec("PRAGMA application_id = 1668247140")
    db:exec("PRAGMA user_version = 1000")
    refused("newer contree")
    db:close()
    path = directory .. "/none/x"
    refused("none/x: it cannot be made: No such file")
    local err = failure(open, sqlite.new(directory))
    assert.is_true(errors.is(err, "file"))
  end)

  it("keeps texts as they are", function()
    local past = open(sqlite.new(path))
    local title = "echo 'it''s' \"q\" \n\t\195\164 ; -- ?1"
    past:add({ branch = "main", tip = 1 }, entry(title))
    assert.are.equal(title, (history.open(sqlite.new(path), "demo", "here"):position("main")).title)
  end)

  it("is not closed by a fork's copy of the connection", function()
    local rows = sqlite.new(path)
    open(rows)
    rows.pid = rows.pid + 1 -- as after a fork
    local before = rows.db
    assert.is_true(history.exists(rows, "demo"))
    assert.are_not.equal(before, rows.db)
  end)
end)
