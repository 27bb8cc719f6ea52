local reference = require("contree.image.reference")

describe("contree.image.reference", function()
  it("knows uuids", function()
    assert.are.equal("12345678-9abc-baba-deda-0123456789ab",
      reference.uuid("12345678-9ABC-baba-deda-0123456789ab"))
    assert.is_nil(reference.uuid("12345678-9abc-baba-deda-0123456789a"))
    assert.is_nil(reference.uuid("busybox"))
    assert.is_nil(reference.uuid("12345678-9abc-baba-deda-0123456789abx"))
  end)

  local DIGEST = "sha256:" .. ("0123456789abcdef"):rep(4)
  local PINNED = DIGEST:gsub(":", "-")
  local cases = {
    { "ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest" },
    { "ubuntu:22.04", "docker.io/library/ubuntu:22.04", "ubuntu:22.04" },
    { "docker://ubuntu:22.04", "docker.io/library/ubuntu:22.04", "ubuntu:22.04" },
    { "docker.io/ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest" },
    { "docker.io/library/ubuntu:1", "docker.io/library/ubuntu:1", "ubuntu:1" },
    { "library/ubuntu:1", "docker.io/library/ubuntu:1", "ubuntu:1" },
    { "user/img:t", "docker.io/user/img:t", "user/img:t" },
    { "oci://ghcr.io/a/b", "ghcr.io/a/b:latest", "ghcr.io/a/b:latest" },
    { "ghcr.io/a/b:1", "ghcr.io/a/b:1", "ghcr.io/a/b:1" },
    { "localhost:5000/a/b:1", "localhost:5000/a/b:1", "localhost:5000/a/b:1" },
    { "registry:5000/a", "registry:5000/a:latest", "registry:5000/a:latest" },
    { "localhost/a", "localhost/a:latest", "localhost/a:latest" },
    { "Registry.Example:5000/a", "Registry.Example:5000/a:latest",
      "registry.example:5000/a:latest" },
    { "[::1]:5000/a:b", "[::1]:5000/a:b", "--1:5000/a:b" },
    { "[2001:DB8::1]/a", "[2001:DB8::1]/a:latest", "2001-db8--1/a:latest" },
    { "a/b__c/d--e.f_g", "docker.io/a/b__c/d--e.f_g:latest", "a/b__c/d--e.f_g:latest" },
    { "a:_x", "docker.io/library/a:_x", "a:_x" },
    { "a:x-", "docker.io/library/a:x-", "a:x-" },
    { "a:x_-", "docker.io/library/a:x_-", "a:x_-" },
    { "a@" .. DIGEST, "docker.io/library/a@" .. DIGEST, "a:" .. PINNED },
    { "a:1@" .. DIGEST, "docker.io/library/a@" .. DIGEST, "a:" .. PINNED },
    { "docker://h:1/a:B@" .. DIGEST, "h:1/a@" .. DIGEST, "h:1/a:" .. PINNED },
  }
  for _, case in ipairs(cases) do
    it("reads " .. case[1], function()
      local source = reference.parse(case[1])
      assert.are.same({ "docker://" .. case[2], case[3] }, { source.url, source.tag })
    end)
  end

  -- Tags of registries that this server does not allow.
  for _, name in ipairs{ "a:RELEASE.2024-01-31T20-20-33Z", "a:V1", "a:v1..2", "a:v1.", "a:v-.._.",
    "Host/a:1", "h.io/" .. ("n/"):rep(120) .. "n:" .. ("t"):rep(128) } do
    it("B1: derives a tag from " .. name:sub(1, 40), function()
      local source = assert(reference.parse(name))
      assert.is_true(reference.is_tag(source.tag), source.tag)
      assert.are.equal("docker://" .. (name:find("^a:") and "docker.io/library/" or "") .. name,
        source.url)
      -- The tag is the same each time, and the reference finds it.
      assert.are.equal(source.tag, reference.parse("docker://" .. name).tag)
      assert.are.equal(source.tag, reference.tag(name))
      assert.are_not.equal(source.tag, assert(reference.parse(name:lower():gsub("%.%.", ".-")
        :gsub("%.$", "-"):gsub("t$", "u"))).tag)
    end)
  end

  it("B1: knows what a tag is", function()
    for _, tag in ipairs{ "a", "_a", "-", "a-", "h:5000/a.b/c:1", ("x"):rep(256) } do
      assert.is_true(reference.is_tag(tag))
      assert.are.equal(tag, reference.tag(tag))
    end
    for _, text in ipairs{ "", "A", ":a", "a:", "a..b", "a:/b", "a.", "a b", "a@b",
      ("x"):rep(257) } do
      assert.is_false(reference.is_tag(text))
    end
    assert.are.equal("No Image", reference.tag("No Image"))
  end)

  it("knows the tag as it was written, where that had no version", function()
    assert.are.equal("ubuntu", reference.parse("docker.io/library/ubuntu").short)
    assert.are.equal("ghcr.io/a/b", reference.parse("ghcr.io/a/b").short)
    assert.is_nil(reference.parse("ubuntu:latest").short)
    assert.is_nil(reference.parse("a@" .. DIGEST).short)
  end)

  it("passes other transports on", function()
    assert.are.same({ url = "oci-archive:/tmp/x.tar" }, reference.parse("oci-archive:/tmp/x.tar"))
    assert.are.same({ url = "docker-daemon:img:1" }, reference.parse("docker-daemon:img:1"))
    assert.are.same({ url = "oci:/tmp/dir:tag" }, reference.parse("oci:/tmp/dir:tag"))
  end)

  it("refuses what names no image", function()
    for _, text in ipairs{ "Foo", "h.io/Foo:1", "a@sha256:abc", "a@sha512:" .. ("0"):rep(128),
      "a@1", "a@" .. DIGEST:upper(), "a:" .. ("t"):rep(129), "a:.x", "a:-x", "a:x y", "a::1",
      "a//b", "a/-b", "a/b-", "a/b._c", "a___b", "h.io:x/a", "-h.io/a", "[::1/a", "[::g]/a", "h:1/",
      "me:pass@h.io/a", "a\n", ":x", "https://a/b", "docker://", "a/", "docker.io/library/",
      "/abs/x", "/var/lib/image.tar",
      "12345678-9abc-baba-deda-0123456789ab" } do
      local source, problem = reference.parse(text)
      assert.is_nil(source)
      assert.is_string(problem)
    end
  end)
end)
