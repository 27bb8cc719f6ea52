-- Finding, starting and reaching the local engine. spec/support/fake_server.py plays it.
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")
local engine = require("contree.wire.engine")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")

describe("the local engine", function()
  local directory

  before_each(function() directory = disk.directory() end)
  after_each(function()
    os.execute(("[ ! -e %s/data/starts ] || kill $(cat %s/data/starts) 2>/dev/null; rm -rf %s")
      :format(directory, directory, directory))
  end)

  local function options(more)
    local given = { path = fake.program, data_dir = directory .. "/data",
      socket = directory .. "/engine.sock" }
    for key, value in pairs(more or {}) do given[key] = value end
    return { engine = given }
  end

  local function starts()
    return select(2, disk.capture("cat " .. directory .. "/data/starts"):gsub("\n", ""))
  end

  local function with_environment(name, value, fn)
    -- The engine inherits our environment; Lua cannot change it, a wrapper can.
    local wrapper = disk.write(directory .. "/wrapper",
      ("#!/bin/sh\n%s=%s exec '%s' \"$@\"\n"):format(name, value, fake.program))
    os.execute("chmod +x " .. wrapper)
    return fn(wrapper)
  end

  it("is started by the first request, not before", function()
    local client = contree.new(options())
    assert.is_nil(io.open(directory .. "/data/starts"))
    assert.are.equal("local", client:whoami().token_uuid)
    assert.are.equal("local", contree.new(options()):whoami().token_uuid)
    assert.are.equal(1, starts())
  end)

  it("is started again when it has left", function()
    local client = contree.new(options())
    client:whoami()
    os.execute("kill $(cat " .. directory .. "/data/starts); sleep 0.1")
    assert.are.equal("local", client:whoami().token_uuid)
    assert.are.equal(2, starts())
  end)

  it("is started once by many requests", function()
    local client = contree.new(options())
    local list = {}
    for i = 1, 10 do list[i] = function() return client:whoami().token_uuid end end
    assert.are.equal("local", contree.gather(list)[10])
    assert.are.equal(1, starts())
  end)

  it("is shared by scripts that start it at once", function()
    with_environment("FAKE_ENGINE", "slow", function(wrapper)
      local script = disk.write(directory .. "/script.lua", ([[
        local options = { path = %q, data_dir = %q, socket = %q }
        print(require('contree').new{ engine = options }:whoami().token_uuid)
      ]]):format(wrapper, directory .. "/data", directory .. "/engine.sock"))
      local lua = jit and "luajit" or "lua5.4"
      local text = disk.capture(("for i in 1 2 3 4; do %s %s 2>&1 & done; wait")
        :format(lua, script))
      assert.are.equal("local\nlocal\nlocal\nlocal\n", text)
      assert.are.equal(1, starts())
    end)
  end)

  it("lets other tasks go on while it starts", function()
    with_environment("FAKE_ENGINE", "slow", function(wrapper)
      local client, ticks = contree.new(options{ path = wrapper }), 0
      contree.async(function()
        local starting = contree.spawn(function() return client:whoami().token_uuid end)
        while starting.status ~= "done" do
          contree.sleep(0.01)
          ticks = ticks + 1
        end
        assert.are.equal("local", starting:wait())
      end)
      assert.is_true(ticks > 5, ticks .. " ticks")
    end)
  end)

  it("goes on starting when the task that wanted it is cancelled", function()
    with_environment("FAKE_ENGINE", "slow", function(wrapper)
      local client = contree.new(options{ path = wrapper })
      contree.async(function()
        local first = contree.spawn(function() client:whoami() end)
        local second = contree.spawn(function() return client:whoami().token_uuid end)
        contree.sleep(0.1)
        first:cancel()
        assert.are.equal("local", second:wait())
        assert.are.equal("cancelled", first.status)
      end)
      assert.are.equal(1, starts())
    end)
  end)

  it("is ended when it does not become ready", function()
    local wrapper = disk.write(directory .. "/wrapper",
      ("#!/bin/sh\ntrap 'touch %s/ended; exit' TERM\n"
        .. "echo still reading; while :; do sleep 0.05; done\n"):format(directory))
    os.execute("chmod +x " .. wrapper)
    local real, ahead = core.now, 0
    finally(function() core.now = real end)
    core.now = function() return real() + ahead end
    local err
    contree.async(function()
      local starting = contree.spawn(function()
        err = failure(function() contree.new(options{ path = wrapper }):whoami() end)
      end)
      contree.sleep(0.2)
      ahead = 20
      starting:wait()
    end)
    assert.are.equal("engine_unavailable", err.kind)
    assert.matches("wrapper was not ready within 15 seconds: still reading", tostring(err), 1, true)
    for _ = 1, 200 do
      if core.stat(directory .. "/ended") then break end
      os.execute("sleep 0.05")
    end
    assert.is_table(core.stat(directory .. "/ended"))
  end)

  it("says why it could not start", function()
    with_environment("FAKE_ENGINE", "fail", function(wrapper)
      local err = failure(function() contree.new(options{ path = wrapper }):whoami() end)
      assert.are.equal("engine_unavailable", err.kind)
      assert.matches("cannot write to " .. directory .. "/data", tostring(err), 1, true)
      assert.matches("doctor", err.hint)
    end)
  end)

  it("that is not there comes with the fix", function()
    local err = failure(function()
      contree.new(options{ path = "/no/such/contree-engine" }):whoami()
    end)
    assert.are.equal("engine_unavailable", err.kind)
    assert.matches("/no/such/contree-engine is not a program", tostring(err), 1, true)
    assert.matches("CONTREE_ENGINE", err.hint)
    err = failure(function() contree.new(options{ path = directory }):whoami() end)
    assert.matches("is not a program", tostring(err))
  end)

  it("reports a program that is no engine", function()
    local err = failure(function() contree.new(options{ path = "/bin/true" }):whoami() end)
    assert.are.equal("engine_unavailable", err.kind)
    assert.matches("exited before it was ready", tostring(err))
  end)
end)

