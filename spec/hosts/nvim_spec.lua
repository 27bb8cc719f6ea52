-- contree in Neovim, headless.
local disk = require("spec.support.disk")
local host = require("spec.support.host")

describe("in Neovim", function()
  local place

  setup(function() place = host.place() end)
  teardown(function() place:stop() end)

  local function luafile(script, options)
    return place:run("luajit", ("nvim --headless -u NONE -i NONE -n %s -c 'luafile %s' -c 'qa!'")
      :format(options or "", script))
  end

  -- Runs Lua code, which finds `image`, in a new Neovim. Returns what it writes by
  -- io.write, and all complaints of Neovim.
  local function nvim(code, options)
    local script = place:write("script.lua", host.PREAMBLE .. code)
    local runner = place:write("runner.lua", ([[
      local ok, err = xpcall(dofile, function(e) return debug.traceback(tostring(e)) end, %q)
      if not ok then
        io.stderr:write(err, "\n")
        vim.cmd("cquit 1")
      end
    ]]):format(script))
    return luafile(runner, options)
  end

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
    local steps = place:write("steps", table.concat({ [=[["await", "# "]]=],
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

  describe("the plugin", function()
    local options

    setup(function()
      local plugin = place.directory .. "/plugin"
      os.execute(([[mkdir %s && cp -r plugin doc lua %s
        rm -rf %s/lua/contree/core.so %s/lua/contree/bin]]):format(plugin, plugin, plugin, plugin))
      options = ("--cmd 'set rtp^=%s' --cmd 'runtime! plugin/contree.lua' --cmd 'helptags %s/doc'")
        :format(plugin, plugin)
    end)

    local function prints_with_plugin(wanted, code)
      prints(wanted, [[
        local function set(...) vim.api.nvim_buf_set_lines(0, 0, -1, false, { ... }) end
        -- The text of a buffer, once it matches.
        local function buffer_text(name, pattern)
          local text = "no buffer " .. name
          assert(vim.wait(20000, function()
            local buffer = vim.fn.bufnr(name)
            if buffer == -1 then return false end
            text = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "|")
            return text:find(pattern)
          end), text)
          return text
        end
        local function output()
          return (buffer_text("contree://output", "|%[[^|]*%]$"):gsub("%d+%.%d+ s", "T"))
        end
        local seen = {}
        local function told()
          vim.notify = function(text) seen[#seen + 1] = text end
          return seen
        end
        local function wait_told(count)
          assert(vim.wait(20000, function() return #seen >= count end), vim.inspect(seen))
        end
        vim.bo.filetype = "sh"
      ]] .. code, options)
    end

    it("runs the buffer", function()
      prints_with_plugin("$ /bin/sh -s|hello|[exit code 3, T]", [[
        set("echo hello", "exit 3")
        vim.cmd("Contree run")
        io.write(output())
      ]])
    end)

    it("runs a selection", function()
      prints_with_plugin("$ /bin/sh -s|two|[exit code 0, T]", [[
        set("echo one", "echo two", "echo three")
        vim.cmd("2Contree run")
        io.write(output())
      ]])
    end)

    it("obeys #!, and highlights standard error", function()
      prints_with_plugin("$ /bin/cat -|#!/bin/cat -|oh|[exit code 0, T] ContreeSummary", [[
        vim.bo.filetype = ""
        set("#!/bin/cat -", "oh")
        vim.cmd("Contree run")
        io.write(output(), " ")
        local space = vim.api.nvim_get_namespaces().contree
        local buffer = vim.fn.bufnr("contree://output")
        for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(buffer, space, { 2, 0 }, -1,
            { details = true })) do
          io.write(mark[4].hl_group)
        end
      ]])
    end)

    it("shows what comes before the end", function()
      prints_with_plugin("$ /bin/sh -s|err|", [[
        set("echo err >&2", "sleep 30")
        vim.cmd("Contree run")
        io.write(buffer_text("contree://output", "err"))
      ]])
      assert.are.equal(0, place:running())
    end)

    it("follows only a cursor that is at the last line", function()
      prints_with_plugin("7 2", [[
        set("echo 1; echo 2; sleep 0.5; echo 3; echo 4; echo 5")
        local function cursor(row)
          vim.cmd("Contree run")
          buffer_text("contree://output", "2|")
          local window = vim.fn.bufwinid("contree://output")
          if row then vim.api.nvim_win_set_cursor(window, { row, 0 }) end
          output()
          local last = vim.api.nvim_win_get_cursor(window)[1]
          vim.cmd("bwipeout! contree://output")
          return last
        end
        io.write(cursor(), " ", cursor(2))
      ]])
    end)

    it("remembers, goes back, and keeps its session when an image is not there", function()
      prints_with_plugin("1 2 contree: back to before the last run 1", [[
        local function count()
          set("echo x >> /log", "wc -l < /log")
          vim.cmd("Contree run")
          vim.wait(100)
          io.write(output():match("|(%d+)|"), " ")
          vim.cmd("bwipeout! contree://output")
        end
        count()
        told()
        count()
        vim.cmd("Contree run tag:no-such:image")
        assert(output():find("no image has the tag"), output())
        vim.cmd("bwipeout! contree://output")
        vim.cmd("Contree rollback")
        wait_told(1)
        io.write(seen[1], " ")
        set("wc -l < /log")
        vim.cmd("Contree run")
        io.write(output():match("|(%d+)|"))
      ]])
    end)

    it("stops a run, and tells of what cannot be", function()
      prints_with_plugin(table.concat({
        "contree: nothing has run yet",
        'contree: how is "cobol" run? Begin the text with #!, or see :help contree-setup',
        "contree: there is no :Contree rnu; there are apply, branch, changes, checkout, log, on, "
          .. "review, rollback, run, stop, undo",
        "contree: a run is under way; :Contree stop ends it",
        "$ /bin/sh -s|[contree: the task was cancelled]",
      }, "\n"), [[
        told()
        vim.cmd("Contree rollback")
        wait_told(1)
        vim.bo.filetype = "cobol"
        vim.cmd("Contree run")
        vim.cmd("Contree rnu")
        vim.bo.filetype = "sh"
        set("sleep 30")
        vim.cmd("Contree run")
        vim.cmd("Contree run")
        vim.wait(300)
        vim.cmd("Contree stop")
        io.write(table.concat(seen, "\n"), "\n", output())
      ]])
    end)

    it("shows branches as a tree, and goes to them", function()
      prints_with_plugin("* 1 start|* 2 /bin/sh -s (main)|@ 3 /bin/sh -s (other) main", [[
        told()
        set("touch /a")
        vim.cmd("Contree run")
        output()
        vim.cmd("Contree branch other")
        wait_told(1)
        set("touch /b")
        vim.cmd("bwipeout! contree://output")
        vim.cmd("Contree run")
        output()
        vim.cmd("Contree log")
        io.write(buffer_text("contree://log", "other"), " ")
        vim.cmd("normal 2G\13")
        buffer_text("contree://log", "@ 2")
        io.write(require("contree.nvim.run").session().branch_name)
      ]])
    end)

    it("works on the folder, and brings hunks home", function()
      local folder = place.directory .. "/project"
      os.execute(("mkdir %s && cd %s && git init -q && seq 30 >numbers && echo keep >other")
        :format(folder, folder))
      prints_with_plugin("done", ([[
        vim.cmd("cd %s")
        vim.o.shortmess = "aoOtTWF" -- Neovim says nothing of files
        told()
        vim.cmd("Contree on sed -i 's/^2$/two/; s/^29$/late/' numbers; echo new > made")
        output()
        vim.cmd("Contree changes")
        local patch = buffer_text("contree://changes", "late")
        assert(patch:find("+two|", 1, true), patch)
        for _ = 1, 3 do vim.fn.search("^@@") end -- after that of "made", the second of "numbers"
        vim.cmd("normal a")
        wait_told(1)
        local text = table.concat(vim.fn.readfile("numbers"), " ")
        assert(text:find("1 2 3") and text:find("28 late 30"), text)
        assert(vim.fn.filereadable("made") == 0)
        vim.cmd("Contree undo")
        wait_told(2)
        assert(table.concat(vim.fn.readfile("numbers"), " "):find("28 29 30"))
        vim.cmd("Contree review numbers")
        assert(vim.wait(20000, function() return vim.fn.tabpagenr("$") == 2 end))
        assert(vim.wo.diff and vim.fn.winnr("$") == 2)
        vim.cmd("normal gg]cdo")
        vim.cmd("silent write | tabclose!")
        assert(table.concat(vim.fn.readfile("numbers"), " "):find("1 two 3"))
        vim.cmd("Contree apply made")
        wait_told(3)
        assert(vim.fn.readfile("made")[1] == "new")
        io.write("done")
      ]]):format(folder))
    end)

    it("completes", function()
      prints_with_plugin("rollback run busybox:latest", [[
        io.write(table.concat(vim.fn.getcompletion("Contree r", "cmdline"), " ", 2, 3), " ")
        io.write(table.concat(vim.fn.getcompletion("Contree run busy", "cmdline"), " "))
      ]])
    end)

    it("has help and a health check", function()
      local output, status = nvim([[
        vim.cmd("help contree")
        io.write(vim.fn.expand("%:t"), " ")
        vim.cmd("help :Contree-rollback")
        vim.cmd("checkhealth contree")
        io.write(table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n"))
      ]], options)
      assert.matches("^contree.txt ", output)
      assert.matches("OK:? contree %S+, driven by nvim", output)
      assert.matches("OK:? contree.Client%(unix:%S+%) answers", output)
      assert.is_nil(output:find("ERROR", 1, true))
      assert.are.equal(0, status)
    end)
  end)
end)
