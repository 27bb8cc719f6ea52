-- Running processes and their output, on an unreliable server.
local contree = require("contree")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")
local stdio = require("contree.base.stdio")

describe("a process", function()
  local server, client, image, op

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    client = contree.new{ url = server.url, token = "t", retry = { max_attempts = 3 } }
    image = client.images:use(fake.IMAGE)
    op = client.operations:get("op-1")
  end)

  local base = "/v1/operations/op-1"
  local quick = { ["Retry-After"] = "0" }
  local executing = { status = 200, json = { uuid = "op-1", status = "EXECUTING" } }
  local started = fake.stream(fake.frames({}, { open = true }))

  local function rules(options, more)
    local list = fake.run(options)
    for _, rule in ipairs(more) do list[#list + 1] = rule end
    server:rules(list)
  end

  local function at(method, path, ...)
    return { method = method, path = base .. path, replies = { ... } }
  end

  local function asked(method, pattern)
    local found = {}
    for _, request in ipairs(server:requests()) do
      local fits = request.method == method and request.path:find(pattern)
      if fits then found[#found + 1] = request end
    end
    return found
  end

  describe("as it is told what to do", function()
    it("is waited for when it is not there yet", function()
      rules({ events = { started } }, { at("POST", "/subprocesses/1/stdin",
        { status = 404, json = { error = "no process" } }, { status = 204 }) })
      op:write("x")
      assert.are.equal("1", asked("GET", "events$")[1].query:match("spid=(%d+)"))
      assert.are.equal(2, #asked("POST", "stdin$"))
    end)

    it("is started when the operation is", function()
      rules({ events = { started } }, { at("POST", "/subprocesses",
        { status = 425, headers = { ["Retry-After"] = "50" } },
        { status = 201, json = { spid = 2 } }) })
      assert.are.equal(2, op:spawn("true").spid)
    end)

    it("is not asked for twice when the answer is lost", function()
      rules({}, { at("POST", "/subprocesses", { ["end"] = "cut" },
        { status = 201, json = { spid = 2 } }) })
      assert.are.equal("connection", failure(op.spawn, op, "true").kind)
      assert.are.equal(1, #asked("POST", "subprocesses$"))
    end)

    it("gets the time to read what it was sent", function()
      local full = { status = 429, headers = quick, json = { error = "full" } }
      rules({}, { at("POST", "/subprocesses/1/stdin", full, full, full, full, full, full, full,
        { status = 204 }) })
      op:write("x")
      assert.are.equal(8, #asked("POST", "stdin$"))
    end)

    it("gets its input in order, in pieces, and the end with the last", function()
      rules({}, { at("POST", "/subprocesses/1/stdin", { status = 204 }) })
      local data = ("0123456789"):rep(60000)
      op:write(data)
      op:write("")
      op:close_stdin()
      local parts, closed = {}, {}
      for i, request in ipairs(asked("POST", "stdin$")) do
        parts[i], closed[i] = stdio.decode(request.json), request.json.close
      end
      assert.is_true(table.concat(parts) == data)
      for i = 1, #parts do
        assert.is_true(#parts[i] <= 262144)
        assert.are.equal(i == #parts, closed[i])
      end
    end)

    it("knows signals by name", function()
      rules({}, { at("DELETE", "/subprocesses/1", { status = 204 }, { status = 204 },
        { status = 204 }, { status = 409, json = { error = "ended" } }) })
      assert.is_true(op:kill())
      assert.is_true(op:kill(15))
      assert.is_true(op:kill("SIGINT"))
      assert.is_false(op:kill("RTMIN+1"))
      local names = {}
      for i, request in ipairs(asked("DELETE", "1$")) do names[i] = request.query end
      assert.are.same({ "signal=KILL", "signal=TERM", "signal=INT", "signal=RTMIN%2B1" }, names)
    end)

    it("may be of an operation that never was", function()
      server:rules{}
      assert.are.equal("not_found", failure(op.kill, op).kind)
      assert.are.equal("not_found", failure(op.write, op, "x").kind)
      assert.are.equal("not_found", failure(op.spawn, op, "x").kind)
    end)
  end)

  describe("as it is read", function()
    local frames = fake.frames{ "one\ntw", "o\nthr", "ee" }

    local function slice(from, to) return { (table.unpack or unpack)(frames, from, to) } end

    it("loses nothing when the connection is cut", function()
      rules({ events = { fake.stream(slice(1, 3), { ["end"] = "cut" }),
        fake.stream(slice(1, 4), { ["end"] = "reset" }), fake.stream(slice(4, 99)) },
        operations = { executing, executing, { status = 200, json = fake.operation{} } } }, {})
      local p = image:popen("x")
      local lines = {}
      for line in p:lines() do lines[#lines + 1] = line end
      assert.are.same({ "one", "two", "three" }, lines)
      assert.is_nil(p.stdout:read("l"))
    end)

    it("is read at its end from a server without event streams", function()
      rules({ events = { { status = 501, json = { error = "no events" } } },
        operations = { executing, { status = 200, json = fake.operation{ stdout = "all\nof it",
          stderr = "e", exit_code = 3 } } } }, {})
      local p = image:popen("x")
      assert.are.equal("all", p.stdout:read("l"))
      assert.are.equal(3, p:wait())
      assert.are.equal("of it", p.stdout:read())
      assert.are.equal("e", p.stderr:read())
    end)

    it("needs no events for what is known at the end", function()
      rules({ events = { fake.stream{ frames[1], frames[#frames] } },
        operations = { { status = 200, json = fake.operation{ stdout = "a", stderr = "b" } } } },
        { at("POST", "/subprocesses/1/stdin", { status = 204 }) })
      local p = image:popen("x")
      local out, err = p:communicate()
      assert.are.equal("a b", out .. " " .. err)
      assert.are.equal(1, #asked("GET", "events$"))
    end)

    it("has one reader for each stream", function()
      rules({ events = { fake.stream{ frames[1], 0.3, frames[3], frames[6], frames[7] } } }, {})
      local p = image:popen("x")
      contree.async(function()
        local first = contree.spawn(p.stdout.read, p.stdout, 1)
        contree.sleep(0.05)
        assert.are.equal("conflict", failure(p.stdout.read, p.stdout, 1).kind)
        assert.are.equal("o", first:wait())
      end)
      assert.are.equal("ne\ntw", p.stdout:read())
    end)

    it("fails where the server refuses its events", function()
      rules({ events = { { status = 403, json = { error = "not yours" } },
        fake.stream(slice(1, 99)) } }, {})
      local p = image:popen("x")
      assert.are.equal("forbidden", failure(p.stdout.read, p.stdout, 1).kind)
      assert.is_true(p.operation:cancel())
    end)

    it("says of a subprocess what the server knows when its events are gone", function()
      rules({ events = { { status = 404, json = { error = "no events" } } } }, {
        at("POST", "/subprocesses", { status = 201, json = { spid = 2 } }),
        at("GET", "/subprocesses/2", { status = 200, json = {
          state = { exit_code = 6, signal = -1 },
          stdout = { value = "b3V0/w==", encoding = "base64", truncated = true },
        } }),
      })
      local result = op:spawn("x"):wait()
      assert.are.equal(6, result.exit_code)
      assert.are.equal("out\255", result.stdout)
      assert.is_true(result.stdout_truncated)
    end)

    it("takes back what got no terminal", function()
      rules({ events = { fake.stream(fake.frames({})) } },
        { at("POST", "/subprocesses", { status = 201, json = { spid = 2 } }),
          at("DELETE", "/subprocesses/2", { status = 204 }) })
      assert.are.equal("not_supported", failure(op.spawn, op, { shell = "x", tty = true }).kind)
      assert.is_true(asked("POST", "subprocesses$")[1].json.tty)
      assert.are.equal(1, #asked("DELETE", "subprocesses/2"))
      for _, call in ipairs{ "run", "start", "popen" } do
        rules({}, {})
        local options = { tty = { rows = 2 } }
        local err = failure(function()
          if call == "popen" then return image:popen("x", options) end
          options.shell = "x"
          return image[call](image, options)
        end)
        assert.are.equal("not_supported", err.kind)
        assert.are.equal(1, #asked("DELETE", "op%-1$"))
        assert.are.same({ rows = 2 }, asked("POST", "instances$")[1].json.tty)
      end
    end)

    it("sends a subprocess what the API asks for", function()
      rules({ events = { fake.stream(fake.frames({})) } },
        { at("POST", "/subprocesses", { status = 201, json = { spid = 2 } }) })
      op:spawn{ command = "a", args = { "b" }, env = { A = "1" }, stdin = contree.PIPE }
      assert.are.same({ command = "a", shell = false, args = { "b" }, env = { A = "1" },
        stdin = { value = "", encoding = "ascii", close = false } },
        asked("POST", "subprocesses$")[1].json)
    end)
  end)
end)
