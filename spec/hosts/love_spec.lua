-- contree in LÖVE, without a window.
local host = require("spec.support.host")
local love = require("spec.support.love")

describe("in LÖVE", function()
  local place

  setup(function() place = host.place() end)
  teardown(function() place:stop() end)

  -- Plays `code` as main.lua, which ends by calling finish(words…).
  local function prints(wanted, code)
    assert.are.same({ wanted, 7 }, { love.play_main(place, host.PREAMBLE .. [[
      local function finish(...)
        io.write(table.concat({ ... }, " "))
        love.event.quit(7)
      end
      function love.update() contree.step() end
    ]] .. code) })
  end

  it("is recognised", function()
    prints("love", [[finish(contree.host())]])
  end)

  it("keeps the rules in plain code and in tasks", function()
    prints("plain task", [[
      local check = require("spec.support.any_host")
      check(contree, image)
      contree.spawn(function()
        check(contree, image)
        finish("plain", "task")
      end)
    ]])
  end)

  it("D2: lets no program that it starts inherit a descriptor", function()
    prints("none", "contree.spawn(function()\n" .. place:inherited() .. 'finish("none")\nend)')
  end)

  it("draws frames while commands run", function()
    prints("done, and frames", [[
      local frames = 0
      function love.update()
        frames = frames + 1
        contree.step()
      end
      contree.spawn(function()
        local result = image:run("sleep 0.5; printf done,")
        finish(result.stdout, frames > 10 and "and frames" or frames)
      end)
    ]])
  end)

  it("draws frames while 50 runs stream", function()
    prints("250 and frames", [[
      local frames, lines, ended = 0, 0, 0
      function love.update()
        frames = frames + 1
        contree.step()
        if ended == 50 then finish(lines, frames > 10 and "and frames" or frames) end
      end
      for i = 1, 50 do
        contree.spawn(function()
          image:run{ shell = "for i in 1 2 3 4 5; do echo line; sleep 0.05; done",
            stdout = function(chunk) lines = lines + select(2, chunk:gsub("\n", "")) end }
          ended = ended + 1
        end)
      end
    ]])
  end)

  it("ends a short run in its frame when step may wait", function()
    prints("1", [[
      local frame, asked = 0
      function love.update()
        frame = frame + 1
        if frame == 2 then
          asked = contree.spawn(function() return image:run("printf 1").stdout end)
          contree.step(5)
          finish(asked.status == "done" and asked:wait() or asked.status)
        end
      end
    ]])
  end)

  it("D11: one chatty run does not take a frame", function()
    prints("fair", [[
      local worst, ended = 0, false
      function love.update()
        local begun = os.clock()
        contree.step()
        worst = math.max(worst, os.clock() - begun)
        if ended then finish(worst < 0.05 and "fair" or ("%.3f s of a frame"):format(worst)) end
      end
      contree.spawn(function()
        image:run{ shell = "yes | head -c 30000000", stdout = function() end }
        ended = true
      end)
    ]])
  end)

  it("shares a frame among tasks that never wait", function()
    prints("fair", [[
      local stop
      contree.spawn(function() while not stop do coroutine.yield() end end)
      contree.spawn(function()
        image:run("true")
        stop = true
        finish("fair")
      end)
    ]])
  end)

  it("works in threads", function()
    prints("from a thread", [[
      love.thread.newThread([=[
        local contree = require("contree")
        local image = contree.new().images:use("busybox:latest")
        love.thread.getChannel("done"):push(image:run("printf 'from a thread'").stdout)
      ]=]):start()
      function love.update()
        contree.step()
        local words = love.thread.getChannel("done"):pop()
        if words then finish(words) end
      end
    ]])
  end)

  it("D1: tells of a failed task between two frames", function()
    local output, status = love.play_main(place, host.PREAMBLE .. host.LOST .. [[
      local frames = 0
      function love.update()
        contree.step()
        frames = frames + 1
        if frames == 20 then
          io.write("after")
          love.event.quit(7)
        end
      end
    ]])
    assert.matches("^" .. host.TOLD .. "\nafter$", output)
    assert.are.equal(7, status)
  end)

  it("D4: cancels what it has started when it is left", function()
    prints("leaving", host.STARTED .. [[
      local frames = 0
      function love.update()
        contree.step()
        frames = frames + 1
        if frames == 20 then finish("leaving") end
      end
    ]])
    assert.are.equal(0, place:running())
  end)

  it("D13: love.quit can cancel without another step", function()
    prints("leaving true cancelled", host.STARTED .. [[
      local frames = 0
      function love.update()
        contree.step()
        frames = frames + 1
        if frames == 20 then finish("leaving") end
      end
      function love.quit()
        io.write(" ", tostring(contree.shutdown(20)), " ", started[4].status)
      end
    ]])
    assert.are.equal(0, place:running())
  end)

  it("can be left while commands run", function()
    prints("leaving", [[
      for i = 1, 5 do contree.spawn(function() image:run("sleep 50") end) end
      local frames = 0
      function love.update()
        contree.step()
        frames = frames + 1
        if frames == 20 then finish("leaving") end
      end
    ]])
    assert.are.equal(0, place:running())
  end)

  it("plays the example to its end", function()
    local output, status = love.play(place, host.root .. "/examples/love", "--headless")
    assert.are.equal(0, status)
    assert.matches("has won\n$", output)
    assert.is_nil(output:match("rogue"))
  end)
end)
