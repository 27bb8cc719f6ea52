-- Limits on memory, processes and processor time, and the error on a machine without
-- control groups.
local wire = require("spec.support.wire")

local MEMORY, PIDS = 33554432, 20

local function includes(list, value)
  for _, item in ipairs(list) do
    if item == value then return true end
  end
  return false
end

describe("control groups", function()
  local engine, limited

  setup(function()
    engine = wire.start()
    limited = engine:has_limits()
  end)
  teardown(function() engine:stop() end)

  local function with_limits(text, check)
    it(text, function()
      if not limited then pending("no control groups here") end
      check()
    end)
  end

  local function result(options)
    local operation = engine:run(options)
    assert.are.equal("SUCCESS", operation.status)
    return operation.metadata.result, operation
  end

  local function ran_out(command)
    local found = result{ command = command, shell = true, timeout = 50,
      resources_limits = { memory_bytes = MEMORY } }
    assert.are.equal("memory", found.limit)
    assert.are.equal(MEMORY, found.limit_value)
    assert.are.equal(9, found.state.signal)
    assert.is_false(found.state.timed_out)
    assert.is_true(includes(found.isolation, "memory"))
  end

  with_limits("end a run whose one process takes too much memory", function()
    ran_out("head -c 67108864 /dev/zero | tail -c 67108864; sleep 50")
  end)

  with_limits("count ten workers together", function()
    ran_out([[for i in 1 2 3 4 5 6 7 8 9 10; do
      head -c 6710886 /dev/zero | { tail -c 6710886 | sleep 40; } & done; sleep 40]])
  end)

  with_limits("count files in memory", function()
    ran_out("head -c 60000000 /dev/zero > /dev/shm/x; sleep 50")
  end)

  with_limits("leave enough alone", function()
    local found, operation = result{ shell = true,
      command = "head -c 8000000 /dev/zero | tail -c 8000000 | wc -c",
      resources_limits = { memory_bytes = MEMORY, pids = PIDS, cpus = 0.5 } }
    assert.are.equal("8000000\n", wire.bytes(found.stdout))
    assert.is_nil(found.limit)
    for _, wall in ipairs{ "memory", "pids", "cpu" } do
      assert.is_true(includes(found.isolation, wall))
    end
    local echo = operation.metadata.resources_limits
    assert.are.equal(MEMORY, echo.memory_bytes)
    assert.are.equal(PIDS, echo.pids)
    assert.are.equal(0.5, echo.cpus)
  end)

  with_limits("report processes that could not be made, others unharmed", function()
    local bomb = engine:spawn{ command = "while :; do sleep 30 & done", shell = true, timeout = 50,
      resources_limits = { pids = PIDS } }
    assert.are.equal(0, result{ command = "true" }.state.exit_code)
    local found = engine:wait(bomb).metadata.result
    assert.are.equal("pids", found.limit)
    assert.are.equal(PIDS, found.limit_value)
    assert.is_true(found.background_killed <= PIDS)
  end)

  with_limits("on processors show in their number", function()
    local found = result{ command = "nproc", resources_limits = { cpus = 0.5 } }
    assert.are.equal("1\n", wire.bytes(found.stdout))
  end)

  with_limits("are not seen from inside, and removed afterwards", function()
    local found = result{ command = "cat /proc/self/cgroup", shell = true,
      resources_limits = { memory_bytes = MEMORY } }
    assert.is_nil(wire.bytes(found.stdout):find("contree", 1, true))
    wire.eventually("the groups to be removed", function() return engine:groups() == "" end)
    result{ command = "true" }
    assert.are.equal("", engine:groups())
  end)

  with_limits("of an engine that was killed go when it starts again", function()
    local own = wire.start("--memory 64M --pids 50 --cpus 1")
    local uuid = own:spawn{ command = "sleep 60; true", shell = true }
    wire.await(own:follow(uuid, "?follow=1"), "spawn")
    assert.are_not.equal("", own:groups())
    own:kill("KILL")
    own:launch() -- if no other engine that has just started has removed them
    wire.eventually("the groups to be removed", function() return own:groups() == "" end)
    own:stop()
  end)

  with_limits("that the engine fills in change no request: a key stands for it as it was made",
    function()
      local own = wire.start("--cpus 64")
      local body = wire.spawn{ command = "true", idempotency_key = "key" }
      local first = own:post("/v1/instances", body, { Prefer = "wait=30" })
      local second = own:post("/v1/instances", body, { Prefer = "wait=30" })
      own:stop()
      assert.are.equal(201, second.status, second.body)
      assert.are.equal(first.json.uuid, second.json.uuid)
    end)

  it("are for who asks", function()
    local found, operation = result{ command = "true" }
    for _, wall in ipairs{ "memory", "pids", "cpu" } do
      assert.is_false(includes(found.isolation, wall))
    end
    assert.is_nil(operation.metadata.resources_limits.memory_bytes)
  end)

  it("want sensible limits", function()
    local function ask(name, value)
      return engine:post("/v1/instances",
        wire.spawn{ command = "true", resources_limits = { [name] = value } })
    end
    for name, values in pairs{ memory_bytes = { 1000, 4194303, 2 ^ 54 }, pids = { 0, 4097, 1.5 },
      cpus = { "two", 0.009, 4097 } } do
      for _, value in ipairs(values) do
        local reply = ask(name, value)
        assert.are.equal(400, reply.status, name .. " = " .. value)
        assert.matches("resources_limits." .. name, reply.body, 1, true)
      end
    end
    -- What the messages say is the least and the most.
    for name, values in pairs{ memory_bytes = { 4194304 }, pids = { 1, 4096 }, cpus = { 0.01 } } do
      for _, value in ipairs(values) do
        local reply = ask(name, value)
        assert.are.equal(limited and 201 or 422, reply.status, reply.body)
        if limited then engine:cancel(reply.json.uuid) end
      end
    end
  end)

  it("are refused where there are none, and only then", function()
    if wire.run("id -u") ~= "0" then pending("needs root") end
    local without = [[unshare -m sh -c 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"' sh]]
    local own = wire.start("", without)
    for name, value in pairs{ memory_bytes = MEMORY, pids = PIDS, cpus = 1 } do
      local reply = own:post("/v1/instances",
        wire.spawn{ command = "true", resources_limits = { [name] = value } })
      assert.are.equal(422, reply.status)
      assert.matches("a limit on " .. name .. " cannot be kept here", reply.body, 1, true)
      assert.matches("Fix: ", reply.body, 1, true)
    end
    assert.are.equal(0, own:run{ command = "true" }.metadata.result.state.exit_code)
    local report = wire.run(without .. " contree-engine doctor --data-dir " .. own.data)
    assert.matches("limited +limits +runs that ask for a limit on memory, pids, cpus", report)
    own:stop()
    report = wire.run(without .. " contree-engine serve --memory 1G --data-dir " .. own.data
      .. " 2>&1; rm -rf " .. own.directory)
    assert.matches("memory_bytes cannot be kept here", report, 1, true)
  end)
end)

-- Here a run has no limit, but the machine is out of memory. A control group plays the
-- machine.
describe("runs without a limit", function()
  -- A sanitizer makes the engine several times larger.
  local scale = os.getenv("CONTREE_TEST_SANITIZER") and 4 or 1
  local bytes = scale * 120 * 1048576

  -- Makes a group with this much memory, for the engine and all its processes. Returns
  -- nil where that is not allowed.
  local function bounded_group()
    return wire.run(([[
      if [ -d /sys/fs/cgroup/memory ]; then
        g=$(mktemp -d /sys/fs/cgroup/memory/contree-spec-XXXXXX) &&
          echo %d > $g/memory.limit_in_bytes && echo $g
      elif grep -qs memory /sys/fs/cgroup/cgroup.subtree_control; then
        g=$(mktemp -d /sys/fs/cgroup/contree-spec-XXXXXX) &&
          echo %d > $g/memory.max && echo 0 > $g/memory.swap.max && echo $g
      fi 2>/dev/null]]):format(bytes, bytes)):match("/%S+")
  end

  it("are first to be killed when the machine is out of memory", function()
    local group = wire.run("id -u") == "0" and bounded_group()
    if not group then pending("no control groups here") end
    local engine = wire.start("",
      -- Not strict: the kernel reclaims memory during the engine's turns, which get long.
      ([[env -u CONTREE_STRICT sh -c 'echo $$ > %s/cgroup.procs && exec "$@"' sh]]):format(group))
    assert.are.equal("500\n", engine:run{ command = "cat", args = { "/proc/self/oom_score_adj" } }
      .metadata.result.stdout.value)
    assert.are.equal("0", wire.run(("cat /proc/%d/oom_score_adj"):format(engine.pid)))
    -- Each process is smaller than the engine; together they need more than there is.
    local result = engine:run{ shell = true, timeout = 30, command = ([[
      for i in $(seq 70); do head -c %d /dev/zero | { tail -c %d | sleep 25; } & done
      sleep 3; echo over]]):format(scale * 3000000, scale * 3000000) }.metadata.result
    local killed = wire.run(("cat %s/memory.events %s/memory.oom_control 2>/dev/null")
      :format(group, group)):match("oom_kill (%d+)")
    assert.is_true(tonumber(killed) > 0, "the memory sufficed")
    assert.is_true(engine:is_alive())
    assert.is_false(result.state.timed_out)
    assert.are.equal("next\n", engine:run{ command = "echo", args = { "next" } }
      .metadata.result.stdout.value)
    engine:stop()
    wire.eventually("the group to be empty", function()
      return wire.run(("find %s -depth -type d -exec rmdir {} + 2>&1"):format(group)) == ""
    end)
  end)
end)
