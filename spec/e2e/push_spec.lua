-- image:push: an image in a registry, Debian's own on loopback.
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local program = require("spec.support.program")
local registry = require("spec.support.registry")

local SECRET = "s3cretPassw0rd"
local LOGIN = { username = "someone", password = SECRET }

describe("image:push", function()
  local client, directory, stop, image, hub

  setup(function()
    client, directory, stop = home.client()
    hub = registry.start("someone:" .. SECRET)
    image = client.images:use("busybox:latest"):run{ disposable = false, check = true,
      shell = "echo new > /new && rm /bin/vi" }
  end)
  teardown(function()
    hub:stop()
    stop()
  end)

  -- What a push has left of its workspace.
  local function left() return disk.capture("ls -A " .. directory .. "/data/w | wc -l") end

  it("writes what an import gets back", function()
    local url = hub:url("me/app:v2")
    assert.equal(url, image:push(url:gsub("^docker://", ""), LOGIN))
    local again = client.images:import_from(url, { username = "someone", password = SECRET,
      tag = "again:1" })
    assert.equal("new\nno vi\n", again:run("cat /new; test -e /bin/vi || echo no vi").stdout)
    assert.equal(0, #again:diff(image))
    -- It is the session's image, too.
    assert.equal(hub:url("me/app:v3"), image:session():push(hub:url("me/app:v3"), LOGIN))
  end)

  it("says what is wrong, and never the password", function()
    local before = left()
    local function refuses(kind, words, ...)
      local err = failure(image.push, image, ...)
      assert.equal(kind, err.kind)
      assert.matches(words, err.message, 1, true)
      assert.is_nil(tostring(err):find(SECRET, 1, true))
      return err
    end
    local url = hub:url("me/app:v2")
    assert.matches("username =", refuses("server", "unauthorized", url).hint)
    refuses("server", "unauthorized", url, { username = "someone", password = SECRET .. "x" })
    refuses("server", "127.0.0.1:1", "127.0.0.1:1/a:1")
    refuses("invalid_argument", "not a digest", url .. "@sha256:" .. ("0"):rep(64))
    refuses("invalid_argument", "capitals", "127.0.0.1:1/A:1")
    refuses("invalid_argument", "password is missing", url, { username = "someone" })
    refuses("invalid_argument", "usrname", url, { usrname = "someone" })
    assert.equal("not_found", failure(image.push, client.images:use("none:1"), url).kind)
    assert.equal(before, left())
  end)

  describe("at a shell", function()
    local auth, shell
    setup(function()
      shell = directory .. "/shell"
      os.execute("mkdir -m 700 " .. shell)
      auth = directory .. "/auth.json"
      disk.capture(("skopeo login --authfile %s --tls-verify=false -u someone -p %s %s"):format(
        auth, SECRET, hub.host))
    end)
    teardown(function() home.stop_engine(shell .. "/data") end)

    local function contree(line)
      return program.run(shell, line, { before = "REGISTRY_AUTH_FILE=" .. auth .. " " })
    end

    it("has the user's login, as pull has", function()
      local name = hub.host .. "/me/tool:v1"
      local out, err, code = contree("push busybox:latest " .. name)
      assert.are.same({ "docker://" .. name .. "\n", 0 }, { out, code }, err)
      assert.are.equal(0, select(3, contree("pull " .. name)))
      assert.are.equal("hi\n", (contree("run " .. name .. " echo hi")))
      assert.are.equal(0, select(3, contree("rm " .. name)))
      assert.are.equal("hi\n", (contree("run " .. name .. " echo hi")))
    end)

    it("tells how to get one", function()
      local _, err, code = program.run(shell, ("push busybox:latest %s/me/x:1"):format(
        hub.host), { before = "REGISTRY_AUTH_FILE=/nowhere " })
      assert.are.equal(1, code)
      assert.matches("skopeo login, or docker login", err, 1, true)
    end)
  end)
end)
