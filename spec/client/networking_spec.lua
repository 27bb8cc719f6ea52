-- Rules of the network: what is refused, what is sent, and what is said of servers without them.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")
local networking = require("contree.wire.networking")
local config = require("contree.wire.config")

describe("networking", function()
  local server, client, image, home

  setup(function()
    server = fake.start()
    home = disk.directory()
  end)
  teardown(function()
    server:stop()
    disk.remove(home)
  end)
  before_each(function()
    client = contree.new{ url = server.url, token = "t" }
    client.extended = true
    image = client.images:use(fake.IMAGE)
  end)

  local function finished(result)
    local operation = fake.operation{ stdout = "" }
    for name, value in pairs(result or {}) do operation.metadata.result[name] = value end
    return { path = "/v1/instances", replies = { { status = 201,
      headers = { ["Preference-Applied"] = "wait" }, json = operation } } }
  end
  local function whoami(extensions)
    return { path = "/v1/whoami", replies = { { status = 200, json = {
      token_uuid = "t", extensions = extensions } } } }
  end

  local function refused(value)
    local err = failure(image.run, image, { shell = "x", networking = value })
    assert.are.equal("invalid_argument", err.kind)
    assert.is_true(err.misuse)
    return err.message
  end

  it("is refused where it is wrong, with the nearest right word", function()
    server:rules{}
    assert.matches('networking must be a table of allow, .* it has "alow", did you mean "allow"',
      refused{ alow = {} })
    assert.matches("allow is a list of rules: number 2 must be a table of .* mean \"ports\"",
      refused{ allow = { "a", { host = "b", port = 80 } } })
    assert.matches("number 1 must be a table whose methods is a list of strings",
      refused{ allow = { { host = "b", methods = "GET" } } })
    assert.matches("number 1 must be a table with host =", refused{ allow = { { ports = 80 } } })
    assert.matches("number 1 must be a table whose ports is an integer from 1 to 65535",
      refused{ allow = { { host = "a", ports = 0 } } })
    assert.matches("not an URL", refused{ allow = { "https://a.example" } })
    assert.matches("allow is a list of rules", refused{ allow = "a" })
    assert.matches("{ { host = … } }", refused{ allow = { host = "a" } }, 1, true)
    assert.matches("they go into allow", refused{ allow = {}, deny = { "@a" } })
    assert.matches("when enabled = false", refused{ enabled = false, allow = {} })
    assert.matches("when it has deny or resolve", refused{ deny = { "a" } })
    assert.matches("resolve is a map", refused{ allow = {}, resolve = { a = 5 } })
    local err = failure(contree.new, { url = server.url, token = "t", networking = { deni = {} } })
    assert.matches('contree.new: networking .* did you mean "deny"', err.message)
    assert.are.same({}, server:asked())
  end)

  it("is sent as the server takes it, after it was asked once", function()
    server:rules{ whoami{ "other", "airlock" }, finished{ denied = {} } }
    image:run{ shell = "x", trace = true, networking = { allow = { "a.example", {
      host = "b.example", ports = 8080, methods = { "GET" }, paths = { "/v1/*" },
      private = true } },
      deny = { { host = "c.a.example", ports = { 1, "2-3" } } },
      resolve = { ["a.example"] = "127.0.0.1:1" } } }
    image:run{ shell = "x", networking = { allow = {} } }
    local asked = server:requests()
    assert.are.equal("/v1/whoami", asked[1].path)
    assert.are.same({ enabled = true, allow = { "a.example", { host = "b.example",
      ports = { 8080 }, methods = { "GET" }, paths = { "/v1/*" }, private = true } },
      deny = { { host = "c.a.example", ports = { 1, "2-3" } } },
      resolve = { ["a.example"] = "127.0.0.1:1" } }, asked[2].json.networking)
    assert.is_true(asked[2].json.trace)
    assert.matches('"allow":[]', asked[3].body, 1, true)
    assert.is_nil(asked[3].json.trace)
    assert.are.equal(3, #asked)
  end)

  it("is not sent to a server that would connect the run to everything", function()
    server:rules{ whoami{ "other" }, finished() }
    local err = failure(image.run, image, { shell = "x", networking = { allow = { "a" } } })
    assert.are.equal("not_supported", err.kind)
    assert.matches("networking = true or false works everywhere", err.hint)
    client.extended = false
    err = failure(image.run, image, { shell = "x", networking = { allow = {} } })
    assert.are.equal("not_supported", err.kind)
    assert.are.same({ "GET /v1/whoami" }, server:asked())
    image:run{ shell = "x", networking = true }
    assert.are.same({ enabled = true }, server:requests()[2].json.networking)
  end)

  it("has a default for a client", function()
    server:rules{ whoami{ "airlock" }, finished{ denied = {} } }
    client = contree.new{ url = server.url, token = "t", networking = { allow = { "a" } } }
    client.extended = true
    image = client.images:use(fake.IMAGE)
    image:run("x")
    image:run{ shell = "x", networking = { allow = { "b" } } }
    image:run{ shell = "x", networking = false }
    local asked = server:requests()
    assert.are.same({ enabled = true, allow = { "a" } }, asked[2].json.networking)
    assert.are.same({ enabled = true, allow = { "b" } }, asked[3].json.networking)
    assert.are.same({ enabled = false }, asked[4].json.networking)
  end)

  it("tells what was refused, in lists that print", function()
    server:rules{ whoami{ "airlock" }, finished{
      denied = { { protocol = "tcp", name = "a.example", port = 443, reason = "rule", count = 3 },
        { protocol = "http", name = "b.example", port = 80, method = "PUT", path = "/x",
          reason = "method", count = 1 }, { protocol = "tcp", address = "::1", port = 1,
          reason = "rule", count = 1 }, { reason = "new in this server", count = "?" } },
      tried = { { name = "c.example", address = "192.0.2.1", port = 443, count = 1 } } } }
    local result = image:run{ shell = "x", networking = { allow = {} } }
    assert.are.equal(3, result.denied[1].count)
    assert.are.equal("tcp a.example:443: no rule allows it (3 times)\n"
      .. "http b.example:80 PUT /x: no rule allows the method\n"
      .. "tcp [::1]:1: no rule allows it\nnew in this server", tostring(result.denied))
    assert.are.equal("192.0.2.1", result.tried[1].address)
    assert.are.equal("c.example:443", tostring(result.tried))
    server:rules{ finished() }
    assert.is_nil(image:run("x").denied)
  end)

  it("counts what events tell", function()
    local list = networking.list()
    local entry = { protocol = "dns", name = "a", reason = "rule", count = 1 }
    networking.count(list, entry)
    networking.count(list, { protocol = "dns", name = "a", reason = "rule", count = 5 })
    networking.count(list, { protocol = "dns", name = "b", reason = "rule" })
    networking.count(list, { count = {}, name = {} })
    assert.are.equal(6, list[1].count)
    assert.are.equal(3, #list)
    for i = 1, 2000 do networking.count(list, { name = "n" .. i }) end
    assert.are.equal(1300, #list)
    networking.count(list, { missing = "/a", program = "/b", call = "c" }) -- no room
    networking.count(list, { name = "n7", count = 3 })
    assert.are.equal(1300, #list)
    local counts = {}
    for _, each in ipairs(list) do counts[each.name or ""] = each.count end
    assert.are.equal(4, counts.n7)
  end)

  local function keys(...)
    local all = {}
    for i, value in ipairs{ ... } do all[i] = networking.key(networking.member(value)) end
    return all
  end

  it("has a key for caches, which tells rules apart", function()
    local found = keys(true, false, { allow = { "a", "b" } }, { allow = { "a", "b" } },
      { allow = { "b", "a" } }, { allow = { { host = "a" } } }, { allow = { "a" }, deny = { "b" } })
    assert.are.same({ "true", "false" }, { found[1], found[2] })
    assert.are.equal("nil", networking.key(nil))
    assert.are.equal(found[3], found[4])
    local seen = {}
    for i = 3, 7 do
      if i ~= 4 then
        assert.is_nil(seen[found[i]])
        seen[found[i]] = true
      end
    end
  end)

  describe("presets", function()
    local function env(name) return name == "CONTREE_HOME" and home or nil end
    local function write(text) disk.write(home .. "/network.ini", text) end
    local function wrong(name)
      local ok, err = pcall(config.network, name, env)
      assert.is_false(ok)
      assert.are.equal("invalid_argument", err.kind)
      return err
    end

    it("are sections of the user's file", function()
      write("# mine\n[build]\nallow = index.example, *.files.example:8443\nAllow=b.example\n"
        .. "deny = x.files.example\nresolve = index.example 127.0.0.1:80\n\n[ other ]\r\n"
        .. "allow = @build c.example\r\n")
      assert.are.same({ allow = { "index.example", "*.files.example:8443", "b.example" },
        deny = { "x.files.example" }, resolve = { ["index.example"] = "127.0.0.1:80" } },
        config.network("build", env))
      assert.are.same({ "@build", "c.example" }, config.network("other", env).allow)
    end)

    it("that are not there, or are wrong, are errors", function()
      write("[build]\nallow = a\n")
      assert.matches('did you mean "@build"', wrong("biuld").hint)
      assert.matches("network.ini", wrong("other").hint)
      for text, line in pairs{ ["allow = a\n[build]\n"] = 1, ["[build]\nalow = a\n"] = 2,
        ["[build]\nresolve = a\n"] = 2, ["[build]\n\nhost.example\n"] = 3 } do
        write(text)
        assert.matches(("network.ini, line %d: "):format(line), wrong("build").message)
      end
      os.remove(home .. "/network.ini")
      assert.matches('there is no preset "@build"', wrong("build").message)
    end)

    it("are put in place of their names, once each", function()
      write("[a]\nallow = 1.example @b\ndeny = d.example\nresolve = 1.example 127.0.0.1\n"
        .. "[b]\nallow = 2.example @a\n")
      local found = config.network
      finally(function() config.network = found end)
      config.network = function(name) return found(name, env) end
      local member = networking.member{ allow = { "0.example", "@a", "@b", { host = "3.example" } },
        resolve = { ["2.example"] = "::1" } }
      assert.are.same({ "0.example", "1.example", "2.example" },
        { member.allow[1], member.allow[2], member.allow[3] })
      assert.are.equal("3.example", member.allow[4].host)
      assert.are.equal(4, #member.allow)
      assert.are.same({ "d.example" }, { member.deny[1] })
      assert.are.same({ ["1.example"] = "127.0.0.1", ["2.example"] = "::1" }, member.resolve)
    end)
  end)
end)
