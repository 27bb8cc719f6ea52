-- The engine when it is short of descriptors or threads.
local disk = require("spec.support.disk")
local socket = require("socket")
local wire = require("spec.support.wire")

-- Returns a command prefix that limits the number of descriptors.
local function with(limit) return ([[sh -c 'ulimit -n %d && exec "$@"' sh]]):format(limit) end

-- The number of descriptors of a process, and the lowest free one.
local function count_of(pid)
  return tonumber(wire.run(("ls /proc/%d/fd | wc -l"):format(pid)))
end
local function first_free(pid)
  local set, free = {}, 0
  for name in wire.run(("ls /proc/%d/fd"):format(pid)):gmatch("%d+") do
    set[tonumber(name)] = true
  end
  while set[free] do free = free + 1 end
  return free
end

local function limit_of(pid, number)
  wire.run(("prlimit --pid %d --nofile=%s:"):format(pid, number))
end

local function answers(engine)
  assert.are.equal(200, engine:get("/v1/whoami").status)
  assert.are.equal("fine\n", wire.bytes(engine:run(wire.shell("echo fine")).metadata.result.stdout))
end

-- Waits for runs, each of which must succeed and print `output`.
local function each_prints(output, engine, uuids)
  for _, uuid in ipairs(uuids) do
    local operation = engine:wait(uuid)
    assert.are.equal("SUCCESS", operation.status, operation.error)
    assert.are.equal(output, wire.bytes(operation.metadata.result.stdout))
  end
end

describe("F2: an engine with few descriptors", function()
  for _, limit in ipairs{ 32, 64, 128 } do
    it(("says that %d are too few"):format(limit), function()
      local d = disk.directory()
      local said = wire.run(("%s contree-engine serve --data-dir %s/data --socket %s/s 2>&1")
        :format(with(limit), d, d))
      wire.remove(d)
      assert.matches("may have " .. limit .. " descriptors, and needs %d+ at least%. Fix: ", said)
    end)
  end

  for _, limit in ipairs{ 192, 256, 1024 } do
    it(("serves with %d"):format(limit), function()
      local engine = wire.start("", with(limit))
      local connections, uuids = {}, {}
      for n = 1, 24 do
        uuids[n] = engine:spawn(wire.shell("sleep 0.2; echo x > /f; echo hi",
          { disposable = n % 2 == 0 }))
      end
      for n = 1, 40 do connections[n] = engine:connect() end
      for _, connection in ipairs(connections) do connection:close() end
      each_prints("hi\n", engine, uuids)
      answers(engine)
      engine:stop()
    end)
  end

  -- Each file travels to the sandbox as a descriptor. If too many of a user's
  -- descriptors are in flight, the kernel takes no more for a while.
  it("gives runs more files than it has descriptors", function()
    local engine = wire.start("", with(192))
    local files, uuids = {}, {}
    local content = engine:post("/v1/files", "content").json.uuid
    for n = 1, 1500 do files["/d/" .. n] = { uuid = content } end
    for n = 1, 3 do
      uuids[n] = engine:spawn(wire.shell("ls /d | wc -l; cat /d/* | wc -c", { files = files }))
    end
    each_prints("1500\n10500\n", engine, uuids)
    answers(engine)
    engine:stop()
  end)

  it("tells a client that no sandbox can be made for it", function()
    local engine = wire.start()
    local connection = engine:connect()
    connection:request("GET", "/v1/whoami")
    assert.are.equal(200, connection:response().status)
    limit_of(engine.pid, first_free(engine.pid) + 1)
    local refused = 0
    for _ = 1, 20 do
      connection:request("POST", "/v1/instances", { body = [[{"image": "tag:busybox:latest",
        "command": "true", "disposable": true}]], headers = { Prefer = "wait=30" } })
      local reply = connection:response()
      -- Cells that could not be made must give their descriptors back.
      if reply.status ~= 201 or reply.json.status ~= "SUCCESS" then
        assert.matches("Fix: let the engine have more", reply.json.error)
        assert.is_true(reply.status == 201 or reply.status == 503, reply.body)
        refused = refused + 1
      end
    end
    assert.is_true(refused > 0)
    connection:close()
    limit_of(engine.pid, 4096)
    wire.eventually("runs to work again", function()
      return engine:run{ command = "true" }.status == "SUCCESS"
    end)
    answers(engine)
    engine:stop()
  end)
end)

