local config = require("contree.wire.config")
local disk = require("spec.support.disk")

local SERVICE = "https://api.tokenfactory.nebius.com/sandboxes"

describe("config.resolve", function()
  local home

  local function write(name, text) disk.write(home .. "/" .. name, text) end

  local function resolve(options, env)
    env = env or {}
    env.CONTREE_HOME = home
    return config.resolve(options or {}, function(name) return env[name] end)
  end

  local function refused(options, env)
    local ok, err = pcall(resolve, options, env)
    assert.is_false(ok)
    assert.are.equal("invalid_argument", err.kind)
    return tostring(err)
  end

  before_each(function() home = disk.directory() end)
  after_each(function() os.execute("rm -rf '" .. home .. "'") end)

  it("ends at the local engine", function()
    assert.are.same({ engine = {} }, resolve())
    assert.are.same({ engine = {} }, resolve({}, { CONTREE_TOKEN = "", CONTREE_URL = " " }))
    assert.are.same({ engine = { path = "/x" } }, resolve({ engine = { path = "/x" } },
      { CONTREE_TOKEN = "t" }))
    assert.are.same({ engine = {} }, resolve({ engine = true }, { CONTREE_URL = "http://x" }))
    assert.are.same({ engine = {} }, resolve({ url = "local" }, { CONTREE_TOKEN = "t" }))
    assert.matches("url is missing", refused({ engine = false }))
  end)

  it("takes arguments before the environment", function()
    local found = resolve({ url = "http://a/x/", token = "t" },
      { CONTREE_URL = "http://b", CONTREE_TOKEN = "u", CONTREE_PROJECT = "p" })
    assert.are.same({ url = "http://a/x", token = "t", project = "p" }, found)
    found = resolve({}, { CONTREE_URL = "http://b", CONTREE_TOKEN = "u" })
    assert.are.same({ url = "http://b", token = "u" }, found)
  end)

  it("refuses half credentials with the name of what is missing", function()
    assert.matches("the token is missing", refused{ url = "https://x.example" })
    assert.matches("the token is missing", refused{ project = "p" })
    assert.matches("the token is missing", refused{ token = "  ", url = "http://x" })
    assert.matches("the project is missing", refused{ token = "t" })
    assert.matches("the project is missing", refused({}, { CONTREE_TOKEN = "t" }))
    assert.matches("the token is missing", refused({}, { CONTREE_URL = "http://x" }))
    assert.matches("token=false", refused{ url = "http://x" })
  end)

  it("sends no token when told so", function()
    assert.are.same({ url = "http://x" }, resolve{ url = "http://x", token = false })
  end)

  it("never says a token", function()
    assert.is_nil(refused{ token = "s3cret" }:find("s3cret"))
    assert.is_nil(refused{ token = "s3 cret", url = "http://x" }:find("s3 cret"))
  end)

  it("goes to the service for a token and a project", function()
    assert.are.same({ url = SERVICE, token = "t", project = "p" },
      resolve{ token = "t", project = "p" })
    assert.are.same({ url = SERVICE, token = "t", project = "p" },
      resolve({}, { NEBIUS_API_KEY = "t", NEBIUS_AI_PROJECT = "p" }))
  end)

  it("takes the service's variables for its own only as a pair", function()
    assert.are.same({ engine = {} }, resolve({}, { NEBIUS_API_KEY = "t" }))
    assert.are.same({ url = "http://x", token = "t" },
      resolve({}, { NEBIUS_API_KEY = "t", CONTREE_URL = "http://x" }))
  end)

  it("takes a Unix socket, without anybody's token", function()
    assert.are.same({ unix_socket = "/run/x.sock" },
      resolve({ url = "unix:/run/x.sock" }, { CONTREE_TOKEN = "t" }))
    assert.are.same({ unix_socket = "/run/x.sock" }, resolve({ url = "unix:///run/x.sock" }))
    assert.are.same({ unix_socket = "/x", token = "t" }, resolve({ url = "unix:/x", token = "t" }))
  end)

  it("refuses addresses that are none", function()
    for _, url in ipairs{ "x", "ftp://x", "http://", "http://u:p@x", "http://x?q", "http://x#f" } do
      assert.matches("url must look like", refused{ url = url, token = "t" })
    end
  end)

  it("reads the profile in force", function()
    write("auth.ini", "# mine\n[DEFAULT]\nprofile = work\n\n[profile:work]\nToken = a=b%%c\n"
      .. "url: http://w/\r\nproject = p\n[other]\ntoken=no\n"
      .. "[profile:home]\ntoken=h\nurl=http://h\n")
    assert.are.same({ url = "http://w", token = "a=b%c", project = "p" }, resolve())
    assert.are.same({ url = "http://h", token = "h" }, resolve{ profile = "home" })
    assert.are.same({ url = "http://h", token = "h" }, resolve({}, { CONTREE_PROFILE = "home" }))
    assert.matches('no profile "nobody"', refused{ profile = "nobody" })
    assert.matches('no profile "nobody"', refused({}, { CONTREE_PROFILE = "nobody" }))
  end)

  it("does not send a profile's token to another address", function()
    write("auth.ini", "[profile:default]\ntoken = t\nurl = http://w\n")
    assert.matches("the token is missing", refused{ url = "http://elsewhere" })
    assert.are.same({ url = "http://elsewhere", token = "t" },
      resolve{ url = "http://elsewhere", profile = "default" })
  end)

  it("takes a named profile before the environment", function()
    write("auth.ini", "[profile:a]\ntoken = t\nurl = http://w\n")
    assert.are.same({ url = "http://w", token = "t" },
      resolve({ profile = "a" }, { CONTREE_TOKEN = "u", CONTREE_URL = "http://x" }))
  end)

  it("completes cli.ini by auth.ini, and iam by the service's address", function()
    write("cli.ini", "[profile:default]\nurl = http://w\nproject = p\n")
    write("auth.ini", "[profile:default]\ntoken = t\n")
    assert.are.same({ url = "http://w", token = "t", project = "p" }, resolve())
    write("auth.ini", "[profile:x]\ntoken = t\ntype = iam\nproject = q\n")
    assert.are.same({ url = SERVICE, token = "t", project = "q" }, resolve{ profile = "x" })
  end)

  it("refuses an account beside engine", function()
    assert.matches("engine and token exclude", refused{ engine = true, token = "t" })
  end)
end)
