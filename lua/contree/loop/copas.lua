--- The host for Copas: a thread of Copas that waits lets the others run. Where Copas does
--- not run it is the plain host. It is made for Copas 4. It also works with 1.x, which does
--- not tell whether it runs and cannot put a thread to sleep.

local core = require("contree.core")

return function(loop)
  local copas = require("copas")
  local host = require("contree.loop.plain")(loop)
  local spawn, wait, wake = host.spawn, host.wait, host.wake
  local modern = copas.wakeup ~= nil
  local known = setmetatable({}, { __mode = "k" })   -- coroutine -> whether Copas resumes it
  local count, turning = 0, false                    -- of waiters; whether turn() runs
  local woken = {}                                   -- coroutines that turn() has to resume

  -- The core loop's descriptor, as a socket that Copas can wait on.
  local pollable = {}

  function pollable.getfd() return pollable.fd end

  function pollable.dirty()
    return count == 0 or woken[1] ~= nil or host.pending()
  end

  -- Copas calls this, waits after a "timeout", and calls it again.
  function pollable.receive()
    pollable.asked = not pollable.asked
    if pollable.asked then return nil, "timeout" end
    return ""
  end

  -- Copas 1.x closes the socket that a thread has waited on last.
  function pollable.close() end

  local function resume_woken()
    local list = woken
    woken = {}
    for _, co in ipairs(list) do copas.addthread(co) end
  end

  -- The function of a Copas thread: turn the loop while any thread waits.
  local function turn()
    host.run()
    while count > 0 or woken[1] do
      pollable.fd, pollable.asked = loop.fd(), false
      copas.receive(pollable)
      loop.turn(0)
      host.run()
      resume_woken()
    end
    turning = false
  end

  -- Whether this coroutine runs inside a thread that we know: then it is the user's own.
  -- Copas 1.x starts its threads inside others, so that tells nothing there.
  local function inside_another()
    if not modern then return false end
    for co, of_copas in pairs(known) do
      if of_copas and coroutine.status(co) == "normal" then return true end
    end
    return false
  end

  local function is_thread()
    if not core.isyieldable() or modern and not copas.running then return false end
    local co = coroutine.running()
    if known[co] == nil and not inside_another() then known[co] = true end
    return known[co]
  end

  -- Copas 1.x puts a coroutine into the queue that it yields: this one drops it.
  local ours = {}

  function ours.insert() end

  function ours.push() end

  local function sleep()
    if not modern then
      coroutine.yield(pollable, ours)
    elseif copas.pauseforever then
      copas.pauseforever()
    else
      copas.sleep(-1)
    end
  end

  function host.spawn(fn)
    local in_copas = is_thread()
    local add = in_copas and copas.addthread or spawn
    add(function()
      known[coroutine.running()] = in_copas
      fn()
    end)
  end

  function host.wait(w)
    if not is_thread() then return wait(w) end
    w.parked, w.in_copas = coroutine.running(), true
    count = count + 1
    if not turning then
      turning = true
      copas.addthread(turn)
    end
    while not w.fired do sleep() end
  end

  function host.wake(w)
    if not w.in_copas then return wake(w) end
    count = count - 1
    if modern then copas.wakeup(w.parked) else woken[#woken + 1] = w.parked end
  end

  function host.concurrent() return is_thread() end

  return host
end
