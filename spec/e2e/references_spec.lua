-- Every kind of reference that registries know can be imported.
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local registry = require("spec.support.registry")
local wire = require("spec.support.wire")

describe("a reference to a registry", function()
  local client, fake, stop, digest

  setup(function()
    local _
    client, _, stop = home.client()
    fake = registry.fake([[
      mkdir -p root/bin; cp /bin/busybox root/bin/busybox; ln -s busybox root/bin/cat
      ln -s busybox root/bin/sh; echo here > root/name
      tree root > r.tar; layer r.tar; finish]])
    digest = wire.run("grep -o 'sha256:[0-9a-f]*' " .. fake.directory .. "/oci/index.json")
  end)
  teardown(function()
    fake:stop()
    stop()
  end)

  local function manifests() return fake:asked("/manifests/") end

  for _, version in ipairs{ ":RELEASE.2024-01-31T20-20-33Z", ":V1", ":v1..2-", ":_x", "@DIGEST",
    ":1@DIGEST", ":Two@DIGEST" } do
    it("B1: may end with " .. version, function()
      local name = fake.host .. "/good/" .. "x" .. #version .. version:gsub("DIGEST", digest)
      local image = client.images:oci(name)
      assert.are.equal("here\n", image:run("cat /name").stdout)
      -- The same reference finds it again without another request.
      local asked = manifests()
      assert.are.equal(image.uuid, client.images:oci(name).uuid)
      assert.are.equal(image.uuid, client.images:use(name, { strict = true }).uuid)
      assert.are.equal("here\n", client.images:use(name):run("cat /name").stdout)
      local built = client.images:build{ dockerfile = { data = "FROM " .. name
        .. "\nRUN cat /name > /copy\n" }, no_cache = true }
      assert.are.equal("here\n", built:read("/copy"))
      assert.are.equal(asked, manifests())
    end)
  end

  it("B1: gives another tag to another tag", function()
    local upper = client.images:reference(fake.host .. "/good/x:V1").tag
    assert.are_not.equal(upper, client.images:reference(fake.host .. "/good/x:v1").tag)
  end)

  it("B1: with a digest is that image or none", function()
    local other = "sha256:" .. ("0"):rep(64)
    local err = failure(function() client.images:oci(fake.host .. "/good/x@" .. other) end)
    assert.are.equal("operation_failed", err.kind)
    assert.matches("digest", tostring(err))
    err = failure(function() client.images:oci(fake.host .. "/good/x@sha256:00") end)
    assert.matches("sha256: and 64 of 0%-9 a%-f", tostring(err))
    err = failure(function() client.images:oci(fake.host .. "/Good/x") end)
    assert.matches("no capitals", tostring(err))
  end)
end)
