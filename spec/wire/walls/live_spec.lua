-- What a hostile sandbox does to what the engine does with it while it runs: snapshots, ports,
-- watches, commands of a box, usage. A canary outside must not be affected, and not be seen.
local disk = require("spec.support.disk")
local socket = require("socket")
local wire = require("spec.support.wire")

for _, runtime in ipairs{ "native", "crun" } do
  describe("a hostile box that " .. runtime .. " makes", function()
    local engine, canary, box

    setup(function()
      canary = wire.run("mktemp -d -t contree-canary-XXXXXX")
      wire.run(("chmod 755 %s; echo canary-text > %s/f"):format(canary, canary))
      local ok, problem = pcall(wire.start, "--runtime " .. runtime)
      engine = ok and problem or error(problem, 0)
    end)

    teardown(function()
      engine:stop()
      wire.run("rm -rf " .. canary)
    end)

    before_each(function()
      local reply = engine:post("/v1/instances",
        { image = "tag:busybox:latest", box = { idle_timeout = 60 } })
      assert(reply.status == 201, reply.body)
      box = "/v1/operations/" .. reply.json.uuid
      wire.eventually("the box", function()
        return engine:get(box .. "/subprocesses/1").status == 200
      end)
    end)

    -- Every attempt must leave the machine unchanged.
    after_each(function()
      engine:cancel(box:match("[^/]+$"))
      assert.are.equal("f canary-text", wire.run(("ls %s | tr '\\n' ' '; cat %s/f")
        :format(canary, canary)))
      assert.is_true(engine:is_alive())
      assert.are.equal(200, engine:get("/v1/whoami").status)
    end)

    local function spawn(command, options)
      local reply = engine:post(box .. "/subprocesses", wire.shell(command, options))
      assert(reply.status == 201, reply.body)
      return reply.json
    end

    -- What a subprocess writes until it ends.
    local function output_of(started)
      local events = engine:follow(box:match("[^/]+$"),
        ("?follow=1&spid=%d&since=%d"):format(started.spid, started.since))
      local out = ""
      for frame in function() return events:frame() end do
        if frame.event == "stdout" then out = out .. wire.bytes(frame.data.data) end
        if frame.event == "exit" then break end
      end
      events:close()
      return out
    end

    local function run(command, options) return output_of(spawn(command, options)) end

    local function snapshot()
      local reply = engine:request("POST", box .. "/snapshot")
      assert.are.equal(201, reply.status, reply.body)
      return reply.json.uuid
    end

    it("that exchanges directories and links while it is snapshot shows nothing of the machine",
      function()
        -- `a` is a directory, a link that leads out, a file; `b` the same at other times.
        local flip = [[while :; do
          mkdir %s 2>/dev/null && echo mine > %s/f; mv %s /away$$ && rm -rf /away$$
          ln -s /../../../../..%s %s; rm -f %s; echo mine > %s; rm -f %s
        done]]
        for _, name in ipairs{ "/a", "/b", "/c" } do
          spawn((flip:gsub("%%s", function() return name end, 3):gsub("%%s", canary, 1)
            :gsub("%%s", name)))
        end
        run("sleep 0.2")
        for _ = 1, 10 do
          local archive = engine:get(("/v1/inspect/%s/archive?path=/"):format(snapshot()))
          assert.are.equal(200, archive.status)
          assert.is_nil(archive.body:find("canary-text", 1, true))
        end
      end)

    it("is snapshot in the end, whatever is in it", function()
      run([[mkdir -p /n && cd /n; mkfifo fifo; nc -l -U sock 2>/dev/null &
        truncate -s 8E hole 2>/dev/null || truncate -s 1T hole
        ln -s loop loop; ln -s /proc/self/environ environ; ln -s /dev/zero zero
        printf x > "$(printf 'new\nline\033[2J\377')"
        i=0; while [ $i -lt 400 ]; do mkdir deep && cd deep || break; i=$((i+1)); done; true]])
      local image = snapshot()
      local list = engine:get(("/v1/inspect/%s/list?path=/n"):format(image))
      assert.are.equal(200, list.status)
      assert.matches("fifo", list.body)
      local log = wire.run(("du -s --block-size=1M %s 2>/dev/null"):format(engine.data))
      assert.is_true(tonumber(log:match("%d+")) < 200)
    end)

    -- The end of a Unix socket that is forwarded is looked for inside.
    it("whose socket is a link leads to none of the machine's", function()
      run(("ln -s /../../../../..%s /run.sock; ln -s /proc/1/root%s /one.sock; mkfifo /fifo.sock")
        :format(engine.path, engine.path))
      for _, path in ipairs{ "/run.sock", "/one.sock", "/fifo.sock", engine.path,
        "/../../../.." .. engine.path } do
        local reply = engine:post(box .. "/ports", { path = path })
        if reply.status == 201 then
          local host, port = reply.json.address:match("^(.*):(%d+)$")
          local sock = socket.tcp()
          sock:settimeout(wire.TIME_LIMIT)
          sock:connect(host, tonumber(port)) -- it may be cut off already
          sock:send("GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
          local text, _, partial = sock:receive("*a")
          sock:close()
          assert.are.equal("", text or partial, path)
        end
      end
    end)

    it("has no path watched outside", function()
      run(("ln -s /../../../../..%s /out; ln -s /proc/1/root /root1; ln -s /proc/1/cwd /cwd1")
        :format(canary))
      for _, path in ipairs{ "/out", "/root1" .. canary, "/cwd1" .. canary,
        "/proc/1/root" .. canary, "/../../../.." .. canary } do
        local reply = engine:get(box .. "/watch?path=" .. path)
        assert.is_true(reply.status >= 400 and reply.status < 500, path .. ": " .. reply.status)
      end
    end)

    it("starts its commands in no directory outside, and as nobody outside", function()
      run([[mkdir -p /etc; echo 'evil:x:4294967295:4294967295::/:/bin/sh' >> /etc/passwd
        echo 'more:x:18446744069414584320:18446744069414584320::/:/bin/sh' >> /etc/passwd]])
      for _, options in ipairs{ { cwd = "/proc/1/root" }, { cwd = "/proc/1/cwd" },
        { cwd = "/proc/self/fd/3" }, { cwd = "/../../../../.." .. canary }, { user = "evil" },
        { user = "more" }, { user = "0:4294967295" } } do
        local reply = engine:post(box .. "/subprocesses", wire.shell("cat f; pwd; id -u", options))
        local what = wire.json.encode(options)
        if reply.status == 201 then
          local out = output_of(reply.json)
          assert.is_nil(out:find("canary-text", 1, true), what)
          assert.matches("^%s*$", (out:gsub("^/[^\n]*\n0\n$", "")), what .. ": " .. out)
        end
      end
    end)

    it("that exchanges what its limits are read from is still counted and ended", function()
      run([[umount /proc 2>/dev/null; mount -t tmpfs x /proc 2>/dev/null
        echo 0 > /proc/1/oom_score_adj 2>/dev/null; kill -STOP 1; kill -KILL 1; true]])
      spawn("trap '' TERM INT HUP; while :; do :; done")
      wire.eventually("its time to count", function()
        return engine:get(box .. "/usage").json.cpu_seconds > 0.01
      end)
      engine:cancel(box:match("[^/]+$"))
      wire.eventually("its end", function()
        return engine:get(box).json.status == "CANCELLED"
      end)
      assert.are.equal("", disk.capture("pgrep -f '[t]rap .. TERM INT HUP; while'"))
    end)
  end)
end

describe("a hostile sandbox with a network", function()
  local engine, server, port

  setup(function()
    engine = wire.start()
    server = assert(socket.bind("127.0.0.1", 0))
    server:settimeout(0.1)
    port = select(2, server:getsockname())
  end)
  teardown(function()
    server:close()
    engine:stop()
  end)

  local function has_network()
    return wire.run("contree-engine doctor --data-dir " .. engine.data)
      :find("ok +networking") ~= nil
  end

  local function output(command)
    local operation = engine:run(wire.shell(command, { networking = { enabled = true } }))
    assert.are.equal("SUCCESS", operation.status, operation.error)
    return wire.bytes(operation.metadata.result.stdout)
  end

  it("does not reach what listens on the machine's loopback interface, by no address", function()
    if not has_network() then return pending("needs slirp4netns and /dev/net/tun") end
    assert.are.equal("done\n", output(([[for a in 10.0.2.2 10.0.2.3 127.0.0.1 127.1.2.3 0.0.0.0 \
      ::1 ::ffff:127.0.0.1; do nc -w 1 $a %d </dev/null && echo reached $a; done; echo done]])
      :format(port)))
    assert.is_nil((server:accept()))
  end)

  it("that floods what makes its network does nothing to others", function()
    if not has_network() then return pending("needs slirp4netns and /dev/net/tun") end
    local uuid = engine:spawn(wire.shell([[while :; do for i in 1 2 3 4 5 6 7 8; do
        (nc -w 1 10.0.2.2 $i </dev/null; head -c 60000 /dev/urandom | nc -u -w 1 10.0.2.3 53) &
      done >/dev/null 2>&1; wait; done]], { networking = { enabled = true } }))
    for _ = 1, 5 do assert.are.equal("fine\n", output("echo fine")) end
    engine:cancel(uuid)
    assert.are.equal("CANCELLED", engine:wait(uuid).status)
    wire.eventually("slirp4netns to end", function()
      return wire.run("pgrep -x slirp4netns -P " .. engine.pid) == ""
    end)
  end)

  it("goes on without it when that dies, and the next one has its own", function()
    if not has_network() then return pending("needs slirp4netns and /dev/net/tun") end
    local uuid = engine:spawn(wire.shell("while [ ! -e /go ]; do sleep 0.1; done; echo end",
      { networking = { enabled = true } }))
    local pid
    wire.eventually("slirp4netns", function()
      pid = wire.run("pgrep -x slirp4netns -P " .. engine.pid)
      return pid ~= ""
    end)
    wire.run("kill -9 " .. pid)
    assert.are.equal("1\n", output("ip addr show tap0 | grep -c 10.0.2.100"))
    assert.are.equal("EXECUTING", engine:get("/v1/operations/" .. uuid).json.status)
    engine:cancel(uuid)
    assert.are.equal("CANCELLED", engine:wait(uuid).status)
  end)
end)
