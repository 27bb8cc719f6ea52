-- POST /operations/{id}/pause and /resume.
local socket = require("socket")
local wire = require("spec.support.wire")

describe("a paused operation", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function running(command, options, of)
    local uuid = (of or engine):spawn(wire.shell(command, options))
    local connection = (of or engine):follow(uuid, "?follow=1")
    wire.await(connection, "spawn")
    connection:close()
    return uuid
  end
  local function post(uuid, what)
    return engine:request("POST", ("/v1/operations/%s/%s"):format(uuid, what))
  end
  local function pause(uuid)
    local reply = post(uuid, "pause")
    assert.are.equal(200, reply.status)
    assert.is_true(reply.json.paused)
  end
  local function resume(uuid)
    local reply = post(uuid, "resume")
    assert.are.equal(200, reply.status)
    assert.is_false(reply.json.paused)
  end
  local function get(uuid, query)
    return engine:get("/v1/operations/" .. uuid .. (query or "")).json
  end
  local function output(uuid)
    return wire.bytes(get(uuid, "?inflight=1").metadata.result.stdout)
  end

  -- Declares a test with and without limits: with them the kernel's freezer does it where
  -- control groups are of version 2.
  local function both(title, test)
    it(title, function() test{} end)
    it(title .. ", with limits", function()
      if not engine:has_limits() then pending("no control groups here") end
      test{ resources_limits = { memory_bytes = 33554432, pids = 30 } }
    end)
  end

  -- What the processes do without pause.
  local BUSY = "for i in 1 2 3; do while :; do echo; usleep 1000; done & done; wait"

  both("does nothing, until it is resumed", function(options)
    local uuid = running(BUSY, options)
    wire.eventually("output", function() return #output(uuid) > 10 end)
    pause(uuid)
    pause(uuid) -- again: the same
    socket.sleep(0.1) -- for what is in the pipe
    local before = output(uuid)
    socket.sleep(0.3)
    assert.are.equal(#before, #output(uuid))
    resume(uuid)
    resume(uuid)
    wire.eventually("more output", function() return #output(uuid) > #before end)
    assert.are.equal("CANCELLED", engine:cancel(uuid).status)
  end)

  it("is marked", function()
    local uuid = running("sleep 60")
    local function is_marked()
      local list = engine:get("/v1/operations?status=EXECUTING").json
      for _, one in ipairs(list) do
        if one.uuid == uuid then
          assert.are.equal(get(uuid).paused, one.paused)
          return one.paused
        end
      end
      error("it is not in the list")
    end
    assert.is_nil(is_marked())
    pause(uuid)
    assert.is_true(is_marked())
    assert.are.equal("EXECUTING", get(uuid).status)
    resume(uuid)
    assert.is_nil(is_marked())
    pause(uuid)
    assert.is_nil(engine:cancel(uuid).paused)
  end)

  both("has a time limit that stands still", function(options)
    options.timeout = 1
    local uuid = running("sleep 60", options)
    pause(uuid)
    socket.sleep(1.5)
    assert.are.equal("EXECUTING", get(uuid).status)
    resume(uuid)
    local result = engine:wait(uuid).metadata.result
    assert.is_true(result.state.timed_out)
  end)

  both("can be cancelled, and killed", function(options)
    local uuid = running(BUSY, options)
    pause(uuid)
    assert.are.equal("CANCELLED", engine:cancel(uuid).status)
    uuid = running(BUSY, options)
    pause(uuid)
    assert.are.equal(204, engine:request("DELETE",
      ("/v1/operations/%s/subprocesses/1"):format(uuid)).status)
    local final = engine:wait(uuid)
    assert.are.equal("SUCCESS", final.status)
    assert.are.equal(9, final.metadata.result.state.signal)
  end)

  it("gets other signals when it is resumed", function()
    local uuid = running("trap 'echo got; exit 3' USR1; echo ready; while :; do usleep 1000; done")
    wire.eventually("the trap", function() return output(uuid) == "ready\n" end)
    pause(uuid)
    for _, signal in ipairs{ "USR1", "CONT" } do
      assert.are.equal(204, engine:request("DELETE",
        ("/v1/operations/%s/subprocesses/1?signal=%s"):format(uuid, signal)).status)
    end
    socket.sleep(0.2)
    assert.are.equal("ready\n", output(uuid))
    resume(uuid)
    assert.are.equal(3, engine:wait(uuid).metadata.result.state.exit_code)
  end)

  it("starts no process", function()
    local uuid = running("sleep 60")
    local function spawn()
      return engine:post(("/v1/operations/%s/subprocesses"):format(uuid), { command = "true" })
    end
    pause(uuid)
    wire.refuses(409, "paused", spawn())
    resume(uuid)
    assert.are.equal(201, spawn().status)
    engine:cancel(uuid)
  end)

  it("leaves alone what was stopped before", function()
    local command = [[sleep 60 & p=$!; kill -STOP $p
      until grep -q 'State:.T' /proc/$p/status; do :; done; echo ready; read x
      grep -o 'State:.[A-Z]' /proc/$p/status; kill -9 $p]]
    local uuid = running(command, { stdin = { value = "", close = false } })
    wire.eventually("the stop", function() return output(uuid) == "ready\n" end)
    pause(uuid)
    resume(uuid)
    engine:post(("/v1/operations/%s/subprocesses/1/stdin"):format(uuid), { value = "go\n" })
    assert.are.equal("ready\nState:\tT\n", wire.bytes(engine:wait(uuid).metadata.result.stdout))
  end)

  it("is refused where there is nothing to pause", function()
    wire.refuses(404, "operation", post("00000000-0000-4000-8000-000000000000", "pause"))
    wire.refuses(404, "operation", post("x", "resume"))
    local over = engine:run{ command = "true" }.uuid
    wire.refuses(409, "running", post(over, "pause"))
    wire.refuses(409, "running", post(over, "resume"))
  end)

  it("is resumed and paused many times at once", function()
    local uuid = running(BUSY)
    local connections = {}
    for i = 1, 40 do
      connections[i] = engine:connect()
      connections[i]:request("POST", ("/v1/operations/%s/%s"):format(uuid,
        i % 2 == 1 and "pause" or "resume"))
    end
    for _, connection in ipairs(connections) do
      local reply = connection:response()
      assert.is_true(reply.status == 200 or reply.status == 409, reply.body)
      connection:close()
    end
    resume(uuid)
    local before = #output(uuid)
    wire.eventually("more output", function() return #output(uuid) > before end)
    engine:cancel(uuid)
  end)

  both("ends with an engine that is killed, and has failed", function(options)
    local other = wire.start()
    local uuid = running("sleep 6000." .. engine.pid, options, other)
    local reply = other:request("POST", ("/v1/operations/%s/pause"):format(uuid))
    assert.are.equal(200, reply.status)
    local function left()
      return wire.run("pgrep -f '[s]leep 6000." .. engine.pid .. "' || true")
    end
    assert.are_not.equal("", left())
    other:kill("KILL")
    wire.eventually("the end of its processes", function() return left() == "" end)
    other:launch()
    assert.are.equal("FAILED", other:get("/v1/operations/" .. uuid).json.status)
    wire.eventually("no group that is frozen", function() return other:groups() == "" end)
    assert.are.equal("SUCCESS", other:run(wire.shell("true", options)).status)
    other:stop()
  end)
end)
