-- Files that go in, by each way that there is: the engine copies large ones from a descriptor,
-- or they are hashed and sent.
local core = require("contree.core")
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local turns = require("spec.support.turns")

local own = home.own(it)

for _, way in ipairs(home.plain and { "sent" } or { "copied by the engine", "sent" }) do
  describe("large files, " .. way .. ",", function()
    local client, directory, stop, image, log

    setup(function()
      client, directory, stop = home.client{ log = function(line) log[#log + 1] = line end }
      log = {}
      client.sends_files = way == "sent" or nil
      image = client.images:use("busybox:latest")
    end)
    teardown(function() stop() end)

    local function write(name, piece, count)
      return disk.write(directory .. "/" .. name, piece:rep(count))
    end

    local function count(pattern)
      local n = 0
      for _, line in ipairs(log) do n = n + (line:find(pattern) and 1 or 0) end
      return n
    end

    it("arrive whole, with their hash", function()
      local path = write("large", "0123456789abcde\n", 200000)
      local file = client.files:upload(path)
      assert.equal(core.sha256(disk.read(path)), file.sha256)
      assert.equal(3200000, file.size)
      local result = image:run{ shell = "sha256sum < /in", files = { ["/in"] = path } }
      assert.equal(file.sha256, result.stdout:match("^%x+"))
      assert.equal(way == "copied by the engine", count("POST /files/descriptor 201") > 0)
      assert.equal(way ~= "copied by the engine", count("POST /files 201") > 0)
    end)

    it("need no turn of the caller's loop for long", function()
      local path = write("ticks", "fedcba9876543210", 4000000)
      local ticks, file = turns.count(function() return client.files:upload(path) end)
      assert.equal(64000000, file.size)
      assert.is_true(ticks >= 5, ticks .. " turns of another task")
    end)

    it("that changed are another content", function()
      local path = write("changing", "first", 300000)
      local first = client.files:upload(path)
      write("changing", "other", 300000)
      local second = client.files:upload(path)
      assert.are_not.equal(first.sha256, second.sha256)
      assert.equal(core.sha256(("other"):rep(300000)), second.sha256)
    end)

    it("that cannot be read are named", function()
      local ok, err = pcall(client.files.upload, client.files, directory .. "/none")
      assert.is_false(ok)
      assert.equal("file", err.kind)
      assert.matches("none: No such file", err.message)
    end)
  end)
end

describe("an engine that cannot copy from a descriptor", function()
  own("gets the bytes", function()
    local client, directory, stop = home.client()
    local path = disk.write(directory .. "/f", ("x"):rep(2000000))
    client.images:use("busybox:latest"):run("true")
    -- A path instead of the file that is open, as if /proc showed the engine something else.
    local open = core.open_file
    core.open_file = function(name)
      local file = open(name)
      return { close = function() file:close() end, describe = function()
        local what = file:describe()
        what.inode = "1.1"
        return what
      end }
    end
    local ok, file = pcall(client.files.upload, client.files, path)
    core.open_file = open
    assert.is_true(ok, tostring(file))
    assert.equal(core.sha256(disk.read(path)), file.sha256)
    assert.is_true(client.sends_files)
    stop()
  end)
end)

describe("files that are sent", function()
  local client, directory, stop, image

  setup(function()
    client, directory, stop = home.client()
    image = client.images:use("busybox:latest")
    os.execute(("mkdir %s/tree; echo in >%s/tree/a; seq 99 >%s/one; seq 999 >%s/two")
      :format(directory, directory, directory, directory))
  end)
  teardown(function() stop() end)

  it("tell how far they are", function()
    local told = {}
    local sizes = core.stat(directory .. "/one").size + core.stat(directory .. "/two").size
    image:run{ shell = "true", files = { directory .. "/one", directory .. "/two" },
      progress = function(far) told[#told + 1] = far end }
    assert.are.equal(2, #told)
    assert.is_true(told[1].done < told[2].done)
    assert.are.same({ phase = "sending", unit = "bytes", done = sizes, total = sizes }, told[2])
    told = {}
    image:run{ shell = "true", files = { ["/tree"] = directory .. "/tree" },
      progress = function(far) told[#told + 1] = far end }
    -- How much a directory is is known at the end.
    assert.is_nil(told[1].total)
    assert.is_true(told[#told].done > 0)
    assert.are.equal(told[#told].done, told[#told].total)
  end)

  it("are not sent any more when what is told fails", function()
    local ok, err = pcall(image.run, image, { shell = "true", files = { directory .. "/one" },
      progress = function() error("enough", 0) end })
    assert.are.same({ false, "enough" }, { ok, tostring(err) })
  end)
end)
