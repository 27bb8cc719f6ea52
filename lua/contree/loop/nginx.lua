--- The host for OpenResty, and nginx with its Lua module: who waits parks on a
--- semaphore, and one timer for each worker turns the loop while somebody does.
--
-- Options of contree.host("nginx", {…}):
--   thread_pool  the name of an nginx thread pool; one of its threads then
--                sleeps on the loop's descriptor, instead of our waking up every
--                few milliseconds to look

local core = require("contree.core")
local errors = require("contree.errors")
local optional = require("contree.options")

-- Seconds between two turns: a part of the time since something happened, so
-- that looking costs little and adds little to what we wait for. nginx has no
-- finer timer than the shortest.
local SHORTEST, LONGEST, PART = 0.001, 0.004, 1 / 8
-- How often we look for threads that nginx has killed.
local ROUNDS = 0.1
-- Who waits looks so often whether the loop is still turned.
local PATIENCE = 1

local CANNOT_WAIT = "contree cannot wait in %s: nginx would stand still meanwhile"
local HINT = "do it in ngx.timer.at(0, function() … end)"
local CANNOT_YIELD = "contree cannot wait in a callback of a C function, "
  .. "such as string.gsub, table.sort or require"
-- The phases whose code nginx can suspend.
local PHASES = { rewrite = true, access = true, content = true, timer = true, ssl_cert = true,
  ssl_client_hello = true, ssl_session_fetch = true, server_rewrite = true, preread = true }

return function(loop, options)
  optional.check("contree.host", { thread_pool = optional.name }, options)
  local ngx = rawget(_G, "ngx")
  local semaphore = require("ngx.semaphore")
  local nginx = {}
  local parked, count = {}, 0     -- waiters whose thread sleeps
  local news = 0                  -- when a thread was parked or woken last
  local turning = false
  local pool = options.thread_pool

  local function leave(w)
    if not parked[w] then return end
    parked[w] = nil
    count = count - 1
  end

  -- nginx kills the threads of a request whose client has left, or that says
  -- ngx.exit. Then nobody waits on their semaphore any more.
  local function bury_the_dead()
    local dead = {}
    for w in pairs(parked) do
      if w.parked:count() >= 0 then dead[#dead + 1] = w end
    end
    for _, w in ipairs(dead) do
      leave(w)
      loop.bury(w)
    end
  end

  -- Sleeps until the descriptor is readable, but not for long: an nginx that
  -- wants to leave waits for this thread.
  local function sleep_in_thread()
    local ok, problem = ngx.run_worker_thread(pool, "contree.loop.nginx_thread", "wait",
      loop.fd(), ROUNDS * 1000)
    if ok then return end
    ngx.log(ngx.ERR, "contree: thread pool ", pool, ": ", problem, "; going on with timers")
    pool = nil
  end

  local function turn_while_parked()
    local round = core.now() + ROUNDS
    while count > 0 do
      local now = core.now()
      if now >= round then
        bury_the_dead()
        round = now + ROUNDS
      end
      if pool then
        sleep_in_thread()
      else
        ngx.sleep(math.max(SHORTEST, math.min((now - news) * PART, LONGEST)))
      end
      loop.turn(0)
    end
  end

  -- The handler of our timer. In a worker that is leaving it is called as
  -- well: what is in flight is brought to its end.
  local function work()
    local ok, problem = pcall(turn_while_parked)
    turning = false
    if not ok then ngx.log(ngx.ERR, "contree: ", tostring(problem)) end
  end

  local function see_to_turning()
    if not turning then turning = ngx.timer.at(0, work) and true or false end
    return turning
  end

  -- A worker out of timers is turned by those who wait.
  local function sleep(w)
    local turned = see_to_turning()
    local ok, problem = w.parked:wait(turned and PATIENCE or SHORTEST)
    if not ok and problem ~= "timeout" then error("contree: " .. problem, 0) end
    if not turned then loop.turn(0) end
  end

  local function refuse()
    local phase = ngx.get_phase()
    if PHASES[phase] then
      errors.raise("not_supported", CANNOT_YIELD, { hint = "make the call outside of it" })
    end
    errors.raise("not_supported", CANNOT_WAIT:format(phase .. "_by_lua*"), { hint = HINT })
  end

  function nginx.wait(w)
    if not core.isyieldable() then refuse() end
    loop.turn(0)
    if w.fired then return end
    w.parked = assert(semaphore.new())
    parked[w] = true
    count = count + 1
    news = core.now()
    while not w.fired do sleep(w) end
  end

  nginx.block = nginx.wait

  function nginx.wake(w)
    leave(w)
    news = core.now()
    w.parked:post()
  end

  -- A task is a light thread of its request, or a timer where there can be none.
  function nginx.spawn(fn)
    if core.isyieldable() and PHASES[ngx.get_phase()] then
      assert(ngx.thread.spawn(fn))
      return
    end
    local ok, started, problem = pcall(ngx.timer.at, 0, fn)
    if not ok or not started then
      errors.raise("not_supported", "no task can be started here: "
        .. tostring(ok and problem or started))
    end
  end

  function nginx.started() end

  function nginx.idle() end

  function nginx.concurrent() return true end

  function nginx.report(text) ngx.log(ngx.ERR, text) end

  return nginx
end
