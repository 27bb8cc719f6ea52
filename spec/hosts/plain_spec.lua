-- contree in scripts that have no event loop.
local disk = require("spec.support.disk")
local host = require("spec.support.host")

for _, lua in ipairs{ "lua5.4", "luajit" } do
  describe("in a script of " .. lua, function()
    local place

    setup(function() place = host.place() end)
    teardown(function() place:stop() end)

    local function prints(wanted, code)
      assert.are.same({ wanted, 0 }, { place:script(lua, host.PREAMBLE .. code) })
    end

    it("keeps the rules in plain code and in tasks", function()
      prints("plain plain task", [[
        local check = require("spec.support.any_host")
        io.write(contree.host(), " ")
        check(contree, image)
        io.write("plain ")
        contree.async(check, contree, image)
        io.write("task")
      ]])
    end)

    it("does not start a thread or a process when it is loaded", function()
      local output = place:script(lua, [[
        local function count()
          local pipe = io.popen("ls /proc/$PPID/task; cat /proc/$PPID/task/$PPID/children | wc -w")
          local text = pipe:read("*a")
          pipe:close()
          return text
        end
        local before = count()
        require("contree")
        require("contree").new()
        io.write(before == count() and "same" or before .. " became " .. count())
      ]])
      assert.are.equal("same", output)
    end)

    it("can be left while commands run and files come in", function()
      local output, status = place:script(lua, host.PREAMBLE .. ([[
        require("spec.support.busy")(contree, image, %q .. "/exit")
        io.write("leaving\n")
        os.exit(0, true)
      ]]):format(place.directory))
      assert.matches("^leaving\n", output)
      assert.are.equal(0, status)
      assert.is_nil(disk.capture("ls -A " .. place.directory):match("%.exit[^\n]*"))
    end)

    -- LuaJIT goes round for ever in a compiled pairs() loop of a finaliser (base/keys.lua).
    it("ends where what is undone at the end fails", function()
      prints("over", [[
        local class, errors = require("contree.base.class"), require("contree.base.errors")
        local fields = {}
        for i = 1, 1000 do fields["field" .. i] = i end
        for _ = 1, 10 do errors.new("file", "x", fields) end
        _G.kept = class.on_collect(function()
          errors.new("file", "x", { hint = "y" })
          io.write("over")
        end)
      ]])
    end)

    it("D2: lets no program that it starts inherit a descriptor", function()
      prints("none", place:inherited() .. 'io.write("none")')
    end)

    it("D1: tells of a failed task at once, and ends with code 1", function()
      local output, status = place:script(lua, host.PREAMBLE .. host.LOST .. [[
        contree.sleep(0.3)
        io.write("after")
      ]])
      assert.matches("^" .. host.TOLD .. "\nafter$", output)
      assert.are.equal(1, status)
    end)

    it("D1: tells of one that fails last, too", function()
      local output, status = place:script(lua, host.PREAMBLE .. host.LOST .. "contree.sleep(0)")
      assert.matches("^" .. host.TOLD, output)
      assert.are.equal(1, status)
    end)

    it("D1: ends well when a failure has been waited for in the end", function()
      local output, status = place:script(lua, host.PREAMBLE .. host.LOST .. [[
        contree.sleep(0.1)
        io.write(select(2, pcall(kept.wait, kept)))
      ]])
      assert.matches("mine$", output)
      assert.are.equal(0, status)
    end)

    it("D1: tells of tasks that never ran, and that had not ended", function()
      local output, status = place:script(lua, host.PREAMBLE .. [[
        contree.spawn(contree.sleep, 60)
        contree.sleep(0.05)
        contree.spawn(function() end)
        contree.spawn(function() end)
      ]])
      local line = "%S+script.lua:"
      assert.matches(("2 of its tasks never ran, started at %s6, %s7\n"):format(line, line), output)
      assert.matches("1 of its tasks had not ended, started at " .. line .. "4\n", output)
      assert.matches("contree.async", output, 1, true)
      assert.are.equal(0, status)
    end)

    it("D4: cancels what it has started when it ends, but what is detached", function()
      local output = place:script(lua, host.PREAMBLE .. host.STARTED .. [[
        contree.sleep(0.3)
        local detached = image:start{ shell = "exec sleep 60", detach = true }
        io.write(detached.uuid, " ")
      ]])
      local uuid = output:match("^(%S+) ")
      assert.is_true(place:running(1))
      local detached = place.client.operations:get(uuid)
      assert.are.equal("EXECUTING", (detached:status()))
      detached:cancel()
    end)

    it("D4: cancels what became garbage, and what a task that failed had started", function()
      prints("no more", [[
        local kept
        contree.spawn(function() image:start("exec sleep 60") end):wait()
        local failed = contree.spawn(function()
          kept = image:popen{ "sleep", "60" }
          kept.stdout:lines()
          error("mine", 0)
        end)
        pcall(failed.wait, failed)
        image:start("exec sleep 60")
        local operations = image.client.operations
        for _ = 1, 200 do
          contree.sleep(0.05)
          if #operations:list{ status = "EXECUTING" } == 0 then
            io.write("no more")
            break
          end
        end
        assert(kept)
      ]])
    end)

    it("D4: leaves alone what a task has handed on", function()
      prints("here", [[
        local operation = contree.spawn(function()
          return image:start("sleep 2; printf here")
        end):wait()
        for _ = 1, 10 do contree.sleep(0.1) collectgarbage() end
        io.write(operation:wait().stdout)
      ]])
    end)

    it("D13: contree.shutdown cancels, sends and returns", function()
      prints("true failed 0 cancelled cancelled more", host.STARTED .. [[
        contree.sleep(0.3)
        io.write(tostring(contree.shutdown(20)), " ")
        io.write(pcall(started[1].wait, started[1]) and "ended " or "failed ")
        contree.sleep(0.3)
        local count = 1
        for _ = 1, 100 do
          count = #image.client.operations:list{ status = "EXECUTING" }
          if count == 0 then break end
          contree.sleep(0.1)
        end
        io.write(count, " ", started[3].status, " ", started[4].status, " ")
        io.write((image:run("printf more").stdout))
      ]])
    end)

    it("D13: contree.shutdown returns in time, whatever tasks do", function()
      prints("false", [[
        local function stubborn()
          while true do pcall(contree.sleep, 60) end
        end
        contree.spawn(stubborn)
        contree.sleep(0.01)
        io.write(tostring(contree.shutdown(0.1)))
        os.exit(0)
      ]])
    end)

    it("takes a driver by name, once and before it is needed", function()
      prints("plain plain the host is plain already there is no host oven", [[
        local function refusal(name)
          local ok, err = pcall(contree.host, name)
          return " " .. err.message
        end
        local oven = refusal("oven")
        io.write(contree.host("plain"), " ", contree.host("plain"), refusal("luv"), oven)
      ]])
    end)
  end)
