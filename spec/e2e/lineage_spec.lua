-- Where images come from, which run wrote a file last, and which one broke it.
local contree = require("contree")
local failure = require("spec.support.failure")
local home = require("spec.support.home")

describe("the past of an image", function()
  local client, stop, base, session, directory

  setup(function()
    client, directory, stop = home.client()
    base = client.images:use("busybox:latest")
    session = base:session()
    session:run("mkdir /d; echo 1 > /d/a")
    session:run{ command = "sh", args = { "-c", "echo 1 > /d/b; exit 7" } }
    session:run("echo 2 > /d/a")
    session:run("echo 1 > /d/a")
    session:run("true")
    session:run("rm /d/b; touch /d/a")
    session:run("echo 3 > /d/c; chmod 600 /d/c")
  end)
  teardown(function() stop() end)

  it("is told with the runs that made it", function()
    local lineage = session:lineage()
    local lines = {}
    for i, entry in ipairs(lineage) do
      lines[i] = ("%s %s %s"):format(entry.kind, entry.title, tostring(entry.exit_code))
    end
    assert.are.same({ "run echo 3 > /d/c; chmod 600 /d/c 0", "run rm /d/b; touch /d/a 0",
      "run echo 1 > /d/a 0", "run echo 2 > /d/a 0", "run sh -c echo 1 > /d/b; exit 7 7",
      "run mkdir /d; echo 1 > /d/a 0", "start busybox:latest nil" }, lines)
    assert.are.equal(session.image.uuid, lineage[1].image.uuid)
    assert.are.equal("SUCCESS", (lineage[1].operation:status()))
    assert.matches("^20%d%d%-", lineage[7].created_at)
    assert.are.equal("1\n", lineage[6].image:read("/d/a"))
    assert.are.equal(2, #session.image:lineage(2))
    assert.are.equal(1, #base:lineage())
    assert.is_true(failure(base.lineage, base, 0).misuse)
    local none = client.images:use("11111111-2222-4333-8444-555555555555")
    assert.are.equal("not_found", failure(none.lineage, none).kind)
  end)

  for _, way in ipairs{ "session", "image" } do
    it("tells the run that last changed a path, asked of " .. way, function()
      local asked = way == "session" and session or session.image
      local function blame(path)
        local entry, change = asked:blame(path)
        return ("%s: %s"):format(entry.title, change and change.change or "from the start")
      end
      -- The file has its old content again; blame names the run that restored it.
      assert.are.equal("echo 1 > /d/a: changed", blame("/d/a"))
      assert.are.equal("rm /d/b; touch /d/a: removed", blame("/d/b"))
      assert.are.equal("echo 3 > /d/c; chmod 600 /d/c: added", blame("/d//c/"))
      assert.are.equal("echo 3 > /d/c; chmod 600 /d/c: added", blame("/d"))
      assert.are.equal("busybox:latest: from the start", blame("/bin/sh"))
      assert.are.equal("SUCCESS", (asked:blame("/d/a").operation:status()))
      assert.are.equal("not_found", failure(asked.blame, asked, "/d/none").kind)
      assert.is_true(failure(asked.blame, asked, "d").misuse)
    end)
  end

  it("is longer than one look", function()
    local long = base:session()
    long:run("echo 0 > /first")
    for i = 1, 17 do long:run("echo " .. i .. " > /f") end
    assert.are.equal("echo 0 > /first", long:blame("/first").title)
    assert.are.equal("echo 0 > /first", long.image:blame("/first").title)
    assert.are.equal("busybox:latest", long:fork():blame("/bin/sh").title)
  end)

  describe("is searched", function()
    local broken, runs

    setup(function()
      broken = base:session()
      for i = 1, 14 do broken:run(("echo %s >> /log"):format(i == 9 and "broken" or i)) end
      broken:run("true")
    end)
    before_each(function() runs = 0 end)

    local function good(image)
      runs = runs + 1
      return not image:read("/log"):find("broken")
    end

    it("with a command", function()
      local entry, tests = broken:bisect("! grep broken /log")
      assert.are.equal("echo broken >> /log", entry.title)
      assert.are.equal(10, entry.id)
      assert.is_true(#tests <= 6, #tests)
      assert.are.equal("bad good", tests[1].verdict .. " " .. tests[2].verdict)
      assert.are.equal("broken\n", tests[1].result.stdout)
      assert.are.equal(broken.image.uuid, tests[1].entry.uuid)
      assert.are.equal(16, #broken:history())
    end)

    it("with a function, in bounds, many at a time", function()
      local entry = broken:bisect(function(image, at)
        assert.are.equal(image, at.image)
        if at.id == 1 then return true end
        return good(image)
      end)
      assert.are.equal(10, entry.id)
      assert.is_true(runs <= 5, runs)
      runs = 0
      local history = broken:history()
      entry = broken:bisect(good, { good = 8, bad = history[12], parallel = 3 })
      assert.are.equal(10, entry.id)
      assert.is_true(runs <= 5, runs)
      assert.are.equal("echo broken >> /log", broken.image:bisect(good, { good = 2 }).title)
    end)

    it("past what cannot be tested", function()
      local function skipping(lines)
        return ("n=$(wc -l < /log) && [ $n = %d ] && exit 125; ! grep -q broken /log"):format(lines)
      end
      local entry, tests = broken:bisect(skipping(7))
      assert.are.equal(10, entry.id)
      assert.is_true(#tests <= 7, #tests)
      local err = failure(broken.bisect, broken, skipping(8))
      assert.are.equal("unprocessable", err.kind)
      assert.are.same({ 9, 10 }, { err.candidates[1].id, err.candidates[2].id })
      entry = broken:bisect(function(image, at)
        if at.id == 5 or at.id == 8 then return nil end
        return at.id == 1 or good(image)
      end, { parallel = 2 })
      assert.are.equal(10, entry.id)
    end)

    it("not where there is nothing to find", function()
      local err = failure(broken.bisect, broken, "true")
      assert.are.equal("unprocessable", err.kind)
      assert.matches("number 16 %(true%) should be bad, but the test says good", tostring(err))
      assert.matches("nothing to find", err.hint)
      err = failure(broken.bisect, broken, "exit 3")
      assert.matches("number 1 %(start%) should be good, but the test says bad", tostring(err))
      -- A script cannot know how long the history is, so this is not misuse.
      assert.are.equal("unprocessable",
        failure(broken.bisect, broken, good, { good = 5, bad = 5 }).kind)
      assert.are.equal("not_found", failure(broken.bisect, broken, good, { bad = 17 }).kind)
      assert.is_true(failure(broken.bisect, broken, good, { bat = 1 }).misuse)
      assert.is_true(failure(broken.bisect, broken, { shell = "true", tag = "x" }).misuse)
      assert.is_true(failure(broken.bisect, broken, { shell = "true", disposable = false }).misuse)
      err = failure(broken.bisect, broken, function() error("the test broke", 0) end)
      assert.are.equal("the test broke", err)
      local safe = require("contree.safe").new{ engine = { data_dir = directory .. "/data",
        socket = directory .. "/engine.sock" } }
      local quiet = safe.images:use("busybox:latest"):session()
      quiet:run("echo > /x")
      local nothing, why = quiet:bisect("true")
      assert.is_nil(nothing)
      assert.are.equal("unprocessable", why.kind)
    end)
  end)

  it("is asked for by tasks, too", function()
    contree.async(function()
      assert.are.equal("echo 1 > /d/a", session:blame("/d/a").title)
    end)
  end)
end)
