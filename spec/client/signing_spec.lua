-- Secrets that are functions: what is asked of them, what is answered for them, and servers that
-- ask for nonsense.
local contree = require("contree")
local core = require("contree.core")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")
local json = require("contree.base.json")
local signing = require("contree.run.signing")

describe("a secret that signs", function()
  local server, client, image, limit

  setup(function()
    server = fake.start()
    limit = signing.LIMIT
  end)
  teardown(function() server:stop() end)
  before_each(function()
    client = contree.new{ url = server.url, token = "t" }
    client.extended, client.keeps_rules = true, true
    image = client.images:use(fake.IMAGE)
  end)
  after_each(function() signing.LIMIT = limit end)

  local REQUEST = { method = "GET", scheme = "https", host = "a.example", port = 443, path = "/x",
    headers = { { "Host", "a.example" }, { "X", "1" }, { "x", "2" } } }

  local function ask(id, more)
    local asked = { id = id, secret = "KEY", request = REQUEST }
    for name, value in pairs(more or {}) do asked[name] = value end
    return "event: sign\ndata: " .. json.encode(asked) .. "\n\n"
  end
  local END = "event: end\ndata: {}\n\n"

  -- The rules of a run that takes a while; `streams` are the replies of its signing.
  local function rules(streams, answers, denied)
    local operation = fake.operation{}
    operation.metadata.result.denied = denied
    local list = { { path = "/v1/operations/op-1/signing",
      replies = streams }, { method = "POST", path = "/v1/operations/op-1/signing/.*",
      replies = answers or { { status = 204 } } } }
    for _, rule in ipairs(fake.run{ events = { fake.stream{ fake.frames({}, { open = true })[1],
      0.35, fake.frame(9, "completion", 0, { status = "SUCCESS" }) } },
      operations = { { status = 200, json = operation } } }) do
      list[#list + 1] = rule
    end
    server:rules(list)
  end

  local function run(sign, more)
    local given = { shell = "x", networking = { allow = { "a.example" } },
      secrets = { KEY = { sign = sign, hosts = { "a.example" } } } }
    for name, value in pairs(more or {}) do given[name] = value end
    return image:run(given)
  end

  -- The answers that the server got, by the ids.
  local function answers()
    local found = {}
    for _, request in ipairs(server:requests()) do
      local id = request.path:match("/signing/(.*)")
      if id then found[#found + 1] = { id = id, body = request.json } end
    end
    table.sort(found, function(a, b) return a.id < b.id end)
    return found
  end

  it("is called with the request, in a task of its own, and its headers are sent", function()
    rules{ fake.stream{ ask(1), ask(2), 0.3, END } }
    local seen = {}
    run(function(request)
      seen[#seen + 1] = request
      contree.sleep(0.05)
      return { headers = { Authorization = "sig", X = false } }
    end)
    assert.equal(2, #seen)
    local first = seen[1]
    assert.same({ secret = "KEY", method = "GET", scheme = "https", host = "a.example",
      port = 443, path = "/x", headers = { host = "a.example", x = "1, 2" } }, first)
    local sent = answers()
    assert.equal(2, #sent)
    assert.equal("1", sent[1].id)
    assert.same({ headers = { Authorization = "sig", X = fake.null } }, sent[1].body)
    -- The request says that a function signs, and nothing of it; the answer is not held back.
    local spawned = server:requests()[1]
    assert.same({ KEY = { sign = true, hosts = { "a.example" } } }, spawned.json.secrets)
    assert.is_nil((spawned.headers.prefer or ""):find("wait", 1, true))
  end)

  it("refuses with anything else, and the caller has the error", function()
    local object = setmetatable({}, { __tostring = function() return "an object\nof two lines"
    end })
    for words, sign in pairs{
      ["no key today"] = function() error("no key today") end,
      ["an object of two lines"] = function() error(object) end,
      ["not for you"] = function() return nil, "not for you" end,
      ["must return a table, got a nil"] = function() end,
      ["must return a table with headers"] = function() return {} end,
      ['did you mean "headers"'] = function() return { header = {} } end,
      ["names of headers"] = function() return { headers = { ["a b"] = "x" } } end,
      ["without control characters"] = function() return { headers = { A = "sesame\r\nB: c" } } end,
      ["valid UTF-8"] = function() return { headers = { A = "sesame\255" } } end,
      ["a string or false, got a number"] = function() return { headers = { A = 5 } } end,
    } do
      rules({ fake.stream{ ask(7), 0.2, END } }, nil, { { protocol = "http", name = "a.example",
        port = 443, method = "GET", path = "/x", reason = "sign", count = 1 } })
      local result = run(sign)
      assert.same({ { id = "7", body = { refused = true } } }, answers())
      local entry = result.denied[1]
      assert.matches(words, tostring(entry.error):gsub("%s+", " "), 1, true)
      assert.matches(words, tostring(result.denied), 1, true)
      assert.is_nil(tostring(result.denied):find("sesame", 1, true))
    end
  end)

  it("has a time limit", function()
    signing.LIMIT = 0.05
    rules({ fake.stream{ ask(1), 0.3, END } }, nil, { { protocol = "http", name = "a.example",
      port = 443, method = "GET", path = "/x", reason = "sign", count = 1 } })
    local went_on = false
    local result = run(function()
      contree.sleep(5)
      went_on = true
    end)
    assert.same({ { id = "1", body = { refused = true } } }, answers())
    assert.matches("has not returned after 0.05 s", tostring(result.denied[1].error))
    assert.is_false(went_on)
  end)

  it("says so when the engine does not take what it returns", function()
    rules({ fake.stream{ ask(1), 0.3, END } }, { { status = 422, json = { status = 422,
      error = "headers.Host cannot be changed" } }, { status = 204 } }, { { protocol = "http",
      name = "a.example", port = 443, method = "GET", path = "/x", reason = "sign", count = 1 } })
    local result = run(function() return { headers = { Host = "b" } } end)
    assert.same({ { id = "1", body = { headers = { Host = "b" } } },
      { id = "1", body = { refused = true } } }, answers())
    assert.matches("headers.Host cannot be changed", tostring(result.denied), 1, true)
  end)

  it("is asked by servers that ask for nonsense, and holds nothing up", function()
    local called = 0
    rules{ fake.stream{ "event: sign\ndata: nonsense\n\n", "event: sign\ndata: {}\n\n",
      ask("x"), ask(1.5), ask(1, { secret = "OTHER" }), ask(2, { request = "x" }),
      ask(3, { request = { method = {}, host = 5 } }), ask(4, { secret = {} }),
      "event: other\ndata: {}\n\n", ask(5), 0.3, END } }
    run(function()
      called = called + 1
      return { headers = {} }
    end)
    assert.equal(1, called)
    local refused = {}
    for _, each in ipairs(answers()) do refused[each.id] = each.body.refused or false end
    assert.same({ ["1"] = true, ["2"] = true, ["3"] = true, ["4"] = true, ["5"] = false }, refused)
  end)

  it("is asked again when the connection was lost, and no more when the run is over", function()
    rules{ fake.stream({ ask(1), 0.05 }, { ["end"] = "cut" }), fake.stream{ ask(2), 0.1, END },
      { status = 409, json = { error = "it has ended", status = 409 } } }
    run(function() return { headers = {} } end)
    contree.sleep(0.3)
    assert.equal(2, #answers())
    local opened = 0
    for _, line in ipairs(server:asked()) do
      if line == "GET /v1/operations/op-1/signing" then opened = opened + 1 end
    end
    assert.equal(2, opened)
  end)

  it("is not asked for more than a few requests at once", function()
    local frames = {}
    for i = 1, 100 do frames[i] = ask(i) end
    frames[101], frames[102] = 0.3, END
    rules{ fake.stream(frames) }
    local now, most = 0, 0
    run(function()
      now = now + 1
      most = math.max(most, now)
      contree.sleep(0.005)
      now = now - 1
      return { headers = {} }
    end)
    assert.is_true(most <= 32, tostring(most))
    assert.is_true(most > 1)
  end)

  it("is a client's, for its runs with rules", function()
    rules{ fake.stream{ ask(1), 0.2, END } }
    local called = 0
    local other = contree.new{ url = server.url, token = "t", secrets = { KEY = {
      hosts = { "a.example" }, sign = function()
        called = called + 1
        return { headers = {} }
      end } } }
    other.extended, other.keeps_rules = true, true
    other.images:use(fake.IMAGE):run{ shell = "x", networking = { allow = { "a.example" } } }
    assert.equal(1, called)
    rules{ fake.stream{ ask(1), 0.2, END } }
    other.images:use(fake.IMAGE):run{ shell = "x", networking = true }
    assert.equal(1, called)
    for _, line in ipairs(server:asked()) do assert.is_nil(line:find("signing", 1, true)) end
  end)

  it("ends with its operation: nothing waits for it, in a task or at the end", function()
    rules{ fake.stream{ ": open\n\n", 60 } }
    local begun = core.now()
    contree.async(function()
      local operation = image:start{ shell = "x", networking = { allow = {} },
        secrets = { KEY = { sign = function() end, hosts = { "a.example" } } } }
      operation:cancel()
    end)
    assert.is_true(core.now() - begun < 30)
  end)

  it("is refused where nobody would be there to sign", function()
    server:rules{}
    local function sign() return { headers = {} } end
    local err = failure(run, sign, { detach = true })
    assert.equal("invalid_argument", err.kind)
    assert.matches("a detached run cannot have secrets with sign", err.message, 1, true)
    local function refuses(words, secret)
      local wrong = failure(run, nil, { secrets = { KEY = secret } })
      assert.equal("invalid_argument", wrong.kind)
      assert.matches(words, wrong.message, 1, true)
    end
    refuses("or with sign = function", { hosts = { "a" } })
    refuses('did you mean "sign"', { sing = sign, hosts = { "a" } })
    refuses("either sign or value", { sign = sign, value = ("x"):rep(20), hosts = { "a" } })
    refuses("either sign or header", { sign = sign, header = "X", hosts = { "a" } })
    refuses("either sign or places", { sign = sign, places = { "header" }, hosts = { "a" } })
    refuses("a table with sign when it has digest",
      { digest = true, value = ("x"):rep(20), hosts = { "a" } })
    refuses("sign is a function", { sign = "HMAC", hosts = { "a" } })
    refuses("hosts = {", { sign = sign })
    -- What was asked for an operation before may come late.
    for _, line in ipairs(server:asked()) do assert.is_nil(line:find("^POST")) end
  end)
end)
