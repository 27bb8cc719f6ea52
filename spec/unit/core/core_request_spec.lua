local core = require("contree.core")
local support = require("spec.support.core_peer")
local transfers = require("spec.support.transfers")

describe("prepared request", function()
  local at, peer, loop = transfers.new(), nil, nil

  setup(function() peer = at.start() end)
  teardown(at.stop)
  before_each(function() loop = at.open() end)
  after_each(at.close)

  local function prepared(fields)
    local request = { unix_socket = peer.socket }
    for key, value in pairs(fields or {}) do request[key] = value end
    return core.request(request)
  end

  local function add(request, path, body, timeout)
    return loop:add(request, "http://peer" .. path, body, timeout)
  end

  -- The result; its transfer is used again by the next one.
  local function run(request, path, body)
    local transfer = add(request, path, body)
    local result = support.finish(loop, transfer)
    transfer:close()
    return result
  end

  it("serves many transfers, each with its url and body", function()
    local post = prepared{ method = "POST", headers = { "X-One: 1" } }
    for _, body in ipairs{ "a", "", ("b"):rep(100000), "c" } do
      local result = run(post, "/echo?" .. #body, body)
      assert.is_nil(result.error)
      assert.equal(body, result.body)
      assert.equal("POST", result.headers["x-method"])
    end
    assert.matches("\nX%-One: 1\n", run(post, "/head", "x").body)
  end)

  it("leaves nothing in a transfer that is used again", function()
    local get, head = prepared(), prepared{ method = "HEAD" }
    local post = prepared{ method = "POST", headers = { "X-Secret: yes" } }
    local patch = prepared{ method = "PATCH", compressed = true }
    for _ = 1, 3 do
      assert.equal("p", run(post, "/echo", "p").body)
      local seen = run(get, "/head").body
      assert.no.matches("X%-Secret", seen)
      assert.no.matches("Content%-", seen)
      assert.no.matches("gzip", seen)
      assert.equal("GET", run(get, "/echo").headers["x-method"])
      assert.equal("", run(head, "/status?code=200&body=not-sent").body)
      local echo = run(patch, "/echo", "q")
      assert.equal("q", echo.body)
      assert.equal("PATCH", echo.headers["x-method"])
      -- The same request with another kind of body.
      assert.equal("chunk", (function()
        local transfer = add(post, "/echo", { chunks = true })
        transfer:write("chunk")
        transfer:finish()
        local result = support.finish(loop, transfer)
        transfer:close()
        return result.body
      end)())
      assert.matches("Content%-Length: 0", run(post, "/head").body)
    end
  end)

  it("runs side by side with others, more than are kept", function()
    local kinds, running = {}, {}
    for i = 1, 80 do
      kinds[i] = prepared{ method = "POST", headers = { "X-Kind: " .. i } }
    end
    for i = 1, 100 do running[i] = add(kinds[(i - 1) % 80 + 1], "/head", tostring(i)) end
    for i, transfer in ipairs(running) do
      local body = support.finish(loop, transfer).body
      assert.matches("\nX%-Kind: " .. (i - 1) % 80 + 1 .. "\n", body)
      transfer:close()
    end
    for i = 80, 1, -1 do
      assert.matches("\nX%-Kind: " .. i .. "\n", run(kinds[i], "/head", "x").body)
    end
  end)

  it("outlives its userdata", function()
    local transfer = add(prepared{ method = "POST" }, "/echo", "kept")
    collectgarbage()
    collectgarbage()
    assert.equal("kept", support.finish(loop, transfer).body)
  end)

  it("has a time limit for each transfer", function()
    local get = prepared{ timeout = 30 }
    local slow = support.finish(loop, add(get, "/never", nil, 0.1))
    assert.equal("timeout", slow.error.kind)
    assert.is_nil(run(get, "/echo").error)
  end)

  it("tells of the answer without a table", function()
    local transfer = add(prepared{ sha256 = true, method = "POST" }, "/echo", "abc")
    assert.equal(0, select("#", transfer:answer()))
    support.wait_until(loop, function() return transfer:done() end)
    local status, body, kind, sha256 = transfer:answer()
    assert.equal(200, status)
    assert.equal("abc", body)
    assert.equal(transfer:header("content-type"), kind)
    assert.equal(core.sha256("abc"), sha256)
    local failed = loop:add{ url = "http://peer/", unix_socket = "/nowhere" }
    support.wait_until(loop, function() return failed:done() end)
    assert.equal(0, select("#", failed:answer()))
    assert.equal("connect", failed:result().error.kind)
  end)

  it("is over for a transfer that was closed", function()
    local transfer = add(prepared(), "/never")
    loop:step()
    transfer:close()
    transfer:close()
    transfer:cancel()
    assert.is_nil(transfer:written()) -- a follower that is collected asks
    assert.has_error(function() transfer:done() end)
    assert.is_nil(loop:next_ready())
    assert.is_nil(run(prepared(), "/echo").error)
  end)

  it("raises for misuse", function()
    assert.error_matches(function() prepared{ url = "http://peer/" } end, "'url' goes to loop:add")
    assert.error_matches(function() prepared{ body = "x" } end, "'body' goes to loop:add")
    assert.error_matches(function() prepared{ nonsense = 1 } end, "unknown key 'nonsense'")
    assert.error_matches(function() core.request("x") end, "table")
    local get = prepared()
    assert.error_matches(function() loop:add(get) end, "'url' is missing")
    assert.error_matches(function() loop:add(get, "ftp://peer/") end, "'url' must begin")
    assert.error_matches(function() loop:add(get, "http://peer/\n") end, "control character")
    assert.error_matches(function() loop:add(get, "http://peer/", 5) end, "'body' must be")
    assert.error_matches(function() loop:add(get, "http://peer/", nil, -1) end, "'timeout'")
    assert.error_matches(function() loop:add(io.stdout, "http://peer/") end, "contree.request")
    assert.is_nil(run(get, "/echo").error)
  end)
end)
