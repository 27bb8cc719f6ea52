--- The host for LÖVE: love.update turns the loop by calling contree.step(), and
--- tasks run between two frames.

local core = require("contree.core")
local plain = require("contree.loop.plain")

-- Seconds that tasks run in one frame; the rest of them run in the next.
local BUDGET = 0.004

return function(loop)
  local love = plain(loop)
  love.script = false
  local busy = false      -- whether something is in flight

  function love.started() busy = true end

  function love.idle() busy = false end

  --- Run the tasks that are ready, and those that become ready meanwhile. Wait for `seconds`
  --- at most, and only while something is in flight: so a run that ends soon ends in this
  --- frame.
  function love.step(seconds)
    local limit = core.now() + seconds
    local last = limit + BUDGET
    love.run(BUDGET)
    while busy or love.pending() do
      loop.turn(love.pending() and 0 or math.max(limit - core.now(), 0))
      local now = core.now()
      if now >= last or now >= limit and not love.pending() then return end
      love.run(last - now)
    end
  end

  return love
end
