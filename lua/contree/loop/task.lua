--- Tasks: functions that run concurrently on the loop, and the ways to wait
--- for many of them.

local class = require("contree.class")
local errors = require("contree.errors")
local loop = require("contree.loop")
local options = require("contree.options")

local unpack = table.unpack or unpack

local tasks = {}

-- Seconds between two steps where no descriptor tells when there is need.
local LOOK = 0.01

---@class contree.Task
---@field status "waiting"|"running"|"done"|"failed"|"cancelled"
local Task = {}

local make_task = class.define("contree.Task", Task, {
  __tostring = function(task) return ("contree.Task(%s)"):format(task.status) end,
})

-- Tasks that end together: all of them, or, in a host that runs several flows
-- side by side, those of one contree.async.
local function new_flow()
  return {
    live = {}, count = 0,                             -- tasks that have not ended
    emptied = nil,                                    -- fired when the last one ends
    unseen = setmetatable({}, { __mode = "k" }),      -- failures nobody has waited for
  }
end

local common = new_flow()

local function print_error(err, trace)
  local text = "contree: a task failed and nobody waited for it: " .. (trace or tostring(err))
  local write = loop.host().report or function(line) io.stderr:write(line, "\n") end
  write(text)
end

local function report(failure)
  if failure.seen then return end
  failure.seen = true
  failure.flow.unseen[failure] = nil
  -- The user may set on_error at any time, on either face of the module.
  local plain, safe = package.loaded["contree"], package.loaded["contree.safe"]
  local handler = plain and plain.on_error or safe and safe.on_error or print_error
  pcall(handler, failure.err, failure.trace)
end

-- Lua 5.4 finalises tables, LuaJIT only proxies.
local function on_collect(fn)
  if not newproxy then return setmetatable({}, { __gc = fn }) end
  local proxy = newproxy(true)
  getmetatable(proxy).__gc = fn
  return proxy
end

