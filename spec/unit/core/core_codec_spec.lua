local core = require("contree.core")
local disk = require("spec.support.disk")
local hash = require("contree.image.hash")
local peer = require("spec.support.core_peer")

local function random_bytes(size)
  local bytes = {}
  for i = 1, size do bytes[i] = string.char(math.random(0, 255)) end
  return table.concat(bytes)
end

describe("base64", function()
  -- RFC 4648, section 10
  local vectors = {
    {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
    {"\0", "AA=="}, {"\255\255\255", "////"}, {"\251\239\190", "++++"},
  }

  it("knows the vectors both ways", function()
    for _, vector in ipairs(vectors) do
      assert.equal(vector[2], core.base64_encode(vector[1]))
      assert.equal(vector[1], core.base64_decode(vector[2]))
    end
  end)

  it("brings any bytes back", function()
    for size = 0, 300 do
      local bytes = random_bytes(size)
      assert.equal(bytes, core.base64_decode(core.base64_encode(bytes)))
    end
    local large = random_bytes(1000):rep(1000)
    assert.equal(large, core.base64_decode(core.base64_encode(large)))
  end)

  it("says nil to broken text", function()
    for _, text in ipairs{"Zg", "Zg=", "Zg===", "Z", "====", "=Zg=", "Zg==Zg==", "Zm9v\n",
                          "Zm 9", "Zm-_", "Zm9\0", "A===", "Zm=v", "\195\132AA"} do
      assert.is_nil(core.base64_decode(text), text)
    end
  end)

  it("takes strings only", function()
    assert.error(function() core.base64_encode() end)
    assert.error(function() core.base64_decode({}) end)
  end)
end)

describe("is_ascii", function()
  it("takes printable text with tab, line feed and carriage return", function()
    assert.is_true(core.is_ascii(""))
    assert.is_true(core.is_ascii("a~ \t\r\n"))
    for byte = 0, 255 do
      local plain = byte >= 32 and byte < 127 or byte == 9 or byte == 10 or byte == 13
      assert.equal(plain, core.is_ascii("some text " .. string.char(byte)))
    end
  end)
end)

describe("is_utf8", function()
  it("takes every well-formed sequence", function()
    for _, text in ipairs{"", "ascii only, and longer than eight", "\0", "é", "\223\191",
                          "\224\160\128", "\237\159\191", "\238\128\128", "\239\191\191",
                          "\240\144\128\128", "\244\143\191\191", "1234567é", "12345678é"} do
      assert.is_true(core.is_utf8(text))
    end
  end)

  it("refuses stray, overlong, surrogate, too large and cut ones", function()
    for _, text in ipairs{"\128", "\191", "\192\128", "\193\191", "\194", "\194\65", "\224\159\191",
                          "\224\160", "\237\160\128", "\237\191\191", "\240\143\191\191",
                          "\240\144\128", "\244\144\128\128", "\245\128\128\128", "\255",
                          "12345678\255", "1234567\195", "long enough to be fast \128 here"} do
      assert.is_false(core.is_utf8(text))
    end
  end)
end)

describe("json_encode", function()
  it("escapes what must be, and nothing else", function()
    assert.equal('""', core.json_encode(""))
    assert.equal('"plain"', core.json_encode("plain"))
    assert.equal([["\"\\\n\r\t\u0000\u001f\u007f/é\u0001"]],
      core.json_encode('"\\\n\r\t\0\31\127/é\1'))
    local all = {}
    for byte = 0, 127 do all[#all + 1] = string.char(byte) end
    local text = table.concat(all):rep(100)
    assert.is_true(require("cjson").decode("[" .. core.json_encode(text) .. "]")[1] == text)
  end)

  it("refuses what is no UTF-8", function()
    for _, text in ipairs{"\255", "a\195", "\237\160\128", ("x"):rep(100) .. "\128"} do
      assert.is_nil(core.json_encode(text))
    end
  end)
end)

describe("buffer", function()
  it("joins what was added, and is empty after take", function()
    local buffer = core.buffer()
    assert.equal("", buffer:take())
    buffer:add("one"):add(""):add("\0two")
    assert.equal(7, buffer:length())
    assert.equal(7, #buffer)
    assert.equal("one\0two", buffer:take())
    assert.equal(0, #buffer)
    assert.equal("", buffer:take())
  end)

  it("joins many pieces", function()
    local buffer, pieces = core.buffer(), {}
    for i = 1, 5000 do
      pieces[i] = random_bytes(i % 50)
      buffer:add(pieces[i])
    end
    assert.equal(table.concat(pieces), buffer:take())
  end)

  it("takes strings only, and is nobody else's method", function()
    assert.error(function() core.buffer():add({}) end)
    assert.error(function() core.buffer().take(io.stdout) end)
    assert.error(function() core.buffer().add(core.sse(), "x") end)
  end)
end)

describe("sha256", function()
  local empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  local abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

  it("knows the vectors", function()
    assert.equal(empty, core.sha256(""))
    assert.equal(abc, core.sha256("abc"))
  end)

  it("of a file tells its size too", function()
    local directory = disk.directory()
    local path = directory .. "/file"
    local data = random_bytes(999):rep(1000)
    disk.write(path, data)
    local hex, size = hash.file(path)
    assert.equal(core.sha256(data), hex)
    assert.equal(#data, size)
    disk.write(path, "")
    assert.equal(empty, (hash.file(path)))
    os.execute("rm -rf " .. directory)
  end)

  it("D11: is computed for a little while at a time", function()
    local hashing = core.hash(("x"):rep(30000000))
    local steps, digest, size = 1, hashing:step(0)
    while not digest do
      steps = steps + 1
      digest, size = hashing:step(0)
    end
    assert.equal(459, steps) -- parts of 64 KiB, and the end
    assert.equal(core.sha256(("x"):rep(30000000)), digest)
    assert.equal(30000000, size)
    assert.error(function() hashing:step(0) end)
  end)

  it("of no file is nil and a message", function()
    local hex, message = hash.file("/nowhere/at all")
    assert.is_nil(hex)
    assert.matches("/nowhere/at all: No such file", message)
    assert.is_nil((hash.file("/")))
  end)
end)

describe("the small ones", function()
  local directory

  before_each(function() directory = disk.directory() end)
  after_each(function() os.execute("rm -rf " .. directory) end)

  it("stat tells type, size, mode, owner, and what is a link", function()
    disk.write(directory .. "/file", "four")
    os.execute("cd " .. directory .. " && chmod 640 file && ln -s file link")
    local file = {type = "file", size = 4, mode = 416, uid = core.geteuid(), link = false}
    assert.same(file, core.stat(directory .. "/file"))
    file.link = true
    assert.same(file, core.stat(directory .. "/link"))
    assert.equal("directory", core.stat(directory).type)
    assert.equal("other", core.stat("/dev/null").type)
    local none, message = core.stat(directory .. "/none")
    assert.is_nil(none)
    assert.matches("none: No such file", message)
  end)

  it("lstat tells of links themselves, and what they say", function()
    disk.write(directory .. "/file", "four")
    os.execute("cd " .. directory .. " && chmod 640 file && ln -s file link && ln -s nowhere lost")
    os.execute("cd " .. directory .. " && ln file same && mkfifo pipe")
    local file, lost = core.lstat(directory .. "/file"), core.lstat(directory .. "/lost")
    assert.equal(file.inode, core.lstat(directory .. "/same").inode)
    assert.not_equal(file.inode, lost.inode)
    file.inode, lost.inode = nil, nil
    assert.same({type = "file", size = 4, mode = 416, nlink = 2}, file)
    assert.same({type = "link", size = 7, mode = 511, nlink = 1, target = "nowhere"}, lost)
    assert.equal("fifo", core.lstat(directory .. "/pipe").type)
    assert.equal("file", core.lstat(directory .. "/link").target)
    assert.equal("directory", core.lstat(directory).type)
    assert.equal("other", core.lstat("/dev/null").type)
    local none, message = core.lstat(directory .. "/none")
    assert.is_nil(none)
    assert.matches("none: No such file", message)
  end)

  it("list and mkdir", function()
    assert.same({}, core.list(directory))
    assert.is_true(core.mkdir(directory .. "/.sub", 448))
    assert.is_true(core.mkdir(directory .. "/.sub", 448))
    assert.equal(448, core.stat(directory .. "/.sub").mode)
    disk.write(directory .. "/file", "")
    local names = core.list(directory)
    table.sort(names)
    assert.same({".sub", "file"}, names)
    local none, message = core.list(directory .. "/none")
    assert.is_nil(none)
    assert.matches("none: No such file", message)
    assert.is_nil((core.list(directory .. "/file")))
    none, message = core.mkdir(directory .. "/no/sub", 448)
    assert.is_nil(none)
    assert.matches("no/sub: No such file", message)
  end)

  it("now does not go back", function()
    local before = core.now()
    assert.is_true(core.now() >= before)
  end)

  it("isyieldable knows where it is called", function()
    assert.is_false(core.isyieldable())
    local inside, across
    coroutine.wrap(function()
      inside = core.isyieldable()
      table.sort({1, 2}, function(a, b)
        across = core.isyieldable()
        return a < b
      end)
    end)()
    assert.is_true(inside)
    assert.is_false(across)
  end)

  it("versions, pid and uid", function()
    assert.matches("^%d+%.%d+%.%d+$", core.version)
    assert.matches("^libcurl/", core.curl_version)
    assert.is_nil(core.no_such_thing)
    assert.equal(tonumber(disk.capture("id -u")), core.geteuid())
    assert.is_truthy(core.stat("/proc/" .. core.getpid()))
  end)

  it("exports nothing but its entry", function()
    local path = package.searchpath and package.searchpath("contree.core", package.cpath)
    if not path then return end
    local symbols = disk.capture("nm -D --defined-only " .. path)
    assert.matches("^%x+ T luaopen_contree_core\n$", symbols)
  end)

  it("loads neither libcurl nor a thread before the first loop", function()
    local script = [[
      require("contree.core")
      local maps = io.open("/proc/self/maps"):read("*a")
      local status = io.open("/proc/self/status"):read("*a")
      io.write(tostring(maps:find("libcurl") ~= nil), " ", status:match("Threads:%s*(%d+)"))
    ]]
    local found = disk.capture(("%s -e '%s'"):format(peer.interpreter, script))
    assert.equal("false 1", found)
  end)
end)
