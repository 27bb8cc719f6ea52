-- GET and POST /operations/{id}/signing: requests of a run that its client signs.
local disk = require("spec.support.disk")
local socket = require("socket")
local wire = require("spec.support.wire")

describe("signing", function()
  local engine, server, port

  local LINE = "wget -q -O - http://a.example:%d/p?q=1 2>&1; echo $KEY"

  local function spawn(more)
    local given = { networking = { allow = { "a.example:" .. port },
      resolve = { ["a.example"] = "127.0.0.1" } },
      secrets = { KEY = { sign = true, hosts = { "a.example:" .. port } } } }
    for name, value in pairs(more or {}) do given[name] = value end
    return engine:spawn(wire.shell(LINE:format(port), given))
  end

  setup(function()
    engine = wire.start()
    server = assert(socket.bind("127.0.0.1", 0))
    server:settimeout(10)
    port = select(2, server:getsockname())
    port = math.floor(tonumber(port))
  end)
  teardown(function()
    server:close()
    engine:stop()
  end)

  local function path(uuid, id)
    if type(id) == "number" then id = ("%d"):format(id) end
    return ("/v1/operations/%s/signing%s"):format(uuid, id and "/" .. id or "")
  end

  local function follow(uuid)
    local connection = engine:connect()
    connection:request("GET", path(uuid))
    local reply = connection:head()
    assert.equal(200, reply.status)
    assert.equal("text/event-stream", reply.headers["content-type"])
    return connection
  end

  -- What is asked next.
  local function asked_of(uuid, connection)
    local ok, frame = pcall(wire.await, connection, "sign")
    if ok then return frame.data end
    error(frame .. ": " .. wire.json.encode(engine:wait(uuid).metadata.result), 2)
  end

  -- The head that the server is sent, which answers it.
  local function serve()
    local connection = assert(server:accept())
    connection:settimeout(10)
    local lines = {}
    for line in function() return connection:receive("*l") end do
      if line == "" then break end
      lines[#lines + 1] = line
    end
    if #lines > 0 then connection:send("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello") end
    connection:close()
    return table.concat(lines, "\n"), #lines
  end

  -- The same; connections whose request never came are passed over.
  local function served()
    while true do
      local head, count = serve()
      if count > 0 then return head end
    end
  end

  it("asks with the whole head of a request, and sends what is answered", function()
    local uuid = spawn()
    local connection = follow(uuid)
    local asked = asked_of(uuid, connection)
    assert.equal("KEY", asked.secret)
    local request = asked.request
    assert.same({ "GET", "http", "a.example", port, "/p", "q=1" }, { request.method,
      request.scheme, request.host, request.port, request.path, request.query })
    assert.same({ "Host", "a.example:" .. port }, request.headers[1])
    assert.equal(204, engine:post(path(uuid, asked.id),
      { headers = { Authorization = "signed-9f8e7d", ["User-Agent"] = wire.json.null } }).status)
    local head = served()
    assert.matches("^GET /p%?q=1 HTTP/1%.1\n", head)
    assert.matches("\nAuthorization: signed-9f8e7d", head, 1, true)
    assert.is_nil(head:find("User-Agent", 1, true))
    local frame = connection:frame()
    while frame and frame.event ~= "end" do frame = connection:frame() end
    assert.equal("end", frame and frame.event)
    assert.is_nil((connection:frame()))
    connection:close()
    local operation = engine:wait(uuid)
    local result = operation.metadata.result
    assert.matches("^hello%w+\n$", result.stdout.value)
    assert.same({}, result.denied)
    assert.same({ KEY = { sign = true, hosts = { "a.example:" .. port } } },
      operation.metadata.secrets)
    -- Nothing of it is stored, or written down.
    local log = engine:get("/v1/operations/" .. uuid .. "/events").body
    assert.is_nil(log:find("signed-9f8e7d", 1, true))
    assert.is_nil(log:find('"sign"', 1, true))
    assert.equal("", disk.capture(("grep -rl signed-9f8e7d %s; true"):format(engine.data)))
  end)

  it("refuses answers that would change where a request goes, and waits for a right one", function()
    local uuid = spawn()
    local connection = follow(uuid)
    local id = asked_of(uuid, connection).id
    for words, answer in pairs{
      ["headers must be an object"] = {},
      ["headers%.Host cannot be changed"] = { headers = { Host = "b.example" } },
      ["headers%.content%-length cannot"] = { headers = { ["content-length"] = "0" } },
      ["headers%.range cannot"] = { headers = { range = "bytes=0-7" } },
      ["headers%.Accept%-Encoding cannot"] = { headers = { ["Accept-Encoding"] = "gzip" } },
      ["control character"] = { headers = { A = "x\r\nHost: b.example" } },
      ["no name of a header"] = { headers = { ["A: b"] = "x" } },
      ["must be a string or null"] = { headers = { A = 5 } },
    } do
      wire.refuses(422, words, engine:post(path(uuid, id), answer))
    end
    wire.refuses(404, "nothing waits", engine:post(path(uuid, id + 7), { headers = {} }))
    wire.refuses(404, "nothing waits", engine:post(path(uuid, "x"), { headers = {} }))
    assert.equal(204, engine:post(path(uuid, id), { refused = true }).status)
    wire.refuses(404, "nothing waits", engine:post(path(uuid, id), { refused = true }))
    connection:close()
    local result = engine:wait(uuid).metadata.result
    assert.matches("403 Forbidden", result.stdout.value)
    assert.same({ { protocol = "http", name = "a.example", port = port, method = "GET",
      path = "/p", reason = "sign", count = 1 } }, result.denied)
  end)

  it("is for one client: the last one, which is asked again for what waits", function()
    local uuid = spawn()
    local first = follow(uuid)
    local asked = asked_of(uuid, first)
    local second = follow(uuid)
    assert.same(asked, asked_of(uuid, second))
    wire.await(first, "end")
    first:close()
    second:close()
    -- One that went away is forgotten.
    local third = follow(uuid)
    assert.same(asked, asked_of(uuid, third))
    assert.equal(204, engine:post(path(uuid, asked.id), { refused = true }).status)
    wire.await(third, "end")
    third:close()
    engine:wait(uuid)
  end)

  it("is of runs with such a secret, while they go on", function()
    local uuid = engine:spawn(wire.shell("sleep 20"))
    wire.refuses(409, "no secret that a function signs with", engine:get(path(uuid)))
    engine:cancel(uuid)
    wire.refuses(409, "not running any more", engine:get(path(uuid)))
    wire.refuses(409, "not running any more", engine:post(path(uuid, 1), { refused = true }))
    wire.refuses(404, "no operation", engine:get(path("none")))
    for words, secret in pairs{ ["needs value, or sign"] = { hosts = { "a" } },
      ["cannot have value"] = { sign = true, value = ("x"):rep(20), hosts = { "a" } },
      ["did you mean \"digest\""] = { sign = true, digst = true, hosts = { "a" } } } do
      wire.refuses(422, words, engine:post("/v1/instances", wire.spawn{ command = "true",
        networking = { allow = { "a" } }, secrets = { K = secret } }))
    end
  end)
end)
