-- contree in programs around luv.
local disk = require("spec.support.disk")
local host = require("spec.support.host")

for _, lua in ipairs{ "lua5.4", "luajit" } do
  describe("with luv in " .. lua, function()
    local place

    setup(function() place = host.place() end)
    teardown(function() place:stop() end)

    local function run(code)
      return place:script(lua, 'local uv = require("luv")\n' .. host.PREAMBLE .. code)
    end

    local function prints(wanted, code)
      assert.are.same({ wanted, 0 }, { run(code) })
    end

    it("is recognised", function()
      prints("luv", [[io.write(contree.host())]])
    end)

    it("keeps the rules in plain code, in tasks and in callbacks", function()
      prints("plain task callback", [[
        local check = require("spec.support.any_host")
        check(contree, image)
        io.write("plain ")
        contree.async(check, contree, image)
        io.write("task ")
        uv.new_timer():start(1, 0, function()
          check(contree, image)
          io.write("callback")
        end)
        uv.run()
      ]])
    end)

    it("D2: lets no program that it starts inherit a descriptor", function()
      prints("none", place:inherited() .. 'io.write("none")')
    end)

    it("runs tasks in uv.run, which ends when they have ended", function()
      prints("started 1 2 ended", [[
        local ticks = 0
        local timer = uv.new_timer()
        timer:start(10, 10, function() ticks = ticks + 1 end)
        timer:unref()
        contree.spawn(function()
          io.write((image:run("sleep 0.3; printf '1 '").stdout))
          contree.sleep(0.05)
          io.write((image:run("printf '2 '").stdout))
        end)
        io.write("started ")
        uv.run()
        io.write(ticks >= 10 and "ended" or "stood still: " .. ticks)
      ]])
    end)

    it("lets uv go on while plain code waits", function()
      prints("done, ticked", [[
        local ticks = 0
        uv.new_timer():start(10, 10, function() ticks = ticks + 1 end)
        io.write((image:run("sleep 0.3; printf done").stdout))
        io.write(ticks >= 10 and ", ticked" or ", stood still: " .. ticks)
      ]])
    end)

    it("goes on while 50 runs stream", function()
      prints("250 ticked", [[
        local ticks, lines = 0, 0
        local timer = uv.new_timer()
        timer:start(10, 10, function() ticks = ticks + 1 end)
        timer:unref()
        for i = 1, 50 do
          contree.spawn(function()
            image:run{
              shell = "for i in 1 2 3 4 5; do echo line; sleep 0.05; done",
              stdout = function(chunk)
                lines = lines + select(2, chunk:gsub("\n", ""))
              end,
            }
          end)
        end
        uv.run()
        io.write(lines, ticks >= 10 and " ticked" or " stood still: " .. ticks)
      ]])
    end)

    it("D1: tells of a failed task while uv runs", function()
      local output, status = run(host.LOST .. [[
        uv.new_timer():start(1500, 0, function() io.write("after") end)
        uv.run()
      ]])
      assert.matches("^" .. host.TOLD .. "\nafter$", output)
      assert.are.equal(1, status)
    end)

    it("D4, D13: cancels what it has started, when asked and at its end", function()
      prints("true", host.STARTED .. [[
        contree.sleep(0.3)
        io.write(tostring(contree.shutdown(20)))
        started[1] = image:start("exec sleep 60")
      ]])
      assert.are.equal(0, place:running())
    end)

    it("D15: goes on when somebody has closed all handles", function()
      prints("one two three four", [[
        local function close_all()
          uv.walk(function(handle) if not handle:is_closing() then handle:close() end end)
          uv.run("nowait")
        end
        io.write((image:run("printf 'one '").stdout))
        close_all()
        io.write((image:run("printf 'two '").stdout))
        local task = contree.spawn(function()
          return image:run("sleep 0.3; printf 'three '").stdout
        end)
        contree.sleep(0.1)
        close_all()
        io.write((task:wait()))
        contree.spawn(function() io.write((image:run("sleep 0.3; printf four").stdout)) end)
        uv.new_timer():start(100, 0, function()
          uv.walk(function(handle) if not handle:is_closing() then handle:close() end end)
        end)
        contree.sleep(3)
      ]])
    end)

    it("says so when nothing can end a wait", function()
      local output, status = run([[
        local waiting
        waiting = contree.spawn(function() waiting:wait() end)
        waiting:wait()
      ]])
      assert.matches("everything waits, and nothing is left that could end the wait", output)
      assert.are.equal(1, status)
    end)

    it("can be left while commands run and files come in", function()
      local output, status = run(([[
        require("spec.support.busy")(contree, image, %q .. "/exit")
        io.write("leaving\n")
        os.exit(0, true)
      ]]):format(place.directory))
      assert.matches("^leaving\n", output)
      assert.are.equal(0, status)
      assert.is_nil(disk.capture("ls -A " .. place.directory):match("%.exit[^\n]*"))
    end)
  end)
end
