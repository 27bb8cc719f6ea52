-- /operations/{id}/ports: connections from outside to what listens in a sandbox.
local disk = require("spec.support.disk")
local socket = require("socket")
local wire = require("spec.support.wire")

describe("a port of a sandbox", function()
  local engine

  -- A server for the sandbox (spec/support/listener.c), which `make c-tests` makes.
  local function upload(to)
    local program = wire.run("dirname $(command -v contree-engine)") .. "/../spec/support/listener"
    local reply = to:request("POST", "/v1/files", { body = disk.read(program),
      headers = { ["Content-Type"] = "application/octet-stream" } })
    return reply.json.uuid
  end

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function running(command, options, of)
    options = options or {}
    options.files = { ["/bin/listener"] = { uuid = upload(of or engine), mode = "0755" } }
    local uuid = (of or engine):spawn(wire.shell(command, options))
    local connection = (of or engine):follow(uuid, "?follow=1")
    wire.await(connection, "spawn")
    connection:close()
    return uuid
  end
  local function path(uuid, id)
    return ("/v1/operations/%s/ports"):format(uuid) .. (id and ("/%d"):format(id) or "")
  end
  local function forward(uuid, options, of)
    local reply = (of or engine):post(path(uuid), options)
    assert.are.equal(201, reply.status, reply.body)
    return reply.json
  end
  local function connect(port)
    local host, number = port.address:match("^(.*):(%d+)$")
    local sock = socket.tcp()
    sock:settimeout(wire.TIME_LIMIT)
    local ok, problem = sock:connect(host, tonumber(number))
    return ok and sock, problem
  end
  -- All that comes when `data` is sent, and no more.
  local function exchange(port, data)
    local sock = connect(port)
    if not sock then return "", "refused" end
    if data then sock:send(data) end -- it may be cut off already
    sock:shutdown("send")
    local text, problem, partial = sock:receive("*a")
    sock:close()
    return text or partial, problem
  end
  -- Waits until ECHO listens inside.
  local function await(port)
    wire.eventually("the server inside", function() return exchange(port, "x") == "x" end)
  end

  -- A connection to a server that speaks first, once its first byte has come.
  local function await_data(port)
    local sock
    wire.eventually("the server", function()
      sock = connect(port)
      return sock:receive(1)
    end)
    return sock
  end

  -- Answers with what it got, when the client has said all.
  local ECHO = "exec listener tcp 9"

  it("is a web server's", function()
    local uuid = running([[mkdir /w; echo hello > /w/index.html
      exec httpd -f -p 127.0.0.1:8000 -h /w]])
    local port = forward(uuid, { port = 8000 })
    assert.matches("^127%.0%.0%.1:%d+$", port.address)
    wire.eventually("the web server", function()
      return wire.run("curl -s -m 20 http://" .. port.address .. "/") == "hello"
    end)
    local found = engine:get(path(uuid)).json.ports
    assert.are.equal(1, #found)
    assert.are.equal(8000, found[1].port)
    assert.are.equal(port.address, found[1].address)
    engine:cancel(uuid)
    local _, problem = connect(port)
    assert.are.equal("connection refused", problem)
  end)

  it("passes the end of each side on for itself", function()
    local uuid = running(ECHO)
    local port = forward(uuid, { port = 9 })
    await(port)
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local data = table.concat(bytes):rep(2000)
    assert.is_true(exchange(port, data) == data)
    engine:cancel(uuid)
  end)

  it("refuses at once while nobody listens", function()
    local uuid = running("sleep 60")
    local port = forward(uuid, { port = 8000 })
    for _ = 1, 20 do
      local text, problem = exchange(port)
      assert.are.equal("", text or "")
      assert.is_truthy(problem)
    end
    wire.eventually("no connection", function()
      return engine:get(path(uuid)).json.ports[1].connections == 0
    end)
    engine:cancel(uuid)
  end)

  it("is found on ::1, too", function()
    local uuid = running("exec listener tcp6 9 six")
    local port = forward(uuid, { port = 9 })
    wire.eventually("the server", function() return exchange(port) == "six" end)
    engine:cancel(uuid)
  end)

  it("is a Unix socket's, by its path inside", function()
    local uuid = running([[mkdir -p /run/x; ln -s /run/x /link
      exec listener unix /run/x/s unix]])
    local port = forward(uuid, { path = "/link/s" })
    wire.eventually("the server", function() return exchange(port) == "unix" end)
    assert.are.equal("/link/s", engine:get(path(uuid)).json.ports[1].path)
    -- Not the host's: the engine's own socket.
    local outside = forward(uuid, { path = engine.path })
    assert.are.equal("", (exchange(outside)))
    engine:cancel(uuid)
  end)

  it("takes hundreds of connections at once", function()
    local uuid = running(ECHO)
    local port = forward(uuid, { port = 9 })
    await(port)
    local socks, count = {}, 300
    for i = 1, count do
      socks[i] = assert(connect(port))
      socks[i]:send("number " .. i)
    end
    for i = count, 1, -1 do
      socks[i]:shutdown("send")
      local text = socks[i]:receive("*a")
      assert.are.equal("number " .. i, text)
      socks[i]:close()
    end
    engine:cancel(uuid)
  end)

  -- The program has room for one or two that wait; the kernel drops what else comes.
  for title, case in pairs{ TCP = { "tcp 9", { port = 9 } },
    ["a Unix socket"] = { "unix /s", { path = "/s" } } } do
    it("has clients stand in line while the program takes none, over " .. title, function()
      local uuid = running("ROOM=1 exec listener " .. case[1],
        { stdin = { value = "", close = false } })
      local function output()
        local r = engine:get(("/v1/operations/%s?inflight=1"):format(uuid)).json.metadata.result
        return r and r ~= wire.null and wire.bytes(r.stdout) or ""
      end
      wire.eventually("the server", function() return output() == "ready\n" end)
      local port = forward(uuid, case[2])
      local socks = {}
      for i = 1, 40 do
        socks[i] = assert(connect(port))
        socks[i]:send(("%d\n"):format(i))
        socks[i]:shutdown("send")
        wire.eventually("the connection", function()
          return engine:get(path(uuid)).json.ports[1].connections == i
        end)
      end
      engine:post(("/v1/operations/%s/subprocesses/1/stdin"):format(uuid), { value = "\n" })
      for i, sock in ipairs(socks) do
        assert.are.equal(i .. "\n", sock:receive("*a"))
        sock:close()
      end
      -- The kernel may let some try once more, when the line moves while they knock.
      local count, late, last = 0, 0, 0
      for number in output():gmatch("%d+") do
        count, last = count + 1, math.max(last, tonumber(number))
        if tonumber(number) < last then late = late + 1 end
      end
      assert.are.equal(40, count)
      assert.is_true(late <= 10, output())
      engine:cancel(uuid)
    end)
  end

  it("is given up by clients that go at once, by the thousand", function()
    local uuid = running(ECHO)
    local port = forward(uuid, { port = 9 })
    await(port)
    for _ = 1, 2000 do
      local sock = assert(connect(port))
      sock:setoption("linger", { on = true, timeout = 0 })
      sock:close()
    end
    -- On a slow machine it may be that the server cannot start a process for this one yet.
    wire.eventually("the server", function() return exchange(port, "there") == "there" end)
    wire.eventually("no connection", function()
      return engine:get(path(uuid)).json.ports[1].connections == 0
    end)
    engine:cancel(uuid)
  end)

  it("gives all that was sent before the operation ended", function()
    local uuid = running("head -c 3000000 /dev/zero | nc -l -p 9; exit 0")
    local port = forward(uuid, { port = 9 })
    local sock = await_data(port)
    assert.are.equal(2999999, #sock:receive("*a"))
    sock:close()
    assert.are.equal("SUCCESS", engine:wait(uuid).status)
  end)

  it("is closed when it is taken back", function()
    local uuid = running(ECHO)
    local port = forward(uuid, { port = 9 })
    await(port)
    local sock = connect(port)
    wire.eventually("the connection", function()
      return engine:get(path(uuid)).json.ports[1].connections == 1
    end)
    assert.are.equal(204, engine:request("DELETE", path(uuid, port.id)).status)
    local _, problem = sock:receive(1)
    assert.is_true(problem == "closed" or problem == "connection reset by peer", problem)
    wire.eventually("the end of listening", function()
      local _, why = connect(port)
      return why == "connection refused"
    end)
    assert.are.equal(0, #engine:get(path(uuid)).json.ports)
    wire.refuses(404, "port", engine:request("DELETE", path(uuid, port.id)))
    engine:cancel(uuid)
  end)

  it("waits while the operation is paused", function()
    local uuid = running(ECHO)
    local port = forward(uuid, { port = 9 })
    await(port)
    engine:request("POST", ("/v1/operations/%s/pause"):format(uuid))
    local sock = connect(port)
    sock:send("x")
    sock:shutdown("send")
    sock:settimeout(0.2)
    assert.are.equal("timeout", select(2, sock:receive(1)))
    engine:request("POST", ("/v1/operations/%s/resume"):format(uuid))
    sock:settimeout(wire.TIME_LIMIT)
    assert.are.equal("x", sock:receive("*a"))
    engine:cancel(uuid)
  end)

  it("is where `listen` says", function()
    local uuid = running("sleep 60")
    local port = forward(uuid, { port = 9, listen = "127.0.0.2:0" })
    assert.matches("^127%.0%.0%.2:", port.address)
    wire.refuses(409, "in use", engine:post(path(uuid), { port = 9, listen = port.address }))
    wire.refuses(400, "listen", engine:post(path(uuid), { port = 9, listen = "localhost:0" }))
    wire.refuses(400, "listen", engine:post(path(uuid), { port = 9, listen = "127.0.0.1" }))
    engine:cancel(uuid)
  end)

  it("is refused where it makes no sense", function()
    local uuid = running("sleep 60")
    for _, body in ipairs{ {}, { port = 0 }, { port = 65536 }, { path = "x" },
      { port = 1, path = "/x" }, { path = "/" .. ("x"):rep(107) } } do
      assert.are.equal(400, engine:post(path(uuid), body).status)
    end
    for _ = 1, 64 do forward(uuid, { port = 1 }) end
    wire.refuses(429, "64", engine:post(path(uuid), { port = 1 }))
    engine:cancel(uuid)
    wire.refuses(409, "running", engine:post(path(uuid), { port = 1 }))
    wire.refuses(409, "running", engine:get(path(uuid)))
    wire.refuses(404, "operation", engine:post(path("x"), { port = 1 }))
  end)

  -- The control socket is PID 1's alone, and no process may look into PID 1.
  it("is made by init only, whatever the sandbox does", function()
    local uuid = running([[for f in /proc/1/fd/*; do cat $f; echo x > $f; done 2>/dev/null
      for i in 0 1 2 3 4 5 6 7; do readlink /proc/1/fd/$i; done; exec listener tcp 9 there]])
    local port = forward(uuid, { port = 9 })
    wire.eventually("the server", function() return exchange(port) == "there" end)
    local written
    wire.eventually("what it wrote", function()
      local found = engine:get(("/v1/operations/%s?inflight=1"):format(uuid)).json.metadata.result
      written = wire.bytes(found.stdout)
      return written ~= ""
    end)
    assert.are.equal("ready\n", written)
    engine:cancel(uuid)
  end)

  it("holds no descriptor after the end", function()
    local function descriptors()
      return tonumber(wire.run(("ls /proc/%d/fd | wc -l"):format(engine.pid)))
    end
    local function once()
      local uuid = running(ECHO)
      local port = forward(uuid, { port = 9 })
      await(port)
      local sock = connect(port)
      sock:send("x")
      engine:cancel(uuid)
      sock:close()
    end
    once()
    local before
    wire.eventually("quiet", function()
      local now = descriptors()
      local same = now == before
      before = now
      socket.sleep(0.2)
      return same
    end)
    for _ = 1, 5 do once() end
    wire.eventually("no more descriptors than before", function()
      return descriptors() <= before
    end)
  end)

  it("ends with an engine that is killed", function()
    local other = wire.start()
    local uuid = running(ECHO, nil, other)
    local port = forward(uuid, { port = 9 }, other)
    await(port)
    local sock = connect(port)
    other:kill("KILL")
    local _, problem = sock:receive(1)
    assert.is_true(problem == "closed" or problem == "connection reset by peer", problem)
    local _, why = connect(port)
    assert.are.equal("connection refused", why)
    other:launch()
    assert.are.equal("FAILED", other:get("/v1/operations/" .. uuid).json.status)
    other:stop()
  end)

  it("does not wait for a client that reads nothing", function()
    local uuid = running("exec nc -l -p 9 < /dev/zero")
    local port = forward(uuid, { port = 9 })
    local sock = await_data(port)
    assert.are.equal("CANCELLED", engine:cancel(uuid).status)
    assert.are.equal("SUCCESS", engine:run{ command = "true" }.status)
    sock:close()
    assert.is_nil(disk.read(engine.log):find("relay"))
  end)
end)
