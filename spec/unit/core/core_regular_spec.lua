-- Local files that the core reads: only regular ones, below a directory if one is given,
-- compressed ones as streams.
local core = require("contree.core")
local disk = require("spec.support.disk")
local hash = require("contree.image.hash")

describe("F11: a file that is read", function()
  local directory

  setup(function()
    directory = disk.directory()
    os.execute("cd " .. directory .. [[ && mkdir -p in/sub && cd in && printf inside > f &&
      printf secret > ../secret && ln -s f link && ln -s sub/../f far && ln -s ../secret out &&
      ln -s "$PWD/f" absolute && ln -s /proc/self/fd/0 magic && ln -s loop loop && mkfifo pipe &&
      ln -s /dev/zero zero && printf x > sub/f]])
  end)
  teardown(function() os.execute("rm -rf " .. disk.quote(directory)) end)

  it("is a regular one, and of a size that was asked for", function()
    assert.equal("inside", core.read_file(directory .. "/in/f", 6))
    assert.equal("secret", core.read_file(directory .. "/in/out", 100))
    for path, message in pairs{
      ["/in/pipe"] = "it is not a regular file", ["/in/zero"] = "it is not a regular file",
      ["/in"] = "it is not a regular file", ["/none"] = "No such file or directory",
    } do
      local bytes, wrong, missing = core.read_file(directory .. path, 100)
      assert.is_nil(bytes)
      assert.equal(directory .. path .. ": " .. message, wrong)
      assert.equal(path == "/none", missing)
      bytes, wrong = hash.file(directory .. path)
      assert.is_nil(bytes)
      assert.matches(message, wrong, 1, true)
      bytes, wrong = core.decompress(directory .. path)
      assert.is_nil(bytes)
      assert.matches(message, wrong, 1, true)
    end
    local bytes, wrong = core.read_file(directory .. "/in/f", 5)
    assert.is_nil(bytes)
    assert.matches("f: it is too large$", wrong)
    assert.is_false((pcall(core.read_file, directory, -1)))
  end)

  it("is below its root, whatever links there are", function()
    local root = directory .. "/in"
    for _, path in ipairs{ "f", "link", "far", "sub/../f", "./f" } do
      assert.equal("inside", core.read_file(path, 100, root), path)
      assert.equal(core.sha256("inside"), (hash.file(path, root)), path)
    end
    for _, path in ipairs{ "out", "../secret", "absolute", root .. "/f", "sub/../../secret" } do
      local bytes, wrong, missing = core.read_file(path, 100, root)
      assert.is_nil(bytes, path)
      assert.matches("leads out of its directory", wrong)
      assert.is_false(missing)
      assert.is_nil((hash.file(path, root)))
      assert.is_nil((core.decompress(path, root)))
    end
    for _, path in ipairs{ "magic", "loop", "none", "f/x", "pipe" } do
      assert.is_nil((core.read_file(path, 100, root)), path)
    end
    assert.is_nil((core.read_file("f", 100, root .. "/f")))
  end)

  it("may be compressed in any of four ways, or damaged", function()
    local text = ("0123456789"):rep(50000)
    disk.write(directory .. "/plain", text)
    for _, program in ipairs{ "gzip", "bzip2", "xz", "zstd -q" } do
      local path = directory .. "/packed"
      os.execute(("%s -c < %s/plain > %s"):format(program, directory, path))
      local reader, parts = assert(core.decompress(path)), {}
      for bytes in function() return reader:read(65536) end do
        assert.is_true(#bytes <= 65536)
        parts[#parts + 1] = bytes
      end
      assert.equal(text, table.concat(parts), program)
      reader:close()
      reader:close()
      assert.equal("it is closed", select(2, reader:read(1)))
      disk.write(path, disk.read(path):sub(1, -10))
      reader = assert(core.decompress(path))
      local bytes, wrong
      repeat bytes, wrong = reader:read(1048576) until not bytes
      assert.is_string(wrong, program)
    end
    assert.is_false((pcall(core.decompress(directory .. "/plain").read, 1)))
  end)

  it("is refused when it is a bomb", function()
    local path = directory .. "/bomb"
    os.execute(("truncate -s 300M %s.raw && zstd -q -f %s.raw -o %s 2>/dev/null; "
      .. "rm -f %s.raw"):format(path, path, path, path))
    local reader = assert(core.decompress(path))
    local bytes, wrong
    repeat bytes, wrong = reader:read(4194304) until not bytes
    assert.matches("bomb", wrong)
  end)
end)
