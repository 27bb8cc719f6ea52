-- A server that sends without end, or sends what was not asked for, costs only a bounded
-- amount of memory and time.
local core = require("contree.core")
local support = require("spec.support.core_peer")

describe("a hostile server", function()
  local peer, loop

  setup(function() peer = support.start() end)
  teardown(function() peer.stop() end)
  before_each(function() loop = core.loop() end)
  after_each(function() loop:close() end)

  local function run(path, fields)
    return support.finish(loop, loop:add(peer.request(path, fields)))
  end

  for _, kind in ipairs{ "headers", "interim", "trailers" } do
    for _, sink in ipairs{ "string", "chunks", "events" } do
      it(("F11: %s without end, to a sink of %s"):format(kind, sink), function()
        local before = support.memory("VmRSS")
        local result = run("/endless_head?of=" .. kind, { sink = sink, idle_timeout = 20 })
        local found = result.error.kind
        assert.is_true(found == "too_large" or found == "protocol", result.error.message)
        assert.matches("headers", result.error.message)
        -- Not 75 MB a second.
        assert.is_true(support.memory("VmRSS") - before < 40000)
      end)
    end
  end

  it("F11: few bytes that are very many when they are decoded", function()
    local result = run("/gzip_zeros?n=400", { max_body = 300 * 1024 * 1024 })
    assert.are.equal("too_large", result.error.kind)
    assert.matches("larger than 314572800 bytes", result.error.message)
    -- Never more than twice the limit is held. Sanitizers keep some of what is freed.
    local most = os.getenv("CONTREE_TEST_SANITIZER") and 800000 or 550000
    assert.is_true(support.memory("VmHWM") < most, support.memory("VmHWM"))
  end)

  it("F15: a status that ends no request", function()
    for _, sink in ipairs{ "string", "chunks", "events" } do
      local result = run("/switch", { sink = sink })
      assert.are.equal("protocol", result.error.kind)
      assert.matches("status 101", result.error.message)
      assert.is_nil(result.status)
    end
  end)
end)
