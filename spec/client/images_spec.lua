-- The images manager, tags, and reading images.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")

describe("images", function()
  local server, client

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function() client = contree.new{ url = server.url, token = "t" } end)

  local function found(uuid) return { status = 302, headers = { Location = uuid .. "/" } } end

  it("are named without a request", function()
    server:rules{}
    local image = client.images:use("busybox:latest")
    assert.are.equal("busybox:latest", image.tag)
    assert.is_nil(image.uuid)
    assert.are.equal("contree.Image(busybox:latest)", tostring(image))
    assert.are.equal("x", client.images:use("tag:x").tag)
    assert.are.equal(fake.IMAGE, client.images:use(fake.IMAGE:upper()).uuid)
    assert.are.same({}, server:asked())
    for _, ref in ipairs{ "", "tag:", 5 } do
      assert.is_true(failure(client.images.use, client.images, ref).misuse)
    end
  end)

  it("are looked up when it must be sure", function()
    server:rules{
      { path = "/v1/inspect/", replies = { found(fake.IMAGE) } },
      { path = "/v1/inspect/" .. fake.KEPT .. "/", replies = { { status = 200,
        json = { uuid = fake.KEPT, tag = fake.null, created_at = "2024" } } } },
    }
    assert.are.equal(fake.IMAGE, client.images:use("a:1", { strict = true }).uuid)
    local image = client.images:use(fake.KEPT, { strict = true })
    assert.is_nil(image.tag)
    assert.are.equal("2024", image.created_at)
    server:rules{}
    local err = failure(client.images.use, client.images, "a", { strict = true })
    assert.are.equal("not_found", err.kind)
  end)

  it("are listed page by page", function()
    local function page(from, count)
      local images = {}
      for i = 1, count do images[i] = { uuid = ("u-%d"):format(from + i), tag = fake.null } end
      return { status = 200, json = { images = images } }
    end
    server:rules{ { path = "/v1/images", replies = { page(0, 1000), page(1000, 3) } } }
    local list = client.images:list{ tagged = true, tag = "a/b", since = "2h", ["before"] = 60 }
    assert.are.equal(1003, #list)
    assert.are.equal("u-1003", list[1003].uuid)
    local asked = server:requests()
    assert.are.equal("limit=1000&offset=0&since=2h&tag=a/b&tagged=1&until=60", asked[1].query)
    assert.are.equal("limit=1000&offset=1000&since=2h&tag=a/b&tagged=1&until=60", asked[2].query)
    server:rules{ { path = "/v1/images", replies = { page(0, 5) } } }
    assert.are.equal(5, #client.images:list{ limit = 5 })
    assert.are.equal("limit=5&offset=0", server:requests()[1].query)
    local n = 0
    for image in client.images:each() do
      n = n + 1
      assert.are.equal("u-" .. n, image.uuid)
    end
    assert.are.equal(5, n)
    server:rules{ { path = "/v1/images", replies = { { status = 200, json = {} } } } }
    assert.are.same({}, client.images:list())
  end)

  it("are listed once each, whatever is made meanwhile", function()
    local function page(first, last)
      local images = {}
      for i = first, last do images[#images + 1] = { uuid = ("u-%d"):format(i) } end
      return { status = 200, json = { images = images } }
    end
    server:rules{ { path = "/v1/images", replies = { page(1, 1000), page(998, 1997),
      page(1998, 2000) } } }
    local list = client.images{}
    assert.are.equal(2000, #list)
    assert.are.equal("u-2000", list[2000].uuid)
    -- A server that always returns the same page is not asked for ever.
    server:rules{ { path = "/v1/images", replies = { page(1, 1000) } } }
    assert.are.equal(1000, #client.images{ limit = 5000 })
  end)

  it("are found under the tag that another client gave them", function()
    server:rules{ { path = "/v1/inspect/", replies = { { status = 404 }, found(fake.IMAGE) } } }
    assert.are.equal("ubuntu", client.images:oci("docker.io/library/ubuntu").tag)
    assert.are.equal("tag=ubuntu%3Alatest", server:requests()[1].query)
    assert.are.equal("tag=ubuntu", server:requests()[2].query)
  end)

  it("of a reference are named without a request", function()
    assert.are.same({ url = "docker://docker.io/library/ubuntu:latest", tag = "ubuntu:latest" },
      client.images:reference("ubuntu"))
    assert.is_true(failure(client.images.reference, client.images, "/a/file.tar").misuse)
  end)

  local function imports(events)
    return {
      { method = "POST", path = "/v1/images/import", replies = { { status = 201,
        json = { uuid = "op-1" } } } },
      { path = "/v1/operations/op-1/events", replies = events or { { status = 404 } } },
      { path = "/v1/operations/op-1", replies = { { status = 200, json = { uuid = "op-1",
        kind = "image_import", status = "SUCCESS", result_image_uuid = fake.KEPT } } } },
      { path = "/v1/inspect/", replies = { { status = 404, json = { error = "no such tag" } } } },
    }
  end

  it("that can only be there are never imported", function()
    server:rules(imports())
    assert.are.equal("not_found", failure(client.images.oci, client.images, "tag:mine").kind)
    assert.are.equal("not_found", failure(client.images.oci, client.images, fake.IMAGE).kind)
    for _, asked in ipairs(server:asked()) do assert.is_nil(asked:find("POST")) end
  end)

  it("are imported when they are not there", function()
    server:rules(imports())
    local image = client.images:oci("python:3.12",
      { username = "u", password = "p", timeout = 9.5 })
    assert.are.equal(fake.KEPT, image.uuid)
    assert.are.equal("python:3.12", image.tag)
    local asked = server:requests()
    assert.are.equal("tag=python%3A3.12", asked[1].query)
    assert.are.same({ registry = { url = "docker://docker.io/library/python:3.12",
      credentials = { username = "u", password = "p" } }, tag = "python:3.12", timeout = 10 },
      asked[2].json)
  end)

  it("are taken when they are there", function()
    server:rules{ { path = "/v1/inspect/", replies = { found(fake.IMAGE) } } }
    local image = client.images:oci("docker://ghcr.io/a/b")
    assert.are.equal("ghcr.io/a/b:latest", image.tag)
    assert.are.equal("tag=ghcr.io/a/b%3Alatest", server:requests()[1].query)
  end)

  it("are imported with progress, from anywhere", function()
    server:rules(imports{ fake.stream{ fake.frame(0, "progress", 0,
      { phase = "unpacking", layer = 1, of = 2, bytes = 5, total = 0 }),
      fake.frame(1, "progress", 0, { phase = "unpacking", layer = 2, of = 2, bytes = 7,
        total = 9 }),
      fake.frame(2, "completion", 0, { status = "SUCCESS", result_image_uuid = fake.KEPT }) } })
    local seen = {}
    local image = client.images:import_from("oci-archive:/tmp/x.tar",
      { tag = "mine", progress = function(each)
        seen[#seen + 1] = ("%s %d/%d %d/%s %s"):format(each.phase, each.layer, each.of, each.done,
          tostring(each.total), each.unit)
      end })
    assert.are.equal(fake.KEPT, image.uuid)
    assert.are.same({ "unpacking 1/2 5/nil bytes", "unpacking 2/2 7/9 bytes" }, seen)
    assert.are.same({ registry = { url = "oci-archive:/tmp/x.tar" }, tag = "mine", timeout = 300 },
      server:requests()[1].json)
  end)

  it("are imported, and print how far, whatever the server tells of it", function()
    server:rules(imports{ fake.stream{
      fake.frame(0, "progress", 0, { phase = { "x" }, layer = "y", of = {},
        bytes = "z", total = {} }),
      fake.frame(1, "completion", 0, { status = "SUCCESS", result_image_uuid = fake.KEPT }) } })
    local printer, seen = contree.progress(), nil
    client.images:import_from("docker://x", { progress = function(far)
      seen = tostring(far)
      printer(far)
    end })
    assert.matches("^table: ", seen)
  end)

  it("that cannot be imported say why", function()
    local rules = imports()
    rules[3].replies = { { status = 200, json = { uuid = "op-1", status = "FAILED",
      error = "manifest unknown" } } }
    server:rules(rules)
    local err = failure(client.images.import_from, client.images, "nope")
    assert.are.equal("operation_failed", err.kind)
    assert.matches("manifest unknown", tostring(err))
    for _, given in ipairs{ { "x", { username = "u" } }, { fake.IMAGE }, { "https://x/y" }, { 5 },
      { "x", { pasword = "p" } } } do
      err = failure(client.images.import_from, client.images, given[1], given[2])
      assert.is_true(err.misuse)
    end
    assert.matches("password is missing",
      tostring(failure(client.images.oci, client.images, "x", { username = "u" })))
  end)

  it("are tagged and untagged", function()
    server:rules{
      { path = "/v1/inspect/", replies = { found(fake.IMAGE) } },
      { path = "/v1/images/.*/tag", replies = { { status = 200, json = { uuid = "x" } } } },
    }
    local image = client.images:use("old:1")
    assert.are.equal(image, image:tag_as("new:1"))
    assert.are.equal("new:1", image.tag)
    image:untag()
    assert.is_nil(image.tag)
    local asked = server:requests()
    assert.are.equal("PATCH", asked[2].method)
    assert.are.equal("/v1/images/" .. fake.IMAGE .. "/tag", asked[2].path)
    assert.are.same({ tag = "new:1" }, asked[2].json)
    assert.are.equal("DELETE", asked[3].method)
    assert.are.equal("", asked[3].query)
    image:untag("other")
    assert.are.equal("tag=other", server:requests()[4].query)
    -- Only the name that was taken away is gone.
    image:tag_as("new:2")
    image:untag("other")
    assert.are.equal("new:2", image.tag)
    image:untag("new:2")
    assert.is_nil(image.tag)
    assert.are.equal(fake.IMAGE, image.uuid)
    assert.is_true(failure(image.tag_as, image).misuse)
  end)

  local function item(path, fields)
    local entry = { path = path, size = 3, owner = "root", group = 0, uid = 0, gid = 0,
      mode = 33188, mtime = 1700000000, nlink = 1, is_dir = false, is_regular = true,
      is_symlink = false, is_socket = false, is_fifo = false, symlink_to = "" }
    for key, value in pairs(fields or {}) do entry[key] = value end
    return entry
  end

  it("are read without running anything", function()
    local base = "/v1/inspect/" .. fake.IMAGE
    server:rules{
      { method = "GET", path = base .. "/download",
        replies = { { status = 200, body = "a\nb\0\255" } } },
      { method = "HEAD", path = base .. "/download", replies = { { status = 200 }, { status = 404 },
        { status = 422 } } },
      { path = base .. "/list", replies = { { status = 200, json = { path = "/etc", files = {
        item("hosts"), item("ssl", { is_dir = true, is_regular = false, mode = 16877 }),
        item("sh", { is_symlink = true, is_regular = false, symlink_to = "busybox" }) } } } } },
      { path = base .. "/grep",
        replies = { { status = 200, json = { path = "/", matches = {} } } } },
    }
    local image = client.images:use(fake.IMAGE)
    assert.are.equal("a\nb\0\255", image:read("/etc/hosts"))
    local lines = {}
    for line in image:lines("/x y") do lines[#lines + 1] = line end
    assert.are.same({ "a", "b\0\255" }, lines)
    assert.are.equal("path=/x%20y", server:requests()[2].query)
    assert.is_true(image:exists("/a"))
    assert.is_false(image:exists("/a"))
    assert.is_true(image:exists("/a"))
    local entries = image:ls("/etc/")
    assert.are.equal(3, #entries)
    assert.are.equal("/etc/hosts", entries[1].path)
    assert.are.equal("420", tostring(entries[1].mode))
    assert.are.equal("directory", entries[2].type)
    assert.are.equal("busybox", entries[3].target)
    assert.are.equal("link", image:stat("/etc/sh").type)
    assert.are.equal("directory", image:stat("/").type)
    assert.are.equal("not_found", failure(image.stat, image, "/etc/nope").kind)
    image:grep{ pattern = { "a", "b" }, path = "/etc", case = "smart", max_total = 5 }
    local asked = server:requests()
    assert.are.equal("case=smart&max_total=5&path=/etc&pattern=a&pattern=b", asked[#asked].query)
    for _, method in ipairs{ "read", "ls", "stat", "exists", "download", "lines" } do
      assert.is_true(failure(image[method], image, "relative").misuse)
    end
  end)

  it("are compared", function()
    local other = "11111111-2222-4333-8444-555555555555"
    server:rules{ { path = ("/v1/inspect/%s/diff"):format(fake.IMAGE), replies = { { status = 200,
      json = { base = other, image = fake.IMAGE, truncated = true, changes = {
        { path = "/a", change = "added", kind = "file", size = 3, mode = 33188 },
        { path = "/l", change = "removed", kind = "symlink", size = 1, mode = 41471 } } } } } } }
    local image = client.images:use(fake.IMAGE)
    local changes, truncated = image:diff(client.images:use(other), { limit = 2 })
    assert.is_true(truncated)
    assert.are.equal(2, #changes)
    assert.are.equal("/a added file", ("%s %s %s"):format(changes[1].path, changes[1].change,
      changes[1].type))
    assert.are.equal(420, changes[1].mode)
    assert.are.equal("removed link", changes[2].change .. " " .. changes[2].type)
    image:diff(other:upper())
    image:diff("tag:x/y:1")
    image:diff(client.images:use("x"))
    local asked = {}
    for _, request in ipairs(server:requests()) do asked[#asked + 1] = request.query end
    assert.are.same({ ("base=%s&limit=2"):format(other), "base=" .. other, "base=tag%3Ax/y%3A1",
      "base=tag%3Ax" }, asked)
    for _, wrong in ipairs{ false, 1, "", {} } do
      assert.is_true(failure(image.diff, image, wrong).misuse)
    end
    assert.matches('did you mean "context"', tostring(failure(image.diff, image, other,
      { contxt = 1 })))
  end)

  it("are not compared by a server that does not know how to", function()
    local other = "11111111-2222-4333-8444-555555555555"
    local function rule(uuid, status)
      return { path = ("/v1/inspect/%s/"):format(uuid),
        replies = { { status = status, json = { uuid = uuid } } } }
    end
    local image = client.images:use(fake.IMAGE)
    server:rules{ rule(fake.IMAGE, 200), rule(other, 200) }
    local err = failure(image.diff, image, other)
    assert.are.equal("not_supported", err.kind)
    assert.matches("the local engine does", tostring(err))
    server:rules{ rule(fake.IMAGE, 200), rule(other, 404) }
    assert.are.equal("not_found", failure(image.diff, image, other).kind)
  end)

  it("are copied out whole or not at all", function()
    local path = os.tmpname()
    local image = client.images:use(fake.IMAGE)
    local base = "/v1/inspect/" .. fake.IMAGE
    server:rules{ { path = base .. "/download", replies = { { status = 200, body = "data" } } },
      { path = base .. "/archive", replies = { { status = 200, chunks = { "tar", "ball" } } } } }
    assert.are.equal(path, image:download("/f", path))
    assert.are.equal("data", disk.peek(path))
    assert.are.equal(path, image:archive("/d", path))
    assert.are.equal("tarball", disk.peek(path))
    server:rules{ { path = base .. "/download", replies = { { status = 404,
      json = { error = "no such file" } } } } }
    assert.matches("no such file", tostring(failure(image.download, image, "/f", path)))
    assert.are.equal("tarball", disk.peek(path))
    server:rules{ { path = base .. "/download", replies = { { status = 200, body = "half",
      ["end"] = "cut" } } } }
    client.policy.max_attempts = 1
    assert.are.equal("connection", failure(image.download, image, "/f", path).kind)
    assert.are.equal("tarball", disk.peek(path))
    assert.are.equal("file", failure(image.download, image, "/f", "/no/such/dir/x").kind)
    os.remove(path)
  end)

  it("of a tag are looked up once", function()
    server:rules{ { path = "/v1/inspect/", replies = { found(fake.IMAGE) } },
      { path = "/v1/inspect/.*/download", replies = { { status = 200, body = "x" } } } }
    local image = client.images:use("a:1")
    image:read("/a")
    image:read("/b")
    assert.are.equal(3, #server:asked())
    assert.are.equal(fake.IMAGE, image.uuid)
  end)
end)
