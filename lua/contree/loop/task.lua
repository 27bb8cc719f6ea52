--- Tasks: functions that run concurrently on the loop, and the ways to wait
--- for many of them.

local class = require("contree.base.class")
local core = require("contree.core")
local errors = require("contree.base.errors")
local keys = require("contree.base.keys")
local loop = require("contree.loop")
local options = require("contree.base.options")

local unpack = table.unpack or unpack

local tasks = {}

-- Seconds between a task's failure and the report that nothing has waited for it. Not 0:
-- in nginx that lets no other code run.
local TURN = 0.001
-- Seconds between two steps on a system without a descriptor to poll.
local LOOK = 0.01

---@class contree.Task
---@field status "waiting"|"running"|"done"|"failed"|"cancelled" how far it is
local Task = {}

local make_task = class.define("contree.Task", Task, {
  __tostring = function(task) return ("contree.Task(%s)"):format(task.status) end,
}, { "status" })

local flows = {}          -- set of the flows with tasks that have not ended

-- A flow: tasks that contree.async waits for together. There is one for all, or, in a host
-- with several flows side by side, one for each contree.async.
local function new_flow(spawn)
  return {
    live = {}, count = 0,     -- tasks that have not ended
    emptied = {},             -- waiters that fire when the last task ends
    unseen = {},              -- failures that were neither waited for nor reported
    spawn = spawn,            -- the host's function that starts its tasks; nil: spawn
  }
end

local common = new_flow()
-- Tasks that belong to no code of the user's.
local background = new_flow("spawn_apart")
-- The same, which nobody waits for, not even the end of the program.
local aside = new_flow("spawn_apart")

-- The number of failures that were reported and have not been waited for since.
tasks.untended = 0

local function print_error(err, trace, where)
  local text = ("contree: a task failed and nobody waited for it%s: %s"):format(
    where and (" (it was started at %s)"):format(where) or "", trace or tostring(err))
  local write = loop.host().report or function(line) io.stderr:write(line, "\n") end
  write(text)
end

-- Tell the user of a failure, unless somebody has waited for it.
local function report(failure)
  if failure.seen then return end
  failure.seen = true
  failure.flow.unseen[failure] = nil
  local where = failure.task.made
  if failure.request then where = ("%s, for %s"):format(where or "?", failure.request) end
  -- The user may set on_error at any time, on either face of the module.
  local plain, safe = package.loaded["contree"], package.loaded["contree.safe"]
  local handler = plain and plain.on_error or safe and safe.on_error
  if handler and pcall(handler, failure.err, failure.trace, where) then return end
  failure.untended = true
  tasks.untended = tasks.untended + 1
  print_error(failure.err, failure.trace, where)
end

local function report_all(flow)
  for _, failure in ipairs(keys(flow.unseen)) do report(failure) end
end

-- Note that a failure has been waited for.
local function tend(failure)
  failure.seen = true
  failure.flow.unseen[failure] = nil
  if failure.untended then tasks.untended = tasks.untended - 1 end
  failure.untended = false
end

local function remember(task, err)
  local request = loop.host().request
  local failure = { err = err, trace = task.trace, seen = #task.waiters > 0, flow = task.flow,
    task = task, request = request and request() }
  task.failure = failure
  if not failure.seen then task.flow.unseen[failure] = true end
end

-- Report a failure after one turn of the loop, in which the user's code may still wait.
local function report_soon(failure)
  if not failure or failure.seen then return end
  local revoke = loop.will(report, failure)
  pcall(loop.sleep, TURN)
  revoke()
  report(failure)
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
  if task.owned then tasks.orphaned(task) end
  for _, w in ipairs(task.waiters) do loop.fire(w) end
  if flow.count > 0 then return end
  flows[flow] = nil
  local waiters = flow.emptied
  flow.emptied = {}
  for _, w in ipairs(waiters) do loop.fire(w) end
end

-- Whether an error is the one that lua's Ctrl-C handler raises, at any line.
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
  loop.resumed()
  local revoke = loop.will(finish_cancelled, task)
  finish(task, xpcall(fn, traced, unpack(args, 1, args.n)))
  revoke()
  if is_interrupt(task.err) then
    if task.failure then tend(task.failure) end
    error(task.err, 0)
  end
  report_soon(task.failure)
end

local function start(flow, safe, made, fn, ...)
  local args = { n = select("#", ...), ... }
  local task = make_task({ status = "waiting", waiters = {}, flow = flow, made = made }, safe)
  flow.live[task] = true
  flow.count = flow.count + 1
  flows[flow] = true
  local host = loop.host()
  local spawn = host[flow.spawn] or host.spawn
  spawn(function() run(task, fn, args) end)
  return task
