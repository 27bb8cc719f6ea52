-- An engine that is killed under load, at any moment, loses nothing that it has
-- reported. CONTREE_CRASHES is the number of rounds (5); CONTREE_SEED repeats the same
-- moments.
local disk = require("spec.support.disk")
local generator = require("spec.support.generator")
local wire = require("spec.support.wire")
local socket = require("socket")

local ROUNDS = tonumber(os.getenv("CONTREE_CRASHES")) or 5
local SEED = tonumber(os.getenv("CONTREE_SEED")) or os.time()
local CLIENTS = 6

describe(("an engine that is killed %d times under load, seed %d,"):format(ROUNDS, SEED), function()
  local engine, random
  -- What was reported: images { path -> text }, operations { status or false },
  -- uploads { sha256 -> text }, the image of each tag. `pending` has the image that a
  -- tag is being moved to.
  local images, operations, uploads, tags, pending, tagged
  local fresh -- images reported in this round
  local number = 0

  setup(function()
    random = generator(SEED)
    images, operations, uploads, tags, pending, tagged = {}, {}, {}, {}, {}, {}
    engine = wire.start()
  end)
  teardown(function() engine:stop() end)

  local function told(image, files)
    images[image] = files
    fresh[#fresh + 1] = image
  end

  local function copy(files)
    local all = {}
    for path, text in pairs(files) do all[path] = text end
    return all
  end

  -- The requests of clients. Each function sends one, and returns a function that takes
  -- the reply.
  local asks = {}

  function asks.keep(client)
    number = number + 1
    local path, text = "/f" .. number % 7, "text " .. number
    client.connection:request("POST", "/v1/instances", { headers = { Prefer = "wait=60" },
      body = wire.json.encode{ image = client.image, disposable = false, shell = true,
        command = ("printf '%s' > %s"):format(text, path) } })
    return function(reply)
      assert(reply.json.status == "SUCCESS", reply.body)
      local files = copy(client.files)
      files[path] = text
      client.image, client.files = reply.json.result_image_uuid, files
      told(client.image, files)
      operations[reply.json.uuid] = "SUCCESS"
    end
  end

  function asks.run(client)
    client.connection:request("POST", "/v1/instances", { headers = { Prefer = "wait=60" },
      body = wire.json.encode(wire.spawn{ image = client.image, command = "true" }) })
    return function(reply) operations[reply.json.uuid] = reply.json.status end
  end

  function asks.start(client)
    client.connection:request("POST", "/v1/instances", {
      body = wire.json.encode(wire.spawn{ image = client.image, shell = true,
        command = "echo x > /x; sleep 0.2" }) })
    return function(reply) operations[reply.json.uuid] = false end
  end

  function asks.upload(client)
    number = number + 1
    local text = ("content %d "):format(number):rep(200)
    client.connection:request("POST", "/v1/files", { body = text })
    return function(reply) uploads[reply.json.sha256] = text end
  end

  function asks.tag(client)
    local tag, image = "t" .. random(3), client.image
    -- An image has one tag: a second would replace the first.
    if pending[tag] or tagged[image] or image:find("^tag:") then return asks.run(client) end
    pending[tag], tagged[image] = image, true
    client.connection:request("PATCH", ("/v1/images/%s/tag"):format(image),
      { body = ('{"tag":"%s"}'):format(tag) })
    return function()
      tags[tag] = image
      pending[tag] = nil
    end
  end

  function asks.collect(client)
    client.connection:request("POST", "/v1/gc", { body = "{}" })
    return function() end
  end

  local kinds = { "keep", "keep", "keep", "keep", "run", "run", "start", "upload", "tag",
    "collect" }

  local function next_ask(client)
    client.take = asks[kinds[random(#kinds)]](client)
  end

  -- Lets clients send requests for `seconds`, then kills the engine. Replies that have
  -- arrived by then count as reported.
  local function load_for(seconds)
    local clients, sockets = {}, {}
    for i = 1, CLIENTS do
      local client = { connection = engine:connect(), image = "tag:busybox:latest", files = {} }
      clients[client.connection.sock] = client
      sockets[i] = client.connection.sock
      next_ask(client)
    end
    local limit, killed = socket.gettime() + seconds, false
    while #sockets > 0 do
      local left = killed and 1 or math.max(0, limit - socket.gettime())
      local ready = socket.select(sockets, nil, left)
      for _, sock in ipairs(ready) do
        local client = clients[sock]
        local ok, reply = pcall(client.connection.response, client.connection)
        if ok and reply then
          assert(reply.status < 300 or reply.status == 409, reply.body)
          if reply.status < 300 then client.take(reply) end
          if not killed then next_ask(client) end
        end
        if killed or not ok or not reply then
          for i, other in ipairs(sockets) do
            if other == sock then table.remove(sockets, i) break end
          end
          client.connection:close()
        end
      end
      if not killed and socket.gettime() >= limit then
        engine:kill("KILL")
        killed = true
      end
    end
  end

  local function check_image(image)
    for path, text in pairs(images[image]) do
      local reply = engine:get(("/v1/inspect/%s/download?path=%s"):format(image, path))
      assert(reply.status == 200 and reply.body == text,
        ("image %s, %s: %d %s"):format(image, path, reply.status, reply.body))
    end
  end

  local function check_operations()
    for uuid, status in pairs(operations) do
      local reply = engine:get("/v1/operations/" .. uuid)
      local now = reply.json and reply.json.status
      assert(reply.status == 200 and (now == status or (not status and
        (now == "SUCCESS" or now == "FAILED"))), ("operation %s: %s, was %s"):format(uuid,
        reply.body, tostring(status)))
      operations[uuid] = nil
    end
    for _, status in ipairs{ "PENDING", "ASSIGNED", "EXECUTING" } do
      assert.are.same({}, engine:get("/v1/operations?status=" .. status).json)
    end
  end

  local function check_tags()
    for tag, image in pairs(tags) do
      local now = engine:get("/v1/images?tag=" .. tag).json.images[1]
      assert(now and (now.uuid == image or now.uuid == pending[tag]),
        ("tag %s is at %s, not %s"):format(tag, now and now.uuid or "none", image))
      tags[tag] = now.uuid
    end
    pending = {}
  end

  local function check_uploads()
    for sha256, text in pairs(uploads) do
      local path = ("%s/b/%s/%s"):format(engine.data, sha256:sub(1, 2), sha256)
      assert(engine:get("/v1/files?sha256=" .. sha256).status == 200, sha256)
      assert(disk.read(path) == text, path)
      uploads[sha256] = nil
    end
  end

  -- Nothing else is left: no workspace, mount or process.
  local function check_leftovers(before)
    wire.eventually("the trash to be emptied", function() return engine:is_clean() end)
    wire.eventually("the sandboxes of the killed engine to be gone", function()
      return wire.run(("for p in %s; do cat /proc/$p/comm 2>/dev/null; done | "
        .. "grep contree"):format(before)) == ""
    end)
    assert.are.equal("", wire.run(("grep -F %s /proc/self/mounts"):format(engine.directory)))
    local layers = wire.run(([[python3 -c 'import sqlite3; print(sqlite3.connect("%s/contree.db")
      .execute("SELECT count(*) + 1 FROM layer").fetchone()[0])']]):format(engine.data)
      :gsub("\n%s*", ""))
    assert.are.equal(layers, wire.run(("ls %s/l | grep -c '^[0-9]*$'"):format(engine.data)))
  end

  it("has all that it told of, and nothing else", function()
    for round = 1, ROUNDS do
      fresh = {}
      local children = wire.run(("ps -o pid= --ppid %d | tr '\n' ' '"):format(engine.pid))
      local ok, problem = pcall(function()
        load_for(random(400) / 1000)
        engine:launch()
        for _, image in ipairs(fresh) do check_image(image) end
        local old = 0
        for image in pairs(images) do
          old = old + 1
          if old % 20 == round % 20 then check_image(image) end
        end
        check_operations()
        check_tags()
        check_uploads()
        if round % 5 == 0 or round == ROUNDS then check_leftovers(children) end
      end)
      assert(ok, ("round %d, CONTREE_SEED=%d: %s"):format(round, SEED, tostring(problem)))
    end
  end)
end)
