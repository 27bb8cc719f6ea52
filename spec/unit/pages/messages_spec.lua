-- docs/reference/messages.md and the sources say the same.
local disk = require("spec.support.disk")
local messages = require("spec.support.messages")

local function lines_of(text)
  local set = {}
  for line in text:gmatch("[^\n]+") do set[line] = true end
  return set
end

local function missing(from, others)
  local list = {}
  for line in pairs(from) do
    if not others[line] then list[#list + 1] = line end
  end
  table.sort(list)
  return list
end

describe("the page of messages", function()
  local page, code = lines_of((messages.page())), lines_of(messages.list())

  it("has every message of the sources (`lua5.4 spec/support/messages.lua --write`)", function()
    assert.are.same({}, missing(code, page))
  end)

  it("has no message that the sources have not (the same mends it)", function()
    assert.are.same({}, missing(page, code))
  end)

  -- fault_errno() appends the system's words, which would then read as part of the fix.
  it("has fixes at the end of messages, none before the system's words", function()
    local wrong = disk.capture([[cat $(find src -name '*.c') | tr -d '\n' | grep -o ]]
      .. [["fault_errno([^;]*Fix:[^;]*;" || true]])
    assert.are.equal("", wrong)
  end)

  it("is about many: the sources are really read", function()
    local count, kinds = 0, {}
    for line in pairs(code) do
      count = count + 1
      local kind = line:match("^%- `.-` %((.-)%)")
      if kind then kinds[kind] = true end
    end
    assert.is_true(count > 400)
    for _, kind in ipairs{ "misuse", "Dockerfile", "conflict", "file", "400", "507", "internal" } do
      assert.is_true(kinds[kind], kind)
    end
  end)

  it("knows what to do about every kind", function()
    local _, rest = messages.page()
    for line in pairs(code) do
      local kind = line:match("^%- `.-` %(([%l_]+)%)") or line:match("^%- `.-` %((%d%d%d)%)")
      if kind then assert.is_truthy(rest:find(kind, 1, true), line) end
    end
  end)
end)
