-- Random requests of every route, right ones and nearly right ones, in any order: what an
-- answer gives (images, operations, processes, ports, volumes, files) is used by later ones.
-- Each is answered, with a documented status and shape, and never with 500; the engine is
-- idle at the end. CONTREE_REQUESTS is how many there are (700); CONTREE_SEED repeats them.
local disk = require("spec.support.disk")
local requests = require("spec.support.requests")
local wire = require("spec.support.wire")

local REQUESTS = tonumber(os.getenv("CONTREE_REQUESTS")) or 700
local SEED = tonumber(os.getenv("CONTREE_SEED")) or os.time()
local json, null = wire.json, wire.null

-- What any request may be refused with.
local REFUSALS = { [400] = true, [403] = true, [404] = true, [405] = true, [408] = true,
  [409] = true, [413] = true, [415] = true, [422] = true, [425] = true, [429] = true,
  [501] = true, [503] = true }

describe(("%d random requests, seed %d,"):format(REQUESTS, SEED), function()
  local engine, random, known

  setup(function()
    engine = wire.start()
    wire.run(("cd %s && mkdir t && echo x > t/f && ln -s f t/l && tar cf a.tar -C t . && "
      .. "gzip -k a.tar"):format(engine.directory))
    random = requests.new(SEED, engine.directory, engine.data)
    known = random.known
    known.tars = { disk.read(engine.directory .. "/a.tar"),
      disk.read(engine.directory .. "/a.tar.gz"), "no tar", "" }
    known.images[1] = engine:get("/v1/images").json.images[1].uuid
  end)
  teardown(function() engine:stop() end)

  -- Streams of what goes on have no end, and of them a beginning is enough.
  local function answer(connection, path)
    local reply = assert(connection:head())
    if reply.status == 200 and (path:match("/events") or path:match("/watch")) then
      connection.sock:settimeout(0.02)
      connection.sock:receive("*l")
      return reply
    end
    reply.raw = connection:body(reply)
    local gzip = reply.headers["content-encoding"] == "gzip" and #reply.raw > 0
    reply.body = gzip and wire.gunzip(reply.raw) or reply.raw
    return reply
  end

  local function remember(route, got)
    local kind = route[7]
    if got.result_image_uuid and got.result_image_uuid ~= null then
      table.insert(known.images, got.result_image_uuid)
    end
    if kind then table.insert(known[kind], got.uuid) end
    if kind == "uploads" then table.insert(known.files, got.sha256) end
    if kind == "boxes" then table.insert(known.operations, got.uuid) end
  end

  local function is_expected(route, method, status)
    for _, expected in ipairs(method == route[1] and route[3] or { 200, 201, 202, 204, 302 }) do
      if status == expected then return true end
    end
    return REFUSALS[status]
  end

  -- Returns what is wrong with the answer, or nil.
  local function problem(route, method, reply)
    if not is_expected(route, method, reply.status) then return "its status" end
    if method == "HEAD" or reply.status == 204 or not reply.body then
      return (reply.body or "") ~= "" and "a body"
    end
    local is_json = reply.headers["content-type"] == "application/json" and reply.body ~= ""
    local ok, got = pcall(json.decode, is_json and reply.body or "{}")
    if not ok then return "malformed JSON" end
    if reply.status >= 400 then
      local good = is_json and type(got.error) == "string" and #got.error > 0
        and got.status == reply.status
      return not good and "its error"
    end
    if method ~= route[1] then return nil end
    for _, name in ipairs(route[6] or {}) do
      if got[name] == nil then return "no " .. name end
    end
    remember(route, got)
  end

  -- Most of what is asked needs the image.
  local function restore()
    engine:request("PATCH", ("/v1/images/%s/tag"):format(known.images[1]),
      { body = json.encode{ tag = "busybox:latest" } })
  end

  it("are answered as documented", function()
    for i = 1, REQUESTS do
      local method, path, options, route = random:make()
      local connection = engine:connect()
      connection:request(method, path, options)
      local ok, reply = pcall(answer, connection, path)
      connection:close()
      local what = not ok and tostring(reply) or problem(route, method, reply)
      assert(not what, what and ("request %d: %s %s %s\nis answered with %s: %s %s"):format(i,
        method, path, json.encode(options):sub(1, 3000), what, ok and reply.status,
        ok and (reply.body or ""):sub(1, 600)))
      if path:match("/tag") then restore() end
    end
  end)

  it("leave the engine idle when what they began is cancelled", function()
    for _, operation in ipairs(engine:get("/v1/operations?limit=1000").json) do
      engine:request("DELETE", "/v1/operations/" .. operation.uuid)
    end
    wire.eventually("the operations to end", function()
      return #engine:get("/v1/operations?status=EXECUTING").json == 0
        and #engine:get("/v1/operations?status=PENDING").json == 0
    end)
    assert.are.equal(0, engine:get("/v1/whoami").json.operations_stat.running_instances)
    local run = engine:run(wire.shell("echo still here"))
    assert.are.equal("SUCCESS", run.status)
    wire.eventually("its files to be gone", function() return engine:is_clean() end)
  end)
end)
