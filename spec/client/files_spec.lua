-- Uploads: hashed, looked up, sent once, four at a time.
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")

describe("files", function()
  local server, client, image, directory

  setup(function()
    server = fake.start()
    directory = disk.directory()
  end)
  teardown(function()
    server:stop()
    os.execute("rm -rf '" .. directory .. "'")
  end)
  -- What has been sent is remembered by server and project.
  local count = 0
  local function project() return ("p%d.%d"):format(count, core.getpid()) end
  before_each(function()
    count = count + 1
    client = contree.new{ url = server.url, token = "t", project = project() }
    image = client.images:use(fake.IMAGE)
  end)

  local function write(name, data) return disk.write(directory .. "/" .. name, data) end

  local function rules(lookups, uploads)
    local list = fake.run{ spawned = { status = 201, json = fake.operation{} } }
    list[5] = { method = "GET", path = "/v1/files/.*", replies = lookups }
    list[6] = { method = "POST", path = "/v1/files", replies = uploads }
    server:rules(list)
  end

  local missing = { status = 404, json = { error = "file not found" } }

  local function stored(uuid)
    return { status = 201, json = { uuid = uuid, sha256 = "s", size = 5 } }
  end

  it("are looked up by their hash and sent when they are not there", function()
    rules({ missing }, { stored("f-1") })
    local path = write("a.bin", "hello\0")
    image:run{ shell = "x", files = { path, ["/two"] = { source = path, mode = "0700", uid = 5 } } }
    local asked = server:requests()
    assert.are.equal("/v1/files/" .. core.sha256("hello\0"), asked[1].path)
    assert.are.equal("hello\0", asked[2].body)
    assert.are.equal("application/octet-stream", asked[2].headers["content-type"])
    assert.are.equal(3, #asked)
    assert.are.same({ ["/a.bin"] = { uuid = "f-1", mode = "0644" },
      ["/two"] = { uuid = "f-1", mode = "0700", uid = 5 } }, asked[3].json.files)
  end)

  it("of a small directory have the mode and the owner that are given for it", function()
    rules({ missing }, { stored("f-7") })
    os.execute(("mkdir -p '%s/small/sub'"):format(directory))
    write("small/sub/one", "1")
    image:run{ shell = "x",
      files = { ["/src"] = { source = directory .. "/small", mode = "0640", uid = 3 } } }
    local asked = server:requests()
    assert.are.same({ ["/src/sub/one"] = { uuid = "f-7", mode = "0640", uid = 3 } },
      asked[#asked].json.files)
  end)

  it("are not sent when they are there, and not asked for twice", function()
    rules({ { status = 200, json = { uuid = "f-2", sha256 = "s", size = 5 } } }, { missing })
    for _ = 1, 2 do image:run{ shell = "x", files = { ["/a"] = { data = "known" } } } end
    assert.are.same({ "GET /v1/files/" .. core.sha256("known"), "POST /v1/instances",
      "POST /v1/instances" }, server:asked())
  end)

  it("are sent again when the server has forgotten them", function()
    rules({ missing }, { stored("f-1") })
    image:run{ shell = "x", files = { ["/a"] = { data = "x" } } }
    local list = fake.run{}
    list[1].replies = { { status = 404, json = { error = "no such file" } },
      { status = 201, json = fake.operation{ stdout = "ok" } } }
    list[5] = { method = "GET", path = "/v1/files/.*", replies = { missing } }
    list[6] = { method = "POST", path = "/v1/files", replies = { stored("f-9") } }
    server:rules(list)
    assert.are.equal("ok", image:run{ shell = "x", files = { ["/a"] = { data = "x" } } }.stdout)
    assert.are.equal("f-9", server:requests()[4].json.files["/a"].uuid)
  end)

  it("are uploaded once, to be used often", function()
    rules({ missing }, { stored("f-3") })
    local file = client.files:upload(write("once", "12345"))
    assert.are.equal("f-3", file.uuid)
    assert.are.equal("5", tostring(file.size))
    image:run{ shell = "x", files = { ["/here"] = file,
      ["/there"] = { source = file, mode = 493 } } }
    local asked = server:requests()
    assert.are.equal(3, #asked)
    assert.are.same({ ["/here"] = { uuid = "f-3", mode = "0644" },
      ["/there"] = { uuid = "f-3", mode = "0755" } }, asked[3].json.files)
    assert.are.equal("f-3", client.files:upload{ data = "12345" }.uuid)
    assert.are.equal(3, #server:asked())
  end)

  it("travel four at a time, one content once", function()
    rules({ { status = 404, delay = 0.1 } }, { stored("f-4") })
    local given = {}
    for i = 1, 16 do given["/f" .. i] = { data = "content " .. i % 8 } end
    image:run{ shell = "x", files = given }
    local lookups, most = 0, 0
    for _, request in ipairs(server:requests()) do
      if request.path:find("^/v1/files/") then lookups = lookups + 1 end
      most = math.max(most, request.in_flight)
    end
    assert.are.equal(8, lookups)
    assert.is_true(most > 1 and most <= 4)
  end)

  it("survive trouble on the way", function()
    rules({ { ["end"] = "cut" }, missing }, { { status = 503, headers = { ["Retry-After"] = "0" } },
      { ["end"] = "reset" }, stored("f-5") })
    assert.are.equal("f-5", client.files:upload{ data = "trouble" }.uuid)
    rules({ missing }, { { ["end"] = "cut" }, stored("f-6") })
    assert.are.equal("f-6", client.files:upload(write("trouble", "file")).uuid)
  end)

  it("fail the run when they cannot be sent, and nothing is started", function()
    rules({ missing }, { { status = 413, json = { error = "too big" } } })
    local err = failure(image.run, image, { shell = "x", files = { ["/a"] = { data = "big" } } })
    assert.are.equal("unprocessable", err.kind)
    for _, asked in ipairs(server:asked()) do assert.are_not.equal("POST /v1/instances", asked) end
  end)

  it("that are not on this machine are named before anything is sent", function()
    rules({ missing }, { stored("x") })
    local err = failure(image.run, image, { shell = "x", files = { "/no/such" } })
    assert.are.equal("file", err.kind)
    assert.matches("/no/such", tostring(err), 1, true)
    err = failure(client.files.upload, client.files, "/no/such")
    assert.are.equal("file", err.kind)
    assert.are.same({}, server:asked())
    assert.is_true(failure(client.files.upload, client.files, {}).misuse)
    assert.is_true(failure(client.files.upload, client.files, 5).misuse)
  end)

  it("are found by their hash", function()
    rules({ { status = 200, json = { uuid = "f-2", sha256 = "s", size = 5 } } }, { missing })
    assert.are.equal("f-2", client.files:find(core.sha256("x"):upper()).uuid)
    rules({ missing }, { missing })
    assert.is_nil(client.files:find(core.sha256("x")))
    assert.is_true(failure(client.files.find, client.files, "x").misuse)
  end)

  describe("that another program has sent", function()
    local function again()
      client = contree.new{ url = server.url, token = "t", project = project() }
      return client.images:use(fake.IMAGE)
    end
    local given = { shell = "x", files = { ["/a"] = { data = "shared by two" } } }

    it("are not asked for", function()
      rules({ missing }, { stored("f-1") })
      image:run(given)
      rules({ missing }, { stored("f-2") })
      again():run(given)
      local asked = server:requests()
      assert.are.equal(1, #asked)
      assert.are.equal("f-1", asked[1].json.files["/a"].uuid)
    end)

    it("are sent again when the server has lost them", function()
      rules({ missing }, { stored("f-1") })
      image:run(given)
      local list = fake.run{ spawned = { status = 201, json = fake.operation{} } }
      list[5] = { method = "GET", path = "/v1/files/.*", replies = { missing } }
      list[6] = { method = "POST", path = "/v1/files", replies = { stored("f-2") } }
      for _, rule in ipairs(list) do
        if rule.method == "POST" and rule.path:find("instances") then
          table.insert(rule.replies, 1, { status = 404, json = { error = "no such file: f-1" } })
        end
      end
      server:rules(list)
      again():run(given)
      local asked = server:requests()
      assert.are.equal("f-1", asked[1].json.files["/a"].uuid)
      assert.are.equal("f-2", asked[#asked].json.files["/a"].uuid)
    end)

    it("are asked for by files:upload, and by another account", function()
      rules({ missing }, { stored("f-1") })
      image:run(given)
      rules({ missing }, { stored("f-2") })
      assert.are.equal("f-2", again() and client.files:upload{ data = "shared by two" }.uuid)
      client = contree.new{ url = server.url, token = "t", project = "other" }
      client.images:use(fake.IMAGE):run(given)
      local asked = server:requests()
      assert.are.equal("f-2", asked[#asked].json.files["/a"].uuid)
    end)
  end)
end)
