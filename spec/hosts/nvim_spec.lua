-- contree in Neovim, headless.
local disk = require("spec.support.disk")
local host = require("spec.support.host")
local neovim = require("spec.support.neovim")

describe("in Neovim", function()
  local editor, place

  setup(function()
    editor = neovim.place()
    place = editor.place
  end)
  teardown(function() editor:stop() end)

  local function luafile(...) return editor:luafile(...) end
  local function nvim(...) return editor:run(...) end

  local function prints(wanted, code, options)
    assert.are.same({ wanted, 0 }, { nvim(code, options) })
  end

  it("is recognised", function()
    prints("nvim", [[io.write(contree.host())]])
  end)

  it("keeps the rules in plain code and in tasks", function()
    prints("plain task", [[
      local check = require("spec.support.any_host")
      check(contree, image)
      io.write("plain ")
      contree.async(check, contree, image)
      io.write("task")
    ]])
  end)

  it("D2: lets no program that it starts inherit a descriptor", function()
    prints("none", place:inherited() .. 'io.write("none")')
  end)

  it("does not start a thread or a process when it is loaded", function()
    local script = place:write("load.lua", [[
      local function count()
        local threads = #vim.fn.glob("/proc/self/task/*", true, true)
        local children = vim.fn.readfile("/proc/self/task/" .. vim.loop.getpid() .. "/children")
        return threads .. " " .. table.concat(children, " ")
      end
      local before = count()
      require("contree")
      io.write(before == count() and "same" or before .. " became " .. count())
    ]])
    assert.are.equal("same", (luafile(script)))
  end)

  it("goes on while plain code waits", function()
    prints("done, ticked", [[
      local ticks = 0
      vim.loop.new_timer():start(10, 10, vim.schedule_wrap(function() ticks = ticks + 1 end))
      io.write((image:run("sleep 0.3; printf done").stdout))
      io.write(ticks >= 10 and ", ticked" or ", stood still: " .. ticks)
    ]])
  end)

  it("goes on while 50 runs stream into a buffer", function()
    local output, status = nvim([[
      local buffer = vim.api.nvim_create_buf(false, true)
      local ticks, ended = 0, 0
      vim.loop.new_timer():start(10, 10, function() ticks = ticks + 1 end)
      for i = 1, 50 do
        contree.spawn(function()
          image:run{
            shell = "for i in 1 2 3 4 5; do echo line; sleep 0.05; done",
            stdout = function(chunk)
              local lines = vim.split(chunk, "\n", { trimempty = true })
              vim.api.nvim_buf_set_lines(buffer, -1, -1, false, lines)
            end,
          }
          ended = ended + 1
        end)
      end
      local before = ticks
      assert(vim.wait(50000, function() return ended == 50 end, 5))
      assert(ticks - before >= 10, "the editor stood still")
      io.write(vim.api.nvim_buf_line_count(buffer) - 1)
    ]])
    assert.are.equal("250", output)
    assert.are.equal(0, status)
  end)

  it("refuses to wait in a callback of the event loop, and says what to do", function()
    local output, status = nvim([[
      local seen
      vim.loop.new_timer():start(1, 0, function()
        local ok, err = pcall(image.run, image, "true")
        seen = tostring(err)
      end)
      vim.wait(5000, function() return seen end)
      io.write(seen)
    ]])
    assert.matches("script.lua:%d+: contree: a callback of the event loop cannot wait", output)
    assert.matches("contree.spawn", output, 1, true)
    assert.are.equal(0, status)
  end)

  it("starts tasks in a callback of the event loop, and they may use the API", function()
    prints("done", [[
      local seen
      vim.loop.new_timer():start(1, 0, function()
        contree.spawn(function()
          vim.api.nvim_buf_set_lines(0, 0, -1, false, { image:run("printf done").stdout })
          seen = true
        end)
      end)
      assert(vim.wait(5000, function() return seen end))
      io.write(vim.api.nvim_get_current_line())
    ]])
  end)

  it("starts as the first thing in a callback of the event loop", function()
    local script = place:write("first.lua", [[
      local seen
      vim.loop.new_timer():start(1, 0, function()
        local contree = require("contree")
        contree.spawn(function()
          contree.sleep(0.01)
          seen = contree.host()
        end)
      end)
      vim.wait(5000, function() return seen end)
      io.write(seen or "nothing")
    ]])
    assert.are.equal("nvim", (luafile(script)))
  end)

  it("can be interrupted, which cancels the command", function()
    local output = nvim([[
      vim.loop.new_timer():start(300, 0, function()
        vim.schedule(function() vim.api.nvim_input("<C-c>") end)
      end)
      local ok, err = pcall(image.run, image, "sleep 30")
      io.write(tostring(err))
    ]])
    assert.are.equal("contree: interrupted!", output)
    assert.are.equal(0, place:running())
  end)

  it("shows what it gives by vim.inspect, which asks for names of its own", function()
    prints("true 3 nil", [[
      local result = image:run("exit 3")
      local text = vim.inspect(result)
      io.write(tostring(text:find("exit_code = 3", 1, true) ~= nil), " ", result.exit_code, " ",
        tostring(result.signal))
    ]])
  end)

  it("shows progress as a message, to those who see messages", function()
    prints("sending 5 of 5|", [[
      local told = ""
      local lists = { {}, { {} } }
      vim.api.nvim_list_uis = function() return table.remove(lists, 1) end
      vim.api.nvim_echo = function(chunks) told = told .. chunks[1][1]:gsub("^.*%] ", "") .. "|" end
      local tell = contree.progress()
      tell{ phase = "looking", unit = "bytes", done = 5, total = 5 }
      tell{ phase = "sending", unit = "bytes", done = 5, total = 5 }
      vim.wait(5000, function() return told ~= "" end)
      io.write(told)
    ]])
  end)

  it("D1: tells of a failed task by vim.notify, at once", function()
    local output = nvim([[
      local told
      vim.notify = function(text) told = text end
    ]] .. host.LOST .. [[
      vim.wait(20000, function() return told end)
      io.write(told or "nothing")
      assert(kept)
    ]])
    assert.matches("^" .. host.TOLD, output)
  end)

  it("D12: cancels what it has started when it is left, whatever autocommand was first", function()
    prints("cancelling leaving", [[
      local tasks
      vim.api.nvim_create_autocmd("VimLeavePre", {
        callback = function()
          io.write("cancelling ")
          for _, task in ipairs(tasks) do task:cancel() end
        end,
      })
    ]] .. host.STARTED .. [[
      tasks = { started[3], started[4] }
      contree.sleep(0.3)
      vim.api.nvim_create_autocmd("VimLeave", { callback = function() io.write("leaving") end })
    ]])
    assert.are.equal(0, place:running())
  end)

  it("D12: cancels a run that is older than its first answer may be", function()
    prints("leaving", [[
      contree.spawn(function() image:run("exec sleep 60") end)
      contree.sleep(11)
      io.write("leaving")
    ]])
    assert.are.equal(0, place:running())
  end)

  it("D12: leaves what is detached", function()
    prints("leaving", [[
      image:start{ shell = "exec sleep 60", detach = true }
      io.write("leaving")
    ]])
    assert.is_true(place:running(1))
    for _, found in ipairs(place.client.operations:list{ status = "EXECUTING" }) do
      place.client.operations:get(found.uuid):cancel()
    end
    assert.are.equal(0, place:running())
  end)

  it("D12: has a recipe for coroutines of one's own, which end when they end", function()
    local page = disk.read(host.root .. "/docs/use/hosts/neovim.md")
    local recipe = page:match("```lua\n%-%- As (.-)coroutine.wrap")
    prints("short long 100", "-- As " .. recipe .. [[
      local ended = 0
      local function go(seconds, word)
        coroutine.wrap(function()
          io.write(await(image.run, image, ("sleep %g; printf '%s'"):format(seconds, word)).stdout)
          ended = ended + 1
        end)()
      end
      go(2, "long ")
      go(0.2, "short ")
      assert(vim.wait(50000, function() return ended == 2 end, 5))
      for _ = 1, 100 do go(0, "") end
      assert(vim.wait(50000, function() return ended == 102 end, 5))
      io.write(ended - 2)
    ]])
  end)

  it("has a recipe for a terminal of a sandbox in a buffer", function()
    local page = disk.read(host.root .. "/docs/use/hosts/neovim.md")
    local recipe = page:match("```lua\n(local function terminal.-)\nterminal%(image")
    local script = place:write("script.lua", host.PREAMBLE .. recipe .. [[

      terminal(image, { "sh" })
      vim.cmd("startinsert")]])
    local steps = place:write("steps", table.concat({ [=[["await", "/ #"]]=],
      [=[["type", "echo size-$(stty size | tr ' ' x)\r"]]=], [=[["await", "size-28x70"]]=],
      [=[["resize", 20, 60]]=],
      [=[["type", "sleep 1; echo size-$(stty size | tr ' ' x)\r"]]=],
      [=[["await", "size-18x60"]]=], [=[["type", "exit 3\r"]]=], [=[["await", "ended: 3"]]=],
      [=[["type", "\u001c\u000e:qa!\r"]]=] }, "\n") .. "\n")
    local output = place:run("luajit", ("TERM=xterm python3 %s/spec/support/typist.py 30 70 "
      .. "nvim -u NONE -i NONE -n -c 'luafile %s' < %s"):format(host.root, script, steps))
    assert.are.equal("0 restored", output:match("([^\n]*)\n$"))
    prints("-1", recipe .. [[

      local buffer, shell = terminal(image, { "sh" })
      vim.cmd("bwipeout! " .. buffer)
      io.write(shell:wait())
    ]])
  end)

  it("can quit while commands run and files come in", function()
    prints("leaving", ([[
      require("spec.support.busy")(contree, image, %q .. "/quit")
      io.write("leaving")
    ]]):format(place.directory))
    assert.is_nil(disk.capture("ls -A " .. place.directory):match("%.quit[^\n]*"))
  end)

  it("begins no task when it leaves", function()
    prints("leaving", [[
      vim.schedule(function()
        contree.spawn(function() io.write(" late") end)
        io.write("leaving")
        vim.cmd("qa!")
      end)
      vim.wait(1000)
    ]])
  end)

  it("can be used by what runs when Neovim leaves", function()
    prints("last words", [[
      image:run("true")
      vim.api.nvim_create_autocmd("VimLeavePre", {
        callback = function() io.write(image:run("printf 'last words'").stdout) end,
      })
    ]])
  end)
end)
