-- /images, tags, /files, and /inspect of an image.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("/images", function()
  local engine, busybox
  local nothing = "00000000-0000-4000-8000-000000000000"

  setup(function()
    engine = wire.start()
    busybox = engine:get("/v1/images?tag=busybox:latest").json.images[1].uuid
  end)
  teardown(function() engine:stop() end)

  local made = 0
  local function image()
    made = made + 1
    return engine:run{ command = "echo " .. made .. " > /x", shell = true,
      disposable = false }.result_image_uuid
  end
  local function tag(uuid, name)
    return engine:request("PATCH", ("/v1/images/%s/tag"):format(uuid),
      { body = wire.json.encode{ tag = name } })
  end
  local function untag(uuid, query)
    return engine:request("DELETE", ("/v1/images/%s/tag%s"):format(uuid, query or ""))
  end
  local function find(name) return engine:get("/v1/inspect/?tag=" .. name) end
  it("has busybox from the start", function()
    local one = engine:get("/v1/inspect/" .. busybox .. "/").json
    assert.are.equal("busybox:latest", one.tag)
    assert.are.equal(wire.null, one.operation_uuid)
    assert.matches("Z$", one.created_at)
  end)

  it("lists newest first, filtered and paged", function()
    local a, b = image(), image()
    tag(a, "list/one:1")
    local function list(query)
      local uuids = {}
      for i, one in ipairs(engine:get("/v1/images" .. query).json.images) do uuids[i] = one.uuid end
      return uuids
    end
    assert.are.equal(b, list("")[1])
    assert.are.equal(a, list("?offset=1&limit=1")[1])
    assert.are.same({ a }, list("?tag=list/o"))
    assert.are.same({ a }, list("?tag=list%2Fone%3A1"))
    assert.are.same({ b }, list("?uuid=" .. b))
    assert.are.same({}, list("?uuid=x"))
    assert.are.same({}, list("?uuid="))
    assert.are.same({}, list("?tag=nothing"))
    for _, uuid in ipairs(list("?tagged=1")) do assert.are_not.equal(b, uuid) end
    -- An exact match comes first: some clients take the first entry.
    tag(b, "list/one:1-newer")
    assert.are.same({ a, b }, list("?tag=list/one:1"))
    wire.refuses(400, "tag", engine:get("/v1/images?tag=busybox:"))
    assert.are.equal("[]", engine:get("/v1/images?tag=nothing").body:match("%[.*%]"))
  end)

  it("moves a tag, one an image", function()
    local a, b = image(), image()
    local reply = tag(a, "move")
    assert.are.equal(200, reply.status)
    assert.are.equal(a, reply.json.uuid)
    assert.are.equal("move", reply.json.tag)
    tag(b, "move")
    assert.are.equal(wire.null, engine:get("/v1/inspect/" .. a).json.tag)
    assert.are.equal(b .. "/", find("move").headers.location)
    tag(b, "moved")
    assert.are.equal("moved", engine:get("/v1/inspect/" .. b).json.tag)
    wire.refuses(404, "move", find("move"))
  end)

  it("takes a tag away", function()
    local a = image()
    tag(a, "gone")
    wire.refuses(404, "", untag(a, "?tag=other"))
    local reply = untag(a, "?tag=gone")
    assert.are.equal(204, reply.status)
    assert.are.equal("", reply.body)
    wire.refuses(404, "gone", find("gone"))
    tag(a, "gone2")
    assert.are.equal(204, untag(a).status)
    wire.refuses(404, "", untag(a))
    wire.refuses(404, "", untag(nothing))
  end)

  it("B9: keeps the tag of a public image underneath", function()
    local other = image()
    local function first()
      return engine:get("/v1/images?tag=busybox:latest").json.images[1].uuid
    end
    local function is(uuid)
      assert.are.equal(uuid .. "/", find("busybox:latest").headers.location)
      assert.are.equal(uuid, first())
      local operation = engine:run(wire.shell("true", { image = "tag:busybox:latest" }))
      assert.are.equal(uuid, operation.image_uuid)
    end
    tag(busybox, "mine")
    is(busybox)
    assert.are.equal(204, untag(busybox, "?tag=mine").status)
    is(busybox)
    assert.are.equal("busybox:latest", engine:get("/v1/inspect/" .. busybox).json.tag)
    tag(other, "busybox:latest")
    is(other)
    assert.are.equal(wire.null, engine:get("/v1/inspect/" .. busybox).json.tag)
    assert.are.equal(204, untag(other).status)
    is(busybox)
    assert.are.equal("busybox:latest", engine:get("/v1/inspect/" .. busybox).json.tag)
  end)

  it("refuses malformed tags", function()
    for _, name in ipairs{ "", "a:", "/a", "A", "a b", "a.", "../a/", "ä", ("a"):rep(257) } do
      wire.refuses(400, "tag", tag(busybox, name))
    end
    wire.refuses(400, "tag is missing", engine:request("PATCH",
      ("/v1/images/%s/tag"):format(busybox), { body = "{}" }))
    wire.refuses(400, "tag must be a string", engine:request("PATCH",
      ("/v1/images/%s/tag"):format(busybox), { body = '{"tag":1}' }))
    wire.refuses(404, "image", tag(nothing, "x"))
    wire.refuses(404, "image", tag("x", "x"))
    assert.are.equal(busybox .. "/", find("busybox:latest").headers.location)
  end)

  it("finds by tag with a relative redirect", function()
    local reply = find("busybox%3Alatest")
    assert.are.equal(302, reply.status)
    assert.are.equal(busybox .. "/", reply.headers.location)
    assert.are.equal("", reply.body)
    -- A relative reference replaces what follows the last slash.
    reply = engine:get("/v1/inspect?tag=busybox:latest")
    assert.are.equal(302, reply.status)
    assert.are.equal("inspect/" .. busybox .. "/", reply.headers.location)
    wire.refuses(400, "tag is required", engine:get("/v1/inspect/"))
    wire.refuses(404, "busybox", find("busybox"))
  end)

  it("inspects an image by its id", function()
    assert.are.equal(busybox, engine:get("/v1/inspect/" .. busybox).json.uuid)
    assert.are.equal(busybox, engine:get("/v1/inspect/" .. busybox:upper() .. "/").json.uuid)
    wire.refuses(404, "image", engine:get("/v1/inspect/" .. nothing .. "/"))
    wire.refuses(404, "image", engine:get("/v1/inspect/x/"))
  end)
end)

