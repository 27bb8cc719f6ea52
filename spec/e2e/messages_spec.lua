-- Errors about trouble on this machine say what happened and what to do.
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")

describe("D9: an error says", function()
  local client, directory, stop, busybox

  before_each(function()
    client, directory, stop = home.client()
    busybox = client.images:use("busybox:latest")
    busybox:run("true")
  end)
  after_each(function() stop() end)

  local function says(kind, pattern, hint, fn, ...)
    local err = failure(fn, ...)
    assert.are.equal(kind, err.kind, tostring(err))
    assert.matches(pattern, err.message)
    if hint then assert.matches(hint, err.hint or "", nil, nil, tostring(err)) end
    return err
  end

  it("that a local directory is missing, not that a request failed", function()
    local err = says("file", "^a local file: /no/such/dir/x: No such file", "directory",
      busybox.download, busybox, "/bin/busybox", "/no/such/dir/x")
    assert.is_nil(tostring(err):find("GET", 1, true))
    says("file", "/no/such/dir", "directory", busybox.archive, busybox, "/", "/no/such/dir/x")
  end)

  it("which limit a command ran into, and what gives it more", function()
    says("command_failed", "time limit of 1 s", "timeout =", busybox.run, busybox,
      { shell = "sleep 60", timeout = 1, check = true })
    local outcome = require("contree.run.outcome")
    local err = outcome.failure{ exit_code = -1, signal = 9, limit = "memory",
      limit_value = 1048576, stderr = "" }
    assert.matches("memory it may have, 1048576 bytes", err.message)
    assert.matches("memory_bytes", err.hint)
    err = outcome.failure{ exit_code = 1, limit = "pids", limit_value = 5, stderr = "" }
    assert.matches("exit code 1, having wanted more than 5 processes", err.message)
  end)

  it("that the engine was killed, and where its log is", function()
    local log = "its log is " .. directory .. "/engine.sock.log"
    log = log:gsub("%p", "%%%0")
    local function kill() home.stop_engine(directory .. "/data", "KILL") end
    local running = contree.spawn(function() return busybox:run("sleep 60") end)
    contree.sleep(0.3)
    kill()
    says("connection", "the server closed the connection", log, running.wait, running)
    local operation = busybox:start("sleep 60")
    kill()
    says("operation_failed", "the engine stopped", log, operation.wait, operation)
  end)

  it("nothing where an engine is about to end: the next one is asked", function()
    for _ = 1, 5 do
      os.execute("kill -TERM " .. home.pid(directory .. "/data") .. "; sleep 0.05")
      local ok, result = pcall(busybox.run, busybox, "echo again")
      -- If the run was accepted, it is cancelled.
      assert.are.equal(ok and "again\n" or "cancelled", ok and result.stdout or result.kind)
    end
  end)

  it("soon that nobody listens, and how often it was asked", function()
    local lines = {}
    local new = contree.new{ url = "http://127.0.0.1:1", token = "t-secret",
      log = function(line) lines[#lines + 1] = line end }
    says("connection", "cannot reach http://127.0.0.1:1: .* %(asked 3 times%)", nil,
      new.whoami, new)
    assert.are.equal(5, #lines) -- three attempts, two pauses
  end)
end)

describe("D9: a full disk", function()
  it("is what an upload of any size is told", function()
    local client, directory, stop = home.client()
    os.execute("mkdir -p " .. directory .. "/data")
    local mounted = os.execute("mount -t tmpfs -o size=24m,mode=700 contree-spec "
      .. directory .. "/data 2>/dev/null")
    mounted = mounted == true or mounted == 0
    finally(function()
      client:close()
      home.stop_engine(directory .. "/data")
      if mounted then os.execute("umount " .. directory .. "/data") end
      stop()
    end)
    if not mounted then return pending("a small file system cannot be mounted here") end
    local path = directory .. "/big"
    assert.is_string(disk.capture("dd if=/dev/zero bs=1048576 count=200 of=" .. path .. " 2>&1"))
    for _, what in ipairs{ path, { data = ("x"):rep(60 * 1048576) } } do
      local err = failure(client.files.upload, client.files, what)
      assert.are.equal(507, err.status, tostring(err))
      assert.matches("No space left", err.message)
      assert.are.equal("POST /files", err.request)
    end
    assert.is_number(core.now())
  end)
end)
