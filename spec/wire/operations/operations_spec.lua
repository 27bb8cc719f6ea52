-- GET, DELETE and list of /operations, and their subprocesses.
local wire = require("spec.support.wire")

describe("/operations", function()
  local engine
  local nothing = "00000000-0000-4000-8000-000000000000"

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function spawn(command, options) return engine:spawn(wire.shell(command, options)) end
  -- Starts a run, and waits until its main process has been started.
  local function running(command, options)
    local uuid = spawn(command, options)
    local connection = engine:follow(uuid, "?follow=1")
    wire.await(connection, "spawn")
    connection:close()
    return uuid
  end
  local function get(uuid, query)
    return engine:get("/v1/operations/" .. uuid .. (query or ""))
  end
  local function cancel(uuid) return engine:request("DELETE", "/v1/operations/" .. uuid) end
  -- The path of a subprocess, or of the list.
  local function process(uuid, spid, rest)
    local path = ("/v1/operations/%s/subprocesses"):format(uuid)
    if not spid then return path end
    -- A number read from JSON may be a float, which Lua 5.4 prints with ".0".
    return path .. "/" .. tostring(spid):gsub("%.0$", "") .. (rest or "")
  end
  describe("GET", function()
    it("has nothing of an image that could not be saved", function()
      local uuid = running("echo >/f; until test -e /go; do sleep 0.05; done",
        { disposable = false })
      -- Where the layers are.
      wire.run(("mv %s/l %s/away"):format(engine.data, engine.data))
      assert.are.equal(201, engine:post(process(uuid), { command = "touch", args = { "/go" } })
        .status)
      local operation = engine:wait(uuid)
      wire.run(("mv %s/away %s/l"):format(engine.data, engine.data))
      assert.are.equal("FAILED", operation.status)
      assert.are.same({ wire.null, wire.null },
        { operation.image_size, operation.result_image_uuid })
      assert.are.equal("SUCCESS", engine:run{ shell = true, disposable = false,
        command = "echo >/f" }.status)
    end)

    it("knows a running operation", function()
      local uuid = running("echo early; sleep 60")
      local operation = get(uuid).json
      assert.are.equal("EXECUTING", operation.status)
      assert.are.equal(wire.null, operation.metadata.result)
      assert.are.equal("echo early; sleep 60", operation.metadata.command)
      assert.are.equal("tag:busybox:latest", operation.metadata.image)
      local result = wire.eventually("the output", function()
        local r = get(uuid, "?inflight=1").json.metadata.result
        return r.stdout.value == "early\n" and r
      end)
      assert.are.equal(-1, result.state.exit_code)
      assert.are.equal(-1, result.state.signal)
      cancel(uuid)
      engine:wait(uuid)
    end)

    it("takes ids of either case", function()
      local uuid = engine:run{ command = "true" }.uuid
      assert.are.equal(uuid, get(uuid:upper()).json.uuid)
    end)

    it("answers 404", function()
      wire.refuses(404, "operation", get(nothing))
      wire.refuses(404, "operation", get("x"))
      wire.refuses(400, "inflight", get(nothing, "?inflight=maybe"))
    end)
  end)

  describe("the list", function()
    local one, two, three

    setup(function()
      one = engine:run{ command = "true" }.uuid
      two = engine:run{ command = "true", cwd = "/no/such" }.uuid
      three = running("sleep 60")
    end)
    teardown(function()
      cancel(three)
      engine:wait(three)
    end)

    local function list(query)
      local reply = engine:get("/v1/operations" .. query)
      assert.are.equal(200, reply.status)
      local uuids = {}
      for i, operation in ipairs(reply.json) do uuids[i] = operation.uuid end
      return uuids, reply
    end

    it("is a bare array of summaries, newest first", function()
      local uuids, reply = list("")
      assert.are.same({ three, two, one }, { uuids[1], uuids[2], uuids[3] })
      assert.are.equal("EXECUTING", reply.json[1].status)
      assert.are.equal("FAILED", reply.json[2].status)
      assert.matches("/no/such", reply.json[2].error)
      assert.are.equal("SUCCESS", reply.json[3].status)
      assert.are.equal("instance", reply.json[3].kind)
      assert.is_number(reply.json[3].duration)
      assert.is_nil(reply.json[1].metadata)
    end)

    it("is filtered and paged", function()
      assert.are.same({ three }, (list("?status=EXECUTING")))
      assert.are.same({}, (list("?status=EXECUTING&offset=1")))
      assert.are.same({}, (list("?status=EXECUTING&kind=image_import")))
      assert.are.same({}, (list("?status=PENDING")))
      assert.are.same({ two }, (list("?status=FAILED&limit=1")))
      assert.are.equal(one, list("?status=SUCCESS")[1])
      assert.are.same({ two }, (list("?limit=1&offset=1")))
      assert.are.same({}, (list("?kind=image_import")))
      assert.are.same({}, (list("?until=1h")))
      assert.are.equal(three, list("?since=1h")[1])
    end)

    it("refuses what it does not know", function()
      wire.refuses(400, "status", engine:get("/v1/operations?status=DONE"))
      wire.refuses(400, "kind", engine:get("/v1/operations?kind=x"))
      wire.refuses(400, "limit", engine:get("/v1/operations?limit=0"))
    end)
  end)

  describe("DELETE", function()
    it("cancels, and drops what was written", function()
      local uuid = running("echo kept; echo x > /x; sleep 60", { disposable = false })
      local reply = cancel(uuid)
      assert.are.equal(202, reply.status)
      assert.are.equal("", reply.body)
      local operation = engine:wait(uuid)
      assert.are.equal("CANCELLED", operation.status)
      assert.are.equal(wire.null, operation.error)
      assert.are.equal(wire.null, operation.result_image_uuid)
      local frames = engine:events(uuid, "?follow=1")
      assert.are.equal("completion", frames[#frames].event)
      assert.are.equal("CANCELLED", frames[#frames].data.data.status)
      wire.refuses(409, "not cancellable", cancel(uuid))
    end)

    it("is refused where there is nothing to cancel", function()
      wire.refuses(409, "not cancellable", cancel(engine:run{ command = "true" }.uuid))
      wire.refuses(404, "operation", cancel(nothing))
    end)

    it("ends what ignores signals and hides in the background", function()
      local uuid = running("trap '' TERM INT HUP;"
        .. "setsid sh -c 'trap \"\" TERM; sleep 60' & sleep 60")
      cancel(uuid)
      assert.are.equal("CANCELLED", engine:wait(uuid).status)
    end)
  end)

  describe("timeouts", function()
    it("kill, and keep the output so far", function()
      local operation = engine:run{ command = "echo early; trap '' TERM; sleep 60 & sleep 60",
        shell = true, timeout = 1 }
      assert.are.equal("SUCCESS", operation.status)
      local result = operation.metadata.result
      assert.are.equal("early\n", result.stdout.value)
      assert.are.equal(-1, result.state.exit_code)
      assert.are.equal(9, result.state.signal)
      assert.is_true(result.state.timed_out)
      assert.are.equal("timeout", result.limit)
      local frames = engine:events(operation.uuid, "?spid=1")
      assert.is_true(frames[#frames].data.data.timed_out)
    end)

    it("fire also when everything in the sandbox is stopped", function()
      local result = engine:run{ command = "kill -STOP -1; kill -STOP $$; sleep 60", shell = true,
        timeout = 1 }.metadata.result
      assert.is_true(result.state.timed_out)
    end)
  end)

  describe("subprocesses", function()
    it("run in the same sandbox", function()
      local uuid = running("echo shared > /x; sleep 60", { disposable = false })
      wire.eventually("the file", function()
        local reply = engine:post(process(uuid), { command = "cat", args = { "/x" } })
        assert.are.equal(201, reply.status)
        local spid = reply.json.spid
        assert.is_true(spid >= 2)
        local result = wire.eventually("the process", function()
          local r = engine:get(process(uuid, spid)).json
          return r.state.exit_code >= 0 and r
        end)
        return result.stdout.value == "shared\n"
      end)
      local reply = engine:post(process(uuid), { command = "echo $A; id -u; pwd; exit 7",
        shell = true, env = { A = "1" }, uid = engine:id(5), gid = engine:id(6), cwd = "/tmp",
        truncate_output_at = 3 })
      local spid = reply.json.spid
      local frames = engine:follow(uuid, ("?follow=1&spid=%d"):format(spid))
      local exit = wire.await(frames, "exit")
      assert.are.equal(7, exit.data.data.code)
      frames:close()
      local result = engine:get(process(uuid, spid)).json
      assert.are.equal("1\n" .. engine:id(5), result.stdout.value)
      assert.is_true(result.stdout.truncated)
      assert.are.equal(204, engine:request("DELETE", process(uuid, "1")).status)
      local operation = engine:wait(uuid)
      assert.are.equal("SUCCESS", operation.status)
      assert.are.equal(9, operation.metadata.result.state.signal)
      assert.are_not.equal(operation.image_uuid, operation.result_image_uuid)
      -- The same is shown after the end.
      assert.are.same(result, engine:get(process(uuid, spid)).json)
      assert.are.equal(9, engine:get(process(uuid, "1")).json.state.signal)
    end)

    it("die with the main process", function()
      local uuid = running("read x", { stdin = { value = "", close = false } })
      local spid = engine:post(process(uuid), { command = "sleep 60", shell = true }).json.spid
      engine:post(process(uuid, "1", "/stdin"), { value = "", close = true })
      assert.are.equal("SUCCESS", engine:wait(uuid).status)
      assert.are.equal(9, engine:get(process(uuid, spid)).json.state.signal)
      local types = wire.types(engine:events(uuid))
      assert.matches("exit exit shutdown completion$", types)
    end)

    it("have a standard input", function()
      local uuid = running("sleep 60")
      local spid = engine:post(process(uuid), { command = "cat",
        stdin = { value = "one ", close = false } }).json.spid
      local path = process(uuid, spid, "/stdin")
      assert.are.equal(204, engine:post(path, { value = "dHdv", encoding = "base64",
        close = false }).status)
      assert.are.equal(204, engine:post(path, { value = " three\n" }).status)
      wire.refuses(409, "process 2", engine:post(path, { value = "x" }))
      local result = wire.eventually("cat to end", function()
        local r = engine:get(process(uuid, spid)).json
        return r.state.exit_code == 0 and r
      end)
      assert.are.equal("one two three\n", result.stdout.value)
      wire.refuses(409, "ended", engine:post(path, { value = "x" }))
      cancel(uuid)
      engine:wait(uuid)
    end)

    it("take signals by name and number", function()
      local uuid = running("sleep 60")
      for given, want in pairs{ TERM = 15, SIGINT = 2, ["1"] = 1, kill = 9 } do
        local sleep = { command = "sleep", args = { "60" } }
        local spid = engine:post(process(uuid), sleep).json.spid
        local path = process(uuid, spid)
        assert.are.equal(204, engine:request("DELETE", path .. "?signal=" .. given).status)
        wire.eventually("signal " .. given, function()
          return engine:get(path).json.state.signal == want
        end)
        assert.are.equal(204, engine:request("DELETE", path).status) -- again
      end
      wire.refuses(400, "signal", engine:request("DELETE", process(uuid, "1", "?signal=NOPE")))
      wire.refuses(400, "signal", engine:request("DELETE", process(uuid, "1", "?signal=99")))
      cancel(uuid)
      engine:wait(uuid)
    end)

    it("that cannot start say why", function()
      local uuid = running("sleep 60")
      local reply = engine:post(process(uuid), { command = "true", cwd = "/no/such" })
      assert.is_true(reply.status >= 400 and reply.status < 500, reply.body)
      assert.matches("/no/such", reply.json.error)
      wire.refuses(400, "command is missing", engine:post(process(uuid), {}))
      wire.refuses(404, "process", engine:get(process(uuid, "99")))
      wire.refuses(404, "process", engine:get(process(uuid, "x")))
      wire.refuses(404, "process", engine:request("DELETE", process(uuid, "99")))
      wire.refuses(404, "process", engine:post(process(uuid, "99", "/stdin"), { value = "" }))
      wire.refuses(400, "value is missing", engine:post(process(uuid, "1", "/stdin"), {}))
      wire.refuses(409, "closed", engine:post(process(uuid, "1", "/stdin"), { value = "x" }))
      cancel(uuid)
      engine:wait(uuid)
    end)

    it("are refused on an operation that has ended", function()
      local uuid = engine:run{ command = "true" }.uuid
      wire.refuses(409, "not running", engine:post(process(uuid), { command = "true" }))
      wire.refuses(409, "not running", engine:request("DELETE", process(uuid, "1")))
      wire.refuses(409, "not running", engine:post(process(uuid, "1", "/stdin"), { value = "" }))
      assert.are.equal(0, engine:get(process(uuid, "1")).json.state.exit_code)
      wire.refuses(404, "process", engine:get(process(uuid, "2")))
      wire.refuses(404, "operation", engine:post(process(nothing), { command = "true" }))
    end)
  end)

  describe("many at a time", function()
    it("run beside each other, and queue beyond the limit", function()
      local limit, holders, waiting = 64, {}, {}
      for i = 1, limit do holders[i] = spawn("exec sleep 300") end
      for i = 1, 40 do waiting[i] = spawn("echo " .. i) end
      local last = waiting[#waiting]
      local function count(status)
        return #engine:get(("/v1/operations?status=%s&limit=1000"):format(status)).json
      end
      wire.eventually("all places to be taken", function() return count("EXECUTING") == limit end)
      assert.are.equal(#waiting, count("PENDING"))
      -- The stream of a waiting run is open and quiet. A waiting run can be cancelled.
      local connection = engine:follow(last, "?follow=1")
      local early = engine:post(process(last, ""), { command = "true" })
      wire.refuses(425, "not started", early)
      assert.are.equal("1", early.headers["retry-after"])
      assert.are.equal(202, cancel(waiting[1]).status)
      assert.are.equal("CANCELLED", engine:wait(waiting[1]).status)
      -- One place is enough for all of them in turn.
      assert.are.equal(202, cancel(holders[1]).status)
      assert.are.equal(#waiting .. "\n", wire.await(connection, "stdout").data.data.value)
      connection:close()
      for i = 2, #waiting do
        assert.are.equal(i .. "\n", engine:wait(waiting[i]).metadata.result.stdout.value)
      end
      for i = 2, limit do cancel(holders[i]) end
      for i = 2, limit do engine:wait(holders[i]) end
    end)
  end)
end)
