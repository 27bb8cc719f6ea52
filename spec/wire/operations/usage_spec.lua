-- GET /operations/{id}/usage, and the list of what runs.
local wire = require("spec.support.wire")

describe("what a run uses", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function running(command, options)
    local uuid = engine:spawn(wire.shell(command, options))
    local connection = engine:follow(uuid, "?follow=1")
    wire.await(connection, "spawn")
    connection:close()
    return uuid
  end
  local function usage(uuid)
    local reply = engine:get(("/v1/operations/%s/usage"):format(uuid))
    assert.are.equal(200, reply.status, reply.body)
    return reply.json
  end
  local function await(uuid, what, check)
    return wire.eventually(what, function()
      local now = usage(uuid)
      return check(now) and now
    end)
  end

  it("grows with what is done", function()
    local uuid = running([[head -c 30000000 /dev/zero > /f; sync
      for i in 1 2 3; do sleep 60 & done
      head -c 20000000 /dev/zero | { tail -c 20000000; sleep 60; } >/dev/null &
      i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; wait]])
    local now = await(uuid, "processes", function(now) return now.processes >= 6 end)
    assert.are.equal(wire.null, now.memory_peak_bytes)
    assert.are.equal(0, now.received_bytes)
    assert.are.equal(0, now.sent_bytes)
    await(uuid, "processor time", function(later) return later.cpu_seconds > 0.05 end)
    await(uuid, "bytes written", function(later) return later.written_bytes >= 30000000 end)
    assert.is_true(now.memory_bytes > 100000)
    engine:cancel(uuid)
  end)

  it("counts what has ended, too", function()
    -- In the kernel and out of it. The last line is what the kernel says of both.
    local uuid = running([[sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'
      head -c 1000000000 /dev/zero >/dev/null
      cut -d' ' -f16,17 /proc/$$/stat; exec sleep 60]])
    local user, system = wire.eventually("the end of the first", function()
      local out = engine:get(("/v1/operations/%s?inflight=1"):format(uuid)).json.metadata.result
      return wire.bytes(out.stdout):match("^%d+ %d+\n$")
    end):match("(%d+) (%d+)")
    local ticks = tonumber(wire.run("getconf CLK_TCK"))
    local now = usage(uuid)
    assert.is_true(user + 0 > 0 and system + 0 > 0)
    assert.is_true(now.cpu_seconds >= (user + system) / ticks, tostring(now.cpu_seconds))
    assert.are.equal(1, now.processes)
    engine:cancel(uuid)
  end)

  it("has the peak where memory is limited", function()
    if not engine:has_limits() then pending("no control groups here") end
    local uuid = running([[head -c 40000000 /dev/zero | tail -c 40000000 >/dev/null
      echo over; exec sleep 60]], { resources_limits = { memory_bytes = 134217728 } })
    local now = await(uuid, "the peak",
      function(later) return later.memory_peak_bytes >= 40000000 end)
    assert.is_true(now.memory_bytes <= now.memory_peak_bytes)
    engine:cancel(uuid)
  end)

  it("is told while it is paused", function()
    local uuid = running("sleep 60 & sleep 60 & wait")
    await(uuid, "processes", function(now) return now.processes == 3 end)
    engine:request("POST", ("/v1/operations/%s/pause"):format(uuid))
    assert.are.equal(3, usage(uuid).processes)
    engine:cancel(uuid)
  end)

  it("is in the list of what is executing", function()
    local one = running("i=0; while :; do i=$((i+1)); done")
    local other = running("sleep 60")
    await(one, "processor time", function(now) return now.cpu_seconds > 0.05 end)
    local found = {}
    for _, item in ipairs(engine:get("/v1/operations?status=EXECUTING").json) do
      found[item.uuid] = item
    end
    assert.are.equal(1, found[other].usage.processes)
    assert.is_true(found[one].usage.cpu_seconds > 0.05)
    assert.are.equal(found[one].usage.cpu_seconds, found[one].consumed_cpu)
    assert.is_true(found[other].consumed_memory > 0)
    assert.are.equal(1, #engine:get("/v1/operations?status=EXECUTING&limit=1").json)
    assert.are.equal(1, #engine:get("/v1/operations?status=EXECUTING&offset=1").json)
    engine:cancel(one)
    engine:cancel(other)
    assert.are.equal(0, #engine:get("/v1/operations?status=EXECUTING").json)
  end)

  -- Programs choose their names, which are in the kernel's files.
  it("is not fooled by names of programs", function()
    local uuid = running([[printf '#!/bin/sh\nread x\n' > '/tmp/a) R 1 1 9'
      chmod +x /tmp/*; exec '/tmp/a) R 1 1 9']], { stdin = { value = "", close = false } })
    local now = await(uuid, "the program", function(later) return later.processes == 1 end)
    assert.is_true(now.cpu_seconds < 10)
    engine:cancel(uuid)
  end)

  it("is read while processes come and go", function()
    local uuid = running("while :; do for i in 1 2 3 4 5 6 7 8; do true & done; wait; done")
    for _ = 1, 50 do assert.is_true(usage(uuid).processes >= 1) end
    engine:cancel(uuid)
  end)

  it("is refused where nothing runs", function()
    local function get(uuid) return engine:get(("/v1/operations/%s/usage"):format(uuid)) end
    wire.refuses(404, "operation", get("00000000-0000-4000-8000-000000000000"))
    wire.refuses(409, "running", get(engine:run{ command = "true" }.uuid))
  end)
end)
