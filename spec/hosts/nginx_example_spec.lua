-- examples/nginx: the endpoint that runs code.
local cjson = require("cjson")
local disk = require("spec.support.disk")
local host = require("spec.support.host")
local nginx = require("spec.support.nginx")

describe("examples/nginx", function()
  local place, server

  setup(function()
    place = host.place()
    local directory = nginx.directory()
    disk.capture(([[
      cp %s/examples/nginx/* %s
      sed -i 's#127.0.0.1:8080#unix:%s/http.sock#' %s/nginx.conf
    ]]):format(host.root, directory, directory, directory))
    server = nginx.run(directory, "-c nginx.conf -g 'user root;'", { CONTREE_URL = place.url })
  end)
  teardown(function()
    if server then server:stop() end
    place:stop()
  end)

  local function run(code, query)
    local status, body = server:get("/run" .. (query or ""), code)
    return status, cjson.decode(body)
  end

  it("runs shell scripts", function()
    assert.are.same({ 200, { stdout = "42\n", stderr = "why\n", exit_code = 3, timed_out = false,
      truncated = false } }, { run("echo $((6 * 7)); echo why >&2; exit 3") })
  end)

  it("runs awk scripts", function()
    local _, answer = run("BEGIN { print 2 * 512 }", "?lang=awk")
    assert.are.equal("1024\n", answer.stdout)
  end)

  it("shows each run nothing of the others", function()
    run("echo secret > /tmp/secret")
    local _, answer = run("cat /tmp/secret")
    assert.are.equal(1, answer.exit_code)
  end)

  it("limits time and output", function()
    local _, answer = run("head -c 100000 /dev/zero | tr '\\0' x; sleep 60")
    assert.is_true(answer.timed_out)
    assert.is_true(answer.truncated)
    assert.are.equal(65536, #answer.stdout)
  end)

  it("refuses what is not code", function()
    assert.are.equal(405, (server:get("/run")))
    assert.are.equal(400, (run("echo", "?lang=cobol")))
    assert.are.equal(400, (run("")))
    assert.are.equal(413, (server:get("/run", ("x"):rep(65537))))
  end)

  it("streams", function()
    local _, body, headers = server:get("/stream", "echo out; sleep 0.1; echo err >&2")
    assert.are.equal("out\nerr\n", body)
    assert.are.equal("text/plain", headers["content-type"])
  end)

  it("streams events", function()
    local status, body, headers = server:get("/events", "echo out; exit 4")
    assert.are.same({ 200, "text/event-stream" }, { status, headers["content-type"] })
    assert.matches('event: stdout\ndata: "out\\n"\n\n', body, 1, true)
    assert.matches('event: exit\ndata: {[^\n]*"exit_code":4', body)
  end)

  it("runs eight at once for a client, and cancels the runs of one that has left", function()
    local requests = {}
    for n = 1, 9 do requests[n] = server:request("/run", "exec sleep 517318") end
    local function refused()
      for n, request in ipairs(requests) do
        if request:done() then return n end
      end
    end
    nginx.wait_until("a refusal", refused)
    assert.are.equal(429, (requests[refused()]:wait()))
    for _, request in ipairs(requests) do request:cancel() end
    nginx.wait_until("the end of all runs", function()
      return disk.capture("pgrep -fcx 'sleep 517318'") == "0\n"
    end)
  end)

  it("says that it cannot, when there is no engine", function()
    place:stop()
    local status, answer = run("true")
    assert.are.equal(503, status)
    assert.are.equal("connection", answer.error)
  end)
end)
