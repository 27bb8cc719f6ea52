-- Boxes (docs/use/box.md) on the embedded engine: one sandbox for many commands.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")
local home = require("spec.support.home")
local safe = require("contree.safe")
local wire = require("spec.support.wire")

describe("a box", function()
  local client, directory, stop, busybox

  setup(function()
    client, directory, stop = home.client()
    busybox = client.images:use("busybox:latest")
  end)
  teardown(function() stop() end)

  -- Runs `fn` in plain code and in a task.
  local function both(fn)
    fn()
    contree.async(fn)
  end

  local function refuses(kind, pattern, fn, ...)
    local err = failure(fn, ...)
    assert.are.equal(kind, err.kind, tostring(err))
    assert.matches(pattern, tostring(err))
    return err
  end

  local function running() return client.operations:list{ status = "EXECUTING" } end

  local function ends(operation)
    wire.eventually("the end of the box", function()
      return (operation:status()) ~= "EXECUTING"
    end)
  end

  it("runs commands on one set of files", function()
    both(function()
      local box = busybox:open()
      assert.are.equal("", box:run("echo one > /f").stdout)
      local result = box:run{ shell = "cat /f -; exit 3", stdin = "two\n" }
      assert.are.equal("one\ntwo\n", result.stdout)
      assert.are.equal(3, result.exit_code)
      assert.is_false(result.timed_out)
      assert.is_true(result.duration >= 0)
      assert.are.equal("program\n", box:run{ command = "echo", args = { "program" } }.stdout)
      refuses("command_failed", "exit code 4", box.run, box, { shell = "exit 4", check = true })
      assert.are.equal(1, #running())
      assert.is_true(box:close())
      assert.is_false(box:close())
      ends(box.operation)
      -- The image is as it was.
      assert.is_false(busybox:exists("/f"))
    end)
  end)

  it("gives its commands their variables, directory and user, unless they say more", function()
    local box = busybox:open{ env = { A = "1", B = "2" }, cwd = "/tmp", user = "nobody",
      hostname = "inside", files = { ["/in/x"] = { data = "here" } } }
    local function says(given)
      given.shell = "echo $A $B $(pwd) $(id -un) $(hostname) $(cat /in/x)"
      return box:run(given).stdout
    end
    assert.are.equal("1 2 /tmp nobody inside here\n", says{})
    assert.are.equal("1 3 / root inside here\n", says{ env = { B = "3" }, cwd = "/", uid = 0 })
    assert.are.equal("1 2 /tmp root inside here\n", says{ user = "root" })
    box:close()
    box = busybox:open{ uid = 65534 }
    assert.are.equal("0\n", box:run{ shell = "id -u", user = "root" }.stdout)
    box:close()
  end)

  it("runs several at once", function()
    contree.async(function()
      local box = busybox:open()
      -- Each waits for the other.
      local first, second = contree.gather(function()
        return box:run{ shell = "mkfifo /a /b; echo x > /a; cat /b", timeout = 20 }
      end, function()
        return box:run{ shell = "while [ ! -p /b ]; do usleep 1000; done; cat /a; echo y > /b",
          timeout = 20 }
      end)
      assert.are.equal("y\n", first.stdout)
      assert.are.equal("x\n", second.stdout)
      box:close()
    end)
  end)

  it("outlives a command that takes too long", function()
    both(function()
      local box = busybox:open()
      local other = box:spawn("sleep 0.5; echo other")
      local result = box:run{ shell = "echo begun; (setsid sleep 318 &); sleep 318", timeout = 1 }
      assert.is_true(result.timed_out)
      assert.are.equal("timeout", result.limit)
      assert.are.equal(1, result.limit_value)
      assert.are.equal("begun\n", result.stdout)
      assert.are.equal("other\n", other:wait().stdout)
      assert.are.equal("0\n", box:run("ps | grep -c '[s]leep 318'").stdout)
      refuses("command_failed", "time limit of 1 s", box.run, box,
        { shell = "sleep 60", timeout = 0.2, check = true })
      box:close()
    end)
  end)

  it("says of each command whether its time limit has ended it, also when both come at once",
    function()
      -- What it does for so long, and what it would say: 7, or 137 if a part of it is killed alone.
      local ways = { "usleep %d; exit 7", "usleep %d & wait $!; exit 7", "usleep %d | cat; exit 7",
        "(setsid usleep %d); exit 7", "set -m; usleep %d; exit 7",
        "sh -c 'usleep %d; exit 3'; exit 7", "trap 'exit 9' TERM HUP INT; usleep %d; exit 7" }
      local first = 950000
      local function run_all(box, disturb)
        local tasks, seen = {}, { limit = 0, itself = 0 }
        for i = 1, 42 do
          -- From a bit before the limit of a second to a bit after it; every tenth far beyond.
          local us = i % 10 == 0 and 100000000 or first + i * 3000
          tasks[i] = contree.spawn(function()
            local result = box:run{ shell = ways[i % #ways + 1]:format(us), timeout = 1 }
            local how = result.timed_out and "limit" or "itself"
            seen[how] = seen[how] + 1
            assert.are.same(result.timed_out and { exit_code = result.exit_code, signal = 9,
              limit = "timeout", value = 1 } or { exit_code = 7 },
              { exit_code = result.exit_code, signal = result.signal, limit = result.limit,
                value = result.limit_value })
            assert.is_true(result.timed_out or us < 100000000)
          end)
        end
        if disturb then disturb() end
        for _, task in ipairs(tasks) do task:wait() end
        return seen
      end
      contree.async(function()
        local box = busybox:open()
        assert.is_true(run_all(box).limit > 3)
        -- Their clocks stand still now and then.
        run_all(box, function()
          for _ = 1, 4 do
            contree.sleep(0.25)
            box:snapshot()
            box.operation:pause()
            box.operation:resume()
          end
        end)
        box:close()
      end)
    end)

  it("says so of one that has left its group and would end when others of it are killed", function()
    local leaver = wire.run("dirname $(command -v contree-engine)") .. "/../spec/support/leaver"
    contree.async(function()
      local box = busybox:open{ files = { ["/leaver"] = { source = leaver, mode = "0755" } } }
      local tasks = {}
      for i = 1, 20 do
        tasks[i] = contree.spawn(function()
          local result = box:run{ command = "/leaver", timeout = 1 }
          assert.are.same({ "left\n", true, 9, "timeout" },
            { result.stdout, result.timed_out, result.signal, result.limit })
        end)
      end
      for _, task in ipairs(tasks) do task:wait() end
      box:close()
      local result = busybox:run{ command = "/leaver", timeout = 1, disposable = true,
        files = { ["/leaver"] = { source = leaver, mode = "0755" } } }
      assert.are.same({ true, 9 }, { result.timed_out, result.signal })
    end)
  end)

  it("takes a kill by somebody else for no time limit", function()
    local box = busybox:open()
    local result = box:run{ shell = "kill -9 $$", timeout = 60 }
    assert.are.same({ 9, false }, { result.signal, result.timed_out })
    assert.is_nil(result.limit)
    -- What the command waits for is killed: it ends by itself, and says so as a shell does.
    result = box:run{ shell = "sleep 60 & kill -9 $!; wait $!", timeout = 60 }
    assert.are.same({ 137, false }, { result.exit_code, result.timed_out })
    assert.is_nil(result.signal)
    box:close()
  end)

  it("kills a command whose task is cancelled, and what it has started", function()
    contree.async(function()
      local box = busybox:open()
      local task = contree.spawn(function() box:run("(setsid sleep 319 &); sleep 319") end)
      wire.eventually("both", function()
        return box:run("ps | grep -c '[s]leep 319$'").stdout == "2\n"
      end)
      task:cancel()
      pcall(task.wait, task)
      wire.eventually("their end", function()
        return box:run("ps | grep -c '[s]leep 319'").stdout == "0\n"
      end)
      box:close()
    end)
  end)

  it("talks to commands", function()
    both(function()
      local box = busybox:open()
      local p = box:popen({ "cat" })
      assert.are.equal(box.operation, p.operation)
      assert.is_nil(p:poll())
      p.stdin:write("one\n")
      assert.are.equal("one", p.stdout:read("l"))
      local other = box:popen("echo err >&2; read x; echo got $x", { shell = true })
      local out, err = other:communicate("two\n")
      assert.are.equal("got two\n", out)
      assert.are.equal("err\n", err)
      p.stdin:close()
      assert.are.equal(0, p:wait(20))
      assert.are.equal(0, p:poll())
      p = box:popen{ "sleep", "60" }
      assert.is_true(p:terminate())
      assert.are.equal(-15, p:wait())
      p = box:popen({ "sleep", "60" }, { timeout = 1 })
      assert.are.equal(-9, p:wait())
      assert.is_true(p.result.timed_out)
      refuses("command_failed", "exit code 5", function()
        box:popen("exit 5", { shell = true, check = true }):wait()
      end)
      local sub = box:spawn{ shell = "cat", stdin = contree.PIPE }
      sub:write("three"):close_stdin()
      assert.are.equal("three", sub:wait().stdout)
      box:close()
    end)
  end)

  it("has terminals, also while it is snapshot", function()
    both(function()
      local box = busybox:open()
      local p = box:popen({ "sh" }, { tty = { rows = 7, cols = 70 } })
      p.stdin:write("stty size; sleep 0.5; echo went on $?\n")
      box:snapshot()
      p.stdin:write("exit 6\n")
      assert.are.equal(6, p:wait(20))
      local out = p.stdout:read("a")
      assert.matches("7 70", out)
      assert.matches("went on 0", out)
      box:close()
    end)
  end)

  it("hangs up terminals that nothing here can use any more", function()
    local box = busybox:open()
    box:popen({ "sleep", "320" }, { tty = true }):close()
    local function count() return box:run("ps | grep -c '[s]leep 320'").stdout end
    wire.eventually("its end", function() return count() == "0\n" end)
    do
      local p = box:popen({ "sleep", "320" }, { tty = true })
      assert.is_nil(p:poll())
    end
    wire.eventually("its end", function()
      collectgarbage()
      contree.step(0)
      return count() == "0\n"
    end)
    box:close()
  end)

  it("is snapshot while it goes on", function()
    both(function()
      local box = busybox:open()
      box:run("echo 1 > /f")
      local writer = box:spawn("while :; do date > /w; done")
      local first = box:snapshot()
      box:run("echo 2 > /f")
      local second = box:snapshot{ tag = "box-spec:second" }
      assert.are.equal("1\n", first:run("cat /f").stdout)
      assert.are.equal("2\n", client.images:use("box-spec:second"):read("/f"))
      assert.are.equal("2\n", second:open():run("cat /f").stdout)
      assert.is_true(writer:kill())
      assert.are.equal(9, writer:wait().signal)
      box:close()
    end)
  end)

  it("is snapshot by several at once, while others run commands", function()
    contree.async(function()
      local box = busybox:open()
      box:run("head -c 20000000 /dev/urandom > /big")
      local a, b, out = contree.gather(function() return box:snapshot() end,
        function() return box:snapshot() end, function() return box:run("wc -c < /big").stdout end)
      assert.are.equal(20000000, a:stat("/big").size)
      assert.are.equal(20000000, b:stat("/big").size)
      assert.are.equal("20000000\n", out)
      box:close()
    end)
  end)

  it("is kept when it is closed so", function()
    both(function()
      local box = busybox:open()
      box:run("echo kept > /f")
      box:spawn("sleep 60")
      local image = box:close{ keep = true, tag = "box-spec:kept" }
      assert.are.equal("kept\n", image:read("/f"))
      assert.are.equal("box-spec:kept", image.tag)
      refuses("gone", "close%(%) was called", box.run, box, "true")
      refuses("gone", "close%(%) was called", box.close, box, { keep = true })
      assert.is_false(box:close())
    end)
  end)

  it("leaves volumes out of its images", function()
    local box = busybox:open{ volumes = { ["/cache"] = "box-spec" } }
    box:run("echo x > /cache/f; echo y > /f")
    local image = box:snapshot()
    assert.is_false(image:exists("/cache/f"))
    assert.are.equal("y\n", image:read("/f"))
    box:close()
    ends(box.operation)
    assert.are.equal("x\n", image:run{ shell = "cat /cache/f",
      volumes = { ["/cache"] = "box-spec" } }.stdout)
  end)

  it("of a session begins where that is, and may move it", function()
    local session = busybox:session()
    session:run("echo 1 > /f")
    local box = session:open()
    box:run("echo 2 >> /f")
    session:commit(box:snapshot())
    box:run("echo 3 >> /f")
    assert.are.equal("1\n2\n", session:read("/f"))
    session:commit(box:close{ keep = true })
    assert.are.equal("1\n2\n3\n", session:read("/f"))
    session:rollback(2)
    assert.are.equal("1\n", session:read("/f"))
  end)

  describe("ends", function()
    local function reason(box, word, pattern)
      local err = refuses("gone", pattern, box.run, box, "true")
      assert.are.equal(word, err.reason)
      assert.is_string(err.hint)
      assert.are.equal(word, refuses("gone", pattern, box.snapshot, box).reason)
      assert.are.equal(word, refuses("gone", pattern, box.spawn, box, "true").reason)
      assert.are.equal(word, refuses("gone", pattern, box.popen, box, "true").reason)
      return err
    end

    it("when it had no command for too long, not while one runs", function()
      both(function()
        local box = busybox:open{ idle_timeout = 0.5 }
        assert.are.equal(0, box:run("sleep 1").exit_code)
        assert.are.equal(0, box:run("true").exit_code)
        ends(box.operation)
        reason(box, "idle", "no command for 0.5 seconds")
        assert.is_false(box:close())
      end)
    end)

    it("after its time limit, and tells who waits for a command", function()
      both(function()
        local box = busybox:open{ timeout = 1 }
        local err = refuses("gone", "its time limit", box.run, box, "echo out; sleep 60")
        assert.are.equal("timeout", err.reason)
        assert.are.equal("out\n", err.result.stdout)
        reason(box, "timeout", "its time limit")
      end)
    end)

    it("when it is cancelled", function()
      both(function()
        local box = busybox:open()
        box.operation:cancel()
        reason(box, "cancelled", "was cancelled")
      end)
    end)

    it("with the task that waits for it to be cancelled", function()
      contree.async(function()
        local box
        local task = contree.spawn(function()
          box = busybox:open()
          box:run("sleep 60")
        end)
        wire.eventually("the box", function()
          contree.sleep(0.01)
          return box
        end)
        task:cancel()
        pcall(task.wait, task)
        ends(box.operation)
      end)
    end)

    it("when it is garbage, unless a command of it is not", function()
      local operation, sub
      do
        local box = busybox:open()
        operation = client.operations:get(box.uuid)
        sub = box:spawn("sleep 60")
      end
      for _ = 1, 5 do
        collectgarbage()
        contree.step(0)
      end
      assert.are.equal("EXECUTING", (operation:status()))
      sub = sub:kill() and nil
      assert.is_nil(sub)
      wire.eventually("its end", function()
        collectgarbage()
        contree.step(0)
        return (operation:status()) == "CANCELLED"
      end)
    end)

    if _VERSION == "Lua 5.4" then
      it("with the scope that closes it", function()
        local open = assert(load([[local image = ...
          local box <close> = image:open()
          box:run("true")
          return box.operation]]))
        local operation = open(busybox)
        ends(operation)
        assert.are.equal("CANCELLED", (operation:status()))
      end)
    end

    it("with the program that is killed", function()
      local script = disk.write(os.tmpname(), ([[
        local contree = require("contree")
        local client = contree.new(%s)
        local box = client.images:use("busybox:latest"):open{ idle_timeout = 3000 }
        box:run("true")
        io.stdout:write(box.uuid, "\n"); io.stdout:flush()
        os.execute("kill -KILL $PPID")]]):format(home.source(directory)))
      local uuid = disk.capture("$CONTREE_TEST_LUA " .. script .. " 2>/dev/null"):match("%S+")
      os.remove(script)
      ends(client.operations:get(uuid))
      assert.are.equal("CANCELLED", (client.operations:get(uuid):status()))
    end)

    it("with the engine that is killed, but not its images", function()
      local one, place, finish = home.client()
      local box = one.images:use("busybox:latest"):open()
      box:run("echo x > /f")
      local image = box:snapshot()
      home.stop_engine(place .. "/data", "KILL")
      reason(box, "engine", "the engine stopped")
      assert.are.equal("x\n", image:read("/f"))
      finish()
    end)
  end)

  it("is refused what it cannot do", function()
    refuses("invalid_argument", 'did you mean "idle_timeout"', busybox.open, busybox,
      { idle_timout = 5 })
    refuses("invalid_argument", "idle_timeout", busybox.open, busybox, { idle_timeout = 0 })
    refuses("invalid_argument", 'does not know the option "shell"', busybox.open, busybox,
      { shell = "x" })
    refuses("invalid_argument", "either user", busybox.open, busybox, { user = "x", uid = 1 })
    refuses("invalid_argument", 'did you mean "memory_bytes"', busybox.open, busybox,
      { resources_limits = { memory_byte = 5 } })
    refuses("not_found", "no%-such", function() client.images:use("no-such:1"):open() end)
    local box = busybox:open()
    refuses("invalid_argument", 'did you mean "timeout"', box.run, box,
      { shell = "x", timeot = 5 })
    refuses("invalid_argument", 'does not know the option "disposable"', box.run, box,
      { shell = "x", disposable = false })
    refuses("invalid_argument", 'does not know the option "files"', box.popen, box,
      "x", { files = {} })
    refuses("invalid_argument", "is not waited for", box.run, box,
      { shell = "x", stdin = contree.PIPE })
    refuses("invalid_argument", "keep = true", box.close, box, { tag = "x" })
    refuses("invalid_argument", 'did you mean "keep"', box.close, box, { kep = true })
    refuses("unprocessable", "nobody%-here", box.run, box, { shell = "x", user = "nobody-here" })
    box:close()
  end)

  it("works on the safe face", function()
    local one = safe.new(home.options(directory))
    local box = assert(one.images:use("busybox:latest")):open{ idle_timeout = 60 }
    assert.are.equal("x\n", assert(box:run("echo x")).stdout)
    assert.is_true(assert(box:snapshot()).uuid ~= nil)
    assert.is_true(box:close())
    local result, err = box:run("true")
    assert.is_nil(result)
    assert.are.equal("closed", err.reason)
    one:close()
  end)

  it("is not had from a server without boxes", function()
    local server = fake.start()
    local one = contree.new{ url = server.url, token = "t", retry = { max_attempts = 1 } }
    local image = one.images:use(fake.IMAGE)
    server:rules{ { path = ".*", replies = { { status = 422, json = { error = "command" } } } } }
    local err = refuses("not_supported", "no boxes", image.open, image)
    assert.matches("local engine", err.hint)
    -- One that ignores what it does not know.
    server:rules{ { path = ".*", replies = { { status = 201, json = { uuid = "op-1" } } } } }
    refuses("not_supported", "no boxes", image.open, image)
    local asked = server:asked()
    assert.are.equal("DELETE /v1/operations/op-1", asked[#asked])
    one:close()
    server:stop()
  end)
end)
