-- Terminals (http-api.md §8.15): of the main process and of subprocesses, in the native
-- sandbox and in those of runtimes.
local disk = require("spec.support.disk")
local socket = require("socket")
local wire = require("spec.support.wire")

-- What a person sees and types.
local Screen = {}
Screen.__index = Screen

local function screen(engine, uuid, spid, query)
  spid = spid or 1
  return setmetatable({ engine = engine, uuid = uuid, text = "",
    at = ("/v1/operations/%s/subprocesses/%d"):format(uuid, spid),
    stream = engine:follow(uuid, ("?follow=1&spid=%d%s"):format(spid, query or "")) }, Screen)
end

local function open(engine, command, options, query)
  options = options or {}
  if options.tty == nil then options.tty = true end
  local uuid = engine:spawn(wire.shell(command, options))
  if query ~= "&hangup=1" then
    local events = engine:follow(uuid, "?follow=1")
    wire.await(events, "spawn")
    events:close()
  end
  return screen(engine, uuid, 1, query)
end

--- Reads until `pattern` is there, and returns what was before and what it captures.
function Screen:await(pattern)
  local limit = socket.gettime() + 30
  while not self.text:find(pattern) do
    local frame = self.stream:frame()
    if not frame or socket.gettime() > limit then
      error(("no %q in %q"):format(pattern, self.text), 2)
    end
    if frame.event == "stdout" then self.text = self.text .. wire.bytes(frame.data.data) end
    assert(frame.event ~= "stderr", "a terminal has one stream")
  end
  local first, last = self.text:find(pattern)
  local before, captured = self.text:sub(1, first - 1), self.text:match(pattern)
  self.text = self.text:sub(last + 1)
  return captured, before
end

function Screen:type(bytes, close)
  local reply = self.engine:post(self.at .. "/stdin",
    { value = wire.base64(bytes), encoding = "base64", close = close or false })
  assert(reply.status == 204, reply.body)
  return self
end

function Screen:resize(rows, cols)
  return self.engine:post(self.at .. "/tty", { rows = rows, cols = cols })
end

function Screen:hang_up() return self.engine:request("DELETE", self.at .. "/tty") end

function Screen:state() return self.engine:wait(self.uuid).metadata.result.state end

