-- What changed between two images.
local wire = require("spec.support.wire")

describe("/inspect/{image}/diff", function()
  local engine, base, image
  local nothing = "00000000-0000-4000-8000-000000000000"

  local function save(from, command)
    return engine:run{ image = from, shell = true, disposable = false, command = command }
      .result_image_uuid
  end
  local function diff(of, query)
    return engine:get(("/v1/inspect/%s/diff%s"):format(of, query))
  end
  local function lines(of, from)
    local reply = diff(of, "?base=" .. from)
    assert.are.equal(200, reply.status, reply.body)
    assert.are.equal(of, reply.json.image)
    assert.is_false(reply.json.truncated)
    local out = {}
    for i, c in ipairs(reply.json.changes) do
      out[i] = ("%s %s %s"):format(c.change, c.kind, c.path)
    end
    return out
  end

  setup(function()
    engine = wire.start()
    base = save("tag:busybox:latest", "mkdir -p /d/sub /gone/x; echo 1 > /d/f; echo > /d/sub/g; "
      .. "echo 1 > /gone/x/y; echo same > /d/same; ln -s a /d/l")
    image = save(base, "rm -r /gone; echo 2 > /d/f; chmod 750 /d/sub; touch /d/same; "
      .. "ln -sf b /d/l; mkfifo /d/p; rm /bin/vi")
    image = save(image, "rm -r /d/sub; mkdir -p /d/sub; echo 12345 > /d/sub/h; chmod 600 /d/sub/h")
  end)
  teardown(function() engine:stop() end)

  it("tells what a descendant added, changed and removed", function()
    assert.are.same({ "removed symlink /bin/vi", "changed file /d/f", "changed symlink /d/l",
      "added other /d/p", "removed file /d/sub/g", "added file /d/sub/h", "removed directory /gone",
      "removed directory /gone/x", "removed file /gone/x/y" }, lines(image, base))
  end)

  it("works the other way round and between cousins", function()
    assert.are.same({ "added symlink /bin/vi", "changed file /d/f", "changed symlink /d/l",
      "removed other /d/p", "added file /d/sub/g", "removed file /d/sub/h",
      "added directory /gone", "added directory /gone/x", "added file /gone/x/y" },
      lines(base, image))
    local cousin = save(base, "echo 2 > /d/f; rm -r /gone; touch /cousin")
    assert.are.same({ "added symlink /bin/vi", "added file /cousin", "changed symlink /d/l",
      "removed other /d/p", "added file /d/sub/g", "removed file /d/sub/h" }, lines(cousin, image))
    assert.are.same({}, lines(image, image))
  end)

  it("tells size and mode, and takes a tag as base", function()
    for _, c in ipairs(diff(image, "?base=tag:busybox:latest").json.changes) do
      if c.path == "/d/sub/h" then
        assert.are.equal(6, c.size)
        assert.are.equal(33152, c.mode) -- 0100600
        assert.are.equal("added", c.change)
        return
      end
    end
    error("no /d/sub/h")
  end)

  it("tells what a changed path was", function()
    local was = {}
    local changed = save(image, "chmod 600 /d/f; echo longer > /d/f; rm /d/l; echo > /d/l")
    for _, c in ipairs(diff(changed, "?base=" .. image).json.changes) do was[c.path] = c.was end
    assert.are.same({ kind = "file", size = 2, mode = 33188 }, was["/d/f"])
    assert.are.equal("symlink", was["/d/l"].kind)
    for _, c in ipairs(diff(image, "?base=" .. base).json.changes) do
      assert.are.equal(c.change == "changed", c.was ~= nil)
    end
  end)

  it("tells of one path only", function()
    local function paths(path)
      local list = {}
      for i, c in ipairs(diff(image, "?base=" .. base .. "&path=" .. path).json.changes) do
        list[i] = c.path
      end
      return table.concat(list, " ")
    end
    assert.are.equal("/d/sub/g /d/sub/h", paths("/d/sub"))
    assert.are.equal("/d/sub/g /d/sub/h", paths("/d/sub/"))
    assert.are.equal("/gone/x/y", paths("/gone/x/y"))
    assert.are.equal("/d/f", paths("/d/f"))
    assert.are.equal("", paths("/d/fi"))
    assert.are.equal("", paths("/d/su"))
    assert.are.equal("", paths("/d/same"))
    assert.are.equal("", paths("/no/such"))
    assert.matches("^/bin/vi /d/f .*/gone/x/y$", paths("/"))
  end)

  it("stops at the limit and says so", function()
    local reply = diff(image, "?limit=2&base=" .. base)
    assert.are.equal(2, #reply.json.changes)
    assert.is_true(reply.json.truncated)
    reply = diff(image, "?limit=9&base=" .. base)
    assert.are.equal(9, #reply.json.changes)
    assert.is_false(reply.json.truncated)
  end)

  it("is refused with a reason", function()
    for query, status in pairs{ [""] = 400, ["?base="] = 400, ["?base=x"] = 400,
      ["?base=" .. nothing] = 404, ["?base=tag:no"] = 404, ["?limit=0&base=" .. base] = 400 } do
      local reply = diff(image, query)
      assert.are.equal(status, reply.status, query)
      assert.are.equal(status, reply.json.status)
    end
    assert.are.equal(404, diff(nothing, "?base=" .. base).status)
  end)
end)
