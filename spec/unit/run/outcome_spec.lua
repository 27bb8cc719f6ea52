local outcome = require("contree.run.outcome")

describe("contree.run.outcome", function()
  it("reads an operation", function()
    local found, streams = outcome.of_operation{
      status = "SUCCESS", image_uuid = "in", result = { image = "out" }, duration = 2,
      metadata = { result = {
        state = { exit_code = 3, signal = -1, timed_out = false },
        resources = { elapsed_time = 0.5, max_rss = 9 },
        stdout = { value = "aGkA", encoding = "base64", truncated = true },
        limit = "memory", limit_value = 5e6, isolation = { "pid" }, background_killed = 2,
      } },
    }
    assert.are.equal("hi\0", streams.stdout)
    assert.are.equal("", streams.stderr)
    assert.are.same({
      status = "SUCCESS", image_uuid = "out", input_uuid = "in", exited = true, exit_code = 3,
      timed_out = false, duration = 0.5, resources = { elapsed_time = 0.5, max_rss = 9 },
      truncated = { stdout = true, stderr = false }, limit = "memory", limit_value = 5e6,
      isolation = { "pid" },
      background_killed = 2,
    }, found)
  end)

  it("knows every resource of an event by the name that results have", function()
    local seen = outcome.new()
    outcome.add_event(seen, { type = "exit", spid = 1, data = { code = 0, signal = -1,
      elapsed_us = 1234567, duration_ms = 9000, resources = { user_time_us = 250000,
        sys_time_us = 125000, max_rss_kb = 1, shared_memory = 2, unshared_memory = 3, swaps = 4,
        minor_faults = 5, major_faults = 6, voluntary_ctx_switches = 7,
        involuntary_ctx_switches = 8, block_input_ops = 9, block_output_ops = 10,
        ipc_msgs_sent = 11, ipc_msgs_received = 12, signals_received = 13, other = 14 } } })
    assert.are.equal(1.234567, seen.duration)
    assert.are.same({ elapsed_time = 1.234567, user_cpu_time = 0.25, system_cpu_time = 0.125,
      max_rss = 1, shared_memory = 2, unshared_memory = 3, swaps = 4, page_faults = 5,
      page_faults_io = 6, voluntary_switches = 7, involuntary_switches = 8, block_input = 9,
      block_output = 10, signals = 13 }, seen.resources)
  end)

  it("reads an operation that never started", function()
    local found = outcome.of_operation{ status = "FAILED", error = "no", duration = 1 }
    assert.is_false(found.exited)
    assert.is_nil(found.exit_code)
    assert.are.equal("no", found.error)
    assert.are.equal(1, found.duration)
  end)

  it("is told of events", function()
    local seen = outcome.new()
    local function tell(kind, spid, data)
      outcome.add_event(seen, { type = kind, spid = spid, data = data })
    end
    tell("init", 0, { isolation = { "net" } })
    tell("truncated", 1, { stream = "stderr", bytes_emitted = 5, bytes_dropped = 5 })
    tell("exit", 2, { code = 9, signal = -1 })
    tell("exit", 1, { code = -1, signal = 9, timed_out = true, duration_ms = 1500,
      limit = "timeout", limit_value = 60,
      resources = { user_time_us = 250000, max_rss_kb = 7, minor_faults = 3 } })
    assert.is_nil(seen.status)
    tell("completion", 0, { status = "SUCCESS", result_image_uuid = "out" })
    assert.are.equal(-1, seen.exit_code)
    assert.are.equal(9, seen.signal)
    assert.is_true(seen.timed_out)
    assert.are.equal("timeout", seen.limit)
    assert.are.equal(60, seen.limit_value)
    assert.are.equal("out", seen.image_uuid)
    assert.are.equal(1.5, seen.duration)
    assert.are.equal(0.25, seen.resources.user_cpu_time)
    assert.are.equal(7, seen.resources.max_rss)
    assert.are.equal(3, seen.resources.page_faults)
    assert.are.same({ stdout = false, stderr = true }, seen.truncated)
    assert.are.same({ "net" }, seen.isolation)
  end)
end)
