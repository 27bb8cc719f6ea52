-- Rules of the network on the wire, and the life of an airlock (http-api.md §8.17). What can
-- be reached through one is in spec/e2e/airlock_spec.lua.
local wire = require("spec.support.wire")

describe("an airlock", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function ask(networking, more)
    local body = wire.spawn{ command = "true", networking = networking }
    for name, value in pairs(more or {}) do body[name] = value end
    return engine:post("/v1/instances", body)
  end

  it("has rules that are checked, and says which one is wrong", function()
    for place, rules in pairs{
      ["networking%.allow%[1%]"] = { allow = { "a.example", "b_?.example" } },
      ["networking%.allow%[0%].*did you mean \"ports\""] =
        { allow = { { host = "a", port = 80 } } },
      ["networking%.allow%[0%].*did you mean \"GET\""] =
        { allow = { { host = "a", methods = { "GTE" } } } },
      ["networking%.allow%[0%].*URL"] = { allow = { "https://a.example/x" } },
      ["networking%.deny%[0%]"] = { allow = { "a.example" }, deny = { "a..example" } },
      ["networking%.resolve"] =
        { allow = { "a.example" }, resolve = { ["a.example"] = "b.example" } },
      ["networking%.allow"] = { allow = "a.example" },
      ["more than 64 ports"] = { allow = { "a.example:1-100" } },
      ["did you mean \"allow\""] = { alow = { "a.example" } },
      ["did you mean \"resolve\""] = { reslove = {} },
    } do
      wire.refuses(422, place, ask(rules))
    end
    wire.refuses(400, "`enabled` must be true", ask{ enabled = false, allow = { "a.example" } })
    wire.refuses(400, "trace must be a boolean or \"files\"", ask(nil, { trace = "yes" }))
    assert.equal(201, ask{ enabled = false, other = 5 }.status)
  end)

  local function run(command, networking, more)
    local options = { networking = networking }
    for name, value in pairs(more or {}) do options[name] = value end
    return engine:run(wire.shell(command, options))
  end

  -- Its first packets must not get lost (the interface takes them), and the last refusals must
  -- be told although the run is over.
  it("takes what a run does first, and tells what it did last", function()
    for i = 1, 20 do
      local result = run("nc -w 1 192.0.2.9 " .. 8000 + i, { allow = { "a.example" } })
        .metadata.result
      assert.same({ { protocol = "tcp", address = "192.0.2.9", port = 8000 + i, reason = "rule",
        count = 1 } }, result.denied)
    end
  end)

  it("is told of in the answer, the isolation, the events and the result", function()
    local rules = { enabled = true, allow = { "a.example" }, deny = { "b.a.example" },
      resolve = { ["a.example"] = "192.0.2.1" } }
    local operation = run("nslookup c.example; exit 3", rules, { trace = true })
    assert.same(rules, operation.metadata.networking)
    assert.is_true(operation.metadata.trace)
    local result = operation.metadata.result
    assert.equal(3, result.state.exit_code)
    assert.equal("airlock", result.isolation[#result.isolation])
    local entry = result.denied[1]
    assert.same({ "dns", "c.example", "rule" }, { entry.protocol, entry.name, entry.reason })
    local told = 0
    for _, frame in ipairs(engine:events(operation.uuid)) do
      if frame.event == "denied" then
        assert.equal(0, frame.data.spid)
        told = told + frame.data.data.count
      end
    end
    assert.equal(entry.count, told)
    -- A stored operation has the same.
    assert.same(result, engine:get("/v1/operations/" .. operation.uuid).json.metadata.result)
    local plain = run("true").metadata.result
    assert.is_nil(plain.denied)
    assert.is_nil(plain.tried)
  end)

  -- The processes of airlocks of this engine.
  local function airlocks()
    return wire.run(("pgrep -P %d contree-airlock | tr '\n' ' '"):format(engine.pid))
  end

  it("ends with the run, with its cancellation, and with the engine", function()
    local rules = { networking = { allow = { "a.example" } } }
    run("true", rules.networking)
    assert.equal("", airlocks())
    local uuid = engine:spawn(wire.shell("sleep 60", rules))
    wire.eventually("an airlock", function() return airlocks() ~= "" end)
    assert.equal("CANCELLED", engine:cancel(uuid).status)
    wire.eventually("the end of it", function() return airlocks() == "" end)
    engine:spawn(wire.shell("sleep 60", rules))
    wire.eventually("an airlock", function() return airlocks() ~= "" end)
    local pid = airlocks():match("%d+")
    engine:kill("KILL")
    wire.eventually("the end of it", function()
      return wire.run(("ps -o stat= -p %s | grep -v Z"):format(pid)) == ""
    end)
    engine:launch()
    assert.equal("SUCCESS", run("true", rules.networking).status)
  end)

  it("that is killed leaves the run without a network", function()
    local uuid = engine:spawn(wire.shell("echo begun; sleep 1; nslookup a.example; echo on",
      { networking = { allow = { "a.example" } } }))
    wire.eventually("the command", function()
      return engine:get(("/v1/operations/%s/events"):format(uuid)).body:find("begun", 1, true)
    end)
    wire.run("kill -KILL " .. airlocks())
    local result = engine:wait(uuid).metadata.result
    assert.matches("on\n$", result.stdout.value)
    assert.same({ { reason = "lost", count = 1 } }, result.denied)
  end)

  it("that is killed before it is ready leaves no run without its rules", function()
    for _ = 1, 5 do
      local uuid = engine:spawn(wire.shell("sleep 0.5; wget -T 1 -qO- http://192.0.2.7/; echo on",
        { networking = { allow = { "a.example" } } }))
      wire.eventually("an airlock", function() return airlocks() ~= "" end)
      wire.run(("kill -KILL %s 2>&1"):format(airlocks()))
      local operation = engine:wait(uuid)
      -- Mostly it was not ready. Else the command goes on, and reaches nothing.
      if operation.status == "FAILED" then
        assert.matches("network cannot be provided", operation.error, 1, true)
      else
        assert.equal("on\n", operation.metadata.result.stdout.value)
      end
      assert.equal("", airlocks())
    end
  end)

  it("is never that of another run", function()
    local rules = { allow = { "a.example" }, resolve = { ["a.example"] = "192.0.2.1" } }
    for _ = 1, 3 do run("true") end
    for _ = 1, 3 do
      assert.matches("198%.18%.0%.1", run("nslookup a.example", rules).metadata.result.stdout.value)
      assert.equal(1, run("nslookup a.example 10.0.2.3", { allow = { "b.example" } })
        .metadata.result.state.exit_code)
      assert.equal(1, run("ls /sys/class/net/eth0 2>/dev/null || grep -q eth0 /proc/net/dev")
        .metadata.result.state.exit_code)
    end
  end)

  it("can be made here, as the doctor says, also in sandboxes of a runtime", function()
    for _, runtime in ipairs{ "native", "crun" } do
      local directory = wire.run("mktemp -d -t contree-spec-XXXXXX")
      local said = wire.run(("contree-engine doctor --runtime %s --data-dir %s/data --socket %s/s")
        :format(runtime, directory, directory))
      wire.remove(directory)
      assert.matches("\nok +airlock ", said)
    end
  end)

  it("is an extension that the server names", function()
    local names = {}
    for _, name in ipairs(engine:get("/v1/whoami").json.extensions) do names[name] = true end
    assert.is_true(names.airlock)
  end)
end)
