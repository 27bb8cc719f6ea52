-- What is done with an operation while it runs, on the embedded engine.
local contree = require("contree")
local disk = require("spec.support.disk")
local fake = require("spec.support.fake")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local safe = require("contree.safe")
local wire = require("spec.support.wire")

describe("a live operation", function()
  local client, directory, stop, busybox

  setup(function()
    client, directory, stop = home.client()
    busybox = client.images:use("busybox:latest")
  end)
  teardown(function() stop() end)

  -- Runs `fn` in plain code and in a task.
  local function both(fn)
    fn()
    contree.async(fn)
  end

  local function refuses(kind, pattern, fn, ...)
    local err = failure(fn, ...)
    assert.are.equal(kind, err.kind, tostring(err))
    assert.matches(pattern, tostring(err))
    return err
  end

  -- The same engine on the other face.
  local function elsewhere()
    return safe.new{ engine = { data_dir = directory .. "/data",
      socket = directory .. "/engine.sock" } }
  end

  describe("is paused", function()
    it("right after it was asked for, and goes on", function()
      both(function()
        local op = busybox:start{ shell = "sleep 0.2; echo over" }
        assert.are.equal(op, op:pause())
        local _, details = op:status()
        assert.is_true(details.paused)
        assert.are.equal("over\n", op:pause():resume():wait().stdout)
        refuses("conflict", "not running", op.pause, op)
        refuses("conflict", "not running", op.resume, op)
      end)
    end)

    it("while another task waits for it", function()
      contree.async(function()
        local op = busybox:start{ shell = "echo x; sleep 0.2", timeout = 20 }
        local result = contree.gather(function() return op:wait() end, function()
          op:pause()
          contree.sleep(0.3)
          op:resume()
        end)
        assert.are.equal("x\n", result.stdout)
      end)
    end)

    it("on the safe face", function()
      local one = elsewhere()
      local op = assert(one.images:use("busybox:latest")):start{ shell = "sleep 60" }
      assert.are.equal(op, op:pause())
      assert.are.equal(op, op:resume())
      op:cancel()
      local ok, err = op:pause()
      assert.is_nil(ok)
      assert.are.equal("conflict", err.kind)
      one:close()
    end)

    it("not by a server that cannot, nor if it is not there", function()
      local server = fake.start()
      server:rules{
        { method = "GET", path = "/v1/operations/u", replies = { { status = 200,
          json = fake.operation{ uuid = "u", status = "EXECUTING" } } } },
        { path = "/v1/operations/u/events", replies = { { status = 200,
          headers = { ["Content-Type"] = "text/event-stream" },
          body = fake.frame(0, "spawn", 1, { pid = 2 }) } } },
        { path = ".*", replies = { { status = 404, json = { error = "nothing here" } } } },
      }
      local one = contree.new{ url = server.url, token = "t", retry = { max_attempts = 1 } }
      local err = refuses("not_supported", "does not pause", function()
        one.operations:get("u"):pause()
      end)
      assert.matches("local engine", err.hint)
      one:close()
      server:stop()
      local nobody = client.operations:get("00000000-0000-4000-8000-000000000000")
      refuses("not_found", "operation", nobody.pause, nobody)
    end)
  end)

  it("tells what it uses", function()
    both(function()
      local op = busybox:start{ shell = "sleep 60" }
      local used = op:usage()
      assert.is_true(used.cpu_seconds >= 0)
      assert.is_true(used.memory_bytes > 0)
      assert.are.equal(1, used.processes)
      assert.is_nil(used.memory_peak_bytes)
      local list = client.operations:list{ status = "EXECUTING" }
      assert.are.equal(op.uuid, list[1].uuid)
      assert.are.equal(1, list[1].usage.processes)
      op:cancel()
      refuses("conflict", "not running", op.usage, op)
    end)
  end)

  it("has its figures in the result", function()
    local result = busybox:run{ shell = "head -c 1000000 /dev/zero > /f", disposable = false }
    local resources = result.resources
    assert.is_true(resources.layer_bytes >= 1000000)
    assert.is_true(resources.max_rss > 0)
    for _, name in ipairs{ "user_cpu_time", "system_cpu_time", "block_input", "block_output",
      "voluntary_switches", "involuntary_switches", "page_faults", "elapsed_time" } do
      assert.are.equal("number", type(resources[name]), name)
    end
  end)

  it("has ports that are reached from here", function()
    both(function()
      local op = busybox:start{ shell = "mkdir /w; echo hello > /w/i; exec httpd -f -p 8000 -h /w" }
      local address = op:forward(8000)
      local function get()
        return disk.capture(("curl -s -m 20 http://%s/i"):format(address))
      end
      wire.eventually("the server", function() return get() == "hello\n" end)
      local socket = op:forward("/run/x", { listen = "127.0.0.1:0" })
      local ports = op:ports()
      assert.are.equal(2, #ports)
      assert.are.equal("/run/x", ports[1].path)
      assert.are.equal(address, ports[2].address)
      assert.is_true(op:close_port(socket))
      assert.is_false(op:close_port(socket))
      refuses("conflict", "in use", op.forward, op, 1, { listen = address })
      refuses("invalid_argument", "the target", op.forward, op, "x")
      refuses("invalid_argument", "the target", op.forward, op, 65536)
      refuses("invalid_argument", "listen", op.forward, op, 1, { lisen = "x" })
      op:cancel()
      assert.are.equal("", get())
      refuses("conflict", "not running", op.forward, op, 8000)
    end)
  end)

  it("tells what changes in its files", function()
    both(function()
      local op = busybox:start{ stdin = contree.PIPE,
        shell = "mkdir -p /w/d; echo ready; read x; cd /w; echo > d/f; mv d e" }
      for bytes in op:output() do
        if bytes:find("ready") then break end
      end
      local changes = op:watch("/w", { recursive = true })
      refuses("unprocessable", "No such file", op.watch, op, "/none")
      refuses("invalid_argument", "the path", op.watch, op, "w")
      op:write("\n")
      local list = {}
      for e in changes do
        if e.type ~= "modified" then
          list[#list + 1] = e.type .. " " .. (e.from and e.from .. " " or "") .. e.path
        end
      end
      assert.are.same({ "created /w/d/f", "written /w/d/f", "moved /w/d /w/e" }, list)
      op:wait()
      refuses("conflict", "not running", op.watch, op, "/w")
    end)
  end)

  it("is watched while other tasks go on, and a loop may be left early", function()
    contree.async(function()
      local op = busybox:start{ shell = "mkdir /w; while :; do echo > /w/f; usleep 1000; done" }
      wire.eventually("the directory", function() return pcall(op.watch, op, "/w") end)
      local seen = contree.gather(function()
        local next_change = op:watch("/w")
        return next_change().path
      end, function() contree.sleep(0.01) end)
      assert.are.equal("/w/f", seen)
      op:cancel()
    end)
  end)
end)
