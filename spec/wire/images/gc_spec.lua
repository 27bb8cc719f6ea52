-- Garbage collection while an engine serves.
local wire = require("spec.support.wire")
local socket = require("socket")

describe("/gc", function()
  local engine

  before_each(function() engine = wire.start() end)
  after_each(function() engine:stop() end)

  local function save(command)
    return engine:run{ shell = true, disposable = false, command = command }.result_image_uuid
  end
  local function collect(body)
    local reply = engine:post("/v1/gc", body)
    assert.are.equal(200, reply.status, reply.body)
    return reply.json
  end
  local function has(image)
    return engine:get(("/v1/inspect/%s/list?path=/"):format(image)).status == 200
  end
  local everything = { untagged_older_than = 0, operations_older_than = 0, files_older_than = 0 }

  it("removes nothing that is young", function()
    local image = save("echo 1 > /f")
    local report = collect("{}")
    assert.are.same({ false, 0, 0, 0, 0, 0 }, { report.dry_run, report.images, report.layers,
      report.files, report.operations, report.logs })
    assert.is_true(has(image))
  end)

  it("removes a large log together with its spool", function()
    engine:run(wire.shell("head -c 4000000 /dev/zero", { truncate_output_at = 6000000 }))
    local files = ("ls %s/e | sed 's/.*[.]//'"):format(engine.data)
    assert.are.equal("log\nraw", wire.run(files))
    assert.is_true(collect(everything).log_bytes > 4000000)
    assert.are.equal("", wire.run(files))
  end)

  it("reports in a dry run what it then removes", function()
    local image = save("head -c 5000 /dev/zero > /f")
    local tagged = save("echo 2 > /f")
    assert.are.equal(200, engine:request("PATCH", ("/v1/images/%s/tag"):format(tagged),
      { body = '{"tag":"keep"}' }).status)
    local file = engine:request("POST", "/v1/files", { body = "content" }).json
    socket.sleep(0.01)
    local asked = { dry_run = true, untagged_older_than = 0, operations_older_than = 0,
      files_older_than = 0 }
    local planned = collect(asked)
    assert.is_true(planned.dry_run)
    assert.is_true(has(image))
    asked.dry_run = false
    local report = collect(asked)
    planned.dry_run = false
    assert.are.same(planned, report)
    assert.are.equal(1, report.images)
    assert.are.equal(1, report.layers)
    assert.are.equal(5000, report.layer_bytes)
    assert.are.equal(2, report.operations)
    assert.are.equal(1, report.files)
    assert.is_false(has(image))
    assert.is_true(has(tagged))
    assert.are.equal(404, engine:get("/v1/files/" .. file.uuid).status)
    assert.are.equal("2", wire.bytes(engine:run{ image = tagged, shell = true,
      command = "cat /f" }.metadata.result.stdout):sub(1, 1))
    -- The directories of the layers that are kept, and the skeletons.
    assert.are.equal("4", wire.run("ls " .. engine.data .. "/l | wc -l"))
  end)

  it("leaves alone what a run uses, also one that goes on", function()
    local image = save("echo kept > /f")
    local id = engine:spawn{ image = image, shell = true, disposable = false,
      command = "while ! test -e /go; do sleep 0.05; done; cat /f > /g" }
    wire.eventually("the run", function()
      return engine:get("/v1/operations/" .. id).json.status == "EXECUTING"
    end)
    socket.sleep(0.01)
    assert.are.equal(0, collect(everything).layers)
    wire.eventually("the run to take orders", function()
      return engine:post(("/v1/operations/%s/subprocesses"):format(id),
        { command = "touch", args = { "/go" } }).status == 201
    end)
    local done = engine:wait(id)
    assert.are.equal("SUCCESS", done.status)
    assert.are.equal("kept\n", engine:get(("/v1/inspect/%s/download?path=/g"):format(
      done.result_image_uuid)).body)
  end)

  it("leaves alone what is being read", function()
    local image = save("for i in 1 2 3 4 5 6 7 8; do head -c 4000000 /dev/urandom > /$i; done")
    local connection = engine:connect()
    connection:request("GET", ("/v1/inspect/%s/archive?path=/"):format(image))
    assert.are.equal(200, connection:head().status)
    socket.sleep(0.01)
    assert.are.equal(0, collect(everything).layers)
    local bytes = 0
    for chunk in function() return connection:chunk() end do bytes = bytes + #chunk end
    connection:close()
    assert.is_true(bytes > 32000000, bytes .. " bytes")
    wire.eventually("the layer to go", function() return collect(everything).layers == 1 end)
    assert.is_false(has(image))
  end)

  it("is refused with a reason", function()
    for body, status in pairs{ ['{"untagged_older_than":-1}'] = 400, ['{"dry_run":1}'] = 400,
      ['{"data_dir":"/"}'] = 409 } do
      local reply = engine:post("/v1/gc", body)
      assert.are.equal(status, reply.status, body)
    end
  end)
end)

describe("an engine in a new directory", function()
  it("collects no garbage, but a day later", function()
    local engine = wire.start("--idle-exit 1")
    wire.run(("mkdir -p %s/b/aa && echo x > %s/b/aa/orphan"):format(engine.data, engine.data))
    wire.eventually("the engine to leave", function() return not engine:is_alive() end)
    assert.are_not.equal("", wire.run(("find %s/b -type f"):format(engine.data)))
    assert.are.equal("1", wire.run(("find %s/gc -mmin -5 | wc -l"):format(engine.data)))
    engine:stop()
  end)
end)