describe("F3: a listening socket", function()
  for _, others in ipairs{ 0, 1 } do
    it(("that could not take a connection takes it later, beside %d others"):format(others),
      function()
        local engine = wire.start()
        local other = others > 0 and engine:connect()
        answers(engine)
        local late = {}
        wire.eventually("the engine to complain", function()
          limit_of(engine.pid, first_free(engine.pid))
          late[#late + 1] = engine:connect()
          late[#late]:request("GET", "/v1/whoami")
          return disk.read(engine.log):find("cannot take a connection", 1, true)
        end)
        limit_of(engine.pid, 4096)
        for _, connection in ipairs(late) do
          assert.are.equal(200, connection:response().status)
          connection:close()
        end
        if other then other:close() end
        answers(engine)
        engine:stop()
      end)
  end
end)

describe("F2: strangers on TCP", function()
  local engine, port

  setup(function()
    local token = wire.run("mktemp -t contree-spec-token-XXXXXX")
    disk.write(token, "s3cret\n")
    engine = wire.start("--listen 127.0.0.1:0 --token-file " .. token, with(1024))
    os.remove(token)
    port = tonumber(disk.read(engine.log):match("http://127%.0%.0%.1:(%d+)"))
  end)
  teardown(function() engine:stop() end)

  it("are few, and nobody waits for them", function()
    local before = count_of(engine.pid)
    local strangers = {}
    for n = 1, 5000 do
      local s = socket.tcp()
      s:settimeout(5)
      assert(s:connect("127.0.0.1", port))
      if n % 3 == 0 then s:send("GET /v1/whoami HTTP/1.1\r\nHost: x\r\n\r\n") end
      if n % 3 == 1 then s:send("GET /v1/who") end
      strangers[#strangers + 1] = s
      if #strangers == 500 then table.remove(strangers, 1):close() end
      if n % 500 == 0 then answers(engine) end
    end
    local now = count_of(engine.pid)
    assert.is_true(now - before < 150, "descriptors: " .. now)
    local known = socket.tcp()
    known:settimeout(20)
    assert(known:connect("127.0.0.1", port))
    known:send("GET /v1/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\n\r\n")
    assert.matches("^HTTP/1.1 200", known:receive("*l"))
    for _, s in ipairs(strangers) do s:close() end
    -- A client that has sent the token may be idle for long.
    for _ = 1, 200 do
      local s = socket.tcp()
      assert(s:connect("127.0.0.1", port))
      s:close()
    end
    known:receive(1)
    known:send("GET /v1/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\n\r\n")
    local line
    repeat line = assert(known:receive("*l")) until line:find("HTTP/1.1 ", 1, true)
    assert.matches("HTTP/1.1 200", line)
    known:close()
    answers(engine)
  end)
end)

describe("F9: an engine without threads to be had", function()
  it("says so and does not serve", function()
    if wire.run("id -u") ~= "0" then pending("root has no such limit to give") return end
    local d = disk.directory()
    wire.run(("chown 61234 %s"):format(d))
    local said = wire.run(([[cp "$(command -v contree-engine)" %s/e && chmod 755 %s %s/e &&
      cd / && setpriv --reuid 61234 --regid 61234 --clear-groups prlimit --nproc=12 \
        %s/e serve --data-dir %s/data --socket %s/s 2>&1]]):format(d, d, d, d, d, d))
    wire.remove(d)
    assert.matches("cannot start %d+ worker threads .*Fix: ", said)
  end)
end)

describe("F4: archives that are cancelled", function()
  it("cost no run anything", function()
    local engine = wire.start()
    local image = engine:run(wire.shell("mkdir /d; head -c 30000000 /dev/urandom > /d/x",
      { disposable = false })).result_image_uuid
    local uuids = {}
    for n = 1, 20 do
      uuids[n] = engine:spawn(wire.shell("sleep 0.0" .. n % 7 .. "; head -c 200000 /dev/zero"))
      local connection = engine:connect()
      connection:request("GET", ("/v1/inspect/%s/archive?path=/d"):format(image))
      assert.are.equal(200, connection:head().status)
      connection:close()
    end
    for _, uuid in ipairs(uuids) do
      local operation = engine:wait(uuid)
      assert.are.equal("SUCCESS", operation.status, operation.error)
      assert.are.equal(200000, wire.size(operation.metadata.result.stdout))
    end
    engine:stop()
  end)
end)
