-- An engine that was started with --plain-api has nothing that the hosted service lacks.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("serve --plain-api", function()
  local engine, image

  setup(function()
    engine = wire.start("--plain-api")
    image = engine:get("/v1/images?tag=busybox:latest").json.images[1].uuid
  end)
  teardown(function() engine:stop() end)

  -- Runs without the extension that waits.
  local function run(options)
    local reply = engine:post("/v1/instances", wire.spawn(options))
    assert.equal(201, reply.status, reply.body)
    return engine:wait(reply.json.uuid)
  end

  it("serves no route of an extension", function()
    local running = engine:spawn(wire.shell("sleep 60"))
    for _, route in ipairs{
      "POST /v1/images/" .. image .. "/layers?at=/", "POST /v1/merge",
      "GET /v1/inspect/" .. image .. "/diff?base=" .. image, "POST /v1/gc", "POST /v1/import",
      "POST /v1/export", "GET /v1/volumes", "POST /v1/volumes",
      "POST /v1/operations/" .. running .. "/pause", "GET /v1/operations/" .. running .. "/usage",
      "POST /v1/operations/" .. running .. "/subprocesses/1/tty",
      "POST /v1/operations/" .. running .. "/subprocesses/1/stdin/stream",
      "POST /v1/operations/" .. running .. "/subprocesses/1/stdin/descriptor" } do
      local method, path = route:match("^(%u+) (.+)$")
      wire.refuses(404, "no such route", engine:request(method, path, { body = "{}" }))
    end
    local listed = engine:get("/v1/operations?status=EXECUTING").json
    assert.is_nil(listed[1].usage)
    -- It is a route of GET.
    assert.equal(405, engine:post("/v1/files/descriptor", "{}").status)
    assert.equal(202, engine:request("DELETE", "/v1/operations/" .. running).status)
  end)

  it("obeys no header and no parameter of an extension", function()
    local reply = engine:post("/v1/instances", wire.spawn(wire.shell("sleep 0.2")),
      { Prefer = "wait=30, return=minimal", ["Idempotency-Key"] = "k",
      ["Contree-Runtime"] = "another" })
    assert.equal(201, reply.status)
    assert.equal(wire.null, reply.json.result)
    assert.is_nil(reply.headers["preference-applied"])
    assert.equal("sleep 0.2", reply.json.command)
    local again = engine:post("/v1/instances", wire.spawn(wire.shell("true")),
      { ["Idempotency-Key"] = "k" })
    assert.equal(201, again.status)
    assert.are_not.equal(reply.json.uuid, again.json.uuid)
    engine:wait(reply.json.uuid)
  end)

  it("takes input as JSON only", function()
    local uuid = engine:spawn{ command = "cat", stdin = { value = "", close = false } }
    wire.eventually("the start", function()
      return engine:get("/v1/operations/" .. uuid).json.status == "EXECUTING"
    end)
    local path = ("/v1/operations/%s/subprocesses/1/stdin"):format(uuid)
    assert.equal(400, engine:post(path, "plain", { ["Content-Type"] = "application/octet-stream" })
      .status)
    wire.eventually("the process", function()
      return engine:post(path, { value = "json", close = true }).status == 204
    end)
    assert.equal("json", engine:wait(uuid).metadata.result.stdout.value)
    local events = engine:get("/v1/operations/" .. uuid .. "/events?without=stdin",
      { Accept = "application/vnd.contree.records" })
    assert.equal("text/event-stream", events.headers["content-type"])
    assert.matches("event: stdin\n", events.body)
  end)

  it("drops fields of extensions, or refuses those that would be missed", function()
    local result = run(wire.shell("id -u", { user = "nobody", uid = 0,
      queue_timeout = 5, idempotency_key = "k" }))
    assert.equal("0\n", result.metadata.result.stdout.value)
    assert.is_nil(result.metadata.user)
    assert.is_nil(result.metadata.queue_timeout)
    assert.is_nil(result.metadata.idempotency_key)
    local file = engine:request("POST", "/v1/files", { body = "x" }).json
    for name, fields in pairs{
      ["user is an extension"] = { user = "nobody" },
      ["image_etc is an extension"] = { image_etc = true }, ["tty is"] = { tty = true },
      ["volumes is"] = { volumes = { ["/v"] = "v" } },
      ["mounts is"] = { mounts = { ["/m"] = "/" } },
      ["resources_limits%.memory_bytes is"] = { resources_limits = { memory_bytes = 1 } },
      ["resources_limits%.shm_bytes is"] = { resources_limits = { shm_bytes = 4096 } },
      ["xattrs is"] = { files = { ["/f"] = { uuid = file.uuid, xattrs = { ["user.a"] = "00" } } } },
    } do
      wire.refuses(400, name, engine:post("/v1/instances", wire.spawn(wire.shell("true", fields))))
    end
    local null = wire.null
    run(wire.shell("true", { user = null, image_etc = null,
      resources_limits = { memory_bytes = null, max_layer_bytes = 1000000 } }))
  end)

  it("tells nothing that only extensions tell", function()
    local result = run(wire.shell("sleep 100 & true")).metadata.result
    for _, name in ipairs{ "isolation", "background_killed", "limit" } do
      assert.is_nil(result[name], name)
    end
    assert.equal(0, result.state.exit_code)
  end)

  it("is named by the commands that such an engine does not serve", function()
    local said = disk.capture(("contree-engine gc --data-dir %s --socket %s 2>&1")
      :format(engine.data, engine.path))
    assert.matches("was started with %-%-plain%-api: stop it", said)
  end)
end)
