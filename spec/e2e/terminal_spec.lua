-- Terminals, as people and programs use them, on the embedded engine.
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local programs = require("spec.support.programs")
local screen = require("spec.support.screen")

local await, typed = screen.await, screen.type

describe("a terminal", function()
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
  end

  it("is there for a shell", function()
    local p = busybox:popen({ "sh" }, { tty = true, env = { PS1 = "> " } })
    await(p, "> ")
    typed(p, "tty; stty size; echo $TERM\n", "/dev/pts/0\r\n24 80\r\nxterm%-256color\r\n.*> ")
    p:resize(50, 132)
    typed(p, "stty size\n", "50 132\r\n.*> ")
    typed(p, "(echo be''gun; exec sleep 100)\n", "begun")
    typed(p, "\3", "> ")
    typed(p, "exit 5\n")
    assert.are.equal(5, p:wait())
    assert.is_nil(p.stderr:read("l"))
    assert.are.equal("", p.stderr:read("a"))
    refuses("conflict", "not running", p.resize, p, 1, 1)
    assert.is_false(p:close())
  end)

  it("may have any size and kind within reason", function()
    local p = busybox:popen({ "sh", "-c", "stty size; echo $TERM" },
      { tty = { rows = 10, cols = 20, term = "linux" } })
    assert.are.equal("10 20\r\nlinux\r\n", p.stdout:read("a"))
    for pattern, tty in pairs{ ["rows"] = { rows = 0 }, ["cols"] = { cols = 1e6 },
      ['mean "cols"'] = { col = 1 }, ["boolean"] = "yes", ["term"] = { term = "" } } do
      refuses("invalid_argument", pattern, busybox.popen, busybox, { "sh" }, { tty = tty })
    end
    refuses("invalid_argument", "one stream", busybox.run, busybox,
      { command = "sh", tty = true, stderr = print })
    local plain = busybox:popen{ "cat" }
    refuses("conflict", "no terminal", plain.resize, plain, 24, 80)
    for _, bad in ipairs{ 0, -1, 10001, 1.5, "24" } do
      refuses("invalid_argument", "rows", plain.resize, plain, bad, 80)
      refuses("invalid_argument", "columns", plain.resize, plain, 24, bad)
    end
    plain.stdin:close()
    plain:wait()
  end)

  it("is all of the output of a run", function()
    local result = busybox:run{ shell = "echo out; echo err >&2; cat; test -t 0 && echo tty",
      tty = true }
    assert.are.equal("out\r\nerr\r\ntty\r\n", result.stdout)
    assert.are.equal("", result.stderr)
    result = busybox:run{ shell = "stty -echo; cat", tty = true, stdin = "typed\n" }
    assert.matches("typed\r\n$", result.stdout)
    local op = busybox:start{ shell = "read x; stty size; echo $x", tty = true }
    op:resize(3, 4)
    op:write("line\n")
    assert.matches("3 4\r\nline\r\n$", op:wait().stdout)
  end)

  it("ends by Ctrl-D, typed or as the end of the input", function()
    local p = busybox:popen({ "cat" }, { tty = true })
    typed(p, "a line\n", "a line\r\na line\r\n")
    typed(p, "\4")
    assert.are.equal(0, p:wait())
    p = busybox:popen({ "cat" }, { tty = true })
    assert.are.equal("in parts\r\nin parts\r\n", (p:communicate("in parts\n")))
    assert.are.equal(0, p.returncode)
  end)

  it("hangs up when it is closed, and when nothing can use it any more", function()
    local p = busybox:popen({ "sleep", "100" }, { tty = true })
    assert.is_true(p:close())
    assert.are.equal(-1, p:wait())
    local op = busybox:popen({ "sleep", "100" }, { tty = true }).operation
    p = nil -- luacheck: ignore
    local deadline = contree.time and contree.time() or os.time() + 30
    repeat
      collectgarbage()
      collectgarbage()
      contree.sleep(0.02)
      local status, details = client.operations:get(op.uuid):status()
      local state = details.metadata.result and details.metadata.result.state
      assert.is_true(os.time() <= deadline, "it goes on")
    until status ~= "EXECUTING" and (status == "CANCELLED" or state.signal == 1)
  end)

  it("is hung up by the kill of its program", function()
    local path = disk.write(directory .. "/killed.lua", ([[
      local contree = require("contree")
      local client = contree.new{ engine = { data_dir = "%s/data", socket = "%s/engine.sock" } }
      local p = client.images:use("busybox:latest"):popen({ "sh", "-c", "echo up; sleep 100" },
        { tty = true })
      assert(p.stdout:read("l") == "up\r")
      print(p.operation.uuid)
      io.stdout:flush()
      os.execute("kill -KILL $PPID")]]):format(directory, directory))
    local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"
    local uuid = disk.capture(("%s %s 2>/dev/null"):format(lua, disk.quote(path))):match("%S+")
    assert.is_string(uuid)
    assert.are.equal(1, client.operations:get(uuid):wait(30).signal)
  end)

  it("is left alone when it is detached", function()
    local p = busybox:popen({ "sh", "-c", "read x; echo got $x" }, { tty = true, detach = true })
    local uuid = p.operation.uuid
    p.stdout.follower:close()
    p = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    local op = client.operations:get(uuid)
    op:write("it\n")
    assert.matches("got it\r\n$", op:wait(30).stdout)
  end)

  it("is one of many in a sandbox", function()
    local op = busybox:start{ command = "sleep", args = { "100" } }
    local seen = {}
    local sub = op:spawn{ shell = "tty; read x; stty size; read x; echo got $x",
      tty = { rows = 7, cols = 8 }, stdout = function(bytes) seen[#seen + 1] = bytes end }
    sub:resize(9, 10)
    sub:write("\n")
    sub:write("it\n")
    assert.are.equal(0, sub:wait().exit_code)
    assert.matches("/dev/pts/0\r\n.*9 10\r\n.*got it\r\n", table.concat(seen))
    sub = op:spawn{ command = "sleep", args = { "100" }, tty = true }
    assert.is_true(sub:close())
    assert.are.equal(1, sub:wait().signal)
    op:cancel()
  end)

  it("works in a task", function()
    contree.async(function()
      local p = busybox:popen({ "cat" }, { tty = true })
      typed(p, "x\n", "x\r\nx\r\n")
      p:resize(1, 2)
      p:close()
      assert.are.equal(-1, p:wait())
    end)
  end)

  it("keeps every byte when it is raw", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local data = table.concat(bytes):rep(400)
    local p = busybox:popen({ "sh", "-c", "stty raw -echo; echo on; exec cat" }, { tty = true })
    await(p, "on\n")
    local back, got = {}, 0
    contree.gather(function() p.stdin:write(data) end, function()
      while got < #data do
        back[#back + 1] = p.stdout:read(65536)
        got = got + #back[#back]
      end
    end)
    assert.is_true(table.concat(back) == data)
    p:close()
    p:wait()
  end)

  describe("runs", function()
    local image

    setup(function() image = programs.image(client, directory) end)

    local function open(argv, options)
      options = options or { rows = 24, cols = 80 }
      return image:popen(argv, { tty = options, env = { PS1 = "$ ", LC_ALL = "C.UTF-8" } })
    end

    it("bash with its jobs", function()
      local p = open{ "bash", "--norc" }
      await(p, "%$ ")
      typed(p, "(trap 'echo re''sumed' CONT; echo be''gun; while :; do sleep 0.05; done)\n",
        "begun")
      typed(p, "\26", "Stopped.*%$ ")
      typed(p, "fg\n", "resumed")
      typed(p, "\26", "Stopped.*%$ ") -- bash itself may miss a Ctrl-C while it runs a trap
      typed(p, "kill -KILL %1; wait %1; jobs; echo was$?\n", "was0.*%$ ")
      typed(p, "(echo be''gun; exec sleep 100)\n", "begun")
      typed(p, "\3", "%$ ")
      typed(p, "eco\127\127cho ab\bc\n", "ac\r\n.*%$ ")
      typed(p, "\4")
      assert.are.equal(0, p:wait())
    end)

    it("less, with its keys", function()
      local p = open{ "sh", "-c", "seq 1 1000 | less" }
      await(p, "%D23\r\n")
      typed(p, "G", "1000")
      typed(p, "g", "%D9\r\n")
      typed(p, "/777\r", "777")
      typed(p, "q")
      assert.are.equal(0, p:wait())
    end)

    it("vim, which writes a file", function()
      local p = open{ "sh", "-c", "vim -Nu NONE -n /tmp/f; cat /tmp/f; echo status $?" }
      await(p, "/tmp/f.*%[New")
      typed(p, "ihello \195\164\27:wq\r", "hello \195\164\r\nstatus 0")
      assert.are.equal(0, p:wait())
    end)

    it("vim, which is stopped, goes on, and sees another size", function()
      local p = open{ "bash", "--norc" }
      await(p, "%$ ")
      typed(p, "vim -Nu NONE -n /tmp/f\r", "/tmp/f.*%[New")
      typed(p, "ihello\27\26", "Stopped.*%$ ")
      p:resize(30, 100)
      typed(p, "fg\r", "hello")
      typed(p, ":echo 'size' &lines &columns\r", "size 30 100")
      p:resize(20, 70)
      await(p, "\27%[2J") -- it draws all again
      typed(p, ":echo 'size' &lines &columns\r", "size 20 70")
      typed(p, ":q!\r", "%$ ")
      typed(p, "\4")
      assert.are.equal(0, p:wait())
    end)

    it("top", function()
      local p = open{ "top" }
      await(p, "PID")
      await(p, "top")
      typed(p, "q")
      assert.are.equal(0, p:wait())
    end)

    it("python's prompt", function()
      local p = open{ "python3", "-q" }
      await(p, ">>> ")
      typed(p, "6 * 7\n", "42\r\n")
      typed(p, "import os; os.get_terminal_size()\n", "columns=80, lines=24.*>>> ")
      typed(p, "import time; print('o' + 'n'); time.sleep(100)\n", "on\r\n")
      typed(p, "\3", "KeyboardInterrupt.*>>> ")
      typed(p, "raise SystemExit(3)\n")
      assert.are.equal(3, p:wait())
    end)

    it("tmux, which goes on when it is hung up, and is attached to again", function()
      local op = image:start{ command = "sleep", args = { "600" } }
      local function attach(...)
        local seen = ""
        local sub = op:spawn{ command = "tmux", args = { "-f", "/dev/null", ... },
          tty = { rows = 24, cols = 80 }, env = { LC_ALL = "C.UTF-8", PS1 = "$ " },
          stdout = function(bytes) seen = seen .. bytes end }
        local waiting = contree.spawn(function() return sub:wait() end)
        return sub, waiting, function(text)
          local limit = core.now() + 30
          while not seen:find(text) do
            assert(core.now() < limit, seen)
            contree.sleep(0.02)
          end
        end
      end
      local sub, ending, await_text = attach("new", "sh")
      await_text("%[0%]")
      sub:write("cd /tmp; echo in-$PWD\n")
      await_text("in%-/tmp")
      assert.is_true(sub:close())
      ending:wait()
      sub, ending, await_text = attach("attach")
      await_text("in%-/tmp")
      sub:resize(30, 100)
      -- The shell may be told of it after tmux.
      sub:write("until [ \"$(stty size)\" = '29 100' ]; do sleep 0.05; done; echo re''sized\n")
      await_text("resized")
      sub:write("\2d")
      assert.are.equal(0, ending:wait().exit_code)
      op:cancel()
    end)

    it("a job of bash's, which is told of a hang-up", function()
      local op = image:start{ command = "sleep", args = { "600" } }
      local function there(path)
        local limit = core.now() + 30
        while op:spawn{ command = "cat", args = { path } }:wait().exit_code ~= 0 do
          assert(core.now() < limit, path)
        end
      end
      local sub = op:spawn{ command = "bash", args = { "--norc" }, tty = true }
      sub:write("sh -c 'trap \"echo > /tmp/told; exit\" HUP; echo > /tmp/began; "
        .. "while :; do sleep 0.05; done'\n")
      there("/tmp/began")
      assert.is_true(sub:close())
      there("/tmp/told")
      assert.are.equal(1, sub:wait().signal)
      op:cancel()
    end)

    it("tmux, with windows of its own", function()
      local p = open{ "tmux", "-f", "/dev/null", "new", "sh" }
      await(p, "%[0%]")
      typed(p, "tty\n", "/dev/pts/1")
      typed(p, "\2%", "\226\148\130") -- a line between two panes
      p:resize(30, 100)
      typed(p, "\2:", "%[43m")
      typed(p, "kill-session")
      typed(p, "\r", "%[exited%]")
      assert.are.equal(0, p:wait())
    end)
  end)
end)
