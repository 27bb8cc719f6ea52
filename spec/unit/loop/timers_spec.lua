local timers = require("contree.loop.timers")

describe("timers", function()
  it("gives what is due, in order", function()
    local queue = timers.new()
    for _, at in ipairs{ 5, 1, 4, 2, 3, 2 } do queue:add(at, at) end
    assert.are.equal(1, queue:first().at)
    local order = {}
    local timer = queue:due(4)
    while timer do
      order[#order + 1] = timer.at
      timer = queue:due(4)
    end
    assert.are.same({ 1, 2, 2, 3, 4 }, order)
    assert.are.equal(5, queue:first().at)
  end)

  it("lets go of any timer, once", function()
    local queue, all, kept = timers.new(), {}, {}
    local state = 7
    for i = 1, 200 do
      state = state * 16807 % 2147483647
      all[i] = queue:add(state % 50, i)
    end
    for i = 1, 200 do
      if i % 3 == 0 then
        queue:remove(all[i])
        queue:remove(all[i])
      else
        kept[#kept + 1] = all[i].at
      end
    end
    table.sort(kept)
    local order = {}
    local timer = queue:due(100)
    while timer do
      order[#order + 1] = timer.at
      timer = queue:due(100)
    end
    assert.are.same(kept, order)
    assert.is_nil(queue:first())
    queue:remove(all[1])
  end)
end)
