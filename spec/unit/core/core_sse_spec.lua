local core = require("contree.core")

--- Feeds the pieces and returns all events.
local function parse(...)
  local parser, events = core.sse(), {}
  for _, piece in ipairs{...} do
    assert.is_true(parser:feed(piece))
    local event = parser:next()
    while event do
      events[#events + 1] = event
      event = parser:next()
    end
  end
  assert.is_nil(parser:error())
  return events
end

describe("sse", function()
  it("reads a frame", function()
    assert.same({{id = "3", event = "completion", data = '{"a": 1}'}},
                parse('id: 3\nevent: completion\ndata: {"a": 1}\n\n'))
  end)

  it("knows all three line ends", function()
    for _, eol in ipairs{"\n", "\r\n", "\r"} do
      local stream = ("id:1%sdata:a%s%sdata:b%s%s"):gsub("%%s", eol)
      assert.same({{id = "1", data = "a"}, {data = "b"}}, parse(stream))
    end
  end)

  it("drops one space after the colon, and only one", function()
    assert.same({{data = " two"}}, parse("data:  two\n\n"))
    assert.same({{data = "none"}}, parse("data:none\n\n"))
  end)

  it("joins data lines with line feeds", function()
    assert.same({{data = "a\n\nb\n"}}, parse("data: a\ndata:\ndata: b\ndata\n\n"))
  end)

  it("delivers empty data, and an id without data", function()
    assert.same({{data = ""}, {id = "7"}}, parse("data\n\nid: 7\n\n"))
  end)

  it("ignores comments, unknown fields, and frames that say nothing", function()
    assert.same({{data = "x"}},
                parse(": keepalive\n\n\n\nretry: 10\nevent: alone\n\nfoo\n:\ndata: x\n\n"))
  end)

  it("takes the last of repeated ids, and none with a NUL in it", function()
    assert.same({{id = "2", event = "b", data = ""}},
                parse("id: 1\nid: 2\nid: 3\0\nevent: a\nevent: b\ndata:\n\n"))
  end)

  it("does not carry fields into the next frame", function()
    assert.same({{id = "1", event = "e", data = "a"}, {data = "b"}},
                parse("id: 1\nevent: e\ndata: a\n\ndata: b\n\n"))
  end)

  it("drops an unterminated frame", function()
    assert.same({{data = "a"}}, parse("data: a\n\ndata: b\n"))
  end)

  it("drops a byte order mark at the start, not elsewhere", function()
    assert.same({{data = "a"}}, parse("\239\187\191data: a\n\n"))
    assert.same({{data = "a"}}, parse("\239", "\187", "\191", "data: a\n\n"))
    assert.same({}, parse("\239\187data: a\n\n"))
    assert.same({{id = "1"}}, parse("id: 1\n\239\187\191data: a\n\n"))
  end)

  it("keeps any bytes in data", function()
    local bytes = {}
    for i = 0, 255 do
      if i ~= 10 and i ~= 13 then bytes[#bytes + 1] = string.char(i) end
    end
    local data = table.concat(bytes)
    assert.same({{data = data}}, parse("data: " .. data .. "\n\n"))
  end)

  it("takes a frame below 4 MiB and refuses a larger one", function()
    local large = ("x"):rep(4 * 1024 * 1024 - 100)
    assert.equal(#large, #parse("data: " .. large .. "\n\n")[1].data)
    local parser = core.sse()
    assert.is_false(parser:feed("data: " .. large .. ("x"):rep(200) .. "\n\n"))
    assert.matches("larger than 4 MiB", parser:error())
    assert.is_false(parser:feed("\n\ndata: x\n\n"))
    assert.is_nil(parser:next())
  end)

  it("refuses a frame that grows without end, in lines or in one", function()
    for _, piece in ipairs{("data: %s\n"):format(("x"):rep(60000)), ("x"):rep(60000)} do
      local parser, fed = core.sse(), 0
      while parser:feed(piece) do
        fed = fed + #piece
        assert.is_true(fed < 5 * 1024 * 1024)
      end
    end
  end)

  it("lets comments go on for ever", function()
    local parser, comment = core.sse(), ":" .. ("x"):rep(100000) .. "\n"
    for _ = 1, 100 do assert.is_true(parser:feed(comment)) end
  end)

  local stream = "\239\187\191: hello\r\n\r\n"
    .. "id: 1\r\nevent: stdout\r\ndata: {\"a\":\r\ndata: 2}\r\n\r\n"
    .. "id:2\n\ndata: cr\rdata: only\r\rdata: caf\195\169\n\n:\n\nevent: x\ndata\n\ndata: cut"

  local expected = {
    {id = "1", event = "stdout", data = '{"a":\n2}'},
    {id = "2"},
    {data = "cr\nonly"},
    {data = "caf\195\169"},
    {event = "x", data = ""},
  }

  it("does not care how the bytes are split: one by one", function()
    local pieces = {}
    for i = 1, #stream do pieces[i] = stream:sub(i, i) end
    assert.same(expected, parse((table.unpack or unpack)(pieces)))
  end)

  it("does not care how the bytes are split: in two, anywhere", function()
    for i = 0, #stream do
      assert.same(expected, parse(stream:sub(1, i), stream:sub(i + 1)))
    end
  end)

  it("does not care how the bytes are split: at random", function()
    for _ = 1, 500 do
      local pieces, at = {}, 1
      while at <= #stream do
        local size = math.random(0, 12)
        pieces[#pieces + 1] = stream:sub(at, at + size - 1)
        at = at + size
      end
      assert.same(expected, parse((table.unpack or unpack)(pieces)))
    end
  end)

  it("reads noise the same however it is split", function()
    local letters = {"\n", "\r", ":", " ", "i", "d", "data", "event", "id", "\0", "\239\187\191"}
    for _ = 1, 300 do
      local noise = {}
      for i = 1, math.random(1, 60) do noise[i] = letters[math.random(#letters)] end
      local text = table.concat(noise)
      local cut = math.random(0, #text)
      assert.same(parse(text), parse(text:sub(1, cut), text:sub(cut + 1)))
    end
  end)
end)
