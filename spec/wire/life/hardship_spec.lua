-- An engine with little, or that is treated badly: clocks that jump, stops, signals without end,
-- calls that are interrupted again and again, little memory. The steps are those of the failing
-- system calls (spec/support/fault_steps.lua).
local disk = require("spec.support.disk")
local faults = require("spec.support.faults")
local steps = require("spec.support.fault_steps")
local wire = require("spec.support.wire")

local BUILD = wire.run("dirname $(dirname $(command -v contree-engine))")
local SEED = tonumber(os.getenv("CONTREE_SEED")) or os.time()

describe("an engine", function()
  local patient

  local function start(prefix)
    local engine = wire.start("", prefix)
    patient = { engine = engine, number = 0,
      told = { images = {}, files = {}, tags = {}, volumes = {} } }
    return engine
  end

  after_each(function()
    patient.engine:stop()
    steps.release(patient)
  end)

  -- What a step raises, as text.
  local function try(name)
    local ok, why = pcall(steps[name], patient)
    if ok then return nil end
    return ("%s: %s"):format(name, type(why) == "table" and (why.refused or why.broken) or why),
      type(why) == "table"
  end

  local function succeed(names)
    for _, name in ipairs(names or steps.names) do assert.is_nil((try(name))) end
  end

  local function verify()
    local problems = {}
    steps.verify(patient, function(problem) problems[#problems + 1] = problem end)
    assert.are.same({}, problems)
  end

  it("works whatever the clock does", function()
    local path = os.tmpname()
    local function jump(seconds) disk.write(path, tostring(seconds)) end
    jump(0)
    -- A sanitizer, where there is one, comes behind it.
    local engine = start(("CONTREE_CLOCK_SHIFT=%s LD_PRELOAD=%s/spec/support/shifted_clock.so "
      .. "ASAN_OPTIONS=%s:verify_asan_link_order=0")
      :format(path, BUILD, os.getenv("ASAN_OPTIONS") or ""))
    steps.prepare(patient)
    local day = 86400
    for _, seconds in ipairs{ 400 * day, -400 * day, -50 * 365 * day, 70 * 365 * day, 0 } do
      jump(seconds)
      succeed{ "kept", "upload", "run", "file", "volume", "events", "cancel", "tag" }
      engine:kill(seconds > 0 and "TERM" or "KILL")
      jump(-seconds)
      engine:launch()
      verify()
      succeed{ "kept", "import" }
    end
    os.remove(path)
  end)

  -- Does something to the engine and its children all the time, while fn runs.
  local function meanwhile(script, fn)
    local stop = os.tmpname()
    local helper = io.popen(("python3 - %d %s %d <<'END'\n%s\nEND"):format(patient.engine.pid, stop,
      SEED, [[
import os, random, signal, sys, time
engine, stop = int(sys.argv[1]), sys.argv[2]
random.seed(int(sys.argv[3]))
def children(of):
    try:
        return [int(p) for t in os.listdir("/proc/%d/task" % of)
                for p in open("/proc/%d/task/%s/children" % (of, t)).read().split()]
    except OSError:
        return []
def family():
    launchers = children(engine)
    return [engine] + launchers + [c for l in launchers for c in children(l)]
def send(pid, number):
    try:
        os.kill(pid, number)
    except OSError:
        pass
]] .. script), "r")
    local ok, why = pcall(fn)
    os.remove(stop)
    helper:close()
    assert(ok, why)
  end

  -- All works meanwhile, and nothing is lost.
  local function holds_while(script)
    start()
    steps.prepare(patient)
    meanwhile(script, succeed)
    patient.engine:kill("KILL")
    patient.engine:launch()
    verify()
  end

  it("goes on when it and its sandboxes are stopped and continued", function()
    holds_while([[
while os.path.exists(stop):
    pid = random.choice(family())
    send(pid, signal.SIGSTOP)
    time.sleep(random.choice([0.001, 0.05, 0.3]))
    send(pid, signal.SIGCONT)
    time.sleep(random.choice([0.001, 0.05]))
]])
  end)

  it("goes on when signals come all the time", function()
    holds_while([[
while os.path.exists(stop):
    for pid in family():
        send(pid, signal.SIGCHLD)
        send(pid, signal.SIGCONT)
    time.sleep(0.001)
]])
  end)

  -- Every second call of the engine, its children and init, where a wait can be interrupted.
  it("tries again when every second call is interrupted", function()
    local engine = start()
    if wire.run("id -u") ~= "0" then return pending("only root may fail the calls of others") end
    engine:kill("TERM")
    engine.prefix = ("%s %s/ctl"):format(faults.program(), engine.directory)
    engine:launch()
    local control = faults.control(engine.directory .. "/ctl")
    local function tell(line)
      assert(control:send(line .. "\n"))
      return assert(control:receive("*l"))
    end
    steps.prepare(patient)
    local problems, fired = {}, 0
    for call in ("recvmsg sendmsg recvfrom sendto ppoll epoll_pwait wait4 accept4"):gmatch("%S+") do
      for _, step in ipairs{ "kept", "upload", "import", "read", "box", "events", "cancel" } do
        assert(tell(("arm - %s - %d 2 -1"):format(call, faults.number("EINTR"))) == "ok")
        local why = try(step)
        fired = fired + tonumber(tell("disarm"))
        if why then problems[#problems + 1] = call .. ": " .. why end
      end
    end
    control:close()
    assert.are.same({}, problems)
    assert.is_true(fired > 20)
    engine:kill("KILL")
    engine.prefix = ""
    engine:launch()
    verify()
  end)

  it("does what it can with little address space, and says what it cannot", function()
    local engine = start()
    steps.prepare(patient)
    engine:kill("TERM")
    for _, megabytes in ipairs{ 200, 400, 700 } do
      engine.prefix = ("ulimit -v %d;"):format(megabytes * 1024)
      local before = #disk.read(engine.log)
      if pcall(engine.launch, engine) then
        for _, name in ipairs(steps.names) do
          local why, is_structured = try(name)
          assert(not why or is_structured, why)
          assert(engine:is_alive(), disk.read(engine.log):sub(before))
        end
        engine:kill("KILL")
      else
        assert.matches("%a+ %a+", disk.read(engine.log):sub(before))
        assert.is_nil(disk.read(engine.log):sub(before):find("[Aa]bort"))
      end
    end
    engine.prefix = ""
    engine:launch()
    verify()
  end)
end)
