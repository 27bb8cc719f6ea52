local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local stdio = require("contree.base.stdio")

local function read_all(reader)
  local parts = {}
  for chunk in reader do parts[#parts + 1] = chunk end
  return table.concat(parts)
end

describe("contree.buffer", function()
  it("reads as files do", function()
    local buffer = stdio.buffer("one\ntwo\n\nfour")
    assert.are.equal(13, buffer:length())
    assert.are.equal("on", buffer:read(2))
    assert.are.equal("e", buffer:read("l"))
    assert.are.equal("two\n", buffer:read("*L"))
    assert.are.equal("", buffer:read("l"))
    assert.are.equal("four", buffer:read("l"))
    assert.is_nil(buffer:read("l"))
    assert.is_nil(buffer:read(1))
    assert.are.equal("", buffer:read("a"))
    assert.are.equal("", buffer:read(0) or "")
  end)

  it("takes more while it is read", function()
    local buffer = stdio.buffer():write("ab")
    assert.are.equal("a", buffer:read(1))
    buffer:write("c\nd")
    assert.are.equal(4, buffer:length())
    assert.are.equal("bc", buffer:read("l"))
    assert.are.equal("d", buffer:read())
    assert.are.equal(0, buffer:length())
    assert.matches("Buffer%(0 bytes%)", tostring(buffer))
  end)

  it("iterates over lines, keeps every byte, and stays linear", function()
    local all = {}
    for i = 1, 20000 do all[i] = ("line %d\0\255"):format(i) end
    local buffer, n = stdio.buffer(), 0
    for _, line in ipairs(all) do buffer:write(line .. "\n") end
    for line in buffer:lines() do
      n = n + 1
      assert(line == all[n])
    end
    assert.are.equal(20000, n)
  end)

  it("may stand where a file is expected", function()
    local buffer = stdio.buffer()
    assert.are.equal(buffer, buffer:write("a"):flush())
    buffer:close()
    assert.is_true(buffer.closed)
    assert.is_true(failure(buffer.write, buffer, "b").misuse)
    assert.is_true(failure(buffer.read, buffer).misuse)
  end)

  it("refuses what is no string", function()
    local buffer = stdio.buffer()
    assert.is_true(failure(buffer.write, buffer, 5).misuse)
    assert.is_true(failure(buffer.read, buffer, "n").misuse)
  end)
end)

describe("stdin=", function()
  local path = os.tmpname()
  setup(function() disk.write(path, ("x"):rep(3000000)) end)
  teardown(function() os.remove(path) end)

  it("may be anything that has bytes", function()
    assert.are.equal("abc", read_all(stdio.input("abc", "stdin")()))
    local chunks = { "a", "", "b" }
    assert.are.equal("ab", read_all(stdio.input(function() return table.remove(chunks, 1) end,
      "stdin")()))
    assert.are.equal("ab", read_all(stdio.input(stdio.buffer("ab"), "stdin")()))
    assert.are.equal(3000000, #read_all(stdio.input({ path = path }, "stdin")()))
    local file = assert(io.open(path, "rb"))
    assert.are.equal(3000000, #read_all(stdio.input(file, "stdin")()))
    assert.are.equal("file", io.type(file))
    file:close()
  end)

  it("is refused when it is not", function()
    local closed = io.open(path)
    closed:close()
    for _, value in ipairs{ 5, true, {}, { path = 5 }, { path = path, mode = 1 }, closed,
      stdio.PIPE } do
      assert.is_true(failure(stdio.input, value, "stdin").misuse)
    end
  end)

  it("names a file that is not there, and a function that returns no string", function()
    local err = failure(stdio.input({ path = "/no/such" }, "stdin"))
    assert.are.equal("file", err.kind)
    assert.matches("/no/such", tostring(err), 1, true)
    err = failure(stdio.input(function() return 5 end, "stdin")())
    assert.matches("not a number", tostring(err))
  end)

  it("may be an object that reads", function()
    local source = { left = { "a", "b" } }
    function source:read() return table.remove(self.left, 1) end
    assert.are.equal("ab", read_all(stdio.input(source, "stdin")()))
    function source.read() return nil, "unplugged" end
    local err = failure(stdio.input(source, "stdin")())
    assert.are.equal("file", err.kind)
    assert.matches("unplugged", tostring(err))
    function source.read() return true end
    assert.is_true(failure(stdio.input(source, "stdin")()).misuse)
  end)
end)

describe("stdout=", function()
  local function send(value)
    local sink = stdio.output(value, "stdout")()
    sink.write("a\0")
    sink.write("b")
    return sink.finish(), sink
  end

  it("may be nothing: a string", function()
    local value, sink = send(nil)
    assert.are.equal("a\0b", value)
    assert.is_nil(sink.live)
  end)

  it("may be a function", function()
    local got = {}
    local value, sink = send(function(chunk) got[#got + 1] = chunk end)
    assert.is_nil(value)
    assert.is_true(sink.live)
    assert.are.same({ "a\0", "b" }, got)
  end)

  it("may be PIPE or a buffer", function()
    assert.are.equal("a\0b", send(stdio.PIPE):read())
    local buffer = stdio.buffer("x")
    assert.are.equal(buffer, (send(buffer)))
    assert.are.equal("xa\0b", buffer:read())
  end)

  it("may be a file, which stays open, or a path", function()
    local path = os.tmpname()
    assert.are.equal(path, (send({ path = path })))
    local file = assert(io.open(path, "r+b"))
    assert.are.equal("a\0b", file:read("*a"))
    assert.are.equal(file, (send(file)))
    file:seek("set")
    assert.are.equal("a\0ba\0b", file:read("*a"))
    -- The core may write to a file that is ours, and that is closed in the end.
    local sink = stdio.output({ path = path }, "stdout")()
    local own = sink.file
    assert.are.equal("file", io.type(own))
    assert.are.equal(path, sink.finish())
    assert.are.equal("closed file", io.type(own))
    assert.is_nil(stdio.output(file, "stdout")().file)
    file:close()
    os.remove(path)
  end)

  it("may be an object that writes", function()
    local log = { "" }
    function log:write(chunk) self[1] = self[1] .. chunk end
    local value, sink = send(log)
    assert.are.equal(log, value)
    assert.is_true(sink.live)
    assert.are.equal("a\0b", log[1])
  end)

  it("is refused when it is anything else", function()
    for _, value in ipairs{ "out.txt", 5, {}, true } do
      assert.is_true(failure(stdio.output, value, "stdout").misuse)
    end
    local err = failure(stdio.output({ path = "/no/such/dir/x" }, "stdout"))
    assert.are.equal("file", err.kind)
  end)

  it("says when a disk is full", function()
    local full = io.open("/dev/full", "wb")
    if not full then return end
    full:close()
    local sink = stdio.output({ path = "/dev/full" }, "stdout")()
    local err = failure(function()
      sink.write(("x"):rep(100000))
      sink.finish()
    end)
    assert.are.equal("file", err.kind)
    assert.matches("stdout", tostring(err))
  end)
end)

describe("a stream on the wire", function()
  it("is text when it can be, and base64 when not", function()
    assert.are.same({ value = "a\t\n", encoding = "ascii" }, stdio.encode("a\t\n"))
    assert.are.same({ value = "", encoding = "ascii" }, stdio.encode(""))
    assert.are.same({ value = "w6k=", encoding = "base64" }, stdio.encode("é"))
    assert.are.equal("base64", stdio.encode("a\27b").encoding)
  end)

  it("comes back to the byte", function()
    local all = {}
    for byte = 0, 255 do all[#all + 1] = string.char(byte) end
    local bytes = table.concat(all)
    assert.are.equal(bytes, stdio.decode(stdio.encode(bytes)))
  end)

  it("is empty when it is broken or missing, text when its encoding is unknown", function()
    assert.are.equal("", stdio.decode(nil))
    assert.are.equal("", stdio.decode({ value = "?", encoding = "base64" }))
    assert.are.equal("x", stdio.decode({ value = "x", encoding = "utf-7" }))
    assert.are.equal("", stdio.decode({}))
  end)
end)
