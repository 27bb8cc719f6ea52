-- Images can be kept without end, because long chains of layers are squashed.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

-- Makes COUNT layers on top of busybox, an image of all and an image of half of them, as
-- an engine without squashing would.
local SCRIPT = [[
import os, sqlite3, sys
data, count = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect(data + "/contree.db")
parent = db.execute("SELECT layer FROM image WHERE tag = 'busybox:latest'").fetchone()[0]
owner = os.stat(data + "/l/0")
for i in range(count):
    path = "%s/l/%d" % (data, 10001 + i)
    os.mkdir(path, 0o755)
    for name in "f", "g%d" % i:
        with open(path + "/" + name, "w") as f: f.write("%d\n" % i)
        os.chown(path + "/" + name, owner.st_uid, owner.st_gid)
    os.chown(path, owner.st_uid, owner.st_gid)
    db.execute("INSERT INTO layer (id, parent, size) VALUES (?, ?, 2)",
        (10001 + i, parent if i == 0 else 10000 + i))
for n, tag, layer in (1, "deep", 10000 + count), (2, "half", 10000 + count // 2):
    db.execute("INSERT INTO image (uuid, tag, created, size, layer) VALUES (?, ?, 1, 2, ?)",
        ("00000000-0000-4000-8000-%012d" % n, tag, layer))
db.commit()
]]

local function with_layers(count)
  local engine = wire.start()
  engine:kill("TERM")
  disk.write(engine.directory .. "/deep.py", SCRIPT)
  assert.are.equal("", wire.run(("python3 %s/deep.py %s %d 2>&1"):format(engine.directory,
    engine.data, count)))
  engine:launch()
  return engine
end

local function query(engine, sql)
  return wire.run(([[python3 -c 'import sqlite3; print(*sqlite3.connect("%s/contree.db").execute(
    "%s").fetchone())']]):format(engine.data, (sql:gsub("'", "'\\''"))))
end

describe("a chain of layers that cannot be mounted", function()
  local engine

  setup(function() engine = with_layers(700) end)
  teardown(function() engine:stop() end)

  it("is squashed while its runs wait, and all of them run", function()
    local ids = {}
    for i = 1, 5 do
      ids[i] = engine:spawn{ image = "tag:deep", shell = true, disposable = false,
        command = "cat /f /g3; ls / | grep -c g; echo > /h" .. i }
    end
    local cancelled = engine:spawn{ image = "tag:deep", command = "sleep", args = { "1000" } }
    assert.is_truthy(({ [202] = true, [204] = true, [200] = true })[
      engine:request("DELETE", "/v1/operations/" .. cancelled).status])
    for _, id in ipairs(ids) do
      local done = engine:wait(id)
      assert.are.equal("SUCCESS", done.status, done.error)
      assert.are.equal("699\n3\n700\n", wire.bytes(done.metadata.result.stdout))
    end
    assert.are.equal("CANCELLED", engine:wait(cancelled).status)
    -- Images read the same, and the old layers are collected once they are unused.
    assert.are.equal("3\n", engine:get(
      "/v1/inspect/00000000-0000-4000-8000-000000000001/download?path=/g3").body)
    assert.are.equal(350, engine:post("/v1/gc", "{}").json.layers)
    local done = engine:run{ image = "tag:deep", shell = true, command = "cat /f /g3" }
    assert.are.equal("699\n3\n", wire.bytes(done.metadata.result.stdout))
  end)
end)

describe("layers that a run began on", function()
  it("stay as long as it runs, whatever is squashed and collected", function()
    local engine = with_layers(40)
    local id = engine:spawn{ image = "tag:deep", shell = true,
      command = "while ! test -e /go; do sleep 0.02; done; cat /g0 /g19 /g39" }
    for _, tag in ipairs{ "half", "deep" } do
      wire.eventually("the layers of " .. tag .. " to be squashed", function()
        engine:run{ image = "tag:" .. tag, command = "true" }
        return query(engine, ("SELECT squashed > 0 FROM layer JOIN image ON layer.id = layer"
          .. " WHERE tag = '%s'"):format(tag)) == "1"
      end)
    end
    assert.are.equal(0, engine:post("/v1/gc", "{}").json.layers)
    assert.are.equal(201, engine:post(("/v1/operations/%s/subprocesses"):format(id),
      { command = "touch", args = { "/go" } }).status)
    assert.are.equal("0\n19\n39\n", wire.bytes(engine:wait(id).metadata.result.stdout))
    wire.eventually("them to go", function()
      return engine:post("/v1/gc", "{}").json.layers == 40
    end)
    engine:stop()
  end)
end)

describe("a session of many runs", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function keep(image, command)
    local done = engine:run{ image = image, shell = true, disposable = false, command = command }
    assert.are.equal("SUCCESS", done.status, done.error)
    return done.result_image_uuid
  end

  local function listing(image)
    return engine:get(("/v1/inspect/%s/archive?path=/"):format(image)).body
  end

  local function changes(image, base)
    local reply = engine:get(("/v1/inspect/%s/diff?base=%s"):format(image, base))
    assert.are.equal(200, reply.status, reply.body)
    return reply.json.changes
  end

  it("keeps its chain short, and shows the same everywhere", function()
    local images, image = {}, "tag:busybox:latest"
    local busy, archive, diff
    for i = 1, 60 do
      if i == 20 then
        -- This run goes on using layers that are squashed meanwhile.
        busy = engine:spawn{ image = image, shell = true,
          command = "while ! test -e /go; do sleep 0.02; done; cat /d1/a /d19/a" }
        archive, diff = listing(images[10]), changes(images[14], images[2])
      end
      -- Each run makes, changes and removes files.
      image = keep(image, ("mkdir -p /d%d && echo %d | tee /last > /d%d/a; rm -rf /d%d; "
        .. "ln -s x /l%d; ln /last /same%d"):format(i, i, i, i - 30, i, i))
      images[i] = image
    end
    wire.eventually("the chain to be squashed", function()
      engine:run{ image = image, command = "true" }
      return tonumber(query(engine, "SELECT count(*) FROM layer WHERE squashed > 0")) >= 3
    end)
    -- Images have not changed, whether their layers were squashed or not.
    assert.are.equal(archive, listing(images[10]))
    assert.are.same(diff, changes(images[14], images[2]))
    assert.are.equal("60\n", engine:get(("/v1/inspect/%s/download?path=/d60/a"):format(image)).body)
    local done = engine:run{ image = image, shell = true,
      command = "ls -d /d* | wc -l; cat /last; echo /l[0-9]* | wc -w" }
    assert.are.equal("31\n60\n60\n", wire.bytes(done.metadata.result.stdout))
    local told = {}
    for _, change in ipairs(changes(image, images[59])) do
      told[#told + 1] = change.change .. " " .. change.path
    end
    table.sort(told)
    assert.are.same({ "added /d60", "added /d60/a", "added /l60", "added /same60",
      "changed /last", "removed /d30", "removed /d30/a" }, told)

    -- Layers that no image and no run needs are collected. All images but the last are
    -- too old; the run keeps its layers.
    local tagged = engine:request("PATCH", ("/v1/images/%s/tag"):format(image),
      { body = '{"tag":"last"}' })
    assert.are.equal(200, tagged.status)
    local all = { untagged_older_than = 0, operations_older_than = 0 }
    local report = engine:post("/v1/gc", all).json
    assert.is_true(report.layers > 20, report.layers .. " layers")
    assert.are.equal(201, engine:post(("/v1/operations/%s/subprocesses"):format(busy),
      { command = "touch", args = { "/go" } }).status)
    assert.are.equal("1\n19\n", wire.bytes(engine:wait(busy).metadata.result.stdout))
    wire.eventually("the run's layers to go", function()
      engine:post("/v1/gc", all)
      return tonumber(wire.run("ls " .. engine.data .. "/l | wc -l")) < 40
    end)
    done = engine:run{ image = "tag:last", shell = true, command = "ls -d /d* | wc -l; cat /last" }
    assert.are.equal("31\n60\n", wire.bytes(done.metadata.result.stdout))
  end)
end)
