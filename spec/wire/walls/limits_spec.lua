-- Limits on runs, and the engine's own use of memory.
local wire = require("spec.support.wire")

describe("limits", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  -- One large file, several, or very many, by the main process or its children. The run
  -- is stopped by a signal or an error, or the size is found when the run is kept.
  it("A10: on what a run writes have one outcome, whatever it wrote", function()
    local limit = 2000000
    local function writes(command, options)
      local body = { command = command, shell = true, disposable = false,
        resources_limits = { max_layer_bytes = limit } }
      for key, value in pairs(options or {}) do body[key] = value end
      return engine:run(body)
    end
    for _, command in ipairs{
      "exec head -c 3000000 /dev/zero > /x",
      "head -c 3000000 /dev/zero > /x",
      "head -c 3000000 /dev/zero > /x; exit 0",
      "trap '' XFSZ; head -c 3000000 /dev/zero > /x; exit 0",
      "exec dd if=/dev/zero of=/x bs=3000000 count=1",
      "for i in 1 2 3; do head -c 1000000 /dev/zero > /x$i; done",
      "seq 1500 | while read i; do : > /f$i; done",
      "exec truncate -s 3000000 /x",
    } do
      local operation = writes(command)
      assert.are.equal("FAILED", operation.status, command)
      assert.matches("max_layer_bytes = 2000000", operation.error, 1, true)
      assert.are.equal("disk", operation.metadata.result.limit, command)
      assert.are.equal(limit, operation.metadata.result.limit_value, command)
      assert.are.equal(wire.null, operation.result_image_uuid)
    end
    local gone = writes("exec head -c 3000000 /dev/zero > /x", { disposable = true })
    assert.are.equal("FAILED", gone.status)
    assert.are.equal(limit, gone.metadata.result.limit_value)
    -- Writing exactly as much as is allowed succeeds.
    local operation = writes("head -c 2000000 /dev/zero > /x")
    assert.are.equal("SUCCESS", operation.status)
    assert.is_nil(operation.metadata.result.limit)
    assert.are.equal("SUCCESS", engine:run{ command = "true", disposable = false,
      resources_limits = { max_layer_bytes = 0 } }.status)
  end)

  it("on what a run writes stop it while it runs", function()
    local operation = engine:run{ shell = true, timeout = 60, resources_limits = {
      max_layer_bytes = 100000000 },
      command = "i=0; while :; do head -c 50000000 /dev/zero > /x$i; i=$((i+1)); sleep 0.05; done" }
    assert.are.equal("FAILED", operation.status)
    assert.matches("more than max_layer_bytes = 100000000", operation.error)
    assert.are.equal("disk", operation.metadata.result.limit)
    assert.are.equal(100000000, operation.metadata.result.limit_value)
  end)

  it("on the processors leave those first who are no sandbox", function()
    local function seen(from, command)
      local operation = from:run{ command = command .. "cut -d' ' -f19 /proc/self/stat",
        shell = true }
      return tonumber(wire.bytes(operation.metadata.result.stdout))
    end
    local own = tonumber(wire.run("nice"))
    assert.are.equal(math.min(own + 10, 19), seen(engine, ""))
    assert.are.equal(math.min(own + 10, 19), seen(engine, "renice -n -5 $$ >/dev/null 2>&1;"))
    local other = wire.start("--nice 3")
    assert.are.equal(math.min(own + 3, 19), seen(other, ""))
    other:stop()
  end)

  it("on the processors do not grow with the number of sandboxes", function()
    -- sched_autogroup gives each session a share. A sandbox is in a session that it cannot
    -- see and that has no terminal.
    local operation = engine:run{ shell = true,
      command = "cut -d' ' -f6,7 /proc/self/stat; : </dev/tty" }
    local result = operation.metadata.result
    -- An OCI runtime makes PID 1 begin a session, and each sandbox has its share.
    local native = (os.getenv("CONTREE_RUNTIME") or "native") == "native"
    assert.are.equal(native and "0 0\n" or "1 0\n", wire.bytes(result.stdout))
    assert.matches("No such device", wire.bytes(result.stderr))
  end)

  it("leave the engine's memory flat, whatever a run prints", function()
    engine:run{ command = "seq 1000", shell = true }
    local before = engine:memory("VmHWM")
    local function run(truncate)
      local operation = engine:run{ command = "head -c 100000000 /dev/zero", shell = true,
        truncate_output_at = truncate }
      return operation.metadata.result.stdout
    end
    assert.is_true(run(0).truncated)
    assert.is_true(engine:memory("VmHWM") - before < 4 * 1024, "dropped output is kept")
    local uuid = engine:spawn{ command = "head -c 100000000 /dev/zero", shell = true,
      truncate_output_at = 1000000000 }
    local connection = engine:follow(uuid, "?follow=1")
    wire.await(connection, "completion")
    connection:close()
    local grown = engine:memory("VmHWM") - before
    assert.is_true(grown < 16 * 1024, grown .. " KiB for 100 MB of output")
    -- The result has 10 MiB of it at most.
    assert.are.equal(10485760, wire.size(
      engine:get("/v1/operations/" .. uuid).json.metadata.result.stdout))
  end)

  it("leave the engine's memory flat, whatever is uploaded", function()
    local before = engine:memory("VmHWM")
    local path = engine.directory .. "/large"
    wire.run("head -c 200000000 /dev/zero > " .. path)
    local reply = wire.run(("curl -sS --unix-socket %s -T %s -X POST http://x/v1/files")
      :format(engine.path, path))
    assert.are.equal(200000000, wire.json.decode(reply).size)
    local sha = wire.json.decode(reply).sha256
    assert.is_true(engine:memory("VmHWM") - before < 8 * 1024)
    assert.are.equal(200, engine:request("HEAD", "/v1/files/" .. sha).status)
  end)

  it("leave a slow reader to itself", function()
    local uuid = engine:spawn{ command = "head -c 30000000 /dev/zero", shell = true,
      truncate_output_at = 1000000000 }
    local slow = engine:follow(uuid, "?follow=1")
    engine:wait(uuid)
    for _ = 1, 20 do
      assert.are.equal(0, engine:run{ command = "true" }.metadata.result.state.exit_code)
    end
    local bytes = 0
    for frame in function() return slow:frame() end do
      if frame.event == "stdout" then bytes = bytes + wire.size(frame.data.data) end
    end
    slow:close()
    assert.are.equal(30000000, bytes)
  end)

  it("let nothing of a run stay behind", function()
    engine:run{ command = "mkdir -p /a/b/c; echo x > /a/b/c/d", shell = true }
    wire.eventually("the workspaces to be emptied", function() return engine:is_clean() end)
    assert.are.equal("", wire.run(("grep %s /proc/mounts"):format(engine.data)))
  end)

  -- Of runs that kept what they wrote, nothing, or too much.
  it("let no workspace of a run that keeps an image stay behind", function()
    local own = wire.start()
    local function workspaces() return tonumber(wire.run("ls " .. own.data .. "/w | wc -l")) end
    local function run(command)
      return own:run{ command = command, shell = true, disposable = false,
        resources_limits = { max_layer_bytes = 1000000 } }
    end
    for _, command in ipairs{ "true", "echo > /x", "head -c 2000000 /dev/zero > /x" } do
      run(command)
      local before = workspaces()
      for _ = 1, 30 do run(command) end
      wire.eventually("workspaces to be used again, after " .. command, function()
        return workspaces() < before + 10
      end)
    end
    own:stop()
  end)
end)
