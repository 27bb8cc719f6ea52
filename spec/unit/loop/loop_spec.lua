local loop = require("contree.loop")

describe("a turn of the loop", function()
  local ports

  before_each(function()
    ports = {}
    for i = 1, 5 do
      ports[i] = loop.transfer{ method = "GET", url = "http://nobody/", unix_socket = "/missing" }
    end
  end)
  after_each(function()
    for _, port in ipairs(ports) do port:cancel() end
  end)

  local function with_news()
    local count = 0
    for _, port in ipairs(ports) do
      if port.news then count = count + 1 end
    end
    return count
  end

  it("is not wanted any more when the last transfer was cancelled, and not before", function()
    local host, idle = loop.host(), 0
    local told = host.idle
    host.idle = function(...)
      idle = idle + 1
      return told(...)
    end
    finally(function() host.idle = told end)
    for i = 1, 4 do ports[i]:cancel() end
    ports[4]:cancel() -- once more
    assert.are.equal(0, idle)
    ports[5]:cancel()
    assert.are.equal(1, idle)
    loop.turn(0)
    assert.are.equal(1, idle)
  end)

  it("tells all who wait what has come", function()
    while with_news() == 0 do loop.turn(0.1) end
    assert.are.equal(5, with_news())
  end)

  it("tells no more of them than it may, and that there are more", function()
    local told, more = 0, false
    while told < 5 do
      more = loop.turn(more and 0 or 0.1, 2)
      local now = with_news()
      assert.is_true(now - told <= 2)
      assert.is_true(more or now == 0 or now == 5)
      told = now
    end
    assert.is_false(loop.turn(0, 2))
  end)
end)
