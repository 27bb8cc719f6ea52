-- The answer to a run is made of what the engine keeps in memory; that of an operation which has
-- ended, of its event log. Both must say the same (http-api.md §5.8).
local wire = require("spec.support.wire")

describe("the result of a run that was waited for", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function same(command, options)
    local answer = engine:run(wire.shell(command, options))
    local stored = engine:get("/v1/operations/" .. answer.uuid)
    assert.are.equal(200, stored.status)
    assert.are.same(stored.json, answer)
    return answer.metadata.result
  end

  it("is the stored one: output, exit code", function()
    local result = same("echo out; echo err >&2; exit 3")
    assert.are.equal("out\n", result.stdout.value)
    assert.are.equal("err\n", result.stderr.value)
    assert.are.equal(3, result.state.exit_code)
    assert.is_true(#result.isolation > 3)
    assert.is_true(result.resources.max_rss > 0)
  end)

  it("is the stored one: bytes, also more than are kept", function()
    for _, kilobytes in ipairs{ 1, 255, 257, 1500 } do
      local result = same(("head -c %d /dev/urandom"):format(kilobytes * 1024),
        { truncate_output_at = 10485760 })
      assert.are.equal(kilobytes * 1024, #wire.bytes(result.stdout))
      assert.is_false(result.stdout.truncated)
    end
  end)

  it("is the stored one: output that was cut off", function()
    local result = same("echo 123456; echo 12 >&2", { truncate_output_at = 4 })
    assert.are.equal("1234", result.stdout.value)
    assert.is_true(result.stdout.truncated)
    assert.is_false(result.stderr.truncated)
  end)

  it("is the stored one: a limit, a signal, what was left behind", function()
    assert.are.equal("timeout", same("sleep 60", { timeout = 1 }).limit)
    assert.are.equal(15, same("kill -TERM $$").state.signal)
    assert.are.equal(1, same("sleep 60 & true").background_killed)
  end)

  it("is the stored one: a run that is kept, and one that failed", function()
    assert.is_true(same("echo x > /x", { disposable = false }).resources.layer_bytes > 0)
    same("true", { cwd = "/not/there" })
    local big = same("head -c 3000000 /dev/zero > /big",
      { disposable = false, resources_limits = { max_layer_bytes = 1000000 } })
    assert.are.equal("disk", big.limit)
  end)
end)
