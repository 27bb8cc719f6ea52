-- contree in Copas: the packaged 1.x, and a stand-in for 4 (spec/support/copas_4.lua).
local host = require("spec.support.host")

-- Runs until done() is true; the loop of 1.x never ends by itself.
local OLD = [[
  local copas = require("copas")
  local function loop(done) while not done() do copas.step(5) end end
]]

local NEW = [[
  package.loaded.copas = require("spec.support.copas_4")
  local copas = require("copas")
  local function loop() copas.loop() end
]]

for _, case in ipairs{
  { name = "Copas 1.x in luajit", lua = "luajit", prelude = OLD },
  { name = "Copas 4 in lua5.4", lua = "lua5.4", prelude = NEW, modern = true },
  { name = "Copas 4 in luajit", lua = "luajit", prelude = NEW, modern = true },
} do
  describe("with " .. case.name, function()
    local place

    setup(function() place = host.place() end)
    teardown(function() place:stop() end)

    local function prints(wanted, code)
      assert.are.same({ wanted, 0 },
        { place:script(case.lua, case.prelude .. host.PREAMBLE .. code) })
    end

    it("is recognised", function()
      prints("copas", [[io.write(contree.host())]])
    end)

    it("keeps the rules in plain code and in tasks", function()
      prints("plain task", [[
        local rules = require("spec.support.any_host")
        local function check()
          rules(contree, image, { generators = copas.running ~= nil })
        end
        check(contree, image)
        io.write("plain ")
        local done
        copas.addthread(function()
          contree.spawn(check, contree, image):wait()
          io.write("task")
          done = true
        end)
        loop(function() return done end)
      ]])
    end)

    it("D2: lets no program that it starts inherit a descriptor", function()
      prints("none", "local done\ncopas.addthread(function()\n" .. place:inherited()
        .. 'done = true\nend)\nloop(function() return done end)\nio.write("none")')
    end)

    it("D1: tells of a failed task while Copas goes on", function()
      local output, status = place:script(case.lua, case.prelude .. host.PREAMBLE
        .. "local done\ncopas.addthread(function()\n" .. host.LOST .. [[
          contree.sleep(0.3)
          io.write("after")
          done = true
        end)
        loop(function() return done end)
      ]])
      assert.matches("^" .. host.TOLD .. "\nafter$", output)
      assert.are.equal(1, status)
    end)

    it("D4, D13: cancels what it has started, when asked and at its end", function()
      prints("true", "local done\ncopas.addthread(function()\n" .. host.STARTED .. [[
          contree.sleep(0.3)
          io.write(tostring(contree.shutdown(20)))
          started[1] = image:start("exec sleep 60")
          done = true
        end)
        loop(function() return done end)
      ]])
      assert.are.equal(0, place:running())
    end)

    it("lets other threads go on while one waits", function()
      prints("done ticked", [[
        local ticks, done = 0, false
        copas.addthread(function()
          while not done do
            ticks = ticks + 1
            contree.sleep(0.01)
          end
        end)
        copas.addthread(function()
          io.write((image:run("sleep 0.5; printf done").stdout))
          done = true
        end)
        loop(function() return done end)
        io.write(ticks >= 10 and " ticked" or " stood still: " .. ticks)
      ]])
    end)

    it("serves sockets of Copas meanwhile", function()
      prints("pong done", [[
        local socket = require("socket")
        local done
        local server = assert(socket.bind("127.0.0.1", 0))
        local address, port = server:getsockname()
        local client = assert(socket.connect(address, port))
        local peer = server:accept()
        peer:settimeout(0)
        copas.addthread(function()
          io.write(copas.receive(peer) or "nothing", " ")
        end)
        copas.addthread(function()
          contree.sleep(0.1)
          client:send("pong\n")
        end)
        copas.addthread(function()
          io.write((image:run("sleep 0.5; printf done").stdout))
          done = true
        end)
        loop(function() return done end)
      ]])
    end)

    it("runs 50 at once, each in a thread of its own", function()
      prints("1275", [[
        local sum, ended = 0, 0
        for i = 1, 50 do
          copas.addthread(function()
            local result = image:run("sleep 0.1; echo " .. i)
            sum = sum + tonumber(result.stdout)
            ended = ended + 1
          end)
        end
        loop(function() return ended == 50 end)
        io.write(("%d"):format(sum))
      ]])
    end)

    it("waits in contree.async for its own tasks", function()
      prints("async other", [[
        local done
        copas.addthread(function()
          contree.spawn(function()
            contree.sleep(0.5)
            io.write("other")
            done = true
          end)
          contree.async(function() contree.spawn(contree.sleep, 0.05) end)
          io.write("async ")
        end)
        loop(function() return done end)
      ]])
    end)

    it("waits for a task of plain code", function()
      prints("plain's", [[
        local done
        local task = contree.spawn(function() return image:run("printf plain").stdout end)
        copas.addthread(function()
          io.write(task:wait(), "'s")
          done = true
        end)
        loop(function() return done end)
      ]])
    end)

    it("is plain after the loop", function()
      prints("in out", [[
        local done
        copas.addthread(function()
          io.write((image:run("printf in").stdout))
          done = true
        end)
        loop(function() return done end)
        contree.async(function() io.write((image:run("printf ' out'").stdout)) end)
      ]])
    end)

    if case.modern then
      it("keeps the rules in threads of Copas", function()
        prints("thread", [[
          copas.addthread(function()
            contree.sleep(0.01)
            require("spec.support.any_host")(contree, image)
            io.write("thread")
          end)
          loop()
        ]])
      end)
    end
  end)
end
