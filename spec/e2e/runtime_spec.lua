-- Sandboxes made by an OCI runtime that was chosen in Lua.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local home = require("spec.support.home")
local live = require("spec.support.live")

local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"

describe("engine = { runtime = }", function()
  it("makes the sandboxes with it", function()
    local client, _, stop = home.client{ engine = { runtime = "crun" } }
    local image = client.images:use("busybox:latest")
    local built = image:run{ shell = "cat > /f; id -u", stdin = "bytes\0", disposable = false }
    assert.are.equal("0\n", built.stdout)
    assert.matches("runtime:crun", table.concat(built.isolation, " "), 1, true)
    local process = built:popen({ "cat", "/f" }, { stdout = contree.PIPE })
    assert.are.equal("bytes\0", (process:communicate()))
    local a, b = contree.gather(
      function() return built:run("echo a") end,
      function() return built:run{ shell = "sleep 30", timeout = 1 } end)
    assert.are.equal("a\n", a.stdout)
    assert.is_true(b.timed_out)
    stop()
  end)

  it("is not what a running engine has: says so, and runs nothing", function()
    local client, directory, stop = home.client()
    assert.are.equal("1\n", client.images:use("busybox:latest"):run("echo 1").stdout)
    local other = contree.new{ engine = { runtime = "crun", data_dir = directory .. "/data",
      socket = directory .. "/engine.sock" } }
    local err = failure(function() other.images:use("busybox:latest"):run("echo 2") end)
    assert.are.equal("conflict", err.kind)
    assert.matches("runtime native, not with crun", tostring(err), 1, true)
    assert.matches("kill " .. home.pid(directory .. "/data"), tostring(err), 1, true)
    -- Following the advice helps.
    home.stop_engine(directory .. "/data")
    assert.are.equal("3\n", other.images:use("busybox:latest"):run("echo 3").stdout)
    err = failure(function()
      contree.new{ engine = { runtime = "native", data_dir = directory .. "/data",
        socket = directory .. "/engine.sock" } }.images:use("busybox:latest"):run("echo 4")
    end)
    assert.matches("crun, not with native", tostring(err), 1, true)
    -- A client without a preference takes the running engine.
    assert.are.equal("5\n", client.images:use("busybox:latest"):run("echo 5").stdout)
    other:close()
    stop()
  end)

  it("that is not there is named", function()
    local client, _, stop = home.client{ engine = { runtime = "no-such-crun" } }
    local err = failure(function() client.images:use("busybox:latest"):run("true") end)
    assert.are.equal("engine_unavailable", err.kind)
    assert.matches('no runtime "no-such-crun"', tostring(err), 1, true)
    stop()
    err = failure(function() contree.new{ engine = { runtime = "bin/crun" } } end)
    assert.is_true(err.misuse)
    assert.matches("absolute path", tostring(err), 1, true)
  end)

  for _, runtime in ipairs{ "native", "crun", "runc" } do
    it(runtime .. ": what runs is paused, measured, watched and reached all the same", function()
      local client, _, stop = home.client{ engine = { runtime = runtime } }
      live(contree, client.images:use("busybox:latest"))
      stop()
    end)
  end

  for _, runtime in ipairs{ "crun", "runc" } do
    it(("by CONTREE_RUNTIME=%s: the quickstart is none the wiser"):format(runtime), function()
      local directory = disk.directory()
      local here = disk.quote(directory)
      local text = disk.capture(("env -u CONTREE_URL -u CONTREE_TOKEN CONTREE_HOME=%s"
        .. " CONTREE_DATA_DIR=%s/data XDG_RUNTIME_DIR=%s CONTREE_RUNTIME=%s"
        .. " %s examples/quickstart.lua 2>&1; printf %%s $?")
        :format(here, here, here, runtime, lua))
      home.stop_engine(directory .. "/data")
      disk.remove(directory)
      assert.matches("a session, rolled back +bread | butter\n", text)
      assert.matches('did you mean "shell"%?%)\n0$', text)
    end)
  end
end)
