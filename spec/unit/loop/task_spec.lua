local contree = require("contree")
local core = require("contree.core")
local failure = require("spec.support.failure")
local loop = require("contree.loop")

describe("contree.async", function()
  it("runs a main function and returns what it returns", function()
    assert.are.same({ 3, n = 3 }, (function(...)
      return { select(2, ...), n = select("#", ...) }
    end)(contree.async(function(a, b) return nil, a + b, nil end, 1, 2)))
  end)

  it("waits for all tasks", function()
    local order = {}
    contree.async(function()
      contree.spawn(function()
        contree.sleep(0.02)
        order[#order + 1] = "child"
      end)
      order[#order + 1] = "main"
    end)
    assert.are.same({ "main", "child" }, order)
  end)

  it("raises main's error, the very object, after cancelling the rest", function()
    local reason, ended = {}, nil
    local err = failure(contree.async, function()
      contree.spawn(function()
        local ok, why = pcall(contree.sleep, 60)
        ended = not ok and why.kind
      end)
      contree.sleep(0.01)
      error(reason)
    end)
    assert.are.equal(reason, err)
    assert.are.equal("cancelled", ended)
  end)

  it("is refused in a task", function()
    local err = failure(contree.async, function() contree.async(function() end) end)
    assert.matches("contree.spawn", tostring(err))
    assert.matches("task_spec", tostring(err))
  end)

  it("says when everything waits for nothing", function()
    local err = failure(contree.async, function() loop.await({}) end)
    assert.matches("nothing is left", tostring(err))
    assert.are.equal(1, contree.async(function() return 1 end))
  end)

  it("reports failures that nobody waited for", function()
    local seen = {}
    contree.on_error = function(err, trace) seen[#seen + 1] = { err = err, trace = trace } end
    contree.async(function()
      contree.spawn(function() error("lost") end)
      local seen_one = contree.spawn(function() error("found") end)
      pcall(seen_one.wait, seen_one)
      contree.sleep(0.01)
    end)
    contree.on_error = nil
    assert.are.equal(1, #seen)
    assert.matches("lost", seen[1].err)
    assert.matches("traceback", seen[1].trace)
  end)

  it("D1: tells of a failure a turn after it, with the line that started the task", function()
    local seen = {}
    contree.on_error = function(_, _, where) seen[#seen + 1] = where end
    local kept = contree.spawn(function() error("lost") end)
    contree.sleep(0.05)
    contree.on_error = nil
    assert.are.equal(1, #seen)
    assert.matches("task_spec.lua:%d+$", seen[1])
    assert.are.equal("failed", kept.status)
  end)

  it("D1: tells nothing of a failure that somebody waits for at once", function()
    local seen = 0
    contree.on_error = function() seen = seen + 1 end
    local task = contree.spawn(function() error("found") end)
    pcall(task.wait, task)
    local one, two = contree.spawn(function() error("a") end), contree.spawn(contree.sleep, 0.02)
    pcall(contree.gather, { one, two })
    contree.sleep(0.01)
    contree.on_error = nil
    assert.are.equal(0, seen)
  end)
end)

describe("a task", function()
  it("is waited for in plain code and in tasks", function()
    local task = contree.spawn(function(a) contree.sleep(0.01) return a, "b" end, "a")
    assert.are.equal("waiting", task.status)
    local a, b = task:wait()
    assert.are.equal("ab", a .. b)
    assert.are.equal("done", task.status)
    assert.are.equal("a", (task:wait()))
    assert.are.equal("contree.Task(done)", tostring(task))
  end)

  it("gives its error to all who wait", function()
    local task = contree.spawn(function() contree.sleep(0.01) error("broken", 0) end)
    local function wait() return select(2, pcall(task.wait, task)) end
    local first, second = contree.gather(wait, wait)
    assert.are.equal("broken", first)
    assert.are.equal("broken", second)
    assert.are.equal("failed", task.status)
  end)

  it("is cancelled where it waits, once", function()
    local steps = {}
    local task = contree.spawn(function()
      local ok, err = pcall(contree.sleep, 60)
      steps[1] = not ok and err.kind
      contree.sleep(0.01)
      steps[2] = "cleaned up"
      error(err, 0)
    end)
    contree.sleep(0.01)
    task:cancel()
    task:cancel()
    assert.are.equal("cancelled", failure(task.wait, task).kind)
    assert.are.same({ "cancelled", "cleaned up" }, steps)
    assert.are.equal("cancelled", task.status)
    task:cancel()
  end)

  it("never starts when it is cancelled before", function()
    local ran = false
    local task = contree.spawn(function() ran = true end)
    task:cancel()
    assert.are.equal("cancelled", failure(task.wait, task).kind)
    assert.is_false(ran)
  end)

  it("may be waited for with a limit", function()
    local task = contree.spawn(function() contree.sleep(0.05) return "late" end)
    assert.are.equal("timeout", failure(task.wait, task, 0.01).kind)
    assert.are.equal("late", task:wait())
  end)

  it("lets others run when it yields by itself", function()
    local order = {}
    local function work(name)
      return function()
        for i = 1, 2 do
          order[#order + 1] = name .. i
          coroutine.yield()
        end
      end
    end
    contree.gather(work("a"), work("b"))
    assert.are.same({ "a1", "b1", "a2", "b2" }, order)
  end)

  it("waits inside pcall, metamethods, iterators and generators", function()
    contree.async(function()
      local thing = setmetatable({}, { __index = function(_, key)
        contree.sleep(0.001)
        return key
      end })
      assert.are.equal("x", thing.x)
      local n = 0
      for _ in function() contree.sleep(0.001) n = n + 1 return n < 3 or nil end do n = n + 0 end
      assert.are.equal(3, n)
      local generate = coroutine.wrap(function()
        contree.sleep(0.001)
        coroutine.yield("made")
      end)
      assert.are.equal("made", generate())
      local swapped = ("a"):gsub("a", function() contree.sleep(0.001) return "b" end)
      assert.are.equal("b", swapped)
    end)
  end)

  it("stands waits in foreign coroutines, many deep", function()
    local function dig(depth)
      if depth == 0 then return "bottom" end
      return coroutine.wrap(function()
        contree.sleep(0.001)
        return dig(depth - 1)
      end)()
    end
    local task = contree.spawn(dig, 20)
    assert.are.equal("bottom", task:wait())
  end)
end)

describe("contree.gather", function()
  it("returns first results in order", function()
    local a, b, c = contree.gather(
      function() contree.sleep(0.02) return "a", "ignored" end,
      function() return nil end,
      function() contree.sleep(0.01) return "c" end)
    assert.are.equal("a", a)
    assert.is_nil(b)
    assert.are.equal("c", c)
    assert.are.same({ n = 0 }, contree.gather({}))
    assert.are.equal(0, select("#", contree.gather()))
  end)

  it("keeps to its concurrency", function()
    local now, most, list = 0, 0, {}
    for i = 1, 20 do
      list[i] = function()
        now = now + 1
        most = math.max(most, now)
        contree.sleep(0.001 * (i % 3))
        now = now - 1
        return i
      end
    end
    local results = contree.gather(list, { concurrency = 4 })
    for i = 1, 20 do assert.are.equal(i, results[i]) end
    assert.are.equal(20, results.n)
    assert.are.equal(4, most)
  end)

  it("cancels the rest at the first error and waits for their end", function()
    local ended, started = 0, 0
    local list = {}
    for i = 1, 5 do
      list[i] = function()
        started = started + 1
        local ok, err = pcall(contree.sleep, 60)
        contree.sleep(0.01)
        ended = ended + 1
        if not ok then error(err, 0) end
      end
    end
    list[6] = function()
      contree.sleep(0.01)
      error("first", 0)
    end
    list[7] = function() started = started + 1 end
    assert.are.equal("first", failure(contree.gather, list, { concurrency = 6 }))
    assert.are.equal(5, started)
    assert.are.equal(5, ended)
  end)

  it("waits for tasks, and cancels them", function()
    local task = contree.spawn(function() return 7 end)
    assert.are.equal(7, (contree.gather(task, function() end)))
    task = contree.spawn(contree.sleep, 60)
    failure(contree.gather, task, function() error("x") end)
    assert.are.equal("cancelled", task.status)
  end)

  it("is cancelled with its task", function()
    local inner
    local task = contree.spawn(function()
      contree.gather(function()
        local ok, err = pcall(contree.sleep, 60)
        inner = not ok and err.kind
        error(err, 0)
      end, function() contree.sleep(60) end)
    end)
    contree.sleep(0.01)
    task:cancel()
    assert.are.equal("cancelled", failure(task.wait, task).kind)
    assert.are.equal("cancelled", inner)
  end)

  it("refuses what cannot be called", function()
    local err = failure(contree.gather, function() end, 5)
    assert.is_true(err.misuse)
    assert.matches("number 2 must be a function", tostring(err))
    assert.is_true(failure(contree.gather, { print }, { concurrency = 0 }).misuse)
  end)
end)

describe("contree.timeout", function()
  it("passes arguments and results", function()
    assert.are.equal(5, contree.timeout(5, function(a, b) contree.sleep(0) return a + b end, 2, 3))
  end)

  it("ends what takes too long", function()
    local ended
    local err = failure(contree.timeout, 0.01, function()
      local ok, why = pcall(contree.sleep, 60)
      ended = not ok and why.kind
      error(why, 0)
    end)
    assert.are.equal("timeout", err.kind)
    assert.are.equal("cancelled", ended)
  end)

  it("passes errors", function()
    assert.matches("boom", failure(contree.timeout, 5, function() error("boom") end))
  end)

  it("may be nested", function()
    local err = failure(contree.timeout, 5, function()
      local inner = failure(contree.timeout, 0.01, contree.sleep, 60)
      assert.are.equal("timeout", inner.kind)
      error("outer", 0)
    end)
    assert.are.equal("outer", err)
  end)
end)

describe("contree.step", function()
  it("turns the loop without blocking", function()
    local done
    local task = contree.spawn(function()
      contree.sleep(0.02)
      done = true
    end)
    local begun, turns = core.now(), 0
    while not done and core.now() - begun < 5 do
      local left = contree.step()
      assert.are.equal(done and 0 or 1, left)
      turns = turns + 1
      contree.step(0.001)
    end
    assert.is_true(done)
    assert.is_true(turns > 0)
    assert.are.equal("done", task.status)
    assert.are.equal(0, contree.step())
  end)
end)

describe("contree.safe", function()
  it("returns what would be raised", function()
    local safe = require("contree.safe")
    local value, err = safe.timeout(0.01, safe.sleep, 60)
    assert.is_nil(value)
    assert.are.equal("timeout", err.kind)
    local task = safe.spawn(contree.sleep, 60)
    task:cancel()
    value, err = task:wait()
    assert.is_nil(value)
    assert.are.equal("cancelled", err.kind)
    assert.is_true(failure(safe.gather, 5).misuse)
  end)
end)