describe("an engine that leaves", function()
  it("collects garbage before, once a day", function()
    local engine = wire.start()
    engine:kill("TERM")
    wire.run(("mkdir -p %s/b/aa && echo x > %s/b/aa/orphan; touch -d '2 days ago' %s/gc")
      :format(engine.data, engine.data, engine.data))
    engine:launch("--idle-exit 1")
    wire.eventually("the engine to leave", function() return not engine:is_alive() end)
    assert.are.equal("", wire.run(("find %s/b -type f"):format(engine.data)))
    wire.run(("echo x > %s/b/aa/orphan"):format(engine.data))
    engine:launch("--idle-exit 1")
    wire.eventually("the engine to leave", function() return not engine:is_alive() end)
    assert.are_not.equal("", wire.run(("find %s/b -type f"):format(engine.data)))
    engine:stop()
  end)
end)

describe("F15: an engine whose clock is wrong", function()
  local engine, image

  before_each(function()
    engine = wire.start()
    image = engine:run{ shell = true, disposable = false,
      command = "echo > /f" }.result_image_uuid
    engine:kill("TERM")
    wire.run(("mkdir -p %s/b/aa && echo x > %s/b/aa/orphan"):format(engine.data, engine.data))
  end)
  after_each(function() engine:stop() end)

  -- Starts the engine when garbage was last collected at `stamp`; returns whether it
  -- collects some.
  local function collects(stamp)
    wire.run(("touch -d '%s' %s/gc"):format(stamp, engine.data))
    engine:launch("--idle-exit 1")
    wire.eventually("the engine to leave", function() return not engine:is_alive() end)
    return wire.run(("find %s/b -type f"):format(engine.data)) == ""
  end

  it("does not collect garbage right after a jump, but a day later", function()
    for _, stamp in ipairs{ "30 days ago", "3 days", "1980-01-01" } do
      assert.is_false(collects(stamp), stamp)
      -- The new time is recorded.
      assert.are.equal("1", wire.run(("find %s/gc -mmin -5 | wc -l"):format(engine.data)))
    end
    assert.is_true(collects("25 hours ago"))
  end)

  it("keeps what was made while it was wrong", function()
    local script = ([[python3 -c 'import sqlite3
d = sqlite3.connect("%s/contree.db")
d.execute("UPDATE image SET created = 1000000")
d.execute("UPDATE operation SET created = 1000000, finished = 2000000")
d.commit()']]):format(engine.data)
    assert.are.equal("", wire.run(script .. " 2>&1"))
    assert.is_true(collects("25 hours ago"))
    engine:launch()
    local found = engine:get("/v1/images?since=1h&uuid=" .. image).json.images
    assert.are.equal(image, found[1] and found[1].uuid)
  end)
end)

describe("an engine that is never idle", function()
  it("E6: collects garbage beside its work", function()
    local engine = wire.start()
    engine:kill("TERM")
    wire.run(("mkdir -p %s/b/aa && echo x > %s/b/aa/orphan; touch -d '2 days ago' %s/gc")
      :format(engine.data, engine.data, engine.data))
    engine:launch()
    local id = engine:spawn{ command = "sleep 60", shell = true }
    wire.eventually("garbage to go", function()
      return wire.run(("find %s/b -type f"):format(engine.data)) == ""
    end)
    assert.are.equal("EXECUTING", engine:get("/v1/operations/" .. id).json.status)
    engine:stop()
  end)
end)

describe("contree-engine gc", function()
  local engine

  before_each(function() engine = wire.start() end)
  after_each(function() engine:stop() end)

  local function gc(arguments)
    return wire.run(("contree-engine gc --data-dir %s %s 2>&1"):format(engine.data, arguments))
  end

  it("asks the engine that serves, if it is the right one", function()
    engine:run{ shell = true, disposable = false, command = "echo > /f" }
    socket.sleep(0.01)
    local all = "--untagged-older-than 0d --operations-older-than 0s --socket " .. engine.path
    assert.matches("would remove:\n  1 untagged image\n  1 layer,", gc("--dry-run " .. all))
    assert.matches("^removed:\n  1 untagged image\n.*  1 operation\n", gc(all))
    assert.matches("^removed:\n  0 untagged images\n", gc(all))
    assert.matches("not on /nowhere: say %-%-socket", gc("--socket /nowhere"))
    local other = wire.start()
    local answer = gc("--socket " .. other.path)
    other:stop()
    assert.matches("serves another data directory", answer)
  end)

  it("works without an engine", function()
    engine:run{ shell = true, disposable = false, command = "echo > /f" }
    engine:kill("TERM")
    assert.matches("^removed:\n  0 untagged images\n", gc(""))
    assert.matches("^would remove:\n  1 untagged image\n", gc("--dry-run --untagged-older-than 0s "
      .. "--operations-older-than 0s"))
    assert.matches("^removed:\n  1 untagged image\n  1 layer,", gc("--untagged-older-than 0s"))
    assert.are.equal("3", wire.run("ls " .. engine.data .. "/l | wc -l"))
    engine:launch()
    assert.are.equal("ok\n", wire.bytes(engine:run{ shell = true, command = "echo ok" }
      .metadata.result.stdout))
  end)

  it("wants ages that are some", function()
    for _, age in ipairs{ "1", "x", "-1d", "1.5d", "99999999d", "9999999999d" } do
      assert.matches("wants an age such as", gc("--files-older-than " .. age))
    end
    assert.matches("%-%-dry%-run takes no value", gc("--dry-run=1"))
    assert.matches("did you mean %-%-dry%-run", gc("--dry-rum"))
  end)
end)