end

describe("after a fork", function()
  local place

  setup(function() place = host.place() end)
  teardown(function() place:stop() end)

  -- fork() is called through LuaJIT's ffi. child(f) runs f in a forked process, and
  -- returns in the parent what f wrote.
  local function prints(wanted, code)
    local output, status = place:script("luajit", host.PREAMBLE .. ([[
      local ffi = require("ffi")
      ffi.cdef("int fork(void); int waitpid(int, int *, int); void _exit(int);")
      local path = %q .. "/child"
      local function child(fn)
        local pid = ffi.C.fork()
        if pid == 0 then
          local file = io.open(path, "w")
          local ok, err = pcall(fn, file)
          if not ok then file:write(tostring(err)) end
          file:close()
          ffi.C._exit(0)
        end
        ffi.C.waitpid(pid, nil, 0)
        local file = io.open(path)
        local text = file:read("*a")
        file:close()
        return text
      end
    ]]):format(place.directory) .. code)
    assert.are.equal(wanted, output)
    assert.are.equal(0, status)
  end

  it("both processes go on with the client", function()
    prints("1 2 3", [[
      io.write((image:run("printf '1 '").stdout))
      io.write(child(function(file) file:write(image:run("printf '2 '").stdout) end))
      io.write((image:run("printf 3").stdout))
    ]])
  end)

  it("what was under way stays with the parent, and the child is told", function()
    prints("this request was under way when the process forked mine", [[
      local task = contree.spawn(function() return image:run("sleep 0.3; printf mine").stdout end)
      contree.sleep(0.1)
      io.write(child(function(file)
        local _, err = pcall(task.wait, task)
        file:write(err.message)
      end), " ", task:wait())
    ]])
  end)

  it("timers run in both", function()
    prints("woke woke", [[
      local task = contree.spawn(function()
        contree.sleep(0.2)
        return "woke"
      end)
      contree.sleep(0.05)
      io.write(child(function(file) file:write(task:wait()) end), " ", task:wait())
    ]])
  end)
end)

