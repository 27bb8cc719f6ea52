--- The host for OpenResty, and nginx with its Lua module: who waits parks on a
--- semaphore, and one timer for each worker turns the loop while somebody does.
--
-- nginx kills the threads of a request whose client has left, or that says
-- ngx.exit, and tells nobody. Those who slept on a semaphore are then not there
-- any more, which is how we know: the timer looks for waiters without a thread,
-- and each request that has something to lose has a guard, a thread that sleeps
-- until there is no more of it.
--
-- Options of contree.host("nginx", {…}):
--   thread_pool  the name of an nginx thread pool; one of its threads then
--                sleeps on the loop's descriptor, instead of our waking up every
--                few milliseconds to look

local core = require("contree.core")
local errors = require("contree.base.errors")
local optional = require("contree.base.options")

-- Seconds between two turns: a part of the time since something happened, so
-- that looking costs little and adds little to what we wait for. nginx has no
-- finer timer than the shortest.
local SHORTEST, LONGEST, PART = 0.001, 0.004, 1 / 8
-- So many requests that wait are woken in one go, and so many begin to in that
-- time: then it is the turn of those that have nothing to do with us.
local MOST = 4
-- How often we look for threads that are gone.
local ROUNDS = 0.1
-- How often we look for requests that only their guards keep.
local CALLS = 0.01
-- Who waits looks so often whether the loop is still turned.
local PATIENCE = 1

local CANNOT_WAIT = "nothing can wait in %s: nginx would stand still meanwhile"
local HINT = "do it in ngx.timer.at(0, function() … end)"
local CANNOT_YIELD = "nothing can wait in a callback of a C function, "
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
  local guards = {}               -- those with wills
  local guard_of = setmetatable({}, { __mode = "k" })  -- a request's ngx.ctx -> its guard
  local news = 0                  -- when a thread was parked or woken last
  local turning = false
  local slot = 0                  -- when a transfer started last, or will be
  local pool = options.thread_pool

  local function can_suspend() return core.isyieldable() and PHASES[ngx.get_phase()] end

  local function leave(w)
    if not parked[w] then return end
    parked[w] = nil
    count = count - 1
  end

  local function execute(guard, will)
    guard.wills[will], guard.lasting[will] = nil, nil
    nginx.spawn(function() will.fn(will.value) end)
  end

  -- The members of a set for which is_gone.
  local function gone(set, is_gone)
    local list = {}
    for one in pairs(set) do
      if is_gone(one) then list[#list + 1] = one end
    end
    return list
  end

  local function is_unattended(w) return w.parked:count() >= 0 end

  -- A guard that has been called awake is there at the next look.
  local function is_missing(guard)
    guard.missed = guard.semaphore:count() >= 0 and guard.missed + 1 or 0
    return guard.missed > 1
  end

  local function is_dead(will)
    if will.thread then return coroutine.status(will.thread) == "dead" end
    for thread in pairs(will.guard.threads) do
      if coroutine.status(thread) ~= "dead" then return false end
    end
    return true
  end

  -- A request whose other threads have ended waits for its guard only.
  local function call_guards()
    for guard in pairs(guards) do
      local lasting = next(guard.lasting)
      if lasting and is_dead(lasting) then guard.semaphore:post() end
    end
  end

  local function bury_the_dead()
    for _, w in ipairs(gone(parked, is_unattended)) do
      leave(w)
      loop.bury(w)
    end
    for _, guard in ipairs(gone(guards, is_missing)) do
      guards[guard] = nil
      for will in pairs(guard.wills) do execute(guard, will) end
    end
  end

  -- The thread of a guard. It also notices the death of a single thread of its
  -- request.
  local function stand(guard)
    while next(guard.wills) do
      guard.semaphore:wait(PATIENCE)
      for _, will in ipairs(gone(guard.wills, is_dead)) do execute(guard, will) end
    end
    guards[guard], guard.standing = nil, nil
  end

  local function guard_here()
    local ctx = ngx.ctx
    local guard = guard_of[ctx]
    if not guard then
      guard = { semaphore = assert(semaphore.new()), missed = 0,
        wills = {}, lasting = {},                      -- sets
        threads = setmetatable({}, { __mode = "k" }) } -- of the request, as far as we know
      guard_of[ctx] = guard
    end
    return guard
  end

  function nginx.will(fn, value, lasting)
    if not can_suspend() then return end
    local guard, thread = guard_here(), coroutine.running()
    guard.threads[thread] = true
    local will = { fn = fn, value = value, guard = guard, thread = not lasting and thread or nil }
    guard.wills[will] = true
    if lasting then guard.lasting[will] = true end
    guards[guard] = true
    if not guard.standing then
      guard.standing = true
      assert(ngx.thread.spawn(stand, guard))
    end
    return function()
      guard.wills[will], guard.lasting[will] = nil, nil
      if next(guard.wills) then return end
      guards[guard] = nil
      guard.semaphore:post()
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
    local round, more, call = core.now() + ROUNDS, false, 0
    while count > 0 or next(guards) do
      local now = core.now()
      if now >= round then
        bury_the_dead()
        round = now + ROUNDS
      end
      if now >= call then
        call_guards()
        call = now + CALLS
      end
      if more then
        -- Not 0: an nginx without OpenResty's patches would come back to us
        -- before it looks at anything else.
        ngx.sleep(SHORTEST)
      elseif pool then
        sleep_in_thread()
      else
        ngx.sleep(math.max(SHORTEST, math.min((now - news) * PART, LONGEST)))
      end
      more = loop.turn(0, MOST)
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
    if not ok and problem ~= "timeout" then
      errors.raise("not_supported", "nginx cannot wait here: " .. problem)
    end
    if not turned then loop.turn(0, MOST) end
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
    local guard = guard_of[ngx.ctx]
    if guard then guard.threads[coroutine.running()] = true end
    loop.turn(0, MOST)
    if w.fired then return end
    w.parked = assert(semaphore.new())
    parked[w] = true
    count = count + 1
    news = core.now()
    while not w.fired do sleep(w) end
  end

  nginx.block = nginx.wait

  -- A wait of no time would not let nginx go on.
  function nginx.breathe()
    if not can_suspend() then refuse() end
    ngx.sleep(SHORTEST)
  end

  -- Of many requests that come at once each lets others pass.
  function nginx.admit()
    if not can_suspend() then return end
    local now = core.now()
    slot = math.max(slot + SHORTEST / MOST, now)
    if slot - now >= SHORTEST then ngx.sleep(slot - now) end
  end

  function nginx.wake(w)
    leave(w)
    news = core.now()
    w.parked:post()
  end

  -- A task is a light thread of its request, or a timer where there can be none.
  function nginx.spawn(fn)
    if can_suspend() then
      local guard = guard_of[ngx.ctx]
      if guard then guard.threads[coroutine.running()] = true end
      assert(ngx.thread.spawn(fn))
      return
    end
    nginx.spawn_apart(fn)
  end

  function nginx.spawn_apart(fn)
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

  -- What the failure of a task is logged with.
  function nginx.request()
    local ok, line = pcall(function() return ngx.var.request end)
    return ok and line or nil
  end

  return nginx
end
