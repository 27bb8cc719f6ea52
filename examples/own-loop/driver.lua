-- A driver, by which contree uses the event loop of loop.lua.
local mine = require("loop")
local plain = require("contree.loop.plain")

return function(contree)
  local driver = plain(contree)
  local watcher

  -- Something is in flight: from now on contree's descriptor must be watched.
  function driver.started()
    watcher = mine.watch(contree.fd(), function() contree.turn(0) end)
  end

  -- Nothing is in flight any more.
  function driver.idle()
    mine.unwatch(watcher)
  end

  -- Tasks are ready: run them soon, but not within this call.
  local function run() driver.run() end

  function driver.ready() mine.after(0, run) end

  -- Plain code waits: let the event loop go on meanwhile.
  function driver.pump(waiter)
    while not waiter.fired do mine.turn() end
  end

  return driver
end
