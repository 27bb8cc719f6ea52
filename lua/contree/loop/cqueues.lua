--- The host for cqueues: a coroutine of a controller that waits lets the controller's
--- others run. Outside of all controllers it is the plain host.

local core = require("contree.core")
local plain = require("contree.loop.plain")

return function(loop)
  local cqueues = require("cqueues")
  local condition = require("cqueues.condition")
  local host = plain(loop)
  local spawn, wait, wake = host.spawn, host.wait, host.wake
  -- controller -> { count = coroutines that wait in it, changed }
  local turners = setmetatable({}, { __mode = "k" })

  -- The controller that runs this coroutine; nil in a coroutine of the user's.
  local function here()
    local controller, own = cqueues.running()
    return own and core.isyieldable() and controller or nil
  end

  -- The function of a controller's coroutine: turn the loop while any other one waits.
  local function turn(controller, turner)
    while true do
      local at_once = host.run() and 0 or nil
      -- A task that has just run may have woken the last one: nobody would end the poll.
      if turner.count == 0 then break end
      cqueues.poll({ pollfd = loop.fd(), events = "r" }, at_once or turner.changed)
      loop.turn(0)
    end
    turners[controller] = nil
  end

  local function enter(controller)
    local turner = turners[controller]
    if not turner then
      turner = { count = 0, changed = condition.new() }
      turners[controller] = turner
      controller:wrap(turn, controller, turner)
    end
    turner.count = turner.count + 1
    return turner
  end

  -- The plain host calls this when tasks have become ready.
  function host.ready()
    for _, turner in pairs(turners) do turner.changed:signal() end
  end

  function host.spawn(fn)
    local controller = here()
    if not controller then return spawn(fn) end
    controller:wrap(fn)
  end

  function host.wait(w)
    local controller = here()
    if not controller then return wait(w) end
    w.parked, w.turner = condition.new(), enter(controller)
    while not w.fired do w.parked:wait() end
  end

  function host.wake(w)
    local turner = w.turner
    if not turner then return wake(w) end
    turner.count = turner.count - 1
    if turner.count == 0 then turner.changed:signal() end
    w.parked:signal()
  end

  function host.concurrent() return here() ~= nil end

  return host
end
