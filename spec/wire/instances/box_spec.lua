-- Boxes (http-api.md §8.16): runs without a command of their own, the time limits of their
-- commands, and snapshots, in the native sandbox and in those of runtimes.
local disk = require("spec.support.disk")
local socket = require("socket")
local wire = require("spec.support.wire")

local Box = {}
Box.__index = Box

-- A box with its connection for events, which ends the box when it ends.
local function open(engine, options, query)
  local body = { image = "tag:busybox:latest", box = { idle_timeout = 60 } }
  for name, value in pairs(options or {}) do body[name] = value end
  local reply = engine:post("/v1/instances", body)
  assert(reply.status == 201, reply.body)
  local self = setmetatable({ engine = engine, uuid = reply.json.uuid, echo = reply.json,
    path = "/v1/operations/" .. reply.json.uuid }, Box)
  self.stream = engine:follow(self.uuid, query or "?follow=1&spid=0&hangup=1")
  wire.await(self.stream, "init")
  -- It takes orders when PID 1 has said so.
  wire.eventually("the box", function()
    return engine:get(self.path .. "/subprocesses/1").status == 200
  end)
  return self
end

function Box:spawn(command, options)
  return self.engine:post(self.path .. "/subprocesses", wire.shell(command, options))
end

-- The exit event of a command, and what it printed.
function Box:finish(reply)
  assert(reply.status == 201, reply.body)
  local events = self.engine:follow(self.uuid,
    ("?follow=1&spid=%d&since=%d"):format(reply.json.spid, reply.json.since))
  local out = ""
  for frame in function() return events:frame() end do
    if frame.event == "stdout" then out = out .. wire.bytes(frame.data.data) end
    if frame.event == "exit" then
      events:close()
      return frame.data.data, out
    end
  end
  error("the stream ended without exit")
end

function Box:run(command, options)
  local exit, out = self:finish(self:spawn(command, options))
  return out, exit
end

function Box:signal(spid, query)
  return self.engine:request("DELETE",
    ("%s/subprocesses/%d%s"):format(self.path, spid, query or ""))
end

function Box:snapshot()
  return self.engine:request("POST", self.path .. "/snapshot")
end

function Box:made()
  local reply = self:snapshot()
  assert(reply.status == 201, reply.body)
  return reply.json.uuid
end

function Box:state() return self.engine:wait(self.uuid) end

-- How many processes of that name run in it.
function Box:count(name)
  return tonumber((self:run(("ps -o args | grep -c '^%s' || true"):format(name))))
end

local function content(engine, image, path)
  return engine:get(("/v1/inspect/%s/download?path=%s"):format(image, path)).body
end

