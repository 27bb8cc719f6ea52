-- A directory of an image comes out whole, or not at all, and nowhere else.
local archive = require("spec.support.archive")
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")
local home = require("spec.support.home")

describe("a directory that is downloaded", function()
  local client, directory, stop, image

  setup(function()
    client, directory, stop = home.client()
    image = client.images:use("busybox:latest"):run{ disposable = false, check = true, shell = [[
      mkdir -p /d/sub/deep /d/empty && cd /d && echo text > file &&
      echo '#!/bin/sh' > sub/program &&
      chmod 755 sub/program && chmod 4711 sub/deep && ln file sub/same && ln -s ../file sub/link &&
      ln -s /etc/passwd out && mkfifo pipe && echo x > 'odd
name' && truncate -s 3000000 hole && printf end >> hole && chmod 600 file &&
      touch -d @1000000000 file sub && ln -s /d /way]] }
  end)
  teardown(function() stop() end)

  local function sh(command) return disk.capture("cd " .. directory .. " && " .. command) end

  local function refused(...)
    local ok, err = pcall(image.download, image, ...)
    assert.is_false(ok)
    return err
  end

  it("keeps contents, links, modes and times", function()
    local to = directory .. "/out"
    assert.equal(to, image:download("/d", to))
    local found = sh("cd out && find . -printf '%p %m %y\n' | LC_ALL=C sort")
    assert.equal([[. 755 d
./empty 755 d
./file 600 f
./hole 644 f
./odd
./out 777 l
./sub 755 d
./sub/deep 711 d
./sub/link 777 l
./sub/program 755 f
./sub/same 600 f
name 644 f
]], found)
    assert.equal("text\n2 1000000000\n1000000000\n../file\n/etc/passwd\nend",
      sh([[cd out && cat file && stat -c '%h %Y' file && stat -c %Y sub && readlink sub/link &&
        readlink out && tail -c 3 hole]]))
    assert.equal(3000003, core.stat(to .. "/hole").size)
    assert.is_true(tonumber(sh("stat -c %b out/hole")) * 512 < 1000000)
  end)

  it("comes through links, under the name that was asked for", function()
    image:download("/way/sub/", directory .. "/sub")
    assert.equal("#!/bin/sh\n", disk.read(directory .. "/sub/program"))
    for _, entry in ipairs(image:ls("/d")) do
      if entry.name == "empty" then entry:download(directory .. "/none") end
    end
    assert.equal("", sh("ls -A none"))
  end)

  it("may be the whole image", function()
    image:download("/", directory .. "/all")
    assert.equal("text\n", disk.read(directory .. "/all/d/file"))
  end)

  it("goes where nothing is, or an empty directory", function()
    sh("mkdir full free && echo mine > full/file && echo mine > plain")
    image:download("/d/sub", directory .. "/free")
    assert.equal("#!/bin/sh\n", disk.read(directory .. "/free/program"))
    for _, name in ipairs{ "full", "plain" } do
      local err = refused("/d", directory .. "/" .. name)
      assert.equal("file", err.kind)
      assert.matches("already", err.message)
    end
    assert.equal("mine\nmine\nfile\n", sh("cat full/file plain && ls full"))
    assert.equal("file", refused("/d", directory .. "/no/such/place").kind)
  end)

  it("leaves nothing behind when it fails", function()
    local before = sh("ls")
    assert.equal("not_found", refused("/nowhere", directory .. "/x").kind)
    assert.equal("unprocessable", refused("/d/pipe", directory .. "/x").kind)
    local task = contree.spawn(function() return image:download("/", directory .. "/x") end)
    contree.sleep(0)
    task:cancel()
    pcall(task.wait, task)
    assert.equal(before, sh("ls"))
  end)
end)

describe("an archive that is unpacked on the host", function()
  local directory

  setup(function()
    directory = disk.directory()
    disk.write(directory .. "/secret", "secret")
  end)
  teardown(function() os.execute("rm -rf " .. disk.quote(directory)) end)

  local function unpack(bytes, size, below)
    local untar = assert(core.untar(directory .. "/to", below or ""))
    local ok, problem = true, nil
    for at = 1, #bytes, size or #bytes do
      ok, problem = untar:feed(bytes:sub(at, at + (size or #bytes) - 1))
      if not ok then break end
    end
    while ok do
      ok, problem = untar:finish(1)
      if ok then break end
    end
    untar:close()
    return ok, problem
  end

  it("has no way out", function()
    local outside = directory .. "/planted"
    for _, members in ipairs{
      { { "../planted", data = "x" } },
      { { "a/../../planted", data = "x" } },
      { { "link", target = directory }, { "link/planted", data = "x" } },
      { { "link", target = ".." }, { "link/planted", type = "directory" } },
      { { "link", target = outside }, { "link", data = "x" } },
      { { "hard", type = "hardlink", target = "../secret" } },
      { { "link", target = directory }, { "hard", type = "hardlink", target = "link/secret" } },
      { { "file", data = "x" }, { "file/inside", data = "x" } },
      { { "twice", data = "x" }, { "twice", data = "y" } },
      { { ("n"):rep(300), data = "x" } },
    } do
      local ok, problem = unpack(archive(members))
      assert.is_nil(ok)
      assert.equal(1, (problem:find(directory .. "/to", 1, true)))
      assert.is_nil(core.lstat(outside))
      assert.equal("secret\n", disk.capture("ls " .. directory))
    end
    -- Absolute names are below the directory.
    assert.is_true(unpack(archive{ { outside, data = "x" } }))
    assert.is_nil(core.lstat(outside))
    disk.remove(directory .. "/to")
  end)

  it("gives no rights that files of the user do not have", function()
    assert.is_true(unpack(archive{ { "suid", data = "x", mode = 3565 },
      { "dev", type = "fifo" } }))
    assert.equal("755\n", disk.capture(("stat -c %%a %s/to/*"):format(directory)))
    disk.remove(directory .. "/to")
  end)

  it("is one below a directory of the archive", function()
    local bytes = archive{ { "a/b", type = "directory" }, { "a/b/c", data = "x" } }
    assert.is_true(unpack(bytes, 1, "a/b"))
    assert.equal("x", disk.read(directory .. "/to/c"))
    disk.remove(directory .. "/to")
    local ok, problem = unpack(bytes, 100, "a/bb")
    assert.is_nil(ok)
    assert.matches("not in the directory", problem)
  end)

  it("is damaged or cut off, which is told", function()
    local bytes = archive{ { ("long"):rep(50), data = ("x"):rep(2000) }, { "f", data = "x" } }
    local ok, problem = unpack(bytes:sub(1, -1025))
    assert.is_nil(ok)
    assert.matches("cut off", problem)
    -- A block with a sum is no end, also where its name is empty: "f" stays in the archive.
    for _, byte in ipairs{ 1, 513 + 512 } do
      ok, problem = unpack(bytes:sub(1, byte - 1) .. "\0" .. bytes:sub(byte + 1))
      assert.is_nil(ok)
      assert.matches("damaged", problem)
      assert.equal("secret\n", disk.capture("ls " .. directory))
    end
    math.randomseed(1)
    for _ = 1, 500 do
      local at = math.random(#bytes)
      local bad = bytes:sub(1, at - 1) .. string.char(math.random(0, 255)) .. bytes:sub(at + 1)
      if unpack(bad, math.random(600)) then disk.remove(directory .. "/to") end
      assert.equal("secret\n", disk.capture("ls " .. directory))
    end
  end)
end)
