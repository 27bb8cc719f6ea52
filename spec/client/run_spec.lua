-- image:run against correct and faulty servers.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")

describe("image:run", function()
  local server, client, image

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    client = contree.new{ url = server.url, token = "t" }
    image = client.images:use(fake.IMAGE)
  end)

  local function finished(fields)
    return { status = 201, headers = { ["Preference-Applied"] = "wait" },
      json = fake.operation(fields) }
  end

  local function ends_with(fields, chunks, options) -- by events
    server:rules(fake.run{ events = { fake.stream(fake.frames(chunks or {}, options)) },
      operations = { { status = 200, json = fake.operation(fields) } } })
  end

  it("needs one request when the server waits for it", function()
    server:rules(fake.run{
      spawned = finished{ stdout = "hi\n", stderr = "e", result = fake.KEPT } })
    local result = image:run{ shell = "echo hi", disposable = false }
    assert.are.equal("hi\n", result.stdout)
    assert.are.equal("e", result.stderr)
    assert.are.equal("0", tostring(result.exit_code))
    assert.are.equal(fake.KEPT, result.uuid)
    assert.is_true(result.changed)
    assert.is_false(result.timed_out)
    assert.is_nil(result.signal)
    assert.are.equal(0.2, result.duration)
    assert.are.equal("1024", tostring(result.resources.max_rss))
    assert.are.equal("op-1", result.operation.uuid)
    assert.are.same({ "POST /v1/instances" }, server:asked())
    assert.are.equal("wait=10, return=minimal", server:requests()[1].headers.prefer)
    assert.are.equal(('contree.Result(exit 0, %s, stdout "hi\\n", stderr "e")')
      :format(fake.KEPT), tostring(result))
  end)

  it("A4: finds a user's numbers for a server that knows no names", function()
    local passwd = { status = 200, body = "root:x:0:0::/root:\napp:x:12:34::/home/app:/bin/sh\n" }
    local group = { status = 200, body = "root:x:0:\nstaff:x:50:\n" }
    local function sent(user, env, ...)
      local rules = fake.run{ spawned = finished{ stdout = "" } }
      rules[#rules + 1] = { method = "GET", path = "/v1/inspect/" .. fake.IMAGE .. "/download",
        replies = { ... } }
      server:rules(rules)
      image:run{ shell = "true", user = user, env = env }
      local asked = server:requests()
      local body = asked[#asked].json
      return ("%d:%d %s"):format(body.uid, body.gid, (body.env or {}).HOME or "")
    end
    assert.are.equal("12:34 /home/app", sent("app", nil, passwd))
    assert.are.equal("12:50 /x", sent("app:staff", { HOME = "/x" }, passwd, group))
    assert.are.equal("12:34 /home/app", sent("12", nil, passwd))
    assert.are.equal("7:8 ", sent("7:8", nil, passwd))
    local err = failure(function() sent("nobody", nil, passwd) end)
    assert.are.equal("unprocessable", err.kind)
    assert.matches('no user "nobody"', err.message, 1, true)
    err = failure(function() sent(true) end)
    assert.are.equal("not_supported", err.kind)
    for _, given in ipairs{ { user = "" }, { user = ":x" }, { user = 5 }, { user = false },
      { user = "app", uid = 5 }, { user = "app", gid = 0 } } do
      given.shell = "true"
      assert.is_true(failure(image.run, image, given).misuse)
    end
  end)

  it("follows the events when the server answers at once", function()
    ends_with{ stdout = "hi\n", exit_code = 3 }
    local result = image:run("echo hi")
    assert.are.equal("hi\n", result.stdout)
    assert.are.equal(3, result.exit_code)
    assert.are.same({ "POST /v1/instances", "GET /v1/operations/op-1/events",
      "GET /v1/operations/op-1" }, server:asked())
    assert.are.equal("follow=1&spid=0", server:requests()[2].query)
    assert.are.equal("text/event-stream", server:requests()[2].headers.accept)
  end)

  it("follows the events when the wait was too short", function()
    server:rules(fake.run{ spawned = { status = 201,
      headers = { ["Preference-Applied"] = "wait" },
      json = { uuid = "op-1", status = "EXECUTING" } },
      operations = { { status = 200, json = fake.operation{ stdout = "late" } } } })
    assert.are.equal("late", image:run("x").stdout)
  end)

  it("sends what it is told to, and nothing else", function()
    server:rules(fake.run{ spawned = finished{} })
    image:run("true")
    image:run{
      command = "cc", args = { "-o", "x" }, env = { A = "1" }, preserve_env = true, cwd = "/src",
      hostname = "box", uid = 1, gid = 2, timeout = 2.5, truncate_output_at = 100,
      disposable = false, stdin = "in\0", networking = false,
      resources_limits = { max_layer_bytes = 4096 },
    }
    image:run{ command = "x", args = {} }
    client.images:use("busybox:latest"):run("true")
    local asked = server:requests()
    assert.are.same({ command = "true", shell = true, image = fake.IMAGE, disposable = true },
      asked[1].json)
    assert.are.same({
      command = "cc", args = { "-o", "x" }, env = { A = "1" }, preserve_env = true, cwd = "/src",
      hostname = "box", uid = 1, gid = 2, timeout = 3, truncate_output_at = 100, disposable = false,
      shell = false, image = fake.IMAGE, networking = { enabled = false },
      resources_limits = { max_layer_bytes = 4096 },
      stdin = { value = "aW4A", encoding = "base64", close = true },
    }, asked[2].json)
    assert.matches('"args":[]', asked[3].body, 1, true)
    assert.are.equal("tag:busybox:latest", asked[4].json.image)
  end)

  it("gets the client's limits where it has none of its own", function()
    local function sent(options, given)
      options.url, options.token = server.url, "t"
      server:rules(fake.run{ spawned = { status = 201, json = fake.operation{ uuid = "op-1" } } })
      contree.new(options).images:use(fake.IMAGE):run(given)
      return server:requests()[1].json
    end
    local limits = { operation_timeout = 7.5, default_truncate_output_at = 1000 }
    local body = sent(limits, { shell = "x" })
    assert.are.equal(8, body.timeout)
    assert.are.equal(1000, body.truncate_output_at)
    body = sent(limits, { shell = "x", timeout = 3, truncate_output_at = 0 })
    assert.are.equal(3, body.timeout)
    assert.are.equal(0, body.truncate_output_at)
    limits.operation_run_timeout = 20
    assert.are.equal(20, sent(limits, { shell = "x" }).timeout)
    assert.is_nil(sent({ operation_import_timeout = 20 }, { shell = "x" }).timeout)
  end)

  it("takes stdin from anything", function()
    server:rules(fake.run{ spawned = finished{} })
    local chunks = { "a", "b" }
    image:run{ command = "cat", stdin = function() return table.remove(chunks, 1) end }
    image:run{ command = "cat", stdin = contree.buffer("cd") }
    image:run{ command = "cat", stdin = "" }
    local asked = server:requests()
    assert.are.equal("ab", asked[1].json.stdin.value)
    assert.are.equal("cd", asked[2].json.stdin.value)
    assert.are.same({ value = "", encoding = "ascii", close = true }, asked[3].json.stdin)
  end)

  it("delivers output as it comes", function()
    local chunks, events = { "one", "two\n" }, {}
    server:rules(fake.run{ events = { fake.stream(fake.frames(chunks, { code = 4 })) } })
    local got = {}
    local result = image:run{ shell = "x", stdout = function(chunk) got[#got + 1] = chunk end,
      on_event = function(event) events[#events + 1] = event.type end }
    assert.are.same(chunks, got)
    assert.is_nil(result.stdout)
    assert.are.equal("", result.stderr)
    assert.are.equal(4, result.exit_code)
    assert.are.equal(2048, result.resources.max_rss)
    assert.are.equal(1.5, result.resources.user_cpu_time)
    assert.are.equal(1.2, result.duration)
    assert.are.same({ "init", "spawn", "stdout", "stdout", "exit", "completion" }, events)
    local asked = server:requests()
    assert.are.equal(2, #asked)
    assert.are.equal("return=minimal", asked[1].headers.prefer)
    assert.are.equal("follow=1", asked[2].query)
  end)

  it("keeps every byte on its way", function()
    server:rules(fake.run{ events = { fake.stream(fake.frames({ "AP8=", "gIE=" },
      { encoding = "base64", stream = "stderr" })) } })
    local result = image:run{ shell = "x", stderr = contree.PIPE }
    assert.are.equal("\0\255\128\129", result.stderr:read())
  end)

  it("asks for output by events when there is too much for a result", function()
    server:rules(fake.run{ events = { fake.stream(fake.frames{ "abc", "def" }) } })
    assert.are.equal("abcdef", image:run{ shell = "x", truncate_output_at = 20000000 }.stdout)
    assert.are.equal("return=minimal", server:requests()[1].headers.prefer)
  end)

  it("says that output was truncated", function()
    server:rules(fake.run{ spawned = finished{ stdout = "ab", truncated = true } })
    local result = image:run("x")
    assert.is_true(result.stdout_truncated)
    assert.is_false(result.stderr_truncated)
  end)

  it("says what ended a command", function()
    server:rules(fake.run{ spawned = finished{ exit_code = -1, signal = 9, timed_out = true } })
    local result = image:run("x")
    assert.are.equal(-1, result.exit_code)
    assert.are.equal(9, result.signal)
    assert.is_true(result.timed_out)
  end)

  it("raises with check, with all that is known", function()
    server:rules(fake.run{ spawned = finished{ exit_code = 2, stderr = "first\nlast words\n\n" } })
    local err = failure(image.run, image, { shell = "x", check = true })
    assert.are.equal("command_failed", err.kind)
    assert.matches("run_spec.lua:%d+: contree: the command ended with exit code 2: last words$",
      tostring(err))
    assert.are.equal(2, err.result.exit_code)
    assert.are.equal("op-1", err.operation.uuid)
    server:rules(fake.run{ spawned = finished{ exit_code = 0 } })
    assert.are.equal(0, image:run{ shell = "x", check = true }.exit_code)
  end)

  it("raises when the operation failed or was cancelled, with the output so far", function()
    server:rules(fake.run{ spawned = finished{ status = "FAILED", error = "no such cwd" } })
    local err = failure(image.run, image, "x")
    assert.are.equal("operation_failed", err.kind)
    assert.matches("no such cwd", tostring(err))
    assert.are.same({ "POST /v1/instances" }, server:asked())
    server:rules(fake.run{
      spawned = finished{ status = "CANCELLED", exited = true, stdout = "so far" } })
    err = failure(image.run, image, "x")
    assert.are.equal("cancelled", err.kind)
    assert.are.equal("so far", err.result.stdout)
    ends_with({ status = "FAILED" }, {}, { status = "FAILED" })
    err = failure(image.run, image, { shell = "x", stdout = contree.PIPE })
    assert.are.equal("operation_failed", err.kind)
  end)

  it("never repeats a spawn that may have happened", function()
    for _, spawned in ipairs{ { status = 500 }, { status = 503 }, { ["end"] = "cut" },
      { ["end"] = "reset" } } do
      server:rules(fake.run{ spawned = spawned })
      -- The second request on this connection, so the connection is not fresh.
      failure(client.whoami, client)
      local err = failure(image.run, image, "x")
      assert.is_true(err.kind == "server" or err.kind == "connection")
      local count = 0
      for _, asked in ipairs(server:asked()) do
        if asked == "POST /v1/instances" then count = count + 1 end
      end
      assert.are.equal(1, count)
    end
  end)

  it("repeats a spawn that was turned away", function()
    local rules = fake.run{}
    rules[1].replies = { { status = 429, headers = { ["Retry-After"] = "0" } },
      { status = 425, headers = { ["Retry-After"] = "0" } }, finished{ stdout = "x" } }
    server:rules(rules)
    assert.are.equal("x", image:run("x").stdout)
  end)

  it("may be asked for under a key, which is told early", function()
    ends_with{ stdout = "x" }
    assert.are.equal("x", image:run{ shell = "x", idempotency_key = "k-1" }.stdout)
    local headers = server:requests()[1].headers
    assert.are.equal("k-1", headers["idempotency-key"])
    assert.are.equal("return=minimal", headers.prefer)
    -- A server that may ignore the key gets the request once.
    server:rules(fake.run{ spawned = { status = 503 } })
    failure(image.run, image, { shell = "x", idempotency_key = "k-1" })
    assert.are.equal(1, #server:asked())
  end)

  it("stays at the image that its tag meant first", function()
    image = client.images:use("busybox:latest")
    server:rules(fake.run{ spawned = finished{ stdout = "x" } })
    image:run("x")
    image:run("x")
    local asked = server:requests()
    assert.are.equal("tag:busybox:latest", asked[1].json.image)
    assert.are.equal(fake.IMAGE, asked[2].json.image)
    image = client.images:use("busybox:latest")
    local rules = fake.run{ events = { fake.stream(fake.frames({}, { result = fake.KEPT })) } }
    rules[5] = { path = "/v1/inspect/", replies = {
      { status = 302, headers = { Location = fake.IMAGE .. "/" } } } }
    server:rules(rules)
    local result = image:run{ shell = "x", stdout = contree.PIPE, disposable = false }
    assert.is_true(result.changed)
    assert.are.equal(fake.IMAGE, server:requests()[2].json.image)
  end)

  it("names the image that is not there", function()
    server:rules(fake.run{ spawned = { status = 404, json = { error = "image not found" } } })
    local err = failure(function() client.images:use("no/such:1"):run("x") end)
    assert.are.equal("not_found", err.kind)
    assert.matches("no/such:1: image not found", tostring(err))
    assert.matches('images:oci("no/such:1")', tostring(err), 1, true)
  end)

  it("tags what it keeps", function()
    local rules = fake.run{ spawned = finished{ result = fake.KEPT } }
    rules[5] = { method = "PATCH", path = "/v1/images/" .. fake.KEPT .. "/tag",
      replies = { { status = 200, json = { uuid = fake.KEPT } } } }
    server:rules(rules)
    local result = image:run{ shell = "x", tag = "mine:1" }
    assert.are.equal("mine:1", result.tag)
    local asked = server:requests()
    assert.is_false(asked[1].json.disposable)
    assert.are.same({ tag = "mine:1" }, asked[2].json)
    local err = failure(image.run, image, { shell = "x", tag = "a", disposable = true })
    assert.is_true(err.misuse)
  end)

  it("does not tag what failed its check", function()
    server:rules(fake.run{ spawned = finished{ result = fake.KEPT, exit_code = 1 } })
    failure(image.run, image, { shell = "x", tag = "mine:1", check = true })
    assert.are.equal(1, #server:asked())
  end)

  it("tells that nothing changed, and what kept nothing", function()
    server:rules(fake.run{ spawned = finished{ result = fake.IMAGE } })
    local result = image:run{ shell = "x", disposable = false }
    assert.are.equal(fake.IMAGE, result.uuid)
    assert.is_false(result.changed)
    server:rules(fake.run{ spawned = finished{} })
    result = image:run("x")
    assert.is_nil(result.uuid)
    assert.is_nil(result.changed)
    for _, method in ipairs{ "run", "start", "session", "read", "tag_as" } do
      local given = method ~= "session" and "/x" or nil
      local err = failure(function() result[method](result, given) end)
      assert.is_true(err.misuse)
      assert.matches("disposable = false", tostring(err))
      assert.matches("run_spec.lua", tostring(err))
    end
  end)

  it("has every field that its annotations name, and no other", function()
    local text = disk.read("lua/contree/image/init.lua")
    local block = text:match("%-%-%-@class contree%.Result : contree%.Image\n(.-)\n\n")
    local result, count = require("contree.image").result(client, {}), 0
    for name in block:gmatch("%-%-%-@field ([%w_]+)%??") do
      assert.is_nil(result[name])
      count = count + 1
    end
    assert.is_true(count > 15)
    assert.matches("duration", tostring(failure(function() return result.durations end)))
  end)

  it("refuses what cannot be right, before anything is sent", function()
    server:rules(fake.run{ spawned = finished{} })
    for _, options in ipairs{
      { shell = 5 }, { shell = "x", env = "A=1" }, { shell = "x", timeout = "soon" },
      { shell = "x", timeout = 0 }, { shell = "x", args = { "y" } }, { args = { "y" } }, {},
      { shell = "x", command = "y" }, { shell = "x", env = { A = 1 } },
      { shell = "x", cwd = "rel" },
      { shell = "x", uid = -1 }, { shell = "x", uid = 1.5 }, { command = "" }, { "x" },
      { shell = "x", stdin = 5 }, { shell = "x", stdout = "file.txt" },
      { shell = "x", files = "f" },
      { shell = "x", truncate_output_at = -1 }, { shell = "x", networking = "off" },
      { shell = "x", resources_limits = { memory = 1000000 } },
      { shell = "x", resources_limits = { cpus = "2" } },
      { shell = "x", resources_limits = { pids = 0.5 } },
      { shell = "x", networking = { enable = true } },
      { shell = "x", on_event = true }, { shell = "x", check = 1 }, { shell = "x", tag = "" },
    } do
      local err = failure(function() image:run(options) end)
      assert.are.equal("invalid_argument", err.kind)
      assert.is_true(err.misuse)
      assert.matches("run_spec.lua:%d+: contree: ", tostring(err))
    end
    failure(image.run, image)
    failure(image.run, image, 5)
    assert.are.same({}, server:asked())
  end)

  it("is prepared once and run often", function()
    server:rules(fake.run{ spawned = finished{ stdout = "x" } })
    local prepared = image:prepare{ shell = "x" }
    assert.are.equal("x", prepared().stdout)
    assert.are.equal("x", prepared:run().stdout)
    local results = contree.gather({ prepared, prepared })
    assert.are.equal("x", results[2].stdout)
    assert.are.equal(4, #server:asked())
  end)

  it("blocks in a foreign coroutine and yields in a task", function()
    server:rules(fake.run{ spawned = finished{ stdout = "x" } })
    assert.are.equal("x", coroutine.wrap(function() return image:run("x").stdout end)())
    local ticks = 0
    contree.async(function()
      local ticker = contree.spawn(function()
        while true do
          contree.sleep(0.001)
          ticks = ticks + 1
        end
      end)
      assert.are.equal("x", image:run("x").stdout)
      contree.sleep(0.01)
      ticker:cancel()
    end)
    assert.is_true(ticks > 0)
  end)

  it("is started, and waited for by many", function()
    ends_with({ stdout = "out" })
    local operation = image:start("x")
    assert.are.equal("op-1", operation.uuid)
    assert.are.equal("contree.Operation(op-1)", tostring(operation))
    assert.are.equal("return=minimal", server:requests()[1].headers.prefer)
    local a, b = contree.gather(function() return operation:wait() end,
      function() return operation:wait() end)
    assert.are.equal(a, b)
    assert.are.equal("out", a.stdout)
    assert.are.equal(a, operation:wait())
    local count = #server:asked()
    assert.are.equal(3, count)
  end)

  it("applies files", function()
    local rules = fake.run{ spawned = finished{ result = fake.KEPT } }
    rules[5] = { method = "GET", path = "/v1/files/.*", replies = { { status = 404 } } }
    rules[6] = { method = "POST", path = "/v1/files", replies = { { status = 201,
      json = { uuid = "f-1", sha256 = "x", size = 1 } } } }
    server:rules(rules)
    local result = image:apply_files{ ["/a"] = { data = "x", mode = 384 } }
    assert.are.equal(fake.KEPT, result.uuid)
    local asked = server:requests()
    assert.are.same({ ["/a"] = { uuid = "f-1", mode = "0600" } }, asked[3].json.files)
    assert.is_false(asked[3].json.disposable)
  end)
end)
