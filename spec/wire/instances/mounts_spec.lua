-- Directories of the host in sandboxes, read-only (http-api.md §5.7).
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("directories of the host", function()
  local engine, folder
  setup(function()
    engine = wire.start()
    folder = wire.run("mktemp -d -t contree-spec-XXXXXX")
    wire.run(("cd %s && chmod 755 . && mkdir d && echo content > d/f && ln -s d link && "
      .. "echo '#!/bin/sh' > program && echo 'id -u' >> program && chmod 4755 program")
      :format(folder))
  end)
  teardown(function()
    engine:stop()
    wire.remove(folder)
  end)

  local function ask(command, mounts, options, of)
    local request = wire.shell(command, options)
    request.mounts = mounts
    return (of or engine):run(request)
  end

  local function run(command, mounts, options, of)
    local operation = ask(command, mounts, options, of)
    assert.equal("SUCCESS", operation.status, operation.error)
    return operation.metadata.result.stdout.value, operation
  end

  local function refused(status, pattern, mounts, of, headers)
    return wire.refuses(status, pattern, (of or engine):post("/v1/instances",
      wire.spawn(wire.shell("true", { mounts = mounts })), headers))
  end

  it("are seen, also when a link names them", function()
    assert.equal("content\nd link program\n", (run("cat /data/d/f; echo $(ls /data)",
      { ["/data"] = folder })))
    assert.equal("content\n", (run("cat /a/b/f", { ["/a/b"] = folder .. "/link" })))
    assert.equal("content\n", (run("cat /a/f", { ["/a"] = { path = folder .. "/d/../d/" } })))
  end)

  it("are never written: no file, mode, time, owner, link or removal", function()
    local before = wire.run(("find %s -printf '%%p %%m %%T@ %%C@ %%s\\n' | sort"):format(folder))
    local text = run([[cd /data; for c in 'echo x > d/f' 'echo x >> d/f' 'touch d/f' 'rm d/f' \
        'mv d/f d/g' 'ln d/f d/g' 'ln -s x y' 'mkdir x' 'chmod 777 d' 'chown 0:0 d/f' \
        'truncate -s 0 d/f' 'mknod p p' 'rm -rf d' 'cp d/f new'; do
          sh -c "$c" 2>/dev/null && echo "did $c"; done; echo end]], { ["/data"] = folder })
    assert.equal("end\n", text)
    assert.equal(before,
      wire.run(("find %s -printf '%%p %%m %%T@ %%C@ %%s\\n' | sort"):format(folder)))
  end)

  it("stay read-only: they cannot be mounted again, moved or unmounted", function()
    local text = run([[for c in 'mount -o remount,rw /data' 'mount -o remount,bind,rw /data' \
        'umount /data' 'umount -l /data' 'mount --bind /data /mnt' 'mount --move /data /mnt' \
        'unshare -Ur mount -o remount,bind,rw /data' 'unshare -m true' 'nsenter -t 1 -m true'; do
          sh -c "$c" 2>/dev/null && echo "did $c"; done; grep ' /data ' /proc/mounts]],
      { ["/data"] = folder })
    assert.is_nil(text:find("did", 1, true), text)
    assert.matches(" ro,[%w,]*nosuid,nodev", text)
  end)

  it("give no rights, and on wish run no program", function()
    assert.equal(engine:id(7) .. "\n", (run("/data/program", { ["/data"] = folder },
      { uid = engine:id(7) })))
    local operation = ask("/data/program", { ["/data"] = { path = folder, noexec = true } })
    assert.equal(126, operation.metadata.result.state.exit_code)
    assert.matches("noexec", (run("grep ' /data ' /proc/mounts",
      { ["/data"] = { path = folder, noexec = true } })))
  end)

  it("are no part of an image", function()
    local _, operation = run("echo x > /kept", { ["/data"] = folder }, { disposable = false })
    assert.equal("0\n", (run("ls -A /data | wc -l", nil, { image = operation.result_image_uuid })))
  end)

  it("come with the mounts below them, which are read-only, too", function()
    if wire.run("id -u") ~= "0" then pending("needs root") end
    -- In a namespace of its own: so the mount ends with the engine.
    local other = wire.start("", ("unshare -m sh -c 'mkdir -p %s/d/m && mount -t tmpfs x %s/d/m "
      .. "&& echo below > %s/d/m/f && exec \"$@\"' sh"):format(folder, folder, folder))
    local text = run([[cat /data/d/m/f; for c in 'echo x > /data/d/m/f' 'touch /data/d/m/g' \
        'umount /data/d/m' 'mount -o remount,bind,rw /data/d/m'; do
          sh -c "$c" 2>/dev/null && echo "did $c"; done; grep /data/d/m /proc/mounts]],
      { ["/data"] = folder }, nil, other)
    assert.matches("^below\nx /data/d/m tmpfs ro,nosuid,nodev", text)
    other:stop()
    wire.run("rmdir " .. folder .. "/d/m")
  end)

  it("are cut off from what is mounted later", function()
    if wire.run("id -u") ~= "0" then pending("needs root") end
    wire.run(("mkdir -p %s/later && touch %s/later/before"):format(folder, folder))
    local uuid = engine:spawn(wire.shell("read x; ls /data/later", {
      mounts = { ["/data"] = folder },
      stdin = { value = "", close = false } }))
    wire.await(engine:follow(uuid, "?follow=1"), "spawn")
    wire.run(("mount -t tmpfs x %s/later && touch %s/later/after"):format(folder, folder))
    engine:post(("/v1/operations/%s/subprocesses/1/stdin"):format(uuid),
      { value = "go\n", close = true })
    local found = engine:wait(uuid).metadata.result.stdout.value
    wire.run(("umount %s/later; rm -r %s/later"):format(folder, folder))
    assert.equal("before\n", found)
  end)

  it("are looked up once: who replaces the path later changes nothing", function()
    local moving = folder .. "/moving"
    wire.run(("mkdir -p %s && echo mine > %s/f"):format(moving, moving))
    local uuid = engine:spawn(wire.shell("read x; cat /data/f", { mounts = { ["/data"] = moving },
      stdin = { value = "", close = false } }))
    wire.await(engine:follow(uuid, "?follow=1"), "spawn")
    wire.run(("mv %s %s.old && ln -s /etc %s"):format(moving, moving, moving))
    engine:post(("/v1/operations/%s/subprocesses/1/stdin"):format(uuid),
      { value = "go\n", close = true })
    assert.equal("mine\n", engine:wait(uuid).metadata.result.stdout.value)
    wire.run(("rm -r %s.old %s"):format(moving, moving))
  end)

  it("and links in them lead into the sandbox, not to the host", function()
    wire.run(("ln -s /etc/hostname %s/out; ln -s ../../../../../../etc/hostname %s/up")
      :format(folder, folder))
    assert.equal("box\nbox\n", (run("cat /data/out /data/up; cat /data/../../../secret 2>/dev/null",
      { ["/data"] = folder }, { hostname = "box" })))
    wire.run(("rm %s/out %s/up"):format(folder, folder))
  end)

  it("are not the engine's own, nor what holds them, under any name", function()
    local hidden = "data directory"
    refused(422, hidden, { ["/x"] = engine.data })
    refused(422, hidden, { ["/x"] = engine.data .. "/l" })
    refused(422, hidden, { ["/x"] = engine.data .. "/v/.." })
    refused(422, hidden, { ["/x"] = engine.directory })
    refused(422, hidden, { ["/x"] = "/" })
    wire.run(("ln -s %s %s/mine"):format(engine.data, folder))
    refused(422, hidden, { ["/x"] = folder .. "/mine" })
    refused(422, hidden, { ["/x"] = folder .. "/mine/l" })
    wire.run(("rm %s/mine"):format(folder))
    local socket_dir = folder .. "/socket"
    wire.run("mkdir " .. socket_dir)
    local other = wire.start()
    other:kill("TERM")
    other.path = socket_dir .. "/s"
    other:launch()
    refused(422, "engine's socket", { ["/x"] = folder }, other)
    refused(422, "engine's socket", { ["/x"] = socket_dir }, other)
    other:stop()
    wire.run("rm -r " .. socket_dir)
  end)

  it("are not seen through other mounts of the engine's own", function()
    local bound = folder .. "/bound"
    local bind = "mkdir %s && mount --bind %s %s 2>&1"
    if wire.run(bind:format(bound, engine.data, bound)) ~= "" then
      wire.run("rmdir " .. bound)
      return pending("needs root, to mount")
    end
    refused(422, "data directory", { ["/x"] = bound })
    refused(422, "data directory", { ["/x"] = bound .. "/l" })
    refused(422, "data directory", { ["/x"] = folder })
    -- Private, or the end of this view would be the end of what is mounted in /proc, too.
    wire.run(("umount %s && mount --rbind /proc %s && mount --make-rprivate %s"):format(bound,
      bound, bound))
    refused(422, "files of the kernel", { ["/x"] = folder })
    wire.run(("umount -l %s && rmdir %s"):format(bound, bound))
  end)

  it("are directories of a disk that exist", function()
    for _, path in ipairs{ "/proc", "/proc/self", "/proc/self/root/proc", "/sys", "/sys/kernel" } do
      refused(422, "files of the kernel", { ["/x"] = path })
    end
    for _, path in ipairs{ folder .. "/none", folder .. "/d/f", "/dev/null" } do
      refused(422, "no such directory", { ["/x"] = path })
    end
    refused(400, "absolute path", { ["/x"] = "relative" })
    refused(400, "absolute path", { ["/x"] = "" })
    refused(400, "paths of directories", { ["/x"] = 5 })
    refused(400, "paths of directories", { ["/x"] = {} })
    refused(400, "noexec", { ["/x"] = { path = folder, noexec = "yes" } })
    refused(400, "nothing can be mounted", { ["/proc"] = folder })
    wire.refuses(400, "at or below", engine:post("/v1/instances", wire.spawn(wire.shell("true", {
      mounts = { ["/x/y"] = folder }, volumes = { ["/x"] = "v" } }))))
  end)

  it("can be many, and are free when the run has ended", function()
    local mounts = {}
    for i = 1, 32 do mounts["/m" .. i] = folder end
    local function open()
      return tonumber(wire.run(("ls /proc/%d/fd | wc -l"):format(engine.pid)))
    end
    run("true", mounts)
    local before = open() + 16 -- sandboxes that are made ahead may come yet
    for _ = 1, 5 do assert.equal("content\n", (run("cat /m17/d/f", mounts))) end
    wire.eventually("the descriptors to be closed", function() return open() <= before end)
    assert.is_nil(disk.read(("/proc/%d/mountinfo"):format(engine.pid)):find("/m17", 1, true))
  end)

  it("are refused before they take all descriptors", function()
    local few = wire.start("--max-runs 1", "prlimit --nofile=256:256")
    local first = few:spawn{ command = "sleep", args = { "60" } }
    local mounts, waiting = {}, {}
    local reply
    for i = 1, 4 do mounts["/m" .. i] = folder end
    repeat
      reply = few:post("/v1/instances", wire.spawn{ command = "true", mounts = mounts })
      if reply.status == 201 then waiting[#waiting + 1] = reply.json.uuid end
    until reply.status ~= 201 or #waiting == 64
    wire.refuses(429, "descriptors for %d+%. Fix", reply)
    few:request("DELETE", "/v1/operations/" .. waiting[1])
    few:wait(waiting[1])
    assert.equal(201, few:post("/v1/instances", wire.spawn{ command = "true",
      mounts = mounts }).status)
    few:request("DELETE", "/v1/operations/" .. first)
    for _, uuid in ipairs(waiting) do few:wait(uuid) end
    few:stop()
  end)

  describe("over TCP", function()
    local other, port, given
    setup(function()
      wire.run(("mkdir -p %s/allowed/in %s/beside && echo yes > %s/allowed/in/f"):format(folder,
        folder, folder))
      wire.run(("cd %s/allowed; ln -s ../beside out; ln -s in inner; ln -s / root"):format(folder))
      disk.write(folder .. "/token", "secret")
      port = wire.run([[python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])']])
      other = wire.start(("--listen 127.0.0.1:%s --token-file %s/token --allow-mount %s/allowed/ "
        .. "--allow-mount /nonexistent"):format(port, folder, folder))
      given = { Authorization = "Bearer secret" }
    end)
    teardown(function() other:stop() end)

    local function over_tcp(mounts)
      local request = wire.spawn(wire.shell("cat /data/f", { mounts = mounts }))
      other.port = tonumber(port)
      local reply = other:post("/v1/instances", request,
        { Authorization = given.Authorization, Prefer = "wait=30" })
      other.port = nil
      return reply
    end

    it("are those at and below --allow-mount", function()
      for _, path in ipairs{ "/allowed/in", "/allowed/./in/", "/allowed//in", "/allowed/inner" } do
        local reply = over_tcp{ ["/data"] = folder .. path }
        assert.equal("yes\n", reply.json.metadata.result.stdout.value, reply.body)
      end
      for _, path in ipairs{ "/allowed", "/allowed/", "/allowed//." } do
        assert.equal(201, over_tcp{ ["/data"] = folder .. path }.status)
      end
    end)

    it("never others, however they are named", function()
      for _, path in ipairs{ "", "/beside", "/allowed/out", "/allowed/../beside", "/allowed/root",
        "/allowed/root/etc", "/allowedx", "/allowed/in/../../beside" } do
        wire.refuses(403, "%-%-allow%-mount", over_tcp{ ["/data"] = folder .. path })
      end
      wire.refuses(403, "%-%-allow%-mount", over_tcp{ ["/data"] = "/etc" })
      assert.equal(201, other:post("/v1/instances", wire.spawn(wire.shell("true", {
        mounts = { ["/data"] = folder .. "/beside" } }))).status)
    end)

    it("are none without it, but volumes are", function()
      local plain = wire.start(("--listen 127.0.0.1:%d --token-file %s/token"):format(port + 1,
        folder))
      plain.port = port + 1
      wire.refuses(403, "%-%-allow%-mount", plain:post("/v1/instances", wire.spawn(
        wire.shell("true", { mounts = { ["/data"] = folder } })), given))
      assert.equal(201, plain:post("/v1/instances", wire.spawn(wire.shell("true", {
        volumes = { ["/data"] = "v" } })), given).status)
      plain.port = nil
      plain:stop()
    end)
  end)
end)