end

--- Starts `fn(...)` as a task. It runs while the loop is waited on.
---@param safe boolean whether its wait() returns nil, err
---@param made? string the script's line that started it; nil: it is one of ours
---@param fn function
---@return contree.Task
function tasks.start(safe, made, fn, ...)
  local parent = loop.current()
  return start(parent and parent.flow or common, safe, made, fn, ...)
end

function tasks.spawn(fn, ...) return tasks.start(false, nil, fn, ...) end

--- Start a task apart from all flows: it is not cancelled with others, and contree.async
--- does not wait for it.
---@return contree.Task
function tasks.spawn_apart(fn, ...)
  local task = start(background, false, nil, fn, ...)
  task.shielded = true
  return task
end

--- The same, and not even the end of the program waits for it. `fn` must not fail.
---@return contree.Task
function tasks.spawn_aside(fn, ...)
  local task = start(aside, false, nil, fn, ...)
  task.shielded = true
  return task
end

--- Called at the end of a task that owns something; loop/owned.lua defines it.
---@param task contree.Task
function tasks.orphaned(task) end -- luacheck: ignore 212

local function await_end(task, seconds)
  if ended(task) then return true end
  local w = {}
  task.waiters[#task.waiters + 1] = w
  return loop.await(w, seconds)
end

--- Waits for the task's end; returns what its function returned, raises what it raised.
---     local task = contree.spawn(function() return image:run("make") end)
---     local result = task:wait()
--- Raises: any (what the function raised), cancelled (the task was cancelled).
---@async
---@param seconds? number raises `timeout` after so long, and the task goes on; default no limit
---@return any ... what the function returned
function Task:wait(seconds)
  if seconds ~= nil then options.argument("task:wait", "the timeout", options.duration, seconds) end
  if not await_end(self, seconds) then
    errors.raise("timeout", ("the task has not ended after %g s"):format(seconds))
  end
  if self.results then return unpack(self.results, 1, self.results.n) end
  if self.failure then tend(self.failure) end
  error(self.err, 0)
end

--- Asks the task to end: what it waits for raises `cancelled` in it, which aborts its
--- transfers and cancels its operation. Wait for the task to know when it has ended.
---     task:cancel()
--- Raises: nothing.
function Task:cancel()
  if self.cancelling or ended(self) then return end
  self.cancelling, self.interrupt = true, true
  if self.waiter then loop.fire(self.waiter) end
end

-- Wait until all tasks of a list have ended. An error that ends our own wait (cancelled,
-- Ctrl-C) is passed to fail(err), which should make them end soon; then we wait on.
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
    if task.failure then tend(task.failure) end
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

-- A shielded task works for another task, which ends it.
local function cancel_all(flow)
  for _, task in ipairs(keys(flow.live)) do
    if not task.shielded then Task.cancel(task) end
  end
end

local function emptied(flow)
  local w = {}
  table.insert(flow.emptied, w)
  return w
end

local function until_empty(flow)
  while flow.count > 0 do loop.host().wait(emptied(flow)) end
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
  local main = start(flow, false, nil, fn, ...)
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
  report_all(flow)
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
  tasks.stepped = true
  host.step(seconds or 0)
  return common.count
end

--- Cancels all tasks.
function tasks.cancel_all()
  for _, flow in ipairs(keys(flows)) do cancel_all(flow) end
end

local function join_flow(flow, deadline)
  return flow.count == 0
    or loop.await(emptied(flow), math.max(0, deadline - core.now())) and join_flow(flow, deadline)
end

--- Waits until no task is left.
---@async
---@return boolean over false when the time ran out first
function tasks.join_all(seconds)
  local deadline = core.now() + seconds
  while next(flows) do
    if not join_flow(next(flows), deadline) then return false end
  end
  return true
end

--- The same for tasks apart from all flows.
function tasks.join_apart(seconds) return join_flow(background, core.now() + seconds) end

--- Report all failures that have not been reported.
function tasks.report_all()
  report_all(common)
  for _, flow in ipairs(keys(flows)) do report_all(flow) end
end

--- The user's tasks that have not ended.
---@return contree.Task[]
function tasks.unfinished()
  local list = {}
  for _, flow in ipairs(keys(flows)) do
    for _, task in ipairs(keys(flow.live)) do
      if task.made then list[#list + 1] = task end
    end
  end
  return list
end

return tasks
