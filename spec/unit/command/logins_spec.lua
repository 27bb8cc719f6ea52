-- The logins of registries that a user's files have.
local core = require("contree.core")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local logins = require("contree.command.logins")

describe("the user's logins", function()
  local directory, variables

  before_each(function()
    directory = disk.directory()
    variables = { HOME = directory }
  end)
  after_each(function() disk.remove(directory) end)

  local function write(name, text)
    os.execute(("mkdir -p %s/%s"):format(directory, name:match("^(.*)/")))
    disk.write(directory .. "/" .. name, text)
  end

  local function of(ref)
    local found = logins.of(ref, function(name) return variables[name] end)
    return found and found.username .. " " .. found.password
  end

  local function auth(key, user)
    return ('"%s": { "auth": "%s" }'):format(key, core.base64_encode(user .. ":p:w"))
  end

  it("are of the registry of a reference", function()
    write(".docker/config.json", ('{ "auths": { %s, %s } }'):format(auth("h.io", "a"),
      auth("localhost:5000", "b")))
    assert.equal("a p:w", of("h.io/x:1"))
    assert.equal("a p:w", of("docker://h.io/x/y@sha256:0"))
    assert.equal("b p:w", of("localhost:5000/x"))
    assert.is_nil(of("other.io/x"))
    assert.is_nil(of("x/y:1"))
    assert.is_nil(of("h.io"))
  end)

  it("know Docker's registry by its old name", function()
    write(".docker/config.json", ('{ "auths": { %s } }'):format(
      auth("https://index.docker.io/v1/", "a")))
    for _, ref in ipairs{ "debian:12", "me/x", "docker.io/me/x",
      "docker://index.docker.io/me/x" } do
      assert.equal("a p:w", of(ref))
    end
  end)

  it("may be for a part of a registry", function()
    write(".config/containers/auth.json", ('{ "auths": { %s, %s, %s } }'):format(
      auth("h.io", "a"), auth("h.io/team", "b"), auth("h.io/team/x", "c")))
    assert.equal("a p:w", of("h.io/you/x"))
    assert.equal("b p:w", of("h.io/team/y:1"))
    assert.equal("c p:w", of("h.io/team/x:1"))
  end)

  it("come from the first file that knows the registry", function()
    write(".docker/config.json", ('{ "auths": { %s, %s } }'):format(auth("h.io", "docker"),
      auth("i.io", "docker")))
    write(".config/containers/auth.json", ('{ "auths": { %s } }'):format(auth("h.io", "user")))
    assert.equal("user p:w", of("h.io/x"))
    assert.equal("docker p:w", of("i.io/x"))
    variables.XDG_RUNTIME_DIR = directory .. "/run"
    write("run/containers/auth.json", ('{ "auths": { %s } }'):format(auth("h.io", "now")))
    assert.equal("now p:w", of("h.io/x"))
    variables.REGISTRY_AUTH_FILE = directory .. "/none"
    assert.is_nil(of("h.io/x"))
  end)

  it("are none in a file that has none, and no JSON is told", function()
    for _, text in ipairs{ "{}", '{ "auths": 5 }', '{ "auths": { "h.io": {} } }',
      '{ "auths": { "h.io": { "auth": "!!!" } } }', '{ "auths": { "h.io": { "auth": 5 } } }',
      '{ "credHelpers": { "h.io": "no such; touch x" } }' } do
      write(".docker/config.json", text)
      assert.is_nil(of("h.io/x"), text)
    end
    write(".docker/config.json", "{")
    local err = failure(of, "h.io/x")
    assert.equal("file", err.kind)
    assert.matches(".docker/config.json", err.message, 1, true)
  end)
end)