describe("/files", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function upload(data) return engine:request("POST", "/v1/files", { body = data }) end
  local function sha256(data)
    local path = engine.directory .. "/data-to-hash"
    disk.write(path, data)
    return wire.run("sha256sum < " .. path):match("^%x+")
  end

  it("keeps each content once", function()
    local data = "some\0bytes\255"
    local reply = upload(data)
    assert.are.equal(201, reply.status)
    assert.are.same({ uuid = reply.json.uuid, sha256 = sha256(data), size = #data }, reply.json)
    assert.are.same(reply.json, upload(data).json)
    assert.are.equal(0, upload("").json.size)
  end)

  it("takes any size, in pieces of any size", function()
    local chunks, text = {}, {}
    for i = 1, 300 do
      chunks[i] = ("x"):rep(i * 37)
      text[i] = chunks[i]
    end
    local reply = engine:request("POST", "/v1/files", { chunks = chunks })
    assert.are.equal(201, reply.status)
    assert.are.equal(sha256(table.concat(text)), reply.json.sha256)
    local large = ("0123456789abcdef"):rep(1048576)
    reply = upload(large)
    assert.are.equal(#large, reply.json.size)
    assert.are.equal(sha256(large), reply.json.sha256)
  end)

  it("is looked up by hash or id", function()
    local file = upload("look me up").json
    local reply = engine:get("/v1/files/" .. file.sha256)
    assert.are.equal(200, reply.status)
    for _, key in ipairs{ "uuid", "sha256", "size" } do
      assert.are.equal(file[key], reply.json[key])
    end
    assert.matches("Z$", reply.json.created_at)
    assert.matches("Z$", reply.json.updated_at)
    assert.are.equal(200, engine:get("/v1/files/" .. file.sha256:upper()).status)
    assert.are.equal(file.uuid, engine:get("/v1/files?sha256=" .. file.sha256).json.uuid)
    assert.are.equal(file.sha256, engine:get("/v1/files?uuid=" .. file.uuid).json.sha256)
    for path, status in pairs{ ["/" .. file.sha256] = 200, ["?sha256=" .. file.sha256] = 200,
      ["?uuid=" .. file.uuid] = 200, ["/" .. ("0"):rep(64)] = 404, ["/x"] = 404,
      ["?sha256=x"] = 404, ["?uuid=x"] = 404 } do
      assert.are.equal(status, engine:request("HEAD", "/v1/files" .. path).status, path)
      assert.are.equal(status, engine:get("/v1/files" .. path).status, path)
    end
  end)

  it("lists newest first", function()
    local a, b = upload("list a").json.uuid, upload("list b").json.uuid
    local files = engine:get("/v1/files?limit=2").json.files
    assert.are.same({ b, a }, { files[1].uuid, files[2].uuid })
    assert.are.equal(a, engine:get("/v1/files?limit=1&offset=1").json.files[1].uuid)
    assert.are.equal(400, engine:get("/v1/files?limit=x").status)
  end)

  it("refuses what is too large before it comes", function()
    local connection = engine:connect()
    connection:request("POST", "/v1/files", { headers = { ["Content-Length"] = "99999999999999",
      Expect = "100-continue" } })
    local reply = connection:response()
    assert.are.equal(413, reply.status)
    assert.are.equal(413, reply.json.status)
    connection:close()
  end)

  it("keeps nothing of an upload that broke off", function()
    local before = #engine:get("/v1/files").json.files
    local connection = engine:connect()
    connection:send("POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
    connection:close()
    connection = engine:connect()
    connection:send("POST /v1/files HTTP/1.1\r\nHost: x\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz")
    connection:close()
    assert.are.equal(before, #engine:get("/v1/files").json.files)
  end)
end)

describe("/whoami", function()
  it("allows everything", function()
    local engine = wire.start()
    local reply = engine:get("/v1/whoami")
    engine:stop()
    assert.is_string(reply.json.token_uuid)
    assert.are.equal(wire.null, reply.json.token_expiration)
    for _, name in ipairs{ "import", "spawn", "spawn_disposable", "list", "cancel",
      "set_image_tag" } do
      assert.is_true(reply.json.permissions[name], name)
    end
    assert.are.same({ running_instances = 0, running_imports = 0 }, reply.json.operations_stat)
    assert.are.equal(3600, reply.json.limits.instance_max_timeout)
  end)
end)
