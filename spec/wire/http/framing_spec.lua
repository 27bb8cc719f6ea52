-- On a kept connection each answer begins at the very byte after the last one, for every
-- method, route and status.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("C1: an answer on a kept connection", function()
  local engine, image, operation, running, file, pathless

  setup(function()
    engine = wire.start()
    image = engine:get("/v1/images").json.images[1].uuid
    -- Too large for an answer with a Content-Length.
    operation = engine:run{ shell = true, command = "head -c 200000 /dev/zero | tr '\\0' x" }.uuid
    running = engine:spawn{ command = "cat", stdin = { value = "", close = false } }
    local events = engine:follow(running, "?follow=1")
    wire.await(events, "spawn")
    events:close()
    file = engine:request("POST", "/v1/files", { body = "data" }).json.sha256
    pathless = image:gsub("%x", "0")
  end)
  teardown(function() engine:stop() end)

  local function everything(connection)
    local all, _, part = connection.sock:receive("*a")
    return all or part
  end

  -- Acts as a strict client: reads the answer by RFC 9112, sends the next request, and
  -- looks at the very next byte.
  local function is_framed(method, path, options)
    local what = method .. " " .. path
    local connection = engine:connect()
    connection:request(method, path, options)
    local reply = assert(connection:head(), what)
    local bodiless = method == "HEAD" or reply.status == 204 or reply.status == 304
    if bodiless then
      assert.is_falsy(reply.status == 204 and reply.headers["content-length"], what)
    else
      assert.is_truthy(reply.headers["content-length"] or reply.headers["transfer-encoding"], what)
      connection:body(reply)
    end
    if reply.headers.connection == "close" then
      assert.are.equal("", everything(connection), what)
    else
      connection:send("GET /v1/whoami HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
      local rest = everything(connection)
      assert.are.equal("HTTP/1.1 200 OK\r\n", rest:sub(1, 17), what)
      assert.is_truthy(wire.json.decode(rest:match("\r\n\r\n(.*)$")).permissions, what)
    end
    connection:close()
    return reply
  end

  -- The patterns of the routes in src/engine/api, each with requests for it.
  local function routes()
    local inspect = "/v1/inspect/" .. image
    return {
      whoami = { "/v1/whoami" },
      images = { "/v1/images", "/v1/images?limit=0" },
      files = { "/v1/files", "/v1/files?sha256=" .. file, "/v1/files?uuid=" .. pathless },
      ["files/*"] = { "/v1/files/" .. file, "/v1/files/none" },
      operations = { "/v1/operations", "/v1/operations?status=x" },
      ["operations/*"] = { "/v1/operations/" .. operation, "/v1/operations/" .. pathless,
        "/v1/operations/" .. running .. "?inflight=1" },
      ["operations/*/events"] = { "/v1/operations/" .. operation .. "/events",
        "/v1/operations/" .. operation .. "/events?follow=1",
        "/v1/operations/" .. pathless .. "/events" },
      ["operations/*/subprocesses/*"] = { "/v1/operations/" .. operation .. "/subprocesses/1",
        "/v1/operations/" .. operation .. "/subprocesses/7" },
      ["operations/*/usage"] = { "/v1/operations/" .. running .. "/usage",
        "/v1/operations/" .. operation .. "/usage" },
      ["operations/*/watch"] = { "/v1/operations/" .. running .. "/watch?path=x",
        "/v1/operations/" .. operation .. "/watch?path=/" },
      ["operations/*/signing"] = { "/v1/operations/" .. running .. "/signing",
        "/v1/operations/" .. pathless .. "/signing" },
      ["operations/*/ports"] = { "/v1/operations/" .. running .. "/ports",
        "/v1/operations/" .. pathless .. "/ports" },
      volumes = { "/v1/volumes" }, disk = { "/v1/disk" },
      ["volumes/*"] = { "/v1/volumes/none" },
      inspect = { "/v1/inspect/?tag=busybox:latest", "/v1/inspect/?tag=none", "/v1/inspect/" },
      ["inspect/*"] = { inspect .. "/", "/v1/inspect/" .. pathless .. "/" },
      ["inspect/*/list"] = { inspect .. "/list?path=/bin", inspect .. "/list?path=/bin&text=1",
        inspect .. "/list?path=/none" },
      ["inspect/*/download"] = { inspect .. "/download?path=/bin/busybox",
        inspect .. "/download?path=/bin", inspect .. "/download?path=/none" },
      ["inspect/*/archive"] = { inspect .. "/archive?path=/bin", inspect .. "/archive?path=/none",
        inspect .. "/archive" },
      ["inspect/*/diff"] = { inspect .. "/diff?base=" .. image, inspect .. "/diff?base=none" },
      ["inspect/*/grep"] = { inspect .. "/grep?pattern=root&path=/etc", inspect .. "/grep" },
    }
  end

  for _, method in ipairs{ "GET", "HEAD" } do
    it("ends where it must: " .. method .. " of every route", function()
      for _, paths in pairs(routes()) do
        for _, path in ipairs(paths) do
          is_framed(method, path)
          is_framed(method, path, { headers = { ["Accept-Encoding"] = "gzip" } })
        end
      end
      is_framed(method, "/v1/none")
      is_framed(method, "/")
    end)
  end

  it("is looked at for every route that takes a HEAD", function()
    local known = routes()
    local source, count = disk.capture("cat src/engine/api/*.c"), 0
    for pattern in source:gmatch('{"GET", "([^"]+)"') do
      assert.is_truthy(known[pattern], pattern)
      count = count + 1
    end
    assert.is_true(count > 10)
  end)

  it("to a HEAD has the status and the length of the GET", function()
    for _, paths in pairs(routes()) do
      for _, path in ipairs(paths) do
        local get, head = is_framed("GET", path), is_framed("HEAD", path)
        assert.are.equal(get.status, head.status, path)
        assert.are.equal(get.headers["content-type"], head.headers["content-type"], path)
        -- What tells of something that goes on may be longer the next time.
        local lives = path:find(running, 1, true) or path == "/v1/disk"
        if get.headers["content-length"] and not lives then
          assert.are.equal(get.headers["content-length"], head.headers["content-length"], path)
        end
      end
    end
  end)

  it("has nothing after a 202, 204, 302 or 100", function()
    local process = "/v1/operations/" .. running .. "/subprocesses/1"
    local function status(expected, method, path, options)
      assert.are.equal(expected, is_framed(method, path, options).status, method .. " " .. path)
    end
    status(204, "POST", process .. "/stdin", { body = '{"value":"x","close":false}' })
    status(204, "DELETE", process .. "?signal=CONT")
    status(202, "DELETE", "/v1/operations/" .. running)
    status(302, "GET", "/v1/inspect/?tag=busybox:latest")
    status(201, "POST", "/v1/files", { body = "abc", headers = { Expect = "100-continue" } })
    status(201, "POST", "/v1/files", { chunks = { "a", "bc" } })
    local mine = engine:run{ shell = true, command = "echo > /x", disposable = false }.result.image
    status(200, "PATCH", "/v1/images/" .. mine .. "/tag", { body = '{"tag":"framed:1"}' })
    status(204, "DELETE", "/v1/images/" .. mine .. "/tag?tag=framed:1")
  end)

  it("has its length when it refuses", function()
    for _, method in ipairs{ "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT" } do
      is_framed(method, "/v1/whoami")
      is_framed(method, "/v1/none", { body = "a body that nobody wants" })
    end
    for _, method in ipairs{ "GET", "HEAD" } do
      is_framed(method, "/v1/whoami", { body = "a body that nobody wants" })
      is_framed(method, "/v1/images?tag=%zz")
    end
    is_framed("POST", "/v1/instances", { body = "{" })
    is_framed("POST", "/v1/instances", { body = '{"command":"true","image":"tag:none"}' })
  end)
end)
