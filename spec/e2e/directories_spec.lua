-- Directories that go in by files=: as one layer; where the server cannot do that, small ones
-- file by file, others as an archive that a run unpacks.
local core = require("contree.core")
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local turns = require("spec.support.turns")

local own = home.own(it)

for _, way in ipairs(home.plain and { "file by file" } or { "as a layer", "file by file" }) do
  describe("a directory, " .. way .. ",", function()
    local client, directory, stop, image, log

    setup(function()
      client, directory, stop = home.client{ log = function(line) log[#log + 1] = line end }
      log = {}
      client.sends_files = way == "file by file" or nil
      image = client.images:use("busybox:latest")
      disk.capture(([[cd %s && mkdir -p p/a/b p/c.d && cd p && printf one > a/one &&
        printf two > a/b/two && chmod 755 a/b/two && chmod 600 a/one && printf x > c.d/x.o &&
        printf y > c.d/y && ln -s one a/link && printf sp > 'a/with space']]):format(directory))
    end)
    before_each(function() log = {} end)
    teardown(function() stop() end)

    local function count(pattern)
      local n = 0
      for _, line in ipairs(log) do n = n + (line:find(pattern) and 1 or 0) end
      return n
    end

    local function find(files)
      return image:run{ shell = "cd /src && find . -type f | sort", files = files }.stdout
    end

    it("keeps names, contents and executable bits", function()
      local result = image:run{ files = { ["/src"] = directory .. "/p" },
        shell = [[cd /src && cat a/one a/b/two a/link 'a/with space' && echo &&
          stat -c '%u %a' a/one a/b/two . a/b]] }
      assert.equal("", result.stderr)
      assert.equal("onetwoonesp\n0 644\n0 755\n0 755\n0 755\n", result.stdout)
      assert.equal(way == "as a layer" and 1 or 0, count("POST /images/%S+/layers%S* 201"))
      if way == "as a layer" then
        assert.equal(0, count("/files"))
        assert.equal(1, count("layers%?at=/src&temporary=1 "))
      end
    end)

    it("leaves out what its rules say", function()
      assert.equal("./a/b/two\n./a/one\n./a/with space\n./c.d/y\n", find{ ["/src"] =
        { source = directory .. "/p", ignore = { "**/*.o", "a/link" } } })
      assert.equal("./c.d/x.o\n", find{ ["/src"] =
        { source = directory .. "/p", ignore = { "*", "!**/*.o" } } })
      disk.write(directory .. "/p/.contreeignore", "# comment\na\n.contreeignore\n")
      assert.equal("./c.d/x.o\n./c.d/y\n", find{ ["/src"] = directory .. "/p" })
      assert.matches("%./a/one\n",
        find{ ["/src"] = { source = directory .. "/p", ignore = false } })
      os.remove(directory .. "/p/.contreeignore")
      local ok, err = pcall(find, { ["/src"] = { source = directory .. "/p", ignore = { "[" } } })
      assert.is_false(ok)
      assert.equal("invalid_argument", err.kind)
      assert.matches("^ignore:1: ", err.message)
    end)

    it("gets owner and mode", function()
      local result = image:run{ shell = "stat -c '%u:%g %a' /src/a/one /src/c.d/y",
        files = { ["/src"] = { source = directory .. "/p", mode = "0640", uid = 0, gid = 0 } } }
      assert.equal("0:0 640\n0:0 640\n", result.stdout)
    end)

    it("is beside files and other directories", function()
      local result = image:run{ shell = "cat /src/a/one /src/own /other/y",
        files = { ["/src"] = directory .. "/p", ["/src/own"] = { data = "own" },
          ["/other"] = directory .. "/p/c.d" } }
      assert.equal("oneowny", result.stdout)
    end)

    it("changes a session's image", function()
      local session = image:session()
      local result = session:run{ shell = "true", files = { ["/src"] = directory .. "/p" } }
      assert.is_true(result.changed)
      assert.equal("one", session:read("/src/a/one"))
      session:rollback()
      assert.is_false(session:exists("/src"))
      session:apply_files{ ["/src"] = directory .. "/p" }
      assert.equal("two", session:run("cat /src/a/b/two").stdout)
    end)

    it("is named when something in it cannot be sent", function()
      disk.capture("mkfifo " .. directory .. "/p/c.d/pipe")
      local ok, err = pcall(find, { ["/src"] = directory .. "/p" })
      os.remove(directory .. "/p/c.d/pipe")
      assert.is_false(ok)
      assert.equal("file", err.kind)
      assert.matches("c%.d/pipe.* neither a file nor a directory", err.message)
      ok, err = pcall(find, { ["/src"] = directory .. "/none" })
      assert.is_false(ok)
      assert.matches("none: No such file", err.message)
    end)

    it("lets other tasks run meanwhile", function()
      local entries = way == "as a layer" and 3000 or 100
      disk.capture(("mkdir -p %s/m && cd %s/m && seq %d | split -l 1 -a 4 -")
        :format(directory, directory, entries))
      local ticks, stdout = turns.count(function()
        return find{ ["/src"] = directory .. "/m" }
      end)
      assert.equal(entries, select(2, stdout:gsub("\n", "")))
      assert.is_true(ticks >= 5, ticks .. " turns of another task")
    end)
  end)
end

describe("a directory that becomes a layer, or is unpacked by a run,", function()
  local client, directory, stop, image

  setup(function()
    client, directory, stop = home.client()
    image = client.images:use("busybox:latest")
  end)
  teardown(function() stop() end)

  it("keeps links, empty directories, hard links and times", function()
    disk.capture(([[cd %s && mkdir -p p/empty p/d p/full/of/none && cd p && printf x > d/x &&
      ln d/x d/same && ln -s ../d dirlink && ln -s /nowhere dangling &&
      touch -d @1234567890 d/x]]):format(directory))
    local result = image:run{ files = { ["/src"] = directory .. "/p" }, shell = [[cd /src &&
      readlink dirlink && readlink dangling && stat -c '%h %Y' d/x && ls -A empty full/of/none]] }
    assert.equal("../d\n/nowhere\n2 1234567890\nempty:\n\nfull/of/none:\n", result.stdout)
  end)

  it("leaves the image's directories and links as they are", function()
    disk.capture(("cd %s && mkdir -p r/tmp r/way && printf x > r/way/in"):format(directory))
    local base = image:run{ shell = "mkdir /real && chmod 711 /real && ln -s real /way",
      disposable = false }
    local result = base:run{ files = { ["/"] = directory .. "/r" },
      shell = "stat -c %a /tmp /real && readlink /way && cat /real/in" }
    assert.equal("1777\n711\nreal\nx", result.stdout)
  end)

  it("has more than 4,096 entries", function()
    disk.capture(("mkdir -p %s/m && cd %s/m && seq 5000 | split -l 1 -a 4 -")
      :format(directory, directory))
    local result = image:run{ shell = "ls /src | wc -l; ls -A /tmp",
      files = { ["/src"] = directory .. "/m" } }
    assert.equal("5000\n", result.stdout)
  end)

  it("has links and empty directories that its rules let in", function()
    disk.capture(("mkdir -p %s/i/a/empty %s/i/b/empty && cd %s/i && ln -s a l && ln -s b m && "
      .. "printf x > a/x.o && printf y > a/y"):format(directory, directory, directory))
    local result = image:run{ shell = "cd /src && find . | sort", files = { ["/src"] =
      { source = directory .. "/i", ignore = { "**/*.o", "m", "b" } } } }
    assert.equal(".\n./a\n./a/empty\n./a/y\n./l\n", result.stdout)
  end)

  own("has no name that would remove one", function()
    disk.capture(("mkdir -p %s/w && : > %s/w/.wh.bin"):format(directory, directory))
    local ok, err = pcall(image.run, image, { shell = "true",
      files = { ["/"] = directory .. "/w" } })
    assert.is_false(ok)
    assert.matches("%.wh%.bin: a name with .wh. removes", err.message)
  end)

  own("is in the lineage", function()
    local result = image:run{ shell = "rm /src/x", disposable = false,
      files = { ["/src"] = disk.capture(("mkdir -p %s/l && printf x > %s/l/x && printf %s/l")
        :format(directory, directory, directory)) } }
    local titles = {}
    for i, entry in ipairs(result:lineage()) do titles[i] = entry.title end
    assert.are.same({ "rm /src/x", "layer:/src", "busybox:latest" }, titles)
  end)

  it("is packed in slices", function()
    disk.write(directory .. "/large", ("x"):rep(3000000))
    disk.capture(("mkdir -p %s/s && mv %s/large %s/s"):format(directory, directory, directory))
    local pack, steps, size = core.pack{ path = directory .. "/s" }, 0, 0
    for bytes in function() return pack:step(0) end do
      steps, size = steps + 1, size + #bytes
    end
    assert.is_true(steps >= 3000000 / 262144)
    assert.equal(512 + 3000320 + 1024, size)
    assert.is_nil(pack:step(1))
  end)
end)
