-- Sandboxes made by an OCI runtime: what runs can do, the error when there is no runtime,
-- and that a missing wall is noticed. spec/c/sandbox/test_escape.c runs with a runtime,
-- too.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

local function walls(found) return table.concat(found.isolation, " ") end

describe("--runtime crun", function()
  local engine

  setup(function() engine = wire.start("--runtime crun") end)
  teardown(function() engine:stop() end)

  local function sh(command, options)
    options = options or {}
    options.command, options.shell = command, true
    local operation = engine:run(options)
    assert.are.equal("SUCCESS", operation.status, operation.error)
    return operation.metadata.result, operation
  end

  it("makes the sandboxes, and says so", function()
    local found, operation = sh("echo hi; hostname; cat; exit 3",
      { stdin = { value = "in" }, hostname = "box" })
    assert.are.equal("hi\nbox\nin", found.stdout.value)
    assert.are.equal(3, found.state.exit_code)
    for _, wall in ipairs{ "mount", "pid", "net", "seccomp", "capabilities", "runtime:crun" } do
      assert.matches(wall, walls(found), 1, true)
    end
    local init = engine:events(operation.uuid)[1].data.data
    assert.matches("/crun$", init.runtime_path)
  end)

  it("keeps images, which the native launcher runs and keeps as well", function()
    local _, first = sh("echo one > /f; rm /bin/yes; mkdir /d; chown 1:1 /d 2>/dev/null; echo",
      { disposable = false })
    local _, second = sh("cat /f; test ! -e /bin/yes; echo $?; echo two > /f; rm -r /d; mkdir /d",
      { disposable = false, image = first.result_image_uuid })
    assert.are.equal("one\n0\n", second.metadata.result.stdout.value)
    local _, same = sh("cat /f", { disposable = false, image = second.result_image_uuid })
    assert.are.equal(second.result_image_uuid, same.result_image_uuid)
    engine:kill("TERM")
    engine:launch("--runtime native")
    local found, third = sh("cat /f; ls -A /d; test ! -e /bin/yes && echo three > /d/x",
      { disposable = false, image = second.result_image_uuid })
    assert.are.equal("two\n", found.stdout.value)
    assert.is_nil(walls(found):find("runtime", 1, true))
    engine:kill("TERM")
    engine:launch("--runtime crun")
    assert.are.equal("three\n", sh("cat /d/x", { image = third.result_image_uuid }).stdout.value)
  end)

  it("gets files, runs as other users", function()
    local reply = engine:request("POST", "/v1/files", { body = "#!/bin/sh\nid -u; id -g\n" })
    local found = sh("stat -c '%a %u' /opt/x/run; /opt/x/run", {
      uid = engine:id(7), gid = engine:id(8),
      files = { ["/opt/x/run"] = { uuid = reply.json.uuid, mode = "0755" } } })
    assert.are.equal(("755 0\n%d\n%d\n"):format(engine:id(7), engine:id(8)), found.stdout.value)
  end)

  it("mounts volumes, and directories of the host read-only", function()
    local folder = disk.directory()
    disk.write(folder .. "/f", "content\n")
    disk.capture("chmod 755 " .. folder)
    local volumes = { ["/a/cache"] = "shared" }
    local found = sh([[cat /data/f; echo x > /a/cache/f; echo y > /data/f
      grep -c -e ' /a/cache .*nosuid,nodev' -e ' /data .*ro,nosuid,nodev,noexec' /proc/mounts]],
      { volumes = volumes, mounts = { ["/data"] = { path = folder, noexec = true } } })
    assert.are.equal("content\n2\n", found.stdout.value)
    assert.matches("Read%-only", found.stderr.value)
    assert.are.equal("content\n", disk.read(folder .. "/f"))
    local id = engine:id(7)
    assert.are.equal("x\n", sh("cat /b/f", { volumes = { ["/b"] = "shared" } }).stdout.value)
    assert.are.equal(("%d 0\n"):format(id), sh("echo $(stat -c %u /mine) $(ls -A /mine | wc -l)",
      { volumes = { ["/mine"] = "mine" }, uid = id, gid = id }).stdout.value)
    local _, image = sh("ln -s /proc /p; ln -s /dev/shm /s; ln -s / /r", { disposable = false })
    for _, target in ipairs{ "/p/x", "/s", "/r" } do
      local operation = engine:run{ command = "true", image = image.result_image_uuid,
        volumes = { [target] = "astray" } }
      assert.are.equal("FAILED", operation.status)
      assert.matches("cannot mount at " .. target, operation.error)
    end
    disk.remove(folder)
  end)

  it("has subprocesses, standard input while it runs, signals", function()
    local uuid = engine:spawn{ command = "read x; echo got $x", shell = true,
      stdin = { value = "", close = false } }
    local stream = engine:follow(uuid, "?follow=1")
    wire.await(stream, "spawn")
    local processes = ("/v1/operations/%s/subprocesses"):format(uuid)
    local spid = engine:post(processes, { command = "sleep", args = { "60" } }).json.spid
    assert.are.equal(204,
      engine:request("DELETE", ("%s/%d?signal=INT"):format(processes, spid)).status)
    wire.eventually("the signal", function()
      return engine:get(("%s/%d"):format(processes, spid)).json.state.signal == 2
    end)
    engine:post(processes .. "/1/stdin", { value = "word\n", close = true })
    assert.are.equal("got word\n", wire.await(stream, "stdout").data.data.value)
    stream:close()
    assert.are.equal("SUCCESS", engine:wait(uuid).status)
  end)

  it("ends at its timeout, when cancelled, and takes what is in the background along", function()
    local found = sh("echo early; sleep 60", { timeout = 1 })
    assert.are.equal("timeout", found.limit)
    assert.are.equal("early\n", found.stdout.value)
    assert.are.equal(2, sh("sleep 71234 & sleep 71234 & true").background_killed)
    local uuid = engine:spawn{ command = "sleep 71234", shell = true }
    wire.await(engine:follow(uuid, "?follow=1"), "spawn")
    engine:request("DELETE", "/v1/operations/" .. uuid)
    assert.are.equal("CANCELLED", engine:wait(uuid).status)
    wire.eventually("the processes to die", function()
      return wire.run("pgrep -x -f 'sleep 71234'") == ""
    end)
  end)

  it("keeps limits, of which the runtime takes nothing", function()
    if not engine:has_limits() then
      local reply = engine:post("/v1/instances",
        wire.spawn{ command = "true", resources_limits = { pids = 5 } })
      assert.are.equal(422, reply.status)
      return
    end
    local found = sh("head -c 67108864 /dev/zero | tail -c 67108864; sleep 50",
      { timeout = 50, resources_limits = { memory_bytes = 33554432 } })
    assert.are.equal("memory", found.limit)
    found = sh("cat /proc/self/cgroup; nproc; for i in 1 2 3 4 5 6 7 8; do sleep 9 & done",
      { resources_limits = { pids = 4, cpus = 0.5 } })
    assert.are.equal("pids", found.limit)
    assert.is_nil(wire.bytes(found.stdout):find("contree", 1, true))
    assert.matches("\n1\n$", wire.bytes(found.stdout))
    -- Only the command counts towards a limit, so a small limit is enough for a small one.
    found = sh("sleep 0 & wait; echo fine", { resources_limits = { pids = 2,
      memory_bytes = 4194304 } })
    assert.are.equal("fine\n", found.stdout.value)
  end)

  it("has no network unless it asks for one", function()
    local list = "ip -o link | wc -l; ip route; grep ^nameserver /etc/resolv.conf"
    assert.are.equal("1\n", sh(list).stdout.value)
    local operation = engine:run{ command = list, shell = true, networking = { enabled = true } }
    if operation.status == "SUCCESS" then
      local text = operation.metadata.result.stdout.value
      assert.matches("^2\n", text)
      assert.matches("default via 10.0.2.2", text)
      assert.matches("nameserver 10.0.2.3", text)
    else -- this machine lacks slirp4netns or /dev/net/tun
      assert.matches("networking", operation.error)
    end
  end)

  it("is what a request may insist on", function()
    local function status(runtime)
      local reply = engine:post("/v1/instances", wire.spawn{ command = "true" },
        { ["Contree-Runtime"] = runtime, Prefer = "wait=30" })
      return reply.status, reply.json.error
    end
    local path = wire.run("command -v crun")
    assert.are.equal(201, (status("crun")))
    assert.are.equal(201, (status(path)))
    for _, other in ipairs{ "native", "runc", "/no/such/crun", "cru" } do
      local code, message = status(other)
      assert.are.equal(409, code)
      assert.matches(("runtime %s, not with %s"):format(path, other), message, 1, true)
      assert.matches("kill " .. engine.pid, message, 1, true)
    end
  end)

  -- The processes that descend from the engine.
  local function descendants()
    local pids = wire.run(([[f() { for c in $(cat /proc/$1/task/*/children 2>/dev/null); do
      echo $c; f $c; done; }; f %d]]):format(engine.pid))
    return (pids:gsub("\n", ","))
  end
  local function sleep()
    local uuid = engine:spawn{ command = "echo lost > /x; sleep 81234", shell = true,
      disposable = false }
    wire.await(engine:follow(uuid, "?follow=1"), "spawn")
    return uuid
  end

  it("leaves nothing behind when the engine is killed", function()
    local uuid = sleep()
    local function left(pids)
      -- The state of a container is in a tmpfs of its cell, so it is not in these places.
      return wire.run(("ps -o pid=,args= -p %s; ls -d /run/crun/contree /run/runc/contree "
        .. "/run/user/*/crun/contree 2>/dev/null; grep -F %s /proc/mounts; "
        .. "grep -E '^overlay /(mnt|media|srv|tmp)/new' /proc/mounts")
        :format(pids, engine.directory))
    end
    local pids = descendants()
    assert.matches("crun .*run.*\n.*sleep 81234", left(pids))
    engine:kill("KILL")
    wire.eventually("the runtime and its sandbox to die", function() return left(pids) == "" end)
    engine:launch("--runtime crun")
    assert.are.equal("FAILED", engine:get("/v1/operations/" .. uuid).json.status)
    wire.eventually("the workspaces to be emptied", function() return engine:is_clean() end)
    assert.are.equal("again\n", sh("echo again").stdout.value)
  end)

  it("ends a run whose runtime is killed, with all that was in it", function()
    local uuid = sleep()
    local pids = descendants()
    wire.run(("kill -KILL $(ps -o pid=,comm= -p %s | sed -n 's/ crun$//p')"):format(pids))
    local operation = engine:wait(uuid)
    assert.are.equal("FAILED", operation.status)
    assert.matches("ended unexpectedly", operation.error)
    assert.are.equal("", wire.run(("ps -o args= -p %s | grep 'sleep 81234'"):format(pids)))
  end)
end)

describe("a runtime", function()
  local directory

  setup(function()
    directory = wire.run("d=$(mktemp -d -t contree-spec-XXXXXX); chmod 755 $d; echo $d")
  end)
  teardown(function() wire.remove(directory) end)

  -- Writes a program that plays crun, and does something else.
  local function write_program(name, text)
    local path = disk.write(directory .. "/" .. name, "#!/bin/sh\n" .. text)
    wire.run("chmod 755 " .. path)
    return path
  end

  local function serve(arguments)
    local output = wire.run(("contree-engine serve --data-dir %s/data --socket %s/s %s 2>&1; "
      .. "echo \"[$?]\""):format(directory, directory, arguments))
    local text, code = output:match("^(.-)%s*%[(%d+)%]$")
    return tonumber(code), text
  end

  it("that is not there is named at the start, with the fix", function()
    for _, name in ipairs{ "no-such-runtime", "/no/such/crun", "/etc/passwd", directory } do
      local code, text = serve("--runtime " .. name)
      assert.are.equal(2, code)
      assert.matches(('no runtime "%s"'):format(name), text, 1, true)
      assert.matches("apt-get install crun", text, 1, true)
      assert.is_nil(text:find("\n"), text)
    end
  end)

  it("is also taken from the environment, which the command line overrules", function()
    local function try(arguments)
      return wire.run(("CONTREE_RUNTIME=nonsense contree-engine %s --data-dir %s/env 2>&1")
        :format(arguments, directory))
    end
    assert.matches('no runtime "nonsense"', try("serve"))
    local report = try("doctor --runtime native")
    assert.matches("\nok +sandbox", report)
    assert.is_nil(report:find("runtime", 1, true))
  end)

  it("that makes no sandbox is refused at the start, in its own words", function()
    local words = write_program("talkative", "echo 'no luck today' >&2\nexit 1\n")
    local code, text = serve("--runtime " .. words)
    assert.are.equal(1, code)
    assert.matches("talkative cannot make the sandbox: no luck today. Fix it", text, 1, true)
    assert.matches("doctor --runtime talkative", text, 1, true)
    code, text = serve("--runtime " .. write_program("silent", "exit 7\n"))
    assert.are.equal(1, code)
    assert.matches("silent made no sandbox, ended with code 7 and said nothing", text, 1, true)
    assert.are.equal("", wire.run(("ls -A %s/data/trash"):format(directory)))
  end)

  it("is tried by the doctor", function()
    local function doctor(runtime)
      return wire.run(("contree-engine doctor --data-dir %s/doctor --runtime %s; echo \"[$?]\"")
        :format(directory, runtime))
    end
    local report = doctor("crun")
    assert.matches("\nok +sandbox +[^\n]*runtime:crun", report)
    assert.matches("\nok +runtime +/[^\n]*/crun makes sandboxes", report)
    assert.matches("%[0%]$", report)
    report = doctor(write_program("broken", "echo 'out of order' >&2\nexit 1\n"))
    assert.matches("\nmissing +sandbox +broken cannot make the sandbox: out of order", report)
    assert.matches("\nmissing +runtime +[^\n]*Fix:", report)
    assert.matches("%[1%]$", report)
  end)

  -- Writes a crun that first changes its bundle by a sed script.
  local function careless(script)
    return write_program("careless-crun", ([[
for a; do [ "$last" = --bundle ] && bundle=$a; last=$a; done
sed -i '%s' "$bundle/config.json"
exec crun "$@"
]]):format(script))
  end

  it("that leaves a wall out gets no run: its init has a look first", function()
    for script, wall in pairs{
      ['s/"maskedPaths":[^]]*],//'] = "cover of /proc/",
      -- All of /proc is read-only where the kernel does not keep oom_score_adj.
      ['s/"readonlyPaths":[^]]*]/"readonlyPaths":[]/;s/"ro",\\("nosuid","noexec","nodev"\\)/\\1/']
        = " /proc",
      ['s/{"type":"ipc"},//'] = "namespace ipc",
      ['s/{"type":"pid"},//'] = "namespace pid",
      ['s/"options":.."ro",\\("nosuid","noexec","strict\\)/"options":[\\1/'] = "mount /dev",
    } do
      local code, text = serve("--runtime " .. careless(script:gsub("%.%.", "[[]")))
      assert.are.equal(1, code, script)
      assert.matches("did not build a wall", text, 1, true)
      assert.matches(wall, text, 1, true)
    end
  end)

  it("that leaves out a volume gets no run", function()
    local engine = wire.start("--runtime " .. write_program("bare-crun", [[
for a; do [ "$last" = --bundle ] && bundle=$a; last=$a; done
umount "${bundle%/run}/new/v" 2>/dev/null
exec crun "$@"
]]))
    local function ask(volumes)
      return engine:run{ command = "echo > /v/x", shell = true, volumes = volumes }
    end
    local refused = ask{ ["/v"] = "a" }
    assert.are.equal("FAILED", refused.status)
    assert.matches("did not build a wall .* mounts", refused.error)
    assert.are.equal("SUCCESS", ask{ ["/w"] = "a" }.status)
    engine:stop()
  end)

  it("that leaves out what the init builds itself changes nothing", function()
    local engine = wire.start("--runtime "
      .. careless('s/"noNewPrivileges":true/"noNewPrivileges":false/'))
    local found = engine:run{ shell = true,
      command = "grep -E '^(NoNewPrivs|Seccomp|CapBnd):' /proc/self/status" }.metadata.result
    assert.are.equal("CapBnd:\t00000000a00405fb\nNoNewPrivs:\t1\nSeccomp:\t2\n",
      found.stdout.value)
    engine:stop()
  end)

  it("may also be runc", function()
    local engine = wire.start("--runtime runc")
    local shared = engine:run{ shell = true, command = "echo x > /v/f; cat /v/f; ! touch /m/x",
      volumes = { ["/v"] = "shared" }, mounts = { ["/m"] = "/etc" } }
    assert.are.equal("x\n", shared.metadata.result.stdout.value)
    assert.are.equal(0, shared.metadata.result.state.exit_code)
    local kept = engine:run{ command = "echo kept > /f", shell = true, disposable = false }
    assert.are.equal("SUCCESS", kept.status, kept.error)
    local found = engine:run{ command = "cat", args = { "/f" },
      image = kept.result_image_uuid }.metadata.result
    assert.are.equal("kept\n", found.stdout.value)
    assert.matches("runtime:runc", walls(found), 1, true)
    engine:stop()
  end)
end)
