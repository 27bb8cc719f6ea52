--- The load for bench/hosts: 50 runs are in flight all the time. Each writes a line every
--- 50 ms, which is delivered at once.
local load = {}

load.IN_FLIGHT, load.ROUNDS = 50, 8
load.SHELL = "for i in 1 2 3 4 5; do echo line; sleep 0.05; done"

--- Makes a clock for a 10 ms timer, which must call tick(). print() writes the gaps between
--- ticks in milliseconds, one a line.
function load.clock(now)
  local clock = { gaps = {} }
  local last
  function clock.tick()
    local time = now()
    if last then clock.gaps[#clock.gaps + 1] = (time - last) * 1000 end
    last = time
  end
  function clock.print()
    for _, gap in ipairs(clock.gaps) do io.write(("%.3f\n"):format(gap)) end
  end
  return clock
end

--- Starts the load; `done` is called when all of it has ended.
---@param on_text fun(text: string)
---@param done fun()
function load.start(contree, image, on_text, done)
  local left = load.IN_FLIGHT
  local function lane()
    for _ = 1, load.ROUNDS do
      image:run{ shell = load.SHELL, stdout = on_text }
    end
    left = left - 1
    if left == 0 then done() end
  end
  for _ = 1, load.IN_FLIGHT do contree.spawn(lane) end
end

return load
