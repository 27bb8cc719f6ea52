-- The engine as a process: start, stop, kill, restart, command line.
local disk = require("spec.support.disk")
local socket = require("socket")
local wire = require("spec.support.wire")

describe("contree-engine serve", function()
  local engine

  before_each(function() engine = wire.start() end)
  after_each(function() engine:stop() end)

  local function image_with(text, base)
    return engine:run{ command = "echo " .. text .. " > /x", shell = true, disposable = false,
      image = base or "tag:busybox:latest" }.result_image_uuid
  end
  local function x(image)
    local operation = engine:run{ command = "cat", args = { "/x" }, image = image }
    return operation.metadata.result.stdout.value
  end

  it("E3: leaves when its data directory is removed, and says so once", function()
    local own = wire.start()
    own:run{ command = "true" }
    wire.run("rm -rf " .. own.data)
    wire.eventually("the engine to leave", function() return not own:is_alive() end)
    local log = disk.read(own.log)
    assert.matches("the data directory .* was removed: leaving", log)
    assert.is_true(#log < 1000, log)
    own:stop()
  end)

  it("comes back from kill -9 with every image it told of", function()
    local image = image_with("kept")
    local done = engine:run{ command = "echo done", shell = true }.uuid
    local uuid = engine:spawn{ command = "echo lost > /x; echo out; sleep 61234", shell = true,
      disposable = false }
    local connection = engine:follow(uuid, "?follow=1")
    wire.await(connection, "stdout")
    engine:kill("KILL")
    assert.is_nil(connection:frame())
    connection:close()
    engine:launch()
    assert.are.equal("kept\n", x(image))
    assert.are.equal("done\n",
      engine:get("/v1/operations/" .. done).json.metadata.result.stdout.value)
    local operation = engine:get("/v1/operations/" .. uuid).json
    assert.are.equal("FAILED", operation.status)
    assert.matches("engine stopped", operation.error)
    -- Its stream ends.
    local frames = engine:events(uuid, "?follow=1")
    assert.are.equal("completion", frames[#frames].event)
    assert.are.equal("FAILED", frames[#frames].data.data.status)
    wire.eventually("the run to die", function()
      return wire.run("pgrep -x -f 'sleep 61234'") == ""
    end)
    wire.eventually("the workspaces to be emptied", function() return engine:is_clean() end)
  end)

  it("gives a log that was cut an end, also when it was in a file", function()
    local uuid = engine:spawn{ command = "head -c 3000000 /dev/zero; sleep 60", shell = true,
      truncate_output_at = 100000000 }
    wire.eventually("the output", function()
      return wire.output_size(engine:events(uuid)) == 3000000
    end)
    engine:kill("KILL")
    -- As if the last write had been cut short.
    wire.run(("printf '{\"id\":99' >> %s/e/%s.log"):format(engine.data, uuid))
    engine:launch()
    for _ = 1, 2 do
      local frames = engine:events(uuid, "?follow=1")
      assert.are.equal(3000000, wire.output_size(frames))
      assert.are.equal("completion", frames[#frames].event)
      assert.are.equal(#frames - 1, frames[#frames].id)
    end
    local operation = engine:get("/v1/operations/" .. uuid).json
    assert.are.equal(3000000, wire.size(operation.metadata.result.stdout))
  end)

  it("keeps the promise of a key over a kill", function()
    local body = wire.spawn{ command = "echo once; sleep 60", shell = true, idempotency_key = "k" }
    local connection = engine:connect()
    connection:request("POST", "/v1/instances", { body = wire.json.encode(body),
      headers = { Prefer = "wait=60" } })
    wire.eventually("the run", function()
      return engine:get("/v1/whoami").json.operations_stat.running_instances == 1
    end)
    engine:kill("KILL")
    connection:close()
    engine:launch()
    local reply = engine:post("/v1/instances", body, { Prefer = "wait=60" })
    assert.are.equal("FAILED", reply.json.status)
  end)

  it("stops when told to: runs are cancelled, replies are sent", function()
    local connection = engine:connect()
    connection:request("POST", "/v1/instances", { headers = { Prefer = "wait=60" },
      body = wire.json.encode(wire.spawn{ command = "echo early; sleep 60", shell = true }) })
    local uuid = wire.eventually("the run", function()
      local one = engine:get("/v1/operations?status=EXECUTING").json[1]
      return one and #engine:events(one.uuid) >= 3 and one.uuid
    end)
    local follower = engine:follow(uuid, "?follow=1")
    engine:kill("TERM")
    local reply = connection:response()
    connection:close()
    assert.are.equal("CANCELLED", reply.json.status)
    assert.are.equal("early\n", reply.json.metadata.result.stdout.value)
    assert.are.equal("CANCELLED", wire.await(follower, "completion").data.data.status)
    follower:close()
    assert.are.equal("", wire.run("ls " .. engine.path .. " 2>/dev/null"))
    engine:launch()
    assert.are.equal("CANCELLED", engine:get("/v1/operations/" .. uuid).json.status)
  end)

  it("is one for a data directory", function()
    local output = wire.run(("contree-engine serve --data-dir %s --socket %s.2 2>&1; echo $?")
      :format(engine.data, engine.path))
    assert.matches("^contree%-engine: another contree%-engine %(pid " .. engine.pid .. "%)", output)
    assert.matches("lock", output)
    assert.matches("\n1$", output)
    assert.are.equal(200, engine:get("/v1/whoami").status)
  end)

  it("F13: puts its socket through no link that anybody could have made", function()
    local own = wire.run("mktemp -d")
    local function answer(directory)
      return wire.run(([[cd %s && mkdir -p data mine shared && chmod 700 data mine &&
        chmod 1777 shared && ln -sfn ../mine shared/link && ln -sfn mine link
        echo kept > mine/s.new
        timeout 2 contree-engine serve --data-dir $PWD/data --socket $PWD/%s/s 2>&1
        cat mine/s.new 2>&1]]):format(own, directory))
    end
    local output = answer("shared/link")
    assert.matches("shared/link is no directory, or a link where everybody can make one", output)
    assert.matches("\nkept$", output)
    -- A link in our own directory is trusted.
    assert.matches("s.new: No such file", answer("link"))
    wire.remove(own)
  end)

  it("takes a stale socket over", function()
    engine:kill("KILL")
    assert.are_not.equal("", wire.run("ls " .. engine.path))
    engine:launch()
    assert.are.equal(200, engine:get("/v1/whoami").status)
  end)

  it("leaves a socket alone that another engine took over", function()
    local other = wire.start()
    wire.run(("ln -f %s %s"):format(other.path, engine.path))
    engine:kill("TERM")
    assert.are.equal("there", wire.run(("test -S %s && echo there"):format(engine.path)))
    other:stop()
  end)
end)

describe("contree-engine", function()
  local directory

  setup(function() directory = wire.run("mktemp -d -t contree-spec-XXXXXX") end)
  teardown(function() wire.remove(directory) end)

  -- Returns the exit code and output of a command line.
  local function call(arguments, environment)
    local output = wire.run(("%s contree-engine %s 2>&1; echo \"[$?]\""):format(environment or "",
      arguments))
    local text, code = output:match("^(.-)%s*%[(%d+)%]$")
    return tonumber(code), text
  end

  it("explains itself", function()
    local code, text = call("")
    assert.are.equal(0, code)
    for _, command in ipairs{ "serve", "import", "doctor", "version", "help" } do
      assert.matches("\n  " .. command, text)
      local own_code, own = call(command .. " --help")
      assert.are.equal(0, own_code)
      assert.matches("^usage: contree%-engine " .. command, own)
      assert.are.equal(own, select(2, call("help " .. command)))
    end
    assert.matches("%-%-data%-dir DIR", select(2, call("serve -h")))
    assert.matches("^contree%-engine %d", select(2, call("version")))
  end)

  it("tells by doctor what is there, and the fix for what is not", function()
    local data = wire.run("mktemp -d -t contree-spec-XXXXXX")
    local code, text = call("doctor --data-dir " .. data)
    assert.are.equal(0, code, text)
    for _, what in ipairs{ "kernel", "data directory", "sandbox", "user ids", "seccomp" } do
      assert.matches("ok +" .. what, text)
    end
    local program = wire.run("command -v contree-engine")
    text = wire.run(("env PATH=/nonexistent %s doctor --data-dir %s"):format(program, data))
    assert.matches("limited +skopeo +[^\n]*Fix: ", text)
    assert.matches("limited +networking +[^\n]*Fix: ", text)
    wire.remove(data)
  end)

  it("runs and unpacks nothing where it may not have namespaces, and says why", function()
    if wire.run("id -u") ~= "0" then pending("needs root") end
    -- The kernel makes no user namespaces in a chroot, and without the capability this
    -- root cannot leave it.
    local root = wire.run("mktemp -d -t contree-spec-XXXXXX")
    local prefix = ([[unshare -m sh -c 'mount --rbind / %s && exec chroot %s setpriv \
      --bounding-set -sys_chroot -- "$@"' sh]])
      :format(root, root)
    local engine = wire.start("", prefix)
    local operation = engine:run{ command = "true" }
    assert.are.equal("FAILED", operation.status)
    assert.matches("user namespaces are not allowed here", operation.error, 1, true)
    wire.run(("tar -C / -cf %s/x.tar etc/hostname"):format(engine.directory))
    local text = wire.run(("%s contree-engine import %s/x.tar --data-dir %s/other 2>&1")
      :format(prefix, engine.directory, engine.directory))
    assert.matches("cannot make a user namespace to unpack in", text, 1, true)
    text = wire.run(("%s contree-engine doctor --data-dir %s 2>&1"):format(prefix, engine.data))
    assert.matches("missing +sandbox +user namespaces are not allowed here", text)
    engine:stop()
    wire.run("rmdir " .. root)
  end)

  -- Installers and package builders use such a chroot. Only root can leave it, and nobody
  -- can make a user namespace in it.
  it("E10: makes sandboxes in a chroot that is no mount point", function()
    if wire.run("id -u") ~= "0" then return end
    local root = wire.run("mktemp -d")
    local text = wire.run(([[cd %s && mkdir -p bin proc dev tmp data t/x && chmod 700 data &&
      engine=$(command -v contree-engine) && cp $engine /bin/busybox bin/ &&
      for l in $(ldd $engine | grep -o '/[^ ]*'); do mkdir -p .${l%%/*} && cp -L $l .$l; done
      echo unpacked > t/x/f && tar cf t.tar -C t x && touch dev/null &&
      unshare -m sh -c 'mount -t proc proc proc && mount --bind /dev/null dev/null &&
        chroot . /bin/contree-engine import /t.tar --tag t:1 --data-dir /data >/dev/null &&
        chroot . /bin/contree-engine doctor --data-dir /data --socket /tmp/s']]):format(root))
    assert.matches("ok +sandbox +user,mount,pid,", text)
    wire.remove(root)
  end)

  it("tells in the doctor what keeps sandboxes from being made", function()
    -- This root may not read the directories of other users, so it gets a copy of the engine.
    local report = wire.run([[d=$(mktemp -d) && cp $(command -v contree-engine) $d
      mkdir -m 700 $d/data
      unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces &&
        '$d'/contree-engine doctor --data-dir '$d'/data 2>&1'; rm -rf $d]])
    assert.matches("missing +sandbox .* Fix: sudo sysctl %-w user%.max_user_namespaces=", report)
  end)

  it("E4: the doctor refuses what serve refuses", function()
    local open, other = directory .. "/doctor-open", directory .. "/doctor"
    wire.run("mkdir -m 755 " .. open)
    for arguments, what in pairs{
      ["--data-dir " .. open] = "data directory",
      ["--data-dir /proc/none"] = "data directory",
      [("--data-dir %s --socket %s/s"):format(other, open .. ("/s"):rep(60))] = "socket",
      [("--data-dir %s --socket /proc/none/s"):format(other)] = "socket",
    } do
      local code, text = call("doctor " .. arguments)
      assert.are.equal(1, code, text)
      assert.matches("missing +" .. what, text)
      local problem = text:match("missing +" .. what .. " +([^\n]+)"):sub(1, 30)
      local refused, why = call("serve " .. arguments)
      assert.are.equal(1, refused)
      assert.matches(problem, why, 1, true)
    end
  end)

  it("E4: the doctor sees a full disk", function()
    if wire.run("id -u") ~= "0" then pending("needs root") end
    local text = wire.run(([[unshare -m sh -c 'mkdir -p %s/full &&
      mount -t tmpfs -o size=1M,mode=700 full %s/full && head -c 900000 /dev/zero >%s/full/x
      contree-engine doctor --data-dir %s/full']]):format(directory, directory, directory,
      directory))
    assert.matches("missing +disk +cannot write to [^\n]+No space left on device", text)
  end)

  it("E4: the doctor offers subordinate ids that nobody has", function()
    if wire.run("id -u") ~= "0" then pending("needs root") end
    local text = wire.run(([[unshare -m sh -c '
      printf "a:100000:65536\nb:165536:65536\nc:250000:1000000\n" >%s/subuid
      printf "b:231072:100\n" >%s/subgid
      mount --bind %s/subuid /etc/subuid && mount --bind %s/subgid /etc/subgid
      d=$(mktemp -d -p /tmp contree-spec-XXXXXX) && chown 65533 $d
      cp $(command -v contree-engine) $d && setpriv --reuid 65533 --regid 65533 --clear-groups \
        env XDG_RUNTIME_DIR= $d/contree-engine doctor --data-dir $d --socket $d/s; rm -r $d' 2>&1]])
      :format(directory, directory, directory, directory))
    assert.matches("limited +user ids .*%-%-add%-subuids 1250000%-1315535 %-%-add%-subgids "
      .. "1250000%-1315535", text)
  end)

  it("E4: the doctor advises systemd only where it is", function()
    local text = wire.run("contree-engine doctor --data-dir " .. directory .. "/doctor")
    if wire.run("test -d /run/systemd/system && echo yes") ~= "yes" then
      assert.is_nil(text:find("systemd-run", 1, true), text)
    end
  end)

  it("E5: suggests a command only when it is near, and none that deletes", function()
    for _, name in ipairs{ "ps", "list", "run", "g", "gcc", "purg", "purge-all", "images" } do
      local code, text = call(name)
      assert.are.equal(2, code)
      assert.matches(('no command "%s"'):format(name), text, 1, true)
      assert.is_nil(text:find("did you mean", 1, true), text)
    end
    assert.matches('did you mean "doctor"', select(2, call("docter")), 1, true)
  end)

  it("E5: help of what is no command is refused", function()
    local code, text = call("help nosuch")
    assert.are.equal(2, code)
    assert.matches('no command "nosuch"', text, 1, true)
    assert.matches('did you mean "import"', select(2, call("help improt")), 1, true)
  end)

  it("E5: takes options before the command", function()
    local data = directory .. "/before"
    for _, arguments in ipairs{ "--data-dir %s doctor", "--data-dir=%s doctor" } do
      local code, text = call(arguments:format(data))
      assert.are.equal(0, code, text)
      assert.matches("data directory   " .. data .. "\n", text, 1, true)
    end
    local code, text = call("--data-dir " .. data)
    assert.are.equal(2, code)
    assert.matches("the command is missing", text)
    assert.matches("no option %-%-socket", select(2, call("--socket x version")))
  end)

  it("names the nearest when it does not know a name", function()
    local code, text = call("srve")
    assert.are.equal(2, code)
    assert.matches('no command "srve"; did you mean "serve"', text)
    code, text = call("serve --data-dri x")
    assert.are.equal(2, code)
    assert.matches("no option %-%-data%-dri; did you mean %-%-data%-dir", text)
    assert.matches("%-%-tag", select(2, call("import x --tga y")))
  end)

  it("says what is wrong with a value", function()
    for arguments, pattern in pairs{
      ["serve --data-dir"] = "wants a value", ["serve --idle-exit x"] = "wants seconds",
      ["serve --idle-exit -1"] = "wants seconds", ["serve --ready-fd x"] = "descriptor",
      ["serve --runtime dockr"] = "native", ["serve --nice 20"] = "from 0 to 19",
      ["serve --nice -1"] = "from 0 to 19", ["serve extra"] = "extra",
      ["serve --listen 127.0.0.1:0"] = "token%-file", ["import"] = "FILE" } do
      local code, text = call(arguments)
      assert.are.equal(2, code, arguments)
      assert.matches(pattern, text)
      assert.is_nil(text:find("\n"), text)
    end
  end)

  it("says in one line why it cannot start", function()
    wire.run(("mkdir -m 755 %s/open; touch %s/file"):format(directory, directory))
    local long = directory .. "/" .. ("x"):rep(100)
    for arguments, pattern in pairs{
      ["--data-dir " .. directory .. "/open"] = "chmod 700",
      ["--data-dir " .. directory .. "/file"] = "/file",
      ["--data-dir " .. directory .. "/d --socket " .. long] = "longer than",
      ["--data-dir " .. directory .. "/d --socket " .. directory .. "/file/s"] = "/file",
      ["--data-dir " .. directory .. "/d --listen nonsense --token-file /dev/null"] = "token",
    } do
      local code, text = call("serve " .. arguments)
      assert.are.equal(1, code, arguments .. ": " .. text)
      assert.matches(pattern, text)
      assert.matches("^contree%-engine: [^\n]*$", text:match("[^\n]*$"))
    end
  end)

  it("leaves when it has been idle", function()
    local engine = wire.start("--idle-exit 1")
    engine:run{ command = "true" }
    wire.eventually("it to leave", function() return not engine:is_alive() end)
    assert.are.equal("", wire.run("ls " .. engine.path .. " 2>/dev/null"))
    engine:stop()
  end)

  it("does not leave while something runs", function()
    local engine = wire.start("--idle-exit 1")
    local uuid = engine:spawn{ command = "sleep 3; echo still", shell = true }
    socket.sleep(2)
    assert.is_true(engine:is_alive())
    assert.are.equal("still\n", engine:wait(uuid).metadata.result.stdout.value)
    engine:stop()
  end)

  it("tells when clients may come", function()
    local command = [[exec 3>%s/ready; contree-engine serve --data-dir %s/r --socket %s/r.sock \
      --ready-fd 3 >/dev/null 2>&1 & echo $!]]
    local pid = wire.run(command:format(directory, directory, directory))
    wire.eventually("the ready byte", function()
      return #disk.read(directory .. "/ready") == 1
    end)
    assert.are.equal("srw-------", wire.run(("stat -c %%A %s/r.sock"):format(directory)))
    wire.run(("kill %s; %s"):format(pid, disk.wait_for_end(pid)))
  end)

  it("imports an archive", function()
    wire.run(([[mkdir -p %s/root/bin; cp /bin/busybox %s/root/bin/sh; echo hi > %s/root/hello
      tar -C %s/root -cf %s/root.tar .]]):format(directory, directory, directory, directory,
      directory))
    local code, uuid = call(("import %s/root.tar --tag mine:1 --data-dir %s/i"):format(directory,
      directory))
    assert.are.equal(0, code, uuid)
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", uuid)
    local again = wire.run(("contree-engine import - --data-dir %s/i < %s/root.tar 2>&1")
      :format(directory, directory))
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", again)
    local engine = wire.start()
    engine:kill("TERM")
    wire.remove(engine.data)
    wire.run(("mv %s/i %s"):format(directory, engine.data))
    engine:launch()
    local operation = engine:run{ command = "sh", args = { "-c", "read x < /hello; echo $x" },
      image = "tag:mine:1" }
    assert.are.equal("hi\n", operation.metadata.result.stdout.value)
    assert.are.equal(uuid, operation.image_uuid)
    engine:stop()
  end)

  it("E2: finds the engine that serves a data directory, wherever that listens", function()
    local engine = wire.start()
    wire.run(("tar -C / -cf %s/hostname.tar etc/hostname"):format(directory))
    local import = ("import %s/hostname.tar --tag found:1 --data-dir %s"):format(directory,
      engine.data)
    local code, uuid = call(import)
    assert.are.equal(0, code, uuid)
    assert.are.equal(uuid, engine:get("/v1/images?tag=found:1").json.images[1].uuid)
    local busy, why = call(import .. " --socket " .. directory .. "/none.sock")
    assert.are.equal(1, busy)
    assert.matches("an engine serves the data directory, but not on " .. directory
      .. "/none.sock", why, 1, true)
    engine:stop()
  end)

  it("E2: looks for data and socket where the module does", function()
    local engine = require("contree.wire.engine")
    local runtime = directory .. "/run"
    wire.run("mkdir -m 700 " .. runtime)
    for _, environment in ipairs{
      { HOME = directory .. "/h" }, { HOME = directory .. "/h", XDG_RUNTIME_DIR = runtime },
      { HOME = directory .. "/h", XDG_RUNTIME_DIR = "relative" },
      { HOME = directory .. "/h", XDG_RUNTIME_DIR = runtime .. ("/."):rep(40) },
      { HOME = directory .. "/h", XDG_DATA_HOME = directory .. "/x", XDG_RUNTIME_DIR = runtime },
      { HOME = directory .. "/h", XDG_DATA_HOME = "x" },
      { HOME = directory .. "/h", CONTREE_DATA_DIR = directory .. "//c/./d/",
        XDG_RUNTIME_DIR = runtime },
      { HOME = directory .. "/h", CONTREE_DATA_DIR = directory .. "/h/.local/share/contree",
        XDG_RUNTIME_DIR = runtime },
      { HOME = directory .. "/h", CONTREE_DATA_DIR = "", XDG_RUNTIME_DIR = "" },
      { XDG_RUNTIME_DIR = runtime },
    } do
      local words = {}
      for name, value in pairs(environment) do words[#words + 1] = name .. "='" .. value .. "'" end
      local report = wire.run(("env -i PATH=\"$PATH\" %s contree-engine doctor"):format(
        table.concat(words, " ")))
      local place = engine.new({}, function(name) return environment[name] end)
      local said = table.concat(words, " ") .. "\n" .. report
      assert.are.equal(place.data_dir, report:match("data directory +([^\n]+)"), said)
      assert.are.equal(place.socket, report:match("socket +([^\n]+)"), said)
    end
    local code, text = call("doctor --data-dir " .. directory .. "/other")
    assert.are.equal(0, code)
    assert.matches(engine.new{ data_dir = directory .. "/other" }.socket, text, 1, true)
  end)

  it("E1: imports what is written slowly, through an engine and without", function()
    local engine = wire.start()
    wire.run(("tar -C / -cf %s/slow.tar etc/hostname"):format(directory))
    -- 11 seconds: there was once a limit of ten.
    local text = wire.run(("for data in %s %s/slow; do { sleep 11; cat %s/slow.tar; } | "
      .. "contree-engine import - --data-dir $data 2>&1 & done; wait")
      :format(engine.data, directory, directory))
    local uuid = "%x+%-%x+%-%x+%-%x+%-%x+"
    assert.matches(("^%s\n%s$"):format(uuid, uuid), text)
    engine:stop()
  end)

  it("E1: gives up a FIFO without a writer when the command is gone", function()
    local engine = wire.start()
    wire.run(("mkfifo %s/silent; timeout 1 contree-engine import %s/silent --data-dir %s; true")
      :format(directory, directory, engine.data))
    wire.eventually("the engine to close the FIFO", function()
      return wire.run(("ls -l /proc/%d/fd | grep -c silent"):format(engine.pid)) == "0"
    end)
    engine:stop()
  end)

  it("refuses what is no archive", function()
    local code, text = call(("import /bin/sh --data-dir %s/n"):format(directory))
    assert.are.equal(1, code)
    assert.matches("^contree%-engine: ", text)
    assert.are.equal(1, (call(("import /no/such --data-dir %s/n"):format(directory))))
  end)
end)