local ALL_BYTES = {}
for i = 0, 255 do ALL_BYTES[#ALL_BYTES + 1] = string.char(i) end
ALL_BYTES = table.concat(ALL_BYTES)

local function terminals() return tonumber((disk.read("/proc/sys/kernel/pty/nr"))) end

for _, runtime in ipairs{ "native", "crun", "runc" } do
  describe("A terminal in a sandbox made by " .. runtime, function()
    local engine

    setup(function() engine = wire.start("--runtime " .. runtime) end)
    teardown(function() engine:stop() end)

    for _, id in ipairs{ 0, 1000 } do
      it("is one, and belongs to user " .. id, function()
        local uid = engine:id(id)
        local found = engine:run(wire.shell("tty; stty size; echo $TERM; stat -c %u:%a $(tty); "
          .. "test -t 0 && test -t 1 && test -t 2 && echo all; echo e >&2; "
          .. ": > $(tty) && echo opens",
          { tty = { rows = 33, cols = 101, term = "vt100" }, uid = uid })).metadata.result
        assert.are.equal(("/dev/pts/0\n33 101\nvt100\n%d:620\nall\ne\nopens\n"):format(uid)
          :gsub("\n", "\r\n"), wire.bytes(found.stdout))
        assert.are.equal("", found.stderr.value)
        assert.are.equal(0, found.state.exit_code)
      end)
    end

    it("has job control", function()
      local at = open(engine, "PS1='> ' exec sh -i")
      local job = "(trap 'echo re''sumed' CONT; echo be''gun; while :; do sleep 0.05; done)\n"
      at:await("> ")
      at:type(job):await("begun\r\n")
      at:type("\3"):await("> ")
      at:type("echo was=$?\n"):await("was=130.*> ")
      at:type(job):await("begun\r\n")
      at:type("\26"):await("Stopped.*> ")
      at:type("fg; echo was=$?\n"):await("resumed\r\n")
      at:type("\26"):await("was=148.*Stopped.*> ")
      at:type("bg; jobs\n"):await("Running.*> ")
      at:type("kill %1; exit 7\n")
      assert.are.equal(7, at:state().exit_code)
    end)

    it("ends the input by Ctrl-D, and by a close, in a line or not", function()
      for _, text in ipairs{ "", "a line\n", "no line" } do
        local at = open(engine, "cat; echo the end $?", { tty = true })
        at:type(text):type(text == "no line" and "\4\4" or "\4"):await("the end 0\r\n")
        at = open(engine, "cat; echo the end $?; sleep 100", { tty = true })
        at:type(text, true):await("the end 0\r\n")
        wire.refuses(409, "closed", engine:post(at.at .. "/stdin", { value = "x" }))
        at:hang_up()
        local found = engine:run(wire.shell("cat; echo the end $?",
          { tty = true, stdin = { value = text } })).metadata.result
        assert.matches("the end 0\r\n$", wire.bytes(found.stdout))
      end
    end)

    it("tells its foreground of another size", function()
      local at = open(engine, "trap 'stty size' WINCH; echo ready; while :; do read x; done")
      at:await("ready")
      for i = 2, 20 do
        assert.are.equal(204, at:resize(i, 200 + i).status)
        at:await(("%d %d\r\n"):format(i, 200 + i))
      end
      assert.are.equal(204, at:hang_up().status)
    end)

    it("keeps every byte when it is raw", function()
      local at = open(engine, "stty raw -echo; echo ready; head -c 256000 | tee /sent | sha256sum;"
        .. " cat /sent; echo done")
      at:await("ready\n")
      local data = ALL_BYTES:rep(1000)
      for i = 1, #data, 64000 do at:type(data:sub(i, i + 63999)) end
      local sum = at:await("(%x+)  %-\n")
      local _, back = at:await("done\n$")
      assert.are.equal(#data, #back)
      assert.is_true(back == data)
      local path = os.tmpname()
      disk.write(path, data)
      assert.are.equal(disk.capture("sha256sum < " .. path):match("%x+"), sum)
      os.remove(path)
    end)

    it("hangs up when asked, and when who reads it goes", function()
      local at = open(engine, "echo ready; sleep 100")
      at:await("ready")
      assert.are.equal(204, at:hang_up().status)
      assert.are.equal(1, at:state().signal)
      at = open(engine, "echo ready; sleep 100", {}, "&hangup=1")
      at:await("ready")
      at.stream:close()
      assert.are.equal(1, at:state().signal)
      -- A program may go on without its terminal.
      at = open(engine, "trap '' HUP; echo ready; sleep 0.1; echo x; echo on > /f; exit 3",
        { disposable = false })
      at:await("ready")
      at:hang_up()
      assert.are.equal(3, at:state().exit_code)
      wire.refuses(409, "not running", at:hang_up())
    end)

    it("is given to subprocesses, too", function()
      local main = engine:spawn(wire.shell("sleep 100", { tty = true }))
      wire.await(engine:follow(main, "?follow=1"), "spawn")
      local at = ("/v1/operations/%s/subprocesses"):format(main)
      local reply = engine:post(at, wire.shell("tty; stty size; read x; echo got $x",
        { tty = { rows = 5, cols = 6 }, uid = engine:id(1000) }))
      assert.are.same({ 201, true }, { reply.status, reply.json.tty })
      local sub = screen(engine, main, reply.json.spid)
      sub:await("/dev/pts/1\r\n5 6\r\n")
      sub:type("it\n"):await("it\r\ngot it\r\n")
      wire.eventually("its end",
        function() return engine:get(sub.at).json.state.exit_code == 0 end)
      wire.refuses(409, "ended", sub:resize(7, 8))
      wire.refuses(409, "ended", sub:hang_up())
      reply = engine:post(at, wire.shell("sleep 100"))
      assert.is_nil(reply.json.tty)
      sub = screen(engine, main, reply.json.spid)
      wire.refuses(409, "no terminal", sub:resize(7, 8))
      wire.refuses(409, "no terminal", sub:hang_up())
      wire.refuses(404, "no process 99", screen(engine, main, 99):hang_up())
      engine:request("DELETE", "/v1/operations/" .. main)
      engine:wait(main)
    end)
  end)
end

describe("A terminal", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  it("is refused when it is nonsense", function()
    for pattern, tty in pairs{
      ["tty must be"] = 5, ["tty.rows must be"] = { rows = 0 },
      ["tty.cols must"] = { cols = 10001 },
      ["from 1 to 10000"] = { rows = 1.5 }, ["tty.cols"] = { cols = "80" },
      ["tty.term must be the name"] = { term = "a b" }, ["tty.term"] = { term = "" },
      ["tty.term must"] = { term = ("x"):rep(129) },
    } do
      wire.refuses(400, pattern, engine:post("/v1/instances",
        wire.spawn{ command = "true", tty = tty }))
    end
    local at = open(engine, "sleep 100")
    wire.await(engine:follow(at.uuid, "?follow=1"), "spawn")
    wire.refuses(400, "rows is missing", at:resize(nil, 80))
    wire.refuses(400, "cols is missing", at:resize(24, nil))
    wire.refuses(400, "rows must be", at:resize(-1, 80))
    wire.refuses(400, "cols must be", at:resize(24, 65536))
    at:hang_up()
    assert.are.equal(1, at:state().signal)
    for _, none in ipairs{ false, wire.null } do
      local reply = engine:post("/v1/instances", wire.spawn{ command = "true", tty = none })
      assert.are.same({ 201 }, { reply.status, reply.json.tty })
    end
  end)

  it("is told of in the answer, with its defaults", function()
    local reply = engine:post("/v1/instances", wire.spawn{ command = "sleep", args = { "100" },
      tty = true })
    assert.are.same({ rows = 24, cols = 80, term = "xterm-256color" }, reply.json.tty)
    assert.are.equal(3600, reply.json.timeout)
    local spawned = wire.await(engine:follow(reply.json.uuid, "?follow=1"), "spawn")
    assert.is_true(spawned.data.data.tty)
    assert.are.equal("xterm-256color", spawned.data.data.env.TERM)
    engine:request("DELETE", "/v1/operations/" .. reply.json.uuid)
    assert.are.equal("CANCELLED", engine:wait(reply.json.uuid).status)
  end)

  it("has a TERM of its own, which the image does not keep", function()
    local kept = engine:run(wire.shell("true",
      { env = { TERM = "dumb", A = "1" }, preserve_env = true, disposable = false }))
    local image = kept.result_image_uuid or kept.image_uuid or kept.metadata.result_image_uuid
    local function term(options)
      options.image = image or options.image
      return (wire.bytes(engine:run(wire.shell("echo $TERM", options)).metadata.result.stdout)
        :gsub("%s+$", ""))
    end
    assert.is_string(image)
    assert.are.equal("dumb", term{})
    assert.are.equal("xterm-256color", term{ tty = true })
    assert.are.equal("linux", term{ tty = { term = "linux" } })
    assert.are.equal("mine", term{ tty = { term = "linux" }, env = { TERM = "mine" } })
    assert.are.equal("", term{ tty = true, env = { TERM = wire.null } })
  end)

  it("is hung up before it is there", function()
    local blocked = wire.start("--max-runs 1")
    local first = blocked:spawn(wire.shell("sleep 100"))
    local at = open(blocked, "sleep 100", {}, "&hangup=1")
    at.stream:close()
    assert.are.equal("CANCELLED", blocked:wait(at.uuid).status)
    blocked:request("DELETE", "/v1/operations/" .. first)
    blocked:wait(first)
    blocked:stop()
  end)

  it("is hung up by the end of the engine, which leaves nothing", function()
    local before = terminals()
    local other = wire.start()
    local at = open(other, "echo ready; sleep 100")
    at:await("ready")
    assert.are.equal(before + 1, terminals())
    other:kill("KILL")
    other:launch()
    assert.are.equal("FAILED", other:wait(at.uuid).status)
    wire.eventually("the terminal to go", function() return terminals() == before end)
    other:stop()
  end)

  it("costs nothing when it is over", function()
    local before = terminals()
    local at = open(engine, "cat")
    wire.await(engine:follow(at.uuid, "?follow=1"), "spawn")
    for i = 1, 300 do
      local sub = screen(engine, at.uuid, engine:post(("/v1/operations/%s/subprocesses")
        :format(at.uuid), wire.shell("echo " .. i, { tty = true })).json.spid)
      sub:await(i .. "\r\n")
      sub.stream:close()
    end
    wire.eventually("only one terminal to be left", function() return terminals() == before + 1 end)
    for i = 1, 2000 do assert.are.equal(204, at:resize(i, i).status) end
    at:type("x\4\4")
    assert.are.equal(0, at:state().exit_code)
    wire.eventually("the terminal to go", function() return terminals() == before end)
  end)

  it("is one of a limited number in a sandbox", function()
    local found = engine:run(wire.shell("grep /dev/pts /proc/mounts")).metadata.result
    assert.matches("max=256", wire.bytes(found.stdout))
  end)

  it("does not wait for a program that stays behind", function()
    local at = open(engine, "trap '' HUP; (trap '' HUP; sleep 100) & echo last; exit 4")
    at:await("last")
    local state = at:state()
    assert.are.equal(4, state.exit_code)
  end)

  it("passes on much output, whole", function()
    local found = engine:run(wire.shell("stty -onlcr; seq 1 200000",
      { tty = true, truncate_output_at = 10000000 })).metadata.result
    local lines = {}
    for i = 1, 200000 do lines[i] = i .. "\n" end
    assert.is_true(table.concat(lines) == wire.bytes(found.stdout))
  end)
end)
