-- image:run, end to end: the Lua API on the embedded engine with real sandboxes.
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")

describe("image:run on the embedded engine", function()
  local client, directory, stop, busybox

  setup(function()
    client, directory, stop = home.client()
    busybox = client.images:use("busybox:latest")
  end)
  teardown(function() stop() end)

  local function write(name, data) return disk.write(directory .. "/" .. name, data) end

  it("runs a shell command", function()
    local result = busybox:run{ shell = "echo hello | tr a-z A-Z" }
    assert.are.equal("HELLO\n", result.stdout)
    assert.are.equal("", result.stderr)
    assert.are.equal(0, result.exit_code)
    assert.is_nil(result.uuid)
    assert.is_false(result.timed_out)
  end)

  it("takes a lone string for the shell command", function()
    assert.are.equal("4\n", busybox:run("echo $((2+2))").stdout)
  end)

  it("runs a command with arguments, untouched by a shell", function()
    local result = busybox:run{ command = "/bin/echo", args = { "a b", "$HOME", "*" } }
    assert.are.equal("a b $HOME *\n", result.stdout)
  end)

  it("finds a command in PATH", function()
    assert.are.equal("x\n", busybox:run{ command = "echo", args = { "x" } }.stdout)
  end)

  it("pipes stdin in", function()
    assert.are.equal("2\n", busybox:run{ shell = "wc -l", stdin = "a\nb\n" }.stdout)
  end)

  it("keeps every byte of binary input and output", function()
    local all = {}
    for byte = 0, 255 do all[#all + 1] = string.char(byte) end
    local data = table.concat(all):rep(1000)
    assert.is_true(busybox:run{ command = "cat", stdin = data }.stdout == data)
  end)

  it("A1: has streams that a program opens again by name", function()
    local command = "cat < /dev/stdin; echo a > /dev/stdout; echo b > /proc/self/fd/2; "
      .. "exec 5>/dev/stderr; echo c >&5"
    local result = busybox:run{ shell = command, stdin = "in\n" }
    assert.are.equal("b\nc\n", result.stderr)
    assert.are.equal("in\na\n", result.stdout)
    local process = busybox:popen({ "sh", "-c", command },
      { stdin = contree.PIPE, stdout = contree.PIPE, stderr = contree.PIPE })
    local out, err = process:communicate("in\n")
    assert.are.equal("b\nc\n", err)
    assert.are.equal("in\na\n", out)
  end)

  it("passes env and cwd", function()
    local result = busybox:run{ shell = 'echo "$GREETING from $PWD"', env = { GREETING = "hi" },
      cwd = "/tmp" }
    assert.are.equal("hi from /tmp\n", result.stdout)
  end)

  it("keeps stderr apart from stdout", function()
    local result = busybox:run{ shell = "echo out; echo err >&2" }
    assert.are.equal("out\n", result.stdout)
    assert.are.equal("err\n", result.stderr)
  end)

  it("reports a non-zero exit as a result, and raises with check", function()
    assert.are.equal(3, busybox:run{ shell = "exit 3" }.exit_code)
    local ok, err = pcall(busybox.run, busybox, { shell = "echo why >&2; exit 3", check = true })
    assert.is_false(ok)
    assert.are.equal("command_failed", err.kind)
    assert.are.equal(3, err.result.exit_code)
    assert.matches("why", tostring(err))
  end)

  it("answers 127 for a command that does not exist, 126 for one that cannot run", function()
    local result = busybox:run{ command = "no-such-command" }
    assert.are.equal(127, result.exit_code)
    assert.matches("no%-such%-command", result.stderr)
    assert.are.equal(126, busybox:run{ command = "/etc" }.exit_code)
  end)

  it("reports the signal that killed a command", function()
    local result = busybox:run{ shell = "kill -TERM $$" }
    assert.are.equal(15, result.signal)
    assert.are.equal(-1, result.exit_code)
    assert.is_false(result.timed_out)
  end)

  it("stops a command at its timeout, with the output so far", function()
    local result = busybox:run{ shell = "echo begun; setsid sleep 100 & sleep 100", timeout = 1 }
    assert.is_true(result.timed_out)
    assert.are.equal("begun\n", result.stdout)
    assert.are.equal("timeout", result.limit and result.limit.name or result.limit)
  end)

  it("ends when the main process ends, whatever holds its output", function()
    local result = busybox:run{ shell = "sleep 100 & echo done" , timeout = 50 }
    assert.are.equal("done\n", result.stdout)
    assert.is_false(result.timed_out)
  end)

  it("sends files in", function()
    local path = write("hello.txt", "from the host\n")
    assert.are.equal("from the host\n",
      busybox:run{ shell = "cat /hello.txt", files = { path } }.stdout)
    local result = busybox:run{
      shell = "cat /srv/in/a.txt /b.bin; stat -c '%a %u %g' /b.bin",
      files = { ["/srv/in/a.txt"] = path, ["/b.bin"] = { data = "B\n", mode = 493 } },
    }
    assert.are.equal("from the host\nB\n755 0 0\n", result.stdout)
  end)

  -- Without subordinate ids there is only one id in a sandbox (scripts/as-user).
  it("gives files and commands the owner asked for, where there is one to give", function()
    local options = { shell = "stat -c '%u %g' /f; id -u", uid = 5,
      files = { ["/f"] = { data = "", uid = 5, gid = 6 } } }
    if os.getenv("CONTREE_TEST_IDS") == "single" then
      local ok, err = pcall(busybox.run, busybox, options)
      assert.is_false(ok)
      assert.are.equal(400, err.status)
      assert.matches("/etc/subuid", tostring(err), 1, true)
    else
      assert.are.equal("5 6\n5\n", busybox:run(options).stdout)
    end
  end)

  it("A4: runs as a user of the image, by name", function()
    local made = busybox:run{ disposable = false, shell = "mkdir -p /home/app; "
      .. "echo 'app:x:0:0::/home/app:/bin/sh' > /etc/passwd; echo 'more:x:0:app' > /etc/group" }
    local who = 'echo "$(id -u):$(id -g) $HOME $USER"'
    assert.are.equal("0:0 /home/app app\n", made:run{ shell = who, user = "app" }.stdout)
    assert.are.equal("0:0 /home/app app\n", made:run{ shell = who, user = "app:more" }.stdout)
    if home.plain then
      assert.equal("not_supported", failure(made.run, made, { shell = who, user = true }).kind)
    else
      assert.are.equal("0:0 /home/app app\n", made:run{ shell = who, user = true }.stdout)
    end
    local process = made:popen({ "sh", "-c", who }, { user = "app", stdout = contree.PIPE })
    assert.are.equal("0:0 /home/app app\n", (process:communicate()))
    local err = failure(made.run, made, { shell = who, user = "nobody2" })
    assert.matches('no user "nobody2"', tostring(err), 1, true)
    local operation = made:start{ shell = "sleep 30" }
    assert.are.equal("0:0 /home/app app\n", operation:spawn{ shell = who, user = "app" }
      :wait().stdout)
    operation:cancel()
    if os.getenv("CONTREE_TEST_IDS") == "single" then return end
    made = busybox:run{ disposable = false, shell = "mkdir -p /home/app; "
      .. "echo 'app:x:1000:1001::/home/app:/bin/sh' > /etc/passwd; "
      .. "echo 'more:x:50:app' > /etc/group; chown 1000 /home/app" }
    assert.are.equal("1000:1001 /home/app app\n", made:run{ shell = who, user = "app" }.stdout)
    assert.are.equal("1001 50\n", made:run{ shell = "id -G", uid = 1000 }.stdout)
  end)

  it("sends one content once", function()
    local path = write("twice.txt", "the same")
    local first = client.files:upload(path)
    local second = client.files:upload(path)
    assert.are.equal(first.uuid, second.uuid)
  end)

  it("keeps what a command changed, and runs again from it", function()
    local kept = busybox:run{ shell = "echo 1 > /value", disposable = false }
    assert.is_string(kept.uuid)
    assert.is_true(kept.changed)
    assert.are.equal("1\n", kept:run("cat /value").stdout)
    assert.are.equal(1, busybox:run("cat /value").exit_code)
  end)

  it("gives the input's uuid when nothing changed", function()
    local kept = busybox:run{ shell = "echo 1 > /value", disposable = false }
    local same = kept:run{ shell = "cat /value", disposable = false }
    assert.are.equal(kept.uuid, same.uuid)
    assert.is_false(same.changed)
  end)

  it("says how to run from a disposable run", function()
    local gone = busybox:run("true")
    local ok, err = pcall(gone.run, gone, "true")
    assert.is_false(ok)
    assert.matches("disposable = false", tostring(err))
  end)

  it("tags the image it keeps", function()
    local kept = busybox:run{ shell = "echo x > /x", disposable = false, tag = "spec/tagged:v1" }
    assert.are.equal("spec/tagged:v1", kept.tag)
    local found = client.images:use("spec/tagged:v1", { strict = true })
    assert.are.equal(kept.uuid, found.uuid)
    assert.are.equal("x\n", found:run("cat /x").stdout)
  end)

  it("preserves env when asked", function()
    local kept = busybox:run{ shell = "echo > /x", env = { KEEP = "me" }, preserve_env = true,
      disposable = false }
    assert.are.equal("me\n", kept:run("echo $KEEP").stdout)
    assert.are.equal("you\n", kept:run{ shell = "echo $KEEP", env = { KEEP = "you" } }.stdout)
  end)

  it("runs as another user and under another name", function()
    local result = busybox:run{ shell = "hostname", hostname = "box" }
    assert.are.equal("box\n", result.stdout)
  end)

  it("shows deletions and replaced directories in later runs", function()
    local a = busybox:run{ shell = "mkdir /d && touch /d/1 /d/2", disposable = false }
    local b = a:run{ shell = "rm /d/1; rm -r /home; mkdir /home; touch /home/new",
      disposable = false }
    assert.are.equal("2\nnew\n", b:run("ls /d; ls /home").stdout)
    assert.are.equal("1\n2\n", a:run("ls /d").stdout)
  end)

  it("moves a session with every run and rolls it back", function()
    local session = busybox:session()
    session:run{ shell = "echo 1 >> /log" }
    session:run{ shell = "echo 2 >> /log" }
    session:run{ shell = "echo 3 >> /log" }
    assert.are.equal("1\n2\n3\n", session:run("cat /log").stdout)
    session:rollback(2)
    assert.are.equal("1\n2\n", session:read("/log"))
  end)

  it("branches one image in parallel", function()
    local base = busybox:run{ shell = "echo base > /f", disposable = false }
    local a, b = contree.gather(
      function() return base:run{ shell = "echo a >> /f; cat /f", disposable = false } end,
      function() return base:run{ shell = "echo b >> /f; cat /f", disposable = false } end)
    assert.are.equal("base\na\n", a.stdout)
    assert.are.equal("base\nb\n", b.stdout)
    assert.are_not.equal(a.uuid, b.uuid)
    assert.are.equal("base\na\n", a:run("cat /f").stdout)
  end)

  it("runs many at once from one loop", function()
    local list = {}
    for i = 1, 40 do
      list[i] = function() return tonumber(busybox:run("echo " .. i).stdout) end
    end
    local results = contree.gather(list, { concurrency = 20 })
    for i = 1, 40 do assert.are.equal(i, results[i]) end
  end)

  it("truncates long output and says so", function()
    local result = busybox:run{ shell = "head -c 100000000 /dev/zero" }
    assert.are.equal(1048576, #result.stdout)
    assert.is_true(result.stdout_truncated)
    local small = busybox:run{ shell = "echo 123456", truncate_output_at = 3 }
    assert.are.equal("123", small.stdout)
    assert.is_true(small.stdout_truncated)
    assert.is_false(small.stderr_truncated)
  end)

  it("delivers 100 MB of output when asked to", function()
    local result = busybox:run{ shell = "head -c 100000000 /dev/zero",
      truncate_output_at = 200000000 }
    assert.are.equal(100000000, #result.stdout)
    assert.is_false(result.stdout_truncated)
  end)

  it("cancels what a cancelled task started", function()
    local started = os.time()
    contree.async(function()
      local task = contree.spawn(function() return busybox:run("sleep 50") end)
      contree.sleep(0.3)
      task:cancel()
      local ok, err = pcall(task.wait, task)
      assert.is_false(ok)
      assert.are.equal("cancelled", err.kind)
    end)
    local deadline = os.time() + 10
    repeat
      local stat = client:whoami().operations_stat.running_instances
    until stat == 0 or os.time() > deadline
    assert.are.equal(0, client:whoami().operations_stat.running_instances)
    assert.is_true(os.time() - started < 40)
  end)

  -- Memory of a program that makes each image from the one before stays the same.
  it("keeps no result alive that nobody has any more", function()
    local alive = setmetatable({}, { __mode = "k" })
    local function three_runs(of)
      for i = 1, 3 do alive[of("echo " .. i .. " > /f")] = i end
    end
    local function count()
      for _ = 1, 3 do collectgarbage() end
      local number = 0
      for _ in pairs(alive) do number = number + 1 end
      return number
    end
    local at = busybox
    three_runs(function(shell)
      at = at:run{ shell = shell, disposable = false }
      return at
    end)
    assert.are.equal(1, count())
    local session = busybox:session()
    three_runs(function(shell) return session:run(shell) end)
    assert.are.equal(2, count())
    assert.are.equal(at:read("/f"), session:read("/f"))
  end)

  it("leaves no mount and no process behind", function()
    -- A number that no other suite uses at the same time.
    local seconds = ("86%d"):format(math.floor(core.now() * 1e6 % 1e9))
    busybox:run(("sleep %s & setsid sleep %s & true"):format(seconds, seconds))
    assert.are.equal("", disk.capture("grep " .. disk.quote(directory) .. " /proc/mounts"))
    assert.are.equal("", disk.capture("pgrep -f '[s]leep " .. seconds .. "'"))
  end)
end)
