local class = require("contree.base.class")
local errors = require("contree.base.errors")

describe("contree.base.errors", function()
  it("is one line that names the hint", function()
    local err = errors.new("auth", "bad\ntoken\7", { hint = "get another" })
    assert.are.equal("contree: bad token? (get another)", tostring(err))
    assert.is_true(errors.is(err))
    assert.is_true(errors.is(err, "auth"))
    assert.is_false(errors.is(err, "server"))
    assert.is_false(errors.is("text"))
    assert.is_false(errors.is(nil))
  end)

  it("may be put together with text, as a string may", function()
    local err = errors.new("server", "it fell over")
    assert.are.equal("why: contree: it fell over", "why: " .. err)
    assert.are.equal("contree: it fell over!", err .. "!")
    assert.are.equal("contree: it fell overcontree: it fell over", err .. err)
  end)

  it("keeps the fields it is given", function()
    local err = errors.new("server", "x", { status = 500, request_id = "r" })
    assert.are.equal(500, err.status)
    assert.are.equal("r", err.request_id)
    assert.are.equal("server", err.kind)
  end)

  it("names the caller's line for misuse, through pcall and coroutines", function()
    local function misuse() errors.misuse("wrong") end
    local ok, err = pcall(misuse)
    assert.is_false(ok)
    assert.is_true(err.misuse)
    assert.matches("errors_spec%.lua:%d+$", err.where)
    assert.matches("errors_spec%.lua:%d+: contree: wrong$", tostring(err))
    ok, err = coroutine.resume(coroutine.create(misuse))
    assert.is_false(ok)
    assert.matches("errors_spec%.lua", err.where)
  end)
end)

describe("contree.base.class", function()
  local methods = {}
  function methods.fail() errors.raise("server", "down") end
  function methods.misuse() errors.misuse("wrong") end
  function methods.crash() error("plain") end
  function methods.many() return 1, nil, 3 end
  local make = class.define("spec.Thing", methods,
    { __call = function() errors.raise("auth", "x") end })

  it("raises with one face and returns nil, err with the other", function()
    local raising, safe = make({}), make({}, true)
    assert.has_error(raising.fail)
    local value, err = safe.fail()
    assert.is_nil(value)
    assert.are.equal("server", err.kind)
    value, err = safe()
    assert.is_nil(value)
    assert.are.equal("auth", err.kind)
  end)

  it("raises misuse and crashes with both", function()
    local safe = make({}, true)
    assert.is_true(select(2, pcall(safe.misuse)).misuse)
    assert.matches("plain", select(2, pcall(safe.crash)))
  end)

  it("passes every result", function()
    assert.are.equal(3, select("#", make({}, true).many()))
    assert.are.equal(3, (select(3, make({}, true).many())))
  end)

  it("knows its objects and prints them", function()
    assert.are.equal("spec.Thing", class.of(make({})))
    assert.is_nil(class.of({}))
    assert.is_nil(class.of("x"))
    assert.are.equal("spec.Thing: crash, fail, many, misuse", tostring(make({})))
  end)
end)
