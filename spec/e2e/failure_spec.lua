-- Mistakes of users and troubles of the machine end in a clear error, and leave nothing
-- behind.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")

describe("a mistake", function()
  local client, directory, stop, busybox

  setup(function()
    client, directory, stop = home.client()
    busybox = client.images:use("busybox:latest")
  end)
  teardown(function() stop() end)

  it("in the image's name is not_found and names it", function()
    local err = failure(function() client.images:use("no/such:image"):run("true") end)
    assert.are.equal("not_found", err.kind)
    assert.matches("no/such:image", tostring(err), 1, true)
    err = failure(function()
      client.images:use("11111111-2222-4333-8444-555555555555"):run("true")
    end)
    assert.are.equal("not_found", err.kind)
  end)

  it("in an option's name is refused with the nearest valid one", function()
    local err = failure(function() busybox:run{ shel = "true" } end)
    assert.are.equal("invalid_argument", err.kind)
    assert.matches("shel", tostring(err))
    assert.matches("did you mean", tostring(err):lower())
    assert.matches("failure_spec.lua", tostring(err), 1, true)
  end)

  it("in an option's type is refused before anything is sent", function()
    for _, options in ipairs{
      { shell = 5 }, { shell = "true", env = "A=1" }, { shell = "true", timeout = "soon" },
      { shell = "true", timeout = -1 }, { shell = "true", args = "x" }, {},
      { shell = "true", command = "true" }, { shell = "true", env = { A = 1 } },
      { shell = "true", cwd = "relative" }, { shell = "true", uid = -1 },
      { shell = "true", resources_limits = { memory = 1000000 } },
    } do
      local err = failure(busybox.run, busybox, options)
      assert.are.equal("invalid_argument", err.kind)
    end
  end)

  it("in a local file's name is an error that names it", function()
    local err = failure(busybox.run, busybox, { shell = "true", files = { "/no/such/file" } })
    assert.matches("/no/such/file", tostring(err), 1, true)
  end)

  it("in a string's encoding is refused, never sent broken", function()
    local err = failure(busybox.run, busybox, { shell = "echo \255\254" })
    assert.are.equal("unprocessable", err.kind)
    assert.matches("UTF%-8", tostring(err))
    err = failure(busybox.run, busybox, { command = "a", args = { "x\0y" } })
    assert.are.equal("unprocessable", err.kind)
  end)

  it("in cwd fails the operation in words", function()
    local err = failure(busybox.run, busybox, { shell = "true", cwd = "/no/such/dir" })
    assert.are.equal("operation_failed", err.kind)
    assert.matches("/no/such/dir", tostring(err), 1, true)
  end)

  it("too much on disk says how to have more, and which limit it was", function()
    local err = failure(busybox.run, busybox, { shell = "head -c 2000000 /dev/zero > /x",
      resources_limits = { max_layer_bytes = 2 ^ 20 } })
    assert.are.equal("operation_failed", err.kind)
    assert.are.equal("disk", err.result.limit)
    assert.matches("max_layer_bytes = } gives it more", err.hint, 1, true)
  end)

  it("leaves the engine healthy", function()
    assert.are.equal(0, busybox:run("true").exit_code)
    assert.are.equal("", disk.capture("ls " .. disk.quote(directory .. "/data/w") ..
      " 2>/dev/null | grep -v -E '^[0-9]+$'"))
  end)
end)

describe("a machine", function()
  it("without the engine gets the fix in words", function()
    local client = contree.new{ engine = { path = "/no/such/contree-engine",
      data_dir = "/tmp/contree-spec-none", socket = "/tmp/contree-spec-none.sock" } }
    local err = failure(function() client.images:use("busybox:latest"):run("true") end)
    assert.are.equal("engine_unavailable", err.kind)
    assert.matches("/no/such/contree-engine", tostring(err), 1, true)
    client:close()
  end)

  it("with a socket nobody listens on says so", function()
    local client = contree.new("unix:/tmp/contree-spec-nobody.sock")
    local err = failure(function() client:whoami() end)
    assert.are.equal("connection", err.kind)
    assert.matches("/tmp/contree%-spec%-nobody.sock", tostring(err))
    client:close()
  end)

  it("with a data directory that cannot be written says which", function()
    local directory = disk.directory()
    disk.write(directory .. "/data", "")
    local client = contree.new{ engine = { data_dir = directory .. "/data",
      socket = directory .. "/engine.sock" } }
    local err = failure(function() client:whoami() end)
    assert.are.equal("engine_unavailable", err.kind)
    assert.matches(directory .. "/data", tostring(err), 1, true)
    client:close()
    disk.remove(directory)
  end)

  it("with an engine that was killed loses no image", function()
    local client, directory, stop = home.client()
    local kept = client.images:use("busybox:latest")
      :run{ shell = "echo safe > /f", disposable = false, tag = "kept" }
    home.stop_engine(directory .. "/data", "KILL")
    local again = client.images:use("kept", { strict = true })
    assert.are.equal(kept.uuid, again.uuid)
    assert.are.equal("safe\n", again:run("cat /f").stdout)
    stop()
  end)

  -- The engine alone had the log, so the next one knows nothing of the process.
  it("with an engine that was killed says so to who waits for a subprocess", function()
    local client, directory, stop = home.client()
    local operation = client.images:use("busybox:latest"):start("sleep 60")
    local process = operation:spawn{ command = "sleep", args = { "60" } }
    home.stop_engine(directory .. "/data", "KILL")
    local err = failure(process.wait, process)
    assert.are.equal("operation_failed", err.kind)
    assert.matches("the engine stopped", err.message, 1, true)
    assert.are.equal(process, err.process)
    stop()
  end)
end)
