-- The engine makes /etc/hosts, hostname and resolv.conf for each sandbox, whatever the
-- image has in their places. They are not kept with an image.
local wire = require("spec.support.wire")

for _, runtime in ipairs{ "native", "crun" } do
  describe("/etc of a sandbox that " .. runtime .. " makes", function()
    local engine, connects

    setup(function()
      engine = wire.start("--runtime " .. runtime)
      connects = engine:run(wire.shell("true", { networking = { enabled = true } })).status
        == "SUCCESS" -- not without slirp4netns and /dev/net/tun
    end)
    teardown(function() engine:stop() end)

    local function run(command, options)
      local operation = engine:run(wire.shell(command, options))
      assert.are.equal("SUCCESS", operation.status, operation.error)
      return wire.bytes(operation.metadata.result.stdout), operation
    end

    -- Makes an image of busybox by a command, whose changes to /etc are kept.
    local function image(command)
      local _, operation = run("set -e\n" .. command, { disposable = false, image_etc = true })
      local result = operation.metadata.result
      assert.are.equal(0, result.state.exit_code, wire.bytes(result.stderr))
      return operation.result_image_uuid
    end

    local NAMES = [[for n in localhost $(hostname) $(hostname | cut -d . -f 1); do
      ping -4 -c1 -w1 $n 2>&1 | grep -o '^PING.*([0-9.:]*)'
      ping -6 -c1 -w1 $n 2>&1 | grep -o '^PING.*([0-9a-f.:]*)'
    done; cat /etc/hostname]]

    local function names(...)
      local text = "PING localhost (127.0.0.1)\nPING localhost (::1)\n"
      for _, name in ipairs{ ... } do
        text = text .. ("PING %s (127.0.0.1)\nPING %s (::1)\n"):format(name, name)
      end
      return text
    end

    local function check(of, options)
      options = options or {}
      options.image = of
      assert.are.equal(names("linuxkit", "linuxkit") .. "linuxkit\n", (run(NAMES, options)))
      options.hostname = "db.example.org"
      assert.are.equal(names("db.example.org", "db") .. "db.example.org\n",
        (run(NAMES, options)))
      if not connects then return end
      options.networking = { enabled = true }
      assert.are.equal(names("db.example.org", "db") .. "db.example.org\nnameserver 10.0.2.3\n",
        (run(NAMES .. "; grep ^nameserver /etc/resolv.conf", options)))
    end

    it("A2: names localhost and the host, in version 4 and 6", function()
      local version_6 = wire.run("grep -c ^0*1 /proc/net/if_inet6 2>/dev/null")
      if version_6 ~= "1" then return pending("this kernel has no IPv6") end
      check("tag:busybox:latest")
      -- glibc takes ::1 for 127.0.0.1, too; others do not.
      assert.matches("\n127.0.0.1\tdb.example.org db\n",
        (run("cat /etc/hosts", { hostname = "db.example.org" })), 1, true)
      check(image("mkdir -p /etc; cd /etc; echo 10.1.2.3 localhost linuxkit db > hosts; "
        .. "echo other > hostname; echo nameserver 192.0.2.1 > resolv.conf"))
      check("tag:busybox:latest", { uid = engine:id(1000) })
    end)

    it("A2: begins with no name server where there is no network", function()
      local of = image("mkdir -p /etc; echo nameserver 192.0.2.1 > /etc/resolv.conf")
      assert.are.equal("0\n", (run("grep -c nameserver /etc/resolv.conf", { image = of })))
    end)

    it("A2: is not kept, and can be written", function()
      local base = image("mkdir -p /etc; echo mine > /etc/hosts; echo x > /etc/x")
      local text, operation = run([[cd /etc && echo 10.9.8.7 new >> hosts && echo h > hostname &&
        echo r > resolv.conf && ping -c1 -w1 new 2>&1 | grep -o '^PING.*)'; cat hostname resolv.conf
        chmod 600 hosts; rm -f hosts 2>/dev/null || echo stays]],
        { image = base, disposable = false })
      assert.are.equal("PING new (10.9.8.7)\nh\nr\nstays\n", text)
      assert.are.equal(base, operation.result_image_uuid)
      local at = "/v1/inspect/" .. base
      assert.are.equal("mine\n", engine:get(at .. "/download?path=/etc/hosts").body)
      assert.are.equal(404, engine:get(at .. "/download?path=/etc/hostname").status)
      -- An image without /etc does not get one.
      _, operation = run("echo x > /etc/hosts", { disposable = false })
      assert.are.equal(engine:get("/v1/inspect/?tag=busybox:latest").headers.location,
        operation.result_image_uuid .. "/")
    end)

    it("A2: is the image's for a run that says so, or that is sent the file", function()
      local uuid = engine:post("/v1/files", "10.1.1.1 sent\n").json.uuid
      local text, operation = run("cat /etc/hosts /etc/hostname",
        { disposable = false, files = { ["/etc/hosts"] = { uuid = uuid } } })
      assert.are.equal("10.1.1.1 sent\nlinuxkit\n", text)
      local kept = operation.result_image_uuid
      assert.are.equal("10.1.1.1 sent\n",
        engine:get("/v1/inspect/" .. kept .. "/download?path=/etc/hosts").body)
      assert.matches("localhost", run("cat /etc/hosts", { image = kept }), 1, true)
      text = run("cat /etc/hosts; ls /etc/hostname /etc/resolv.conf 2>/dev/null",
        { image = kept, image_etc = true })
      assert.matches("^10.1.1.1 sent\n", text)
      local metadata = operation.metadata
      assert.is_nil(metadata.image_etc) -- shown only to those who set it
    end)

    -- Things of an image through which no file can be written.
    local PLACES = {
      ["dangling links"] = "ln -s ../run/systemd/resolve/stub-resolv.conf resolv.conf; "
        .. "ln -s /nowhere/hosts hosts; ln -s nothing hostname",
      ["links in a circle"] = "for n in hosts hostname resolv.conf; do ln -s $n $n; done",
      ["links to directories"] = "for n in hosts hostname resolv.conf; do ln -s /tmp $n; done",
      ["links out of it"] = "for n in hosts hostname resolv.conf; do "
        .. "ln -s ../../../../../../proc/self/fd/0 $n; done",
      ["links to files"] = "echo untouched > /file; chmod 444 /file; "
        .. "for n in hosts hostname resolv.conf; do ln -s /file $n; done",
      ["pipes"] = "for n in hosts hostname resolv.conf; do mkfifo $n; done",
      ["files that nobody may read"] = "for n in hosts hostname resolv.conf; do "
        .. "echo > $n; chmod 0 $n; done",
      ["one hard link"] = "echo > a; for n in hosts hostname resolv.conf; do ln a $n; done",
      ["nothing, for it was removed"] = "echo > hosts; echo > hostname; echo > resolv.conf; "
        .. "cd /; rm -r etc; mkdir etc",
      ["another place"] = "cd /; rm -r etc; mkdir -p /usr/etc; ln -s usr/etc etc",
      ["an absolute other place"] = "cd /; rm -r etc; mkdir -p /usr/etc; ln -s /usr/etc etc",
    }

    for what, make in pairs(PLACES) do
      it("A3: covers " .. what, function()
        local of = image("mkdir -p /etc; cd /etc; " .. make)
        local options = { image = of, networking = connects and { enabled = true } or nil }
        local text = run("cat /etc/hosts /etc/hostname; grep ^nameserver /etc/resolv.conf; "
          .. "cat /file 2>/dev/null; for n in hosts hostname resolv.conf; do "
          .. "test -f /etc/$n -a ! -L /etc/$n || echo $n; done", options)
        assert.matches("^127.0.0.1\tlocalhost\n", text)
        assert.matches("\nlinuxkit\n" .. (connects and "nameserver 10.0.2.3\n" or "")
          .. (what == "links to files" and "untouched\n" or "") .. "$", text)
      end)
    end

    it("A3: says what is wrong with a directory in such a place", function()
      for _, name in ipairs{ "hosts", "hostname", "resolv.conf" } do
        local of = image("mkdir -p /etc/" .. name)
        local operation = engine:run{ command = "true", image = of }
        assert.are.equal("FAILED", operation.status)
        assert.matches("/etc/" .. name .. " is a directory", operation.error, 1, true)
      end
    end)

    it("A3: is left alone where nobody can find it", function()
      for _, make in ipairs{ "ln -s /nowhere etc", "ln -s etc etc", "echo > etc" } do
        local of = image("rm -rf /etc; cd /; " .. make)
        assert.are.equal("ok\n", (run("echo ok", { image = of })))
      end
    end)

    it("A8: has as much shared memory beside it as asked for", function()
      local look = "df -k /dev/shm | awk 'END { print $2 }'; stat -c %a /dev/shm; "
        .. "head -c 100000000 /dev/zero > /dev/shm/x 2>/dev/null; stat -c %s /dev/shm/x"
      assert.are.equal("262144\n1777\n100000000\n", (run(look)))
      local function limited(bytes) return { resources_limits = { shm_bytes = bytes } } end
      local text, operation = run(look, limited(8388608))
      assert.are.equal("8192\n1777\n8388608\n", text)
      assert.are.equal(8388608, operation.metadata.resources_limits.shm_bytes)
      assert.are.equal("2097152\n1777\n100000000\n", (run(look, limited(2147483648))))
      for _, wrong in ipairs{ 0, 4095, -1, 0.5, "1g" } do
        wire.refuses(400, "shm_bytes",
          engine:post("/v1/instances", wire.spawn(wire.shell("true", limited(wrong)))))
      end
    end)
  end)
end
