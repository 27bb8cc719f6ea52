-- Streamed output is complete, or its end says that it is not.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")
local home = require("spec.support.home")

local SHELL = "seq 1 400000"
local SIZE = 2688895 -- bytes that it prints

-- A client that asks for no extensions gets the same as one that does.
for _, plain in ipairs{ false, true } do
describe("A9: output that is taken as it comes" .. (plain and ", as JSON" or ""), function()
  local client, directory, stop, busybox

  setup(function()
    client, directory, stop = home.client()
    client.wants_json = plain
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

  it("is whole when it is read after the end, in the operation's JSON or not", function()
    local process = busybox:popen(SHELL, { shell = true })
    assert.are.equal(0, process:wait())
    assert.are.equal(SIZE, #process.stdout:read("a"))
    process = busybox:popen("head -c 12000000 /dev/zero | tr '\\0' x", { shell = true })
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
    for _, input in ipairs{ { path = from }, data, chunks(), file } do
      busybox:run{ command = "cat", stdin = input, stdout = { path = to } }
      assert.is_true(data == disk.read(to))
    end
    file:close()
    local got = {}
    busybox:run{ command = "cat", stdin = { path = from },
      stdout = function(chunk) got[#got + 1] = chunk end }
    assert.is_true(data == table.concat(got))
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
