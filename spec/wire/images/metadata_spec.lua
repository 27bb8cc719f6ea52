-- What an operation tells of its request: absent, completed or as it was sent.
local wire = require("spec.support.wire")

describe("C3: the metadata of an operation", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  -- Members that official models take for objects (http-api.md §5), by the
  -- name that leads to them.
  local OBJECTS = { metadata = true, stdin = true, env = true, files = true, networking = true,
    resources_limits = true, registry = true, credentials = true, state = true, resources = true,
    stdout = true, stderr = true, result = true }

  local function has_objects(value, where, over)
    for name, member in pairs(value) do
      local path = where .. "." .. tostring(name)
      local pending = path == "operation.metadata.result" and not over
      if OBJECTS[name] and not pending then assert.is_table(member, path) end
      if type(member) == "table" and name ~= "env" and name ~= "files" then
        has_objects(member, path, over)
      end
    end
  end

  local function look_at(uuid, query)
    local operation = engine:get("/v1/operations/" .. uuid .. (query or "")).json
    local over = operation.status ~= "PENDING" and operation.status ~= "EXECUTING"
    has_objects(operation, "operation", over)
    return operation
  end

  local NULLS = { "hostname", "args", "shell", "env", "preserve_env", "cwd", "uid", "gid",
    "networking", "timeout", "truncate_output_at", "files", "stdin", "resources_limits" }

  it("has no null where there should be an object", function()
    look_at(engine:run{ command = "true" }.uuid)
    local nulls = wire.spawn{ command = "true" }
    for _, name in ipairs(NULLS) do nulls[name] = wire.null end
    local spawned = engine:post("/v1/instances", nulls).json
    for _, name in ipairs{ "stdin", "env", "files", "networking", "resources_limits" } do
      assert.is_table(spawned[name], name)
    end
    engine:wait(spawned.uuid)
    look_at(spawned.uuid)
    look_at(engine:run{ command = "true", cwd = "/no/such" }.uuid) -- never starts
    look_at(engine:run{ command = "kill -9 $$", shell = true }.uuid)
    look_at(engine:run(wire.shell("sleep 60", { timeout = 1 })).uuid)
    look_at(engine:run(wire.shell("echo > /x", { disposable = false })).uuid)
  end)

  it("has none of a run that goes on, nor of one that was cancelled", function()
    local uuid = engine:spawn{ command = "cat", stdin = { value = "", close = false } }
    look_at(uuid)
    look_at(uuid, "?inflight=1")
    engine:request("DELETE", "/v1/operations/" .. uuid)
    engine:wait(uuid)
    look_at(uuid)
  end)

  it("has none of an import, with a login or without", function()
    for _, login in ipairs{ wire.null, { username = "", password = "" },
      { username = "a", password = "b" } } do
      local reply = engine:post("/v1/images/import",
        { registry = { url = "docker://127.0.0.1:1/x", credentials = login } })
      if reply.status == 501 then return end -- no skopeo
      assert.are.equal(201, reply.status, reply.body)
      engine:wait(reply.json.uuid)
      local told = look_at(reply.json.uuid).metadata.registry.credentials
      local named = login ~= wire.null and login.username ~= ""
      assert.are.same(named and { username = "a", password = "<MASKED>" }
        or { username = "", password = "" }, told)
    end
  end)

  it("C7: has its input as it was sent", function()
    for _, stdin in ipairs{ { value = "aGk=", encoding = "base64" }, { value = "hi" },
      { value = "", encoding = "base64", close = true },
      { value = "h\195\164", encoding = "ascii" } } do
      local spawned = engine:post("/v1/instances",
        wire.spawn{ command = "cat", stdin = stdin }).json
      local told = engine:wait(spawned.uuid).metadata
      for _, echo in ipairs{ spawned.stdin, told.stdin } do
        assert.are.same({ value = stdin.value, encoding = stdin.encoding or "ascii", close = true },
          echo)
      end
    end
  end)

  it("C7: has the bytes that the run wrote", function()
    local kept = engine:run(wire.shell("head -c 70000 /dev/zero > /x", { disposable = false }))
    assert.are.equal(70000, kept.metadata.result.resources.layer_bytes)
    local completion = engine:events(kept.uuid)
    assert.are.equal(70000, completion[#completion].data.data.layer_bytes)
    local again = engine:run{ image = kept.result.image, command = "true", disposable = false }
    assert.are.equal(0, again.metadata.result.resources.layer_bytes)
    assert.are.equal(0, engine:run{ command = "true" }.metadata.result.resources.layer_bytes)
  end)

  it("C5: leads to its image by the beginning of the uuid", function()
    local uuid = engine:run(wire.shell("echo > /y", { disposable = false })).result.image
    for length = 12, 36, 3 do
      for _, text in ipairs{ uuid:sub(1, length), uuid:sub(1, length):upper() } do
        local found = engine:get("/v1/images?uuid=" .. text).json.images
        assert.are.equal(1, #found, text)
        assert.are.equal(uuid, found[1].uuid)
      end
    end
    local all, some = engine:get("/v1/images").json.images, {}
    for digit in ("0123456789abcdef"):gmatch(".") do
      local found = engine:get("/v1/images?uuid=" .. digit).json.images
      for _, image in ipairs(found) do some[#some + 1] = image.uuid end
    end
    assert.are.equal(#all, #some)
    for _, text in ipairs{ uuid .. "0", uuid:sub(1, 9) .. "%25", "-", "g",
      uuid:sub(2, 9) .. "-" } do
      assert.are.same({}, engine:get("/v1/images?uuid=" .. text).json.images)
    end
    local mixed = "/v1/images?tag=busybox&uuid=" .. uuid:sub(1, 14)
    assert.are.same({}, engine:get(mixed).json.images)
  end)
end)
