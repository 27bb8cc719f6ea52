-- Input that is too long for the spawn request.
local contree = require("contree")
local control = require("contree.wire.control")
local errors = require("contree.base.errors")
local fake = require("spec.support.fake")
local stdio = require("contree.base.stdio")

describe("a long stdin", function()
  local server, client, image

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    client = contree.new{ url = server.url, token = "t" }
    image = client.images:use(fake.IMAGE)
  end)

  local frames = fake.frames({}, { open = true })
  local ending = fake.frames({ "done" })

  local function rules(replies)
    local stream = { frames[1], frames[2], 1, ending[3], ending[4], ending[5] }
    local list = fake.run{ events = { fake.stream(stream) } }
    list[5] = { method = "POST", path = "/v1/operations/op-1/subprocesses/1/stdin",
      replies = replies }
    server:rules(list)
  end

  local function posted()
    local parts, last = {}, nil
    for _, request in ipairs(server:requests()) do
      local body = request.json
      local stream = body and (body.stdin or request.path:find("stdin") and body)
      if stream then
        parts[#parts + 1] = stdio.decode(stream)
        last = stream.close
      end
    end
    return table.concat(parts), last
  end

  it("is sent in pieces while the command runs", function()
    rules{ { status = 204 } }
    local data = ("0123456789abcdef"):rep(400000) -- 6.4 MB
    assert.are.equal("done", image:run{ command = "cat", stdin = data }.stdout)
    local sent, closed = posted()
    assert.is_true(sent == data)
    assert.is_true(closed)
    assert.is_false(server:requests()[1].json.stdin.close)
  end)

  it("is sent as JSON to an engine that knows no other form", function()
    local sent = {}
    client.extended = true
    client.respond = function(request)
      sent[#sent + 1] = request.body and "bytes" or "json"
      if request.body then errors.raise("invalid_argument", "not JSON", { status = 400 }) end
      return { status = 204 }
    end
    control.write(client.operations:get("op-1"), 1, ("x"):rep(3000000), true)
    assert.are.equal("bytes json json", table.concat(sent, " ", 1, 3))
    assert.are.equal(2 + 8, #sent) -- smaller pieces as JSON, and the piece that was refused
  end)

  it("waits for a process that is not there yet", function()
    rules{ { status = 425, headers = { ["Retry-After"] = "0" } }, { status = 204 } }
    local data = ("x"):rep(5000000)
    image:run{ command = "cat", stdin = function()
      local all = data
      data = nil
      return all
    end }
    assert.are.equal(5000000 + 262144, #(posted())) -- one piece twice
  end)

  it("ends when the command does not want it", function()
    rules{ { status = 409 } }
    assert.are.equal("done", image:run{ command = "head", stdin = ("x"):rep(9000000) }.stdout)
  end)

  it("ends the operation when it cannot be sent", function()
    rules{ { status = 501, json = { error = "not here" } } }
    local ok, err = pcall(image.run, image, { command = "cat", stdin = ("x"):rep(9000000) })
    assert.is_false(ok)
    assert.are.equal("not_supported", err.kind)
    local asked = table.concat(server:asked(), " ")
    assert.matches("DELETE /v1/operations/op%-1", asked)
  end)
end)
