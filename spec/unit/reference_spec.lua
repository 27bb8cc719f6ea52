local reference = require("contree.reference")

describe("contree.reference", function()
  it("knows uuids", function()
    assert.are.equal("12345678-9abc-baba-deda-0123456789ab",
      reference.uuid("12345678-9ABC-baba-deda-0123456789ab"))
    assert.is_nil(reference.uuid("12345678-9abc-baba-deda-0123456789a"))
    assert.is_nil(reference.uuid("busybox"))
    assert.is_nil(reference.uuid("12345678-9abc-baba-deda-0123456789abx"))
  end)

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
    { "a@sha256:abc", "docker.io/library/a@sha256:abc", "a@sha256:abc" },
  }
  for _, case in ipairs(cases) do
    it("reads " .. case[1], function()
      local source = reference.parse(case[1])
      assert.are.same({ "docker://" .. case[2], case[3] }, { source.url, source.tag })
    end)
  end

  it("knows the tag as it was written, where that had no version", function()
    assert.are.equal("ubuntu", reference.parse("docker.io/library/ubuntu").short)
    assert.are.equal("ghcr.io/a/b", reference.parse("ghcr.io/a/b").short)
    assert.is_nil(reference.parse("ubuntu:latest").short)
    assert.is_nil(reference.parse("a@sha256:abc").short)
  end)

  it("passes other transports on", function()
    assert.are.same({ url = "oci-archive:/tmp/x.tar" }, reference.parse("oci-archive:/tmp/x.tar"))
    assert.are.same({ url = "docker-daemon:img:1" }, reference.parse("docker-daemon:img:1"))
    assert.are.same({ url = "oci:/tmp/dir:tag" }, reference.parse("oci:/tmp/dir:tag"))
  end)

  it("refuses what names no image", function()
    for _, text in ipairs{ ":x", "https://a/b", "docker://", "a/", "docker.io/library/",
      "/abs/x", "/var/lib/image.tar",
      "12345678-9abc-baba-deda-0123456789ab" } do
      local source, problem = reference.parse(text)
      assert.is_nil(source)
      assert.is_string(problem)
    end
  end)
end)
