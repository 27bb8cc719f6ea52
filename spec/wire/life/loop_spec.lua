-- One client must not hold up the loop, which serves all. A strict engine (see
-- src/engine/base/turn.h) aborts when a turn takes too long.
local core = require("contree.core")
local wire = require("spec.support.wire")

describe("F5: the loop", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  it("is not kept by who floods the pipe of a process that has ended", function()
    local uuid = engine:spawn(wire.shell("sleep 600", { timeout = 4 }))
    wire.await(engine:follow(uuid, "?follow=1"), "spawn")
    local flood = [[for i in 1 2 3; do dd if=/dev/zero bs=64k 2>/dev/null & done; exit 0]]
    for _ = 1, 2 do
      local reply = engine:post(("/v1/operations/%s/subprocesses"):format(uuid),
        { command = flood, shell = true })
      assert.are.equal(201, reply.status, reply.body)
    end
    -- It is ended by its time limit, not much later.
    local operation = engine:wait(uuid)
    assert.is_true(operation.metadata.result.state.timed_out)
    assert.are.equal("true", engine:run{ command = "echo", args = { "true" } }
      .metadata.result.stdout.value:gsub("\n", ""))
  end)

  it("gives all of them a turn when 40 runs flood at once", function()
    local uuids = {}
    for n = 1, 40 do
      uuids[n] = engine:spawn(wire.shell("head -c 5000000 /dev/zero",
        { truncate_output_at = 1000000 }))
    end
    for _, uuid in ipairs(uuids) do
      local result = engine:wait(uuid).metadata.result
      assert.are.equal(1000000, wire.size(result.stdout))
      assert.is_true(result.stdout.truncated)
    end
  end)

  it("takes what many processes left in their pipes in pieces", function()
    local uuid = engine:spawn(wire.shell("until [ -e /end ]; do sleep 0.1; done"))
    wire.await(engine:follow(uuid, "?follow=1"), "spawn")
    local function spawn(command)
      local reply = engine:post(("/v1/operations/%s/subprocesses"):format(uuid),
        { command = command, shell = true, truncate_output_at = 10000000 })
      assert.are.equal(201, reply.status, reply.body)
    end
    for _ = 1, 12 do spawn("yes | dd bs=64k 2>/dev/null") end
    spawn("touch /end")
    assert.are.equal("SUCCESS", engine:wait(uuid).status)
    local ends = 0
    for _, frame in ipairs(engine:events(uuid)) do
      if frame.event == "exit" then ends = ends + 1 end
    end
    assert.are.equal(14, ends)
  end)

  it("looks through a long log for one process beside its other work", function()
    local uuid = engine:run(wire.shell("yes | head -c 30000000",
      { truncate_output_at = 30000000 })).uuid
    local types = {}
    for _, frame in ipairs(engine:events(uuid, "?spid=7")) do types[#types + 1] = frame.event end
    assert.are.same({}, types)
  end)

  it("packs a large reply while it is sent", function()
    local uuid = engine:run(wire.shell("seq 1000000", { truncate_output_at = 8000000 })).uuid
    local plain = engine:get("/v1/operations/" .. uuid)
    local connection = engine:connect()
    connection:request("GET", "/v1/operations/" .. uuid,
      { headers = { ["Accept-Encoding"] = "gzip" } })
    local head = connection:head()
    assert.are.equal("gzip", head.headers["content-encoding"])
    assert.are.equal(plain.body, wire.gunzip(connection:body(head)))
    connection:close()
  end)

  it("reads large bodies elsewhere, many at once", function()
    local value = wire.base64(("x"):rep(3000000))
    local connections = {}
    for n = 1, 8 do
      local connection = engine:connect()
      connection:request("POST", "/v1/instances", { headers = { Prefer = "wait=60" },
        body = ([[{"image": "tag:busybox:latest", "command": "wc", "args": ["-c"],
          "disposable": true, "stdin": {"value": "%s", "encoding": "base64"}}]]):format(value) })
      connections[n] = connection
    end
    for _, connection in ipairs(connections) do
      local reply = connection:response()
      assert.are.equal(201, reply.status, reply.body:sub(1, 300))
      assert.are.equal("3000000\n", wire.bytes(reply.json.metadata.result.stdout))
      connection:close()
    end
  end)

  it("answers hundreds of requests that come at once", function()
    local connections = {}
    for n = 1, 300 do connections[n] = engine:connect() end
    for _, connection in ipairs(connections) do
      connection:request("GET", "/v1/operations?limit=1000")
    end
    for _, connection in ipairs(connections) do
      assert.are.equal(200, connection:response().status)
      connection:close()
    end
  end)

  it("gives a run 4,096 files", function()
    local files = {}
    local content = engine:post("/v1/files", "content").json.uuid
    for n = 1, 4096 do files["/d/" .. n] = { uuid = content } end
    local result = engine:run(wire.shell("ls /d | wc -l", { files = files })).metadata.result
    assert.are.equal("4096\n", wire.bytes(result.stdout))
  end)

  it("collects garbage beside 300,000 operations, 10,000 images and 30,000 layers", function()
    engine:run(wire.shell("true"))
    engine:kill("KILL")
    local db = assert(core.database(engine.data .. "/contree.db"))
    -- Some failed, and some are imports: of these, more is to be looked at.
    assert(db:exec([[WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n
      WHERE i < 300000) INSERT INTO operation (uuid, kind, status, created, finished, consumed_cpu,
      consumed_memory, image_size, image, result_image, metadata)
      SELECT printf('00000000-0000-0000-0000-%012d', i),
      iif(i % 20 = 0, 'image_import', 'instance'), iif(i % 10 = 1, 'FAILED', 'SUCCESS'),
      t, t + 1, 0, 0, -1,
      printf('10000000-0000-0000-0000-%012d', 501 + i % 9500), lower(hex(randomblob(18))), '{}'
      FROM (SELECT i, (unixepoch() - 300000) * 1000000 + i * 500000 AS t FROM n)]]))
    -- Chains of 50 layers, of which one in 50 was squashed with the one below.
    assert(db:exec([[WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n
      WHERE i < 30000) INSERT INTO layer (id, parent, size)
      SELECT 100000 + i, iif(i % 50 = 1, 0, 100000 + i - 1), 1 FROM n]]))
    db:exec("INSERT INTO layer (id, parent, size, level) SELECT id + 100000, id - 2, 2, 1 "
      .. "FROM layer WHERE id % 50 = 20 AND id > 100000")
    db:exec("UPDATE layer SET squashed = id + 100000 WHERE id % 50 = 20 AND id BETWEEN 100001 "
      .. "AND 199999")
    -- The older half was made 200 days ago, and all but 500 of it was used since.
    assert(db:exec([[WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n
      WHERE i < 10000) INSERT INTO image (uuid, operation, created, size, layer)
      SELECT printf('10000000-0000-0000-0000-%012d', i), printf('00000000-0000-0000-0000-%012d', i),
      (unixepoch() - iif(i > 5000, 60, 200 * 86400)) * 1000000, 0,
      100000 + 50 * iif(i > 500, 31 + i % 570, 1 + i % 30) FROM n]]))
    db:close()
    engine:launch()
    -- What would go is counted elsewhere.
    local reply = engine:post("/v1/gc", { dry_run = true })
    assert.are.equal(200, reply.status, reply.body)
    assert.are.same({ 500, 2670, 0 },
      { reply.json.images, reply.json.layers, reply.json.operations })
    reply = engine:post("/v1/gc", "{}")
    assert.are.equal(200, reply.status, reply.body)
    assert.are.same({ 500, 0 }, { reply.json.images, reply.json.operations })
    -- 30 chains with what was squashed, and of the others the two that it stands for.
    assert.are.equal(30 * 51 + 570 * 2, reply.json.layers)
    reply = engine:post("/v1/gc", { operations_older_than = 298000 })
    assert.are.equal(200, reply.status, reply.body)
    assert.is_true(reply.json.operations > 3000, reply.body)
    assert.are.equal(0, reply.json.layers)
  end)
end)
