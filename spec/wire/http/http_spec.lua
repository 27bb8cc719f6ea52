-- The behaviour that all routes share.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("the HTTP server", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  describe("routes", function()
    it("serves below any prefix", function()
      assert.are.equal(200, engine:get("/sandboxes/v1/whoami").status)
      assert.are.equal(200, engine:get("/a/b/v1/whoami").status)
      assert.are.equal(200, engine:get("/v1/whoami/").status)
    end)

    it("answers 404 for others", function()
      wire.refuses(404, "route", engine:get("/"))
      wire.refuses(404, "route", engine:get("/v1"))
      wire.refuses(404, "route", engine:get("/whoami"))
      wire.refuses(404, "route", engine:get("/v1/whoami/x"))
      wire.refuses(404, "route", engine:get("/v1//whoami"))
    end)

    it("answers 405 with what is allowed", function()
      local reply = wire.refuses(405, "PUT", engine:request("PUT", "/v1/files"))
      assert.are.equal("GET, HEAD, POST", reply.headers.allow)
      reply = wire.refuses(405, "not allowed", engine:post("/v1/whoami", {}))
      assert.are.equal("GET, HEAD", reply.headers.allow)
    end)

    it("decodes segments after it splits the path", function()
      assert.are.equal(200, engine:get("/v1/%77hoami").status)
      wire.refuses(404, "route", engine:get("/v1%2Fwhoami"))
      wire.refuses(404, "no image", engine:get("/v1/inspect/a%2Fb/"))
      wire.refuses(400, "escape", engine:get("/v1/inspect/%zz"))
      wire.refuses(400, "escape", engine:get("/v1/inspect/%00"))
      wire.refuses(400, "escape", engine:get("/v1/images?tag=%0"))
    end)

    it("answers HEAD like GET without a body", function()
      local reply = engine:request("HEAD", "/v1/whoami")
      assert.are.equal(200, reply.status)
      assert.are.equal(404, engine:request("HEAD", "/v1/nothing").status)
    end)

    it("keeps a connection for several requests", function()
      local connection = engine:connect()
      for _ = 1, 3 do
        connection:request("GET", "/v1/whoami")
        assert.are.equal(200, connection:response().status)
        connection:request("GET", "/v1/nothing")
        assert.are.equal(404, connection:response().status)
        connection:request("POST", "/v1/instances", { body = "{}" })
        assert.are.equal(400, connection:response().status)
      end
      connection:close()
    end)
  end)

  describe("query values", function()
    it("are flags, numbers and times", function()
      for _, query in ipairs{ "", "?tagged", "?tagged=", "?tagged=1", "?tagged=0", "?limit=1",
        "?limit=1000&offset=3", "?since=2026-06-08T20:00:00Z", "?since=2026-06-08",
        "?since=2026-06-08T20:00:00.123456%2B00:00", "?since=2026-06-08T20:00:00.123456789Z",
        "?since=15m&until=1w", "?since=2h", "?until=3600", "?since=1.5d" } do
        assert.are.equal(200, engine:get("/v1/images" .. query).status, query)
      end
    end)

    it("are refused when they are none", function()
      wire.refuses(400, "limit must be between 1 and 1000", engine:get("/v1/images?limit=0"))
      wire.refuses(400, "limit must be between 1 and 1000", engine:get("/v1/images?limit=1001"))
      wire.refuses(400, "limit", engine:get("/v1/operations?limit=ten"))
      wire.refuses(400, "limit", engine:get("/v1/files?limit=9999999999999999999999"))
      wire.refuses(400, "offset", engine:get("/v1/files?offset=-1"))
      wire.refuses(400, "tagged", engine:get("/v1/images?tagged=yes"))
      wire.refuses(400, "since", engine:get("/v1/images?since=yesterday"))
      wire.refuses(400, "since", engine:get("/v1/images?since=5x"))
      wire.refuses(400, "until", engine:get("/v1/images?until=2026-99-99"))
    end)

    it("bound lists by time", function()
      local all = #engine:get("/v1/images").json.images
      assert.is_true(all > 0)
      assert.are.equal(all, #engine:get("/v1/images?since=1h").json.images)
      assert.are.equal(0, #engine:get("/v1/images?until=1h").json.images)
      assert.are.equal(0, #engine:get("/v1/images?since=2099-01-01T00:00:00Z").json.images)
    end)
  end)

  describe("JSON bodies", function()
    local function body(text) return engine:post("/v1/instances", text) end

    it("must be one JSON object", function()
      wire.refuses(400, "JSON", body(""))
      wire.refuses(400, "JSON", body("{"))
      wire.refuses(400, "JSON", body("{} x"))
      wire.refuses(400, "object", body("[]"))
      wire.refuses(400, "JSON", body("null"))
      wire.refuses(400, "JSON", body("{'a':1}"))
    end)

    it("have no trick in them", function()
      wire.refuses(400, "uplicate", body('{"a":1,"a":2}'))
      wire.refuses(400, "JSON", body('{"a":NaN}'))
      wire.refuses(400, "integer", body('{"a":99999999999999999999999}'))
      wire.refuses(400, "JSON", body('{"a":1e999}'))
      wire.refuses(400, "0xff", body('{"a":"\255"}'))
      wire.refuses(400, "u0000", body('{"a":"\\u0000"}'))
      wire.refuses(400, "depth", body(('{"a":'):rep(5000) .. "1" .. ("}"):rep(5000)))
    end)

    it("are at most 16 MiB", function()
      local connection = engine:connect()
      connection:request("POST", "/v1/instances", { headers = {
        ["Content-Length"] = 17 * 1048576, Expect = "100-continue" } })
      wire.refuses(413, "larger", connection:response())
      connection:close()
      local filler = (" "):rep(1048576)
      local chunks = {}
      for i = 1, 17 do chunks[i] = filler end
      wire.refuses(413, "larger", engine:request("POST", "/v1/instances", { chunks = chunks }))
    end)

    it("may come in chunks", function()
      local reply = engine:request("POST", "/v1/instances", { chunks = { '{"comm', 'and":1}' } })
      wire.refuses(400, "command must be a string, not a number", reply)
    end)
  end)

  -- Sends raw bytes: the reply, or nil if the connection ends without one.
  local function raw(text, patience)
    local connection = engine:connect()
    if patience then connection.sock:settimeout(patience) end
    connection:send(text)
    local reply = connection:response()
    connection:close()
    return reply
  end

  describe("a request line", function()
    it("may be 32 KiB long, and is refused in JSON beyond", function()
      local long = "/v1/images?tag=" .. ("a"):rep(256) .. "&x=" .. ("b"):rep(32000)
      assert.are.equal(200, engine:get(long).status)
      for _, target in ipairs{ "/v1/" .. ("a"):rep(33000), "/v1/images?" .. ("a=b&"):rep(300),
        "/v1/images?" .. ("a&"):rep(16000) } do
        local reply = wire.refuses(414, "[rq]ue%a+ %a+e", engine:get(target))
        assert.are.equal("close", reply.headers.connection)
      end
    end)

    it("is refused in JSON when its target is no path", function()
      wire.refuses(400, "must be a path", raw("GET http://x/v1/whoami HTTP/1.1\r\nHost: x\r\n\r\n"))
      wire.refuses(400, "must be a path", raw("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"))
      wire.refuses(405, "get is not allowed", raw("get /v1/whoami HTTP/1.1\r\nHost: x\r\n\r\n"))
    end)
  end)

  -- libmicrohttpd refuses some of these itself and leaves others to the engine; its
  -- version decides which (docs/proofs/api.md). In all cases the status is right, no
  -- header invites another request, and the connection ends.
  local function is_ended(status, text)
    local reply = assert(raw(text), text:sub(1, 60))
    assert.are.equal(status, reply.status, text:sub(1, 60))
    assert.are.equal("close", reply.headers.connection, text:sub(1, 60))
    assert.is_nil(reply.headers.location, text:sub(1, 60))
    assert.is_nil(reply.body:find("contree", 1, true))
    if reply.json then assert.are.equal(status, reply.json.status) end
  end

  describe("headers", function()
    local function with(lines)
      return raw("POST /v1/files HTTP/1.1\r\n" .. lines .. "\r\n\r\nab")
    end

    it("that two parsers could read in two ways are refused, and the connection ends", function()
      for _, lines in ipairs{ "Host: x\r\nContent-Length: 1\r\nContent-Length: 2",
        "Host: x\r\nContent-Length: 2\r\nContent-Length: 2", "Host: a\r\nHost: b",
        "Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Host: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b" } do
        local reply = wire.refuses(400, "twice", with(lines))
        assert.are.equal("close", reply.headers.connection)
      end
      -- Without a body the connection would be kept.
      for _, lines in ipairs{ "Host: a\r\nHost: b",
        "Host: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b", "Host: x\r\nA(b): 2",
        "Host: x\r\nA: \1" } do
        is_ended(400, "GET /v1/whoami HTTP/1.1\r\n" .. lines .. "\r\n\r\n")
      end
      wire.refuses(400, "name", with("Host: x\r\nA(b): 2"))
      wire.refuses(400, "Content%-Length", with("Host: x\r\nContent-Length: 9223372036854775808"))
      for _, lines in ipairs{ "Host: x\r\nContent-Length : 2", "Host: x\r\nA : b",
        "Host: x\r\nA: b\rContent-Length: 2", "Host: x\r\nTransfer-Encoding: gzip, chunked",
        "Host: x\r\nA: \1", "" } do
        is_ended(400, "POST /v1/files HTTP/1.1\r\n" .. lines .. "\r\n\r\nab")
      end
    end)

    it("F14: have no NUL, no fold, no lone line feed, wherever it is", function()
      for _, lines in ipairs{ "Host: x\r\nA: b\0c\r\n", "Host: x\r\nA: \0\r\n", "Host: x\0\r\n",
        "Host: x\r\nA\0B: c\r\n", "Host: x\r\nA: b\0\0\0\r\nC: d\r\n", "Host: x\r\nA: b\r\n c\r\n",
        "Host: x\r\nContent-Length: 1\r\n 0\r\n", "Host: x\nA: b\r\n", "Host: x\r\nA: b\n" } do
        is_ended(400, "POST /v1/files HTTP/1.1\r\n" .. lines .. "\r\nab")
        is_ended(400, "GET /v1/whoami HTTP/1.1\r\n" .. lines .. "\r\n")
      end
    end)

    it("may have blanks around their values, or none", function()
      for _, lines in ipairs{ "Host:x", "Host: \t x", "Host: x \t ", "Host: x\r\nA:\r\nB: \r\nC:\t",
        "Host: x\r\nCookie: a=b; c=\"d\"; e", "Host: x\r\nA: \228\246\252" } do
        local reply = assert(raw("GET /v1/images?a=%20&b HTTP/1.1\r\n" .. lines .. "\r\n\r\n"))
        assert.are.equal(200, reply.status, lines)
      end
    end)

    it("need a Host in HTTP/1.1, none in 1.0", function()
      is_ended(400, "GET /v1/whoami HTTP/1.1\r\n\r\n")
      local connection = engine:connect()
      connection:send("GET /v1/whoami HTTP/1.0\r\n\r\n")
      assert.are.equal(200, connection:response().status)
      connection:close()
    end)
  end)

  it("E9: ends the connection on what is no HTTP, whoever answers", function()
    for text, status in pairs{ ["GET /v1/whoami\r\n\r\n"] = 400,
      ["GET /v1/who ami HTTP/1.1\r\nHost: x\r\n\r\n"] = 400,
      ["GET /v1/whoami  HTTP/1.1\r\nHost: x\r\n\r\n"] = 400,
      ["GET /v1/\twhoami HTTP/1.1\r\nHost: x\r\n\r\n"] = 400,
      ["GET /v1/whoami HTTP/2.0\r\nHost: x\r\n\r\n"] = 505,
      ["GET /v1/whoami HTTP/1.1\r\nno colon\r\n\r\n"] = 400,
      ["POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n"] = 400,
      ["POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 2x\r\n\r\n"] = 400,
      ["POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"] = 413,
      ["POST /v1/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"] = 400,
      ["GET / HTTP/1.1\r\nA: " .. ("a"):rep(70000) .. "\r\n\r\n"] = 431 } do
      is_ended(status, text)
    end
    -- The status depends on the version of libmicrohttpd.
    for _, text in ipairs{ "\1\2 \3\r\n\r\n",
      "GET /" .. ("a"):rep(70000) .. " HTTP/1.1\r\nHost: x\r\n\r\n" } do
      local reply = raw(text)
      assert.is_true(not reply or reply.status >= 400, text:sub(1, 60))
    end
  end)

  it("F14: ends a connection whose client sends no more before its request is whole", function()
    local connections = {}
    for i, text in ipairs{ "", "GET /v1", "GET /v1/whoami HTTP/1.1\r\nHost: x\r\n",
      "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc",
      "POST /v1/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc" } do
      connections[i] = engine:connect()
      connections[i]:send(text)
      connections[i].sock:shutdown("send")
    end
    for i, connection in ipairs(connections) do
      local all, problem, part = connection.sock:receive("*a")
      assert.are.equal("", all or part, i)
      assert.are_not.equal("timeout", problem, i)
      connection:close()
    end
    -- A complete request is answered, although the client has closed its side.
    local connection = engine:connect()
    connection:request("POST", "/v1/instances", { headers = { Prefer = "wait=30" },
      body = wire.json.encode(wire.spawn{ command = "sleep", args = { "3" } }) })
    connection.sock:shutdown("send")
    assert.are.equal(201, connection:response().status)
    connection:close()
  end)

  it("ends a connection whose chunk never begins", function()
    local function jiffies()
      local stat = disk.read(("/proc/%d/stat"):format(engine.pid)):match("%) (.*)")
      local fields = {}
      for field in stat:gmatch("%S+") do fields[#fields + 1] = tonumber(field) or 0 end
      return fields[12] + fields[13]
    end
    local reply = raw("POST /v1/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;"
      .. ("a"):rep(200000))
    assert.is_nil(reply)
    local before = jiffies()
    for _ = 1, 20 do engine:get("/v1/whoami") end
    require("socket").sleep(0.3)
    assert.is_true(jiffies() - before < 20, "the engine is still busy with it")
  end)

  it("waits for slow clients, one byte at a time", function()
    local connection = engine:connect()
    local text = "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    for byte in text:gmatch(".") do connection:send(byte) end
    local reply = connection:response()
    assert.are.equal(201, reply.status)
    assert.are.equal(3, reply.json.size)
    connection:close()
  end)

  it("answers requests that were sent before the answer to the last", function()
    local connection = engine:connect()
    connection.method = "GET"
    connection:send(("GET /v1/whoami HTTP/1.1\r\nHost: x\r\n\r\n"):rep(3))
    for _ = 1, 3 do assert.are.equal(200, connection:response().status) end
    connection:close()
  end)

  it("refuses bodies of two lengths", function()
    local connection = engine:connect()
    connection:send("POST /v1/instances HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    assert.are.equal(400, connection:response().status)
    connection:close()
    connection = engine:connect()
    connection:send("POST /v1/instances HTTP/1.1\r\nHost: x\r\n"
      .. "Transfer-Encoding: xchunked\r\n\r\n{}")
    assert.are.equal(400, connection:response().status)
    connection:close()
  end)

  it("survives what is no HTTP", function()
    for _, text in ipairs{ "\r\n\r\n", "hello\r\n\r\n", "GET\r\n\r\n", ("x"):rep(100000),
      "GET /v1/whoami HTTP/1.1\r\n" .. ("A: b\r\n"):rep(100000) .. "\r\n",
      "GET /" .. ("a"):rep(100000) .. " HTTP/1.1\r\nHost: x\r\n\r\n",
      "GET http://x/v1/whoami HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST /v1/files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
      "POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n" } do
      local connection = engine:connect()
      connection:send(text)
      connection.sock:shutdown("send")
      connection.sock:settimeout(0.2)
      connection.sock:receive("*a")
      connection:close()
    end
    assert.are.equal(200, engine:get("/v1/whoami").status)
  end)

  describe("compression", function()
    local gzip = { ["Accept-Encoding"] = "deflate, gzip;q=0.5" }

    it("is for large bodies of clients that take it", function()
      for _ = 1, 8 do engine:run{ command = "true" } end
      local plain = engine:get("/v1/operations")
      assert.is_nil(plain.headers["content-encoding"])
      local packed = engine:get("/v1/operations", gzip)
      assert.are.equal("gzip", packed.headers["content-encoding"])
      assert.is_true(#packed.raw < #plain.raw)
      assert.are.same(plain.json, packed.json)
    end)

    it("is not for small ones, nor against the client's word", function()
      assert.is_nil(engine:get("/v1/whoami", gzip).headers["content-encoding"])
      assert.is_nil(engine:get("/v1/operations", { ["Accept-Encoding"] = "gzip;q=0" })
        .headers["content-encoding"])
    end)
  end)

  it("sends large JSON without a Content-Length", function()
    local operation = engine:run{ command = "head -c 100000 /dev/zero | tr '\\0' x", shell = true }
    local reply = engine:get("/v1/operations/" .. operation.uuid)
    assert.is_nil(reply.headers["content-length"])
    assert.are.equal(100000, #reply.json.metadata.result.stdout.value)
  end)

  it("frees what vanishing clients leave behind", function()
    for _ = 1, 20 do
      local connection = engine:connect()
      connection:request("POST", "/v1/instances", { headers = { Prefer = "wait=60" },
        body = wire.json.encode(wire.spawn{ command = "sleep 0.2", shell = true }) })
      connection:close()
      connection = engine:connect()
      connection:send("POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
      connection:close()
      connection = engine:connect()
      connection:request("GET", "/v1/operations")
      connection:close()
    end
    wire.eventually("all runs to end", function()
      return engine:get("/v1/whoami").json.operations_stat.running_instances == 0
    end)
    assert.are.equal("", wire.run("ls " .. engine.data .. "/b/tmp 2>/dev/null"))
  end)

  it("lets its own user in only", function()
    assert.are.equal("600", wire.run("stat -c %a " .. engine.path))
    if wire.run("id -u") ~= "0" then return end
    -- The mode of the file is not enough: another user may inherit a descriptor from root.
    local script = [[
import os, socket
s = socket.socket(socket.AF_UNIX)
os.setresuid(65534, 65534, 65534)
s.connect("%s")
s.sendall(b"GET /v1/whoami HTTP/1.1\r\nHost: x\r\n\r\n")
print(s.recv(4096).decode().split()[1])
]]
    wire.run(("chmod 755 %s; chmod 666 %s"):format(engine.directory, engine.path))
    local path = engine.directory .. "/other.py"
    disk.write(path, script:format(engine.path))
    assert.are.equal("403", wire.run("python3 " .. path))
    wire.run("chmod 600 " .. engine.path)
  end)

  -- An engine without root is in a user namespace, where most groups have no id.
  it("lets its group in only with --group, and lets it do what TCP may", function()
    if wire.run("id -u") ~= "0" then return end
    local other = wire.start("--group", [[sh -c 'cd /; d=${4%/*}; chown 61234:61111 $d; chmod 755 $d
      exec setpriv --reuid 61234 --regid 61111 --clear-groups "$@"' sh]])
    assert.are.equal("660 61234 61111", wire.run("stat -c '%a %u %g' " .. other.path))
    local script = [[
import os, socket, sys
ids, method, path, body = sys.argv[1:5]
uid, gid, *more = [int(i) for i in ids.split(",")]
os.setgroups(more); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
s = socket.socket(socket.AF_UNIX)
try: s.connect("%s")
except PermissionError: sys.exit("no permission")
s.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
  f"Content-Type: application/json\r\nPrefer: wait=30\r\n"
  f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
print(b"".join(iter(lambda: s.recv(65536), b"")).decode().split()[1])
]]
    disk.write(other.directory .. "/ask.py", script:format(other.path))
    local function ask(ids, method, path, body)
      return wire.run(("python3 %s/ask.py %s %s '%s' '%s' 2>&1"):format(other.directory, ids,
        method or "GET", path or "/v1/whoami", body or ""))
    end
    local member, primary, stranger = "65534,65534,4,61111", "65534,61111", "65534,65534,4"
    assert.are.equal("200", ask(member))
    assert.are.equal("200", ask(primary))
    assert.are.equal("200", ask("61234,65534"))
    assert.are.equal("no permission", ask(stranger))
    wire.run("chmod 666 " .. other.path) -- as if it had inherited the descriptor
    assert.are.equal("403", ask(stranger))
    assert.are.equal("403", ask("0,0"))
    local run = wire.spawn{ command = "true" }
    assert.are.equal("201", ask(member, "POST", "/v1/instances", wire.json.encode(run)))
    run.mounts = { ["/data"] = "/usr" }
    assert.are.equal("403", ask(member, "POST", "/v1/instances", wire.json.encode(run)))
    assert.are.equal("201", ask("61234,61111", "POST", "/v1/instances", wire.json.encode(run)))
    assert.are.equal("403", ask(member, "POST", "/v1/gc", "{}"))
    assert.are.equal("403", ask(member, "POST", "/v1/export", '{"image":"tag:busybox:latest"}'))
    assert.are.equal("403", ask(member, "POST", "/v1/files/descriptor", '{"fd":0,"inode":"1.1"}'))
    other:stop()
  end)
end)

describe("the HTTP server on TCP", function()
  local engine

  setup(function()
    local token = wire.run("mktemp -t contree-spec-token-XXXXXX")
    disk.write(token, "s3cret\n")
    engine = wire.start("--listen 127.0.0.1:0 --token-file " .. token)
    os.remove(token)
    local port = disk.read(engine.log):match("http://127%.0%.0%.1:(%d+)")
    engine.unix = engine.path
    engine.port = tonumber(port)
  end)
  teardown(function()
    engine.port = nil
    engine:stop()
  end)

  local right = { Authorization = "Bearer s3cret" }

  it("wants the token", function()
    assert.are.equal(200, engine:get("/v1/whoami", right).status)
    for _, value in ipairs{ "Bearer s3cre", "Bearer s3cret2", "Bearer ", "Basic s3cret" } do
      local reply = engine:get("/v1/whoami", { Authorization = value })
      assert.are.equal(401, reply.status, value)
      assert.are.equal("Bearer", reply.headers["www-authenticate"])
      assert.are.equal(401, reply.json.status)
    end
    assert.are.equal(401, engine:get("/v1/whoami").status)
    assert.are.equal(401, engine:get("/v1/nothing").status)
  end)

  it("takes no body from strangers", function()
    local connection = engine:connect()
    connection:request("POST", "/v1/files", { headers = { ["Content-Length"] = "1000000000" } })
    assert.are.equal(401, connection:response().status)
    connection:close()
  end)

  it("C4: answers to any name with the token, to none without", function()
    for _, name in ipairs{ "localhost", "LOCALHOST:" .. engine.port, "127.0.0.1:1", "[::1]:80",
      "sandboxes", "sandboxes.example:8443", "10.1.2.3", "[2001:db8::1]:80" } do
      assert.are.equal(200, engine:get("/v1/whoami",
        { Host = name, Authorization = right.Authorization }).status, name)
      -- A web page whose name was pointed at the engine (DNS rebinding) has no token.
      assert.are.equal(401, engine:get("/v1/whoami", { Host = name }).status, name)
      assert.are.equal(401, engine:get("/v1/whoami",
        { Host = name, Authorization = "Bearer " .. name }).status, name)
    end
  end)

  it("knows nothing of other origins", function()
    local reply = engine:request("OPTIONS", "/v1/whoami",
      { headers = { Origin = "http://evil.example", Authorization = right.Authorization } })
    assert.are.equal(405, reply.status)
    assert.is_nil(reply.headers["access-control-allow-origin"])
  end)

  it("runs commands", function()
    local reply = engine:post("/v1/instances", wire.spawn{ command = "echo", args = { "hi" } },
      { Authorization = right.Authorization, Prefer = "wait=30" })
    assert.are.equal("hi\n", reply.json.metadata.result.stdout.value)
  end)

  it("still needs no token on the Unix socket", function()
    local port = engine.port
    engine.port = nil
    assert.are.equal(200, engine:get("/v1/whoami").status)
    engine.port = port
  end)
end)
