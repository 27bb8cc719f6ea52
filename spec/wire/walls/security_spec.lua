-- Hostile images, commands and names on the wire try to get out, to stay, or to learn
-- about the machine, which must not be affected. The walls themselves are tested in
-- spec/c/sandbox/test_escape.c, archives in spec/c/transport/test_tar.c.
local wire = require("spec.support.wire")

describe("a hostile sandbox", function()
  local engine, canary

  setup(function()
    canary = wire.run("mktemp -d -t contree-canary-XXXXXX")
    wire.run(("echo safe > %s/f; mkdir %s/d"):format(canary, canary))
    engine = wire.start("", "env CONTREE_TOKEN=s3cret-token SSH_AUTH_SOCK=/s3cret-agent")
  end)

  teardown(function()
    engine:stop()
    wire.run("rm -rf " .. canary)
  end)

  -- Every attempt must leave the machine unchanged.
  after_each(function()
    local look = ("ls %s | tr '\\n' ' '; cat %s/f"):format(canary, canary)
    assert.are.equal("d f safe", wire.run(look))
    assert.is_true(engine:is_alive())
    assert.are.equal(200, engine:get("/v1/whoami").status)
  end)

  local function sh(command, options) return engine:run(wire.shell(command, options)) end

  local function output(command, options)
    local operation = sh(command, options)
    assert.are.equal("SUCCESS", operation.status, operation.error)
    return wire.bytes(operation.metadata.result.stdout), operation.metadata.result
  end

  local function image(command)
    local operation = sh(command, { disposable = false, image_etc = true })
    assert.are.equal(0, operation.metadata.result.state.exit_code,
      operation.metadata.result.stderr.value)
    return operation.result_image_uuid
  end

  local function upload(data)
    return engine:post("/v1/files", data).json.uuid
  end

  local function get(from, what, path)
    local escaped = path:gsub("[^%w/]", function(c) return ("%%%02X"):format(c:byte()) end)
    return engine:get(("/v1/inspect/%s/%s?path=%s"):format(from, what, escaped))
  end

  describe("whose image has links where the engine works", function()
    it("does not lead it out", function()
      local out = "/../../../.." .. canary
      local hostile = image(([[rm -rf /etc /root /tmp; ln -s %s /etc; ln -s %s/d /tmp;
        ln -s %s /root; ln -s %s /srv; ln -s /proc/self/cwd /cwd]]):format(out, out, out, out))
      assert.are.equal("ok\n", output("echo ok", { image = hostile }))
      -- Files put through such a parent land inside of the sandbox, or nowhere.
      local file = upload("gotcha")
      for _, path in ipairs{ "/srv/f", "/etc/f", "/tmp/x", "/root/d/y", "/cwd/z" } do
        local operation = sh("cat " .. path, { image = hostile,
          files = { [path] = { uuid = file, uid = 0, gid = 0, mode = "4777" } } })
        if operation.status == "SUCCESS" then
          assert.are.equal("gotcha", operation.metadata.result.stdout.value)
        end
      end
      for _, path in ipairs{ "/etc/f", "/srv/f", "/root/f", "/tmp" } do
        for _, what in ipairs{ "download", "list", "archive" } do
          local status = get(hostile, what, path).status -- 422: the links are a loop
          assert.is_true(status == 404 or status == 422, what .. " " .. path .. ": " .. status)
        end
      end
    end)

    it("gets devices of its own", function()
      local hostile = image([[rm -rf /dev/*; mkdir -p /dev/pts 2>/dev/null;
        mkdir /d && ln -s /proc/sys/kernel/core_pattern /d/null; true]])
      assert.are.equal("crw-rw-rw- 1, 3\n", output(
        "echo x > /dev/null; ls -ln /dev/null | awk '{print $1, $5, $6}'", { image = hostile }))
      local operation = sh("echo '|/evil' > /d/null", { image = hostile })
      assert.is_true(operation.metadata.result.state.exit_code ~= 0)
    end)
  end)

  -- Gives the engine a mount namespace with device nodes that belong to the first id of
  -- its sandboxes, as for a user or in some containers.
  local PREFIX = [[unshare -m sh -c 'd=$1; shift; mount -t tmpfs dev $d || exit
    for n in null:3 zero:5 full:7 random:8 urandom:9; do
      mknod -m 666 $d/${n%%:*} c 1 ${n#*:} && chown %s $d/${n%%:*} &&
      mount --bind $d/${n%%:*} /dev/${n%%:*} || exit
    done
    exec "$@"' sh %s]]

  it("F16: cannot change the host's device nodes, even if it owns them", function()
    local base = engine:first_id()
    local nodes = canary .. "/d"
    if wire.run(("mknod %s/x c 1 3 2>&1 && rm %s/x"):format(nodes, nodes)) ~= "" then
      return pending("needs root, to make device nodes")
    end
    for _, runtime in ipairs{ "native", "crun" } do
      local other = wire.start("--runtime " .. runtime, PREFIX:format(base, nodes))
      local found = other:run(wire.shell([[cd /dev; ls -ln null | awk '{ print $3 }'
        for n in null zero full random urandom; do
          chmod 0 $n; chown 1 $n; touch -d 2001-01-01 $n; mv $n x; rm -f $n
        done 2>&1 | grep -civ 'read-only'
        echo x > null && head -c 1 zero | od -An -c]])).metadata.result
      assert.are.equal("0\n0\n  \\0\n", wire.bytes(found.stdout), wire.bytes(found.stderr))
      local look = "nsenter -m -t %d sh -c 'stat -c \"%%a %%u\" %s/*'"
      assert.are.equal(("666 %d "):format(base):rep(5),
        wire.run(look:format(other.pid, nodes)):gsub("\n", " ") .. " ")
      other:stop()
    end
  end)

  it("cannot change what another image shares by sending a file onto it", function()
    local base = image("echo base > /a; ln /a /b; mkfifo /p; mkdir /dir; ln -s /a /l")
    local file = upload("new")
    local function after(path)
      return sh("cat /a /b", { image = base, files = { [path] = { uuid = file } } })
    end
    assert.are.equal("newbase\n", after("/a").metadata.result.stdout.value)
    assert.are.equal("base\nbase\n", after("/p").metadata.result.stdout.value)
    assert.are.equal("FAILED", after("/dir").status)
    after("/l")
    after("/dev/null")
    assert.are.equal("base\nbase\n", output("cat /a /b", { image = base }))
  end)

  it("starts in no directory of the engine's", function()
    local base = image("echo > /file; mkdir -m 0 /closed")
    for _, cwd in ipairs{ "/proc/self/fd/3", "/proc/self/fd/4", "/proc/self/fd/7", "/proc/1/root",
      "/proc/1/cwd", "/file", "/missing", "/proc/self/fd/../../x" } do
      local operation = sh("ls; pwd; ls ..", { image = base, cwd = cwd })
      if operation.status == "SUCCESS" then
        local seen = wire.bytes(operation.metadata.result.stdout)
        assert.is_nil(seen:find("contree.db", 1, true), cwd)
        assert.is_nil(seen:find("lock", 1, true), cwd)
      else
        assert.matches("cwd", operation.error, 1, true)
      end
    end
    assert.are.equal("FAILED", sh("pwd", { image = base, cwd = "/missing" }).status)
  end)

  it("finds no program of the engine's to run or to overwrite", function()
    local program = wire.run("command -v contree-engine")
    local before = wire.run("sha256sum < " .. program)
    local base = image([[printf '#!/proc/self/exe\n' > /self; printf '#!/loop\n' > /loop;
      chmod 755 /self /loop]])
    for _, command in ipairs{ "/proc/self/exe", "/self", "/loop", "/proc/1/exe" } do
      local operation = engine:run{ command = command, image = base, timeout = 5 }
      local result = operation.metadata.result
      assert.is_true(operation.status == "FAILED" or result.state.exit_code ~= 0
        or result.state.signal > 0, command)
    end
    output([[for f in /proc/1/exe /proc/self/exe; do echo evil > $f; done 2>/dev/null;
      exec 9>>/proc/1/exe; true]])
    assert.are.equal(before, wire.run("sha256sum < " .. program))
    assert.are.equal("ok\n", output("echo ok"))
  end)

  it("sees none of the secrets of who started the engine", function()
    local seen = output([[env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\0' '\n';
      cat /proc/self/mountinfo; find / -xdev -name '*.sock' -o -xdev -name auth.ini 2>/dev/null;
      id -G; ls /run /var/run 2>/dev/null]])
    for _, secret in ipairs{ "s3cret", "contree.db", engine.directory, "docker.sock", "dbus" } do
      assert.is_nil(seen:find(secret, 1, true), secret .. " in " .. seen)
    end
    assert.are.equal("0\n", output("id -G"))
    assert.are.equal("700", wire.run("stat -c %a " .. engine.data))
  end)

  it("shares no file in memory, queue or file time with another", function()
    local uuid = engine:spawn{ shell = true, timeout = 30,
      command = "echo > /tmp/f; echo > /dev/shm/x; echo there; sleep 20" }
    wire.await(engine:follow(uuid, "?follow=1"), "stdout")
    assert.are.equal("", output([[ls -A /tmp /dev/shm /dev/mqueue | grep -v : | grep .;
      cat /proc/sysvipc/shm /proc/sysvipc/msg /proc/sysvipc/sem | grep '^ *[0-9]']]))
    engine:request("DELETE", "/v1/operations/" .. uuid)
    -- Reading does not change the access times of shared layers.
    local atime = "find %s/l -name busybox -exec stat -c '%%X %%Y %%Z' {} +"
    local before = wire.run(atime:format(engine.data))
    output("cat /bin/busybox > /dev/null")
    assert.are.equal(before, wire.run(atime:format(engine.data)))
  end)

  it("neither hides nor reveals files of lower layers by names and attributes", function()
    local base = image("mkdir /d; echo one > /d/one; echo two > /d/two; rm /d/two")
    local hostile = sh([[mknod /d/one2 c 0 0; echo > /d/.wh.one; echo > /d/.wh..wh..opq;
      mkdir '/d/.wh.'; rm -f /d/one2; true]], { image = base, disposable = false })
      .result_image_uuid
    local seen = output("cat /d/one; cat /d/two 2>/dev/null; true", { image = hostile })
    assert.are.equal("one\n", seen)
    assert.are.equal("one\n", get(hostile, "download", "/d/one").body)
    assert.are.equal(404, get(hostile, "download", "/d/two").status)
  end)

  it("cannot hang, fool or blow up who looks at its files", function()
    local hostile = image([[mkfifo /fifo; truncate -s 10G /huge;
      ln -s loop /loop; ln -s / /slash; touch "$(printf 'new\nline')" "$(printf 'esc\033[2J')";
      d=/deep; for i in $(seq 1 40); do d=$d/dddddddddddddddddddddddddddd; done; mkdir -p $d;
      ln -s ../../../../../../etc/passwd /passwd; rm -f /etc/passwd]])
    assert.are.equal(422, get(hostile, "download", "/fifo").status)
    assert.are.equal(422, get(hostile, "download", "/loop").status)
    assert.are.equal(404, get(hostile, "download", "/passwd").status)
    assert.are.equal(404, get(hostile, "download", "/../../../etc/hostname-of-the-machine").status)
    assert.are.equal(404, get(hostile, "download", "/proc/self/environ").status)
    assert.are.equal(400, engine:get("/v1/inspect/" .. hostile .. "/download?path=%00").status)
    assert.are.equal(400, get(hostile, "download", "/" .. ("x/"):rep(4000)).status)
    assert.are.equal(404, get(hostile, "list", "/" .. ("x"):rep(300)).status)
    local text = engine:get("/v1/inspect/" .. hostile .. "/list?path=/&text=1").body
    assert.is_nil(text:find("\27", 1, true))
    assert.is_truthy(text:find("new?line", 1, true))
    local listed = get(hostile, "list", "/slash").json
    assert.is_true(#listed.files > 5)
    local head = engine:request("HEAD", "/v1/inspect/" .. hostile .. "/download?path=/huge")
    assert.are.equal(200, head.status)
    local connection = engine:connect()
    connection:request("GET", "/v1/inspect/" .. hostile .. "/download?path=/huge")
    assert.are.equal(200, connection:head().status)
    connection:close()
    local found = engine:get("/v1/inspect/" .. hostile .. "/grep?pattern=x&path=/fifo&path=/deep")
    assert.are.equal(200, found.status, found.body)
  end)

  it("is not stopped from ending by what it does to its processes", function()
    local _, result = output([[trap '' TERM HUP INT; (trap '' TERM HUP; setsid sleep 31415) &
      (setsid sh -c 'while :; do sleep 31415; done' &) ; kill -9 -1 2>/dev/null; echo]])
    assert.is_false(result.state.timed_out)
    result = sh("sleep 31415 & sleep 31415 & kill -STOP -1; kill -STOP 1; kill -STOP $$",
      { timeout = 1 }).metadata.result
    assert.is_true(result.state.timed_out)
    wire.eventually("all processes to be gone", function()
      return wire.run("pgrep -c -f '[s]leep 31415'") == "0"
    end)
  end)

  it("that makes files without end is stopped, though they are empty", function()
    local operation = sh([[mkdir /x; cd /x; i=0; while [ $i -lt 400 ]; do
      mkdir $i; touch $i/0 $i/1 $i/2 $i/3 $i/4 $i/5 $i/6 $i/7 $i/8 $i/9; i=$((i+1)); done]],
      { disposable = false, resources_limits = { max_layer_bytes = 4096000 } })
    assert.are.equal("FAILED", operation.status)
    assert.matches("the run made %d+ files, more than max_layer_bytes = 4096000", operation.error)
    assert.are.equal("disk", operation.metadata.result.limit)
  end)

  it("names no image, tag or operation but by its whole id", function()
    for _, id in ipairs{ "..", "%2e%2e", "*", "00000000-0000-0000-0000-000000000000",
      "%27%20OR%201", "tag:busybox:latest" } do
      local status = engine:get("/v1/operations/" .. id).status
      assert.is_true(status == 404, id .. ": " .. status)
      assert.are.equal(404, engine:get("/v1/inspect/" .. id .. "/list?path=/").status, id)
    end
    local busybox = engine:get("/v1/images?tag=busybox:latest").json.images[1].uuid
    for _, tag in ipairs{ "../x", "a/../b", "a//b", "/a", "a\\b", "a b", "A", "a\n", ":", "ä" } do
      local reply = engine:request("PATCH", ("/v1/images/%s/tag"):format(busybox),
        { body = wire.json.encode{ tag = tag } })
      assert.are.equal(400, reply.status, tag)
    end
  end)
end)
