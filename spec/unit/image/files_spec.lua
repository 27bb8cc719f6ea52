local core = require("contree.core")
local disk = require("spec.support.disk")
local files = require("contree.image.files")
local testing = require("contree.testing")

describe("files=", function()
  local directory

  local function write(name, mode)
    local path = disk.write(directory .. "/" .. name, name)
    if mode then os.execute("chmod " .. mode .. " '" .. path .. "'") end
    return path
  end

  local function plan(given)
    local result = {}
    for _, entry in ipairs(files.listed(files.plan(given))) do result[entry.destination] = entry end
    return result
  end

  local function refused(given)
    local ok, err = pcall(function() return files.listed(files.plan(given)) end)
    assert.is_false(ok)
    return err
  end

  setup(function()
    directory = disk.directory()
    os.execute(("mkdir -p '%s/tree/sub/deep' '%s/empty'"):format(directory, directory))
    write("a.txt", "600")
    write("run.sh", "755")
    write("tree/one")
    write("tree/sub/two", "700")
    write("tree/sub/deep/three")
  end)
  teardown(function() os.execute("rm -rf '" .. directory .. "'") end)

  it("may be a list of paths", function()
    local path = directory .. "/a.txt"
    assert.are.same({ ["/a.txt"] = { path = path, mode = "0644", destination = "/a.txt" } },
      plan{ path })
  end)

  it("may be a map, and says who runs a script", function()
    local found = plan{ ["/x/y"] = directory .. "/run.sh", ["/z"] = { data = "\0", uid = 5, gid = 6,
      mode = 384 }, ["/w"] = { source = directory .. "/a.txt", mode = "0755" } }
    assert.are.equal("0755", found["/x/y"].mode)
    assert.are.same({ data = "\0", uid = 5, gid = 6, mode = "0600", destination = "/z" },
      found["/z"])
    assert.are.equal("0755", found["/w"].mode)
  end)

  it("may be a list that says more of some", function()
    local found = plan{ { source = directory .. "/a.txt", mode = "0755", uid = 7 },
      { source = directory .. "/a.txt", path = "/x/y" }, { data = "z", path = "z" } }
    assert.are.equal("0755", found["/a.txt"].mode)
    assert.are.equal(7, found["/a.txt"].uid)
    assert.are.equal(directory .. "/a.txt", found["/x/y"].path)
    assert.are.equal("z", found["/z"].data)
  end)

  it("goes below the root, where its name begins with no slash", function()
    local path = directory .. "/a.txt"
    local found = plan{ ["dest.txt"] = path, ["./s/run.sh"] = path, ["...odd"] = { data = "" } }
    assert.is_table(found["/dest.txt"])
    assert.is_table(found["/s/run.sh"])
    assert.is_table(found["/...odd"])
  end)

  it("takes a tree", function()
    for _, slash in ipairs{ "", "/" } do
      local found = plan{ ["/t" .. slash] = directory .. "/tree" .. slash }
      assert.are.equal(directory .. "/tree/one", found["/t/one"].path)
      assert.are.equal("0755", found["/t/sub/two"].mode)
      assert.are.equal("0644", found["/t/sub/deep/three"].mode)
    end
    assert.is_table(plan{ directory .. "/tree" }["/tree/sub/two"])
    assert.is_table(plan{ ["/"] = directory .. "/tree" }["/sub/two"])
    assert.are.same({}, plan{ ["/e"] = directory .. "/empty" })
  end)

  it("names a local file that is not there, before anything is sent", function()
    local err = refused{ "/no/such/file" }
    assert.are.equal("file", err.kind)
    assert.is_nil(err.misuse)
    assert.matches("/no/such/file", tostring(err), 1, true)
  end)

  it("does not follow a link in a circle", function()
    os.execute(("mkdir '%s/round' && ln -s . '%s/round/self'"):format(directory, directory))
    assert.are.same({}, plan{ ["/r"] = directory .. "/round" })
  end)

  it("refuses what cannot be a file", function()
    local path = directory .. "/a.txt"
    for _, given in ipairs{
      path, { 5 }, { { data = "x" } }, { ["../rel"] = path },
      { ["/a/./b"] = path }, { ["/a/.."] = path }, { [true] = path }, { { path = "/x" } },
      { { source = path, path = 5 } }, { [""] = path }, { ["/x"] = 5 }, { ["/x"] = {} },
      { ["/x"] = { data = "x", source = path } }, { ["/x"] = { data = 5 } },
      { ["/x"] = { data = "x", mode = 99999 } }, { ["/x"] = { data = "x", mode = "rwx" } },
      { ["/x"] = { data = "x", uid = -1 } }, { ["/x"] = { dat = "x" } },
      { path, ["/a.txt"] = { data = "twice" } }, { ["/x"] = { source = { uuid = "x" } } },
    } do
      local err = refused(given)
      assert.are.equal("invalid_argument", err.kind)
      assert.is_true(err.misuse)
    end
    assert.are.equal("file", refused{ ["/x"] = "/dev/null" }.kind)
  end)

  it("keeps a content apart from that of a file which changed before it was sent", function()
    local client, path = testing.client(), disk.write(directory .. "/changing", "old")
    local respond = client.respond
    client.respond = function(request)
      if request.method == "GET" then disk.write(path, "new") end
      return respond(request)
    end
    assert.are.equal(core.sha256("new"), client.files:upload(path).sha256)
    client.respond = respond
    assert.are.equal(core.sha256("old"), client.files:upload({ data = "old" }).sha256)
  end)
end)
