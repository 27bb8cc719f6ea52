local json = require("contree.base.json")

local function encoded(value)
  local text, problem = json.encode(value)
  assert.is_nil(problem)
  return text
end

describe("contree.base.json", function()
  it("encodes numbers exactly", function()
    assert.are.equal("0", encoded(0))
    assert.are.equal("-7", encoded(-7))
    assert.are.equal("5", encoded(5.0))
    assert.are.equal("9007199254740992", encoded(2 ^ 53))
    assert.are.equal("9007199254740991", encoded(9007199254740991))
    assert.are.equal("1000000000000000", encoded(1000000000000000))
    assert.are.equal("0.1", encoded(0.1))
    assert.are.equal("0.5", encoded(0.5))
    assert.are.equal(1 / 3, tonumber(encoded(1 / 3)))
    assert.are.equal(1e300, tonumber(encoded(1e300)))
    if math.maxinteger then
      assert.are.equal("9223372036854775807", encoded(math.maxinteger))
    end
  end)

  it("refuses numbers that JSON has not", function()
    for _, number in ipairs{ 0 / 0, math.huge, -math.huge } do
      local text, problem = json.encode({ a = { number } })
      assert.is_nil(text)
      assert.are.equal("a.1 is not a finite number", problem)
    end
  end)

  it("escapes strings and leaves the rest alone", function()
    assert.are.equal([["a\"b\\c\n\t\r\u0000\u0001\u007fé/"]], encoded("a\"b\\c\n\t\r\0\1\127é/"))
  end)

  it("refuses strings that are not UTF-8 and names the field", function()
    local text, problem = json.encode({ env = { PATH = "\255" } })
    assert.is_nil(text)
    assert.are.equal("env.PATH is not valid UTF-8", problem)
    text, problem = json.encode("\237\160\128") -- a surrogate
    assert.is_nil(text)
    assert.are.equal("the value is not valid UTF-8", problem)
  end)

  it("tells empty lists from empty maps", function()
    assert.are.equal("[]", encoded(json.array()))
    assert.are.equal("{}", encoded({}))
    assert.are.equal('{"args":[]}', encoded({ args = json.array({}) }))
    assert.are.equal("[1,2,3]", encoded({ 1, 2, 3 }))
    assert.are.equal('["a",null,true]', encoded({ "a", json.null, true }))
  end)

  it("refuses what JSON has no form for", function()
    local _, problem = json.encode({ f = print })
    assert.are.equal("f is a function", problem)
    local loop = {}
    loop.loop = loop
    _, problem = json.encode(loop)
    assert.matches("nested too deeply", problem)
    _, problem = json.encode({ [1.5] = true })
    assert.matches("mixes list and map", problem)
  end)

  it("encodes texts of any length, and names what is wrong far within", function()
    for _, count in ipairs{ 1, 100, 5000 } do
      local list = {}
      for i = 1, count do list[i] = { name = "n" .. i, text = ("\"x"):rep(i % 50) } end
      assert.are.same(list, json.decode(encoded(list)))
      assert.are.same(#encoded(list), #encoded(json.decode(encoded(list))))
    end
    local big = ("é\n"):rep(100000)
    assert.are.equal(big, json.decode(encoded{ big })[1])
    local _, problem = json.encode{ a = { {}, { b = { x = "\255" } } } }
    assert.are.equal("a.2.b.x is not valid UTF-8", problem)
    _, problem = json.encode{ a = { [true] = 1 } }
    assert.are.equal("a mixes list and map", problem)
    _, problem = json.encode{ a = { ["\255"] = 1 } }
    assert.are.equal("a.\255 is not valid UTF-8", problem)
    _, problem = json.encode(coroutine.create(print))
    assert.are.equal("the value is a thread", problem)
  end)

  it("decodes integers as integers and drops nulls", function()
    local value = json.decode('{"a":5,"b":null,"c":[1,2.5,9007199254740992],"d":{"e":null},"f":[]}')
    assert.are.equal("5", tostring(value.a))
    assert.is_nil(value.b)
    assert.are.equal("1", tostring(value.c[1]))
    assert.are.equal(2.5, value.c[2])
    assert.are.equal("9007199254740992", ("%.0f"):format(value.c[3]))
    assert.is_nil(next(value.d))
    assert.is_nil(next(value.f))
  end)

  it("says what is wrong with a text", function()
    for _, text in ipairs{ "", "{", "<html>", "[1,]", '{"a":nan}', "5", '"x"', "null" } do
      local value, problem = json.decode(text)
      assert.is_nil(value)
      assert.is_string(problem)
    end
  end)

  it("decodes escapes", function()
    assert.are.equal('"\\/\b\f\n\r\tAé€😀',
      json.decode([==[["\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\ude00"]]==])[1])
    for _, text in ipairs{ [["\x"]], [["\u12"]], [["\u12g4"]], [["\ud83d"]], [["\ud83d\u0041"]],
      [["\ude00"]], [["\"]], [["\]] } do
      assert.is_nil((json.decode("[" .. text .. "]")), text)
    end
  end)

  it("decodes numbers exactly", function()
    local list = json.decode("[0, 7, -12, 1.0, 1e3, 0.1, -2.5E-3, 123456789012345, "
      .. "9007199254740991]")
    local found = {}
    for i, number in ipairs(list) do found[i] = ("%.17g"):format(number) end
    assert.are.same({ "0", "7", "-12", "1", "1000", "0.10000000000000001",
      "-0.0025000000000000001", "123456789012345", "9007199254740991" }, found)
    if math.type then
      for _, i in ipairs{ 1, 3, 4, 5, 8, 9 } do assert.are.equal("integer", math.type(list[i])) end
    end
    for _, text in ipairs{ "-", "+1", ".5", "1e", "1e+", "inf", "--1" } do
      assert.is_nil((json.decode("[" .. text .. "]")), text)
    end
  end)

  it("decodes lists and objects of any length", function()
    for _, count in ipairs{ 0, 1, 15, 16, 17, 32, 33, 1000 } do
      local list, object = {}, {}
      for i = 1, count do
        list[i] = i
        object[i] = ('"k%d" :\t{"v": [%d]}'):format(i, i)
      end
      assert.are.same(list, json.decode(" [" .. table.concat(list, " ,\n") .. "] "))
      local found, seen = json.decode("{" .. table.concat(object, ", ") .. "}"), 0
      for name, member in pairs(found) do
        assert.are.equal("k" .. member.v[1], name)
        seen = seen + 1
      end
      assert.are.equal(count, seen)
    end
    assert.are.same({ a = 2 }, json.decode('{"a":1,"b":1,"a":2,"b":null}'))
  end)

  it("decodes no endless nesting", function()
    local function nested(depth) return ("["):rep(depth) .. ("]"):rep(depth) end
    assert.is_table(json.decode(nested(128)))
    assert.is_nil((json.decode(nested(100000))))
    assert.is_nil((json.decode(('{"a":'):rep(100000))))
  end)

  it("survives its own round trip", function()
    local all = {}
    for byte = 0, 127 do all[#all + 1] = string.char(byte) end
    local text = table.concat(all) .. "äöü€😀"
    assert.are.same({ text = text, list = { 1, 2, { x = false } } },
      json.decode(encoded({ text = text, list = { 1, 2, { x = false } } })))
  end)
end)
