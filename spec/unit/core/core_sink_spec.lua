-- Where the body of a response goes.
local core = require("contree.core")
local disk = require("spec.support.disk")
local hash = require("contree.image.hash")
local support = require("spec.support.core_peer")
local transfers = require("spec.support.transfers")

local finish, wait_until, linger = support.finish, support.wait_until, support.linger
local sample, failure = transfers.sample, transfers.failure

describe("transfer", function()
  local at, peer, loop, directory = transfers.new()
  local add, run = at.add, at.run

  setup(function() peer = at.start() end)
  teardown(at.stop)
  before_each(function() loop, directory = at.open() end)
  after_each(at.close)

  describe("file sink", function()
    it("puts the whole body in place, with its mode and digest", function()
      local path = directory .. "/out"
      disk.write(path, "old")
      local data = sample(3000000)
      local result = run("/echo", {method = "POST", body = data, sink = {path = path, mode = 420},
                                   sha256 = true})
      assert.is_nil(result.error)
      assert.is_nil(result.body)
      assert.is_true(disk.read(path) == data)
      assert.equal(420, core.stat(path).mode)
      assert.equal(core.sha256(data), result.sha256)
      run("/echo", {sink = {path = path}})
      assert.equal(384, core.stat(path).mode)
      assert.equal("", disk.read(path))
      assert.equal("out\n", support.list(directory))
    end)

    it("shows nothing before the end", function()
      local path = directory .. "/out"
      local transfer = add("/slow?n=10", {sink = {path = path}})
      linger(loop, 0.05)
      assert.is_nil(core.stat(path))
      finish(loop, transfer)
      assert.equal("out\n", support.list(directory))
    end)

    it("keeps error bodies out of the file", function()
      local path = directory .. "/out"
      local result = run("/status?code=404&body=gone", {sink = {path = path}})
      assert.equal(404, result.status)
      assert.equal("gone", result.body)
      assert.equal("", support.list(directory))
    end)

    it("leaves nothing after failure, cancelling, closing or collection", function()
      local path = directory .. "/out"
      disk.write(path, "old")
      local function untouched()
        assert.equal("out\n", support.list(directory))
        assert.equal("old", disk.read(path))
      end
      failure("closed", run("/short", {sink = {path = path}}))
      untouched()
      failure("protocol", run("/gzip_cut", {sink = {path = path}}))
      untouched()
      local transfer = add("/stall", {sink = {path = path}})
      linger(loop, 0.05)
      transfer:cancel()
      untouched()
      add("/stall", {sink = {path = path}})
      collectgarbage()
      collectgarbage()
      untouched()
      transfer = add("/stall", {sink = {path = path}})
      loop:close()
      untouched()
      failure("aborted", transfer:result())
    end)

    it("fails before the request when it cannot be written", function()
      for _, path in ipairs{directory .. "/no/out", "/proc/out"} do
        local result = run("/echo", {sink = {path = path}})
        failure("file", result)
        assert.is_false(result.sent)
      end
      local result = run("/echo", {sink = {path = directory}}) -- cannot replace a directory
      failure("file", result)
      assert.equal("", support.list(directory))
    end)

    it("tells of a full disk", function()
      local mounted = os.execute("mount -t tmpfs -o size=100k none " .. directory .. " 2>/dev/null")
      if mounted ~= true and mounted ~= 0 then return pending("needs a mount") end
      local result = run("/big?n=1000000", {sink = {path = directory .. "/out"}})
      local left = support.list(directory)
      os.execute("umount '" .. directory .. "'")
      assert.matches("No space left", failure("file", result).message)
      assert.equal("", left)
    end)

    it("moves 100 MB both ways in little memory", function()
      local size = 100 * 1024 * 1024
      local path = directory .. "/in"
      local file = io.open(path, "wb")
      local block = sample(1024 * 1024)
      for _ = 1, 100 do file:write(block) end
      file:close()
      block = nil -- luacheck: ignore
      collectgarbage()
      local before = support.memory("VmRSS")
      local result = run("/sha", {method = "POST", body = {path = path}, sha256 = true}, 120)
      assert.equal(size .. " " .. result.sha256, result.body)
      assert.equal((hash.file(path)), result.sha256)
      result = run("/big?n=" .. size, {sink = {path = directory .. "/out"}, sha256 = true}, 120)
      assert.equal(size, result.bytes_received)
      local hex, written = hash.file(directory .. "/out")
      assert.equal(result.sha256, hex)
      assert.equal(size, written)
      -- A sanitizer keeps freed memory for a while.
      local allowed = os.getenv("SAN") and 200000 or 12000
      assert.is_true(support.memory("VmRSS") - before < allowed)
    end)
  end)

  describe("chunks sink", function()
    it("hands out status, headers and bytes as they come", function()
      local transfer = add("/slow?n=5", {sink = "chunks", sha256 = true})
      assert.is_nil(transfer:status())
      assert.is_nil(transfer:headers())
      assert.is_nil(transfer:header("transfer-encoding"))
      assert.is_nil(transfer:read())
      wait_until(loop, function() return transfer:status() end)
      assert.is_false(transfer:done())
      assert.equal(200, transfer:status())
      assert.equal("chunked", transfer:headers()["transfer-encoding"])
      assert.equal("chunked", transfer:header("transfer-encoding"))
      assert.is_nil(transfer:header("transfer"))
      local data, reads = "", 0
      wait_until(loop, function()
        local chunk = transfer:read()
        if chunk then data, reads = data .. chunk, reads + 1 end
        return transfer:done() and not chunk
      end)
      assert.equal("chunk 0\nchunk 1\nchunk 2\nchunk 3\nchunk 4\n", data)
      assert.is_true(reads > 1)
      local result = transfer:result()
      assert.is_nil(result.body)
      assert.equal(core.sha256(data), result.sha256)
    end)

    it("announces each of them once", function()
      local transfer, announced = add("/slow?n=3&seconds=0.1", {sink = "chunks"}), 0
      local deadline = core.now() + 30
      while not transfer:done() do
        assert(core.now() < deadline)
        loop:wait(1000)
        local ready = loop:next_ready()
        while ready do
          assert.equal(transfer, ready)
          announced = announced + 1
          ready = loop:next_ready()
        end
      end
      assert.is_true(announced >= 3 and announced <= 5, announced)
    end)

    it("hands out what came even when it ends badly, and when done", function()
      local transfer = add("/short", {sink = "chunks"})
      failure("closed", finish(loop, transfer))
      assert.equal("ten bytes.", transfer:read())
      assert.is_nil(transfer:read())
      assert.equal(200, transfer:status())
    end)

    it("hands out error bodies too", function()
      local transfer = add("/status?code=500&body=oops", {sink = "chunks"})
      finish(loop, transfer)
      assert.equal("oops", transfer:read())
    end)

    it("makes the server wait while nobody reads", function()
      local transfer = add("/flood", {sink = "chunks", high_water = 200000})
      linger(loop, 0.5)
      local sent = peer.count(loop, "flood")
      linger(loop, 0.3)
      assert.equal(sent, peer.count(loop, "flood"))
      assert.is_true(sent < 3000000, sent)
      -- and goes on when the events are drained
      local received = 0
      wait_until(loop, function()
        local chunk = transfer:read()
        received = received + (chunk and #chunk or 0)
        return received > 20000000
      end)
      transfer:cancel()
    end)

    it("holds back a compressed stream as well", function()
      local transfer = add("/gzip?blocks=400", {sink = "chunks", high_water = 65536})
      local received, largest = 0, 0
      wait_until(loop, function()
        local chunk = transfer:read()
        received = received + (chunk and #chunk or 0)
        largest = math.max(largest, chunk and #chunk or 0)
        return transfer:done() and not chunk
      end)
      assert.is_nil(transfer:result().error)
      assert.equal(400 * 65536, received)
      assert.is_true(largest < 20000000)
    end)

    it("does not end a transfer it holds back for being idle", function()
      local transfer = add("/flood", {sink = "chunks", high_water = 1000,
                                                        idle_timeout = 0.1})
      linger(loop, 0.5)
      assert.is_false(transfer:done())
      transfer:cancel()
    end)
  end)

  describe("events sink", function()
    local function collect(transfer)
      local events = {}
      wait_until(loop, function()
        local event = transfer:next_event()
        while event do
          events[#events + 1] = event
          event = transfer:next_event()
        end
        return transfer:done()
      end)
      return events, transfer:result()
    end

    local function encode(text)
      return (text:gsub("[^%w]", function(c) return ("%%25%02X"):format(c:byte()) end))
    end

    it("hands out events as they come", function()
      local text = "id: 1\nevent: a\ndata: x\n\n: keepalive\n\nid: 2\n\n"
        .. "data: y\r\ndata: z\r\n\r\ndata: cut"
      for _, split in ipairs{1, 7, 1000} do
        local path = ("/events?split=%d&text=%s"):format(split, encode(text))
        local events, result = collect(add(path, {sink = "events"}))
        assert.is_nil(result.error)
        assert.is_nil(result.body)
        assert.same({{id = "1", event = "a", data = "x"}, {id = "2"}, {data = "y\nz"}}, events)
      end
    end)

    it("hands out each before the next is sent, compressed or not", function()
      local text = "data: 1234\n\ndata: 5678\n\n" -- two frames of 12 bytes
      for _, how in ipairs{"", "&gzip=1"} do
        local path = ("/events?split=12&seconds=0.1%s&text=%s"):format(how, encode(text))
        local transfer = add(path, {sink = "events"})
        local first
        wait_until(loop, function()
          first = first or transfer:next_event()
          return first
        end)
        assert.equal("1234", first.data)
        assert.is_nil(transfer:next_event())
        assert.is_false(transfer:done())
        local rest, result = collect(transfer)
        assert.same({{data = "5678"}}, rest)
        assert.is_nil(result.error)
      end
    end)

    it("keeps them until they are drained, done or not", function()
      local path = "/events?text=" .. encode("data: a\n\ndata: b\n\n")
      local transfer = add(path, {sink = "events"})
      finish(loop, transfer)
      assert.same({data = "a"}, transfer:next_event())
      assert.same({data = "b"}, transfer:next_event())
      assert.is_nil(transfer:next_event())
    end)

    it("gives the body of an error as a string", function()
      local transfer = add("/status?code=410&body=data:+no+event", {sink = "events"})
      local result = finish(loop, transfer)
      assert.equal(410, result.status)
      assert.equal("data: no event", result.body)
      assert.is_nil(transfer:next_event())
    end)

    it("makes the server wait while nobody reads", function()
      local transfer = add("/endless_events", {sink = "events", high_water = 100000})
      linger(loop, 0.5)
      local sent = peer.count(loop, "flood")
      assert.is_true(sent < 3000000, sent)
      local received = 0
      wait_until(loop, function()
        while transfer:next_event() do received = received + 1 end
        return received > 10000
      end)
      transfer:cancel()
    end)

    it("refuses an event without end", function()
      local transfer = add("/event_too_large", {sink = "events"})
      assert.matches("4 MiB", failure("too_large", finish(loop, transfer)).message)
    end)
  end)

  describe("a spool", function()
    local place, inode

    before_each(function()
      disk.write(directory .. "/x.raw", "0123456789")
      place = directory .. "/x.raw"
      inode = disk.capture("stat -c %d.%i " .. place):gsub("%s", "")
    end)

    local function records(where, rest)
      return run("/records", {method = "POST", sink = {events = true, spool = "x.raw"},
        body = ("spool 0 0 %d\n%s"):format(#where, where) .. (rest or "")})
    end

    it("is read where records say", function()
      local transfer = add("/records", {method = "POST", sink = {events = true, spool = "x.raw"},
        body = ("spool 0 0 %d\n%s %sstdout 1 1 3 4\nstdout 2 1 2\nabstderr 3 2 10 0\n"
          .. "stdout 4 1 3 8\n"):format(#inode + 1 + #place, inode, place)})
      assert.is_nil(finish(loop, transfer).error)
      local function event(id, spid, kind, bytes)
        return {id = id, spid = spid, event = kind, bytes = bytes}
      end
      assert.same(event(1, 1, "stdout", "456"), transfer:next_event())
      assert.same(event(2, 1, "stdout", "ab"), transfer:next_event())
      assert.same(event(3, 2, "stderr", "0123456789"), transfer:next_event())
      local none, problem = transfer:next_event()
      assert.is_nil(none)
      assert.equal("x.raw: it became shorter", problem)
    end)

    it("F11: is the regular file of that name and inode, or nothing", function()
      os.execute(("cd %s && ln x.raw y.raw && mkdir d && ln -s ../x.raw d/x.raw && mkfifo f")
        :format(directory))
      for _, path in ipairs{directory .. "/y.raw", "x.raw", directory, place .. "\0", ""} do
        failure("protocol", records(inode .. " " .. path))
      end
      failure("protocol", records(inode))
      failure("protocol", records(("x"):rep(100000)))
      failure("spool", records(inode .. " " .. directory .. "/d/x.raw"))
      failure("spool", records(inode .. "1 " .. place))
      failure("spool", records("x " .. place))
      -- Only streams are in a spool.
      for _, head in ipairs{"spool 0 0 40 0", "error 0 0 4 0", "event 0 0 4 0"} do
        local err = failure("protocol", records(inode .. " " .. place, head .. "\n"))
        assert.are.equal("a record has a broken head", err.message)
      end
      os.execute(("cd %s && mv f x.raw"):format(directory))
      failure("spool", records(disk.capture("stat -c %d.%i " .. place):gsub("%s", "")
        .. " " .. place))
      failure("protocol", run("/records", {method = "POST", sink = {events = true},
        body = ("spool 0 0 %d\n%s %s"):format(#inode + 1 + #place, inode, place)}))
      failure("protocol", run("/records", {method = "POST", sink = "events",
        body = "stdout 1 1 3 4\n"}))
    end)

    it("is closed with the transfer", function()
      local body = ("spool 0 0 %d\n%s %sstdout 1 1 3 4\n"):format(#inode + 1 + #place, inode,
        place)
      for _, ending in ipairs{"next_event", "cancel", "close"} do
        local transfer = add("/records", {method = "POST", body = body,
          sink = {events = true, spool = "x.raw"}})
        finish(loop, transfer)
        assert.matches("x.raw", support.open_files(), 1, true)
        transfer[ending](transfer)
        assert.is_nil(support.open_files():find("x.raw", 1, true))
      end
    end)
  end)
end)