-- A failure is reported when contree.async ends, or when its task is garbage:
-- only then is it sure that nobody will wait for it.
local function remember(task, err)
  local failure = { err = err, trace = task.trace, seen = #task.waiters > 0, flow = task.flow }
  task.failure = failure
  if failure.seen then return end
  task.flow.unseen[failure] = true
  task.sentinel = on_collect(function() report(failure) end)
end

local function ended(task)
  return task.status ~= "waiting" and task.status ~= "running"
end

local function finish(task, ok, ...)
  if ok then
    task.status, task.results = "done", { n = select("#", ...), ... }
  else
    local err = ...
    task.err = err
    local obeyed = task.cancelling and errors.is(err, "cancelled")
    task.status = obeyed and "cancelled" or "failed"
    if not obeyed then remember(task, err) end
  end
  local flow = task.flow
  if task.thread then loop.tasks[task.thread], task.thread = nil, nil end
  flow.live[task] = nil
  flow.count = flow.count - 1
  for _, w in ipairs(task.waiters) do loop.fire(w) end
  if flow.count == 0 and flow.emptied then loop.fire(flow.emptied) end
end

-- What lua's own Ctrl-C handler raises, wherever it happens to strike.
local function is_interrupt(err)
  return type(err) == "string" and err:match("interrupted!$") ~= nil
end

local function finish_cancelled(task)
  if ended(task) then return end
  task.cancelling = true
  finish(task, false, errors.new("cancelled", "the task was cancelled"))
end

local function run(task, fn, args)
  if task.cancelling then return finish_cancelled(task) end
  local function traced(err)
    if type(err) == "string" then task.trace = debug.traceback(err, 2) end
    return err
  end
  task.thread = coroutine.running()
  loop.tasks[task.thread] = task
  task.status = "running"
  local revoke = loop.will(finish_cancelled, task)
  finish(task, xpcall(fn, traced, unpack(args, 1, args.n)))
  revoke()
  if is_interrupt(task.err) then error(task.err, 0) end
end

local function start(flow, safe, fn, ...)
  local args = { n = select("#", ...), ... }
  local task = make_task({ status = "waiting", waiters = {}, flow = flow }, safe)
  flow.live[task] = true
  flow.count = flow.count + 1
  loop.host().spawn(function() run(task, fn, args) end)
  return task
end

--- Starts `fn(...)` as a task. It runs while the loop is waited on.
---@param safe boolean whether its wait() returns nil, err
---@param fn function
---@return contree.Task
function tasks.start(safe, fn, ...)
  local parent = loop.current()
  return start(parent and parent.flow or common, safe, fn, ...)
end

function tasks.spawn(fn, ...) return tasks.start(false, fn, ...) end

local function await_end(task, seconds)
  if ended(task) then return true end
  local w = {}
  task.waiters[#task.waiters + 1] = w
  return loop.await(w, seconds)
end

--- Waits for the task's end; returns what its function returned, raises what
--- it raised.
---@async
---@param seconds? number raises `timeout` after so long; the task goes on
function Task:wait(seconds)
  if seconds ~= nil then options.argument("task:wait", "the timeout", options.duration, seconds) end
  if not await_end(self, seconds) then
    errors.raise("timeout", ("the task has not ended after %g s"):format(seconds))
  end
  if self.results then return unpack(self.results, 1, self.results.n) end
  if self.failure then self.failure.seen = true end
  error(self.err, 0)
end

--- Asks the task to end: what it waits for raises `cancelled` in it, which
--- aborts its transfers and cancels its operation. Wait for it to know when.
function Task:cancel()
  if self.cancelling or ended(self) then return end
  self.cancelling, self.interrupt = true, true
  if self.waiter then loop.fire(self.waiter) end
end

-- Waits until all have ended, whatever happens to us: fail(err) is told of an
-- error of our own (cancelled, Ctrl-C) and should make them end soon.
local function join(list, fail)
  local errs = 0
  for _, task in ipairs(list) do
    while not ended(task) do
      local ok, err = pcall(await_end, task)
      if not ok then
        errs = errs + 1
        if errs > 2 then error(err, 0) end
        fail(err)
      end
    end
    if task.failure then task.failure.seen = true end
  end
end

--- Calls every function of a list, `concurrency` at a time (default: all at
--- once), each in a task; tasks in the list are waited for. The first error
--- cancels the rest.
---@async
---@param list (fun()|contree.Task)[]
---@param concurrency? integer
---@return table results in order, with their count in `n`
function tasks.gather(list, concurrency)
  local results, workers, next_index, failure = { n = #list }, {}, 1, nil

  local function fail(err)
    if failure then return end
    failure = { err = err }
    for _, worker in ipairs(workers) do Task.cancel(worker) end
    for _, item in ipairs(list) do
      if class.of(item) == "contree.Task" then Task.cancel(item) end
    end
  end

  local function work()
    while next_index <= #list and not failure do
      local i = next_index
      next_index = i + 1
      local item = list[i]
      local ok, value
      if class.of(item) == "contree.Task" then
        ok, value = pcall(Task.wait, item)
      else
        ok, value = pcall(item)
      end
      if not ok then return fail(value) end
      results[i] = value
    end
  end

  for i = 1, math.min(concurrency or #list, #list) do workers[i] = tasks.spawn(work) end
  join(workers, fail)
  if failure then error(failure.err, 0) end
  return results
end

local function expire(race)
  race.expired = not ended(race.task)
  Task.cancel(race.task)
end

--- Runs `fn(...)` and raises `timeout` when it takes longer: it is cancelled
--- then, and has ended when this returns.
---@async
function tasks.timeout(seconds, fn, ...)
  local own
  local task = tasks.spawn(fn, ...)
  local race = { task = task }
  local timer = loop.timer(seconds, expire, race)
  join({ task }, function(err)
    own = own or { err = err }
    Task.cancel(task)
  end)
  loop.stop(timer)
  if own then error(own.err, 0) end
  if race.expired and task.status ~= "failed" then
    errors.raise("timeout", ("not done after %g s"):format(seconds))
  end
  return Task.wait(task)
end

-- A shielded task works for another one, which ends it.
local function cancel_all(flow)
  local list = {}
  for task in pairs(flow.live) do
    if not task.shielded then list[#list + 1] = task end
  end
  for _, task in ipairs(list) do Task.cancel(task) end
end

local function until_empty(flow)
  while flow.count > 0 do
    flow.emptied = {}
    loop.host().wait(flow.emptied)
  end
end

--- Runs `fn(...)` as the main task; returns when it and all other tasks have
--- ended (in a host that runs several flows side by side: those it started).
--- When it fails, the others are cancelled.
function tasks.async(fn, ...)
  if loop.current() then
    errors.misuse("contree.async is for plain code", "in a task, use contree.spawn")
  end
  local concurrent = loop.host().concurrent
  local flow = concurrent and concurrent() and new_flow() or common
  local main = start(flow, false, fn, ...)
  local over = { fired = ended(main) }
  main.waiters[1] = over
  local ok, err = pcall(loop.host().wait, over)
  if not ok or main.err then cancel_all(flow) end
  local done, why = pcall(until_empty, flow)
  if not done then
    ok, err = false, why
    cancel_all(flow)
    until_empty(flow)
  end
  for failure in pairs(flow.unseen) do report(failure) end
  if not ok then error(err, 0) end
  return Task.wait(main)
end

--- What to wait for before the next step: a descriptor that becomes readable,
--- or the end of so many seconds, whichever comes first; nil for neither.
---@return integer? fd
---@return number? seconds
function tasks.pollfd()
  local host = loop.host()
  local fd, seconds = loop.fd(), loop.timeout()
  if not fd then seconds = math.min(seconds or LOOK, LOOK) end
  if host.pending and host.pending() then seconds = 0 end
  return fd, seconds
end

--- One turn for a program that steps by itself, such as a game's update: runs
--- what is ready and waits at most `seconds` (default: not at all).
---@param seconds? number
---@return integer tasks that have not ended yet
function tasks.step(seconds)
  local host, name = loop.host()
  if not host.step then errors.misuse("contree.step is not for here: " .. name .. " does that") end
  host.step(seconds or 0)
  return common.count
end

return tasks
