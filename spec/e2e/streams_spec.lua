-- Streamed output is complete, or its end says that it is not.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")
local home = require("spec.support.home")

local own = home.own(it)

local SHELL = "seq 1 400000"
local SIZE = 2688895 -- bytes that it prints

-- Output is read from the engine's spool, or sent as records, or sent as JSON to a client that
-- asks for no extensions: all get the same.
for _, way in ipairs{ "spool", "records", "JSON" } do
describe("A9: output that is taken as it comes, by " .. way, function()
  local client, directory, stop, busybox

  setup(function()
    client, directory, stop = home.client()
    client.wants_json, client.sees_no_spool = way == "JSON", way == "records"
    busybox = client.images:use("busybox:latest")
  end)
  teardown(function() stop() end)

  it("is whole: lines of popen", function()
    local process, count, last = busybox:popen(SHELL, { shell = true }), 0, nil
    for line in process:lines() do count, last = count + 1, line end
    assert.are.equal(400000, count)
    assert.are.equal("400000", last)
    assert.are.equal(0, process:wait())
  end)

  it("is whole when it is read after the end", function()
    local process = busybox:popen(SHELL, { shell = true })
    assert.are.equal(0, process:wait())
    assert.are.equal(SIZE, #process.stdout:read("a"))
  end)

  own("is whole when it is read after the end, not from the operation's JSON", function()
    local process = busybox:popen("head -c 12000000 /dev/zero | tr '\\0' x", { shell = true })
    assert.are.equal(0, process:wait())
    assert.are.equal(12000000, #process.stdout:read("a"))
    assert.is_nil(process.stdout.truncated)
  end)

  it("is whole: files, functions, buffers, objects", function()
    local path = directory .. "/out"
    busybox:run{ shell = SHELL, stdout = { path = path } }
    assert.are.equal(SIZE, #disk.read(path))
    local got = 0
    busybox:run{ shell = SHELL, stdout = function(chunk) got = got + #chunk end }
    assert.are.equal(SIZE, got)
    local result = busybox:run{ shell = SHELL .. " >&2", stderr = contree.PIPE }
    assert.are.equal(SIZE, #result.stderr:read("a"))
    assert.is_false(result.stderr_truncated)
  end)

  it("is what went in, from any kind of input to any kind of output", function()
    local from, to = directory .. "/from", directory .. "/to"
    os.execute("head -c 3000000 /dev/urandom > " .. from)
    local data = disk.read(from)
    local function chunks()
      local at = 1
      return function()
        at = at + 40000
        local chunk = data:sub(at - 40000, at - 1)
        return chunk ~= "" and chunk or nil
      end
    end
    local file = assert(io.open(from, "rb"))
    for _, input in ipairs{ { path = from }, data, chunks(), file, contree.buffer(data) } do
      busybox:run{ command = "cat", stdin = input, stdout = { path = to } }
      assert.is_true(data == disk.read(to))
    end
    file:close()
    local got = {}
    busybox:run{ command = "cat", stdin = { path = from },
      stdout = function(chunk) got[#got + 1] = chunk end }
    assert.is_true(data == table.concat(got))
    local buffer = contree.buffer("before ")
    busybox:run{ command = "cat", stdin = { path = from }, stdout = buffer }
    assert.is_true("before " .. data == buffer:read("a"))
    -- Beside a command, to a file and with what it says on the other stream.
    local op = busybox:start("sleep 50")
    local result = op:spawn{ shell = "cat; echo bye >&2", stdin = { path = from },
      stdout = { path = to }, stderr = contree.PIPE }:wait()
    assert.is_true(data == disk.read(to))
    assert.are.equal("bye\n", result.stderr:read("a"))
    op:cancel()
    -- A command that reads only a part of it.
    assert.are.equal(data:sub(1, 10),
      busybox:run{ shell = "head -c 10", stdin = { path = from } }.stdout)
    -- Lines and bytes on both streams, to files.
    busybox:run{ shell = "for i in $(seq 3000); do echo $i; echo e$i >&2; done; cat",
      stdin = { path = from }, stdout = { path = to }, stderr = { path = to .. "2" } }
    local lines = {}
    for i = 1, 3000 do lines[i] = i .. "\n" end
    assert.is_true(table.concat(lines) .. data == disk.read(to))
    assert.is_true("e" .. table.concat(lines, "e") == disk.read(to .. "2"))
  end)

  it("is whole: the output of an operation, and of a command beside it", function()
    local op, got = busybox:start(SHELL), 0
    for bytes in op:output() do got = got + #bytes end
    assert.are.equal(SIZE, got)
    assert.are.equal(SIZE, #op:wait().stdout)
    op = busybox:start("sleep 50")
    assert.are.equal(SIZE, #op:spawn{ shell = SHELL, stdout = contree.PIPE }:wait()
      .stdout:read("a"))
    op:cancel()
  end)

  it("is what was asked for, where that is less", function()
    local process = busybox:popen(SHELL, { shell = true, truncate_output_at = 10 })
    assert.are.equal("1\n2\n3\n4\n5\n", process.stdout:read("a"))
    assert.is_true(process.stdout.truncated)
    process = busybox:popen(SHELL, { shell = true, truncate_output_at = 10 })
    process:wait()
    assert.are.equal("1\n2\n3\n4\n5\n", process.stdout:read("a"))
    assert.is_true(process.stdout.truncated)
    local op, got = busybox:start{ shell = SHELL, truncate_output_at = 10 }, ""
    for bytes in op:output() do got = got .. bytes end
    assert.are.equal("1\n2\n3\n4\n5\n", got)
    -- Output that is not streamed has the limit of the API.
    local result = busybox:run(SHELL)
    assert.are.equal(1048576, #result.stdout)
    assert.is_true(result.stdout_truncated)
  end)
end)
end

home.own(describe)("A9: the spool of a local engine", function()
  local client, directory, stop, busybox
  local DATA, BYTES = "head -c 5000000 /dev/zero | tr '\\0' x", ("x"):rep(5000000)

  setup(function()
    client, directory, stop = home.client()
    busybox = client.images:use("busybox:latest")
  end)
  teardown(function() stop() end)

  -- How many bytes the streams of events had that were opened meanwhile.
  local function received(fn)
    local wire, ports, bytes = require("contree.wire"), {}, 0
    local open = wire.open_events
    finally(function() wire.open_events = open end)
    wire.open_events = function(...)
      ports[#ports + 1] = open(...)
      return ports[#ports]
    end
    fn()
    for _, port in ipairs(ports) do bytes = bytes + port.handle:result().bytes_received end
    return bytes
  end

  it("is read in place", function()
    local path, got = directory .. "/out", {}
    local function take(bytes) got[#got + 1] = bytes end
    assert.is_true(received(function() busybox:run{ shell = DATA, stdout = take } end) < 2000000)
    assert.is_true(BYTES == table.concat(got))
    assert.is_true(received(function()
      busybox:run{ shell = DATA, stdout = { path = path } }
    end) < 2000000)
    assert.is_true(BYTES == disk.read(path))
    local buffer = contree.buffer()
    assert.is_true(received(function()
      busybox:run{ shell = DATA .. "; echo err >&2", stdout = buffer, stderr = contree.PIPE }
    end) < 2000000)
    assert.is_true(BYTES == buffer:read("a"))
    client.sees_no_spool = true
    assert.is_true(received(function() busybox:run{ shell = DATA, stdout = take } end) > 5000000)
    client.sees_no_spool = nil
  end)

  it("is read by a buffer until that is closed", function()
    local buffer = contree.buffer()
    local op = busybox:start{ shell = "yes", stdout = buffer }
    local waiting = contree.spawn(op.wait, op)
    while buffer:length() < 3000000 do contree.sleep(0.01) end
    buffer:close()
    assert.matches("this buffer is closed", failure(waiting.wait, waiting).message)
    op:cancel()
  end)

  it("is not seen by some programs, to whom the output is sent", function()
    local program = [[
      local contree = require("contree")
      local client = contree.new(arg[1])
      local image, got = client.images:use("busybox:latest"), {}
      local shell, path = arg[2], arg[3]
      assert(not rawget(client, "sees_no_spool"))
      image:run{ shell = shell, stdout = function(bytes) got[#got + 1] = bytes end }
      assert(client.sees_no_spool)
      client.sees_no_spool = nil
      image:run{ shell = shell, stdout = { path = path } }
      print(#table.concat(got))]]
    disk.write(directory .. "/program.lua", program)
    busybox:run{ shell = DATA, stdout = function() end } -- makes the directory of spools
    local hidden = [[unshare -m sh -c 'mount -t tmpfs none "$1" && shift && exec "$@"' sh]]
    local command = ('%s DIR/data/e %s DIR/program.lua "unix:DIR/engine.sock" "%s" DIR/out2')
      :format(hidden, os.getenv("CONTREE_TEST_LUA") or "lua5.4", DATA):gsub("DIR", directory)
    local pipe = assert(io.popen(command))
    assert.are.equal("5000000\n", pipe:read("a"))
    pipe:close()
    assert.is_true(BYTES == disk.read(directory .. "/out2"))
  end)

  it("F11: is not read where it is not what the engine said, or cannot be copied", function()
    local op = busybox:start{ shell = DATA .. "; sleep 60", truncate_output_at = 2 ^ 30 }
    op:output()()
    local spool = ("%s/data/e/%s.raw"):format(directory, op.uuid)
    -- At first, the log itself holds a megabyte.
    local function size() return (require("contree.core").stat(spool) or { size = 0 }).size end
    while size() < 3800000 do contree.sleep(0.01) end
    contree.sleep(0.3)
    os.execute("truncate -s 1000 " .. spool)
    local err = failure(function() for _ in op:output() do end end) -- luacheck: ignore 542
    assert.are.equal("file", err.kind)
    assert.matches("became shorter", err.message)
    op:cancel()
    os.execute(("mkdir %s/small && mount -t tmpfs -o size=1m none %s/small")
      :format(directory, directory))
    finally(function() os.execute(("umount %s/small"):format(directory)) end)
    err = failure(busybox.run, busybox, { shell = DATA,
      stdout = { path = directory .. "/small/out" } })
    assert.are.equal("file", err.kind)
    assert.matches("stdout: No space left on device", err.message)
  end)
end)

describe("A9: output that a server cuts off unasked", function()
  local server, image

  setup(function() server = fake.start() end)
  teardown(function() server:stop() end)
  before_each(function()
    local frames = fake.frames({ "one\ntw" }, { open = true })
    frames[#frames + 1] = fake.frame(3, "truncated", 1, { stream = "stdout", bytes_emitted = 6,
      bytes_dropped = 1 })
    frames[#frames + 1] = fake.frame(4, "exit", 1, { code = 0, signal = -1 })
    frames[#frames + 1] = fake.frame(5, "completion", 0, { status = "SUCCESS" })
    server:rules(fake.run{ events = { fake.stream(frames) },
      operations = { { status = 200, json = fake.operation{ stdout = "one\ntw",
        truncated = true } } } })
    image = contree.new{ url = server.url, token = "t" }.images:use(fake.IMAGE)
  end)

  it("raises at its end, before a part of a line", function()
    for _, wait in ipairs{ false, true } do
      local process = image:popen("x")
      if wait then process:wait() end
      assert.are.equal("one", process.stdout:read("l"))
      local err = failure(process.stdout.read, process.stdout, "l")
      assert.are.equal("unprocessable", err.kind)
      assert.matches("stdout was cut off", err.message)
      assert.matches("truncate_output_at", err.hint)
      assert.are.equal("tw", process.stdout:read("l"))
      assert.is_nil(process.stdout:read("l"))
    end
    local process = image:popen("x")
    assert.matches("cut off", failure(process.stdout.read, process.stdout, "a").message)
    assert.are.equal("one\ntw", process.stdout:read("a"))
    process = image:popen("x")
    assert.are.equal("one\ntw", process.stdout:read(100))
    assert.matches("cut off", failure(process.stdout.read, process.stdout, 100).message)
    process = image:popen("x")
    assert.matches("cut off", failure(process.communicate, process).message)
  end)

  it("raises at the end of an operation's output", function()
    for _, op in ipairs{ image:start("x"), image.client.operations:get("op-1") } do
      local got = ""
      local err = failure(function() for bytes in op:output() do got = got .. bytes end end)
      assert.are.equal("unprocessable", err.kind)
      assert.are.equal("one\ntw", got)
    end
  end)

  it("asks other servers for what they promise to take", function()
    image:start("x")
    image:run("x")
    local asked = server:requests()
    assert.are.equal(10485760, asked[1].json.truncate_output_at)
    assert.is_nil(asked[2].json.truncate_output_at)
  end)
end)

describe("D10: a program that is copied out", function()
  it("is one there, too, and nothing else is", function()
    local client, directory, stop = home.client()
    finally(stop)
    local image = client.images:use("busybox:latest"):run{ disposable = false, shell =
      "mkdir /d && echo 'echo ran' > /d/x && chmod 750 /d/x && ln -s d/x /link && echo > /d/y" }
    local function mode_of(path)
      image:download(path, directory .. "/out")
      return require("contree.core").stat(directory .. "/out").mode
    end
    assert.are.equal(tonumber("755", 8), mode_of("/d/x"))
    assert.are.equal(tonumber("755", 8), mode_of("/link"))
    assert.are.equal(tonumber("644", 8), mode_of("/d/y"))
    local entry = image:ls("/d")[1]
    entry:download(directory .. "/entry")
    assert.are.equal(tonumber(entry.name == "x" and "755" or "644", 8),
      require("contree.core").stat(directory .. "/entry").mode)
  end)
end)
