-- Programs with a loop of their own: examples/c-host, which has two Lua states in one
-- process, and examples/own-loop, which has its own driver. And one with threads.
local disk = require("spec.support.disk")
local host = require("spec.support.host")

describe("a host in C", function()
  local place

  setup(function()
    place = host.place()
    assert.are.same({ "", 0 }, { host.run("lua5.4",
      ("cc -Wall -Wextra -Werror -O1 %s -o %s/host $(pkg-config --cflags --libs lua5.4)")
        :format(disk.quote(host.root .. "/examples/c-host/host.c"), place.directory)) })
  end)
  teardown(function() place:stop() end)

  local function script(name, code) return place:write(name, host.PREAMBLE .. code) end

  local function run(...)
    local command = host.PREFIX .. place.directory .. "/host " .. table.concat({ ... }, " ")
    return place:run("lua5.4", command)
  end

  it("links nothing but Lua", function()
    local needed = disk.capture(("readelf -d %s/host | grep NEEDED | grep -v 'liblua5.4\\|libc.so'")
      :format(place.directory))
    assert.are.equal("", needed)
  end)

  it("ticks while the commands of two Lua states run", function()
    local example = disk.quote(host.root .. "/examples/c-host/script.lua")
    local output, status = run(example, example)
    local _, lines = output:gsub("run %d+\n", "")
    assert.are.equal(20, lines)
    assert.is_true(tonumber(output:match("done: (%d+) ticks")) >= 10)
    assert.are.equal(0, status)
  end)

  it("keeps the rules in tasks", function()
    local output, status = run(script("rules.lua", [[
      contree.spawn(function()
        require("spec.support.any_host")(contree, image)
        io.write("kept\n")
      end)
    ]]))
    assert.matches("^kept\ndone", output)
    assert.are.equal(0, status)
  end)

  it("D2: lets no program that it starts inherit a descriptor", function()
    local output, status = run(script("inherited.lua", "contree.spawn(function()\n"
      .. place:inherited() .. 'io.write("none\\n")\nend)'))
    assert.matches("^none\ndone", output)
    assert.are.equal(0, status)
  end)

  it("D1: tells of a failed task while it steps", function()
    local output, status = run(script("lost.lua", host.LOST .. [[
      contree.spawn(function()
        contree.sleep(0.3)
        io.write("after\n")
      end)
    ]]))
    assert.matches("^" .. host.TOLD .. "\nafter\ndone", output)
    assert.are.equal(0, status)
  end)

  it("D4, D13: cancels what it has started, when asked and when it closes its state", function()
    local output, status = run(script("started.lua", host.STARTED .. [[
      contree.sleep(0.3)
      io.write(tostring(contree.shutdown(20)), "\n")
      started[1] = image:start("exec sleep 60")
    ]]))
    assert.matches("^true\ndone", output)
    assert.are.equal(0, status)
    assert.are.equal(0, place:running())
  end)

  it("can close its states while commands run and files come in", function()
    local code = ([[
      contree.spawn(function()
        require("spec.support.busy")(contree, image, %q .. "/close")
        io.popen("kill -INT $PPID"):close()
      end)
    ]]):format(place.directory)
    local output, status = run(script("one.lua", code), script("two.lua", code))
    assert.matches("^stopped: ", output)
    assert.are.equal(1, status)
    assert.is_nil(disk.capture("ls -A " .. place.directory):match("%.close[^\n]*"))
  end)

  -- `scripts/threads` has the same under the sanitizer of threads.
  for _, lua in ipairs{ "lua5.4", "luajit" } do
    it("has many threads, each with states of its own, one after the other, of " .. lua, function()
      local program = place.directory .. "/threads-" .. lua
      assert.are.same({ "", 0 }, { host.run(lua,
        ("cc -Wall -Wextra -Werror -O1 %s/spec/support/threads.c -o %s -pthread $(pkg-config"
          .. " --cflags --libs %s)"):format(host.root, program, lua)) })
      assert.are.same({ "4 threads, 3 rounds, 0 failed\n", 0 }, { place:run(lua,
        ("CONTREE_TEST_THREADS=%s %s %s 4 3 %s/spec/support/in_thread.lua"):format(place.directory,
          host.PREFIX, program, host.root)) })
      assert.are.equal(0, place:running())
    end)
  end

  it("or another one: the documentation shows the driver that is tested here", function()
    local driver = disk.read(host.root .. "/examples/own-loop/driver.lua")
    local shown = disk.read(host.root .. "/docs/use/hosts/writing-a-driver.md")
    driver = driver:match("\n(local mine.*)$")
    shown = shown:match("```lua\n(local mine.-)```")
    assert.are.equal(driver, shown)
  end)

  for _, lua in ipairs{ "lua5.4", "luajit" } do
    local function own_loop(path)
      return place:run(lua, ("cd %s && LUA_PATH=\"./?.lua;$LUA_PATH\" %s %s")
        :format(disk.quote(host.root .. "/examples/own-loop"), lua, path))
    end

    it("or one around an event loop of its own, with its own driver, in " .. lua, function()
      local output, status = own_loop("main.lua")
      assert.matches("run 10\nthe loop ticked all the time", output, 1, true)
      assert.are.equal(0, status)
    end)

    it("or one around an event loop of its own keeps the rules, in " .. lua, function()
      assert.are.same({ "kept by custom", 0 }, { own_loop(script("own.lua", [[
        contree.host(require("driver"))
        local check = require("spec.support.any_host")
        check(contree, image)
        contree.async(check, contree, image)
        io.write("kept by ", contree.host())
      ]])) })
    end)
  end
end)
