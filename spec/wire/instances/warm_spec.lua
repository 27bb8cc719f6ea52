-- Sandboxes that are made before a run asks for one (operation/warm.h): they serve no other
-- run than one that would have got just such a sandbox, and they never outlive their use.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("sandboxes made ahead", function()
  local engine
  before_each(function() engine = wire.start() end)
  after_each(function() engine:stop() end)

  local function run(command, options)
    local request = { command = command, shell = true }
    for name, value in pairs(options or {}) do request[name] = value end
    local operation = engine:run(request)
    assert.equal("SUCCESS", operation.status, operation.error)
    return operation.metadata.result.stdout.value, operation
  end

  local function eventually(count)
    wire.eventually(count .. " sandboxes", function() return engine:sandboxes() == count end)
  end

  -- Another run may begin before the last sandbox is gone, so two runs may not be enough.
  local function warm_up(options)
    wire.eventually("sandboxes made ahead", function()
      run("true", options)
      return engine:sandboxes() >= 2
    end)
    eventually(2)
  end

  -- The processes that the launchers made: one a sandbox, with or without a root.
  local function waiting()
    return disk.capture(("for p in $(pgrep -P %d); do pgrep -P $p; done"):format(engine.pid))
  end

  it("wait after two runs of one image, not after one", function()
    run("true")
    eventually(0)
    run("true")
    eventually(2)
    run("true")
    eventually(2)
  end)

  it("do not wait while images change", function()
    local _, kept = run("echo x > /x", { disposable = false })
    for _ = 1, 3 do
      run("true")
      run("true", { image = kept.result_image_uuid })
    end
    eventually(0)
  end)

  it("wait for the next run of a session", function()
    local image = "tag:busybox:latest"
    for i = 1, 4 do
      local _, kept = run(("echo %d >> /log"):format(i), { image = image, disposable = false })
      image = kept.result_image_uuid
    end
    eventually(1)
    assert.equal("1\n2\n3\n4\n", (run("cat /log", { image = image })))
  end)

  it("show a run nothing of the one before", function()
    for _ = 1, 6 do
      assert.equal("none\n", (run("cat /mark 2>/dev/null || echo none; echo x > /mark; "
        .. "echo x > /tmp/mark; echo x > /dev/shm/mark")))
    end
  end)

  it("are no use for a run of another image, name, size or file of /etc", function()
    local _, kept = run("echo made > /made; chmod 700 /", { disposable = false })
    local image = kept.result_image_uuid
    warm_up()
    assert.equal("made\n", (run("cat /made", { image = image })))
    warm_up()
    assert.equal("box\nbox\n", (run("hostname; cat /etc/hostname", { hostname = "box" })))
    warm_up()
    assert.equal("8192\n", (run("df -k /dev/shm | awk 'NR == 2 {print $2}'",
      { resources_limits = { shm_bytes = 8388608 } })))
    warm_up()
    assert.equal("0\n", (run("wc -c < /etc/hostname 2>/dev/null || echo 0",
      { image_etc = true })))
    warm_up{ image = image }
    assert.equal("700\n", (run("stat -c %a /", { image = image })))
    assert.equal("755\n", (run("stat -c %a /")))
  end)

  it("are no use for a run with a limit or a network", function()
    warm_up()
    local command = "exec head -c 2000000 /dev/zero > /large"
    local reply = engine:run{ command = command, shell = true,
      resources_limits = { max_layer_bytes = 1048576 } }
    assert.equal("FAILED", reply.status)
    warm_up()
    reply = engine:run{ shell = true, command = "cat /etc/resolv.conf",
      networking = { enabled = true } }
    if reply.status == "SUCCESS" then
      assert.matches("nameserver", reply.metadata.result.stdout.value)
    else -- there is no network to be had here
      assert.matches("network", reply.error)
    end
  end)

  it("that die are replaced", function()
    for _ = 1, 3 do
      warm_up()
      disk.capture("kill -9 " .. waiting():gsub("%s+", " "))
      eventually(0)
      assert.equal("fine\n", (run("echo fine")))
    end
  end)

  it("end with their launcher, which is replaced", function()
    warm_up()
    local launchers = disk.capture(("pgrep -P %d"):format(engine.pid))
    disk.capture("kill -9 " .. launchers:gsub("%s+", " "))
    eventually(0)
    assert.equal("fine\n", (run("echo fine")))
  end)

  it("keep nothing from garbage collection", function()
    local _, kept = run("head -c 3000000 /dev/zero > /large", { disposable = false })
    local image = kept.result_image_uuid
    warm_up{ image = image }
    local report = engine:post("/v1/gc", { untagged_older_than = 0, operations_older_than = 0 })
    assert.is_true(report.json.layer_bytes >= 3000000)
    eventually(0)
    assert.equal("fine\n", (run("echo fine")))
  end)

  it("are gone after a crash of the engine", function()
    warm_up()
    engine:kill("KILL")
    wire.eventually("the sandboxes to end", function()
      return disk.capture(("grep -l %s /proc/[0-9]*/mountinfo 2>/dev/null | wc -l")
        :format(engine.data)):match("^0") ~= nil
    end)
    engine:launch()
    wire.eventually("the workspaces to be removed", function()
      return engine:is_clean() and engine:sandboxes() == 0
    end)
    assert.equal("fine\n", (run("echo fine")))
  end)
end)
