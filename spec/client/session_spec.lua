local contree = require("contree")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")
local titles = require("spec.support.titles")

describe("a session", function()
  local server, client, session

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    client = contree.new{ url = server.url, token = "t" }
    session = client.images:use(fake.IMAGE):session()
  end)

  local function keeps(uuid, fields)
    fields = fields or {}
    fields.result = uuid
    return { status = 201, json = fake.operation(fields) }
  end

  local function answers(...)
    local rules = fake.run{}
    rules[1].replies = { ... }
    server:rules(rules)
  end

  it("moves with every run", function()
    answers(keeps("a"), keeps("b", { exit_code = 1 }), keeps("b"))
    assert.are.equal("a", session:run("one").uuid)
    assert.are.equal(1, session:run{ command = "two", args = { "x", "y" } }.exit_code)
    session:run("three")
    assert.are.equal("b", session.image.uuid)
    assert.matches("^contree%.Session%(main at contree%.", tostring(session))
    assert.are.equal("start|one|two x y|three", titles(session))
    local asked = server:requests()
    assert.are.equal(fake.IMAGE, asked[1].json.image)
    assert.are.equal("a", asked[2].json.image)
    assert.is_false(asked[1].json.disposable)
  end)

  it("goes back", function()
    answers(keeps("a"), keeps("b"), keeps("c"), keeps("d"))
    for _, title in ipairs{ "1", "2", "3" } do session:run(title) end
    assert.are.equal(session, session:rollback(2))
    assert.are.equal("a", session.image.uuid)
    session:run("4")
    assert.are.equal("start|1|4", titles(session))
    local err = failure(session.rollback, session, 3)
    assert.matches("there are 2 runs to go back by, not 3", tostring(err))
    assert.are.equal("d", session.image.uuid)
    session:rollback(2)
    assert.are.equal(fake.IMAGE, session.image.uuid)
    assert.are.equal("conflict", failure(session.rollback, session).kind)
    assert.is_true(failure(session.rollback, session, 0).misuse)
  end)

  it("branches", function()
    answers(keeps("a"), keeps("b"), keeps("c"))
    session:run("1")
    session:branch("risky")
    session:run("2")
    assert.are.equal("start|1|2", titles(session))
    session:checkout("main")
    assert.are.equal("a", session.image.uuid)
    session:run("3")
    assert.are.equal("start|1|3", titles(session))
    session:checkout("risky")
    assert.are.equal("b", session.image.uuid)
    assert.are.same({ "main", "risky" }, session:list_branches())
    assert.matches("risky at contree.Image", tostring(session))
    assert.are.equal("conflict", failure(session.branch, session, "main").kind)
    assert.matches("there are main, risky", tostring(failure(session.checkout, session, "x")))
  end)

  -- The table of docs/use/guide.md.
  it("D17: moves with some outcomes and not with others", function()
    local function outcome(moves, how, answer, given)
      answers(answer)
      local before = session.image.uuid
      local ok, value = pcall(session.run, session, given or "x")
      assert.are.equal(how, ok and "returns" or value.kind)
      assert.are.equal(moves, session.image.uuid ~= before, how)
    end
    local checked = { shell = "x", check = true }
    outcome(true, "returns", keeps("a"))
    outcome(true, "returns", keeps("b", { exit_code = 1 }))
    outcome(true, "returns", keeps("c", { exit_code = -1, signal = 9 }))
    outcome(false, "command_failed", keeps("d", { exit_code = 1 }), checked)
    outcome(false, "command_failed", keeps("d", { exit_code = -1, signal = 9 }), checked)
    outcome(false, "returns", keeps("d", { exit_code = -1, signal = 9, timed_out = true }))
    outcome(false, "operation_failed", { status = 201,
      json = fake.operation{ status = "FAILED", error = "max_layer_bytes" } })
    outcome(false, "cancelled", { status = 201, json = fake.operation{ status = "CANCELLED" } })
    outcome(false, "server", { status = 500 })
    outcome(false, "returns", keeps(nil), { shell = "x", disposable = true })
  end)

  it("moves with runs that succeed alone, if it is told to", function()
    session = client.images:use(fake.IMAGE):session{ keep = "success" }
    answers(keeps("a"), keeps("b", { exit_code = 1 }), keeps("c", { exit_code = -1, signal = 9 }),
      keeps("d"), keeps("e", { exit_code = 2 }), keeps("f"))
    assert.are.equal("a", session:run("1").uuid)
    local failed = session:run("2")
    assert.are.equal(1, failed.exit_code)
    assert.are.equal("b", failed.uuid)
    assert.are.equal(9, session:run("3").signal)
    assert.are.equal("a", session.image.uuid)
    session:run("4")
    local copy = session:fork()
    copy:run("5")
    assert.are.equal("d", copy.image.uuid)
    assert.are.equal("start|1|4", titles(session))
    assert.are.equal(session, session:commit(failed))
    assert.are.equal("b", session.image.uuid)
    local err = failure(client.images:use(fake.IMAGE).session, client.images:use(fake.IMAGE),
      { keep = "sucess" })
    assert.is_true(err.misuse)
    assert.matches('keep must be "all", or "success"', tostring(err), nil, true)
  end)

  it("D14: shows its tree and its branches without moving", function()
    answers(keeps("a"), keeps("b"), keeps("c"), keeps("d"))
    session:run("1")
    session:branch("risky")
    session:run("2")
    session:checkout("main")
    session:run("3")
    session:branch("other")
    session:checkout("main")
    local tree = session:tree()
    assert.are.equal(table.concat({ "* 1 start", "* 2 1", "| @ 4 3 (main, other)",
      "* 3 2 (risky)" }, "\n"), tostring(tree))
    assert.are.same({ 2 }, tree[1].children)
    assert.are.same({ 3, 4 }, tree[2].children)
    assert.are.equal(2, tree[3].parent)
    assert.are.equal("b", tree[3].image.uuid)
    assert.is_true(tree[4].here)
    local found = {}
    for i, entry in ipairs(session:history{ branch = "risky" }) do found[i] = entry.title end
    assert.are.equal("start|1|2", table.concat(found, "|"))
    assert.are.equal("main", session.branch_name)
    assert.are.equal("c", session.image.uuid)
    local err = failure(session.history, session, { branch = "none" })
    assert.are.equal("not_found", err.kind)
    assert.matches("there are main, other, risky", err.hint)
  end)

  it("D14: does not run what has found its branch moved while files were sent", function()
    local path = os.tmpname()
    finally(function() os.execute("rm -f '" .. path .. "'*") end)
    local rules = fake.run{}
    rules[1].replies = { keeps("a"), keeps("b") }
    table.insert(rules, { path = "/v1/files.*", replies = { { status = 200, delay = 0.3,
      json = { uuid = "f" } } } })
    server:rules(rules)
    local mine = client.images:use(fake.IMAGE):session{ store = path, id = "x" }
    local theirs = client:session{ store = path, id = "x" }
    local task = contree.spawn(function()
      return mine:run{ shell = "1", files = { ["/f"] = { data = "x" } } }
    end)
    contree.sleep(0.1)
    theirs:run("2")
    local err = failure(task.wait, task)
    assert.are.equal("conflict", err.kind)
    assert.are.equal('somebody else has moved the branch "main" meanwhile', err.message)
    assert.are.equal('session:checkout("main") goes to where it is now', err.hint)
    assert.is_nil(err.result)
    local spawned = 0
    for _, line in ipairs(server:asked()) do
      if line == "POST /v1/instances" then spawned = spawned + 1 end
    end
    assert.are.equal(1, spawned)
  end)

  it("does nothing else while it runs a command", function()
    local slow = keeps("b")
    slow.delay = 0.5
    answers(keeps("a"), slow)
    session:run("1")
    local result = session:fork().image
    local task = contree.spawn(function() return session:run("2") end)
    contree.sleep(0.1)
    for name, argument in pairs{ run = "3", start = "3", rollback = 1, branch = "x",
      checkout = "main", commit = result } do
      local err = failure(session[name], session, argument, "x")
      assert.are.equal("conflict", err.kind, name)
      assert.are.equal("this session is running a command", err.message, name)
      assert.are.equal("wait for it, or fork() the session", err.hint)
    end
    assert.are.equal("main", session.branch_name)
    assert.are.equal("b", task:wait().uuid)
    assert.are.equal("start|1|2", titles(session))
    assert.are.same({ "main" }, session:list_branches())
    assert.are.equal("x", session:branch("x").branch_name)
  end)

  it("forks", function()
    answers(keeps("a"), keeps("b"))
    session:run("1")
    local fork = session:fork()
    fork:run("2")
    assert.are.equal("a", session.image.uuid)
    assert.are.equal("b", fork.image.uuid)
    assert.are.equal("start|1", titles(session))
    assert.are.equal(3, #fork:history())
  end)

  it("stays where it was when a run fails, is stopped, or is disposable", function()
    answers(keeps("a"), { status = 201, json = fake.operation{ status = "FAILED", error = "no" } },
      { status = 500 }, keeps("b", { timed_out = true, exit_code = -1, signal = 9 }),
      keeps("c", { exit_code = 2 }), keeps(nil), keeps("d"))
    session:run("1")
    assert.are.equal("operation_failed", failure(session.run, session, "2").kind)
    assert.are.equal("server", failure(session.run, session, "3").kind)
    assert.is_true(session:run("4").timed_out)
    assert.are.equal("command_failed",
      failure(session.run, session, { shell = "5", check = true }).kind)
    session:run{ shell = "6", disposable = true }
    assert.are.equal("a", session.image.uuid)
    assert.are.equal("start|1", titles(session))
    session:run("7")
    assert.are.equal("d", session.image.uuid)
  end)

  it("runs one command at a time", function()
    local slow = keeps("a")
    slow.delay = 0.2
    answers(slow, keeps("b"))
    local err
    contree.gather(function() session:run("1") end, function()
      contree.sleep(0.05)
      err = failure(session.run, session, "2")
      assert.are.equal("conflict", failure(session.rollback, session).kind)
    end)
    assert.are.equal("conflict", err.kind)
    assert.are.equal(1, #server:asked())
    assert.are.equal("a", session.image.uuid)
    session:run("3")
    assert.are.equal("b", session.image.uuid)
  end)

  it("moves when a started run has been waited for", function()
    server:rules(fake.run{
      operations = { { status = 200, json = fake.operation{ result = "a" } } } })
    local operation = session:start("1")
    assert.are.equal("conflict", failure(session.run, session, "2").kind)
    assert.are.equal("a", operation:wait().uuid)
    assert.are.equal("a", session.image.uuid)
    server:rules(fake.run{ spawned = { status = 503 } })
    failure(session.start, session, "3")
    server:rules(fake.run{ spawned = keeps("b") })
    assert.are.equal("b", session:run("4").uuid)
  end)

  it("reads the image that it is at", function()
    answers(keeps("a"))
    session:run("1")
    server:rules{ { path = "/v1/inspect/a/download", replies = { { status = 200, body = "x" } } },
      { path = "/v1/images/a/tag", replies = { { status = 200, json = {} } } } }
    assert.are.equal("x", session:read("/f"))
    session:tag_as("t:1")
    assert.are.equal("t:1", session.image.tag)
  end)

  it("returns nil, err with contree.safe", function()
    local safe = require("contree.safe").new{ url = server.url, token = "t" }
    session = safe.images:use(fake.IMAGE):session()
    answers(keeps("a"), { status = 500 })
    assert.are.equal("a", session:run("1").uuid)
    local result, err = session:run("2")
    assert.is_nil(result)
    assert.are.equal("server", err.kind)
    result, err = session:fork():run("3")
    assert.is_nil(result)
    assert.are.equal("server", err.kind)
  end)
end)
