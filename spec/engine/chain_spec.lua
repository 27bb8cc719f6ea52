-- Chains of layers as long as they can be.
local wire = require("spec.support.wire")

-- Makes layers FROM .. TO below the image with this tag, as runs would.
local SCRIPT = [[
import os, sqlite3, sys
data, count = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect(data + "/contree.db")
parent = db.execute("SELECT layer FROM image WHERE tag = 'busybox:latest'").fetchone()[0]
owner = os.stat(data + "/l/0")
for i in range(count):
    path = "%s/l/%d" % (data, 10001 + i)
    os.mkdir(path, 0o755)
    with open(path + "/f", "w") as f: f.write("%d\n" % i)
    for each in path, path + "/f": os.chown(each, owner.st_uid, owner.st_gid)
    db.execute("INSERT INTO layer VALUES (?, ?, 2)", (10001 + i, parent if i == 0 else 10000 + i))
for depth in (count, count - 1):
    db.execute("INSERT INTO image (uuid, tag, created, size, layer) VALUES (?, ?, 1, 2, ?)",
        ("00000000-0000-4000-8000-%012d" % depth, "deep%d" % (depth + 1), 10000 + depth))
db.commit()
]]

describe("a chain of layers", function()
  local engine

  setup(function()
    engine = wire.start()
    engine:kill("TERM")
    wire.write_file(engine.directory .. "/deep.py", SCRIPT)
    assert.are.equal("", wire.run(("python3 %s/deep.py %s 499 2>&1"):format(engine.directory,
      engine.data)))
    engine:launch()
  end)
  teardown(function() engine:stop() end)

  it("may have 499 layers", function()
    local done = engine:run{ image = "tag:deep499", shell = true, command = "cat /f; ls /bin/sh" }
    assert.are.equal("SUCCESS", done.status)
    assert.are.equal("497\n/bin/sh\n", wire.bytes(done.metadata.result.stdout))
  end)

  it("that is longer is refused with what to do", function()
    local reply = engine:post("/v1/instances", wire.spawn{ image = "tag:deep500",
      command = "true" })
    assert.are.equal(422, reply.status)
    assert.matches("500 layers, and a run takes at most 499", reply.json.error)
    -- Reading goes on, so it can be exported.
    assert.are.equal("498\n", engine:get(
      "/v1/inspect/00000000-0000-4000-8000-000000000499/download?path=/f").body)
  end)
end)
