-- Requests, as every call makes them: addresses, credentials, retries, errors.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")

local TOKEN = "s3cret-token-value"

describe("a request", function()
  local server, client, lines

  local function new(options)
    options = options or {}
    options.url, options.token = options.url or server.url, TOKEN
    options.log = function(line) lines[#lines + 1] = line end
    return contree.new(options)
  end

  local function answer(...) -- replies to GET /whoami
    server:rules{ { method = "GET", path = "/v1/whoami", replies = { ... } } }
  end

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    lines = {}
    client = new()
  end)

  local OK = { status = 200, json = { token_uuid = "t", token_expiration = 1760000000 } }
  local quick = { ["Retry-After"] = "0" }

  it("carries credentials and says who we are", function()
    answer(OK)
    local who = new{ project = "p-1", headers = { ["X-Mine"] = "1" },
      user_agent = "app/2" }:whoami()
    assert.are.equal("t", who.token_uuid)
    assert.are.equal("1760000000", tostring(who.token_expiration))
    local headers = server:requests()[1].headers
    assert.are.equal("Bearer " .. TOKEN, headers.authorization)
    assert.are.equal("p-1", headers.project)
    assert.are.equal("1", headers["x-mine"])
    assert.matches("^app/2 contree%-lua/", headers["user-agent"])
    assert.is_nil(headers["content-type"])
  end)

  it("keeps the path of its address and encodes names", function()
    server:rules{ { path = "/sand/box/v1/inspect/a%2Fb/", replies = {
      { status = 200, json = { uuid = "u" } } } } }
    client = new{ url = server.url .. "/sand/box/" }
    server:rules{ { method = "GET", path = "/sand/box/v1/inspect/", replies = {
      { status = 302, headers = { Location = fake.IMAGE .. "/" } } } } }
    local image = client.images:use("a/b c:1", { strict = true })
    assert.are.equal(fake.IMAGE, image.uuid)
    assert.are.equal("tag=a/b%20c%3A1", server:requests()[1].query)
  end)

  it("tells who we are, in full, and again when asked to", function()
    answer(OK, { status = 200, json = { token_uuid = "u", permissions = { list = true } } })
    local who = client:get_token_info()
    assert.are.equal("t", who.token_uuid)
    assert.are.same({}, who.permissions)
    assert.are.same({}, who.limits)
    assert.are.same({}, who.operations_stat)
    assert.are.equal(who, client:get_token_info())
    assert.are.equal(1, #server:requests())
    assert.is_true(client:get_token_info{ refresh = true }.permissions.list)
    assert.are.equal("u", client:get_token_info().token_uuid)
    answer({ status = 200, json = { permissions = {} } })
    assert.matches("token_uuid", tostring(failure(function() client:whoami() end)))
  end)

  it("is repeated while the server has trouble", function()
    answer({ status = 503, headers = quick }, { status = 429, headers = quick },
      { status = 410, headers = quick }, { status = 425, headers = quick },
      { status = 500, headers = quick }, OK)
    assert.are.equal("t", client:whoami().token_uuid)
    assert.are.equal(6, #server:requests())
  end)

  it("is repeated when the connection breaks", function()
    answer({ ["end"] = "cut" }, { ["end"] = "reset" },
      { status = 200, body = "{", ["end"] = "cut" }, OK)
    assert.are.equal("t", client:whoami().token_uuid)
    assert.are.equal(4, #server:requests())
  end)

  it("is given up after so many attempts", function()
    answer({ status = 503, headers = quick, json = { error = "busy" } })
    local err = failure(function() new{ retry = { max_attempts = 3 } }:whoami() end)
    assert.are.equal("server", err.kind)
    assert.are.equal(503, err.status)
    assert.matches("busy", tostring(err))
    assert.are.equal(3, #server:requests())
    failure(function() new{ retry = false }:whoami() end)
    assert.are.equal(4, #server:requests())
  end)

  it("is not repeated when a server asks for more patience than we have", function()
    answer({ status = 429, headers = { ["Retry-After"] = "3600" } })
    local err = failure(function() client:whoami() end)
    assert.are.equal("rate_limited", err.kind)
    assert.are.equal(3600, err.retry_after)
    assert.are.equal(1, #server:requests())
  end)

  local KINDS = { [400] = "invalid_argument", [401] = "auth", [403] = "forbidden",
    [404] = "not_found", [405] = "not_supported", [409] = "conflict", [413] = "unprocessable",
    [422] = "unprocessable", [501] = "not_supported", [302] = "server" }
  for status, kind in pairs(KINDS) do
    it(("fails once with %d: %s"):format(status, kind), function()
      answer({ status = status, json = { error = "why", status = status },
        headers = { ["X-Request-ID"] = "r-7" } })
      local err = failure(function() client:whoami() end)
      assert.are.equal(kind, err.kind)
      assert.are.equal(status, err.status)
      assert.are.equal("r-7", err.request_id)
      assert.is_nil(err.misuse)
      assert.matches("why", tostring(err))
      assert.are.equal(1, #server:requests())
    end)
  end

  it("understands errors in any shape", function()
    local cases = {
      { { error = { message = "deep" } }, "deep" }, { { error = { detail = "deeper" } }, "deeper" },
      { { 1, 2 }, "%[1, 2%]" }, { "text", "text" },
    }
    for _, case in ipairs(cases) do
      answer({ status = 404, json = case[1] })
      assert.matches(case[2], tostring(failure(function() client:whoami() end)))
    end
    answer({ status = 404, body = "<h1>no\27[31m\nsuch</h1>" })
    assert.matches("<h1>no%?%[31m such</h1>", tostring(failure(function() client:whoami() end)))
    answer({ status = 404 })
    assert.matches("GET /whoami", tostring(failure(function() client:whoami() end)))
  end)

  it("fails with words when the answer is no JSON", function()
    answer({ status = 200, body = "{oops", headers = { ["Content-Type"] = "application/json" } })
    local err = failure(function() client:whoami() end)
    assert.are.equal("server", err.kind)
    assert.matches("not JSON", tostring(err))
  end)

  it("ends at its timeout", function()
    answer({ status = 200, json = {}, delay = 5 })
    local err = failure(function() new{ timeout = 0.1 }:whoami() end)
    assert.are.equal("timeout", err.kind)
    assert.are.equal(1, #server:requests())
  end)

  it("fails with the address when nobody listens", function()
    local err = failure(function()
      contree.new{ url = "http://127.0.0.1:1", token = TOKEN, retry = false }:whoami()
    end)
    assert.are.equal("connection", err.kind)
    assert.matches("127.0.0.1:1", tostring(err), 1, true)
  end)

  it("does not wait for a socket that nobody listens on", function()
    local err = failure(function() new{ url = "unix:/tmp/contree-spec-nobody.sock" }:whoami() end)
    assert.are.equal("connection", err.kind)
    assert.are.equal("nobody listens there", err.hint)
    assert.matches("/tmp/contree-spec-nobody.sock", tostring(err), 1, true)
    assert.are.equal(1, #lines)
  end)

  it("says so when it may not use a socket", function()
    local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"
    local directory = os.tmpname()
    -- Root may use them all.
    local as = require("contree.core").geteuid() == 0 and "setpriv --reuid 65534 --clear-groups "
      or ""
    local said = disk.capture(([[rm %s && mkdir -m 0 %s && cd / && %s%s -e '
      require("contree.core")
      print(select(2, pcall(function()
        require("contree").new("unix:%s/s"):whoami()
      end)).hint)' 2>&1; rmdir %s]]):format(directory, directory, as, lua, directory, directory))
    if said:find("module 'contree.core' not found", 1, true) then
      return pending("nobody can read this tree")
    end
    assert.are.equal("its engine serves its own user, with --group also the socket's group\n", said)
  end)

  it("never shows the token", function()
    answer({ status = 400, json = { error = "bad token " .. TOKEN .. " and " .. TOKEN } })
    local err = failure(function() client:whoami() end)
    assert.matches("bad token %*%*%* and %*%*%*", tostring(err))
    local function search(value, seen)
      if type(value) == "string" then assert.is_nil(value:find(TOKEN, 1, true)) end
      if type(value) ~= "table" or seen[value] then return end
      seen[value] = true
      for key, member in pairs(value) do
        search(key, seen)
        search(member, seen)
      end
    end
    search({ client = client, err = err, lines = lines, text = tostring(client) }, {})
    assert.is_true(#lines > 0)
    assert.matches("GET /whoami 400", lines[1])
  end)

  it("is refused after the scope of a client that is closed with it", function()
    -- LuaJIT lacks this syntax of Lua 5.4.
    local scope = load("local closing <close> = ...") or client.close
    scope(client)
    assert.matches("closed", tostring(failure(function() client:whoami() end)))
  end)

  it("is refused after close", function()
    client:close()
    client:close()
    assert.matches("closed", tostring(failure(function() client:whoami() end)))
  end)

  it("returns nil, err with contree.safe, and raises misuse", function()
    local safe = require("contree.safe").new{ url = server.url, token = TOKEN }
    answer({ status = 401, json = { error = "no" } })
    local value, err = safe:whoami()
    assert.is_nil(value)
    assert.are.equal("auth", err.kind)
    value, err = safe.images:use("x"):read("/x")
    assert.is_nil(value)
    assert.are.equal("not_found", err.kind)
    err = failure(function() safe.images:use("x"):run{ shel = "x" } end)
    assert.is_true(err.misuse)
  end)
end)
