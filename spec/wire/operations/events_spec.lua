-- GET /operations/{id}/events: the log of an operation as a stream.
local socket = require("socket")
local wire = require("spec.support.wire")

describe("the events of an operation", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function spawn(command, options) return engine:spawn(wire.shell(command, options)) end
  local function ended(command, options)
    local uuid = spawn(command, options)
    engine:wait(uuid)
    return uuid
  end

  it("come in order, each complete in its frame", function()
    local uuid = spawn("echo hi; sleep 0.05; echo oh >&2; exit 4")
    local connection = engine:follow(uuid, "?follow=1")
    assert.are.equal("text/event-stream", connection.reply.headers["content-type"])
    assert.are.equal("no-cache", connection.reply.headers["cache-control"])
    assert.are.equal("chunked", connection.reply.headers["transfer-encoding"])
    local frames = {}
    for frame in function() return connection:frame() end do frames[#frames + 1] = frame end
    connection:close()
    assert.are.equal("init spawn stdout stderr exit shutdown completion", wire.types(frames))
    for i, frame in ipairs(frames) do
      assert.are.equal(i - 1, frame.id)
      assert.are.equal(i - 1, frame.data.id)
      assert.are.equal(frame.event, frame.data.type)
      assert.matches("^%d+%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d+Z$", frame.data.ts)
      assert.is_table(frame.data.data)
    end
    assert.are.equal(0, frames[1].data.spid)
    assert.are.equal(1, frames[3].data.spid)
    assert.are.equal(0, frames[7].data.spid)
  end)

  it("carry the required fields", function()
    local frames = engine:events(ended("true", { env = { MY_TOKEN = "hush", PLAIN = "seen" },
      cwd = "/tmp", uid = engine:id(3), gid = engine:id(4), timeout = 7, truncate_output_at = 9 }))
    local function data(i) return frames[i].data.data end
    assert.is_string(data(1).started_at)
    assert.is_string(data(1).runtime_path)
    assert.is_boolean(data(1).verbose)
    assert.are.equal(1, data(1).init_pid)
    assert.are.equal("/bin/sh", data(2).command)
    assert.are.same({ "-c", "true" }, data(2).args)
    assert.is_true(data(2).shell)
    assert.are.equal("/tmp", data(2).cwd)
    assert.are.equal(engine:id(3), data(2).uid)
    assert.are.equal(engine:id(4), data(2).gid)
    assert.are.equal(7, data(2).timeout)
    assert.are.equal(9, data(2).truncate_at)
    assert.are.equal("seen", data(2).env.PLAIN)
    assert.are.equal("<REDACTED>", data(2).env.MY_TOKEN)
    local exit = data(3)
    assert.are.equal(data(2).pid, exit.pid)
    assert.are.equal(0, exit.code)
    assert.are.equal(-1, exit.signal)
    assert.is_false(exit.timed_out)
    assert.is_number(exit.duration_ms)
    for _, name in ipairs{ "user_time_us", "sys_time_us", "max_rss_kb", "shared_memory",
      "unshared_memory", "swaps", "minor_faults", "major_faults", "voluntary_ctx_switches",
      "involuntary_ctx_switches", "block_input_ops", "block_output_ops", "ipc_msgs_sent",
      "ipc_msgs_received", "signals_received" } do
      assert.is_number(exit.resources[name], name)
    end
    assert.is_string(data(4).stopped_at)
    assert.are.equal("job_complete", data(4).reason)
    assert.are.equal("SUCCESS", data(5).status)
    assert.is_number(data(5).duration_ms)
  end)

  it("tell the image in their completion", function()
    local uuid = ended("echo hi > /x", { disposable = false })
    local frames = engine:events(uuid, "?follow=1")
    local completion = frames[#frames].data.data
    local operation = engine:get("/v1/operations/" .. uuid).json
    assert.are.equal(operation.result_image_uuid, completion.result_image_uuid)
    assert.are.equal(3, completion.image_size_bytes)
  end)

  it("arrive while the command runs", function()
    local uuid = spawn("echo one; read x; echo two", { stdin = { value = "", close = false } })
    local connection = engine:follow(uuid, "?follow=1")
    assert.are.equal("one\n", wire.await(connection, "stdout").data.data.value)
    local path = ("/v1/operations/%s/subprocesses/1/stdin"):format(uuid)
    assert.are.equal(204, engine:post(path, { value = "go\n" }).status)
    assert.are.equal("go\n", wire.await(connection, "stdin").data.data.value)
    assert.are.equal("two\n", wire.await(connection, "stdout").data.data.value)
    wire.await(connection, "completion")
    assert.is_nil(connection:frame())
    connection:close()
  end)

  it("may be had without those of a type", function()
    local uuid = ended("echo one; echo two >&2")
    assert.are.equal("init spawn stderr exit shutdown completion",
      wire.types(engine:events(uuid, "?follow=1&without=stdout")))
    assert.are.equal(7, #engine:events(uuid, "?without=nothing-that-is-a-type-of-event"))
  end)

  it("follow input that comes as bytes, not as JSON", function()
    local uuid = spawn("cat", { stdin = { value = "", close = false } })
    local connection = engine:follow(uuid, "?follow=1")
    wire.await(connection, "spawn")
    local path = ("/v1/operations/%s/subprocesses/1/stdin"):format(uuid)
    local function send(bytes, query)
      return engine:request("POST", path .. query, { body = bytes,
        headers = { ["Content-Type"] = "application/octet-stream" } })
    end
    assert.are.equal(204, send("{\0\255", "").status)
    assert.are.equal("{\0\255", wire.bytes(wire.await(connection, "stdout").data.data))
    assert.are.equal(400, send("x", "?close=maybe").status)
    assert.are.equal(413, send(("x"):rep(16777217), "").status)
    assert.are.equal(204, send("", "?close=1").status)
    assert.are.equal(0, wire.await(connection, "exit").data.data.code)
    assert.are.equal(409, send("x", "").status)
  end)

  it("replay from a cursor, and the header beats the query", function()
    local uuid = ended("echo a; echo b >&2")
    assert.are.equal(7, #engine:events(uuid))
    assert.are.equal(7, #engine:events(uuid, "?since=-1"))
    assert.are.equal(4, #engine:events(uuid, "?since=2"))
    assert.are.equal(4, #engine:events(uuid, "?since=2&follow=1"))
    assert.are.equal(5, engine:events(uuid, "?since=4")[1].id)
    assert.are.equal(0, #engine:events(uuid, "?since=6"))
    assert.are.equal(0, #engine:events(uuid, "?since=99&follow=1"))
    assert.are.equal(1, #engine:events(uuid, "", { ["Last-Event-Id"] = "5" }))
    assert.are.equal(1, #engine:events(uuid, "?since=0", { ["Last-Event-Id"] = "5" }))
    assert.are.equal(7, #engine:events(uuid, "?since=5", { ["Last-Event-Id"] = "-1" }))
  end)

  it("can be those of one process", function()
    local uuid = ended("echo a")
    assert.are.equal("spawn stdout exit", wire.types(engine:events(uuid, "?spid=1&follow=1")))
    assert.are.equal("init shutdown completion", wire.types(engine:events(uuid, "?spid=0")))
    assert.are.equal("", wire.types(engine:events(uuid, "?spid=7&follow=1")))
  end)

  it("end at once without follow, while the operation runs", function()
    local uuid = spawn("echo a; sleep 60")
    wire.await(engine:follow(uuid, "?follow=1"), "stdout")
    assert.are.equal("init spawn stdout", wire.types(engine:events(uuid)))
    engine:request("DELETE", "/v1/operations/" .. uuid)
    engine:wait(uuid)
  end)

  it("are compressed for clients that take it, flushed frame by frame", function()
    local uuid = spawn("echo one; read x; echo two", { stdin = { value = "", close = false } })
    local connection = engine:follow(uuid, "?follow=1", { ["Accept-Encoding"] = "gzip" })
    assert.are.equal("gzip", connection.reply.headers["content-encoding"])
    -- Compressed output can be read before the stream ends.
    local packed = ""
    wire.eventually("the first output", function()
      packed = packed .. assert(connection:chunk())
      return wire.gunzip(packed):find("one\\n", 1, true)
    end)
    assert.is_nil(wire.gunzip(packed):find("completion", 1, true))
    engine:post(("/v1/operations/%s/subprocesses/1/stdin"):format(uuid), { value = "go\n" })
    for data in function() return connection:chunk() end do packed = packed .. data end
    local text = wire.gunzip(packed)
    assert.is_nil(text:find("unexpected end", 1, true))
    local last = text:match("event: (%S+)[^\n]*\ndata: [^\n]*\n\n$")
    assert.are.equal("completion", last)
    connection:close()
  end)

  it("keep a quiet stream alive", function()
    local uuid = spawn("sleep 60")
    local connection = engine:follow(uuid, "?follow=1")
    local frame
    repeat frame = assert(connection:frame()) until frame.comment
    assert.are.equal(": keepalive", frame.comment)
    connection:close()
    engine:request("DELETE", "/v1/operations/" .. uuid)
    engine:wait(uuid)
  end)

  it("go to any number of followers, who may come and go", function()
    local uuid = spawn("for i in $(seq 20); do echo $i; sleep 0.01; done")
    local connections = {}
    for i = 1, 10 do connections[i] = engine:follow(uuid, "?follow=1") end
    for i = 1, 5 do
      wire.await(connections[i], "stdout")
      connections[i]:close()
    end
    for i = 6, 10 do
      local last
      for frame in function() return connections[i]:frame() end do last = frame end
      assert.are.equal("completion", last.event)
      connections[i]:close()
    end
    local want = {}
    for i = 1, 20 do want[i] = i .. "\n" end
    assert.are.equal(table.concat(want), wire.output(engine:events(uuid), "stdout"))
  end)

  it("count what was truncated", function()
    local uuid = ended("printf 0123456789; printf abc >&2", { truncate_output_at = 4 })
    local frames = engine:events(uuid)
    assert.are.equal("0123", wire.output(frames, "stdout"))
    assert.are.equal("abc", wire.output(frames, "stderr"))
    local truncated
    for _, frame in ipairs(frames) do
      if frame.event == "truncated" then truncated = frame.data.data end
    end
    assert.are.same({ stream = "stdout", bytes_emitted = 4, bytes_dropped = 6 }, truncated)
  end)

  it("hold more output than an operation's JSON", function()
    local uuid = ended("seq 1 2000000", { truncate_output_at = 20000000 })
    local operation = engine:get("/v1/operations/" .. uuid).json
    assert.are.equal(10485760, #operation.metadata.result.stdout.value)
    assert.is_true(operation.metadata.result.stdout.truncated)
    local frames = engine:events(uuid)
    local output = wire.output(frames, "stdout")
    assert.are.equal(14888896, #output)
    assert.are.equal("2000000\n", output:sub(-8))
    for i, frame in ipairs(frames) do
      assert.are.equal(i - 1, frame.id)
      assert.is_true(#frame.text < 4 * 1048576)
    end
    -- Read from the middle of a log that is in a file.
    local middle = math.floor(#frames / 2)
    local rest = engine:events(uuid, "?since=" .. middle)
    assert.are.equal(middle + 1, rest[1].id)
    assert.are.equal(#frames - middle - 1, #rest)
    assert.are.equal(rest[1].text, frames[middle + 2].text)
  end)

  it("do not grow with the number of writes", function()
    local uuid = ended("i=0; while [ $i -lt 20000 ]; do printf x; i=$((i+1)); done")
    local frames = engine:events(uuid)
    assert.are.equal(20000, #wire.output(frames, "stdout"))
    assert.is_true(#frames < 5000, #frames .. " events")
  end)

  it("answer HEAD with the headers only, while the operation runs", function()
    local uuid = spawn("sleep 60")
    local connection = engine:connect()
    connection:request("HEAD", ("/v1/operations/%s/events?follow=1"):format(uuid))
    local head = connection:head()
    assert.are.equal(200, head.status)
    assert.are.equal("text/event-stream", head.headers["content-type"])
    assert.are.equal("no-cache", head.headers["cache-control"])
    connection:close()
    engine:request("DELETE", "/v1/operations/" .. uuid)
  end)

  it("are refused with a reason", function()
    local uuid = ended("true")
    local function refuses(status, query, headers, id)
      local reply = engine:get(("/v1/operations/%s/events%s"):format(id or uuid, query), headers)
      assert.are.equal(status, reply.status, query)
      assert.are.equal(status, reply.json.status)
    end
    refuses(400, "?since=x")
    refuses(400, "?since=-2")
    refuses(400, "?follow=yes")
    refuses(400, "?spid=-1")
    refuses(400, "", { ["Last-Event-Id"] = "abc" })
    refuses(404, "", nil, "00000000-0000-4000-8000-000000000000")
    refuses(404, "", nil, "nothing")
  end)

  it("of a client that vanished go nowhere", function()
    local uuid = spawn("while :; do echo x; sleep 0.01; done")
    for _ = 1, 10 do
      local connection = engine:follow(uuid, "?follow=1")
      wire.await(connection, "stdout")
      connection:close()
    end
    socket.sleep(0.1)
    engine:request("DELETE", "/v1/operations/" .. uuid)
    assert.are.equal("CANCELLED", engine:wait(uuid).status)
  end)
end)
