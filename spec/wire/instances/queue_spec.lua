-- Runs that wait for a sandbox: how many, how long, in which order.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("D5: the queue", function()
  local engine

  setup(function() engine = wire.start("--max-runs 2 --max-queued 3") end)
  teardown(function() engine:stop() end)

  local function post(options, headers)
    return engine:post("/v1/instances", wire.spawn(options), headers)
  end
  local function spawn(options)
    local reply = post(options)
    assert.are.equal(201, reply.status, reply.body)
    return reply.json.uuid
  end
  local function state(uuid) return engine:get("/v1/operations/" .. uuid).json.status end

  -- Calls `body` while all sandboxes are taken; it may release one.
  local function busy(body)
    local holders = { spawn{ command = "sleep", args = { "300" } },
      spawn{ command = "sleep", args = { "300" } } }
    -- The sandboxes of the last test may not be gone yet.
    wire.eventually("both to run", function()
      return state(holders[1]) == "EXECUTING" and state(holders[2]) == "EXECUTING"
    end)
    local ok, problem = pcall(body, holders)
    for _, uuid in ipairs(holders) do engine:cancel(uuid) end
    wire.eventually("an empty engine", function()
      return engine:get("/v1/whoami").json.operations_stat.running_instances == 0
    end)
    if not ok then error(problem, 0) end
  end

  it("is bounded: one run more is 429, to be asked again", function()
    busy(function()
      local waiting = {}
      for i = 1, 3 do
        waiting[i] = spawn{ command = "true" }
        assert.are.equal("PENDING", state(waiting[i]))
      end
      for _, headers in ipairs{ {}, { Prefer = "wait=30" }, { ["Idempotency-Key"] = "late" } } do
        local reply = wire.refuses(429, "3 runs wait .*max%-queued",
          post({ command = "true" }, headers))
        assert.are.equal("1", reply.headers["retry-after"])
        assert.is_nil(reply.headers.location)
      end
      assert.are.equal(5, engine:get("/v1/whoami").json.operations_stat.running_instances)
      -- A run that stops waiting makes room in the queue.
      engine:cancel(waiting[2])
      waiting[2] = spawn{ command = "true" }
      wire.refuses(429, "", post{ command = "true" })
      for _, uuid in ipairs(waiting) do engine:cancel(uuid) end
    end)
    assert.are.equal("SUCCESS", engine:run{ command = "true" }.status)
  end)

  it("is left after queue_timeout, told as a limit", function()
    busy(function()
      local reply = post({ command = "true", queue_timeout = 0.2 }, { Prefer = "wait=30" })
      assert.are.equal(201, reply.status, reply.body)
      local operation = reply.json
      assert.are.equal("FAILED", operation.status)
      assert.matches("no sandbox was free within the 0.2 seconds", operation.error)
      assert.are.equal("queue", operation.metadata.result.limit)
      assert.are.equal(0.2, operation.metadata.queue_timeout)
      assert.are.same(operation, engine:get("/v1/operations/" .. operation.uuid).json)
      local frames = engine:events(operation.uuid, "?follow=1")
      assert.are.equal("completion", wire.types(frames))
      assert.are.equal("queue", frames[1].data.data.limit)
      wire.refuses(429, "queue_timeout = 0", post{ command = "true", queue_timeout = 0 })
    end)
    -- When a sandbox is free, queue_timeout has no effect.
    for _, seconds in ipairs{ 0, 0.01, 60 } do
      assert.are.equal("SUCCESS", engine:run{ command = "true", queue_timeout = seconds }.status)
    end
    for _, value in ipairs{ -1, "1", 1e9 } do
      wire.refuses(400, "queue_timeout", post{ command = "true", queue_timeout = value })
    end
  end)

  it("takes nothing from the time of a run, nor the run from it", function()
    busy(function(holders)
      local uuid = spawn{ command = "sleep 1; echo done", shell = true, timeout = 5,
        queue_timeout = 60 }
      local short = spawn{ command = "sleep", args = { "300" }, timeout = 1,
        queue_timeout = 60 }
      wire.run("sleep 2")
      assert.are.equal("PENDING", state(uuid))
      assert.are.equal("PENDING", state(short))
      for i = 1, 2 do engine:cancel(holders[i]) end
      local result = engine:wait(uuid).metadata.result
      assert.are.equal("done\n", result.stdout.value)
      assert.is_true(result.resources.elapsed_time >= 1)
      local ended = engine:wait(short)
      assert.is_true(ended.metadata.result.state.timed_out)
      assert.are.equal("timeout", ended.metadata.result.limit)
    end)
  end)

  it("goes in order for one client", function()
    busy(function(holders)
      local order = {}
      for i = 1, 3 do order[i] = spawn{ command = "true" } end
      engine:cancel(holders[1]) -- all of them run in this place
      local started = {}
      for i, uuid in ipairs(order) do
        engine:wait(uuid)
        started[i] = engine:events(uuid)[1].data.ts
      end
      assert.is_true(started[1] < started[2] and started[2] < started[3])
    end)
  end)

  it("takes turns between clients", function()
    -- Another process has the next turn, although several runs of ours are before it.
    busy(function(holders)
      local ours = {}
      for i = 1, 2 do ours[i] = spawn{ command = "sleep", args = { "300" } } end
      local script = os.tmpname()
      disk.write(script, ([[
import socket
body = b'{"command":"sleep","args":["300"],"image":"tag:busybox:latest","disposable":true}'
s = socket.socket(socket.AF_UNIX)
s.connect("%s")
s.sendall(b"POST /v1/instances HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
  + str(len(body)).encode() + b"\r\n\r\n" + body)
print(s.makefile().read())
]]):format(engine.path))
      local theirs = wire.run("python3 " .. script):match('"uuid":"([^"]+)"')
      os.remove(script)
      assert.are.equal("PENDING", state(theirs))
      engine:cancel(holders[1])
      wire.eventually("their turn", function() return state(theirs) == "EXECUTING" end)
      for _, uuid in ipairs(ours) do assert.are.equal("PENDING", state(uuid)) end
      -- Now each client has a run; our turn is next, by age.
      engine:cancel(holders[2])
      wire.eventually("our turn", function() return state(ours[1]) == "EXECUTING" end)
      engine:cancel(ours[2])
      engine:cancel(ours[1])
      engine:cancel(theirs)
    end)
  end)

  it("lets go of who leaves", function()
    busy(function()
      for _ = 1, 3 do
        local connection = engine:connect()
        connection:request("POST", "/v1/instances", { headers = { Prefer = "wait=60" },
          body = wire.json.encode(wire.spawn{ command = "true" }) })
        wire.eventually("the run", function()
          return engine:get("/v1/whoami").json.operations_stat.running_instances == 3
        end)
        connection:close()
        wire.eventually("its end", function()
          return engine:get("/v1/whoami").json.operations_stat.running_instances == 2
        end)
      end
    end)
  end)

  it("tells how much there is", function()
    assert.are.equal(2, engine:get("/v1/whoami").json.limits.instance_max_concurrency)
    for _, given in ipairs{ "--max-runs 0", "--max-runs 65", "--max-runs x", "--max-queued -1" } do
      assert.matches("wants a number from", wire.run("contree-engine serve " .. given .. " 2>&1"))
    end
  end)
end)