describe("the end of a program of LuaJIT", function()
  local place

  setup(function() place = host.place() end)
  teardown(function() place:stop() end)

  -- A finaliser may go round for ever in a compiled loop of pairs(), see base/keys.lua. A hook sees
  -- none of a finaliser's lines, but contree.shutdown() does the same.
  it("passes no loop of pairs() but those that are never compiled", function()
    local output = place:script("luajit", host.PREAMBLE .. [[
      jit.off()
      local source = {}
      local function line_of(file, number)
        if not source[file] then
          source[file] = {}
          for line in io.lines(file) do table.insert(source[file], line) end
        end
        return source[file][number]
      end
      local kept, passed, count = {}, {}, 0
      contree.async(function()
        local box = image:open()
        kept = { box, box:spawn("sleep 100"), image:popen({ "sleep", "100" }),
          image:start("sleep 100"), box.operation:watch("/") }
      end)
      debug.sethook(function(_, number)
        local file = debug.getinfo(2, "S").source:match("^@(.*/lua/contree/.*)")
        if not file then return end
        count = count + 1
        local line = line_of(file, number)
        if (line:find("[^i]pairs%(") or line:find("in next")) and not file:find("/keys.lua$") then
          passed[#passed + 1] = file:match("[^/]*$") .. ":" .. number .. line
        end
      end, "l")
      local over = contree.shutdown(5)
      debug.sethook()
      io.write(tostring(over), " ", tostring(count > 200), " ", table.concat(passed, "\n"))
    ]])
    assert.are.equal("true true ", output)
  end)
end)

-- The program uses libcurl itself, through LuaJIT's ffi: another build, loaded with
-- its symbols visible to all, or the same library as ours.
for name, library in pairs{ another = "libcurl-gnutls.so.4", ["the same"] = "libcurl.so.4" } do
  describe("beside " .. name .. " libcurl in the process", function()
    local place

    setup(function() place = host.place() end)
    teardown(function() place:stop() end)

    local function prints(wanted, code)
      local output, status = place:script("luajit", ([[
        local ffi = require("ffi")
        ffi.cdef[=[
          int curl_global_init(long flags);
          void curl_global_cleanup(void);
          void *curl_easy_init(void);
          int curl_easy_setopt(void *handle, int option, ...);
          int curl_easy_perform(void *handle);
          void curl_easy_cleanup(void *handle);
        ]=]
        local theirs = ffi.load(%q, true)
        local URL, UNIX_SOCKET_PATH, NOBODY = 10002, 10231, 44
        local function fetch()
          local handle = theirs.curl_easy_init()
          theirs.curl_easy_setopt(handle, URL, "http://engine/v1/whoami")
          theirs.curl_easy_setopt(handle, UNIX_SOCKET_PATH, %q)
          theirs.curl_easy_setopt(handle, NOBODY, ffi.cast("long", 1))
          local code = theirs.curl_easy_perform(handle)
          theirs.curl_easy_cleanup(handle)
          return code
        end
        local function run(word)
          local contree = require("contree")
          return contree.new().images:use("busybox:latest"):run("printf " .. word).stdout
        end
      ]]):format(library, place.socket) .. code)
      assert.are.same({ wanted, 0 }, { output, status })
    end

    it("works, whoever comes first", function()
      prints("0 one 0", [[
        theirs.curl_global_init(3)
        io.write(fetch(), " ", run("one"), " ", fetch())
      ]])
      prints("one 0", [[
        io.write(run("one"), " ")
        theirs.curl_global_init(3)
        io.write(fetch())
      ]])
    end)

    it("is not disturbed when the other user of it is done while we are not", function()
      prints("0 late", [[
        local contree = require("contree")
        theirs.curl_global_init(3)
        local task = contree.spawn(run, "late")
        contree.sleep(0.001)
        io.write(fetch(), " ")
        theirs.curl_global_cleanup()
        io.write(task:wait())
      ]])
    end)
  end)
end
