--- The host for scripts and programs without an event loop of their own: plain code that
--- waits pumps the loop, and with it every task.
--
-- Drivers for event loops are made from it. They replace started() and idle(), ready()
-- (run() must be called soon) and, where the event loop can go on while plain code waits,
-- pump().

local core = require("contree.core")
local errors = require("contree.base.errors")

-- The value that a parked coroutine yields; user code that yields gives another one.
local PARKED = {}
-- How deep pumps may nest. A coroutine of the user's that waits inside a task pumps inside
-- a pump. Each takes about eight nested C calls, and Lua 5.4 allows 200.
local DEEPEST = rawget(_G, "jit") and 50 or 15

return function(loop)
  local plain = { script = true }
  local own = setmetatable({}, { __mode = "k" })
  local ready, head, tail = {}, 1, 0
  local depth = 0

  local function push(co)
    tail = tail + 1
    ready[tail] = co
    plain.ready()
  end

  local function resume(co)
    local ok, signal = coroutine.resume(co)
    if not ok then error(signal, 0) end
    -- A task that yields without waiting lets the others run.
    if coroutine.status(co) == "suspended" and signal ~= PARKED then push(co) end
  end

  --- Run the coroutines that are ready now; those that become ready meanwhile run in the
  --- next call. Returns whether there are any.
  ---@param seconds? number after so long, leave the rest for the next call
  function plain.run(seconds)
    local last, limit = tail, seconds and core.now() + seconds
    while head <= last do
      local co = ready[head]
      ready[head] = nil
      head = head + 1
      resume(co)
      if limit and core.now() >= limit then break end
    end
    return plain.pending()
  end

  --- Drop the coroutines that are ready.
  function plain.drop()
    for i = head, tail do ready[i] = nil end
    head = tail + 1
  end

  --- Whether run() has something to do.
  function plain.pending() return head <= tail end

  function plain.spawn(fn)
    local co = coroutine.create(fn)
    own[co] = true
    push(co)
  end

  function plain.wait(w)
    local co = coroutine.running()
    if not (co and own[co] and core.isyieldable()) then return plain.block(w) end
    w.parked = co
    while not w.fired do coroutine.yield(PARKED) end
  end

  function plain.wake(w) push(w.parked) end

  --- Turn the loop and run tasks until w.fired.
  function plain.pump(w)
    plain.run()
    while not w.fired do
      loop.turn(plain.pending() and 0 or nil)
      plain.run()
    end
  end

  function plain.block(w)
    if depth >= DEEPEST then
      errors.raise("not_supported", "too many waits inside one another",
        { hint = "wait in tasks (contree.spawn), not in coroutines of your own" })
    end
    depth = depth + 1
    local ok, err = pcall(plain.pump, w)
    depth = depth - 1
    if not ok then error(err, 0) end
  end

  function plain.step(seconds)
    plain.run()
    loop.turn(plain.pending() and 0 or seconds)
    plain.run()
  end

  function plain.started() end

  function plain.idle() end

  function plain.ready() end

  return plain
end
