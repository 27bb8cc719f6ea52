-- Runs on an engine that has no free sandbox, from Lua.
local contree = require("contree")
local failure = require("spec.support.failure")
local home = require("spec.support.home")

describe("D5: an engine with all sandboxes taken", function()
  local client, stop, busybox, holder, _

  setup(function()
    client, _, stop = home.client{ engine = { max_runs = 1, max_queued = 1 },
      retry = { max_attempts = 2 } }
    busybox = client.images:use("busybox:latest")
  end)
  teardown(function() stop() end)
  before_each(function() holder = busybox:start("sleep 300") end)
  after_each(function() holder:cancel() end)

  -- The holder's place is free only after its sandbox is gone.
  local function has_room() return pcall(busybox.run, busybox, "true") end

  it("is rate_limited after queue_timeout, at once with 0", function()
    local err = failure(function() busybox:run{ shell = "true", queue_timeout = 0.1 } end)
    assert.are.equal("rate_limited", err.kind)
    assert.matches("0.1 seconds of queue_timeout", tostring(err), 1, true)
    assert.matches("nothing has run", err.hint)
    assert.are.equal("queue", err.result.limit)
    err = failure(function() busybox:run{ shell = "true", queue_timeout = 0 } end)
    assert.are.equal("rate_limited", err.kind)
    assert.are.equal(429, err.status)
    err = failure(function() busybox:popen({ "true" }, { queue_timeout = 0.1 }):wait() end)
    assert.are.equal("rate_limited", err.kind)
    local operation = busybox:start{ shell = "true", queue_timeout = 0.1, stdout = contree.PIPE }
    assert.are.equal("rate_limited", failure(function() operation:wait() end).kind)
  end)

  it("is rate_limited when too many wait", function()
    local waiting = busybox:start("echo waited")
    local err = failure(function() busybox:run("true") end)
    assert.are.equal("rate_limited", err.kind)
    assert.are.equal(429, err.status)
    assert.are.equal(1, err.retry_after)
    assert.matches("1 runs wait", tostring(err))
    holder:cancel()
    assert.are.equal("waited\n", waiting:wait().stdout)
    assert.is_true(has_room())
  end)

  it("loses nothing of a session", function()
    holder:cancel()
    local session = busybox:session()
    session:run("echo 1 > /n")
    holder = busybox:start("sleep 300")
    local err = failure(function() session:run{ shell = "echo 2 > /n", queue_timeout = 0.1 } end)
    assert.are.equal("rate_limited", err.kind)
    holder:cancel()
    assert.are.equal("1\n", session:read("/n"))
    session:run("echo 3 >> /n")
    assert.are.equal("1\n3\n", session:read("/n"))
  end)
end)
