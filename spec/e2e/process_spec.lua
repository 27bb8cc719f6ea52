-- Input and output of commands while they run, on the embedded engine.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local safe = require("contree.safe")
local home = require("spec.support.home")

describe("a running command", function()
  local client, directory, stop, busybox

  setup(function()
    client, directory, stop = home.client()
    busybox = client.images:use("busybox:latest")
  end)
  teardown(function() stop() end)

  local function refuses(kind, pattern, fn, ...)
    local err = failure(fn, ...)
    assert.are.equal(kind, err.kind)
    assert.matches(pattern, tostring(err))
    return err
  end

  describe("as an operation", function()
    it("takes input while it runs", function()
      local op = busybox:start{ shell = "while read l; do echo got $l; done", stdin = contree.PIPE }
      op:write("one\n"):write("two\n"):write(""):close_stdin()
      assert.are.equal("got one\ngot two\n", op:wait().stdout)
    end)

    it("refuses input that nobody will read", function()
      local op = busybox:start{ command = "true", stdin = contree.PIPE }
      op:wait()
      refuses("conflict", "not running", op.write, op, "x")
      op = busybox:start{ command = "sleep", args = { "50" } }
      refuses("conflict", "closed", op.write, op, "x")
      op:cancel()
      refuses("invalid_argument", "image:start", busybox.run, busybox,
        { command = "cat", stdin = contree.PIPE })
    end)

    it("keeps every byte of a long input", function()
      local bytes = {}
      for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
      local data = table.concat(bytes):rep(10000)
      local op = busybox:start{ command = "sha256sum", stdin = contree.PIPE }
      op:write(data):close_stdin()
      local whole = busybox:run{ command = "sha256sum", stdin = data }
      assert.are.equal(whole.stdout, op:wait().stdout)
    end)

    it("ends normally by a signal, and keeps the file system", function()
      local op = busybox:start{ shell = "echo kept > /f; echo ready; sleep 50", disposable = false }
      for event in op:events() do
        if event.bytes == "ready\n" then break end
      end
      assert.is_true(op:kill("TERM"))
      local result = op:wait()
      assert.are.equal(15, result.signal)
      assert.are.equal("kept\n", result:read("/f"))
      assert.is_false(op:kill())
      refuses("invalid_argument", "signal", op.kill, op, "term please")
    end)

    it("has events from any point on", function()
      local op = busybox:start{ shell = "echo a; echo b >&2; exit 3" }
      op:wait()
      local all, last = {}, nil
      for event in op:events() do
        all[#all + 1] = event.type
        last = event.type == "spawn" and event.id or last
      end
      assert.are.equal("init", all[1])
      assert.are.equal("completion", all[#all])
      local rest = {}
      for event in op:events{ since = last } do rest[#rest + 1] = event.type end
      assert.are.equal(#all - last - 1, #rest)
      assert.are_not.equal("spawn", rest[1])
    end)

    it("is attached to by its id", function()
      local op = busybox:start{ shell = "echo out; echo x > /x; exit 4", disposable = false }
      local result = client.operations:get(op.uuid):wait()
      assert.are.equal("out\n", result.stdout)
      assert.are.equal(4, result.exit_code)
      assert.is_true(result.changed)
      assert.are.equal("x\n", result:read("/x"))
      assert.are.equal(result.uuid, op:wait().uuid)
      refuses("not_found", "operation", client.operations.get(client.operations,
        "00000000-0000-4000-8000-000000000000").wait,
        client.operations:get("00000000-0000-4000-8000-000000000000"))
    end)

    it("outlives the script that started it", function()
      local script = [[
        local contree = require("contree")
        local client = contree.new(SERVER)
        if arg[1] then
          local result = client.operations:get(arg[1]):wait()
          io.write(result.exit_code, " ", result.stdout, result:read("/made"))
        else
          local image = client.images:use("busybox:latest")
          io.write(image:start{ shell = "sleep 0.5; echo late; echo by both > /made",
            disposable = false, detach = true }.uuid)
        end]]
      local path = disk.write(directory .. "/detached.lua",
        (script:gsub("SERVER", function() return home.source(directory) end)))
      local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"
      local command = ("%s %s "):format(lua, disk.quote(path))
      local id = disk.capture(command)
      assert.matches("^%x+%-", id)
      assert.are.equal("0 late\nby both\n", disk.capture(command .. id))
    end)
  end)

  describe("with subprocesses", function()
    local op

    before_each(function()
      op = busybox:start{ shell = "echo shared > /f; cat", stdin = contree.PIPE, cwd = "/tmp" }
    end)
    after_each(function()
      op:kill()
      op:wait()
    end)

    it("runs them in the same sandbox", function()
      local sub = op:spawn("until cat /f; do :; done; pwd; echo $A >&2; exit 5")
      assert.is_true(sub.spid >= 2)
      local result = sub:wait()
      assert.matches("shared\n/tmp\n$", result.stdout)
      assert.are.equal(5, result.exit_code)
      assert.is_nil(result.signal)
      assert.are.equal(result, sub:wait())
    end)

    it("gives them what runs are given", function()
      local live = contree.buffer()
      local uid = os.getenv("CONTREE_TEST_IDS") == "single" and 0 or 7
      local sub = op:spawn{ shell = "id -u; cat; echo $A >&2; pwd", uid = uid, env = { A = "1" },
        cwd = "/", stdin = "in\n", stdout = live, truncate_output_at = 7 }
      local result = sub:wait()
      assert.are.equal(live, result.stdout)
      assert.are.equal(uid .. "\nin\n/\n", live:read())
      assert.are.equal("1\n", result.stderr)
      assert.is_false(result.stdout_truncated)
      refuses("invalid_argument", "did you mean", op.spawn, op, { comand = "x" })
      refuses("invalid_argument", "timeout", op.spawn, op, { command = "x", timeout = 1 })
      refuses("command_failed", "why",
        op:spawn{ shell = "echo why >&2; exit 1", check = true }.wait,
        op:spawn{ shell = "echo why >&2; exit 1", check = true })
    end)

    it("sends them input and signals", function()
      local sub = op:spawn{ command = "cat", stdin = contree.PIPE }
      sub:write("a\n"):write("b\n"):close_stdin()
      assert.are.equal("a\nb\n", sub:wait().stdout)
      sub = op:spawn{ command = "sleep", args = { "50" } }
      refuses("timeout", "not ended", sub.wait, sub, 0.05)
      sub:kill("TERM")
      assert.are.equal(15, sub:wait().signal)
    end)

    it("sends them input of any length", function()
      local data = ("0123456789abcdef"):rep(400000)
      local sub = op:spawn{ command = "sha256sum", stdin = data }
      local whole = busybox:run{ command = "sha256sum", stdin = data }
      assert.are.equal(whole.stdout, sub:wait().stdout)
    end)

    it("waits for many at once", function()
      local list = {}
      for i = 1, 5 do
        list[i] = function() return op:spawn("echo " .. i):wait().stdout end
      end
      local results = contree.gather(list, {})
      for i = 1, 5 do assert.are.equal(i .. "\n", results[i]) end
    end)

    it("ends them with the operation", function()
      local sub = op:spawn{ command = "sleep", args = { "50" } }
      op:kill()
      op:wait()
      local result = sub:wait()
      assert.are.equal(9, result.signal)
      refuses("conflict", "not running", op.spawn, op, "true")
    end)

    it("kills one whose waiting task is cancelled", function()
      local sub = op:spawn{ command = "sleep", args = { "50" } }
      contree.async(function()
        local task = contree.spawn(sub.wait, sub)
        contree.sleep(0.05)
        task:cancel()
        pcall(task.wait, task)
      end)
      refuses("cancelled", "killed", sub.wait, sub)
      -- On a busy processor the process may take a while to end.
      local gone = op:spawn("while ps | grep -q '[s]leep 50'; do sleep 0.05; done"):wait(30)
      assert.are.equal(0, gone.exit_code)
    end)
  end)

  describe("as a process", function()
    it("answers line by line", function()
      local p = busybox:popen({ "awk", "{ print $1 * 2; fflush() }" })
      for i = 1, 3 do
        p.stdin:write(i .. "\n")
        assert.are.equal(tostring(i * 2), p.stdout:read("l"))
      end
      assert.is_nil(p:poll())
      p.stdin:close()
      p.stdin:close()
      assert.are.equal(0, p:wait())
      assert.are.equal(0, p.returncode)
      assert.is_nil(p.stdout:read("l"))
      assert.are.equal("", p.stdout:read("*a"))
    end)

    it("communicates", function()
      local p = busybox:popen("sort; echo done >&2; exit 2", { shell = true })
      local out, err = p:communicate("b\na\n")
      assert.are.equal("a\nb\n", out)
      assert.are.equal("done\n", err)
      assert.are.equal(2, p.returncode)
      out = busybox:popen("cat", { input = "given" }):communicate()
      assert.are.equal("given", out)
      out = busybox:popen({ "head", "-c", "1" }):communicate(("x"):rep(3000000))
      assert.are.equal("x", out)
    end)

    it("takes a string for one command's name", function()
      local p = busybox:popen("ls -la")
      local _, err = p:communicate()
      assert.are.equal(127, p.returncode)
      assert.matches("ls %-la", err)
      assert.are.same({ "ls -la" }, p.args)
    end)

    it("passes the options on", function()
      local p = busybox:popen({ "sh", "-c", "echo $A; pwd" },
        { env = { A = "1" }, cwd = "/tmp", text = true, stdout = contree.PIPE })
      assert.are.equal("1\n/tmp\n", (p:communicate()))
      p = busybox:popen("exit 3", { shell = true, check = true })
      assert.are.equal(3, refuses("command_failed", "code 3", p.wait, p).result.exit_code)
      assert.are.equal(3, p.returncode)
      p = busybox:popen({ "sleep", "50" }, { timeout = 1 })
      assert.are.equal(-9, p:wait())
      assert.is_true(p.result.timed_out)
      refuses("invalid_argument", "contree.PIPE", busybox.popen, busybox, "x", { stderr = print })
      refuses("invalid_argument", "list", busybox.popen, busybox, {})
      refuses("invalid_argument", "shell", busybox.popen, busybox, { "x" }, { shell = true })
      refuses("invalid_argument", "bufsize", busybox.popen, busybox, "x", { bufsize = 1 })
    end)

    it("reads what is there, lines, and the rest", function()
      local p = busybox:popen("printf 'ab\\nc\\n\\nlast'; sleep 0.2; echo ' piece'; echo e >&2",
        { shell = true })
      assert.are.equal("ab", p.stdout:read(2))
      assert.are.equal("", p.stdout:read("*l"))
      assert.are.equal("c\n", p.stdout:read("L"))
      local lines = {}
      for line in p:lines() do lines[#lines + 1] = line end
      assert.are.same({ "", "last piece" }, lines)
      assert.is_nil(p.stdout:read(1))
      assert.are.equal("e\n", p.stderr:read())
      assert.are.equal(0, p:wait())
    end)

    it("is signalled", function()
      local p = busybox:popen("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done",
        { shell = true })
      assert.are.equal("up", p.stdout:read("l"))
      refuses("timeout", "in time", p.wait, p, 0.05)
      assert.is_true(p:terminate())
      assert.are.equal("bye\n", p.stdout:read("a"))
      assert.are.equal(0, p:wait())
      p = busybox:popen{ "sleep", "50" }
      p:send_signal("SIGINT")
      assert.are.equal(-2, p:wait())
      p = busybox:popen{ "sleep", "50" }
      p:kill()
      while p:poll() == nil do contree.sleep(0.01) end
      assert.are.equal(-9, p.returncode)
      assert.is_false(p:kill())
    end)

    it("says why it cannot run", function()
      local p = busybox:popen("true", { cwd = "/no/such" })
      refuses("operation_failed", "/no/such", p.wait, p)
      p = busybox:popen("true", { cwd = "/no/such" })
      refuses("operation_failed", "/no/such", function()
        repeat contree.sleep(0.01) until p:poll()
      end)
    end)

    it("works in tasks, one reading, one writing, one waiting", function()
      contree.async(function()
        local p = busybox:popen("cat")
        local reader = contree.spawn(function() return p.stdout:read("a") end)
        local waiter = contree.spawn(p.wait, p)
        for i = 1, 5 do p.stdin:write(i .. "\n") end
        p.stdin:close()
        assert.are.equal("1\n2\n3\n4\n5\n", reader:wait())
        assert.are.equal(0, waiter:wait())
      end)
    end)

    it("leaves a session alone, or moves it", function()
      local session = busybox:session()
      session:popen({ "touch", "/a" }):wait()
      assert.are.equal(1, #session:history())
      local p = session:popen({ "touch", "/b" }, { disposable = false })
      refuses("conflict", "running", session.run, session, "true")
      p:wait()
      assert.are.equal("touch /b", session:history()[2].title)
      assert.is_true(session:exists("/b"))
      assert.is_false(session:exists("/a"))
    end)

    it("has a face that returns errors", function()
      local image = safe.new(home.options(directory)).images:use("busybox:latest")
      local p = image:popen("exit 1", { shell = true, check = true })
      local code, err = p:wait()
      assert.is_nil(code)
      assert.are.equal("command_failed", err.kind)
      code, err = p.stdin:write("x")
      assert.is_nil(code)
      assert.are.equal("conflict", err.kind)
      local op = image:start{ command = "cat", stdin = safe.PIPE }
      code, err = op:spawn("exit 2"):wait(0.001)
      assert.is_true(code ~= nil or err.kind == "timeout")
      assert.is_true(op:kill())
    end)
  end)

  describe("output", function()
    it("reaches a callback while the command runs", function()
      local op, seen
      op = busybox:start{ shell = "echo first; read answer; echo $answer", stdin = contree.PIPE,
        stdout = function(chunk)
          -- The command waits for this answer to its output.
          if not seen then op:write("answered\n") end
          seen = (seen or "") .. chunk
        end }
      op:wait()
      assert.are.equal("first\nanswered\n", seen)
    end)

    it("waits for a slow consumer without filling the memory", function()
      local function resident()
        return tonumber(disk.capture("grep VmRSS /proc/$PPID/status"):match("%d+"))
      end
      collectgarbage()
      collectgarbage()
      local before, most, total, cleaning, pause = resident(), 0, 0, 0, 0
      busybox:run{ shell = "head -c 100000000 /dev/zero", truncate_output_at = 200000000,
        stdout = function(chunk)
          -- Memory that is only garbage must not count.
          if total >= cleaning then
            collectgarbage()
            cleaning = total + 4000000
          end
          -- Without backpressure all output would have arrived after the first pause.
          if total >= pause then
            contree.sleep(0.5)
            most = math.max(most, resident())
            pause = total + 40000000
          end
          total = total + #chunk
        end }
      assert.are.equal(100000000, total)
      assert.is_true(most - before < 40000, ("%d kB more"):format(most - before))
    end)

    it("that a process has not read stays with the server", function()
      collectgarbage()
      collectgarbage()
      local before = collectgarbage("count")
      local p = busybox:popen("head -c 50000000 /dev/zero; echo; echo end",
        { shell = true, truncate_output_at = 60000000 })
      assert.are.equal(0, p:wait())
      collectgarbage()
      collectgarbage()
      local more = collectgarbage("count") - before
      assert.is_true(more < 20000, ("%.0f kB more"):format(more))
      local total, chunk = 0, p.stdout:read(65536)
      while chunk do
        total = total + #chunk
        chunk = p.stdout:read(65536)
      end
      assert.are.equal(50000005, total)
    end)
  end)
end)
