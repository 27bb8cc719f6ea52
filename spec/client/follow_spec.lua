-- Following an operation whatever happens to the connection (http-api.md §6, §7).
local contree = require("contree")
local core = require("contree.core")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")

describe("following an operation", function()
  local server, client, operation

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    client = contree.new{ url = server.url, token = "t", retry = { max_attempts = 4 } }
    operation = client.operations:get("op-1")
  end)

  local executing = { status = 200, json = { uuid = "op-1", status = "EXECUTING" } }
  local quick = { ["Retry-After"] = "0" }

  local function done(fields) return { status = 200, json = fake.operation(fields or {}) } end

  -- Run with live output; returns the output and the result.
  local function run(events, operations)
    server:rules(fake.run{ events = events, operations = operations })
    local out = {}
    local result = client.images:use(fake.IMAGE):run{ shell = "x",
      stdout = function(chunk) out[#out + 1] = chunk end }
    return table.concat(out, ","), result
  end

  local function cursors()
    local list = {}
    for _, request in ipairs(server:requests()) do
      if request.path:find("/events$") then
        list[#list + 1] = request.headers["last-event-id"] or "none"
      end
    end
    return list
  end

  local frames = fake.frames{ "a", "b", "c" }

  local function slice(from, to) return { (table.unpack or unpack)(frames, from, to) } end

  for _, ending in ipairs{ "cut", "reset", "clean" } do
    it("resumes after the last event when the stream ends: " .. ending, function()
      local stop = ending ~= "clean" and ending or nil
      local out, result = run({
        fake.stream(slice(1, 4), { ["end"] = stop }), fake.stream(slice(5, 5), { ["end"] = stop }),
        fake.stream(slice(6, 99)),
      }, { executing })
      assert.are.equal("a,b,c", out)
      assert.are.equal(0, result.exit_code)
      assert.are.same({ "none", "3", "4" }, cursors())
    end)
  end

  it("throws a half frame away, and gets it again", function()
    local half = frames[4]:sub(1, 60)
    assert.are.equal("a,b,c", (run({ fake.stream({ frames[1], frames[2], frames[3], half },
      { ["end"] = "cut" }), fake.stream(slice(4, 99)) }, { executing })))
    assert.are.same({ "none", "2" }, cursors())
  end)

  it("takes frames in any pieces, comments and CRLF", function()
    local text = table.concat(frames):gsub("\n", "\r\n")
    local pieces = { ": keepalive\r\n\r\n" }
    for i = 1, #text, 7 do pieces[#pieces + 1] = text:sub(i, i + 6) end
    assert.are.equal("a,b,c", (run({ fake.stream(pieces) }, { executing })))
  end)

  it("goes on after an error inside the stream", function()
    assert.are.equal("a,b,c", (run({
      fake.stream{ frames[1], frames[2], frames[3], "event: sse_error\ndata: upstream gone\n\n" },
      fake.stream(slice(4, 99)) }, { executing })))
  end)

  it("fetches a broken frame again, but not for ever", function()
    local broken = "id: 3\nevent: stdout\ndata: {oops\n\n"
    assert.are.equal("a,b,c", (run({ fake.stream{ frames[1], frames[2], frames[3], broken },
      fake.stream(slice(4, 99)) }, { executing })))
    local err = failure(run, { fake.stream{ "data: {oops\n\n" } }, { executing })
    assert.are.equal("server", err.kind)
    assert.matches("broken", tostring(err))
  end)

  it("waits for a log that is not there yet", function()
    assert.are.equal("a,b,c", (run({ { status = 425, headers = quick },
      { status = 410, headers = quick }, { status = 503, headers = quick },
      { status = 429, headers = quick }, fake.stream(frames) }, { executing })))
  end)

  it("reads the rest of the log when the operation has ended meanwhile", function()
    local out, result = run({ fake.stream(slice(1, 3), { ["end"] = "cut" }),
      fake.stream(slice(4, 99)) }, { done{ stdout = "abc" } })
    assert.are.equal("a,b,c", out)
    assert.are.equal(0, result.exit_code)
    local asked = server:requests()
    assert.are.equal("", asked[4].query) -- no follow
    assert.are.equal("2", asked[4].headers["last-event-id"])
  end)

  it("takes the rest from the operation when its log stays incomplete", function()
    local out, result = run({ fake.stream(slice(1, 3)) }, { done{ stdout = "abc", exit_code = 5 } })
    assert.are.equal("a,bc", out)
    assert.are.equal(5, result.exit_code)
  end)

  for _, status in ipairs{ 404, 405, 406, 400 } do
    it("polls where there are no events: " .. status, function()
      local out, result = run({ { status = status } }, { executing, executing,
        done{ stdout = "abc", exit_code = 7, result = fake.KEPT } })
      assert.are.equal("abc", out)
      assert.are.equal(7, result.exit_code)
      assert.are.equal(fake.KEPT, result.uuid)
    end)
  end

  it("polls through trouble", function()
    local _, result = run({ { status = 404 } }, { { status = 503 }, { ["end"] = "cut" }, executing,
      { status = 410, headers = quick }, done{ exit_code = 1 } })
    assert.are.equal(1, result.exit_code)
  end)

  it("fails when the operation is gone", function()
    assert.are.equal("not_found", failure(run, { { status = 404 } }, { { status = 404 } }).kind)
  end)

  it("fails when it may not look, and then cancels", function()
    assert.are.equal("auth", failure(run, { { status = 401 } }, { executing }).kind)
    assert.are.equal("DELETE /v1/operations/op-1", server:asked()[3])
  end)

  it("gives up on a server that has gone", function()
    local err = failure(run, { { ["end"] = "cut" } }, { { ["end"] = "cut" } })
    assert.are.equal("connection", err.kind)
  end)

  it("keeps to the caller's limit, and leaves the operation alone then", function()
    server:rules(fake.run{ events = { fake.stream{ frames[1], 5 } }, operations = { executing } })
    assert.are.equal("timeout", failure(operation.wait, operation, 0.1).kind)
    for _, asked in ipairs(server:asked()) do assert.is_nil(asked:find("DELETE")) end
    server:rules(fake.run{ events = { { status = 404 } }, operations = { executing } })
    assert.are.equal("timeout", failure(operation.wait, operation, 0.2).kind)
    server:rules(fake.run{ events = { fake.stream(frames) },
      operations = { done{ stdout = "x" } } })
    assert.are.equal("x", operation:wait().stdout)
  end)

  it("iterates over events", function()
    server:rules(fake.run{ events = { fake.stream(slice(1, 4), { ["end"] = "cut" }),
      fake.stream(slice(5, 99)) }, operations = { executing } })
    local seen, bytes = {}, {}
    for event in operation:events() do
      seen[#seen + 1] = event.id .. event.type
      bytes[#bytes + 1] = event.bytes
    end
    assert.are.same({ "0init", "1spawn", "2stdout", "3stdout", "4stdout", "5exit", "6completion" },
      seen)
    assert.are.same({ "a", "b", "c" }, bytes)
    server:rules(fake.run{ events = { fake.stream(slice(6, 99)) } })
    for _ in operation:events{ since = 4, spid = 1 } do seen[#seen + 1] = true end
    assert.are.equal("follow=1&since=4&spid=1", server:requests()[1].query)
  end)

  it("iterates over output, wherever it is to be had", function()
    local function output()
      local seen = {}
      for bytes, stream in operation:output() do seen[#seen + 1] = stream .. " " .. bytes end
      return seen
    end
    server:rules(fake.run{ events = { fake.stream(slice(1, 4), { ["end"] = "cut" }),
      fake.stream(slice(5, 99)) }, operations = { executing } })
    assert.are.same({ "stdout a", "stdout b", "stdout c" }, output())
    server:rules(fake.run{ events = { { status = 404 } },
      operations = { done{ stdout = "abc", stderr = "d" } } })
    assert.are.same({ "stdout abc", "stderr d" }, output())
  end)

  it("hangs up when a loop over events is left early", function()
    local function open_files()
      local pipe = io.popen(("ls /proc/%d/fd | wc -l"):format(core.getpid()))
      local count = pipe:read("*n")
      pipe:close()
      return count
    end
    server:rules(fake.run{ events = { fake.stream{ frames[1], frames[2], 30 } } })
    local function collect()
      for _ = 1, 3 do
        collectgarbage()
        contree.sleep(0)
      end
    end
    collect()
    local before = open_files()
    collectgarbage("stop")
    for i = 1, 5 do
      for event in client.operations:get("op-1"):events() do
        if event.type == "spawn" then break end
      end
      assert.is_true(i > 0)
    end
    local during = open_files()
    collectgarbage("restart")
    collect()
    -- Some requests shared an idle connection; a dead stack slot may still hold the last one.
    assert.is_true(during > before)
    assert.is_true(open_files() <= during - 3)
  end)

  it("ends a replayed stream by itself", function()
    server:rules(fake.run{ events = { { status = 404 } }, operations = { done() } })
    local last
    for event in operation:events() do last = event end
    assert.are.equal("completion", last.type)
    assert.are.equal("SUCCESS", last.data.status)
    assert.is_true(last.synthetic)
  end)

  it("tells an operation's status, and cancels it", function()
    server:rules(fake.run{ operations = { executing } })
    local status, details = operation:status()
    assert.are.equal("EXECUTING", status)
    assert.are.equal("op-1", details.uuid)
    assert.is_true(operation:cancel())
    server:rules{ { method = "DELETE", path = "/v1/operations/op-1", replies = {
      { status = 409, json = { error = "operation is not cancellable" } } } },
      { path = "/v1/operations", replies = { { status = 200, json = { { uuid = "op-2" } } } } } }
    assert.is_false(operation:cancel())
    assert.are.equal("op-2", client.operations:list{ status = "SUCCESS", before = "1h" }[1].uuid)
    assert.are.equal("status=SUCCESS&until=1h", server:requests()[2].query)
  end)
end)
