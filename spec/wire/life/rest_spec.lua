-- An engine that nobody uses.
local wire = require("spec.support.wire")

describe("an engine at rest", function()
  local engine

  before_each(function() engine = wire.start() end)
  after_each(function() engine:stop() end)

  -- The threads of the engine and of the processes that it has made ahead, with how often
  -- each has slept.
  local function sleeps()
    return wire.run(("for p in %d $(pgrep -P %d) $(pgrep -P $(pgrep -d, -P %d)); do "
      .. "grep -H ^voluntary /proc/$p/task/*/status; done"):format(engine.pid, engine.pid,
      engine.pid))
  end

  local function whoami(connection)
    connection:request("GET", "/v1/whoami")
    return connection:response().status
  end

  it("does not wake up, and is small", function()
    for n = 1, 20 do engine:run{ command = "true", disposable = n % 2 == 0 } end
    local connection = engine:connect() -- as of a client that waits for its user
    assert.are.equal(200, whoami(connection))
    -- It rests when the threads have not woken for longer than its longest pause.
    local before
    wire.eventually("the engine to rest", function()
      before = sleeps()
      wire.run("sleep 3")
      return sleeps() == before
    end)
    assert.matches("voluntary", before)
    wire.run("sleep 11")
    assert.are.equal(before, sleeps())
    assert.are.equal(200, whoami(connection))
    connection:close()
    -- Once more, after that request.
    wire.eventually("the engine to give memory back", function()
      return os.getenv("CONTREE_TEST_SANITIZER") or engine:memory("VmRSS") <= 8 * 1024
    end)
  end)

  it("works as before when it is needed again", function()
    for _ = 1, 2 do
      local operation = engine:run{ command = "echo here", shell = true }
      assert.are.equal("here\n", operation.metadata.result.stdout.value)
      wire.eventually("the engine to rest", function()
        return os.getenv("CONTREE_TEST_SANITIZER") or engine:memory("VmRSS") <= 8 * 1024
      end)
    end
  end)
end)