local function behaves(runtime)
  local engine

  setup(function() engine = wire.start(runtime) end)
  teardown(function() engine:stop() end)

  it("runs commands one after another, and at once, on the same files", function()
    local box = open(engine)
    assert.are.same({ idle_timeout = 60 }, box.echo.box)
    assert.are.equal("", (box:run("echo one > /f; export X=1")))
    local first, second = box:spawn("read x < /f; sleep 0.2; echo $x"), box:spawn("cat /f; echo $X")
    local _, out = box:finish(second)
    assert.are.equal("one\n\n", out)
    _, out = box:finish(first)
    assert.are.equal("one\n", out)
    local _, exit = box:run("exit 3")
    assert.are.equal(3, exit.code)
    box.stream:close()
    assert.are.equal("CANCELLED", box:state().status)
  end)

  it("kills a command that takes too long, with all that it has started", function()
    local box = open(engine)
    local other = box:spawn("sleep 314")
    local daemon = "(setsid sleep 315 &); setsid sh -c 'trap \"\" TERM HUP INT; sleep 315 & "
      .. "while :; do sleep 315; done' & (trap '' HUP; sleep 315 & sleep 315 &) ; sleep 315"
    local _, exit = box:run(daemon, { timeout = 1 })
    assert.is_true(exit.timed_out)
    assert.are.equal("timeout", exit.limit)
    assert.are.equal(1, exit.limit_value)
    assert.are.equal(9, exit.signal)
    assert.are.equal(0, box:count("sleep 315"))
    assert.are.equal(1, box:count("sleep 314"))
    box:signal(other.json.spid)
    assert.are.equal(9, (box:finish(other)).signal)
    engine:cancel(box.uuid)
  end)

  it("kills one that forks all the time", function()
    local box = open(engine)
    local forks = "while :; do (setsid sleep 316 &); done"
    local _, exit = box:run(forks .. " & " .. forks, { timeout = 1 })
    assert.is_true(exit.timed_out)
    assert.are.equal(0, box:count("sleep 316"))
    engine:cancel(box.uuid)
  end)

  it("signals a command's family when it is asked to, also when the command has ended", function()
    local box = open(engine)
    local reply = box:spawn("setsid sleep 317 >/dev/null 2>&1 & sleep 317 >/dev/null 2>&1 &")
    box:finish(reply)
    wire.eventually("both", function() return box:count("sleep 317") == 2 end)
    assert.are.equal(204, box:signal(reply.json.spid).status)
    assert.are.equal(2, box:count("sleep 317"))
    assert.are.equal(204, box:signal(reply.json.spid, "?family=1").status)
    wire.eventually("their end", function() return box:count("sleep 317") == 0 end)
    wire.refuses(404, "no process 9999", box:signal(9999, "?family=1"))
    wire.refuses(400, "family", box:signal(reply.json.spid, "?family=x"))
    engine:cancel(box.uuid)
  end)

  it("is ended by no process of its own", function()
    local box = open(engine)
    local _, exit = box:run("kill -9 -1; kill -9 1; exec sleep 60", { timeout = 2 })
    assert.are.equal(9, exit.signal)
    assert.are.equal("on\n", (box:run("echo on")))
    engine:cancel(box.uuid)
  end)

  it("becomes an image when it is ended by a signal, but KILL", function()
    local box = open(engine)
    box:run("echo kept > /f; setsid sleep 60 >/dev/null 2>&1 &")
    assert.are.equal(204, box:signal(1, "?signal=TERM").status)
    local state = box:state()
    assert.are.equal("SUCCESS", state.status)
    assert.are.equal("kept\n", content(engine, state.result.image, "/f"))
    box = open(engine)
    box:run("echo lost > /f")
    box:signal(1)
    state = box:state()
    assert.are.equal("FAILED", state.status)
    assert.matches("the box was killed", state.error)
    assert.are_not.equal("string", type(state.result.image))
  end)

  it("is snapshot at one moment, while writers go on", function()
    local box = open(engine)
    -- Each number is in /a before it is in /b, and is never taken back.
    local writer = box:spawn("i=100000; : > /a; : > /b; while :; do i=$((i+1)); "
      .. "echo $i >> /a; echo $i >> /b; done")
    wire.eventually("writes", function() return box:run("tail -n 1 /b") ~= "" end)
    for _ = 1, 5 do
      local image = box:made()
      local a, b = content(engine, image, "/a"), content(engine, image, "/b")
      assert.are.equal(0, #a % 7)
      assert.are.equal(b, a:sub(1, #b))
      assert.is_true(#a - #b == 0 or #a - #b == 7, #a .. " and " .. #b)
    end
    local before = #box:run("cat /b")
    wire.eventually("more", function() return #box:run("cat /b") > before end)
    box:signal(writer.json.spid)
    engine:cancel(box.uuid)
  end)

  it("gives images of what its files are, as a run that is kept does", function()
    local change = [[mkdir -p /d/e; echo 1 > /d/a; ln /d/a /d/b; ln -s a /d/c; mkfifo /d/p
      rm /etc/passwd; rm -rf /home; mkdir /home; echo x > /home/x; chmod 2750 /d/e; chmod 711 /
      touch -d '2001-02-03 04:05:06' /d/a; cp /bin/busybox /bin/other; mv /bin/other /bin/new
      dd if=/dev/zero of=/sparse bs=1 count=1 seek=10000000 2>/dev/null; echo > /dev/shm/x]]
    local look = [[cd /; find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev \) -prune -o \
      -exec stat -c '%n %F %a %u %g %s %h %N' {} + | grep -v ' directory ' | sort
      cat /d/b; ls -A /home
      stat -c '%Y %b' /d/a; stat -c %a / /d/e; [ $(stat -c %b /sparse) -lt 1000 ]; echo $?]]
    local box = open(engine)
    box:run(change)
    local image = box:made()
    local kept = engine:run(wire.shell(change, { disposable = false })).result.image
    local function seen(uuid)
      local out = engine:run(wire.shell(look, { image = uuid })).metadata.result.stdout
      return wire.bytes(out)
    end
    assert.are.equal(seen(kept), seen(image))
    -- What comes afterwards is not in it.
    box:run("rm -rf /d")
    assert.are.equal("1\n", content(engine, image, "/d/a"))
    assert.are.equal(404, engine:get(("/v1/inspect/%s/list?path=/d"):format(box:made())).status)
    engine:cancel(box.uuid)
    assert.are.equal("1\n", content(engine, image, "/d/a"))
  end)

  it("gives its own image while nothing was written", function()
    local box = open(engine)
    local own = engine:get(box.path).json.image_uuid
    assert.are.equal(own, box:made())
    box:run("echo > /f; rm /f")
    box:signal(1, "?signal=TERM")
    box:state()
  end)

  it("holds back what it is told while it is snapshot", function()
    local box = open(engine)
    local sleeper = box:spawn("sleep 60")
    box:run("head -c 40000000 /dev/urandom > /big")
    local connection = engine:connect()
    connection:request("POST", box.path .. "/snapshot")
    assert.are.equal("during\n", (box:run("echo during")))
    assert.are.equal(204, box:signal(sleeper.json.spid).status)
    assert.are.equal(9, (box:finish(sleeper)).signal)
    local reply = connection:response()
    assert.are.equal(201, reply.status)
    assert.is_true(reply.json.size >= 40000000)
    connection:close()
    engine:cancel(box.uuid)
  end)

  it("is snapshot while it is paused, and stays paused", function()
    local box = open(engine)
    box:run("echo x > /f")
    assert.are.equal(200, engine:request("POST", box.path .. "/pause").status)
    assert.are.equal("x\n", content(engine, box:made(), "/f"))
    assert.is_true(engine:get(box.path).json.paused)
    wire.refuses(409, "paused", box:spawn("true"))
    assert.are.equal(200, engine:request("POST", box.path .. "/resume").status)
    assert.are.equal("on\n", (box:run("echo on")))
    engine:cancel(box.uuid)
  end)
end

describe("a box", function() behaves() end)

for _, name in ipairs{ "crun", "runc" } do
  if disk.capture("command -v " .. name) ~= "" then
    describe("a box of " .. name, function() behaves("--runtime " .. name) end)
  end
end

describe("a command of a box that is waited for", function()
  local engine, box

  setup(function()
    engine = wire.start()
    box = open(engine)
  end)
  teardown(function() engine:stop() end)

  local function wait(command, options, seconds)
    return engine:post(box.path .. "/subprocesses", wire.shell(command, options),
      { Prefer = "wait=" .. (seconds or 20) })
  end

  it("is answered at its end, with its result", function()
    local reply = wait("echo out; echo err >&2; exit 3")
    assert.are.equal(201, reply.status)
    assert.are.equal("wait", reply.headers["preference-applied"])
    local result = reply.json.result
    assert.are.equal("out\n", wire.bytes(result.stdout))
    assert.are.equal("err\n", wire.bytes(result.stderr))
    assert.are.equal(3, result.state.exit_code)
    assert.are.same(engine:get(("%s/subprocesses/%d"):format(box.path, reply.json.spid)).json,
      result)
    assert.are.equal("out\n", wire.bytes(wait("echo out", { truncate_output_at = 4 })
      .json.result.stdout))
  end)

  it("is answered sooner when it takes longer, and goes on", function()
    local reply = wait("sleep 0.5; echo late", nil, 0.1)
    assert.is_nil(reply.json.result)
    local exit, out = box:finish(reply)
    assert.are.equal(0, exit.code)
    assert.are.equal("late\n", out)
  end)

  it("has its result in the events only if there is much of it", function()
    local reply = wait("head -c 300000 /dev/zero")
    assert.is_nil(reply.json.result)
    local _, out = box:finish(reply)
    assert.are.equal(300000, #out)
  end)

  it("tells its time limit, and the end of the box", function()
    local result = wait("sleep 60", { timeout = 1 }).json.result
    assert.is_true(result.state.timed_out)
    assert.are.equal("timeout", result.limit)
    local other = open(engine, { timeout = 1 })
    result = engine:post(other.path .. "/subprocesses", wire.shell("echo x; sleep 60"),
      { Prefer = "wait=20" }).json.result
    assert.are.equal("box", result.limit)
    assert.are.equal("x\n", wire.bytes(result.stdout))
  end)

  it("is refused as ever", function()
    wire.refuses(422, "cwd", wait("true", { cwd = "/no/such" }))
    wire.refuses(400, "timeout", wait("true", { timeout = 0 }))
  end)

  it("ends with its client, and so does what it has started", function()
    local function count() return box:count("sleep 321") end
    for _, pause in ipairs{ 0, 0.001, 0.2 } do
      local connection = engine:connect()
      connection:request("POST", box.path .. "/subprocesses", {
        body = '{"command": "(setsid sleep 321 &); sleep 321", "shell": true}',
        headers = { Prefer = "wait=20" } })
      socket.sleep(pause)
      connection:close()
      wire.eventually("its end", function() return count() == 0 end)
    end
    socket.sleep(0.2)
    assert.are.equal(0, count())
  end)
end)

describe("the end of a box", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  it("comes when it has had no command for too long", function()
    local box = open(engine, { box = { idle_timeout = 0.5 } })
    box:run("sleep 1")
    box:run("true")
    local state = box:state()
    assert.are.equal("FAILED", state.status)
    assert.matches("no command for 0.5 seconds", state.error)
    assert.are.equal("idle", state.metadata.result.limit)
    wire.refuses(409, "not running", box:spawn("true"))
    wire.refuses(409, "not running", box:snapshot())
  end)

  it("comes after its time limit, whatever runs", function()
    local box = open(engine, { timeout = 1 })
    local exit = box:finish(box:spawn("sleep 60"))
    assert.are.equal("box", exit.limit)
    local state = box:state()
    assert.matches("open for 1 seconds, its time limit", state.error)
    assert.are.equal("timeout", state.metadata.result.limit)
  end)

  it("leaves a command the time that it had before a pause", function()
    local box = open(engine)
    local reply = box:spawn("i=0; while [ $i -lt 10 ]; do i=$((i+1)); sleep 0.05; done; exit 7",
      { timeout = 3 })
    wire.eventually("its start", function()
      return engine:get(("%s/subprocesses/%d"):format(box.path, reply.json.spid)).status == 200
    end)
    engine:request("POST", box.path .. "/pause")
    socket.sleep(3.5)
    engine:request("POST", box.path .. "/resume")
    local exit = box:finish(reply)
    assert.are.equal(7, exit.code, exit.limit)
    engine:cancel(box.uuid)
  end)

  it("is not near while it is paused", function()
    local box = open(engine, { box = { idle_timeout = 0.5 } })
    engine:request("POST", box.path .. "/pause")
    socket.sleep(1)
    assert.are.equal("EXECUTING", engine:get(box.path).json.status)
    engine:request("POST", box.path .. "/resume")
    assert.are.equal("FAILED", box:state().status)
  end)

  it("comes with the connection that holds it, also in the queue", function()
    local small = wire.start("--max-runs 1")
    local box = open(small)
    local reply = small:post("/v1/instances", { image = "tag:busybox:latest", box = {} })
    local queued = small:follow(reply.json.uuid, "?follow=1&spid=0&hangup=1")
    queued:close()
    assert.are.equal("CANCELLED", small:wait(reply.json.uuid).status)
    assert.are.equal("EXECUTING", small:get(box.path).json.status)
    box.stream:close()
    assert.are.equal("CANCELLED", box:state().status)
    small:stop()
  end)

  it("comes with the engine", function()
    local one = wire.start()
    local box = open(one)
    box:run("echo x > /f")
    local image = box:made()
    box:run("head -c 60000000 /dev/urandom > /big")
    local connection = one:connect()
    connection:request("POST", box.path .. "/snapshot")
    socket.sleep(0.02) -- it may be anywhere
    one:kill("KILL")
    connection:close()
    one:launch()
    local state = box:state()
    assert.are.equal("FAILED", state.status)
    assert.matches("the engine stopped", state.error)
    assert.are.equal("x\n", content(one, image, "/f"))
    wire.eventually("nothing half", function() return one:is_clean() end)
    one:stop()
  end)

  it("gives up a snapshot that is being made", function()
    local box = open(engine)
    box:run("head -c 60000000 /dev/urandom > /big")
    local connection = engine:connect()
    connection:request("POST", box.path .. "/snapshot")
    engine:cancel(box.uuid)
    local reply = connection:response()
    assert.is_true(reply.status == 409 or reply.status == 201, reply.body)
    connection:close()
    wire.eventually("nothing half", function() return engine:is_clean() end)
  end)
end)

describe("a request for a box", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function refuses(pattern, options)
    local body = { image = "tag:busybox:latest", box = {} }
    for name, value in pairs(options) do body[name] = value end
    wire.refuses(400, pattern, engine:post("/v1/instances", body))
  end

  it("has neither a command nor what goes with one", function()
    refuses('^command .*none of its own', { command = "true" })
    refuses('^args ', { args = { "x" } })
    refuses('^tty ', { tty = true })
    refuses('^stdin ', { stdin = { value = "" } })
    refuses('^box ', { box = "x" })
    refuses("box.idle_timeout", { box = { idle_timeout = 0 } })
    refuses("box.idle_timeout", { box = { idle_timeout = "1" } })
    refuses('^timeout ', { timeout = 0 })
  end)

  it("may ask for more than an hour", function()
    local box = open(engine, { timeout = 86400, box = { idle_timeout = 7200 } })
    assert.are.equal(86400, box.echo.timeout)
    engine:cancel(box.uuid)
  end)

  it("is what snapshots are of", function()
    local uuid = engine:spawn(wire.shell("sleep 60"))
    local events = engine:follow(uuid, "?follow=1")
    wire.await(events, "spawn")
    events:close()
    wire.refuses(422, "only a box",
      engine:request("POST", "/v1/operations/" .. uuid .. "/snapshot"))
    engine:cancel(uuid)
    wire.refuses(404, "operation", engine:request("POST",
      "/v1/operations/00000000-0000-4000-8000-000000000000/snapshot"))
  end)
end)
