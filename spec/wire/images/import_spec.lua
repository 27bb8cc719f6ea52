-- Images from registries (http-api.md §4.4, §8.7).
local disk = require("spec.support.disk")
local registry = require("spec.support.registry")
local wire = require("spec.support.wire")

-- Shell commands for a root file system with busybox, and a layer of it.
local BASE = [[
base() {
  mkdir -p $1/bin $1/tmp $1/etc $1/proc
  cp /bin/busybox $1/bin/busybox
  for a in sh cat ls echo test stat find env pwd wc id rm; do ln -sf busybox $1/bin/$a; done
  chmod 1777 $1/tmp
}
rm -rf root up
base root; tree root | gzip -n1 > base.tgz
]]

describe("POST /images/import", function()
  local engine, plain

  setup(function()
    engine = wire.start()
    plain = registry.start()
  end)
  teardown(function()
    plain:stop()
    engine:stop()
  end)

  local function start(url, options)
    local body = { registry = { url = url } }
    for key, value in pairs(options or {}) do body[key] = value end
    if body.credentials then
      body.registry.credentials, body.credentials = body.credentials, nil
    end
    local reply = engine:post("/v1/images/import", body)
    assert(reply.status == 201, reply.body)
    assert.are.equal("/v1/operations/" .. reply.json.uuid, reply.headers.location)
    return reply.json.uuid
  end

  local function import(url, options)
    return engine:wait(start(url, options))
  end

  local function succeeds(url, options)
    local operation = import(url, options)
    assert.are.equal("SUCCESS", operation.status, operation.error)
    return operation
  end

  local function fails(pattern, url, options)
    local operation = import(url, options)
    assert.are.equal("FAILED", operation.status)
    assert.matches(pattern, operation.error)
    assert.are.equal(wire.null, operation.result_image_uuid)
    return operation
  end

  local function sh(image, command, options)
    local run = { command = command, shell = true, image = image }
    for key, value in pairs(options or {}) do run[key] = value end
    local operation = engine:run(run)
    assert.are.equal("SUCCESS", operation.status, operation.error)
    local result = operation.metadata.result
    return wire.bytes(result.stdout) .. wire.bytes(result.stderr)
  end

  local function layers() return tonumber(wire.run("ls " .. engine.data .. "/l | wc -l")) end
  local function images() return #engine:get("/v1/images?limit=1000").json.images end

  -- A failed import must not leave files, processes or layers.
  local function leaves_nothing(action)
    local before, known = layers(), images()
    action()
    assert.are.equal(before, layers())
    assert.are.equal(known, images())
    assert.are.equal("", wire.run("pgrep -P " .. engine.pid .. " skopeo"))
    wire.eventually("the workspaces to be emptied", function()
      local command = "cd %s && find w trash -type f 2>/dev/null"
      return wire.run(command:format(engine.data)) == ""
    end)
  end

  describe("a good image", function()
    it("becomes an image with its tag, environment and directory", function()
      local url = plain:push("good/first:1", BASE
        .. "mkdir -p root/srv/app; tree root > r.tar; cwd=/srv/app; "
        .. "layer r.tar; finish PATH=/opt/bin:/bin 'GREETING=hello there'")
      local operation = succeeds(url, { tag = "first:1", timeout = 60 })
      assert.are.equal("image_import", operation.kind)
      assert.are.equal(wire.null, operation.error)
      assert.are.equal(wire.null, operation.image_uuid)
      assert.are.equal(operation.result_image_uuid, operation.result.image)
      assert.are.equal("first:1", operation.result.tag)
      assert.are.same({ registry = { url = url, credentials = {
        username = "", password = "" } }, tag = "first:1", timeout = 60 }, operation.metadata)
      assert.is_true(operation.image_size > 100000)
      local image = engine:get("/v1/inspect/" .. operation.result.image .. "/").json
      assert.are.equal("first:1", image.tag)
      assert.are.equal(operation.uuid, image.operation_uuid)
      assert.are.equal("hello there /opt/bin:/bin /srv/app\n",
        sh("tag:first:1", "echo $GREETING $PATH $(pwd)"))
      assert.are.equal("/tmp\n", sh("tag:first:1", "pwd", { cwd = "/tmp" }))
      -- The next image inherits both.
      local built = engine:run{ image = "tag:first:1", command = "echo > /new", shell = true,
        disposable = false, env = { OTHER = "1" } }
      assert.are.equal("", built.metadata.cwd)
      assert.are.equal("/srv/app hello there\n",
        sh(built.result_image_uuid, "echo $(pwd) $GREETING$OTHER"))
      assert.are.equal(operation.uuid, engine:get("/v1/operations?kind=image_import").json[1].uuid)
    end)

    it("needs no policy of the administrator's, and obeys one", function()
      if wire.run("test -d /etc/containers && id -u") ~= "0" then
        return pending("needs root, to mount")
      end
      local url = plain:push("good/policy:1", BASE .. "layer base.tgz; finish")
      for policy, status in pairs{ [""] = "SUCCESS",
        ['{"default":[{"type":"reject"}]}'] = "FAILED" } do
        local file = disk.write(plain.directory .. "/policy", policy)
        local other = wire.start("", ("unshare -m sh -c 'mount -t tmpfs none /etc/containers; "
          .. "if test -s %s; then cp %s /etc/containers/policy.json; fi; exec \"$@\"' sh")
          :format(file, file))
        local operation = other:wait(other:post("/v1/images/import", { registry = { url = url } })
          .json.uuid)
        other:stop()
        assert.are.equal(status, operation.status, operation.error)
        if status == "FAILED" then assert.matches("rejected by policy", operation.error) end
      end
    end)

    it("F8: has a directory to start in that tells nothing of the machine", function()
      local here = wire.run("mktemp -d -t contree-here-XXXXXX")
      local missing = here .. "-not"
      for number, dir in ipairs{ here, missing } do
        local url = plain:push("good/oracle" .. number, BASE
          .. ("mkdir -p root%s; tree root > r.tar; layer r.tar; cwd=%s%s/./x/..; finish")
            :format(dir, ("/.."):rep(12), dir))
        local image = succeeds(url).result.image
        assert.are.equal(dir .. "\n", sh(image, "pwd"))
        -- A directory that exists only on the machine does not count.
        url = plain:push("good/only" .. number, BASE
          .. ("layer base.tgz; cwd=%s%s; finish"):format(("/.."):rep(12), dir))
        assert.are.equal("/\n", sh(succeeds(url).result.image, "pwd"))
      end
      wire.run("rmdir " .. here)
    end)

    it("comes again as the one that is here", function()
      local url = plain:push("good/again", BASE .. "layer base.tgz; finish A=1")
      local first = succeeds(url, { tag = "again:a" }).result.image
      local before = layers()
      assert.are.equal(first, succeeds(url, { tag = "again:a" }).result.image)
      assert.are.equal(first, succeeds(url).result.image)
      local second = succeeds(url, { tag = "again:b" }).result.image
      assert.are_not.equal(first, second)
      assert.are.equal(first, engine:get("/v1/images?tag=again:a").json.images[1].uuid)
      assert.are.equal("1\n", sh(second, "echo $A"))
      assert.are.equal(before, layers())
    end)

    it("shares its layers with others", function()
      local app = "mkdir -p %s; echo %s > %s/name; tree %s > %s.tar; "
      local function push(name)
        return plain:push("good/" .. name, BASE .. "tree root > ignored; "
          .. app:gsub("%%s", name) .. "layer base.tgz; layer " .. name .. ".tar; finish")
      end
      local before = layers()
      local one = succeeds(push("one"))
      local base = layers() - before
      assert.is_true(base == 1 or base == 2) -- the base may be here already
      succeeds(push("two"))
      assert.are.equal(before + base + 1, layers())
      assert.are.equal("one\n", sh(one.result.image, "cat /name"))
    end)

    it("is the same however its layers are packed", function()
      local before
      for i, pack in ipairs{ "gzip -9", "zstd -q", "cat" } do
        local name = ({ "p.tgz", "p.zst", "p.tar" })[i]
        local url = plain:push("good/packed:" .. i, BASE .. "echo packed > root/packed; "
          .. ("tree root | %s > %s; layer %s; finish"):format(pack, name, name))
        local image = succeeds(url).result.image
        assert.are.equal("packed\n", sh(image, "cat /packed"))
        before = before or layers()
        assert.are.equal(before, layers())
      end
    end)

    it("keeps what files are", function()
      if wire.run("id -u") ~= "0" then
        pending("only root can give files away")
        return
      end
      local long = ("n"):rep(200) .. "/" .. ("m"):rep(200)
      local url = plain:push("good/files", BASE .. [[
        mkdir -p root/d/sub root/opq root/gone root/swap root/]] .. long .. [[;
        echo s > root/d/setuid; chmod 4755 root/d/setuid
        echo g > root/d/setgid; chmod 2711 root/d/setgid
        echo h > root/d/hard; ln root/d/hard root/d/link; ln -s /etc/../d/hard root/d/soft
        mkfifo -m 640 root/d/fifo; chown 1000:1001 root/d/fifo
        truncate -s 1G root/d/sparse
        printf x | dd of=root/d/sparse bs=1 seek=500M conv=notrunc status=none
        echo owned > root/d/owned; chown 65534:12 root/d/owned; chmod 604 root/d/owned
        touch -d @1000000000.25 root/d/old; echo l > root/]] .. long .. [[/deep
        printf '\303\244 \377' > "root/d/$(printf 'b\303\244d \377\n')"
        python3 -c 'import os, struct
os.setxattr("root/d/setgid", "user.note", b"\0kept\xff")
os.setxattr("root/d/owned", "security.capability", struct.pack("<5I", 0x2000001, 1 << 13, 0, 0, 0))'
        echo a > root/opq/a; echo b > root/gone/b; echo c > root/swap/c; echo f > root/file
        chmod 711 root
        tar --sort=name --format=pax --xattrs --xattrs-include='*' --numeric-owner \
          -S -C root -c . > files.tar
        mkdir -p up/opq up/d up/swap2; : > up/opq/.wh..wh..opq; echo new > up/opq/new
        : > up/.wh.gone; : > up/.wh.swap; : > up/d/.wh.setuid; echo w > up/.wh..wh.aufs
        ln up/opq/new up/d/across; chmod 700 up/d; chmod 711 up
        tree up | zstd -q > up.zst
        layer files.tar; layer up.zst; finish]])
      local image = succeeds(url).result.image
      local function look(command) return sh(image, command) end
      assert.are.equal("711 0:0 /\n", look("stat -c '%a %u:%g %n' /"))
      assert.are.equal("2711 0:0\n604 65534:12\n640 1000:1001\n",
        look("cd /d; stat -c '%a %u:%g' setgid owned fifo"))
      assert.are.equal("fifo\n", look("stat -c %F /d/fifo"))
      assert.are.equal("h /etc/../d/hard\n2 same\n", look(
        "echo $(cat /d/soft) $(busybox readlink /d/soft); cd /d; "
        .. "echo $(stat -c %h hard) $(test hard -ef link && echo same)"))
      assert.are.equal("1073741824 few\nx", look(
        "cd /d; echo $(stat -c %s sparse) $(test $(stat -c %b sparse) -lt 1000 && echo few); "
        .. "busybox dd if=sparse bs=1M skip=500 count=1 2>/dev/null | busybox head -c 1"))
      assert.are.equal("1000000000\nl\n", look("stat -c %Y /d/old; cat /" .. long .. "/deep"))
      assert.are.equal("\195\164 \255", look("cat /d/b*"))
      -- Whiteouts.
      assert.are.equal("new\nnew\n700\n", look("ls /opq; cat /d/across; stat -c %a /d"))
      assert.are.equal("d file opq swap2\n", look("cd /; echo [dfgosw]* | busybox sed "
        .. "'s/ dev//; s/ sys//'"))
      assert.are.equal("gone\n", look("test -e /d/setuid || echo gone"))
      -- Attributes as they are on the disk: a capability holds for the sandbox's
      -- root only.
      local found = wire.run("cd " .. engine.data .. [[/l && python3 -c '
import glob, os, struct
for p in glob.glob("*/d/setgid"): print(os.getxattr(p, "user.note"))
for p in glob.glob("*/d/owned"):
    c = os.getxattr(p, "security.capability")
    w = struct.unpack("<6I", c)
    print(hex(w[0]), w[1] == 1 << 13, w[5] == os.stat("0").st_uid)']])
      assert.are.equal("b'\\x00kept\\xff'\n0x3000001 True True", found)
    end)

    it("is found in an index of many machines", function()
      local fake = registry.fake(BASE .. "layer base.tgz; finish")
      finally(function() fake:stop() end)
      local image = succeeds(fake:url("index/x")).result.image
      assert.are.equal("ok\n", sh(image, "echo ok"))
      assert.are.equal(image, succeeds(fake:url("good/x")).result.image)
    end)

    it("is fetched once: manifest again, layers not", function()
      local fake = registry.fake(BASE .. "echo once > root/once; tree root > o.tar; "
        .. "layer base.tgz; layer o.tar; finish B=1")
      finally(function() fake:stop() end)
      succeeds(fake:url("good/x"))
      local before = fake:asked("/blobs/")
      succeeds(fake:url("good/x"))
      assert.are.equal(before, fake:asked("/blobs/"))
      -- A new layer on top of the same layers.
      registry.make(fake.directory, "echo 2 > root/two; tree root > t.tar; "
        .. "layer base.tgz; layer o.tar; layer t.tar; finish")
      local image = succeeds(fake:url("good/x")).result.image
      assert.are.equal("once 2\n", sh(image, "echo $(cat /once /two)"))
      -- Only the config, twice, and the new layer are fetched.
      assert.are.equal(before + 3, fake:asked("/blobs/"))
    end)
  end)

  describe("logins", function()
    local guarded, url
    local secret = "s3cretPassw0rd"
    setup(function()
      guarded = registry.start("someone:" .. secret)
      url = guarded:push("private/x:1", BASE .. "echo private > root/p; tree root > p.tar; "
        .. "layer p.tar; finish")
    end)
    teardown(function() guarded:stop() end)

    it("open a registry, and are masked", function()
      local operation = succeeds(url, { credentials = { username = "someone",
        password = secret } })
      assert.are.same({ username = "someone", password = "<MASKED>" },
        operation.metadata.registry.credentials)
      assert.are.equal("private\n", sh(operation.result.image, "cat /p"))
    end)

    it("are asked for when they are missing", function()
      leaves_nothing(function()
        fails("registry.credentials", url)
        fails("registry.credentials", url, { credentials = { username = "", password = "" } })
        fails("registry.credentials", url, { credentials = wire.null })
      end)
    end)

    it("C7: that are short are masked as words, not as letters", function()
      local operation = fails("refuses these registry.credentials", url,
        { credentials = { username = "someone", password = "e" } })
      assert.matches(": reading manifest ", operation.error, 1, true)
    end)

    it("that are wrong are told as such, and told to nobody", function()
      leaves_nothing(function()
        local wrong = "wr0ng" .. secret
        local operation = fails("refuses these registry.credentials", url,
          { credentials = { username = "someone", password = wrong } })
        assert.is_nil(operation.error:find(wrong, 1, true))
        assert.is_nil(disk.read(engine.log):find(wrong, 1, true))
        local everything = engine:get("/v1/operations/" .. operation.uuid).body
        for _, frame in ipairs(engine:events(operation.uuid)) do
          everything = everything .. frame.text
        end
        assert.is_nil(everything:find(wrong, 1, true))
        assert.are.equal("", wire.run(("grep -rlF %s %s"):format(wrong, engine.data)))
      end)
    end)

    it("are on no disk, in no argument and no environment", function()
      local fake = registry.fake(BASE .. "echo login > root/login; tree root > r.tar; "
        .. "layer r.tar; finish", "someone:" .. secret)
      finally(function() fake:stop() end)
      local uuid = start(fake:url("slow/x"),
        { credentials = { username = "someone", password = secret } })
      wire.eventually("skopeo to fetch a layer", function() return fake:asked("/blobs/") >= 2 end)
      local pids = wire.run("pgrep -P " .. engine.pid .. " skopeo")
      assert.matches("^%d+$", pids)
      local encoded = wire.base64("someone:" .. secret)
      local seen = wire.run("cat /proc/" .. pids .. "/cmdline /proc/" .. pids
        .. "/environ | tr '\\0' '\\n'")
      assert.is_truthy(seen:find(fake:url("slow/x"), 1, true))
      assert.is_nil(seen:find(secret, 1, true) or seen:find(encoded, 1, true))
      for _, text in ipairs{ secret, encoded } do
        assert.are.equal("", wire.run(("grep -rlF %s %s"):format(text, engine.data)))
      end
      engine:request("DELETE", "/v1/operations/" .. uuid)
      assert.are.equal("CANCELLED", engine:wait(uuid).status)
    end)
  end)

  describe("a bad registry", function()
    local fake

    setup(function()
      fake = registry.fake(BASE .. "head -c 3000000 /dev/urandom > root/noise; tree root > b.tar; "
        .. "layer base.tgz; layer b.tar; finish BAD=1")
      disk.write(fake.directory .. "/oci/away", "file:///etc/passwd")
    end)
    teardown(function() fake:stop() end)

    it("is told of in one line", function()
      leaves_nothing(function()
        fails("^cannot import docker://127.0.0.1:%d+/missing/x:latest: .*manifest unknown",
          fake:url("missing/x"))
        fails("manifest unknown", plain:url("good/nothing:1"))
        fails("connection refused", "docker://127.0.0.1:1/x")
        fails("unexpected EOF", fake:url("hangup/x"))
        local operation = fails("500", fake:url("broken/x"))
        assert.is_true(#operation.error < 480)
      end)
    end)

    it("that lies is not believed", function()
      leaves_nothing(function()
        fails("[Dd]igest", fake:url("swapped/x"))
        fails("[Dd]igest", fake:url("forged/x"))
        fails("[Dd]igest", fake:url("edited/x"))
        fails("index within an index", fake:url("deep/x"))
      end)
    end)

    it("cannot lead elsewhere, and not fill the disk", function()
      leaves_nothing(function()
        fails("file", fake:url("away/x"))
        disk.write(fake.directory .. "/oci/away", "http://169.254.169.254/latest/meta-data")
        fails("refused", fake:url("away/x"))
        local operation = fails("sends more", fake:url("endless/x"))
        local frames = engine:events(operation.uuid)
        assert.are.equal("disk", frames[#frames].data.data.limit)
      end)
    end)

    it("that dies in between is an error", function()
      local dying = registry.fake(BASE .. "echo dies > root/dies; tree root > r.tar; "
        .. "layer r.tar; finish")
      finally(function() dying:stop() end)
      leaves_nothing(function()
        local uuid = start(dying:url("slow/x"))
        wire.eventually("a layer", function() return dying:asked("/blobs/") >= 2 end)
        dying:kill()
        local operation = engine:wait(uuid)
        assert.are.equal("FAILED", operation.status)
      end)
    end)
  end)

  describe("an import that takes long", function()
    local fake

    setup(function()
      fake = registry.fake(BASE .. "echo long > root/long; tree root > b.tar; "
        .. "layer base.tgz; layer b.tar; finish LONG=1")
    end)
    teardown(function() fake:stop() end)

    it("ends at its timeout", function()
      leaves_nothing(function()
        local operation = fails("timeout", fake:url("slow/x"), { timeout = 1 })
        local frames = engine:events(operation.uuid)
        assert.are.equal("timeout", frames[#frames].data.data.limit)
      end)
    end)

    it("can be cancelled, and says meanwhile how far it is", function()
      leaves_nothing(function()
        local uuid = start(fake:url("slow/x"), { tag = "never:1" })
        local connection = engine:follow(uuid, "?follow=1")
        local data = wire.await(connection, "progress").data.data
        assert.are.equal("fetch", data.phase)
        assert.are.equal(2, data.of)
        assert.is_true(data.total > 100000 and data.bytes < data.total)
        assert.are.equal("EXECUTING", engine:get("/v1/operations/" .. uuid).json.status)
        assert.are.equal(1, engine:get("/v1/whoami").json.operations_stat.running_imports)
        assert.are.equal(409, engine:post("/v1/operations/" .. uuid .. "/subprocesses",
          { command = "true" }).status)
        assert.are.equal(202, engine:request("DELETE", "/v1/operations/" .. uuid).status)
        local last = wire.await(connection, "completion").data.data
        connection:close()
        assert.are.equal("CANCELLED", last.status)
        assert.are.equal(wire.null, last.error)
        local operation = engine:wait(uuid)
        assert.are.same({ image = wire.null, tag = wire.null }, operation.result)
        assert.are.equal(409, engine:request("DELETE", "/v1/operations/" .. uuid).status)
        assert.are.equal(0, engine:get("/v1/whoami").json.operations_stat.running_imports)
      end)
    end)

    it("waits for its turn", function()
      leaves_nothing(function()
        local uuids = {}
        for i = 1, 9 do uuids[i] = start(fake:url("slow/x")) end
        local function status(i) return engine:get("/v1/operations/" .. uuids[i]).json.status end
        assert.are.equal("EXECUTING", status(8))
        assert.are.equal("PENDING", status(9))
        -- Runs do not wait for imports.
        assert.are.equal(0, engine:run{ command = "true" }.metadata.result.state.exit_code)
        engine:request("DELETE", "/v1/operations/" .. uuids[3])
        wire.eventually("the ninth", function() return status(9) == "EXECUTING" end)
        local waiting = start(fake:url("slow/x"))
        assert.are.equal(202, engine:request("DELETE", "/v1/operations/" .. waiting).status)
        assert.are.equal("CANCELLED", engine:get("/v1/operations/" .. waiting).json.status)
        for i = 1, 9 do engine:request("DELETE", "/v1/operations/" .. uuids[i]) end
        for i = 1, 9 do assert.are.equal("CANCELLED", engine:wait(uuids[i]).status) end
      end)
    end)

    it("ends with the engine, leaving nothing", function()
      for _, signal in ipairs{ "TERM", "KILL" } do
        leaves_nothing(function()
          local asked = fake:asked("/blobs/")
          local uuid = start(fake:url("slow/x"), { tag = "never:1" })
          wire.eventually("a layer", function() return fake:asked("/blobs/") >= asked + 2 end)
          local skopeo = wire.run("pgrep -P " .. engine.pid .. " skopeo")
          assert.matches("^%d+$", skopeo)
          engine:kill(signal)
          wire.eventually("skopeo to end", function()
            return wire.run("grep -s '^State:.[^Z]' /proc/" .. skopeo .. "/status") == ""
          end)
          engine:launch()
          local operation = engine:get("/v1/operations/" .. uuid).json
          assert.are.equal(signal == "KILL" and "FAILED" or "CANCELLED", operation.status)
        end)
      end
    end)
  end)

  describe("a request", function()
    local function refuses(pattern, body)
      local reply = engine:post("/v1/images/import", body)
      assert.are.equal(400, reply.status, reply.body)
      assert.matches(pattern, reply.json.error)
    end

    it("must name an image of a registry", function()
      refuses("registry.? is missing", {})
      refuses("registry.? must be", { registry = "docker://x" })
      refuses("registry.url.? is missing", { registry = { url = "" } })
      for _, url in ipairs{ "oci:/etc", "dir:/etc", "docker-archive:/etc/passwd", "x",
        "docker-daemon:x", "containers-storage:x", "tarball:/etc", "docker://",
        "docker://h.io/a b", "docker:///x", "docker://169.254.169.254/x" } do
        refuses("registry.url", { registry = { url = url } })
      end
      refuses("credentials", { registry = { url = "docker://me:secret@h.io/x" } })
    end)

    it("has both parts of a login or none", function()
      local function with(login) return { registry = { url = "docker://h.io/x",
        credentials = login } } end
      refuses("password.*missing", with{ username = "u" })
      refuses("password.*missing", with{ username = "u", password = "" })
      refuses("username.*missing", with{ password = "p", username = wire.null })
      refuses("username", with{ password = "p", username = 7 })
    end)

    it("has a tag and a timeout that can be", function()
      local function with(name, value) return { registry = { url = "docker://h.io/x" },
        [name] = value } end
      refuses("tag", with("tag", "Bad Tag"))
      refuses("tag", with("tag", "x:"))
      refuses("timeout", with("timeout", 0))
      refuses("timeout", with("timeout", 3601))
      refuses("timeout", with("timeout", "60"))
    end)
  end)
end)
