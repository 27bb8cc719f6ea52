-- Every kind of error, with a cause from practice (docs/use/errors.md).
local contree = require("contree")
local disk = require("spec.support.disk")
local errors = require("contree.base.errors")
local fake = require("spec.support.fake")

local SERVER_KINDS = { [400] = "invalid_argument", [401] = "auth", [403] = "forbidden",
  [404] = "not_found", [405] = "not_supported", [406] = "not_supported", [408] = "timeout",
  [409] = "conflict", [410] = "gone", [413] = "unprocessable", [422] = "unprocessable",
  [425] = "too_early", [429] = "rate_limited", [500] = "server", [501] = "not_supported",
  [502] = "server", [503] = "server", [504] = "server", [302] = "server", [307] = "server",
  [308] = "server" }

-- Requests with these statuses are sent again (docs/use/errors.md).
local AGAIN = { [410] = true, [425] = true, [429] = true, [500] = true, [502] = true, [503] = true,
  [504] = true }

describe("every kind of error", function()
  local server, other, reached = nil, nil, {}

  setup(function() server, other = fake.start(), fake.start() end)
  teardown(function()
    server:stop()
    other:stop()
  end)

  local function new(options)
    options = options or {}
    options.url, options.token = options.url or server.url, "tok-en-value"
    options.retry = options.retry or { max_attempts = 2 }
    return contree.new(options)
  end

  local function failure(kind, fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    assert.is_true(errors.is(err), tostring(err))
    assert.are.equal(kind, err.kind, tostring(err))
    assert.is_string(err.message)
    assert.is_nil(tostring(err):find("[%c]"))
    assert.is_nil(tostring(err):find("tok-en-value", 1, true))
    reached[kind] = true
    return err
  end

  local function whoami(options) return function() return new(options):whoami() end end

  local function answers(...)
    server:rules{ { path = "/v1/whoami", replies = { ... } } }
  end

  for status, kind in pairs(SERVER_KINDS) do
    it(("status %d: %s"):format(status, kind), function()
      answers{ status = status, json = { error = "it \27[31msays\nso" },
        headers = { ["Retry-After"] = "0" } }
      local err = failure(kind, whoami())
      assert.are.equal(status, err.status)
      assert.matches("it %?%[31msays so", err.message)
      assert.are.equal(AGAIN[status] and 2 or 1, #server:requests())
    end)
  end

  it("connection: refused, cut, reset, short", function()
    failure("connection", whoami{ url = "http://127.0.0.1:1" })
    answers{ ["end"] = "cut" }
    failure("connection", whoami())
    answers{ ["end"] = "reset" }
    failure("connection", whoami())
    answers{ status = 200, json = { token_uuid = "t" }, ["end"] = "cut" }
    failure("connection", whoami())
    assert.are.equal(2, #server:requests())
    failure("connection", whoami{ url = "http://no-such-host.invalid" })
  end)

  it("connection: gzip that is cut or none", function()
    answers{ status = 200, json = { token_uuid = "t" }, gzip = true, ["end"] = "cut" }
    failure("connection", whoami())
    answers{ status = 200, body = "{}", headers = { ["Content-Encoding"] = "gzip" } }
    failure("connection", whoami())
    answers({ status = 200, json = { token_uuid = "t" }, gzip = true, ["end"] = "cut" },
      { status = 200, json = { token_uuid = "t" }, gzip = true })
    assert.are.equal("t", whoami()().token_uuid)
  end)

  it("server: JSON that is none, is cut by a wrong length, or is no object", function()
    local type_of_json = { ["Content-Type"] = "application/json" }
    answers{ status = 200, body = "{oops", headers = type_of_json }
    failure("server", whoami())
    for _, value in ipairs{ fake.null, 5, "text", {}, { token_uuid = 5 } } do
      answers{ status = 200, json = value }
      failure("server", whoami())
    end
    answers{ status = 200, body = "<html>who are you?</html>",
      headers = { ["Content-Type"] = "text/html" } }
    failure("server", whoami())
  end)

  it("server: what follows a wrong length is not taken for the next answer", function()
    local client = new()
    answers({ status = 200, body = '{"token_uuid":"t"}HTTP/1.1 200 OK\r\n\r\n', headers = {
      ["Content-Type"] = "application/json", ["Content-Length"] = "18" } },
      { status = 200, json = { token_uuid = "next" } })
    assert.are.equal("t", client:whoami().token_uuid)
    assert.are.equal("next", client:whoami().token_uuid)
  end)

  it("server: a page of HTML where there should be JSON", function()
    server:rules{ { path = ".*", replies = { { status = 200, body = "<html>sign in</html>",
      headers = { ["Content-Type"] = "text/html" } } } } }
    local client = new()
    local image = client.images:use(fake.IMAGE)
    local operation = client.operations:get("op-1")
    for _, call in pairs{
      list = function() client.images:list() end,
      strict = function() client.images:use(fake.IMAGE, { strict = true }) end,
      run = function() image:run("true") end,
      status = function() operation:status() end,
      wait = function() operation:wait() end,
      operations = function() client.operations:list() end,
      ls = function() image:ls("/") end,
      grep = function() image:grep("x") end,
      diff = function() image:diff(fake.KEPT) end,
      upload = function() client.files:upload{ data = "x" } end,
      find = function() client.files:find(("0"):rep(64)) end,
      import = function() client.images:import_from("a:1") end,
      spawn = function() operation:spawn("x") end,
    } do
      failure("server", call)
    end
  end)

  it("server: a body without end", function()
    answers{ status = 200, body = "0123456789", ["repeat"] = 7000000, gzip = true,
      headers = { ["Content-Type"] = "application/json" } }
    local err = failure("server", whoami())
    assert.matches("larger than", err.message)
    assert.are.equal(1, #server:requests())
  end)

  it("server: an event stream of garbage, or with a line without end", function()
    server:rules(fake.run{ events = { fake.stream{ "data: {oops\n\n" } },
      operations = { { status = 200, json = { uuid = "op-1", status = "EXECUTING" } } } })
    local operation = new().operations:get("op-1")
    failure("server", operation.wait, operation)
    server:rules(fake.run{ events = { fake.stream{ { "data: x", 800000 } } },
      operations = { { status = 200, json = { uuid = "op-1", status = "EXECUTING" } } } })
    operation = new().operations:get("op-1")
    failure("server", operation.wait, operation)
  end)

  it("server: a redirect, which takes no credentials anywhere", function()
    for _, status in ipairs{ 301, 302, 303, 307, 308 } do
      other:rules{}
      server:rules{ { path = ".*", replies = { { status = status,
        headers = { Location = other.url .. "/v1/whoami" } } } } }
      local err = failure("server", whoami())
      assert.matches(other.url, err.hint, 1, true)
      local image = new().images:use(fake.IMAGE)
      failure("server", image.run, image, "true")
      local operation = new().operations:get("op-1")
      failure("server", operation.wait, operation)
      assert.are.same({}, other:asked())
    end
    -- The API has one redirect; its location is read and not followed.
    server:rules{ { path = "/v1/inspect/", replies = { { status = 302,
      headers = { Location = other.url .. "/v1/inspect/" .. fake.IMAGE .. "/" } } } } }
    assert.are.equal(fake.IMAGE, new().images:use("a:1", { strict = true }).uuid)
    assert.are.same({}, other:asked())
  end)

  it("timeout: no answer, an answer that stalls, a file that stalls, a deadline", function()
    answers{ status = 200, json = {}, delay = 5 }
    failure("timeout", whoami{ timeout = 0.1 })
    answers{ status = 200, chunks = { "{", 5 } }
    failure("timeout", whoami{ timeout = 0.1 })
    server:rules{ { path = "/v1/inspect/.*", replies = { { status = 200, chunks = { "x", 5 } } } } }
    local path = os.tmpname()
    os.remove(path)
    local image = new{ timeout = 0.2 }.images:use(fake.IMAGE)
    failure("timeout", image.download, image, "/x", path)
    assert.is_nil(io.open(path))
    failure("timeout", contree.timeout, 0.05, contree.sleep, 5)
    assert.are.equal(1, #server:requests())
  end)

  it("cancelled: a task, an operation", function()
    local task = contree.spawn(contree.sleep, 5)
    contree.sleep(0)
    task:cancel()
    failure("cancelled", task.wait, task)
    server:rules(fake.run{ spawned = { status = 201, json = fake.operation{ status = "CANCELLED",
      uuid = "op-1" } } })
    local image = new().images:use(fake.IMAGE)
    assert.is_table(failure("cancelled", image.run, image, "x").operation)
  end)

  it("operation_failed, command_failed: with what is known of the run", function()
    server:rules(fake.run{ spawned = { status = 201, json = fake.operation{ status = "FAILED",
      uuid = "op-1", error = "no\7 such\ncwd" } } })
    local image = new().images:use(fake.IMAGE)
    local err = failure("operation_failed", image.run, image, "x")
    assert.matches("no%? such cwd", err.message)
    assert.is_table(err.result)
    server:rules(fake.run{ spawned = { status = 201, json = fake.operation{ uuid = "op-1",
      exit_code = 3, stderr = "why\n" } } })
    err = failure("command_failed", image.run, image, { shell = "x", check = true })
    assert.are.equal(3, err.result.exit_code)
  end)

  it("engine_unavailable: no program, or one that fails", function()
    local err = failure("engine_unavailable", function()
      contree.new{ engine = { path = "/no/such/engine", socket = "/tmp/contree-none.sock" } }
        :whoami()
    end)
    assert.is_string(err.hint)
  end)

  it("file: one that cannot be read, written or sent", function()
    local image = new().images:use(fake.IMAGE)
    failure("file", image.run, image, { shell = "x", files = { "/no/such" } })
    failure("file", image.run, image, { shell = "x", stdout = { path = "/no/such/out" } })
    failure("file", image.run, image, { shell = "x", stdin = { path = "/no/such" } })
    server:rules{ { path = "/v1/inspect/.*", replies = { { status = 200, body = "x" } } } }
    failure("file", image.download, image, "/x", "/no/such/file")
  end)

  it("invalid_argument: misuse, at the caller's line", function()
    local err = failure("invalid_argument", function() new{ tokn = "x" } end)
    assert.is_true(err.misuse)
    assert.matches("errors_spec.lua:%d+", err.where)
    assert.matches("token", err.hint)
    for _, value in ipairs{ "a\r\nEvil: 1", "a\0b" } do
      failure("invalid_argument", new, { user_agent = value })
      failure("invalid_argument", new, { project = value })
      failure("invalid_argument", new, { headers = { ["X-A"] = value } })
      failure("invalid_argument", new, { headers = { [value] = "x" } })
    end
  end)

  it("internal: a fault of our own", function()
    local class = require("contree.base.class")
    local strict, module = class.strict, require("contree.image")
    local find_tag = module.find_tag
    class.strict = false
    module.find_tag = function() return find_tag(nil) end
    finally(function() class.strict, module.find_tag = strict, find_tag end)
    local image = new().images:use("a:1")
    failure("internal", image.read, image, "/x")
  end)

  it("is here", function()
    local source = debug.getinfo(errors.new, "S").source:match("^@(.*)$")
    local text = disk.read(source):match("%-%-%-@alias contree.ErrorKind\n(.-)\n\n")
    local count = 0
    for kind in text:gmatch('"([%w_]+)"') do
      count = count + 1
      assert.is_true(reached[kind], kind .. " is reached by no test")
    end
    assert.is_true(count >= 18)
  end)
end)

describe("whatever types a server sends", function()
  local server

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)

  local VALUES = { 5, -1.5, "text", true, fake.null, {}, { 1 }, { a = { 1 } } }

  -- Calls each(changed) with copies of a value in which one member differs.
  local function each_change(value, each, root)
    root = root or value
    for key, member in pairs(value) do
      for _, other in ipairs(VALUES) do
        value[key] = other
        each(root)
      end
      value[key] = member
      if type(member) == "table" then each_change(member, each, root) end
    end
  end

  local count

  local function sound(fn, ...)
    count = count + 1
    local ok, err = pcall(fn, ...)
    if not ok then assert.is_true(errors.is(err), tostring(err)) end
  end

  it("it is a result or an error: of an operation", function()
    count = 0
    local client = contree.new{ url = server.url, token = "t", retry = { max_attempts = 1 } }
    local image = client.images:use(fake.IMAGE)
    local operation = fake.operation{ uuid = "op-1", stdout = "x", result = fake.KEPT }
    each_change(operation, function(changed)
      -- An operation that has not ended would be requested again, which is no part of this test.
      if changed.status ~= "SUCCESS" then return end
      server:rules(fake.run{ spawned = { status = 201, json = changed },
        operations = { { status = 200, json = changed } } })
      sound(image.run, image, { shell = "x", check = true, disposable = false })
    end)
    assert.is_true(count > 150)
  end)

  it("it is a result or an error: of events", function()
    count = 0
    local client = contree.new{ url = server.url, token = "t", retry = { max_attempts = 1 } }
    local cjson = require("cjson")
    local list = {}
    for _, frame in ipairs(fake.frames({ "x" }, { result = fake.KEPT })) do
      list[#list + 1] = cjson.decode(frame:match("data: (.-)\n"))
    end
    -- A stream without a completion would be read again, which is no part of this test.
    for _, event in ipairs(list) do
      each_change(event.data, function()
        local frames = {}
        for k, each in ipairs(list) do
          frames[k] = ("id: %d\ndata: %s\n\n"):format(k, cjson.encode(each))
        end
        server:rules(fake.run{ events = { fake.stream(frames) } })
        sound(function()
          client.images:use(fake.IMAGE):run{ shell = "x", stdout = function() end }
        end)
      end)
    end
    assert.is_true(count > 150)
  end)

  it("it is a result or an error: of images, entries, matches and changes", function()
    count = 0
    local client = contree.new{ url = server.url, token = "t", retry = { max_attempts = 1 } }
    local image = client.images:use(fake.IMAGE)
    local answer = {
      images = { { uuid = fake.IMAGE, tag = "a", created_at = "x" } },
      files = { { path = "x", mode = 33188, size = 1, is_regular = true, symlink_to = "" } },
      matches = { { path = "/x", line_text = "y" } },
      changes = { { path = "/x", kind = "file", change = "added", mode = 420, size = 1 } },
    }
    each_change(answer, function(changed)
      server:rules{ { path = ".*", replies = { { status = 200, json = changed } } } }
      sound(client.images.list, client.images, { tagged = true })
      sound(image.ls, image, "/")
      sound(image.stat, image, "/x")
      sound(image.grep, image, "y")
      sound(image.diff, image, fake.KEPT)
    end)
    assert.is_true(count > 150)
  end)
end)
