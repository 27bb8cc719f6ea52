-- POST /instances: runs, their results, and refusals.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("POST /instances", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function result(options) return engine:run(options).metadata.result end
  local function sh(command, options) return result(wire.shell(command, options)) end
  local function upload(data)
    local reply = engine:request("POST", "/v1/files", { body = data })
    assert.are.equal(201, reply.status, reply.body)
    return reply.json.uuid
  end
  local function refuses(status, pattern, options)
    local reply = engine:post("/v1/instances", wire.spawn(options))
    assert.are.equal(status, reply.status, reply.body)
    assert.matches(pattern, reply.json.error)
  end

  describe("the reply", function()
    it("echoes the request with its defaults", function()
      local reply = engine:post("/v1/instances", { command = "true", image = "tag:busybox:latest",
        args = { "a" }, env = { A = "1" }, unknown = true, result = wire.null, stdin = wire.null })
      assert.are.equal(201, reply.status)
      local body = reply.json
      assert.are.equal("/v1/operations/" .. body.uuid, reply.headers.location)
      assert.matches("^%x+%-%x+%-7%x+%-%x+%-%x+$", body.uuid)
      assert.are.equal("true", body.command)
      assert.are.equal("tag:busybox:latest", body.image)
      assert.are.same({ "a" }, body.args)
      assert.are.same({ A = "1" }, body.env)
      assert.is_false(body.disposable)
      assert.is_false(body.shell)
      assert.are.equal("linuxkit", body.hostname)
      assert.are.equal(60, body.timeout)
      assert.are.equal(1048576, body.truncate_output_at)
      assert.are.equal(12884901888, body.resources_limits.max_layer_bytes)
      assert.are.equal(wire.null, body.result)
      engine:wait(body.uuid)
    end)

    it("keeps the prefix in Location", function()
      local reply = engine:post("/sandboxes/v1/instances", wire.spawn{ command = "true" })
      assert.are.equal("/sandboxes/v1/operations/" .. reply.json.uuid, reply.headers.location)
      reply = engine:post("/a%20b%2Fc%0d%0aX:%20y/v1/instances", wire.spawn{ command = "true" })
      assert.are.equal("/a%20b%2Fc%0D%0AX%3A%20y/v1/operations/" .. reply.json.uuid,
        reply.headers.location)
      assert.is_nil(reply.headers.x)
    end)

    it("takes null for every field that may be absent, and unknown ones anywhere", function()
      local body = wire.spawn{ command = "cat", result = wire.null, unknown = { 1 },
        stdin = { value = "in", encoding = wire.null, close = wire.null, truncated = false },
        resources_limits = { max_layer_bytes = wire.null, more = 1 } }
      for _, name in ipairs{ "hostname", "args", "shell", "env", "preserve_env", "cwd", "uid",
        "gid", "networking", "timeout", "truncate_output_at", "files", "idempotency_key" } do
        body[name] = wire.null
      end
      local reply = engine:post("/v1/instances", body, { Prefer = "wait=30" })
      assert.are.equal(201, reply.status, reply.body)
      assert.are.equal("in", reply.json.metadata.result.stdout.value)
      assert.are.equal(60, reply.json.metadata.timeout)
      assert.are.equal("linuxkit", reply.json.metadata.hostname)
    end)

    it("is the finished operation when the client prefers to wait", function()
      local reply = engine:post("/v1/instances", wire.spawn{ command = "echo", args = { "hi" } },
        { Prefer = "respond-async, wait=60" })
      assert.are.equal(201, reply.status)
      assert.are.equal("wait", reply.headers["preference-applied"])
      local body = reply.json
      assert.are.equal("/v1/operations/" .. body.uuid, reply.headers.location)
      assert.are.equal("SUCCESS", body.status)
      assert.are.equal("hi\n", body.metadata.result.stdout.value)
      -- A later request gets the same.
      assert.are.same(body, engine:get("/v1/operations/" .. body.uuid).json)
    end)

    it("is the echo when the run takes longer than that", function()
      local reply = engine:post("/v1/instances",
        wire.spawn{ command = "sleep 0.3; echo late", shell = true }, { Prefer = "wait=0.05" })
      assert.are.equal(201, reply.status)
      assert.is_nil(reply.headers["preference-applied"])
      assert.are.equal("sleep 0.3; echo late", reply.json.command)
      assert.is_nil(reply.json.status)
      local operation = engine:wait(reply.json.uuid)
      assert.are.equal("late\n", operation.metadata.result.stdout.value)
    end)

    describe("of a client that prefers little", function()
      -- What the whole operation says of the same.
      local function part_of(operation)
        local part = { metadata = { result = operation.metadata.result } }
        for _, name in ipairs{ "uuid", "status", "error", "duration", "image_uuid",
          "result_image_uuid" } do
          part[name] = operation[name]
        end
        return part
      end

      local function little(options, preferred, headers)
        headers = headers or {}
        headers.Prefer = preferred
        local reply = engine:post("/v1/instances", wire.spawn(options), headers)
        assert.are.equal(201, reply.status, reply.body)
        assert.is_nil(reply.headers.location)
        return reply.json, reply.headers["preference-applied"]
      end

      for name, options in pairs{
        ["that succeeds"] = wire.shell("echo out; echo err >&2"),
        ["that fails"] = wire.shell("exit 3"),
        ["that is killed"] = wire.shell("sleep 60", { timeout = 1 }),
        ["that keeps a file"] = wire.shell("echo x > /x", { disposable = false }),
        ["with more output than the engine keeps beside its log"] =
          wire.shell("head -c 3000000 /dev/zero", { truncate_output_at = 4000000 }),
      } do
        it("is a part of the operation, for a run " .. name, function()
          local got, applied = little(options, "return=minimal; wait=60")
          assert.are.equal("wait, return=minimal", applied)
          local whole = engine:get("/v1/operations/" .. got.uuid).json
          assert.are.same(part_of(whole), got)
          assert.is_true(whole.metadata.result.state.pid > 0)
        end)
      end

      it("is the uuid when the run goes on", function()
        for _, preferred in ipairs{ "return=minimal", "wait=0.05, Return=Minimal" } do
          local got, applied = little(wire.shell("sleep 0.3; echo late"), preferred)
          assert.are.equal("return=minimal", applied)
          assert.are.same({ uuid = got.uuid }, got)
          assert.are.equal("late\n", engine:wait(got.uuid).metadata.result.stdout.value)
        end
      end)

      it("is the same by its key later", function()
        local options, key = wire.shell("echo $RANDOM"), { ["Idempotency-Key"] = "little" }
        local first = little(options, "wait=60, return=minimal", key)
        assert.are.same(first, (little(options, "wait=60, return=minimal", key)))
        assert.are.same({ uuid = first.uuid }, (little(options, "return=minimal", key)))
      end)

      it("is whole for other preferences of that name", function()
        for _, preferred in ipairs{ "return=whole", "return=minimally", "xreturn=minimal" } do
          local reply = engine:post("/v1/instances", wire.spawn{ command = "true" },
            { Prefer = preferred })
          assert.are.equal("true", reply.json.command)
          engine:wait(reply.json.uuid)
        end
      end)
    end)

    it("has every field of an operation", function()
      local body = engine:run{ command = "true", disposable = false }
      local image = engine:get("/v1/images?tag=busybox:latest").json.images[1].uuid
      assert.are.equal("instance", body.kind)
      assert.are.equal(wire.null, body.error)
      assert.matches("^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d+Z$", body.created_at)
      assert.is_true(body.duration > 0)
      assert.is_number(body.image_size)
      assert.is_number(body.consumed_cpu)
      assert.is_true(body.consumed_memory > 0)
      assert.are.equal(image, body.image_uuid)
      assert.are.equal(image, body.result_image_uuid)
      assert.are.same({ image = image, tag = wire.null }, body.result)
      local state = body.metadata.result.state
      assert.are.same({ exit_code = 0, signal = -1, timed_out = false, core_dump = false,
        stopped = false, continued = false, pid = state.pid }, state)
      assert.is_true(state.pid > 0)
      for _, name in ipairs{ "block_input", "block_output", "involuntary_switches", "max_rss",
        "page_faults", "page_faults_io", "shared_memory", "signals", "swaps", "unshared_memory",
        "voluntary_switches", "cost", "elapsed_time", "monotonic_time", "system_cpu_time",
        "user_cpu_time" } do
        assert.is_number(body.metadata.result.resources[name], name)
      end
      assert.are.equal(0, body.metadata.result.background_killed)
      assert.is_true(#body.metadata.result.isolation > 5)
    end)
  end)

  describe("a command", function()
    it("runs with its arguments as they are", function()
      local r = result{ command = "echo", args = { "a b", "$HOME", "*", "", "'" } }
      assert.are.equal("a b $HOME *  '\n", r.stdout.value)
    end)

    it("of the shell gets its arguments quoted", function()
      local r = result{ command = "/bin/sh", shell = true, args = { "-s", "a b", "it's" },
        stdin = { value = 'for x; do echo "[$x]"; done\n' } }
      assert.are.equal("[a b]\n[it's]\n", r.stdout.value)
    end)

    it("gets the default environment", function()
      local r = sh("env | sort | grep -v '^PWD\\|^SHLVL\\|^_'; id -u; pwd; hostname")
      assert.are.equal("HOME=/root\n"
        .. "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        .. "USER=root\n0\n/\nlinuxkit\n", r.stdout.value)
    end)

    it("runs as another user, elsewhere, under another name", function()
      local r = sh("id -u; id -g; pwd; hostname; echo $HOME $A", { uid = engine:id(1000),
        gid = engine:id(100), cwd = "/tmp", hostname = "box", env = { A = "x y=z" } })
      assert.are.equal(("%d\n%d\n/tmp\nbox\n%s x y=z\n"):format(engine:id(1000), engine:id(100),
        engine:id(1) == 1 and "/" or "/root"), r.stdout.value)
    end)

    it("C2: runs below / when its directory is relative", function()
      for given, want in pairs{ tmp = "/tmp", ["./tmp"] = "/tmp", ["."] = "/" } do
        local operation = engine:run{ command = "pwd", cwd = given }
        assert.are.equal(want .. "\n", operation.metadata.result.stdout.value)
        assert.are.equal(given, operation.metadata.cwd)
      end
    end)

    it("that is not there is 127, one that cannot run 126", function()
      local operation = engine:run{ command = "no-such-program" }
      assert.are.equal("SUCCESS", operation.status)
      assert.are.equal(127, operation.metadata.result.state.exit_code)
      assert.matches("no%-such%-program", operation.metadata.result.stderr.value)
      assert.are.equal(127, sh("no-such-program").state.exit_code)
      assert.are.equal(126, result{ command = "/etc" }.state.exit_code)
    end)

    it("tells its exit code or signal", function()
      assert.are.equal(3, sh("exit 3").state.exit_code)
      local state = sh("kill -TERM $$").state
      assert.are.equal(-1, state.exit_code)
      assert.are.equal(15, state.signal)
      assert.is_false(state.timed_out)
    end)

    it("in a directory that is not there fails", function()
      local operation = engine:run{ command = "true", cwd = "/no/such" }
      assert.are.equal("FAILED", operation.status)
      assert.matches("/no/such", operation.error)
      assert.are.equal(-1, operation.metadata.result.state.exit_code)
      assert.are.equal(wire.null, operation.result_image_uuid)
    end)

    it("may be as long as Linux takes, and is refused beyond", function()
      local long = ("x"):rep(131071)
      assert.are.equal("131069\n", sh("echo ${#A}", { env = { A = long:sub(3) } }).stdout.value)
      assert.are.equal("131071\n", result{ command = "sh",
        args = { "-c", "echo ${#1}", "sh", long } }.stdout.value)
      refuses(400, "args .* longer than 131071", { command = "echo", args = { long .. "x" } })
      local args = {}
      for i = 1, 13 do args[i] = long end
      refuses(400, "larger than", { command = "echo", args = args })
    end)
  end)

  describe("output", function()
    it("keeps the two streams apart and every byte", function()
      local r = sh([[printf 'a\0\377\r\n'; printf 'err\n' >&2]])
      assert.are.equal("base64", r.stdout.encoding)
      assert.are.equal("a\0\255\r\n", wire.bytes(r.stdout))
      assert.are.same({ value = "err\n", encoding = "ascii", truncated = false }, r.stderr)
      assert.are.same({ value = "\t\r\n ~", encoding = "ascii", truncated = false },
        sh([[printf '\t\r\n ~']]).stdout)
      assert.are.equal("base64", sh([[printf '\303\244']]).stdout.encoding)
      assert.are.equal("base64", sh([[printf '\177']]).stdout.encoding)
    end)

    it("is cut exactly where asked, and the command goes on", function()
      local r = sh("printf 0123456789; echo done >&2", { truncate_output_at = 4 })
      assert.are.same({ value = "0123", encoding = "ascii", truncated = true }, r.stdout)
      assert.are.same({ value = "done", encoding = "ascii", truncated = true }, r.stderr)
      r = sh("printf 0123", { truncate_output_at = 4 })
      assert.are.same({ value = "0123", encoding = "ascii", truncated = false }, r.stdout)
      r = sh("echo x", { truncate_output_at = 0 })
      assert.are.same({ value = "", encoding = "ascii", truncated = true }, r.stdout)
    end)

    it("is kept up to 1 MiB without asking", function()
      local r = sh("head -c 1048577 /dev/zero | tr '\\0' a;"
        .. "head -c 1048576 /dev/zero | tr '\\0' b >&2")
      assert.are.equal(("a"):rep(1048576), r.stdout.value)
      assert.is_true(r.stdout.truncated)
      assert.are.equal(("b"):rep(1048576), r.stderr.value)
      assert.is_false(r.stderr.truncated)
    end)

    it("keeps what they wrote until they were killed, and nothing later", function()
      local operation = engine:run(wire.shell(
        "for n in 1 2 3 4; do (while :; do echo line >> /f$n; done) & done;"
          .. "for n in 1 2 3 4; do until [ -s /f$n ]; do sleep 0.01; done; done",
        { disposable = false }))
      local image = operation.result_image_uuid
      local function read(n)
        local reply = engine:get(("/v1/inspect/%s/download?path=/f%d"):format(image, n))
        assert.are.equal(200, reply.status)
        return reply.body
      end
      local size, files = 0, {}
      for n = 1, 4 do
        files[n] = read(n)
        size = size + #files[n]
      end
      assert.are.equal(4, operation.metadata.result.background_killed)
      assert.are.equal(operation.metadata.result.resources.layer_bytes, size)
      for n = 1, 4 do assert.are.equal(files[n], read(n)) end
    end)

    it("does not wait for children in the background", function()
      local r = sh("sleep 1000 & sleep 1000 & echo x")
      assert.are.equal("x\n", r.stdout.value)
      assert.are.equal(0, r.state.exit_code)
      assert.are.equal(2, r.background_killed)
    end)
  end)

  describe("stdin", function()
    it("is empty without asking", function()
      assert.are.equal("", result{ command = "cat" }.stdout.value)
    end)

    it("is delivered to its last byte", function()
      assert.are.equal("a\nb", result{ command = "cat", stdin = { value = "a\nb" } }.stdout.value)
      local bytes = {}
      for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
      local binary = table.concat(bytes):rep(1000)
      local r = result{ command = "cat", stdin = { value = wire.base64(binary),
        encoding = "base64" } }
      assert.are.equal(binary, wire.bytes(r.stdout))
      assert.are.equal("5000000\n", result{ command = "wc", args = { "-c" },
        stdin = { value = ("x"):rep(5000000) } }.stdout.value)
    end)

    it("need not be read", function()
      assert.are.equal(0, result{ command = "true", stdin = { value = ("x"):rep(5000000) } }
        .state.exit_code)
    end)

    it("cannot be changed by who reads it", function()
      local r = sh("echo y >/proc/self/fd/0; cat", { stdin = { value = "x\n" } })
      assert.are.equal("x\n", r.stdout.value)
    end)
  end)

  describe("files", function()
    it("are there before the command, with owner and mode", function()
      local uuid = upload("content\n")
      local r = sh("cat /a/b/c.txt /e; stat -c '%a %u %g %n' /a /a/b /a/b/c.txt /e", { files = {
        ["/a/b/c.txt"] = { uuid = uuid },
        ["/e"] = { uuid = uuid, uid = engine:id(5), gid = engine:id(6), mode = "0o750" },
      } })
      assert.are.equal("content\ncontent\n755 0 0 /a\n755 0 0 /a/b\n644 0 0 /a/b/c.txt\n"
        .. ("750 %d %d /e\n"):format(engine:id(5), engine:id(6)), r.stdout.value)
    end)

    it("B2: have the extended attributes that are given, in hexadecimal digits", function()
      local uuid = engine:run(wire.shell("true", { disposable = false,
        files = { ["/x/f"] = { uuid = upload("data"), mode = "0755", xattrs = {
          ["user.a"] = "00ff0a", ["user.empty"] = "", ["user.b"] = ("Ab"):rep(1000),
          ["security.capability"] = "0100000200200000000000000000000000000000" } } } }))
        .result.image
      local path = "/v1/inspect/" .. uuid .. "/archive?path=/x/f"
      local archive = engine:request("GET", path).body
      assert.matches("SCHILY.xattr.user.a=\0\255\n\n", archive, 1, true)
      assert.matches("SCHILY.xattr.user.empty=\n", archive, 1, true)
      assert.matches("SCHILY.xattr.user.b=" .. ("\171"):rep(1000) .. "\n", archive, 1, true)
      assert.matches("SCHILY.xattr.security.capability=\1\0\0\2\0 \0", archive, 1, true)
    end)

    it("have a mode in any spelling", function()
      local uuid = upload("x")
      for given, want in pairs{ ["0755"] = "755", ["755"] = "755", ["0o4711"] = "4711" } do
        assert.are.equal(want .. "\n", result{ command = "stat", args = { "-c", "%a", "/f" },
          files = { ["/f"] = { uuid = uuid, mode = given } } }.stdout.value)
      end
      assert.are.equal("640\n", result{ command = "stat", args = { "-c", "%a", "/f" },
        files = { ["/f"] = { uuid = uuid, mode = 416 } } }.stdout.value)
    end)

    it("C2: go below / when their path is relative, and are echoed as they were sent", function()
      local uuid = upload("x\n")
      for given, want in pairs{ ["app.py"] = "/app.py", ["./app.py"] = "/app.py",
        ["./a/./b//c"] = "/a/b/c", ["a b/\195\164"] = "/a b/\195\164", ["//a"] = "/a",
        ["..a/b.."] = "/..a/b..", ["/a/./b"] = "/a/b", [".a"] = "/.a", ["..."] = "/..." } do
        local operation = engine:run{ command = "cat", args = { want }, cwd = "/tmp",
          files = { [given] = { uuid = uuid } } }
        assert.are.equal("x\n", operation.metadata.result.stdout.value, given)
        assert.are.equal(uuid, operation.metadata.files[given].uuid)
      end
    end)

    it("become part of the image", function()
      local operation = engine:run{ command = "true", disposable = false,
        files = { ["/new/file"] = { uuid = upload("kept") } } }
      local r = result{ command = "cat", args = { "/new/file" },
        image = operation.result_image_uuid }
      assert.are.equal("kept", r.stdout.value)
    end)

    it("are refused when they make no sense", function()
      local uuid = upload("x")
      local function file(path, spec) return { command = "true", files = { [path] = spec } } end
      for _, path in ipairs{ "/a/../b", "/a/..", "..", "../a", "a/../b", "./..", "/.." } do
        refuses(400, 'files has ".*must have no "%.%."', file(path, { uuid = uuid }))
      end
      for _, path in ipairs{ "/", "", ".", "./", "/./", "//", "/a/", "a/", "./a/" } do
        refuses(400, "files has \".*\": it must be the path of a file", file(path, { uuid = uuid }))
      end
      refuses(400, 'files has "/a/b" twice', { command = "true", files = {
        ["/a/b"] = { uuid = uuid }, ["./a//b"] = { uuid = uuid } } })
      refuses(400, "uuid is missing", file("/a", {}))
      refuses(400, "uuid", file("/a", { uuid = "no" }))
      refuses(400, "mode", file("/a", { uuid = uuid, mode = "0999" }))
      refuses(400, "mode", file("/a", { uuid = uuid, mode = 4096 }))
      refuses(400, "mode", file("/a", { uuid = uuid, mode = true }))
      for name, value in pairs{ ["user.overlay.opaque"] = "79", ["trusted.x"] = "00",
        ["user."] = "",
        ["security.selinux"] = "00", user = "00", ["user.a"] = "0", ["user.b"] = "xx",
        ["user.c"] = ("00"):rep(65537), ["user.d"] = 5, ["user." .. ("x"):rep(256)] = "00" } do
        refuses(400, "xattrs", file("/a", { uuid = uuid, xattrs = { [name] = value } }))
      end
      refuses(400, "xattrs", file("/a", { uuid = uuid, xattrs = "00" }))
      local many = {}
      for i = 1, 33 do many["user." .. i] = "00" end
      refuses(400, "xattrs", file("/a", { uuid = uuid, xattrs = many }))
      refuses(400, "uid", file("/a", { uuid = uuid, uid = -1 }))
      refuses(404, "file", file("/a", { uuid = "00000000-0000-4000-8000-000000000000" }))
    end)
  end)

  describe("the result image", function()
    it("is new when something was written, and holds it", function()
      local operation = engine:run{ command = "echo hi > /x", shell = true, disposable = false }
      local uuid = operation.result_image_uuid
      assert.are_not.equal(operation.image_uuid, uuid)
      assert.are.equal(uuid, operation.result.image)
      assert.are.equal(3, operation.image_size)
      local image = engine:get("/v1/inspect/" .. uuid .. "/").json
      assert.are.equal(operation.uuid, image.operation_uuid)
      assert.are.equal(wire.null, image.tag)
      assert.are.equal("hi\n",
        result{ command = "cat", args = { "/x" }, image = uuid }.stdout.value)
    end)

    it("is the input when nothing was written", function()
      local operation = engine:run{ command = "cat /etc/passwd; ls -R / >/dev/null", shell = true,
        disposable = false }
      assert.are.equal(operation.image_uuid, operation.result_image_uuid)
    end)

    it("is none of a disposable run", function()
      local operation = engine:run{ command = "echo hi > /x", shell = true }
      assert.are.equal(wire.null, operation.result_image_uuid)
      assert.are.same({ image = wire.null, tag = wire.null }, operation.result)
    end)

    it("exists also after a failure of the command, and after its timeout", function()
      local operation = engine:run{ command = "echo 1 > /x; exit 9", shell = true,
        disposable = false }
      assert.are_not.equal(operation.image_uuid, operation.result_image_uuid)
      operation = engine:run{ command = "echo 1 > /x; sleep 99", shell = true,
        disposable = false, timeout = 1 }
      assert.are.equal("SUCCESS", operation.status)
      assert.are_not.equal(operation.image_uuid, operation.result_image_uuid)
    end)

    it("branches", function()
      local base = engine:run{ command = "echo base > /x", shell = true,
        disposable = false }.result_image_uuid
      local left = engine:run{ command = "echo left >> /x", shell = true, disposable = false,
        image = base }.result_image_uuid
      local right = engine:run{ command = "echo right >> /x", shell = true, disposable = false,
        image = base }.result_image_uuid
      local function x(image)
        return result{ command = "cat", args = { "/x" }, image = image }.stdout.value
      end
      assert.are.equal("base\nleft\n", x(left))
      assert.are.equal("base\nright\n", x(right))
      assert.are.equal("base\n", x(base))
    end)
  end)

  describe("variables", function()
    it("are for one run, unless preserved", function()
      local one = engine:run{ command = "echo 1 > /x", shell = true, disposable = false,
        env = { A = "1" } }.result_image_uuid
      assert.are.equal("\n", sh("echo $A", { image = one }).stdout.value)
      local two = engine:run{ command = "true", disposable = false, image = one,
        env = { A = "1", B = "2" }, preserve_env = true }.result_image_uuid
      assert.are_not.equal(one, two)
      assert.are.equal("1 2\n", sh("echo $A $B", { image = two }).stdout.value)
      assert.are.equal("9 2\n", sh("echo $A $B", { image = two, env = { A = "9" } }).stdout.value)
      -- Images made from it inherit the variables, until one is removed.
      local three = engine:run{ command = "echo > /y", shell = true, disposable = false,
        image = two }.result_image_uuid
      assert.are.equal("1 2\n", sh("echo $A $B", { image = three }).stdout.value)
      assert.are.equal("unset 2\n", sh("echo ${A-unset} $B", { image = three,
        env = { A = wire.null } }).stdout.value)
      local four = engine:run{ command = "true", disposable = false, image = three,
        env = { A = wire.null }, preserve_env = true }.result_image_uuid
      assert.are.equal("unset 2\n", sh("echo ${A-unset} $B", { image = four }).stdout.value)
    end)

    it("can replace or remove the defaults", function()
      assert.are.equal("unset\n",
        sh("echo ${HOME-unset}", { env = { HOME = wire.null } }).stdout.value)
      assert.are.equal("/x\n", sh("echo $PATH", { env = { PATH = "/x" } }).stdout.value)
    end)
  end)

  -- In a user namespace overlay cannot record where a directory came from, so the kernel
  -- answers rename(2) with EXDEV, and mv copies.
  it("A5: moves directories of earlier runs by copying them", function()
    local first = engine:run{ shell = true, disposable = false, image = "tag:busybox:latest",
      command = "mkdir -p /w/a/deep && echo 1 > /w/a/deep/f && ln /w/a/deep/f /w/a/g && " ..
        "chmod 2750 /w/a/deep && chown 0:0 /w/a && ln -s deep /w/a/l" }.result_image_uuid
    local moved = engine:run{ shell = true, disposable = false, image = first,
      command = "cd /w && mv a b && mkdir new && mv new newer" }
    assert.are.equal(0, moved.metadata.result.state.exit_code,
      wire.bytes(moved.metadata.result.stderr))
    assert.are.equal("b\nnewer\n2750\n1\n1\ndeep\n", wire.bytes(engine:run{ shell = true,
      image = moved.result_image_uuid,
      command = "cd /w && ls && stat -c %a b/deep && cat b/deep/f b/g && readlink b/l"
    }.metadata.result.stdout))
  end)

  -- Root can give all ids above those of the machine's users, a user those of
  -- /etc/subuid; see test_userns.
  it("A6: has as many ids as its engine can give", function()
    local command = [[cd /tmp && echo > a && chown 197609:2000001 a && tar cf t.tar a &&
      rm a && tar xf t.tar && stat -c '%u %g' a /f; id -u; id -g]]
    local body = { image = "tag:busybox:latest", command = command, shell = true,
      files = { ["/f"] = { uuid = upload("x"), uid = 70000, gid = 70001 } } }
    local map = disk.read("/proc/self/uid_map")
    if wire.run("id -u") == "0" and map:find("^%s+0%s+0%s+4294967295") then
      local as_root = engine:run(body).metadata.result
      assert.are.equal("197609 2000001\n70000 70001\n0\n0\n", wire.bytes(as_root.stdout))
      body.uid, body.gid, body.command = 1234567890, 99999, "stat -c '%u %g' /f; id -u; id -g"
      assert.are.equal("70000 70001\n1234567890\n99999\n",
        wire.bytes(engine:run(body).metadata.result.stdout))
    else
      refuses(400, "/etc/subuid", { command = "true", uid = 1234567890 })
    end
  end)

  describe("refuses", function()
    it("what is missing or of another type", function()
      refuses(400, "command is missing", { command = wire.null })
      refuses(400, "command must be a string, not a number", { command = 1 })
      refuses(400, "command must not be empty", { command = "" })
      refuses(400, "image is missing", { command = "true", image = wire.null })
      refuses(400, "args must be an array of strings", { command = "true", args = { 1 } })
      refuses(400, "args must be an array of strings", { command = "true", args = "a" })
      refuses(400, "shell must be true or false", { command = "true", shell = 1 })
      refuses(400, "env must be an object", { command = "true", env = { "a" } })
      refuses(400, "env must map names to strings", { command = "true", env = { A = 1 } })
      refuses(400, "env has a name", { command = "true", env = { ["A=B"] = "1" } })
      refuses(400, "env has a name", { command = "true", env = { [""] = "1" } })
      refuses(400, "cwd .*\"%.%./tmp\"", { command = "true", cwd = "../tmp" })
      refuses(400, "hostname", { command = "true", hostname = "a b" })
      refuses(400, "hostname", { command = "true", hostname = ("a"):rep(65) })
      refuses(400, "hostname", { command = "true", hostname = "" })
      refuses(400, "uid must be .*0.*/etc/subuid", { command = "true", uid = 4294967295 })
      refuses(400, "gid must be", { command = "true", gid = -1 })
      refuses(400, "disposable must be", { command = "true", disposable = "yes" })
      refuses(400, "preserve_env must be", { command = "true", preserve_env = 1 })
      refuses(400, "files must be an object", { command = "true", files = "x" })
      refuses(400, "files must map", { command = "true", files = { ["/x"] = 1 } })
    end)

    it("values out of range", function()
      refuses(400, "timeout must be an integer from 1 to 3600", { command = "true", timeout = 0 })
      refuses(400, "timeout must be an integer", { command = "true", timeout = 3601 })
      refuses(400, "timeout must be an integer", { command = "true", timeout = 1.5 })
      refuses(400, "truncate_output_at", { command = "true", truncate_output_at = -1 })
      refuses(400, "resources_limits.max_layer_bytes", { command = "true",
        resources_limits = { max_layer_bytes = -1 } })
    end)

    it("a broken stdin", function()
      refuses(400, "stdin.value is missing", { command = "true", stdin = { close = true } })
      for value, encoding in pairs{ ["@"] = "base64", ["YQ=a"] = "base64", a = "utf16" } do
        refuses(400, "stdin.value", { command = "true",
          stdin = { value = value, encoding = encoding } })
      end
      refuses(400, "stdin.close", { command = "true", stdin = { value = "", close = 1 } })
    end)

    it("images that are not there", function()
      refuses(404, "no%-such", { command = "true", image = "tag:no-such" })
      refuses(404, "image", { command = "true", image = "00000000-0000-4000-8000-000000000000" })
      local reply = engine:post("/v1/instances", wire.spawn{ command = "true", image = "what?" })
      assert.is_true(reply.status == 404 or reply.status == 400)
    end)

    it("a network that this machine does not have, with the reason", function()
      local reply = engine:post("/v1/instances",
        wire.spawn{ command = "true", networking = { enabled = true } }, { Prefer = "wait=30" })
      if reply.json.status ~= "SUCCESS" then
        assert.matches("network", tostring(reply.json.error))
      end
      assert.are.equal(0,
        result{ command = "true", networking = { enabled = false } }.state.exit_code)
    end)
  end)

  describe("an idempotency key", function()
    it("runs a command once, whoever asks how often", function()
      local body = wire.spawn{ command = "cat /proc/sys/kernel/random/uuid", shell = true }
      local headers = { ["Idempotency-Key"] = "key-1", Prefer = "wait=30" }
      local first = engine:post("/v1/instances", body, headers).json
      local second = engine:post("/v1/instances", body, headers).json
      assert.are.same(first, second)
      headers.Prefer = nil
      assert.are.equal(first.uuid, engine:post("/v1/instances", body, headers).json.uuid)
      body.idempotency_key = "key-1"
      assert.are.equal(first.uuid, engine:post("/v1/instances", body).json.uuid)
    end)

    it("joins a run that is still going", function()
      local body = wire.spawn{ command = "sleep 0.3; echo once", shell = true,
        idempotency_key = "key-2" }
      local uuid = engine:post("/v1/instances", body).json.uuid
      local reply = engine:post("/v1/instances", body, { Prefer = "wait=30" }).json
      assert.are.equal(uuid, reply.uuid)
      assert.are.equal("once\n", reply.metadata.result.stdout.value)
    end)

    it("is for one request only", function()
      local headers = { ["Idempotency-Key"] = "key-3" }
      local reply = engine:post("/v1/instances", wire.spawn{ command = "true" }, headers)
      assert.are.equal(201, reply.status)
      reply = engine:post("/v1/instances", wire.spawn{ command = "false" }, headers)
      assert.are.equal(422, reply.status)
      assert.matches("idempotency key", reply.json.error)
    end)

    it("has a length", function()
      refuses(400, "idempotency_key", { command = "true", idempotency_key = "" })
      refuses(400, "idempotency_key", { command = "true", idempotency_key = ("k"):rep(256) })
    end)
  end)
end)
