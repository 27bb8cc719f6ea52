-- Events as records (http-api.md §6.6): what a local engine sends to this client instead of
-- an event stream. Whatever the connection does, all output arrives, once.
local contree = require("contree")
local disk = require("spec.support.disk")
local failure = require("spec.support.failure")
local fake = require("spec.support.fake")

describe("events as records", function()
  local server, client, image, directory

  setup(function()
    server = fake.start()
    directory = disk.directory()
  end)
  teardown(function()
    server:stop()
    disk.remove(directory)
  end)
  before_each(function()
    client = contree.new{ url = server.url, token = "t", timeout = 5, retry = { max_attempts = 3 } }
    image = client.images:use(fake.IMAGE)
  end)

  local executing = { status = 200, json = { uuid = "op-1", status = "EXECUTING" } }
  local records = fake.records(fake.frames{ "a", "b\0\n", ("c"):rep(3000) })
  local ALL = "ab\0\n" .. ("c"):rep(3000)

  local function slice(from, to) return { (table.unpack or unpack)(records, from, to) } end

  -- Takes the output by a function, and into a file; returns it, and the cursors sent.
  local function run(events)
    local list, out = fake.run{ events = events, operations = { executing } }, {}
    server:rules(list)
    local result = image:run{ shell = "x", stdout = function(chunk) out[#out + 1] = chunk end }
    assert.are.equal(0, result.exit_code)
    local cursors = {}
    for _, request in ipairs(server:requests()) do
      if request.path:find("/events$") then
        cursors[#cursors + 1] = request.headers["last-event-id"] or "none"
      end
    end
    server:rules(list)
    local path = directory .. "/out"
    assert.are.equal(path, image:run{ shell = "x", stdout = { path = path } }.stdout)
    assert.are.equal(table.concat(out), disk.read(path))
    return table.concat(out), cursors
  end

  it("arrive, in any pieces", function()
    local text, pieces = "\n" .. table.concat(records, "\n"), {}
    for i = 1, #text, 7 do pieces[#pieces + 1] = text:sub(i, i + 6) end
    assert.are.equal(ALL, (run{ fake.recorded(pieces) }))
    assert.are.equal(ALL, (run{ fake.recorded{ text } }))
  end)

  for _, ending in ipairs{ "cut", "reset", "clean" } do
    it("go on after the last one when the stream ends: " .. ending, function()
      local stop = ending ~= "clean" and ending or nil
      local out, cursors = run{
        fake.recorded(slice(1, 4), { ["end"] = stop }),
        fake.recorded(slice(5, 5), { ["end"] = stop }),
        fake.recorded(slice(6, 99)),
      }
      assert.are.equal(ALL, out)
      assert.are.same({ "none", "3", "4" }, cursors)
    end)

    it("come again when half of one has come: " .. ending, function()
      local stop = ending ~= "clean" and ending or nil
      for _, half in ipairs{ records[5]:sub(1, 3), records[5]:sub(1, 2000) } do
        local out, cursors = run{
          fake.recorded({ records[1], records[2], records[3], records[4], half },
            { ["end"] = stop }),
          fake.recorded(slice(5, 99)),
        }
        assert.are.equal(ALL, out)
        assert.are.same({ "none", "3" }, cursors)
      end
    end)
  end

  it("go on as an event stream, and the other way round", function()
    local frames = fake.frames{ "a", "b", "c" }
    local mixed = fake.records(frames)
    assert.are.equal("abc", (run{ fake.recorded{ mixed[1], mixed[2], mixed[3] },
      fake.stream{ frames[4] }, fake.recorded{ mixed[5], mixed[6], mixed[7] } }))
  end)

  it("are asked for again after an error record", function()
    local out, cursors = run{
      fake.recorded{ records[1], records[2], records[3], "error 0 0 4\nlost" },
      fake.recorded(slice(4, 99)),
    }
    assert.are.equal(ALL, out)
    assert.are.same({ "none", "2" }, cursors)
  end)

  it("are one file's or one stream's only", function()
    local other = "stdout 2 2 5\nother"
    local list = fake.records(fake.frames({ "x", "y" }))
    local out = run{ fake.recorded{ list[1], list[2], other, (list[3]:gsub(" 2 ", " 3 ", 1)),
      (list[4]:gsub(" 3 ", " 4 ", 1)), (list[5]:gsub(" 4 ", " 5 ", 1)),
      (list[6]:gsub(" 5 ", " 6 ", 1)) } }
    assert.are.equal("xy", out)
  end)

  local BROKEN = {
    ["a head without an end"] = ("x"):rep(200),
    ["an unknown type"] = "stdwhat 2 1 3\nabc",
    ["a long type"] = "stdoutstdout 2 1 3\nabc",
    ["no numbers"] = "stdout\n",
    ["words for numbers"] = "stdout a b c\n",
    ["a negative length"] = "stdout 2 1 -3\nabc",
    ["a number too much"] = "stdout 2 1 3 4\nabc",
    ["a NUL in a head"] = "stdout 2 1 3\0\nabc",
    ["a huge id"] = "stdout 99999999999999999999 1 3\nabc",
    ["an event that is no JSON"] = "event 2 1 3\nabc",
    ["an event stream"] = "id: 3\nevent: stdout\ndata: {}\n\n",
  }
  for name, text in pairs(BROKEN) do
    it("F11: end with an error when they are broken: " .. name, function()
      server:rules(fake.run{ events = { fake.recorded{ text } }, operations = { executing } })
      local err = failure(image.run, image, { shell = "x", stdout = { path = directory .. "/x" } })
      assert.are.equal("server", err.kind)
      assert.matches("event stream is broken", err.message)
    end)
  end

  it("F11: end with an error when one is huge", function()
    for _, length in ipairs{ "4194305", "999999999999999" } do
      server:rules(fake.run{ events = { fake.recorded{ ("stdout 2 1 %s\nabc"):format(length) } },
        operations = { executing } })
      local err = failure(image.run, image, { shell = "x", stdout = function() end, timeout = 10 })
      assert.are.equal("server", err.kind)
      assert.matches("larger than 4 MiB", err.message)
    end
  end)

  it("F11: end with an error when the file is full", function()
    server:rules(fake.run{ events = { fake.recorded(records) } })
    local err = failure(image.run, image, { shell = "x", stdout = { path = "/dev/full" } })
    assert.are.equal("file", err.kind)
    assert.matches("stdout: No space left on device", err.message)
  end)
end)
