-- The events of an operation as records, beside the same events as an event stream
-- (http-api.md §6.6): one says what the other says, whatever the size of the output.
local disk = require("spec.support.disk")
local wire = require("spec.support.wire")

local TYPE = "application/vnd.contree.records"

describe("records of events", function()
  local engine

  setup(function() engine = wire.start() end)
  teardown(function() engine:stop() end)

  local function fetch(uuid, query, headers)
    headers = headers or {}
    headers.Accept = (headers.Accept or TYPE) .. ", text/event-stream"
    local reply = engine:request("GET", ("/v1/operations/%s/events%s"):format(uuid, query or ""),
      { headers = headers })
    assert.are.equal(200, reply.status, reply.body)
    assert.are.equal(TYPE, reply.headers["content-type"])
    return reply.body
  end

  -- The events of a body, with the bytes of their streams.
  local function parse(body)
    local list, at = {}, 1
    while at <= #body do
      local kind, id, spid, length, from = body:match("^(%l+) (%d+) (%d+) (%d+)\n()", at)
      assert(kind, "no record at " .. at)
      local bytes = body:sub(from, from + length - 1)
      assert.are.equal(tonumber(length), #bytes)
      local event = { id = tonumber(id), spid = tonumber(spid), type = kind, bytes = bytes }
      if kind == "event" then
        local whole = wire.json.decode(bytes)
        assert.are.equal(event.id, whole.id)
        event.type, event.data = whole.type, whole.data
        event.bytes = whole.data.value and wire.bytes(whole.data)
      else
        event.raw = true
      end
      list[#list + 1], at = event, from + length
    end
    return list
  end

  local function same(records, frames)
    assert.are.equal(#frames, #records)
    for i, frame in ipairs(frames) do
      local record, event = records[i], frame.data
      assert.are.same({ event.id, event.spid, event.type },
        { record.id, record.spid, record.type })
      if event.data.value then
        assert.is_true(wire.bytes(event.data) == record.bytes, "event " .. event.id)
      else
        assert.are.same(event.data, record.data)
      end
    end
  end

  local COMMANDS = {
    ["a little"] = "echo out; echo err >&2",
    ["much, bytes"] = "head -c 3000000 /dev/urandom; head -c 2000000 /dev/urandom >&2; echo end",
    ["much, text"] = "yes | head -c 4000000; exit 3",
    ["more than is kept"] = "head -c 9000000 /dev/urandom",
    ["much, in small pieces"] = "for i in $(seq 2000); do echo $i; done; head -c 3000000 /dev/zero",
  }
  for name, command in pairs(COMMANDS) do
    it("are the same events: " .. name, function()
      local uuid = engine:spawn(wire.shell(command, { truncate_output_at = 6000000 }))
      local live = parse(fetch(uuid, "?follow=1"))
      local frames = engine:events(uuid)
      same(live, frames)
      same(parse(fetch(uuid)), frames)
      local raw = 0
      for _, record in ipairs(live) do
        raw = raw + (record.raw and 1 or 0)
        assert.is_true(not record.raw or #record.bytes <= 65536)
      end
      assert.are.equal(command:find("00000", 1, true) ~= nil, raw > 0)
    end)
  end

  -- The events of a body some of whose bytes are in the spool.
  local function parse_spooled(uuid, body)
    local spool, count = nil, 0
    body = body:gsub("^(.-)spool 0 0 %d+\n(%d+%.%d+) ([^\n]-%.raw)", function(head, inode, path)
      assert.are.equal(("%s/e/%s.raw"):format(engine.data, uuid), path)
      assert.are.equal(inode, wire.run("stat -c %d.%i " .. path))
      spool = disk.read(path)
      return head
    end)
    local at, parts = 1, {}
    while at <= #body do
      local head, length, from = body:match("^(%l+ %d+ %d+ (%d+))\n()", at)
      local place
      if head then
        place = from + length
        parts[#parts + 1] = body:sub(at, place - 1)
      else
        local where
        head, length, where, place = body:match("^(%l+ %d+ %d+ (%d+)) (%d+)\n()", at)
        assert(head, "no record at " .. at)
        parts[#parts + 1] = head .. "\n" .. spool:sub(where + 1, where + length)
        count = count + 1
      end
      at = place
    end
    return parse(table.concat(parts)), count
  end

  for name, command in pairs(COMMANDS) do
    it("say where in the spool bytes are, to those who ask: " .. name, function()
      local uuid = engine:spawn(wire.shell(command, { truncate_output_at = 6000000 }))
      local live = fetch(uuid, "?follow=1", { Accept = TYPE .. ";spool=1" })
      local frames = engine:events(uuid)
      local records, count = parse_spooled(uuid, live)
      same(records, frames)
      assert.are.equal(command:find("00000", 1, true) ~= nil, count > 0)
      assert.is_true(#live < 3500000)
      same((parse_spooled(uuid, fetch(uuid, nil, { Accept = TYPE .. ";spool=1" }))), frames)
      local last = #frames - 3
      records = parse_spooled(uuid, fetch(uuid, nil, { Accept = TYPE .. ";spool=1",
        ["Last-Event-Id"] = ("%d"):format(frames[last].data.id) }))
      assert.are.equal(frames[last].data.id + 1, records[1].id)
    end)
  end

  it("go on after any id, select a process, and leave a type out", function()
    local uuid = engine:spawn(wire.shell("cat", { truncate_output_at = 6000000,
      stdin = { value = ("x"):rep(2500000) } }))
    local all = parse(fetch(uuid, "?follow=1"))
    for _, after in ipairs{ 0, 1, 7, #all - 2 } do
      local rest = parse(fetch(uuid, nil, { ["Last-Event-Id"] = after }))
      assert.are.equal(#all - 1 - after, #rest)
      assert.are.equal(after + 1, rest[1].id)
    end
    for _, record in ipairs(parse(fetch(uuid, "?spid=1&without=stdout"))) do
      assert.are.equal(1, record.spid)
      assert.are_not.equal("stdout", record.type)
    end
  end)

  it("come only to those who ask", function()
    local uuid = engine:run(wire.shell("echo x")).uuid
    for _, accept in ipairs{ "*/*", "text/event-stream", "application/json" } do
      local reply = engine:request("GET", ("/v1/operations/%s/events"):format(uuid),
        { headers = { Accept = accept } })
      assert.are.equal("text/event-stream", reply.headers["content-type"])
    end
  end)

  it("are compressed like an event stream", function()
    local uuid = engine:run(wire.shell("head -c 3000000 /dev/zero",
      { truncate_output_at = 6000000 })).uuid
    local reply = engine:request("GET", ("/v1/operations/%s/events"):format(uuid),
      { headers = { Accept = TYPE, ["Accept-Encoding"] = "gzip" } })
    assert.are.equal("gzip", reply.headers["content-encoding"])
    same(parse(wire.gunzip(reply.raw)), engine:events(uuid))
  end)

  it("say when the log is damaged", function()
    local uuid = engine:run(wire.shell("head -c 4000000 /dev/zero",
      { truncate_output_at = 6000000 })).uuid
    local path = ("%s/e/%s.raw"):format(engine.data, uuid)
    assert.is_true(tonumber(wire.run("stat -c %s " .. path)) > 2000000)
    wire.run(("truncate -s 1000 '%s'"):format(path))
    local frames = engine:events(uuid)
    assert.are.equal("sse_error", frames[#frames].event)
    local connection = engine:connect()
    connection:request("GET", ("/v1/operations/%s/events"):format(uuid),
      { headers = { Accept = TYPE } })
    assert.are.equal(200, connection:head().status)
    connection:close()
    assert.matches("error 0 0 24\nthe event log is damaged$",
      fetch(uuid, nil, { Accept = TYPE .. ";spool=1" }))
    wire.refuses(500, "damaged", engine:get("/v1/operations/" .. uuid))
  end)
end)
