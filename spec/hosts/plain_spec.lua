-- contree in scripts that have no event loop.
local host = require("spec.support.host")
local home = require("spec.support.home")

for _, lua in ipairs{ "lua5.4", "luajit" } do
  describe("in a script of " .. lua, function()
    local engine, directory

    setup(function()
      engine = host.engine()
      directory = home.directory()
    end)
    teardown(function()
      engine.stop()
      os.execute("rm -rf " .. directory)
    end)

    local function script(code)
      return host.run(lua, lua .. " " .. host.write(directory, "script.lua", code),
        { CONTREE_URL = engine.url })
    end

    local function prints(wanted, code)
      local output, status = script([[
        io.stdout:setvbuf("no")
        local contree = require("contree")
        local image = contree.new().images:use("busybox:latest")
      ]] .. code)
      assert.are.equal(wanted, output)
      assert.are.equal(0, status)
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
      local output = script([[
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
      prints("leaving", ([[
        local made = image:run{ shell = "head -c 50000000 /dev/zero > /big", disposable = false }
        for i = 1, 5 do
          contree.spawn(function() image:run("sleep 1") end)
          contree.spawn(function() made:download("/big", %q .. "/exit" .. i) end)
        end
        contree.sleep(0.02)
        io.write("leaving")
        os.exit(0, true)
      ]]):format(directory))
      assert.is_nil(home.capture("ls -A " .. directory):match("%.exit[^\n]*"))
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
  local engine, directory

  setup(function()
    engine = host.engine()
    directory = home.directory()
  end)
  teardown(function()
    engine.stop()
    os.execute("rm -rf " .. directory)
  end)

  -- fork() is called through LuaJIT's ffi; `child()` returns in the parent what
  -- the function wrote in the child.
  local function prints(wanted, code)
    local script = host.write(directory, "fork.lua", [[
      local ffi = require("ffi")
      ffi.cdef("int fork(void); int waitpid(int, int *, int); void _exit(int);")
      local contree = require("contree")
      local image = contree.new().images:use("busybox:latest")
      local path = ]] .. ("%q"):format(directory) .. [[ .. "/child"
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
    ]] .. code)
    local output, status = host.run("luajit", "luajit " .. script, { CONTREE_URL = engine.url })
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
    prints("contree: this request was under way when the process forked "
      .. "(it is the parent's; make it again) mine", [[
      local task = contree.spawn(function() return image:run("sleep 0.3; printf mine").stdout end)
      contree.sleep(0.1)
      io.write(child(function() task:wait() end), " ", task:wait())
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
