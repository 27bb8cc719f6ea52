-- Volumes and mounts: what is sent, and what is said of a server that has none.
local contree = require("contree")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")

describe("volumes", function()
  local server, client, image

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    client = contree.new{ url = server.url, token = "t" }
    image = client.images:use(fake.IMAGE)
  end)

  local VOLUME = { name = "a/b", size = 5, quota = fake.null, runs = 2, created_at = "2024",
    used_at = fake.null }
  local RUN = { path = "/v1/instances", replies = { { status = 201,
    headers = { ["Preference-Applied"] = "wait" }, json = fake.operation{ stdout = "" } } } }
  local LISTED = { path = "/v1/volumes",
    replies = { { status = 200, json = { volumes = { VOLUME } } } } }
  local FOUND = { name = "a/b", size = 5, runs = 2, in_use = true, created_at = "2024" }

  it("are read", function()
    server:rules{ LISTED,
      { path = "/v1/volumes/a%2Fb", replies = { { status = 200, json = VOLUME } } } }
    assert.same({ FOUND }, client.volumes:list())
    assert.same({ FOUND }, client.volumes())
    assert.same(FOUND, client.volumes:get("a/b"))
    assert.equal("GET", server:requests()[3].method)
  end)

  it("are made and removed", function()
    server:rules{ { path = "/v1/volumes", replies = { { status = 200, json = VOLUME } } },
      { path = "/v1/volumes/a%2Fb", replies = { { status = 204 } } } }
    assert.same(FOUND, client.volumes:create("a/b", { quota = 7 }))
    assert.is_true(client.volumes:remove("a/b"))
    local sent = server:requests()
    assert.same({ name = "a/b", quota = 7 }, sent[1].json)
    assert.equal("DELETE", sent[2].method)
  end)

  it("and mounts are asked of the server once, then sent with each run", function()
    server:rules{ LISTED, RUN }
    for _ = 1, 2 do
      image:run{ shell = "true", volumes = { ["/v"] = "a" },
        mounts = { ["/m"] = "/srv", ["/n"] = { path = "/srv/../srv", noexec = true } } }
    end
    local asked, runs = 0, 0
    for _, request in ipairs(server:requests()) do
      if request.path:find("^/v1/volumes") then asked = asked + 1 end
      if request.method == "POST" then
        runs = runs + 1
        assert.same({ ["/v"] = "a" }, request.json.volumes)
        assert.same({ ["/m"] = "/srv", ["/n"] = { path = "/srv/../srv", noexec = true } },
          request.json.mounts)
      end
    end
    assert.same({ 1, 2 }, { asked, runs })
  end)

  it("are not sent when there are none", function()
    server:rules{ RUN }
    image:run("true")
    for _, request in ipairs(server:requests()) do
      assert.is_nil(request.json and (request.json.volumes or request.json.mounts))
      assert.is_nil(request.path:find("volumes", 1, true))
    end
  end)

  it("are not to be had from a server that does not know them", function()
    for _, status in ipairs{ 404, 405, 501 } do
      local cannot = { replies = { { status = status, json = { error = "x" } } } }
      server:rules{ { path = "/v1/volumes", replies = cannot.replies },
        { path = "/v1/volumes/a", replies = cannot.replies } }
      for _, call in ipairs{
        function() client.volumes:list() end,
        function() client.volumes:get("a") end,
        function() client.volumes:create("a") end,
        function() client.volumes:remove("a") end,
        function() image:run{ shell = "true", volumes = { ["/v"] = "a" } } end,
        function() image:start{ shell = "true", mounts = { ["/v"] = "/srv" } } end,
      } do
        local err = failure(call)
        assert.equal("not_supported", err.kind)
        assert.matches("volumes", err.message)
      end
    end
    for _, request in ipairs(server:requests()) do
      assert.is_false(request.method == "POST" and request.path == "/v1/instances")
    end
  end)

  it("that are not there are not found", function()
    server:rules{ LISTED, { path = "/v1/volumes/c", replies = {
      { status = 404, json = { error = 'no volume "c"', status = 404 } } } } }
    assert.equal("not_found", failure(client.volumes.get, client.volumes, "c").kind)
    assert.equal("not_found", failure(client.volumes.remove, client.volumes, "c").kind)
  end)

  it("survive what a server should not say", function()
    for _, answer in ipairs{ { volumes = fake.null }, { volumes = { 5, "x" } },
      { volumes = { { name = 5, size = "x", runs = "y" } } } } do
      server:rules{ { path = "/v1/volumes", replies = { { status = 200, json = answer } } } }
      for _, each in ipairs(client.volumes:list()) do
        assert.is_nil(each.name)
        assert.is_false(each.in_use)
      end
    end
  end)

  it("are checked before anything is sent", function()
    server:rules{}
    local function misused(pattern, given)
      given.shell = "true"
      local err = failure(image.run, image, given)
      assert.equal("invalid_argument", err.kind)
      assert.matches(pattern, err.message)
    end
    misused("absolute path", { volumes = { v = "a" } })
    misused("map", { volumes = "a" })
    misused("not empty", { volumes = { ["/v"] = "" } })
    misused("absolute path", { mounts = { m = "/srv" } })
    misused('did you mean "noexec"', { mounts = { ["/m"] = { path = "/srv", noexe = true } } })
    misused("needs path", { mounts = { ["/m"] = { noexec = true } } })
    misused("path", { mounts = { ["/m"] = 5 } })
    assert.equal("file", failure(image.run, image, { shell = "true",
      mounts = { ["/m"] = "no/such/directory" } }).kind)
    assert.same({}, server:requests())
  end)

  it("of this machine may be named from here", function()
    server:rules{ LISTED, RUN }
    image:run{ shell = "true", mounts = { ["/m"] = "spec/../docs" } }
    local pwd = io.popen("pwd"):read("l")
    for _, request in ipairs(server:requests()) do
      if request.method == "POST" then assert.equal(pwd .. "/docs", request.json.mounts["/m"]) end
    end
  end)
end)