describe("contree.wire.engine", function()
  local function new(given, environment)
    environment = environment or {}
    environment.HOME = environment.HOME or "/home/u"
    return engine.new(given or {}, function(name) return environment[name] end)
  end

  it("finds its directories", function()
    local found = new({}, { XDG_RUNTIME_DIR = "/run/user/1" })
    assert.are.equal("/home/u/.local/share/contree", found.data_dir)
    assert.are.equal("/run/user/1/contree/engine.sock", found.socket)
    assert.are.equal("/x/contree", new({}, { XDG_DATA_HOME = "/x" }).data_dir)
    assert.are.equal("/y", new({}, { CONTREE_DATA_DIR = "/y/" }).data_dir)
    assert.matches("^/tmp/contree%-%d+/engine%.sock$", new().socket)
  end)

  it("gives every data directory a socket of its own", function()
    local a, b, default = new{ data_dir = "/a" }, new{ data_dir = "/b" }, new()
    assert.are_not.equal(a.socket, b.socket)
    assert.are_not.equal(a.socket, default.socket)
    assert.are.equal(a.socket, new({}, { CONTREE_DATA_DIR = "/a" }).socket)
    assert.are.equal("/s.sock", new{ data_dir = "/a", socket = "/s.sock" }.socket)
    local deep = new({ data_dir = "/" .. ("d"):rep(300) },
      { XDG_RUNTIME_DIR = "/" .. ("r"):rep(90) })
    assert.is_true(#deep.socket < 100)
  end)

  it("refuses a socket path that is too long, and relative directories", function()
    local err = failure(new, { socket = "/" .. ("s"):rep(120) })
    assert.matches("too long", tostring(err))
    assert.is_true(failure(new, {}, { CONTREE_DATA_DIR = "rel" }).misuse)
    assert.is_true(failure(contree.new, { engine = { data_dir = "rel" } }).misuse)
    assert.matches('did you mean "data_dir"',
      tostring(failure(contree.new, { engine = { datadir = "/x" } })))
  end)

  it("does not trust a directory that others can write to", function()
    local directory = disk.directory()
    os.execute(("mkdir -p %s/contree && chmod 755 %s/contree"):format(directory, directory))
    local found = new({}, { XDG_RUNTIME_DIR = directory })
    local err = failure(found.check, found)
    assert.are.equal("engine_unavailable", err.kind)
    assert.matches("mode 0700", tostring(err))
    os.execute(("chmod 700 %s/contree"):format(directory))
    found:check()
    os.execute("rm -rf " .. directory)
  end)

  it("F13: does not follow a link to its directory, not even to one of ours", function()
    local directory = disk.directory()
    os.execute(("mkdir -m 700 %s/mine && ln -s mine %s/contree"):format(directory, directory))
    local found = new({}, { XDG_RUNTIME_DIR = directory })
    local err = failure(found.check, found)
    assert.are.equal("engine_unavailable", err.kind)
    assert.matches("no link", tostring(err))
    os.execute("rm -rf " .. directory)
  end)

  it("looks for the program where it is told, then in PATH", function()
    local directory = disk.directory()
    os.execute(("touch %s/contree-engine"):format(directory))
    assert.is_nil(new({}, { PATH = directory .. ":relative" }).path
      and new({}, { PATH = directory }).path:find(directory, 1, true))
    os.execute(("chmod +x %s/contree-engine"):format(directory))
    assert.are.equal(directory .. "/contree-engine", new({}, { PATH = "/no:" .. directory }).path)
    assert.are.equal("/bin/sh", new({}, { PATH = directory, CONTREE_ENGINE = "/bin/sh" }).path)
    assert.are.equal("/bin/ls", new({ path = "/bin/ls" }, { CONTREE_ENGINE = "/bin/sh" }).path)
    os.execute("rm -rf " .. directory)
  end)
end)
