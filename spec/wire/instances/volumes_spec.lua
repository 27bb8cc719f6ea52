-- Volumes: directories that outlive runs and are shared by them (http-api.md §4.31, §5.7).
local disk = require("spec.support.disk")
local socket = require("socket")
local wire = require("spec.support.wire")

describe("volumes", function()
  local engine
  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function ask(command, volumes, options)
    local request = wire.shell(command, options)
    request.volumes = volumes
    return engine:run(request)
  end

  local function run(command, volumes, options)
    local operation = ask(command, volumes, options)
    assert.equal("SUCCESS", operation.status, operation.error)
    assert.equal(0, operation.metadata.result.state.exit_code,
      operation.metadata.result.stderr.value)
    return operation.metadata.result.stdout.value, operation
  end

  -- The engine made a fault of the run, or refused it.
  local function fails(pattern, command, volumes, options)
    local operation = ask(command, volumes, options)
    assert.equal("FAILED", operation.status)
    assert.matches(pattern, operation.error)
    return operation
  end

  local function refused(status, pattern, volumes, options)
    local request = wire.shell("true", options)
    request.volumes = volumes
    return wire.refuses(status, pattern, engine:post("/v1/instances", wire.spawn(request)))
  end

  local function escaped(name) return (name:gsub("/", "%%2F"):gsub(":", "%%3A")) end
  local function get(name) return engine:get("/v1/volumes/" .. escaped(name)) end
  local function remove(name) return engine:request("DELETE", "/v1/volumes/" .. escaped(name)) end
  local function directories() return tonumber(wire.run("ls " .. engine.data .. "/v | wc -l")) end

  local function keep(command, options)
    options = options or {}
    options.disposable = false
    return select(2, run(command, nil, options)).result_image_uuid
  end

  describe("of a run", function()
    it("keep what runs write, for others", function()
      run("echo one > /cache/a; mkdir -p /cache/d; ln -s a /cache/l", { ["/cache"] = "kept" })
      assert.equal("one\n", (run("cat /other/l; rm -r /other/*", { ["/other"] = "kept" })))
      assert.equal("", (run("ls -A /cache", { ["/cache"] = "kept" })))
    end)

    it("are shared by runs at once", function()
      local first = engine:spawn(wire.shell(
        "mkfifo /v/p; read x < /v/p; echo got $x; for i in $(seq 300); do echo a >> /v/log; done", {
          volumes = { ["/v"] = "both" } }))
      local said = run([[until test -p /v/p; do sleep 0.01; done; echo word > /v/p
        for i in $(seq 300); do echo b >> /v/log; done; echo said]], { ["/v"] = "both" })
      assert.equal("said\n", said)
      assert.equal("got word\n", engine:wait(first).metadata.result.stdout.value)
      assert.equal("300\n300\n", (run("grep -c a /v/log; grep -c b /v/log", { ["/v"] = "both" })))
    end)

    it("can be several, and one of them twice", function()
      assert.equal("x\ny\n", (run("echo x > /a/f; echo y > /b/f; cat /c/f /b/f",
        { ["/a"] = "one", ["/b"] = "two", ["/c"] = "one" })))
    end)

    it("are no part of an image, but where they were mounted is", function()
      local _, operation = run("echo x > /new/dir/f; echo y > /kept", { ["/new/dir"] = "apart" },
        { disposable = false })
      assert.equal("kept\nnew\n", (run("ls / | grep -e kept -e new; ls -A /new/dir", nil,
        { image = operation.result_image_uuid })))
      assert.equal("x\n", (run("cat /new/dir/f", { ["/new/dir"] = "apart" },
        { image = operation.result_image_uuid })))
    end)

    it("hide what the image has there, and change nothing of it", function()
      local image = keep("mkdir /d; echo image > /d/f")
      local _, operation = run("test ! -e /d/f; echo volume > /d/f", { ["/d"] = "over" },
        { image = image, disposable = false })
      assert.equal(image, operation.result_image_uuid)
      assert.equal("image\n", (run("cat /d/f", nil, { image = image })))
    end)

    it("get files that come with the run", function()
      local file = engine:request("POST", "/v1/files", { body = "content" }).json.uuid
      run("grep content /v/f", { ["/v"] = "filled" }, { files = { ["/v/f"] = { uuid = file } } })
      assert.equal("content", (run("cat /x/f", { ["/x"] = "filled" })))
    end)

    it("are echoed", function()
      local reply = engine:post("/v1/instances", wire.spawn(wire.shell("true", {
        volumes = { ["/v/"] = "echoed" } })))
      assert.same({ ["/v/"] = "echoed" }, reply.json.volumes)
      engine:wait(reply.json.uuid)
      reply = engine:post("/v1/instances", wire.spawn(wire.shell("true")))
      assert.is_nil(reply.json.volumes)
      engine:wait(reply.json.uuid)
    end)

    it("are there for subprocesses", function()
      local uuid = engine:spawn(wire.shell("until test -e /v/go; do sleep 0.01; done", {
        volumes = { ["/v"] = "sub" } }))
      wire.eventually("the process", function()
        return engine:post(("/v1/operations/%s/subprocesses"):format(uuid),
          { command = "touch", args = { "/v/go" } }).status == 201
      end)
      assert.equal("SUCCESS", engine:wait(uuid).status)
    end)

    it("are never in a sandbox that was made ahead", function()
      for _ = 1, 4 do run("true", { ["/v"] = "warm" }) end
      wire.eventually("no sandbox", function() return engine:sandboxes() == 0 end)
      for _ = 1, 4 do assert.equal("", (run("ls -d /v 2>/dev/null || true"))) end
      run("true", { ["/v"] = "warm" })
      assert.equal(204, remove("warm").status)
    end)

    it("wait with it for a place, and are free when it is cancelled there", function()
      local slow = wire.start("--max-runs 1")
      local first = slow:spawn{ command = "sleep", args = { "60" } }
      local second = slow:spawn(wire.shell("true", { volumes = { ["/v"] = "queued" } }))
      wire.refuses(409, "used by 1 run", slow:request("DELETE", "/v1/volumes/queued"))
      assert.equal(202, slow:request("DELETE", "/v1/operations/" .. second).status)
      assert.equal(204, slow:request("DELETE", "/v1/volumes/queued").status)
      slow:request("DELETE", "/v1/operations/" .. first)
      slow:stop()
    end)

    it("are made once for an idempotency key", function()
      local request = wire.spawn(wire.shell("echo x >> /v/f; wc -l < /v/f", {
        volumes = { ["/v"] = "keyed" } }))
      local uuids = {}
      for i = 1, 3 do
        local reply = engine:post("/v1/instances", request, { ["Idempotency-Key"] = "volumes" })
        assert.equal(201, reply.status, reply.body)
        uuids[i] = reply.json.uuid
      end
      assert.same({ uuids[1], uuids[1], uuids[1] }, uuids)
      assert.equal("1\n", engine:wait(uuids[1]).metadata.result.stdout.value)
    end)
  end)

  describe("belong", function()
    it("to root at first", function()
      assert.equal("0:0 755\n", (run("stat -c '%u:%g %a' /cache", { ["/cache"] = "roots" })))
    end)

    it("to the user of the run that uses them first", function()
      local id = engine:id(7)
      local stat = "stat -c '%u:%g %a' /mine"
      assert.equal(("%d:%d 755\n"):format(id, id), (run(stat .. "; touch /mine/f",
        { ["/mine"] = "users" }, { uid = id, gid = id })))
      assert.equal(("%d:%d 755\n"):format(id, id), (run(stat, { ["/mine"] = "users" })))
      if id == 0 then return end
      assert.equal("65534:65534 755\n", (run(stat, { ["/mine"] = "names" }, { user = "nobody" })))
      -- It is not empty any more.
      run("touch /v/f", { ["/v"] = "full" })
      assert.equal("0:0\n", (run("stat -c %u:%g /v", { ["/v"] = "full" }, { user = "nobody" })))
    end)

    it("to the owner of the directory that they cover, and have its mode", function()
      local id = engine:id(9)
      local image = keep(("mkdir -m 1770 /d; chown %d:%d /d"):format(id, id))
      assert.equal(("%d:%d 1770\n"):format(id, id), (run("stat -c '%u:%g %a' /d",
        { ["/d"] = "adopted" }, { image = image })))
    end)

    it("and the directories on the way to whom the one above belongs", function()
      local id = engine:id(9)
      local image = keep(("mkdir /home/u; chown %d:%d /home/u"):format(id, id))
      assert.equal(("%d %d\n"):format(id, id), (run("echo $(stat -c %u /home/u/.cache "
        .. "/home/u/.cache/pip)", { ["/home/u/.cache/pip"] = "pip" }, { image = image })))
    end)
  end)

  describe("are mounted", function()
    it("where no program gets rights, and no device works", function()
      local flags = run("grep ' /v ' /proc/mounts", { ["/v"] = "flags" })
      assert.matches("nosuid", flags)
      assert.matches("nodev", flags)
      run("cp /bin/busybox /v/cat; chmod 4755 /v/cat", { ["/v"] = "flags" })
      local id = engine:id(7)
      assert.matches(("Uid:\t%d\t%d\t"):format(id, id), (run("/v/cat /proc/self/status",
        { ["/v"] = "flags" }, { uid = id })))
      assert.equal("no\n", (run("mknod /v/null c 1 3 2>/dev/null || echo no",
        { ["/v"] = "flags" })))
    end)

    it("inside the image, wherever its links lead", function()
      local image = keep("mkdir /real; ln -s real /link; ln -s /../../../../real /up; "
        .. "ln -s /etc/../real /long")
      for i, target in ipairs{ "/link", "/up", "/long", "/link/" } do
        run("touch /real/" .. i, { [target] = "linked" }, { image = image })
      end
      assert.equal("4\n", (run("ls /v | wc -l", { ["/v"] = "linked" })))
      -- What is missing is made inside, too.
      run("test -d /real/new", { ["/up/new"] = "linked" }, { image = image })
    end)

    it("not where a link leads into another mount, to the root, or to nothing", function()
      local image = keep([[ln -s /proc/self /p; ln -s /dev/shm /s; ln -s / /r; ln -s /nowhere /n
        ln -s /proc/self/root/etc /m; ln -s loop /loop; touch /file; mkdir /x; ln -s x /y
        ln -s /sys /sysl; ln -s dev /devl]])
      -- With a runtime there is no process yet whose /proc/self that could be.
      local native = (os.getenv("CONTREE_RUNTIME") or "native") == "native"
      local taken, blocked = native and "leads into" or "leads", "no directory is in the way"
      local dangling = "where nothing is"
      for target, why in pairs{ ["/p"] = taken, ["/p/x"] = taken, ["/s"] = taken,
        ["/devl"] = taken, ["/sysl/kernel"] = taken, ["/r"] = "leads to /", ["/n"] = dangling,
        ["/n/x"] = dangling, ["/m/x"] = taken, ["/loop"] = blocked, ["/file"] = blocked,
        ["/file/x"] = blocked } do
        local operation = fails(why, "true", { [target] = "astray" }, { image = image })
        assert.truthy(operation.error:find("cannot mount at " .. target, 1, true))
      end
      -- Two spellings of one place: the second would be in the first.
      fails("another mount", "true", { ["/x"] = "astray", ["/y"] = "other" }, { image = image })
    end)

    it("not at, above or below what the sandbox has, nor in one another", function()
      for _, target in ipairs{ "/", "/proc", "/proc/1", "/sys/fs", "/dev", "/dev/shm", "//dev//x",
        "/./" } do
        refused(400, "nothing can be mounted", { [target] = "bad" })
      end
      refused(400, "absolute", { ["v"] = "bad" })
      refused(400, "%.%.", { ["/a/../b"] = "bad" })
      refused(400, "at or below", { ["/a"] = "bad", ["/a/b"] = "worse" })
      refused(400, "at or below", { ["/a"] = "bad", ["/a/"] = "worse" })
      run("true", { ["/a"] = "good", ["/ab"] = "good" })
      local many = {}
      for i = 1, 33 do many["/v" .. i] = "many" end
      refused(400, "too many", many)
      refused(400, "4095", { ["/" .. ("x"):rep(5000)] = "bad" })
    end)

    it("by names as tags are", function()
      for _, name in ipairs{ "..", ".", "", "a/../b", "/a", "a/", "A", "a b", "a//b", "é",
        ("x"):rep(257) } do
        refused(400, "malformed volume name", { ["/v"] = name })
        wire.refuses(400, "malformed volume name", engine:post("/v1/volumes", { name = name }))
      end
      refused(400, "names of volumes", { ["/v"] = 5 })
      refused(400, "must be", "x")
      run("true", { ["/v"] = "a/b:c.d_e-f" })
      assert.equal("a/b:c.d_e-f", get("a/b:c.d_e-f").json.name)
    end)
  end)

  describe("at /volumes", function()
    it("are listed with their sizes and uses", function()
      local before = socket.gettime()
      run("head -c 100000 /dev/urandom > /v/f; ln /v/f /v/g", { ["/v"] = "listed" })
      local found = {}
      for _, each in ipairs(engine:get("/v1/volumes").json.volumes) do found[each.name] = each end
      local listed = found.listed
      assert.equal(100000, listed.size)
      assert.equal(wire.null, listed.quota)
      assert.equal(0, listed.runs)
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT", listed.created_at)
      assert.is_true(listed.used_at >= listed.created_at)
      assert.is_true(os.time() >= math.floor(before))
      assert.same(listed, get("listed").json)
      run("rm /v/f", { ["/v"] = "listed" })
      assert.equal(100000, get("listed").json.size)
      run("rm /v/g", { ["/v"] = "listed" })
      assert.equal(0, get("listed").json.size)
    end)

    it("are counted while they are used", function()
      local uuid = engine:spawn(wire.shell("echo x > /v/f; sleep 60", {
        volumes = { ["/v"] = "busy", ["/w"] = "busy" } }))
      wire.eventually("the file", function() return get("busy").json.size == 2 end)
      assert.is_true(get("busy").json.runs > 0)
      wire.refuses(409, "busy.*is used by %d runs?%. Fix", remove("busy"))
      engine:request("DELETE", "/v1/operations/" .. uuid)
      engine:wait(uuid)
      assert.equal(204, remove("busy").status)
      wire.refuses(404, 'no volume "busy"', remove("busy"))
      wire.refuses(404, 'no volume "busy"', get("busy"))
    end)

    it("are made, and again with another quota", function()
      local made = engine:post("/v1/volumes", { name = "made" })
      assert.equal(200, made.status)
      assert.equal(0, made.json.size)
      assert.equal(wire.null, made.json.used_at)
      run("echo x > /v/f", { ["/v"] = "made" })
      local again = engine:post("/v1/volumes", { name = "made", quota = 5 }).json
      assert.same({ 5, 2 }, { again.quota, again.size })
      assert.equal(5, engine:post("/v1/volumes", { name = "made" }).json.quota)
      assert.equal(wire.null, engine:post("/v1/volumes", { name = "made", quota = 0 }).json.quota)
      wire.refuses(400, "name is missing", engine:post("/v1/volumes", {}))
      wire.refuses(400, "quota", engine:post("/v1/volumes", { name = "made", quota = -1 }))
    end)

    it("can be removed right after the run that used them", function()
      for _ = 1, 10 do
        run("true", { ["/v"] = "short" })
        assert.equal(204, remove("short").status)
      end
      assert.equal("", (run("ls -A /v", { ["/v"] = "short" })))
    end)

    it("free their disk when they are removed, however deep they are", function()
      run([[cd /v; for i in $(seq 200); do mkdir d; cd d; done; echo x > f; chmod 0 /v/d]],
        { ["/v"] = "deep" })
      local before = directories()
      assert.equal(204, remove("deep").status)
      assert.equal(before - 1, directories())
      wire.eventually("the trash to be empty", function()
        return wire.run("ls " .. engine.data .. "/trash") == ""
      end)
    end)
  end)

  describe("with a quota", function()
    it("end the run that makes them larger, and let others clean up", function()
      engine:post("/v1/volumes", { name = "small", quota = 1000000 })
      run("head -c 500000 /dev/zero > /v/a", { ["/v"] = "small" })
      local operation = fails("grew to %d+ bytes, more than its quota of 1000000",
        "head -c 3000000 /dev/zero > /v/b; sleep 60", { ["/v"] = "small" })
      assert.equal("disk", operation.metadata.result.limit)
      wire.eventually("its size", function() return get("small").json.size > 1000000 end)
      run("sleep 0.6; rm /v/b", { ["/v"] = "small" })
      assert.equal(500000, get("small").json.size)
    end)

    it("end the run when their size cannot be told for long", function()
      local other = wire.start()
      other:post("/v1/volumes", { name = "odd", quota = 1000000 })
      local uuid = other:spawn(wire.shell("sleep 60", { volumes = { ["/v"] = "odd" } }))
      wire.await(other:follow(uuid, "?follow=1"), "spawn")
      wire.run(("mv %s/v/* %s/v/elsewhere"):format(other.data, other.data))
      local operation = other:wait(uuid)
      assert.equal("FAILED", operation.status)
      assert.matches("cannot be measured", operation.error)
      assert.equal("disk", operation.metadata.result.limit)
      other:stop()
    end)
  end)

  describe("survive", function()
    local other
    before_each(function() other = wire.start() end)
    after_each(function() other:stop() end)

    local function write(text)
      local operation = other:run(wire.shell(("echo %s >> /v/f; cat /v/f"):format(text), {
        volumes = { ["/v"] = "kept" } }))
      return operation.metadata.result.stdout.value
    end

    it("a restart, kill -9, and the collection of garbage", function()
      assert.equal("1\n", write("1"))
      other:kill("KILL")
      other:launch()
      assert.equal("1\n2\n", write("2"))
      other:post("/v1/gc", { untagged_older_than = 0, operations_older_than = 0,
        files_older_than = 0 })
      assert.equal("1\n2\n3\n", write("3"))
      other:kill("TERM")
      other:launch()
      assert.equal("1\n2\n3\n4\n", write("4"))
      local uuid = other:spawn(wire.shell("echo 5 >> /v/f; sleep 60", {
        volumes = { ["/v"] = "kept" } }))
      wire.await(other:follow(uuid, "?follow=1"), "spawn")
      wire.eventually("the line", function()
        return wire.run("cat " .. other.data .. "/v/*/f"):match("5")
      end)
      other:kill("KILL")
      other:launch()
      assert.equal(204, other:request("DELETE", "/v1/volumes/kept").status)
      assert.equal("", wire.run("ls " .. other.data .. "/v"))
    end)

    it("kill -9 while they are made and removed: whole or gone", function()
      for round = 1, 12 do
        local connections = {}
        for i = 1, 6 do
          connections[i] = other:connect()
          local name = ("v%d-%d"):format(round, i)
          local body = wire.json.encode{ name = name }
          connections[i]:request("POST", "/v1/volumes", { body = body })
          if i % 2 == 0 then
            connections[i]:response()
            connections[i]:request("DELETE", "/v1/volumes/" .. name)
          end
        end
        socket.sleep(round * 0.0007)
        other:kill("KILL")
        for _, connection in ipairs(connections) do connection:close() end
        other:launch()
        local rows = other:get("/v1/volumes").json.volumes
        assert.equal(#rows, tonumber(wire.run("ls " .. other.data .. "/v | wc -l")))
        for _, each in ipairs(rows) do assert.equal(0, each.size) end
      end
    end)

    it("what was answered is there after kill -9", function()
      for i = 1, 5 do
        assert.equal(200, other:post("/v1/volumes", { name = "told" .. i }).status)
        if i > 1 then
          assert.equal(204, other:request("DELETE", "/v1/volumes/told" .. (i - 1)).status)
        end
        other:kill("KILL")
        other:launch()
        local names = {}
        for k, each in ipairs(other:get("/v1/volumes").json.volumes) do names[k] = each.name end
        assert.same({ "told" .. i }, names)
      end
    end)

    it("not a lost directory: the run says so", function()
      write("1")
      disk.capture(("mv %s/v/* %s/v/lost"):format(other.data, other.data))
      wire.refuses(500, "lost.*Fix: remove it", other:post("/v1/instances", wire.spawn(
        wire.shell("true", { volumes = { ["/v"] = "kept" } }))))
      assert.equal(204, other:request("DELETE", "/v1/volumes/kept").status)
      assert.equal("1\n", write("1"))
    end)

    it("not a purge", function()
      write("1")
      other:kill("TERM")
      local directory = other.data
      local text = wire.run(("contree-engine purge --data-dir %s 2>&1"):format(directory))
      assert.matches("volumes", text)
      text = wire.run(("contree-engine purge --yes --data-dir %s 2>&1"):format(directory))
      assert.equal("", text)
      assert.equal("", wire.run("ls -d " .. directory .. " 2>/dev/null"))
      other:launch()
      assert.same({}, other:get("/v1/volumes").json.volumes)
    end)
  end)
end)
