-- POST /images/{uuid}/layers: an image with one layer more (http-api.md §4.25).
local archive = require("spec.support.archive")
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("a layer on top of an image", function()
  local engine, base

  setup(function()
    engine = wire.start()
    base = engine:get("/v1/images?tag=busybox:latest").json.images[1].uuid
  end)
  teardown(function() engine:stop() end)

  local function add(bytes, query, uuid)
    return engine:request("POST", ("/v1/images/%s/layers%s"):format(uuid or base, query or ""),
      { body = bytes })
  end

  local function made(...)
    local reply = add(...)
    assert.equal(201, reply.status, reply.body)
    return reply.json
  end

  local function sh(image, command)
    local run = engine:run(wire.shell(command, { image = image.uuid }))
    local result = run.metadata.result
    assert.equal("", wire.bytes(result.stderr))
    return wire.bytes(result.stdout)
  end

  it("is unpacked in a directory", function()
    local image = made(archive{
      { "d", type = "directory", mode = 448, mtime = 1234567890 },
      { "d/program", data = "#!/bin/sh\necho hello\n", mode = 493 },
      { "d/link", target = "program" },
      { "d/dangling", target = "/nowhere/../at/all" },
      { "d/same", type = "hardlink", target = "d/program", mode = 493 },
      { "empty", type = "directory", mode = 493 },
      { ("long"):rep(40), data = "long" },
    }, "?at=/work/here&tag=added:v1")
    assert.equal("added:v1", image.tag)
    assert.equal("hello\n", sh(image, "/work/here/d/link"))
    assert.equal("700 1234567890\n755 1000000000 2\nprogram\n/nowhere/../at/all\n755\n",
      sh(image, [[cd /work/here; stat -c "%a %Y" d; stat -c "%a %Y %h" d/program
        readlink d/link; readlink d/dangling; stat -c %a empty]]))
    assert.equal("long", sh(image, "cat /work/here/" .. ("long"):rep(40)))
    -- The image below is as it was.
    assert.equal("no\n", sh({ uuid = base }, "test -e /work || echo no"))
  end)

  it("hides what is below", function()
    local first = made(archive{ { "keep", data = "1" }, { "gone", data = "2" },
      { "dir/a", data = "3" }, { "dir/b", data = "4" }, { "other/x", data = "5" } }, "?at=/work")
    local second = made(archive{ { ".wh.gone", data = "" }, { "dir/.wh..wh..opq", data = "" },
      { "dir/c", data = "6" }, { ".wh.other", data = "" }, { "keep", data = "7" } }, "?at=/work",
      first.uuid)
    assert.equal("./dir/c\n./keep\n7", sh(second, "cd /work; find . -type f | sort; cat keep"))
    assert.equal("5\n", sh(first, "cd /work; find . -type f | wc -l"))
  end)

  it("goes through the links of the image, which stay", function()
    local run = engine:run(wire.shell("mkdir -p /real/place && ln -s real /way",
      { disposable = false }))
    local image = made(archive{ { "file", data = "there" },
      { ".", type = "directory", mode = 457 } }, "?at=/way/place", run.result_image_uuid)
    assert.equal("real\n711\nthere", sh(image,
      "readlink /way; stat -c %a /real/place; cat /real/place/file"))
  end)

  it("may be compressed", function()
    local path = disk.write(engine.directory .. "/t.tar", archive{ { "f", data = "packed" } })
    for _, program in ipairs{ "gzip", "zstd", "xz" } do
      local bytes = disk.capture(("%s -qc %s"):format(program, path))
      assert.equal("packed", sh(made(bytes, "?at=/" .. program), "cat /*/f"))
    end
  end)

  it("keeps the settings of the image, and tells where it came from", function()
    local run = engine:run{ command = "/bin/true", env = { KEPT = "yes" }, preserve_env = true,
      disposable = false }
    local image = made(archive{ { "f", data = "x" } }, "?at=/a", run.result_image_uuid)
    assert.equal("yes\n", sh(image, "echo $KEPT"))
    local operation = engine:get("/v1/operations/" .. image.operation_uuid).json
    assert.equal("image_import", operation.kind)
    assert.equal("SUCCESS", operation.status)
    assert.equal(run.result_image_uuid, operation.image_uuid)
    assert.equal(image.uuid, operation.result_image_uuid)
    assert.equal("layer:/a", operation.metadata.registry.url)
    local events = engine:events(image.operation_uuid)
    assert.equal("completion", events[#events].event)
  end)

  it("may be for a while", function()
    local image = made(archive{ { "f", data = "x" } }, "?temporary=1")
    local operation = engine:get("/v1/operations/" .. image.operation_uuid).json
    assert.is_true(operation.metadata.temporary)
    wire.refuses(400, "temporary must be 0 or 1", add(archive{}, "?temporary=yes"))
  end)

  it("may be empty", function()
    local image = made(archive{}, "?at=/work")
    assert.are_not.equal(base, image.uuid)
    assert.equal("no\n", sh(image, "test -e /work || echo no"))
  end)

  it("has as many entries as it likes, in one request", function()
    local members = {}
    for i = 1, 5000 do members[i] = { ("d%d/f%d"):format(i % 50, i), data = tostring(i) } end
    assert.equal("5000\n4321", sh(made(archive(members), "?at=/many"),
      "find /many -type f | wc -l; cat /many/d21/f4321"))
  end)

  it("is refused with a reason", function()
    local good = archive{ { "f", data = "x" } }
    wire.refuses(400, "absolute path", add(good, "?at=work"))
    wire.refuses(400, '"%.%."', add(good, "?at=/a/../b"))
    wire.refuses(400, "tag", add(good, "?tag=A%20b"))
    wire.refuses(400, "max_layer_bytes", add(good, "?max_layer_bytes=0"))
    wire.refuses(404, "image", add(good, "", "01a22463-0000-7000-8000-000000000000"))
    wire.refuses(404, "image", add(good, "", "nothing"))
    wire.refuses(422, "bad archive", add("this is no archive"))
    wire.refuses(422, "bad archive", add(good:sub(1, 700)))
    wire.refuses(422, "is not a directory", add(good, "?at=/bin/busybox"))
    wire.refuses(422, "hide the whole image", add(archive{ { ".wh..wh..opq", data = "" } }))
    wire.refuses(413, "larger", add(archive{ { "f", data = ("x"):rep(5000) } },
      "?max_layer_bytes=4096"))
    wire.eventually("the remains to be deleted", function() return engine:is_clean() end)
  end)

  it("never leaves the image", function()
    disk.write(engine.directory .. "/secret", "secret")
    for _, name in ipairs{ "../up", "a/../../up", ".." } do
      wire.refuses(422, "leads out", add(archive{ { name, data = "x" } }, "?at=/work"))
    end
    wire.refuses(422, "leads out", add(archive{
      { "f", type = "hardlink", target = "../../" .. engine.directory .. "/secret" } },
      "?at=/work"))
    wire.refuses(422, "hard link", add(archive{
      { "f", type = "hardlink", target = engine.directory .. "/secret" } }, "?at=/work"))
    -- Through a link to the host's directory: the same path in the image.
    local image = made(archive{ { "out", target = engine.directory },
      { "out/planted", data = "x" } }, "?at=/work")
    assert.is_nil(disk.peek(engine.directory .. "/planted"))
    assert.equal("x", sh(image, "cat " .. engine.directory .. "/planted"))
    -- Absolute names are below the directory, too.
    image = made(archive{ { "/etc/planted", data = "y" } }, "?at=/work")
    assert.equal("y", sh(image, "cat /work/etc/planted"))
  end)

  -- A request of which the rest is still to come.
  local function begin(bytes, total)
    local connection = engine:connect()
    connection:send(("POST /v1/images/%s/layers HTTP/1.1\r\nHost: x\r\nContent-Length: %d"
      .. "\r\n\r\n"):format(base, total or #bytes + 1))
    connection:send(bytes)
    return connection
  end

  local function is_unpacked(name)
    return disk.capture(("find %s/w -name %s"):format(engine.data, name)) ~= ""
  end
  local function images() return #engine:get("/v1/images?limit=1000").json.images end
  local function imports()
    return engine:get("/v1/whoami").json.operations_stat.running_imports
  end
  local function is_over()
    wire.eventually("the operation to end", function() return imports() == 0 end)
    wire.eventually("the remains to be deleted", function() return engine:is_clean() end)
  end

  it("is unpacked while it arrives", function()
    local big = ("0123456789abcdef"):rep(200000)
    local bytes = archive{ { "early", data = "1" }, { "big", data = big }, { "late", data = "2" } }
    local connection = begin(bytes:sub(1, 2000000), #bytes)
    wire.eventually("the first file", function() return is_unpacked("early") end)
    assert.equal(1, imports())
    connection:send(bytes:sub(2000001))
    local reply = connection:response()
    connection:close()
    assert.equal(201, reply.status, reply.body)
    assert.equal("12" .. #big .. "\n", sh(reply.json, "cat /early /late; wc -c < /big"))
  end)

  it("makes its client wait when others are first, and keeps none of it in memory", function()
    local bytes = archive{ { "first", data = "x" }, { "f", data = ("x"):rep(40000000) } }
    local others = {}
    for n = 1, 8 do others[n] = begin(bytes:sub(1, 600)) end
    wire.eventually("their turn", function()
      local found = disk.capture(("find %s/w -name first"):format(engine.data))
      return select(2, found:gsub("\n", "")) == 8
    end)
    local before = engine:memory("VmRSS")
    local connection = begin("", #bytes)
    connection.sock:settimeout(1)
    local sent, _, some = connection:send(bytes)
    assert.is_nil(sent)
    assert.is_true(some < 8000000, "it took " .. some)
    assert.is_true(engine:memory("VmRSS") < before + 8192)
    for _, other in ipairs(others) do other:close() end
    connection.sock:settimeout(60)
    connection:send(bytes:sub(some + 1))
    local reply = connection:response()
    connection:close()
    assert.equal(201, reply.status, reply.body)
    assert.equal("40000000\n", sh(reply.json, "wc -c < /f"))
    is_over()
  end)

  it("leaves nothing when it breaks off", function()
    local whole = archive{ { "whole", data = "x" } }
    -- In the middle of a file, after a file, and after an archive that is complete.
    for _, bytes in ipairs{ whole:sub(1, 700), whole:sub(1, 1024), whole, whole .. "\n" } do
      local before = images()
      local connection = begin(bytes)
      wire.eventually("the file", function() return is_unpacked("whole") end)
      connection:close()
      is_over()
      assert.equal(before, images())
      local last = engine:get("/v1/operations?limit=1").json
      last = (last.operations or last)[1]
      assert.equal("image_import", last.kind)
      assert.equal("CANCELLED", last.status)
    end
  end)

  it("is refused when it is bad, however much of it is to come", function()
    local connection = begin(("this is no archive "):rep(1000), 19000 + 3000000)
    wire.eventually("the operation to fail", function() return imports() == 0 end)
    for _ = 1, 3 do connection:send(("x"):rep(1000000)) end
    wire.refuses(422, "bad archive", connection:response())
    connection:close()
    is_over()
  end)

  it("leaves nothing when the engine is killed or stopped meanwhile", function()
    for _, signal in ipairs{ "KILL", "TERM" } do
      local before = images()
      local connection = begin(archive{ { "whole", data = "x" } })
      wire.eventually("the file", function() return is_unpacked("whole") end)
      engine:kill(signal)
      connection:close()
      engine:launch()
      is_over()
      assert.equal(before, images())
    end
  end)

  it("survives the engine", function()
    local image = made(archive{ { "f", data = "lasting" } }, "?at=/work")
    engine:kill("KILL")
    engine:launch()
    assert.equal("lasting", sh(image, "cat /work/f"))
  end)
end)
