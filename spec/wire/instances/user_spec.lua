-- The user of a run is looked up in the image's /etc/passwd and /etc/group, which give
-- its groups, HOME and USER. The files come with the image, so they may be hostile.
local registry = require("spec.support.registry")
local wire = require("spec.support.wire")

local PASSWD = [[
# a comment
root:x:0:0:root:/root:/bin/sh
+::::::
short:x:7
app:x:1000:1001:An App,,,:/home/app:/bin/sh
twin:x:1000:7:Same id:/twin:/bin/sh
crlf:x:1002:1002::/home/crlf:/bin/sh]] .. "\r\n" .. [[
nohome:x:1003:1003:::/bin/sh
relative:x:1004:1004::home:/bin/sh
4242:x:1005:1005::/home/number:/bin/sh
huge:x:4294967295:0::/x:/bin/sh
huger:x:4294967296:0::/x:/bin/sh
negative:x:-1:0::/x:/bin/sh
hex:x:0x10:0::/x:/bin/sh
:x:1006:1006::/nobody:/bin/sh
many:x:1007:1007::/home/many:/bin/sh
last:x:1008:1009::/home/last]]

local GROUP = [[
root:x:0:
staff:x:50:app,last
wheel:x:10:root,app
app:x:1001:
short:x
none:x:60:apple,happ,ap,
evil:x:4294967295:app
crlf:x:51:crlf]] .. "\r\n" .. [[
70:x:71:
last:x:52:last]]

