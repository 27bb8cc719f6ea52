-- Sessions that outlive their scripts: one store, one engine, many processes.
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local titles = require("spec.support.titles")

local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"

local PREAMBLE = [[
local contree, core = require("contree"), require("contree.core")
local directory = %q
local client = contree.new(%s)
local image = client.images:use("busybox:latest")
local store = directory .. "/sessions.db"
local function die() os.execute("kill -9 " .. core.getpid()) end
]]

describe("a session in a store", function()
  local client, directory, stop, image, store

  setup(function()
    client, directory, stop = home.client()
    image = client.images:use("busybox:latest")
    store = directory .. "/sessions.db"
  end)
  teardown(function() stop() end)

  local scripts = 0
  local function write(script)
    scripts = scripts + 1
    return disk.quote(disk.write(("%s/%d.lua"):format(directory, scripts),
      PREAMBLE:format(directory, home.source(directory)) .. script))
  end

  -- Returns the output of a script in a process of its own.
  local function run(script)
    return disk.capture(("%s %s 2>&1"):format(lua, write(script)))
  end

  it("goes on after kill -9", function()
    assert.are.equal("", (run[[
      local session = image:session{ store = store, id = "killed" }
      session:run("echo 1 >> /log")
      session:run{ shell = "echo 2 >> /log; exit 3" }
      session:branch("side")
      session:run("echo side >> /log")
      session:checkout("main")
      die()
    ]]:gsub("Killed\n", "")))
    local session = client:session{ store = store, id = "killed" }
    assert.are.equal("1\n2\n", session:read("/log"))
    assert.are.equal("busybox:latest|echo 1 >> /log|echo 2 >> /log; exit 3", titles(session))
    local entries = session:history()
    assert.are.same({ "start", "run", 3, entries[2].id, session.image.uuid }, { entries[1].kind,
      entries[3].kind, entries[3].exit_code, entries[3].parent, entries[3].uuid })
    assert.are.equal("SUCCESS", (entries[3].operation:status()))
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", entries[3].created_at)
    assert.are.equal("side\n", session:checkout("side"):run("tail -n 1 /log").stdout)
    session:rollback()
    -- The stored tip wins over the image, and the branch it was on is remembered.
    session = client.images:use("no/such:image"):session{ store = store, id = "killed" }
    assert.are.equal("side", session.branch_name)
    assert.are.equal("1\n2\nside\n", session:read("/log"))
    assert.matches("killed, side at contree.Image", tostring(session))
  end)

  it("is one of many in a file", function()
    local sessions = contree.sessions(store)
    image:session{ store = sessions, id = "one" }:run("echo 1 > /f")
    image:session{ store = sessions, id = "two" }
    local fork = client:session{ store = sessions, id = "one" }:fork()
    assert.are.equal("one-2", fork.id)
    fork:run("echo 2 > /f")
    assert.are.equal("1\n", client:session{ store = store, id = "one" }:read("/f"))
    assert.are.equal("2\n", client:session{ store = store, id = "one-2" }:read("/f"))
    local found = {}
    for _, each in ipairs(sessions:list()) do found[each.id] = each end
    assert.are.equal(fork.image.uuid, found["one-2"].uuid)
    assert.are.equal("echo 2 > /f", found["one-2"].title)
    assert.equal(client.origin, found.two.server)
    assert.matches(home.plain and "^http://.*, project p$" or "^the local engine in /",
      client.origin)
    assert.is_true(sessions:delete("one-2"))
    assert.is_false(sessions:delete("one-2"))
    assert.matches("^sessions:delete: the id must be",
      failure(sessions.delete, sessions, "").message)
    assert.are.equal("gone", failure(fork.run, fork, "true").kind)
    assert.are.equal("not_found", failure(client.session, client,
      { store = store, id = "one-2" }).kind)
    sessions:close()
  end)

  it("is shared by processes, and no run of theirs is lost", function()
    local script = [[
      local session = image:session{ store = store, id = "shared" }
      for i = 1, 4 do
        repeat
          local ok, err = pcall(session.run, session, "echo %d-" .. i .. " >> /log")
          if not ok and err.kind ~= "conflict" then error(err, 0) end
        until ok
      end
    ]]
    local commands = {}
    for i = 1, 3 do
      commands[i] = ("%s %s 2>&1 &"):format(lua, write(script:format(i)))
    end
    assert.are.equal("", disk.capture(table.concat(commands, "\n") .. "\nwait"))
    local session = client:session{ store = store, id = "shared" }
    assert.are.equal(13, #session:history())
    local lines = {}
    for line in session:lines("/log") do lines[#lines + 1] = line end
    table.sort(lines)
    assert.are.equal("1-1 1-2 1-3 1-4 2-1 2-2 2-3 2-4 3-1 3-2 3-3 3-4", table.concat(lines, " "))
  end)

  it("does one thing at a time, also when somebody waits for what was abandoned", function()
    local session = image:session{ store = store, id = "abandoned" }
    local first = session:start("sleep 60")
    session:abandon(first)
    local second = session:start{ shell = "cat", stdin = contree.PIPE, disposable = true }
    failure(first.wait, first)
    assert.are.equal("conflict", failure(session.run, session, "true").kind)
    second:close_stdin()
    second:wait()
    assert.are.equal(0, session:run("true").exit_code)
  end)

  it("refuses a run whose branch has moved meanwhile, and keeps its result", function()
    local mine = image:session{ store = store, id = "moved" }
    local theirs = client:session{ store = store, id = "moved" }
    local running = mine:start{ shell = "cat > /mine", stdin = contree.PIPE }
    assert.are.equal("conflict", failure(theirs.run, theirs, "true").kind) -- it is pending
    mine:abandon(running)
    local err
    contree.gather(function()
      err = failure(mine.run, mine, "sleep 1; echo mine > /mine")
    end, function()
      contree.sleep(0.1)
      theirs:run("echo theirs > /theirs")
    end)
    assert.are.equal("conflict", err.kind)
    assert.matches('session:commit%(err.result, "name"%)', tostring(err))
    assert.are.equal("mine\n", err.result:read("/mine"))
    assert.are.equal("busybox:latest|echo theirs > /theirs", titles(theirs))
    assert.are.equal('somebody else has moved the branch "main" meanwhile', err.message)
    assert.are.equal("conflict", failure(mine.commit, mine, err.result).kind)
    mine:commit(err.result, "mine")
    assert.are.equal("mine", mine.branch_name)
    assert.are.equal("busybox:latest|sleep 1; echo mine > /mine", titles(mine))
    assert.is_false(mine:exists("/theirs"))
    -- The next run begins where the branch is at that time.
    mine:checkout("main")
    theirs:run("echo more > /theirs")
    assert.are.equal("more\n", mine:run("cat /theirs").stdout)
    theirs:checkout("main"):rollback()
    assert.matches('checkout%("main"%)', tostring(failure(mine.rollback, mine)))
  end)

  it("finishes once what another script has started", function()
    assert.are.equal("", run[[
      local session = image:session{ store = store, id = "detached" }
      session:start("sleep 0.5; echo done > /result; echo ok")
    ]])
    local session = client:session{ store = store, id = "detached" }
    local pending = session:pending()
    assert.are.equal(1, #pending)
    local err = failure(session.run, session, "true")
    assert.are.equal("conflict", err.kind)
    assert.matches("session:wait%(%) takes its result", tostring(err))
    assert.are.equal("timeout", failure(session.wait, session, 0.01).kind)
    local script = [[
      local session = client:session{ store = store, id = "detached" }
      local result = session:wait()
      print(result and result.stdout or "taken\n", session:read("/result"), #session:history())
    ]]
    local paths = {}
    for i = 1, 2 do paths[i] = ("%s %s &"):format(lua, write(script)) end
    local printed = disk.capture(table.concat(paths, "\n") .. "\nwait")
    assert.are.equal(2, select(2, printed:gsub("done\n\t2\n", "")), printed)
    assert.are.equal("ok\n", pending[1]:wait().stdout) -- taken before; we follow
    assert.are.equal("done\n", session:read("/result"))
    assert.are.equal(2, #session:history())
    assert.is_nil(session:wait())
    assert.are.same({}, session:pending())
    assert.are.equal(0, session:run("true").exit_code)
  end)

  it("waits for what it has started itself", function()
    local session = image:session{ store = store, id = "own" }
    local operation = session:start("echo 1 > /f")
    assert.are.equal(operation, session:pending()[1])
    assert.is_true(rawequal(session:wait(), operation:wait()))
    assert.are.equal("1\n", session:read("/f"))
    -- A run that failed or was cancelled does not move the branch.
    session:start{ shell = "true", cwd = "/no/such" }
    assert.are.equal("operation_failed", failure(session.wait, session).kind)
    session:start("sleep 60")
    session:pending()[1]:cancel()
    assert.are.equal("cancelled", failure(session.wait, session).kind)
    session:start("sleep 60")
    session:abandon(session:pending()[1])
    local process = session:popen({ "sh", "-c", "echo 2 > /f" }, { disposable = false })
    assert.are.equal(0, process:wait())
    assert.are.equal("2\n", session:read("/f"))
    assert.are.equal(3, #session:history())
    local task = contree.spawn(function() session:start("sleep 60"):wait() end)
    contree.sleep(0.2)
    task:cancel()
    pcall(task.wait, task)
    assert.are.same({}, session:pending())
    session:start{ shell = "echo 3 > /f", disposable = true }:wait()
    assert.are.equal("2\n", session:run("cat /f").stdout)
  end)

  it("keeps the result of a detached run whose branch has moved", function()
    assert.are.equal("", run[[
      image:session{ store = store, id = "late" }:start("sleep 0.2; echo late > /late")
    ]])
    local session = client:session{ store = store, id = "late" }
    local operation = session:pending()[1]
    session:branch("other")
    session:run("echo 1 > /f")
    session:commit(image:run{ shell = "true", files = { ["/x"] = { data = "x" } },
      disposable = false }, "third")
    assert.are.equal("x", session:read("/x"))
    -- The branch moves although there is a pending run.
    local rows = contree.sessions(store).rows
    rows:write(function() rows:set_tip("late", "main", rows:tip("late", "other")) end)
    local err = failure(operation.wait, operation)
    assert.are.equal("conflict", err.kind)
    assert.are.equal(1, #session:pending())
    session:commit(err.result, "late")
    assert.are.equal("late\n", session:read("/late"))
    assert.are.same({}, session:pending())
    -- The same for a run of our own. Anybody may commit it.
    operation = session:start("echo own > /own")
    rows:write(function() rows:set_tip("late", "late", rows:tip("late", "other")) end)
    assert.are.equal("conflict", failure(operation.wait, operation).kind)
    local other = client:session{ store = store, id = "late" }
    assert.are.equal(operation.uuid, other:pending()[1].uuid)
    assert.are.equal("1\n", session:run("cat /f").stdout)
    err = failure(other.pending(other)[1].wait, other:pending()[1])
    assert.are.equal("own\n", other:commit(err.result, "own"):read("/own"))
    assert.are.same({}, session:pending())
  end)

  it("belongs to one server", function()
    local other = contree.new{ url = "https://sandboxes.example", token = "t", project = "p" }
    local err = failure(other.session, other, { store = store, id = "own" })
    assert.are.equal("conflict", err.kind)
    assert.is_truthy(tostring(err):find(client.origin, 1, true))
    assert.matches("https://sandboxes.example, project p", tostring(err))
  end)

  it("is named, and its store is a file", function()
    for _, case in ipairs{
      { { store = store }, "id = gives it" }, { { store = "", id = "x" }, "store must be" },
      { { store = store, id = "" }, "id must be" }, { { stor = store }, 'did you mean "store"' },
    } do
      local err = failure(image.session, image, case[1])
      assert.is_true(err.misuse)
      assert.matches(case[2], tostring(err))
    end
    assert.is_true(failure(client.session, client, {}).misuse)
    assert.is_true(failure(client.session, client, { image = "busybox", id = "x" }).misuse)
    local session = client:session{ image = image }
    session:branch("a"):branch("b")
    assert.are.equal("conflict", failure(session.delete_branch, session, "b").kind)
    assert.are.equal("not_found", failure(session.delete_branch, session, "c").kind)
    assert.are.same({ "b", "main" }, session:delete_branch("a"):list_branches())
    local safe = require("contree.safe")
    local quiet = safe.new{ engine = { data_dir = directory .. "/data",
      socket = directory .. "/engine.sock" } }
    local nothing, err = quiet:session{ store = store, id = "none" }
    assert.is_nil(nothing)
    assert.are.equal("not_found", err.kind)
    nothing, err = safe.sessions(directory):list()
    assert.is_nil(nothing)
    assert.are.equal("file", err.kind)
  end)

  it("waits for a store that is in use as a task does: others go on", function()
    local session = image:session{ store = contree.sessions(store, { timeout = 0.5 }), id = "busy" }
    local other = core.database(store)
    other:exec("BEGIN IMMEDIATE")
    local err, turns = nil, 0
    contree.gather(function()
      err = failure(session.run, session, "echo 1 > /f")
      other:exec("COMMIT")
    end, function()
      while not err do
        contree.sleep(0.01)
        turns = turns + 1
      end
    end)
    assert.are.equal("timeout", err.kind)
    assert.is_true(turns > 5)
    assert.are.equal("1\n", err.result:read("/f"))
    assert.are.equal("1\n", session:commit(err.result):read("/f"))
  end)
end)
