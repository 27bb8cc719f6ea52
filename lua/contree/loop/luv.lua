--- The host for programs around luv (libuv): the uv loop watches ours, and runs
--- while plain code waits.

local plain = require("contree.loop.plain")

return function(loop)
  local uv = require("luv")
  local luv = plain(loop)
  local pump = luv.pump
  local soon, watcher

  -- Test runners, for one, close all handles of the uv loop, also those that are not theirs.
  local function is_lost(handle) return not handle or handle:is_closing() end

  local function run() luv.run() end

  function luv.ready()
    if is_lost(soon) then soon = uv.new_timer() end
    if not soon:is_active() then soon:start(0, 0, run) end
  end

  function luv.started()
    local made, problem = uv.new_poll(loop.fd())
    watcher = made or loop.refused("libuv cannot watch the loop: " .. problem)
    watcher:start("r", function() loop.turn(0) end)
  end

  function luv.idle()
    if not is_lost(watcher) then watcher:close() end
  end

  function luv.watched()
    if luv.pending() then luv.ready() end
    return not is_lost(watcher)
  end

  -- A uv loop cannot be entered twice: plain code in one of its callbacks pumps our loop
  -- only, and blocks the uv loop.
  function luv.pump(w)
    if uv.loop_mode() then return pump(w) end
    while not w.fired do
      loop.rewatch()
      if not uv.run("once") and not w.fired then loop.deadlock() end
    end
  end

  return luv
end
