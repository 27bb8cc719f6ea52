local core = require("contree.core")
local disk = require("spec.support.disk")
local socket = require("socket")
local support = require("spec.support.core_peer")

local finish, wait_until, linger = support.finish, support.wait_until, support.linger
local has_ffi = pcall(require, "ffi")

describe("loop", function()
  local peer, loop

  setup(function() peer = support.start() end)
  teardown(function() peer.stop() end)

  before_each(function() loop = core.loop() end)
  after_each(function() loop:close() end)

  -- Does the descriptor become readable within so many seconds?
  local function readable(seconds)
    local fd = loop:fd()
    local ready = socket.select({{getfd = function() return fd end}}, nil, seconds)
    return #ready > 0
  end

  local function add(path, fields)
    return loop:add(peer.request(path, fields))
  end

  -- Runs `script` in another interpreter of the same kind; its output.
  local function in_a_process(script)
    local path = peer.directory .. "/script.lua"
    disk.write(path, script)
    local command = "timeout 20 %s %s %s 2>&1; echo code $?"
    return disk.capture(command:format(support.interpreter, path, peer.socket))
  end

  describe("fd", function()
    it("stays the same, and is quiet while there is nothing to do", function()
      assert.is_number(loop:fd())
      assert.equal(loop:fd(), loop:fd())
      assert.is_false(readable(0))
      finish(loop, add("/echo"))
      loop:step()
      assert.is_false(readable(0.05))
    end)

    it("is all that a host needs to watch", function()
      local transfers, wakes = {}, 0
      loop:fd()
      for i = 1, 20 do transfers[i] = add("/slow?n=3&seconds=0.02") end
      transfers[21] = add("/never", {timeout = 0.3})
      transfers[22] = add("/never", {idle_timeout = 0.3})
      while loop:step() > 0 do
        assert.is_true(readable(10))
        wakes = wakes + 1
      end
      for i = 1, 20 do assert.equal("chunk 0\nchunk 1\nchunk 2\n", transfers[i]:result().body) end
      assert.equal("timeout", transfers[21]:result().error.kind)
      assert.equal("idle", transfers[22]:result().error.kind)
      assert.is_true(wakes < 500, wakes)
      while loop:next_ready() do end
      assert.is_false(readable(0.02))
    end)

    it("tells of what happens outside of step", function()
      loop:fd()
      local transfer = add("/echo", {body = {path = "/nowhere"}})
      assert.is_true(transfer:done())
      assert.is_true(readable(5))
      loop:step()
      assert.equal(transfer, loop:next_ready())
      transfer = add("/never")
      loop:step()
      linger(loop, 0.05)
      assert.is_false(readable(0))
      transfer:cancel()
      assert.is_true(readable(5))
      assert.equal(transfer, loop:next_ready())
      loop:step()
      assert.is_false(readable(0))
    end)

    it("is readable at the deadline, once", function()
      loop:deadline(0.05)
      assert.is_false(readable(0))
      assert.is_true(readable(10))
      loop:step()
      assert.is_false(readable(0.1))
      loop:deadline(0.05)
      loop:deadline(nil)
      readable(0.1) -- a wake for nothing is allowed, two are not
      loop:step()
      assert.is_false(readable(0.1))
      loop:deadline(100)
      loop:deadline(0.05)
      assert.is_true(readable(10))
      loop:step()
      loop:deadline(0)
      assert.is_true(readable(10))
      loop:step()
      assert.is_false(readable(0))
    end)
  end)

  describe("timeout", function()
    it("says when step has work", function()
      assert.is_nil(loop:timeout())
      local transfer = add("/never", {connect_timeout = 5, timeout = 5})
      assert.equal(0, loop:timeout())
      loop:step()
      linger(loop, 0.02)
      assert.is_true(loop:timeout() <= 5000)
      loop:deadline(0.5)
      assert.is_true(loop:timeout() <= 500)
      transfer:cancel()
      assert.equal(0, loop:timeout())
      assert.equal(transfer, loop:next_ready())
      loop:deadline()
    end)

    it("is enough for a host that only pumps", function()
      local transfer = add("/slow?n=3")
      local deadline = core.now() + 20
      while loop:step() > 0 do
        assert(core.now() < deadline)
        socket.sleep(math.min(loop:timeout() or 5, 5) / 1000)
      end
      assert.equal(200, transfer:result().status)
    end)
  end)

  describe("wait", function()
    it("returns when the time is over", function()
      local before = core.now()
      assert.equal(0, loop:wait(30))
      assert.is_true(core.now() - before >= 0.029)
      local transfer = add("/never")
      assert.equal(1, loop:wait(0))
      linger(loop, 0.05)
      before = core.now()
      assert.equal(1, loop:wait(30))
      assert.is_true(core.now() - before >= 0.029)
      transfer:cancel()
      assert.equal(0, loop:wait(0))
    end)

    it("returns at the deadline, and when there is nothing to wait for", function()
      loop:wait()
      loop:deadline(0.03)
      local before = core.now()
      loop:wait(30000)
      assert.is_true(core.now() - before >= 0.029)
      assert.is_true(core.now() - before < 25)
      loop:deadline(0.03)
      loop:wait()
      loop:wait()
    end)

    it("returns while the queue is not empty", function()
      local transfer = add("/never")
      transfer:cancel()
      loop:wait(20000)
      assert.equal(transfer, loop:next_ready())
    end)

    it("lets Ctrl-C through", function()
      if has_ffi then return end -- its interpreter has no such handler
      local output = in_a_process([[
        local core = require("contree.core")
        local loop = core.loop()
        os.execute("(sleep 0.3; kill -INT " .. core.getpid() .. ") &")
        while true do loop:wait(10000) end]])
      assert.matches("interrupted!", output)
    end)
  end)

  describe("next_ready", function()
    it("hands out each finished transfer once", function()
      local seen, transfers = {}, {}
      for i = 1, 20 do transfers[i] = add("/echo") end
      while loop:step() > 0 do loop:wait(100) end
      local transfer = loop:next_ready()
      while transfer do
        assert.is_nil(seen[transfer])
        seen[transfer] = true
        transfer = loop:next_ready()
      end
      for i = 1, 20 do assert.is_true(seen[transfers[i]]) end
      assert.is_nil(loop:next_ready())
    end)
  end)

  describe("close", function()
    it("ends everything, and may be repeated", function()
      local running, done = add("/never"), add("/echo")
      finish(loop, done)
      local chunks = add("/flood", {sink = "chunks"})
      linger(loop, 0.2)
      while loop:next_ready() do end
      loop:close()
      loop:close()
      assert.equal("aborted", running:result().error.kind)
      assert.is_nil(done:result().error)
      assert.is_true(#chunks:read() > 0)
      local ready = {[loop:next_ready()] = true, [loop:next_ready()] = true}
      assert.same({[running] = true, [chunks] = true}, ready)
      assert.is_nil(loop:next_ready())
      running:cancel()
    end)

    it("leaves a loop that says so", function()
      local transfer = add("/never", {method = "POST", body = {chunks = true}})
      loop:close()
      for _, name in ipairs{"fd", "timeout", "deadline", "step", "wait", "add"} do
        assert.error_matches(function() loop[name](loop, 1) end, "this loop is closed")
      end
      assert.error_matches(function() transfer:write("x") end, "this loop is closed")
    end)

    it("gives back every descriptor", function()
      core.loop():close()
      local before = support.open_files()
      for _ = 1, 5 do
        local other = core.loop()
        other:fd()
        local held = {}
        for _, path in ipairs{"/echo", "/never", "/flood", "/echo", "/short"} do
          held[#held + 1] = other:add(peer.request(path))
        end
        linger(other, 0.05)
        assert.equal(5, #held)
        other:close()
      end
      assert.equal(before, support.open_files())
    end)
  end)

  it("keeps descriptors and memory over 1,000 transfers", function()
    local function many(count)
      local path = peer.directory .. "/upload"
      disk.write(path, "from a file")
      for i = 1, count do
        local kind = i % 5
        local transfer = add(kind == 0 and "/short" or "/echo", {
          method = "POST",
          body = kind == 1 and {path = path} or "a body",
          sink = kind == 2 and {path = path .. ".out"} or kind == 3 and "chunks" or "string",
          sha256 = true,
        })
        if kind == 4 then transfer:cancel() else finish(loop, transfer) end
        while loop:next_ready() do end
      end
      collectgarbage()
      collectgarbage()
    end
    many(100)
    local files, memory = support.open_files(), collectgarbage("count")
    many(1000)
    assert.equal(files, support.open_files())
    assert.is_true(collectgarbage("count") - memory < 200)
  end)

  describe("collection", function()
    it("aborts a transfer that nobody holds", function()
      local before = peer.count(loop, "closed")
      for _ = 1, 10 do add("/never") end
      local held = add("/never")
      linger(loop, 0.1)
      collectgarbage()
      collectgarbage()
      assert.equal(1, loop:step())
      held:cancel()
      wait_until(loop, function() return peer.count(loop, "closed") >= before + 10 end)
    end)

    it("skips a transfer in the queue that nobody holds", function()
      for _ = 1, 10 do add("/echo") end
      while loop:step() > 0 do loop:wait(100) end
      collectgarbage()
      collectgarbage()
      assert.is_nil(loop:next_ready())
    end)

    it("of the loop ends its transfers, whose results stay", function()
      local other = core.loop()
      local done = other:add(peer.request("/echo", {method = "POST", body = "kept"}))
      finish(other, done)
      local running = other:add(peer.request("/never"))
      linger(other, 0.05)
      other = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert.is_true(running:done())
      assert.equal("aborted", running:result().error.kind)
      assert.equal("kept", done:result().body)
      running:cancel()
    end)

    it("of loops and transfers is safe in any order", function()
      for round = 1, 60 do
        local things = {}
        for _ = 1, 3 do
          local other = core.loop()
          things[#things + 1] = other
          for i = 1, 4 do
            things[#things + 1] = other:add(peer.request(i % 2 == 0 and "/slow?n=9" or "/flood", {
              sink = i % 2 == 0 and "chunks" or "string", max_body = 1e9}))
          end
          if round % 2 == 0 then other:fd() end
          for _ = 1, round % 4 do other:wait(5) end
        end
        while #things > 0 do
          table.remove(things, math.random(#things))
          if math.random() < 0.3 then collectgarbage() end
        end
      end
      collectgarbage()
      collectgarbage()
    end)

    it("may happen at every moment", function()
      collectgarbage("setpause", 0)
      collectgarbage("setstepmul", 10000)
      for _ = 1, 20 do
        local transfer = add("/slow?n=3&seconds=0", {sink = "chunks", headers = {"A: b"}})
        add("/echo", {method = "POST", body = ("x"):rep(1000)})
        local data = ""
        wait_until(loop, function()
          collectgarbage("step", 1)
          data = data .. (transfer:read() or "")
          return transfer:done()
        end)
        data = data .. (transfer:read() or "")
        assert.equal("chunk 0\nchunk 1\nchunk 2\n", data)
      end
      collectgarbage("setpause", 200)
      collectgarbage("setstepmul", 200)
    end)

    it("at the end of a state with everything in flight is safe", function()
      local output = in_a_process([[
        local core = require("contree.core")
        kept = {}
        local flood = {url = "http://peer/flood", unix_socket = arg[1], sink = "chunks"}
        for i = 1, 3 do
          local loop = core.loop()
          kept[#kept + 1] = loop
          for j = 1, 5 do kept[#kept + 1] = loop:add(flood) end
          kept[#kept + 1] = loop:add{url = "http://no-such-host.invalid/", proxy = ""}
          loop:wait(20)
        end
        print("here")]])
      assert.equal("here\ncode 0\n", output)
    end)
  end)

  -- fork() without a C helper needs LuaJIT's ffi.
  if has_ffi then
    it("made before a fork is refused in the child, which cannot hurt it", function()
      local output = in_a_process([[
        local core, ffi = require("contree.core"), require("ffi")
        ffi.cdef"int fork(void); int waitpid(int, int *, int); void _exit(int);"
        local loop = core.loop()
        loop:fd()
        local request = {url = "http://peer/slow?n=20", unix_socket = arg[1]}
        local transfer, dropped = loop:add(request), loop:add(request)
        request.sink = {path = arg[1] .. ".out"}
        local file = loop:add(request)
        for _ = 1, 3 do loop:wait(10) end
        local child = ffi.C.fork()
        if child == 0 then
          for _, name in ipairs{"fd", "timeout", "deadline", "step", "wait", "next_ready", "add"} do
            local ok, why = pcall(loop[name], loop, 1)
            if ok or not why:find("made before fork") then print(name, why) os.exit(1) end
          end
          local ok, why = pcall(transfer.cancel, transfer)
          if ok or not why:find("made before fork") then os.exit(2) end
          loop:close()
          loop, transfer, dropped, file = nil
          collectgarbage()
          collectgarbage()
          local mine = core.loop()
          local again = mine:add{url = "http://peer/echo", unix_socket = arg[1]}
          while not again:done() do mine:wait(100) end
          os.exit(again:result().status == 200 and 0 or 3, true)
        end
        local status = ffi.new("int[1]")
        ffi.C.waitpid(child, status, 0)
        print("child", status[0])
        while loop:step() > 0 do loop:wait(1000) end
        print(transfer:result().status, dropped:result().status, file:result().error == nil)
        print(#transfer:result().body, #dropped:result().body, core.stat(arg[1] .. ".out").size)]])
      assert.equal("child\t0\n200\t200\ttrue\n170\t170\t170\ncode 0\n", output)
    end)
  end

  it("is nobody else's", function()
    assert.error(function() loop.step(core.sse()) end)
    assert.error(function() loop.step({}) end)
    assert.equal("contree.loop", getmetatable(loop))
  end)

  it("D2: is not inherited, nor what wakes it, nor what resolves a name for it", function()
    assert.equal("nothing\ncode 0\n", in_a_process[[
      local core = require("contree.core")
      local inherited = require("spec.support.inherited")
      local before = inherited.list()
      local loop = core.loop()
      loop:fd()
      inherited.compare(before)
      local transfers = {}
      for i = 1, 20 do transfers[i] = loop:add{ url = "http://a-name.invalid" } end
      transfers[21] = loop:add{ url = "http://localhost/echo", unix_socket = arg[1] }
      loop:step()
      inherited.compare(before)
      print("nothing")]])
  end)

  it("starts no thread", function()
    finish(loop, add("/echo"))
    assert.equal(1, support.memory("Threads"))
  end)
end)
