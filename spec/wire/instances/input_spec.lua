-- Input as a stream, and from a file that the client has open (http-api.md §4.16).
local core = require("contree.core")
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

-- Commands that do not read all of their input.
local DEAF = { "head -c 7; sleep 0.3", "exec 0<&-; sleep 0.3; echo over", "true" }

describe("input", function()
  local engine, directory, path, data

  setup(function()
    engine = wire.start()
    directory = disk.directory()
    path = directory .. "/in"
    wire.run("head -c 5000000 /dev/urandom > " .. path)
    data = disk.read(path)
  end)
  teardown(function()
    engine:stop()
    disk.remove(directory)
  end)

  -- A run whose input is open, with the descriptor's address.
  local function start(command, options)
    options = options or {}
    options.stdin = { value = "first", close = false }
    options.truncate_output_at = 20000000
    local uuid = engine:spawn(wire.shell(command, options))
    wire.await(engine:follow(uuid, "?follow=1"), "spawn")
    return uuid, ("/v1/operations/%s/subprocesses/1/stdin"):format(uuid)
  end

  local function hand_over(at, offset, name)
    local file = assert(core.open_file(name or path))
    local what = file:describe()
    local reply = engine:post(at .. "/descriptor",
      { fd = what.fd, inode = what.inode, offset = offset })
    file:close()
    return reply
  end

  local function output(uuid, kind)
    local parts = {}
    for _, frame in ipairs(engine:events(uuid, "?follow=1")) do
      if frame.event == kind then
        local bytes = wire.bytes(frame.data.data)
        assert.is_true(#bytes <= 65536)
        parts[#parts + 1] = bytes
      end
    end
    return table.concat(parts)
  end

  describe("as a stream", function()
    local function send(at, options)
      options.headers = { ["Content-Type"] = "application/octet-stream" }
      return engine:request("POST", at .. "/stream", options)
    end

    local function chunks(size)
      local list = {}
      for i = 1, #data, size do list[#list + 1] = data:sub(i, i + size - 1) end
      return list
    end

    it("is all of the rest, and then the end", function()
      for _, options in ipairs{ { body = data }, { chunks = chunks(70001) }, { body = "" } } do
        local uuid, at = start("cat")
        local reply = send(at, options)
        assert.are.equal(204, reply.status, reply.body)
        local expected = "first" .. (options.body or data)
        assert.is_true(output(uuid, "stdout") == expected)
        assert.is_true(output(uuid, "stdin") == expected)
        assert.are.equal("SUCCESS", engine:wait(uuid).status)
      end
    end)

    it("waits for a process that does not read, and holds no more than the pipe", function()
      local uuid, at = start("sleep 1; wc -c; sleep 0.2")
      local connection = engine:connect()
      local before = engine:memory("VmRSS")
      connection.sock:settimeout(0.3)
      connection:request("POST", at .. "/stream", { body = data:rep(8) })
      connection.sock:settimeout(30)
      assert.is_true(engine:memory("VmRSS") - before < 16000)
      connection:close()
      engine:request("DELETE", "/v1/operations/" .. uuid)
      assert.are.equal("CANCELLED", engine:wait(uuid).status)
      uuid, at = start("sleep 0.5; wc -c; sleep 0.2")
      assert.are.equal(204, send(at, { body = data }).status)
      assert.are.equal("5000005\n", output(uuid, "stdout"))
    end)

    it("is cut when the process reads no more", function()
      for _, command in ipairs(DEAF) do
        local uuid, at = start(command)
        local connection = engine:connect()
        connection:request("POST", at .. "/stream", { body = data })
        local reply = connection:response()
        assert.is_true(not reply or reply.status == 409)
        connection:close()
        assert.are.equal("SUCCESS", engine:wait(uuid).status)
      end
    end)

    it("stays open when it is broken off", function()
      local uuid, at = start("cat")
      local connection = engine:connect()
      connection:send(("POST %s/stream HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        :format(at))
      wire.eventually("the bytes", function()
        local result = engine:get("/v1/operations/" .. uuid .. "?inflight=1").json.metadata.result
        return result.stdout.value == "firstabc"
      end)
      connection:close()
      assert.are.equal(204, send(at, { body = "def" }).status)
      assert.are.equal("firstabcdef", output(uuid, "stdout"))
    end)

    it("is refused before its body, to a client that waits for that", function()
      local uuid, at = start("sleep 60")
      local function refused(status, where)
        local connection = engine:connect()
        connection:send(("POST %s/stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
          .. "Expect: 100-continue\r\n\r\n"):format(where))
        connection.method = "POST"
        assert.are.equal(status, connection:response().status)
        connection:close()
      end
      refused(404, (at:gsub("/1/", "/9/")))
      refused(404, (at:gsub("operations/........", "operations/00000000")))
      assert.are.equal(204, engine:post(at, { value = "" }).status)
      refused(409, at)
      engine:request("DELETE", "/v1/operations/" .. uuid)
      engine:wait(uuid)
      refused(409, at)
    end)
  end)

  describe("from a descriptor", function()
    it("is all of the rest, and then the end", function()
      for _, offset in ipairs{ 0, 1, 4999999, 5000000, 6000000 } do
        local uuid, at = start("cat")
        local reply = hand_over(at, offset)
        assert.are.equal(204, reply.status, reply.body)
        local expected = "first" .. data:sub(offset + 1)
        assert.is_true(output(uuid, "stdout") == expected)
        assert.is_true(output(uuid, "stdin") == expected)
        assert.are.equal("SUCCESS", engine:wait(uuid).status)
      end
    end)

    it("waits for a process that does not read", function()
      local uuid, at = start("sleep 0.5; wc -c; sleep 0.2")
      assert.are.equal(204, hand_over(at, 0).status)
      assert.are.equal("5000005\n", output(uuid, "stdout"))
    end)

    it("is dropped when the process reads no more", function()
      for _, command in ipairs(DEAF) do
        local uuid, at = start(command)
        local reply = hand_over(at, 0)
        assert.is_true(reply.status == 204 or reply.status == 409, reply.body)
        assert.are.equal("SUCCESS", engine:wait(uuid).status)
      end
    end)

    it("is the last input", function()
      local uuid, at = start("sleep 60")
      assert.are.equal(204, hand_over(at, 0).status)
      wire.refuses(409, "closed", hand_over(at, 0))
      wire.refuses(409, "closed", engine:post(at, { value = "x" }))
      engine:request("DELETE", "/v1/operations/" .. uuid)
      assert.are.equal("CANCELLED", engine:wait(uuid).status)
      wire.refuses(409, "not running", hand_over(at, 0))
    end)

    it("fails the run when the file becomes shorter", function()
      local copy = directory .. "/copy"
      wire.run(("head -c 20000000 /dev/zero > %s"):format(copy))
      local uuid, at = start("sleep 0.5; cat | wc -c")
      assert.are.equal(204, hand_over(at, 0, copy).status)
      wire.run("truncate -s 10 " .. copy)
      local operation = engine:wait(uuid)
      assert.are.equal("FAILED", operation.status)
      assert.matches("cannot read the standard input", operation.error)
    end)

    it("is refused when it is not that file", function()
      local uuid, at = start("cat")
      local function post(body) return engine:post(at .. "/descriptor", body) end
      local file = assert(core.open_file(path))
      local what = file:describe()
      wire.refuses(422, "not that file", post{ fd = what.fd, inode = "1.2" })
      wire.refuses(422, "not that file", post{ fd = 99999, inode = what.inode })
      wire.refuses(400, "fd", post{ inode = what.inode })
      wire.refuses(400, "inode", post{ fd = what.fd })
      wire.refuses(400, "offset", post{ fd = what.fd, inode = what.inode, offset = -1 })
      wire.refuses(404, "process 7", engine:post((at:gsub("/1/", "/7/")) .. "/descriptor",
        { fd = what.fd, inode = what.inode }))
      file:close()
      assert.are.equal(204, engine:post(at, { value = "" }).status)
      assert.are.equal("first", output(uuid, "stdout"))
    end)
  end)
end)
