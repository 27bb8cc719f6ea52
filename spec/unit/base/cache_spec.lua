-- What programs remember of a server, in a file.
local cache = require("contree.base.cache")
local disk = require("spec.support.disk")

describe("a cache", function()
  local directory
  local client = { address = "http://here", respond = false }

  before_each(function() directory = disk.directory() end)
  after_each(function() disk.remove(directory) end)

  it("is what the next program finds", function()
    local one = cache.open(client, "x", directory)
    one:put("key", "a value: 100%\n")
    assert.are.equal("a value: 100%\n", cache.open(client, "x", directory):get("key"))
    assert.is_nil(cache.open({ address = "http://there" }, "x", directory):get("key"))
  end)

  it("grows without end neither in memory nor on the disk", function()
    local one = cache.open(client, "x", directory)
    local function size()
      local count = 0
      for _ in pairs(one.known) do count = count + 1 end
      return count
    end
    local most = 0
    for i = 1, 40000 do
      one:put("key" .. i, tostring(i))
      if i % 1000 == 0 then most = math.max(most, size()) end
    end
    assert.is_true(most <= 16384, most .. " are kept")
    assert.is_true(#disk.read(one.path) < 16384 * #"key40000 40000\n")
    assert.are.equal("40000", one:get("key40000"))
    assert.are.equal("39000", cache.open(client, "x", directory):get("key39000"))
  end)
end)
