local errors = require("contree.base.errors")
local retry = require("contree.wire.retry")

local function allowed(method, fields, repeatable)
  local err = errors.new(fields.kind or "server", "x", fields)
  return retry.allowed({ method = method, repeatable = repeatable }, err)
end

describe("retry.allowed", function()
  it("repeats idempotent requests after trouble of the server", function()
    for _, method in ipairs{ "GET", "HEAD", "PUT", "DELETE" } do
      for _, status in ipairs{ 410, 425, 429, 500, 502, 503, 504 } do
        assert.is_true(allowed(method, { status = status }))
      end
      assert.is_true(allowed(method, { kind = "connection" }))
    end
  end)

  it("repeats nothing that would fail again", function()
    for _, status in ipairs{ 400, 401, 403, 404, 405, 409, 413, 422, 501, 507 } do
      assert.is_false(allowed("GET", { status = status }))
    end
    assert.is_false(allowed("GET", { kind = "timeout" }))
    assert.is_false(allowed("GET", { kind = "connection", final = true }))
  end)

  it("never repeats a POST that may have been carried out", function()
    for _, method in ipairs{ "POST", "PATCH" } do
      for _, status in ipairs{ 410, 500, 502, 503, 504 } do
        assert.is_false(allowed(method, { status = status }))
      end
      assert.is_false(allowed(method, { kind = "connection" }))
      assert.is_false(allowed(method, { kind = "timeout" }))
    end
  end)

  it("repeats a POST that was not carried out, or that does no harm", function()
    assert.is_true(allowed("POST", { status = 425 }))
    assert.is_true(allowed("POST", { status = 429 }))
    assert.is_true(allowed("POST", { kind = "connection", unsent = true }))
    assert.is_true(allowed("POST", { status = 503 }, true))
    assert.is_true(allowed("POST", { kind = "connection" }, true))
  end)
end)

describe("retry.delay", function()
  it("grows, with jitter, up to five seconds", function()
    local ladder = { 0.1, 0.2, 0.5, 1, 2, 5, 5, 5 }
    for attempt, most in ipairs(ladder) do
      for _ = 1, 50 do
        local delay = retry.delay(attempt)
        assert.is_true(delay >= most / 2 and delay <= most)
      end
    end
    local seen = {}
    for _ = 1, 20 do seen[retry.delay(6)] = true end
    assert.is_not_nil(next(seen, next(seen)))
  end)

  it("never undercuts what the server asks for", function()
    for _ = 1, 50 do
      local delay = retry.delay(1, 3)
      assert.is_true(delay >= 3 and delay <= 3.3)
    end
    assert.are.equal(0, retry.delay(1, 0))
  end)
end)

describe("retry.after", function()
  it("reads seconds", function()
    assert.are.equal(3, retry.after("3"))
    assert.are.equal(0.5, retry.after("0.5"))
    assert.are.equal(0, retry.after("-2"))
  end)

  it("reads dates", function()
    assert.are.equal(37, retry.after("Sun, 06 Nov 1994 08:49:37 GMT", 784111740))
    assert.are.equal(0, retry.after("Sun, 06 Nov 1994 08:49:37 GMT", 784111778))
    assert.are.equal(1709208000, retry.after("Thu, 29 Feb 2024 12:00:00 GMT", 0))
    assert.are.equal(1735689599, retry.after("Tue, 31 Dec 2024 23:59:59 GMT", 0))
    assert.are.equal(37, retry.after("Sunday, 06-Nov-94 08:49:37 GMT", 784111740))
    assert.are.equal(37, retry.after("Sun Nov  6 08:49:37 1994", 784111740))
  end)

  it("ignores the rest", function()
    for _, text in ipairs{ "inf", "nan", "soon", "", "1e9x" } do
      assert.is_nil(retry.after(text))
    end
    assert.is_nil(retry.after(nil))
  end)
end)

describe("retry.policy", function()
  it("tries ten times unless told otherwise", function()
    assert.are.equal(10, retry.policy().max_attempts)
    assert.are.equal(1, retry.policy(false).max_attempts)
    assert.are.equal(3, retry.policy{ max_attempts = 3 }.max_attempts)
  end)
end)
