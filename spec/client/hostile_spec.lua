-- Hostile servers: a call ends in time, with a result or an error object.
local contree = require("contree")
local core = require("contree.core")
local errors = require("contree.base.errors")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")
local support = require("spec.support.core_peer")

describe("a hostile server", function()
  local server, client

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    client = contree.new{ url = server.url, token = "t", timeout = 1,
      retry = { max_attempts = 2 } }
  end)

  local executing = { status = 200, json = { uuid = "op-1", status = "EXECUTING" } }

  -- These events keep a stream busy without progress.
  local STREAMS = {
    ["events that were seen"] = "id: 1\nevent: stdout\ndata: {}\n\n",
    ["events without a type"] = "data: {}\n\n",
    comments = ": still here\n\n",
  }

  for name, text in pairs(STREAMS) do
    it("F11: a run ends in time whatever comes: " .. name, function()
      server:rules(fake.run{ events = { fake.stream{ { text, 3000000 } } },
        operations = { executing } })
      local image = client.images:use(fake.IMAGE)
      local err = failure(image.run, image, { shell = "x", timeout = 1, on_event = function() end })
      assert.are.equal("timeout", err.kind)
      local process = image:popen{ "x" }
      err = failure(process.wait, process, 0.2)
      assert.are.equal("timeout", err.kind)
    end)
  end

  -- The process never existed, and the stream never says so.
  it("F11: giving up a process ends in time", function()
    server:rules{
      { method = "POST", path = "/v1/operations/op-1/subprocesses", replies = {
        { status = 201, json = { spid = 2 } } } },
      { path = "/v1/operations/op-1/events", replies = { fake.stream{ ": x\n\n", 60 } } },
      { path = "/v1/operations/op-1", replies = { executing } },
      { method = "DELETE", path = "/v1/operations/op-1/subprocesses/2", replies = {
        { status = 425 } } },
    }
    local process = client.operations:get("op-1"):spawn("x")
    local task = contree.spawn(process.wait, process)
    contree.sleep(0.1)
    local begun = core.now()
    task:cancel()
    local err = failure(task.wait, task)
    assert.are.equal("cancelled", err.kind)
    assert.is_true(core.now() - begun < 30)
  end)

  it("F15: an answer that switches protocols is an error object", function()
    local peer = support.start()
    finally(peer.stop)
    local url = peer.url:gsub("$", "/switch?")
    local bad = contree.new{ url = "unix:" .. peer.socket, retry = false }
    -- This peer answers only its own path.
    bad.base = "http://peer/switch?"
    assert.is_string(url)
    local err = failure(bad.whoami, bad)
    assert.is_true(errors.is(err, "connection"), tostring(err))
    assert.matches("101", err.message)
    local operation = bad.operations:get("op-1")
    err = failure(operation.wait, operation)
    assert.is_true(errors.is(err, "connection"), tostring(err))
  end)

  it("F11: a file that is larger than a string may be says what to do", function()
    server:rules{ { path = "/v1/inspect/.*", replies = { { status = 200, body = "0123456789",
      ["repeat"] = 30, gzip = true } } } }
    local image = client.images:use(fake.IMAGE)
    assert.are.equal(300, #image:read("/x"))
    local err = failure(image.read, image, "/x", { max_size = 299 })
    assert.are.equal("server", err.kind)
    assert.matches("larger than 299 bytes", err.message)
    assert.matches("download", err.hint)
  end)

  it("F15: no control character of any kind is in an error's text", function()
    local text = "a\27[2J b\194\155 31m c\194\128d\127e\0f g\195\155h"
    for _, err in ipairs{ errors.new("server", text),
      errors.new("server", "x", { hint = text }) } do
      local shown = tostring(err)
      assert.is_nil(shown:find("%c"))
      assert.is_nil(shown:find("\194[\128-\159]"))
      assert.matches("g\195\155h", shown)
    end
  end)
end)
