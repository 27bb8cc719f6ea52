-- contree in coroutines of cqueues.
local host = require("spec.support.host")

local PREAMBLE = [[
  local cqueues = require("cqueues")
  local controller = cqueues.new()
]] .. host.PREAMBLE

for _, lua in ipairs{ "lua5.4", "luajit" } do
  describe("with cqueues in " .. lua, function()
    local place

    setup(function() place = host.place() end)
    teardown(function() place:stop() end)

    local function prints(wanted, code)
      assert.are.same({ wanted, 0 }, { place:script(lua, PREAMBLE .. code) })
    end

    it("is recognised", function()
      prints("cqueues", [[io.write(contree.host())]])
    end)

    it("keeps the rules in plain code, in coroutines and in tasks", function()
      prints("plain coroutine task", [[
        local check = require("spec.support.any_host")
        check(contree, image)
        io.write("plain ")
        controller:wrap(function()
          check(contree, image)
          io.write("coroutine ")
          contree.spawn(check, contree, image):wait()
          io.write("task")
        end)
        assert(controller:loop())
      ]])
    end)

    it("D2: lets no program that it starts inherit a descriptor", function()
      prints("none", "controller:wrap(function()\n" .. place:inherited()
        .. 'io.write("none")\nend)\nassert(controller:loop())')
    end)

    it("D1: tells of a failed task while the controller goes on", function()
      local begin = PREAMBLE .. "controller:wrap(function()\n"
      local output, status = place:script(lua, begin .. host.LOST .. [[
          cqueues.sleep(0.3)
          io.write("after")
        end)
        assert(controller:loop())
      ]])
      assert.matches("^" .. host.TOLD .. "\nafter$", output)
      assert.are.equal(1, status)
    end)

    it("D4, D13: cancels what it has started, when asked and at its end", function()
      prints("true", "controller:wrap(function()\n" .. host.STARTED .. [[
          contree.sleep(0.3)
          io.write(tostring(contree.shutdown(20)))
          started[1] = image:start("exec sleep 60")
        end)
        assert(controller:loop())
      ]])
      assert.are.equal(0, place:running())
    end)

    it("lets other coroutines go on while one waits", function()
      prints("done ticked", [[
        local ticks, done = 0, false
        controller:wrap(function()
          while not done do
            ticks = ticks + 1
            cqueues.sleep(0.01)
          end
        end)
        controller:wrap(function()
          io.write((image:run("sleep 0.5; printf done").stdout))
          done = true
        end)
        assert(controller:loop())
        io.write(ticks >= 10 and " ticked" or " stood still: " .. ticks)
      ]])
    end)

    it("runs 50 at once, and tasks may use cqueues", function()
      prints("1275", [[
        local sum = 0
        for i = 1, 50 do
          controller:wrap(function()
            contree.spawn(function()
              cqueues.sleep(0.01)
              local result = image:run("sleep 0.1; echo " .. i)
              sum = sum + tonumber(result.stdout)
            end):wait()
          end)
        end
        assert(controller:loop())
        io.write(("%d"):format(sum))
      ]])
    end)

    it("works in a controller inside a controller, and in one after another", function()
      prints("inner outer next", [[
        controller:wrap(function()
          local inner = cqueues.new()
          inner:wrap(function() io.write((image:run("printf 'inner '").stdout)) end)
          assert(inner:loop())
          io.write((image:run("printf 'outer '").stdout))
        end)
        assert(controller:loop())
        local after = cqueues.new()
        after:wrap(function() io.write((image:run("printf next").stdout)) end)
        assert(after:loop())
      ]])
    end)

    it("works in a controller that is stepped from elsewhere", function()
      prints("stepped", [[
        controller:wrap(function() io.write((image:run("sleep 0.1; printf stepped").stdout)) end)
        while not controller:empty() do
          cqueues.poll(controller)
          assert(controller:step(0))
        end
      ]])
    end)

    it("waits in contree.async for its own tasks", function()
      prints("async other", [[
        controller:wrap(function()
          contree.spawn(function()
            contree.sleep(0.5)
            io.write("other")
          end)
          contree.async(function() contree.spawn(contree.sleep, 0.05) end)
          io.write("async ")
        end)
        assert(controller:loop())
      ]])
    end)

    it("waits for a task of plain code", function()
      prints("plain's", [[
        local task = contree.spawn(function() return image:run("printf plain").stdout end)
        controller:wrap(function() io.write(task:wait(), "'s") end)
        assert(controller:loop())
      ]])
    end)

    it("is plain after the loop", function()
      prints("in out", [[
        controller:wrap(function() io.write((image:run("printf in").stdout)) end)
        assert(controller:loop())
        contree.async(function() io.write((image:run("printf ' out'").stdout)) end)
      ]])
    end)
  end)
end
