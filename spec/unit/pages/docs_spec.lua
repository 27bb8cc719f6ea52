-- The pages that say which test proves what name tests that are there.
local disk = require("spec.support.disk")

-- The texts of the specs of one name, which several folders may have.
local function texts(name)
  local found = {}
  local list = disk.capture(("find spec -name '%s.lua' -o -name '%s.c'"):format(name, name))
  for path in list:gmatch("[^\n]+") do found[#found + 1] = disk.read(path) end
  return table.concat(found, "\n")
end

-- What the tests of one name say they prove: a set of titles.
local function titles(name)
  local found, text = {}, texts(name)
  for title in text:gmatch('[%w_]%(%s*"([^"]+)",%s*function') do found[title] = true end
  for title in text:gmatch('RUN%([%w_]+,%s*(".-")%);') do
    found[title:gsub('"%s+"', ""):sub(2, -2)] = true
  end
  return found
end

-- Calls `see` with each reference, `test_escape: devices`, of a page.
local function references(page, see)
  for code in page:gmatch("`([^`]+)`") do
    local name, title = code:gsub("%s+", " "):match("^([%w_]+): (.+)$")
    if name and (name:match("_spec$") or name:match("^test_")) then see(name, title) end
  end
end

describe("what the docs say is tested", function()
  it("is, in docs/proofs/escapes.md and soak.md", function()
    local known, count = {}, 0
    for _, page in ipairs{ "escapes", "soak" } do
      references(disk.read("docs/proofs/" .. page .. ".md"), function(name, title)
        known[name] = known[name] or titles(name)
        assert.is_true(known[name][title], ("there is no test %s: %s"):format(name, title))
        count = count + 1
      end)
    end
    assert.is_true(count > 20)
  end)

  for _, path in ipairs{ "docs/proofs/api.md", "docs/proofs/security-checks.md",
    "docs/proofs/promises.md" } do
    it("is, in " .. path, function()
      local known, count = {}, 0
      references(disk.read(path), function(name, title)
        known[name] = known[name] or titles(name)
        assert.is_true(known[name][title], ("there is no test %s: %s"):format(name, title))
        count = count + 1
      end)
      assert.is_true(count > 20)
    end)

    it("has in each numbered row a test or a reason, in " .. path, function()
      local last = 0
      for line in disk.read(path):gmatch("[^\n]+") do
        local number = tonumber(line:match("^| (%d+) |"))
        if number and number < 100 then -- else it is a status
          assert.are.equal(last + 1, number)
          last = number
          local proof = false
          references(line, function() proof = true end)
          assert.is_true(proof or line:find("does not apply: ", 1, true) ~= nil, line)
        end
      end
      assert.is_true(last > 10)
    end)
  end

  it("is every route of the engine", function()
    local page = disk.read("docs/proofs/api.md"):gsub("{[%w_]+}", "*")
    local source = disk.capture("cat src/engine/api/*.c")
    local count = 0
    for method, pattern in source:gmatch('{"(%u+)", "([^"]+)",[%s%w_,]+%.') do
      local route = ("%s /%s"):format(method, pattern)
      local at, stop = page:find("`" .. route, 1, true)
      local following = stop and page:sub(stop + 1):match("^/?`")
      assert.is_truthy(at and following, route .. " is not in docs/proofs/api.md")
      count = count + 1
    end
    assert.is_true(count > 20)
  end)
end)
