-- A run that is cancelled or interrupted here is cancelled on the server, too.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")

describe("cancelling", function()
  local server, client, image

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    client = contree.new{ url = server.url, token = "t" }
    image = client.images:use(fake.IMAGE)
  end)

  local frames = fake.frames({}, { open = true })

  local function endless(spawned)
    server:rules(fake.run{ spawned = spawned,
      events = { fake.stream{ frames[1], frames[2], 30 } } })
  end

  local function count(what)
    local n = 0
    for _, asked in ipairs(server:asked()) do if asked == what then n = n + 1 end end
    return n
  end

  it("a task cancels its operation", function()
    endless()
    local task = contree.spawn(function() return image:run("sleep 50") end)
    contree.sleep(0.1)
    task:cancel()
    assert.are.equal("cancelled", failure(task.wait, task).kind)
    assert.are.equal(1, count("DELETE /v1/operations/op-1"))
  end)

  it("a timeout cancels it", function()
    endless()
    local err = failure(contree.timeout, 0.1, function() return image:run("sleep 50") end)
    assert.are.equal("timeout", err.kind)
    assert.are.equal(1, count("DELETE /v1/operations/op-1"))
  end)

  it("the first error of a gather cancels the others", function()
    endless()
    failure(contree.gather, function() image:run("sleep 50") end, function()
      contree.sleep(0.1)
      error("x")
    end)
    assert.are.equal(1, count("DELETE /v1/operations/op-1"))
  end)

  it("an error in a callback cancels it and comes through", function()
    endless()
    local reason = {}
    assert.are.equal(reason, failure(image.run, image, { shell = "x",
      on_event = function() error(reason) end }))
    assert.are.equal(1, count("DELETE /v1/operations/op-1"))
  end)

  it("waits for the id of what has just been started", function()
    endless{ status = 201, json = { uuid = "op-1" }, delay = 0.3 }
    local task = contree.spawn(function() return image:run("sleep 50") end)
    contree.sleep(0.1)
    task:cancel()
    assert.are.equal("cancelled", failure(task.wait, task).kind)
    assert.are.equal(1, count("DELETE /v1/operations/op-1"))
  end)

  it("cancels an operation that is waited for, but not one that was never", function()
    endless()
    local operation = image:start("sleep 50")
    local task = contree.spawn(function() return operation:wait() end)
    contree.sleep(0.1)
    task:cancel()
    failure(task.wait, task)
    assert.are.equal(1, count("DELETE /v1/operations/op-1"))
    assert.are.equal("cancelled", failure(operation.wait, operation).kind)
  end)

  it("frees the session that started it", function()
    endless()
    local session = image:session()
    local operation = session:start("sleep 50")
    failure(contree.timeout, 0.1, operation.wait, operation)
    assert.are.equal(session, session:branch("free"))
  end)

  it("does not hang when the cancellation gets no answer", function()
    local rules = fake.run{ events = { fake.stream{ frames[1], 30 } } }
    rules[4].replies = { { ["end"] = "cut" } }
    server:rules(rules)
    local task = contree.spawn(function() return image:run("sleep 50") end)
    contree.sleep(0.1)
    task:cancel()
    assert.are.equal("cancelled", failure(task.wait, task).kind)
  end)

  for _, live in ipairs{ "plain code", "a task" } do
    it("Ctrl-C in " .. live .. " cancels what runs", function()
      endless()
      local script = disk.write(os.tmpname(), ([[
        local contree = require("contree")
        local image = contree.new{ url = %q, token = "t" }.images:use(%q)
        local function main() image:run("sleep 50") end
        if %q == "a task" then contree.async(main) else main() end
      ]]):format(server.url, fake.IMAGE, live))
      local lua = os.getenv("CONTREE_TEST_LUA") or (jit and "luajit" or "lua5.4")
      local pipe = io.popen(("%s %s 2>&1 & pid=$!; sleep 0.5; kill -INT $pid; wait $pid")
        :format(lua, script))
      local text = pipe:read("*a")
      pipe:close()
      os.remove(script)
      assert.matches("interrupted!", text)
      assert.are.equal(1, count("DELETE /v1/operations/op-1"))
    end)
  end
end)
