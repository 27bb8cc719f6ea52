--- The host for cqueues: in a coroutine of a controller, who waits lets the
--- controller's others run. Outside of all controllers it is the plain host.

local core = require("contree.core")

return function(loop)
  local cqueues = require("cqueues")
  local condition = require("cqueues.condition")
  local host = require("contree.loop.plain")(loop)
  local spawn, wait, wake = host.spawn, host.wait, host.wake
  -- controller -> { count = of those who wait in it, changed }
  local turners = setmetatable({}, { __mode = "k" })

  -- The controller whose own coroutine this is; in a user's one, nil.
  local function here()
    local controller, own = cqueues.running()
    return own and core.isyieldable() and controller or nil
  end

  -- A coroutine of the controller: turns the loop while somebody waits in it.
  local function turn(controller, turner)
    while turner.count > 0 do
      local at_once = host.run() and 0 or nil
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

  -- Tasks of the plain host have become ready.
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