for _, runtime in ipairs{ "native", "crun" } do
  describe("A4: a user in a sandbox that " .. runtime .. " makes", function()
    local engine, files

    setup(function()
      engine = wire.start("--runtime " .. runtime)
      files = {
        ["/etc/passwd"] = { uuid = engine:post("/v1/files", PASSWD).json.uuid },
        ["/etc/group"] = { uuid = engine:post("/v1/files", GROUP).json.uuid },
      }
    end)
    teardown(function() engine:stop() end)

    -- Uses no program that reads these files itself.
    local WHO = [[while read -r name one rest; do case $name in
        Uid:) uid=$one;; Gid:) gid=$one;; Groups:) groups=$(echo $one $rest);;
      esac; done < /proc/self/status
      echo $uid $gid "$HOME" "${USER-none}"; echo $groups]]

    local function start(options)
      options.files = options.files or files
      return engine:run(wire.shell(WHO, options))
    end

    local function who(options)
      local operation = start(options)
      assert.are.equal("SUCCESS", operation.status, operation.error)
      return (wire.bytes(operation.metadata.result.stdout):gsub("\n", ", ", 1):gsub("\n", ""))
    end

    -- Groups in the order of their numbers, as the kernel keeps them.
    local KNOWN = {
      { { user = "app" }, "1000 1001 /home/app app, 10 50 1001" },
      { { user = "1000" }, "1000 1001 /home/app app, 10 50 1001" },
      { { uid = 1000 }, "1000 1001 /home/app app, 10 50 1001" },
      { { user = "app:staff" }, "1000 50 /home/app app, 50" },
      { { user = "app:60" }, "1000 60 /home/app app, 60" },
      { { uid = 1000, gid = 5 }, "1000 5 /home/app app, 5" },
      { { uid = 1000, gid = 0 }, "1000 0 /home/app app, 0" },
      { { user = "1000:1000" }, "1000 1000 /home/app app, 1000" },
      { { user = "twin" }, "1000 7 /twin twin, 7" },
      { { user = "crlf" }, "1002 1002 /home/crlf crlf, 51 1002" },
      { { user = "nohome" }, "1003 1003 / nohome, 1003" },
      { { user = "relative" }, "1004 1004 / relative, 1004" },
      { { user = "last" }, "1008 1009 /home/last last, 50 52 1009" },
      { { user = "app:" }, "1000 1001 /home/app app, 10 50 1001" },
      { { user = "app:70" }, "1000 70 /home/app app, 70" },
      -- A number is an id, even if a user has it as name.
      { { user = "4242" }, "4242 0 / none, 0" },
      { { uid = 4242 }, "4242 0 / none, 0" },
      { { user = "4242:4343" }, "4242 4343 / none, 4343" },
      { { user = "root" }, "0 0 /root root, 0 10" },
      { {}, "0 0 /root root, 0 10" },
      { { uid = 0, gid = 0 }, "0 0 /root root, 0" },
      -- `user` wins over uid and gid, which are there for engines without it.
      { { user = "app", uid = 5, gid = 6 }, "1000 1001 /home/app app, 10 50 1001" },
    }

    it("has its id, groups, HOME and USER", function()
      if engine:id(1) == 0 then return pending("there is one id") end
      for _, each in ipairs(KNOWN) do
        assert.are.equal(each[2], who(each[1]))
      end
    end)

    it("uses devices and files, whatever umask the engine was started with", function()
      if engine:id(1) == 0 then return pending("there is one id") end
      local own = wire.start("--runtime " .. runtime, [[sh -c 'umask 077; exec "$@"' sh]])
      local result = own:run(wire.shell([[umask
        echo x > /dev/null && head -c 1 /dev/zero | wc -c && echo x > /dev/shm/x &&
          ls / /dev /proc /sys > /dev/null && cat /etc/hosts /etc/resolv.conf > /dev/null]],
        { uid = 1000 })).metadata.result
      assert.are.equal("0022\n1\n", wire.bytes(result.stdout), wire.bytes(result.stderr))
      assert.are.equal("", wire.bytes(result.stderr))
      own:stop()
    end)

    it("keeps what the run or the image says of its environment", function()
      if engine:id(1) == 0 then return pending("there is one id") end
      assert.are.equal("1000 1001 /tmp x, 10 50 1001",
        who{ user = "app", env = { HOME = "/tmp", USER = "x" } })
      assert.are.equal("1000 1001  none, 10 50 1001",
        who{ user = "app", env = { HOME = wire.null, USER = wire.null } })
      local kept = engine:run(wire.shell("true", { disposable = false, preserve_env = true,
        env = { HOME = "/kept" } })).result_image_uuid
      assert.are.equal("1000 1001 /kept app, 10 50 1001", who{ user = "app", image = kept })
    end)

    it("is refused where nobody is called so", function()
      for user, words in pairs{ nobody2 = 'no user "nobody2"', ["app:nope"] = 'no group "nope"',
        huge = 'no user "huge"', huger = 'no user "huger"', negative = 'no user "negative"',
        hex = 'no user "hex"', short = 'no user "short"', ["app:evil"] = 'no group "evil"',
        ["-1"] = 'no user "-1"', ["4294967295"] = 'no user "4294967295"',
        ["0x0"] = 'no user "0x0"', ["root "] = 'no user "root "' } do
        local operation = start{ user = user }
        assert.are.equal("FAILED", operation.status, user)
        assert.matches(words, operation.error, 1, true)
      end
      for _, user in ipairs{ "", ":staff", "a\nb", ("a"):rep(257), 1000, {} } do
        wire.refuses(400, "user", engine:post("/v1/instances", wire.spawn(wire.shell("true",
          { user = user }))))
      end
    end)

    it("is told by the spawn event, and the request by the metadata", function()
      local id = engine:id(1000)
      local operation = start{ user = id == 0 and "root" or "app" }
      local event
      for _, frame in ipairs(engine:events(operation.uuid)) do
        if frame.event == "spawn" then event = frame.data.data end
      end
      assert.are.equal(id, event.uid)
      assert.are.equal(id == 0 and 0 or 1001, event.gid)
      assert.are.equal(id == 0 and "/root" or "/home/app", event.env.HOME)
      assert.are.equal(id == 0 and "root" or "app", event.env.USER)
      assert.are.equal(id == 0 and "root" or "app", operation.metadata.user)
      assert.are.equal(0, operation.metadata.uid)
      assert.is_nil(start{}.metadata.user)
    end)

    it("may be made by the run that a process of its own joins", function()
      if engine:id(1) == 0 then return pending("there is one id") end
      local uuid = engine:spawn(wire.shell(
        "echo new:x:77:78::/new:/bin/sh >> /etc/passwd; echo ready; sleep 60"))
      wire.await(engine:follow(uuid, "?follow=1"), "stdout")
      local at = ("/v1/operations/%s/subprocesses"):format(uuid)
      local reply = engine:post(at, wire.shell(WHO, { user = "new" }))
      assert.are.equal(201, reply.status, reply.body)
      local found = wire.eventually("its end", function()
        local state = engine:get(("%s/%d"):format(at, reply.json.spid)).json
        return state.state and state.state.exit_code ~= -1 and state
      end)
      assert.are.equal("77 78 /new new\n78\n", wire.bytes(found.stdout))
      wire.refuses(422, 'no user "old"', engine:post(at, wire.shell(WHO, { user = "old" })))
      engine:request("DELETE", "/v1/operations/" .. uuid)
      engine:wait(uuid)
    end)

    local function image(command)
      local operation = engine:run(wire.shell("set -e\n" .. command, { disposable = false }))
      assert.are.equal(0, operation.metadata.result.state.exit_code,
        wire.bytes(operation.metadata.result.stderr))
      return operation.result_image_uuid
    end

    -- None of these may delay a run, or make it read anything outside of the image.
    local HOSTILE = {
      ["pipes"] = "mkfifo passwd group",
      ["directories"] = "mkdir passwd group",
      ["devices"] = "ln -s /dev/zero passwd; ln -s /dev/tty group",
      ["links in a circle"] = "ln -s passwd passwd; ln -s group group",
      ["links to /proc"] = "ln -s /proc/1/environ passwd; ln -s /proc/self/maps group",
      ["nothing"] = "true",
      ["empty files"] = "echo -n > passwd; echo -n > group",
      ["zeros"] = "head -c 5000000 /dev/zero > passwd; cp passwd group",
      ["colons"] = "head -c 300000 /dev/zero | tr '\\0' : > passwd; cp passwd group",
      ["one long line"] = "head -c 5000000 /dev/zero | tr '\\0' a > passwd; cp passwd group",
      ["lines of nothing"] = "head -c 5000000 /dev/zero | tr '\\0' '\\n' > passwd; cp passwd group",
      ["holes"] = "truncate -s 8G passwd; truncate -s 8G group",
    }

    for what, make in pairs(HOSTILE) do
      it("is a number where /etc has " .. what, function()
        local of = image("mkdir -p /etc; cd /etc; rm -f passwd group; " .. make)
        local id = engine:id(1000)
        assert.are.equal(id == 0 and "0 0 /root none, 0" or "1000 0 / none, 0",
          (who{ image = of, uid = id, files = {} }))
        local operation = start{ image = of, user = "app", files = {} }
        assert.matches('no user "app"', operation.error, 1, true)
      end)
    end

    it("is the image's own where a run asks for that", function()
      if engine:id(1) == 0 then return pending("there is one id") end
      local function import(user)
        registry.make(engine.directory, ([[rm -rf root; mkdir -p root/bin root/etc root/proc
          cp /bin/busybox root/bin; ln -s busybox root/bin/sh; ln -s busybox root/bin/sed
          echo 'app:x:1000:1001::/home/app:/bin/sh' > root/etc/passwd
          echo 'staff:x:50:app' > root/etc/group
          tree root > r.tar; user='%s'; layer r.tar; finish PATH=/bin]]):format(user))
        return wire.run(("contree-engine import oci:%s/oci --data-dir %s 2>&1")
          :format(engine.directory, engine.data)):match("%x+%-%x+%-%x+%-%x+%-%x+")
      end
      local of = import("app")
      assert.are.equal("app", engine:get("/v1/inspect/" .. of .. "/").json.user)
      assert.are.equal("1000 1001 /home/app app, 50 1001",
        who{ image = of, user = true, files = {} })
      assert.are.equal("0 0 /root none, 0", who{ image = of, files = {} })
      assert.are.equal("0 0 /root none, 0", who{ image = of, user = false, files = {} })
      -- Images made from this one inherit the user.
      local operation = engine:run(wire.shell("echo > /new", { image = of, disposable = false }))
      of = operation.result_image_uuid
      assert.are.equal("1000 1001 /home/app app, 50 1001",
        who{ image = of, user = true, files = {} })
      wire.run(("contree-engine export %s --oci %s/out --data-dir %s"):format(of,
        engine.directory, engine.data))
      assert.matches('"User":"app"',
        wire.run(("cat %s/out/blobs/sha256/* | grep -a User"):format(engine.directory)), 1, true)
      for user, words in pairs{ ["12:50"] = "12 50 / none, 50", [""] = "0 0 /root none, 0" } do
        assert.are.equal(words, who{ image = import(user), user = true, files = {} })
      end
      operation = start{ image = import("gone"), user = true, files = {} }
      assert.matches('no user "gone"', operation.error, 1, true)
      registry.make(engine.directory, "mkdir -p root; tree root > r.tar; user=':x'; "
        .. "layer r.tar; finish")
      assert.matches("USER", wire.run(("contree-engine import oci:%s/oci --data-dir %s 2>&1")
        :format(engine.directory, engine.data)), 1, true)
    end)

    it("is in as many groups as there may be, and not in those that no id is for", function()
      if engine:id(1) == 0 then return pending("there is one id") end
      local of = image("mkdir -p /etc; cd /etc; echo 'a:x:9:9::/a:/bin/sh' > passwd; "
        .. "seq 1000 2999 | sed 's/.*/g&:x:&:a/' > group; echo 'far:x:4294967294:a' >> group; "
        .. "echo 'far:x:4294967294:b' > few; echo 'near:x:10:b' >> few; "
        .. "cat few >> group; echo 'b:x:9:9::/b:/bin/sh' >> passwd")
      local found = who{ image = of, user = "a", files = {} }
      assert.matches("^9 9 /a a, 9 1000 1001 ", found)
      assert.is_true(select(2, found:gsub("%d+", "")) > 250)
      assert.are.equal("9 9 /b b, 9 10", who{ image = of, user = "b", files = {} })
    end)
  end)
end
