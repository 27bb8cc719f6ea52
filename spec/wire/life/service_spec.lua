-- The engine as a user's service, and the end of its data directory.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

describe("the unit of the engine", function()
  local directory, unit

  setup(function()
    directory = wire.run("mktemp -d -t contree-spec-XXXXXX")
    unit = directory .. "/contree-engine.service"
    wire.run(("sed s,@bindir@,$(dirname $(command -v contree-engine)), "
      .. "packaging/user/contree-engine.service > %s"):format(unit))
  end)
  teardown(function() wire.remove(directory) end)

  it("is one to systemd", function()
    if wire.run("command -v systemd-analyze") == "" then return end
    assert.are.equal("", wire.run(("SYSTEMD_LOG_LEVEL=warning XDG_RUNTIME_DIR=%s "
      .. "systemd-analyze --user --man=no verify %s 2>&1 | grep contree-engine")
      :format(directory, unit)))
  end)

  it("starts an engine where clients look for it", function()
    local command = disk.read(unit):match("\nExecStart=(%S+ [^\n]+)\n")
    assert.matches("/contree%-engine serve", command)
    local pid = wire.run(("cd /; XDG_RUNTIME_DIR=%s XDG_DATA_HOME=%s CONTREE_DATA_DIR= "
      .. "%s >%s/log 2>&1 & echo $!"):format(directory, directory, command, directory))
    wire.eventually("its socket", function()
      return wire.run(("test -S %s/contree/engine.sock && echo yes"):format(directory)) == "yes"
    end)
    wire.run(("kill -TERM %s; %s"):format(pid, disk.wait_for_end(pid)))
    assert.are.equal("yes", wire.run(("test -f %s/contree/contree.db && echo yes")
      :format(directory)))
  end)
end)

describe("contree-engine purge", function()
  local engine

  before_each(function() engine = wire.start() end)
  after_each(function() engine:stop() end)

  local function purge(arguments)
    return wire.run(("contree-engine purge %s 2>&1; echo $?"):format(arguments))
  end

  it("removes a data directory when no engine serves it, and it is meant", function()
    engine:run{ shell = true, disposable = false,
      command = "mkdir -p /d/e; chmod 0 /d; echo > /f; chown 1000:1000 /f 2>/dev/null; rm -r /tmp" }
    local at = "--data-dir " .. engine.data
    assert.matches("pid " .. engine.pid .. "%) uses .*\n1$", purge(at .. " --yes"))
    engine:kill("TERM")
    assert.matches("say %-%-yes if you mean it\n1$", purge(at))
    wire.run(("echo mine > %s/mine"):format(engine.data))
    assert.matches("holds something else, too: all but that is gone\n1$", purge(at .. " --yes"))
    assert.are.equal("mine", wire.run("ls -A " .. engine.data))
    wire.run(("rm %s/mine"):format(engine.data))
    engine:launch()
    engine:kill("TERM")
    assert.are.equal("0", purge(at .. " --yes"))
    assert.are.equal("", wire.run(("ls -d %s 2>/dev/null"):format(engine.data)))
    assert.matches("there is no data directory", purge(at .. " --yes"))
  end)

  it("leaves other directories alone", function()
    wire.run(("mkdir %s/home; echo x > %s/home/lock"):format(engine.directory, engine.directory))
    assert.matches("is no data directory of contree%-engine\n1$",
      purge(("--data-dir %s/home --yes"):format(engine.directory)))
    assert.are.equal("lock", wire.run(("ls %s/home"):format(engine.directory)))
    assert.matches("what is \"x\" for", purge("x"))
  end)
end)
