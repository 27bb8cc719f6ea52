-- The program `contree`, as people and their scripts use it.
local disk = require("spec.support.disk")
local program = require("spec.support.program")

describe("contree", function()
  local directory, stop

  setup(function() directory, stop = program.place() end)
  teardown(function() stop() end)

  local function run(line, around) return program.run(directory, line, around) end

  local function ok(line, around) return program.ok(directory, line, around) end

  -- What it says when it fails, with that code.
  local function fails(code, line, around)
    local out, err, found = run(line, around)
    assert.are.equal(code, found, line .. ": " .. out .. err)
    return err
  end

  -- Types lines at a terminal, in turns with what it waits for; returns what was to be seen.
  local function at_terminal(line, turns)
    disk.write(directory .. "/turns", require("cjson").encode(turns))
    return disk.capture(("timeout 60 python3 spec/support/at_terminal.py %s/turns %s 2>&1")
      :format(directory, program.words(directory, line)))
  end

  -- Waits until no operation of that command runs.
  local function ends(command)
    for _ = 1, 50 do
      if not ok("ps"):find(command, 1, true) then return end
      os.execute("sleep 0.1")
    end
    error(command .. " still runs")
  end

  describe("run", function()
    it("has the streams and the exit code of the command", function()
      assert.are.equal("hi\n", ok("run busybox:latest -- echo hi"))
      assert.are.equal("-la\n", ok("run busybox:latest echo -la"))
      local out, err, code = run("run -s busybox:latest 'echo out; echo err >&2; exit 7'")
      assert.are.same({ "out\n", "err\n", 7 }, { out, err, code })
      fails(137, "run -s busybox:latest 'kill -9 $$'")
      assert.matches("command not found", fails(127, "run busybox:latest nosuch"))
      assert.matches("time is up", fails(124, "run --timeout 1 busybox:latest sleep 9"))
    end)

    it("reads files, pipes and nothing", function()
      local data = disk.write(directory .. "/in", ("\0\255line\n"):rep(200000))
      local same = { after = " | cmp - " .. data }
      ok("run busybox:latest cat", { input = "<" .. data, after = same.after })
      ok("run busybox:latest cat", { before = "cat " .. data .. " | ", input = "",
        after = same.after })
      assert.are.equal("b\n", ok("run busybox:latest cat", {
        before = "(echo a; echo b) >" .. directory .. "/two; exec 3<" .. directory
          .. "/two; read -r x <&3; ", input = "<&3" }))
      assert.are.equal("", ok("run busybox:latest cat"))
      assert.are.equal("0\n", ok("run -n busybox:latest wc -c", { before = "echo x | ",
        input = "" }))
    end)

    it("answers before the input has ended", function()
      local fifo = directory .. "/fifo"
      os.execute("mkfifo " .. fifo)
      assert.are.equal("first\n", ok("run busybox:latest head -n 1", {
        before = ("(echo first; read -r _ <%s) | "):format(fifo), input = "",
        after = (" | (head -n 1; echo done >%s)"):format(fifo) }))
    end)

    it("passes on what it is told", function()
      assert.are.equal("v /tmp box 65534 7\n", ok("run -e A=v -e SET_HERE -w /tmp --hostname box "
        .. "-u nobody -s busybox:latest 'echo $A $PWD $(hostname) $(id -u) $SET_HERE'",
        { before = "SET_HERE=7; export SET_HERE; " }))
      disk.write(directory .. "/file", "content")
      assert.are.equal("content", ok(("run -f %s/file:/etc/here busybox:latest cat /etc/here")
        :format(directory)))
      assert.matches("NAME=VALUE", fails(2, "run -e NOT_SET_ANYWHERE busybox:latest env"))
      assert.matches("no size", fails(2, "run --memory much busybox:latest env"))
      assert.matches("no time", fails(2, "run --timeout soon busybox:latest env"))
    end)

    it("keeps what it is asked to keep", function()
      ok("run -s busybox:latest 'touch /dropped'")
      local _, err = ok("run -t kept:one -s busybox:latest 'touch /here'")
      assert.matches("kept as kept:one", err)
      assert.are.equal("/here\n", ok("run kept:one ls -d /here"))
      fails(1, "run busybox:latest ls /dropped")
    end)

    it("prints JSON", function()
      local out = ok([[run --json -s busybox:latest 'printf "a\n"; printf "\377" >&2']])
      assert.matches('"stdout":"a\\n"', out, 1, true)
      assert.matches('"value":"/w=="', out, 1, true)
      assert.matches('"exit_code":0', out, 1, true)
    end)

    it("says what is wrong, with a code of its own", function()
      assert.matches("no command", fails(125, "run busybox:latest"))
      assert.matches("options come before the image",
        fails(2, "run busybox:latest -s 'echo x'"))
      assert.matches('the image comes before "--": contree run [OPTIONS] IMAGE -- COMMAND',
        fails(2, "run -k -- sh -c true"), 1, true)
      local err = fails(125, "--url unix:/nowhere run x true")
      assert.not_matches("traceback", err)
      assert.matches("^contree: ", err)
      assert.matches('"kind":"', fails(125, "--url unix:/nowhere --json run x true"))
    end)

    for signal, code in pairs{ INT = 130, TERM = 143, HUP = 129 } do
      it("cancels the command at SIG" .. signal, function()
        local line = program.words(directory, "run busybox:latest sleep 98")
        local out = disk.capture(([[%s </dev/null 2>/dev/null & pid=$!
          until %s | grep -q 'sleep 98'; do sleep 0.05; done
          kill -%s $pid; wait $pid; echo $?]]):format(line, program.words(directory, "ps"),
          signal))
        assert.are.equal(code .. "\n", out)
        ends("sleep 98")
      end)
    end

    it("ends when nobody reads", function()
      local out = disk.capture(("bash -c %s"):format(disk.quote(program.words(directory,
        "run busybox:latest yes") .. " </dev/null | head -n 1; echo ${PIPESTATUS[0]}")))
      assert.are.equal("y\n141\n", out)
      ends("yes")
    end)
  end)

  it("says what was probably meant", function()
    local meant = "did you mean busybox:latest?"
    assert.matches(meant, fails(1, "cat busybx:latest /etc/passwd"), 1, true)
    assert.matches(meant, fails(1, "rm busyboxx:latest"), 1, true)
    assert.is_nil(fails(1, "rm nothing:1"):find("did you mean", 1, true))
    -- An image that is not here is asked for at its registry; nobody listens there.
    ok("tag busybox:latest localhost:1/tools:v1")
    assert.matches("did you mean localhost:1/tools:v1?",
      fails(125, "run localhost:1/tols:v1 -- true"), 1, true)
    ok("rm localhost:1/tools:v1")

    assert.matches("-s lets", fails(127, "run busybox:latest -- 'ls | wc'"), 1, true)
    for _, line in ipairs{ "run busybox:latest -- nosuch", "run busybox:latest -- nosuch 'a b'",
      "run -s busybox:latest -- 'nosuch a'" } do
      assert.is_nil(fails(127, line):find("-s lets", 1, true))
    end
    local text = fails(1, "rollback -S nosuch")
    assert.matches("contree run -S nosuch IMAGE", text, 1, true)
  end)

  describe("on a folder", function()
    local folder, there

    setup(function()
      folder = directory .. "/project"
      there = { before = "cd " .. folder .. "; " }
      os.execute(("mkdir %s && cd %s && git init -q && echo hello >in && mkdir sub")
        :format(folder, folder))
    end)

    it("runs, shows, brings home and takes back", function()
      assert.matches("%-%-image", fails(125, "on -- ls", there))
      assert.are.equal("in\n", ok("on --image busybox:latest -- ls", there))
      ok("on . -s -- 'tr a-z A-Z <in >out; echo more >>in'", there)
      assert.are.equal("hello\n", disk.read(folder .. "/in"))
      local patch = ok("changes", there)
      assert.matches("+more", patch, 1, true)
      os.execute(("mkdir -p %s/copy; cp %s/in %s/copy"):format(directory, folder, directory))
      disk.write(directory .. "/patch", patch)
      os.execute(("cd %s/copy; git apply ../patch"):format(directory))
      assert.are.equal("hello\nmore\n", disk.read(directory .. "/copy/in"))
      assert.are.equal("M in\nA out\n", ok("changes --stat", there))
      assert.are.equal("A out\n", ok("changes --stat out", { before = "cd " .. folder .. "; " }))
      assert.are.equal("would write in\nwould write out\n", ok("apply --dry-run", there))
      ok("apply out -C " .. folder .. "/sub")
      assert.are.equal("hello\n", disk.read(folder .. "/in"))
      assert.are.equal("HELLO\n", disk.read(folder .. "/out"))
      ok("apply", there)
      assert.are.equal("hello\nmore\n", disk.read(folder .. "/in"))
      ok("undo", there)
      assert.are.equal("hello\n", disk.read(folder .. "/in"))
    end)

    it("takes back what it can, and its exit code says whether that was all", function()
      ok("on . -s -- 'echo theirs >changed; echo theirs >same'", there)
      ok("apply", there)
      disk.write(folder .. "/changed", "ours\n")
      local out, _, code = run("undo", there)
      assert.are.equal(1, code)
      assert.matches("changed", out, 1, true)
      assert.are.equal("ours\n", disk.read(folder .. "/changed"))
      assert.is_nil(disk.peek(folder .. "/same"))
      os.remove(folder .. "/changed")
      ok("on --prefer host -s -- 'rm -f changed same'", there)
    end)

    it("begins with an empty folder", function()
      local empty = directory .. "/empty"
      os.execute("mkdir " .. empty)
      assert.are.equal("/work\n", ok("on " .. empty .. " -i busybox:latest -- pwd"))
    end)

    it("says what is wrong", function()
      assert.matches("contree on %-%- make test", fails(125, "on make test", there))
      assert.matches("no command", fails(125, "on .", there))
      assert.matches("no command has run", fails(1, "changes -C " .. directory))
      assert.matches("no such", fails(1, "changes -C /nowhere"):lower())
    end)

    it("says what to do when others were quicker", function()
      local out = disk.capture(([[cd %s; %s 2>%s/first </dev/null & pid=$!; sleep 1
        %s </dev/null; wait $pid; echo $?]]):format(folder,
        program.words(directory, "on -s -- 'sleep 3; touch slow'"), directory,
        program.words(directory, "on -- touch quick")))
      assert.are.equal("125\n", out)
      local image = disk.read(directory .. "/first"):match("is the image (%S+)")
      assert.matches("slow", ok("ls -q " .. image .. " /work"))
      ok("on -s -- 'echo theirs >both'", there)
      disk.write(folder .. "/both", "ours\n")
      assert.matches("%-%-prefer host, or %-%-prefer sandbox", fails(125, "on -- true", there))
      assert.are.equal("ours\n", ok("on --prefer host -- cat both", there))
      os.remove(folder .. "/both")
      ok("on --prefer host -- rm quick", there)
    end)

    it("shows what was changed while a command runs, and is in nobody's way", function()
      local out = disk.capture(([[cd %s; %s 2>%s/first </dev/null & pid=$!; sleep 1
        echo edited > edited; %s </dev/null; %s </dev/null; wait $pid; echo $?]]):format(folder,
        program.words(directory, "on -s -- 'sleep 2; touch beside'"), directory,
        program.words(directory, "changes --stat"), program.words(directory, "log -q")))
      assert.matches("\n0\n$", out)
      assert.matches("A beside", ok("changes --stat", there), 1, true)
      assert.are.equal("edited\n", ok("on --prefer host -- cat edited", there))
      os.remove(folder .. "/edited")
      ok("on -- rm beside", there)
    end)

    it("says what may be harmful", function()
      ok("on -s -- 'mkdir -p .vscode; echo {} >.vscode/tasks.json'", there)
      assert.matches("A .vscode/tasks.json  (risky", ok("changes --stat", there), 1, true)
      fails(1, "apply", there)
      assert.is_nil(disk.peek(folder .. "/.vscode/tasks.json"))
      ok("apply --risky", there)
      assert.are.equal("{}\n", disk.read(folder .. "/.vscode/tasks.json"))
    end)
  end)

  describe("shell", function()
    it("has a terminal of the sandbox's own, and puts this one back", function()
      local seen = at_terminal("shell busybox:latest", { "[#$] ", "stty size; tty\r",
        "33 101\r\n/dev/pts/0", "[#$] ", "cat\r", "cat\r\n", "typed\r", "typed\r\ntyped",
        "\3", "\\^C", "[#$] ", "exit 5\r" })
      assert.matches("code 5, as before", seen)
    end)

    it("follows the size of the window", function()
      local seen = at_terminal("shell busybox:latest", { "[#$] ", "size 40 90", "stty size\r",
        "40 90", "[#$] ", "exit\r" })
      assert.matches("code 0, as before", seen)
    end)

    it("ends with a hang-up, and a kill leaves the terminal as it was", function()
      local seen = at_terminal("shell busybox:latest sleep 90", { "kill TERM" })
      assert.matches("code 143, as before", seen)
      ends("sleep 90")
    end)

    it("is not what mcp is for, which says so", function()
      local seen = at_terminal("mcp", { "Ctrl-D ends it", "\4" })
      assert.matches("code 0", seen)
      assert.equal("", select(2, ok("mcp")))
    end)

    it("is for people", function()
      assert.matches("no terminal", fails(125, "shell busybox:latest"))
    end)
  end)

  it("knows a session's history", function()
    ok("run -S demo -s busybox:latest 'echo 1 >/log'")
    ok("run -S demo -s busybox:latest 'echo 2 >>/log; touch /new'")
    ok("run -S demo -s busybox:latest 'echo 3 >>/log'")
    assert.are.equal("1\n2\n3\n", ok("cat -S demo @ /log"))
    assert.are.equal("1\n2\n", ok("cat -S demo @-1 /log"))
    assert.matches("@ %d+ echo 3 >>/log %(main%)", ok("log -S demo"))
    assert.matches("touch /new", ok("blame -S demo /new"), 1, true)
    assert.matches("touch /new", ok("bisect -S demo -- test ! -e /new"), 1, true)
    assert.are.equal("A /log\nA /new\n", ok("diff -S demo --stat"))
    ok("rollback -S demo 2")
    ok("branch -S demo other")
    ok("run -S demo -s busybox:latest 'echo other >>/log'")
    assert.are.equal("  main\n* other\n", ok("branch -S demo"))
    ok("checkout -S demo main")
    assert.are.equal("1\n", ok("cat -S demo @ /log"))
    local listed = ok("sessions")
    assert.matches("^SESSION +BRANCH +USED +LAST COMMAND\n", listed)
    assert.matches("\ndemo +main ", listed)
    ok("sessions --delete demo")
    assert.matches("contree sessions", fails(1, "sessions --delete demo"))
    assert.matches("no session", fails(1, "log -S demo"))
  end)

  it("knows images and their files", function()
    ok("run -t files:v1 -s busybox:latest 'mkdir /d; echo text >/d/a; ln -s a /d/link'")
    assert.matches("files:v1", ok("images"))
    assert.are.equal("files:v1\n", ok("images -q files"))
    assert.matches("%- files:v1  mkdir /d", ok("images --tree"))
    assert.are.equal("a\nlink\n", ok("ls -q files:v1 /d"))
    assert.matches("lrwxrwxrwx  root:root  1     link %-> a", ok("ls files:v1 /d"))
    assert.matches("contree pull nosuch:1 imports it", fails(1, "ls nosuch:1"), 1, true)
    assert.are.equal("text\n", ok("cat files:v1 /d/a"))
    assert.are.equal("/d/a:1:text\n", ok("grep -F text files:v1 /d"))
    fails(1, "grep -F te.t files:v1 /d")
    ok(("cp files:v1:/d %s/copied"):format(directory))
    assert.are.equal("text\n", disk.read(directory .. "/copied/link"))
    assert.are.equal("files:v2\n", ok(("cp -t files:v2 %s/copied files:v1:/e"):format(directory)))
    assert.are.equal("text\n", ok("cat files:v2 /e/a"))
    ok("rm files:v2")
    assert.matches("no image", fails(1, "cat files:v2 /e/a"))
    ok("tag files:v1 again:v1")
    ok(("export -o %s/tar again:v1"):format(directory))
    assert.matches("d/a", disk.capture(("tar tf %s/tar"):format(directory)))
    ok(("export --oci %s/oci again:v1"):format(directory))
    assert.matches("imageLayoutVersion", disk.read(directory .. "/oci/oci-layout"))
    ok(("import -t back:v1 %s/tar"):format(directory))
    assert.are.equal("text\n", ok("cat back:v1 /d/a"))
  end)

  -- They are work of the engine's own program: it must not take another server's images for its.
  it("exports, imports and collects nothing of the local engine where another server was chosen",
    function()
      disk.write(directory .. "/auth.ini", "[profile:far]\nurl = http://127.0.0.1:1\ntoken = t\n")
      local far = { before = "CONTREE_PROFILE=far " }
      for _, line in ipairs{ "export -o /dev/null busybox:latest", "import /dev/null", "gc" } do
        assert.matches("and commands go to http://127.0.0.1:1", fails(1, line, far), 1, true)
      end
      run("doctor", far)
      ok(("--data-dir %s/data gc"):format(directory), far)
      os.remove(directory .. "/auth.ini")
    end)

  it("knows operations", function()
    local id = ok("run -d busybox:latest sleep 97"):match("%S+")
    local listed = ok("ps")
    assert.matches("^OPERATION +STATUS +BEGAN +TOOK +COMMAND\n", listed)
    assert.matches("sleep 97", listed)
    assert.matches("nothing to stop", fails(1, "stop"))
    assert.are.equal(id .. "\n", ok("stop " .. id:sub(1, 20)))
    ends("sleep 97")
    assert.are.equal("", ok("ps -q"))
    assert.matches("contree ps", fails(1, "stop 0123"))
    id = ok("run -d -s busybox:latest 'echo late; exit 3'"):match("%S+")
    local out, _, code = run("wait " .. id)
    assert.are.same({ "late\n", 3 }, { out, code })
  end)

  it("pauses and shows what is used", function()
    local id = ok("run -d busybox:latest sleep 91"):match("%S+")
    ok("pause " .. id:sub(1, 20))
    assert.matches(id:gsub("%-", "%%-") .. " +PAUSED", ok("top"))
    ok("resume " .. id)
    assert.matches(id:gsub("%-", "%%-") .. " +EXECUTING +%d", ok("top --once"))
    ok("stop " .. id)
  end)

  it("makes a port of a sandbox one of this machine", function()
    local id = ok("run -d -s busybox:latest 'mkdir /w; echo page >/w/index.html; "
      .. "exec httpd -f -p 8000 -h /w'"):match("%S+")
    local address = ok("forward " .. id .. " 8000"):match("%S+")
    assert.are.equal("page\n", disk.capture(("for i in $(seq 50); do curl -sf http://%s/ && break; "
      .. "sleep 0.1; done"):format(address)))
    ok("stop " .. id)
  end)

  it("knows volumes and mounts", function()
    os.execute(("mkdir %s/there; echo shown >%s/there/shown"):format(directory, directory))
    assert.are.equal("shown\n", ok(("run -v cache:/c -m %s/there:/host -s busybox:latest "
      .. "'touch /c/x; cat /host/shown'"):format(directory)))
    assert.are.equal("x\n", ok("run -v cache:/c busybox:latest ls /c"))
    assert.matches("cache +%d", ok("volumes"))
    ok("volumes --quota 10M other:v1")
    assert.matches("other:v1 +%d+ +10M", ok("volumes"))
    ok("volumes --delete cache")
    assert.are.equal("other:v1\n", ok("volumes -q"))
    assert.matches("FROM:/PATH", fails(2, "run -v cache busybox:latest ls"))
  end)

  it("says what the disk is used for", function()
    local out = ok("df")
    assert.matches("\nlayers +[1-9]%d* +[%d.]+[KM] ", out)
    assert.matches('"layers":{', ok("df --json"), 1, true)
  end)

  it("prints one object of JSON a line", function()
    for _, line in ipairs{ "images -a", "ps -a", "ls busybox:latest", "status", "sessions" } do
      for each in ok(line .. " --json"):gmatch("[^\n]+") do
        assert.is_table(require("cjson").decode(each), line)
      end
    end
  end)

  it("keeps what people see free of control characters and, in pipes, of colour", function()
    ok([[run -t odd:v1 -s busybox:latest 'touch "$(printf "/\033[31mred\n")"']])
    assert.not_matches("\27", ok("ls odd:v1"))
    assert.not_matches("\27", ok("diff busybox:latest odd:v1"))
    local line = program.words(directory, "images")
    local shown = disk.capture("script -qec " .. disk.quote("TERM=xterm " .. line) .. " /dev/null")
    assert.matches("\27[1mIMAGE", shown, 1, true)
    shown = disk.capture("script -qec " .. disk.quote("NO_COLOR=1 " .. line) .. " /dev/null")
    assert.not_matches("\27", shown)
  end)

  it("helps", function()
    assert.matches("Commands:", ok("--help"))
    assert.matches("Commands:", ok(""))
    assert.matches("%-%-prefer", ok("on --help"))
    assert.matches("Did you mean 'run'", fails(2, "rnu"))
    assert.matches("unknown option", fails(2, "images --trea"))
    local checks = { bash = "bash -n", zsh = "grep -q compdef", fish = "grep -q complete" }
    for shell, check in pairs(checks) do
      ok("completion " .. shell, { after = " | " .. check })
    end
    assert.matches("^contree %d", ok("--version"))
  end)

  it("writes a profile without showing the token", function()
    assert.matches("no token", fails(1, "login"))
    disk.write(directory .. "/auth.ini", "[DEFAULT]\nprofile = old\n\n[profile:old]\ntoken = t\n")
    local err = fails(1, "login mine --service-url http://127.0.0.1:1",
      { before = "echo very-secret | ", input = "" })
    assert.not_matches("very%-secret", err)
    assert.not_matches("mine", disk.read(directory .. "/auth.ini"))
    -- Typed at a terminal.
    local line = "login mine --service-url http://127.0.0.1:1"
    local seen = at_terminal(line, { "Token: ", "very-secret\r" })
    assert.not_matches("very%-secret", seen)
    assert.matches("127.0.0.1", seen, 1, true)
    assert.matches("code 1, as before", seen)
    assert.matches("no token", at_terminal(line, { "Token: ", "\r" }))
    assert.matches("cancelled", at_terminal(line, { "Token: ", "x", "\3" }))
  end)
end)
