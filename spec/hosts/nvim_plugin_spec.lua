-- :Contree and its subcommands, in a headless Neovim.
local host = require("spec.support.host")
local neovim = require("spec.support.neovim")

describe("the Neovim plugin", function()
  local editor, place

  setup(function()
    editor = neovim.place()
    place = editor.place
  end)
  teardown(function() editor:stop() end)

  local function prints_with_plugin(wanted, code)
    assert.are.same({ wanted, 0 }, { editor:run(neovim.PLUGIN .. code, editor:with_plugin()) })
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

  it("says what to do when the image lacks the command", function()
    os.execute("mkdir " .. place.directory .. "/lacking")
    prints_with_plugin("exit code 127, T; :Contree run IMAGE runs it in another image "
        .. "exit code 127, T; :Contree begin IMAGE takes another image", ([[
      vim.cmd("cd %s")
      set("#!/usr/bin/no-such-program")
      vim.cmd("Contree run")
      io.write(output():match("%%[(.*)%%]$"), " ")
      vim.cmd("bwipeout! contree://output")
      vim.cmd("Contree on no-such-program")
      io.write(output():match("%%[(.*)%%]$"))
    ]]):format(place.directory .. "/lacking"))
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
      "contree: nothing has run yet with :Contree run (:Contree! rollback is for what ran on the "
        .. "folder)",
      'contree: how is "cobol" run? Begin the text with #!, or see :help contree-setup',
      "contree: there is no :Contree rnu; did you mean run?",
      "contree: :Contree takes a subcommand; there are apply, begin, branch, changes, checkout, "
        .. "log, on, review, rollback, run, shell, stop, undo",
      "contree: a run is under way; :Contree stop ends it",
      "$ /bin/sh -s|[stopped]",
    }, "\n"), [[
      told()
      vim.cmd("Contree rollback")
      wait_told(1)
      vim.bo.filetype = "cobol"
      vim.cmd("Contree run")
      vim.cmd("Contree rnu")
      vim.cmd("Contree")
      vim.bo.filetype = "sh"
      set("sleep 30")
      vim.cmd("Contree run")
      vim.cmd("Contree run")
      vim.wait(300)
      vim.cmd("Contree stop")
      io.write(table.concat(seen, "\n"), "\n", output())
    ]])
  end)

  -- Numbers take four columns; newer Neovims show none beside a terminal.
  it("opens a shell that knows its window's size, and tells how it ended", function()
    local setup = place:write("setup.lua", [[vim.o.number = true; vim.o.swapfile = false]])
    local steps = place:write("steps", table.concat({
      [=[["type", ":Contree shell\r"]]=], [=[["await", "/ #"]]=],
      [=[["type", "echo size-$(stty size | tr ' ' x)\r"]]=], [=[["await", "size-14x(66|70)"]]=],
      [=[["type", "\u001c\u000e:resize 9 | startinsert\r"]]=],
      [=[["type", "sleep 1; echo size-$(stty size | tr ' ' x)\r"]]=],
      [=[["await", "size-9x(66|70)"]]=],
      [=[["resize", 28, 60]]=],
      [=[["type", "sleep 1; echo size-$(stty size | tr ' ' x)\r"]]=],
      [=[["await", "size-[0-9]+x(56|60)"]]=],
      [=[["type", "touch /kept; exit 3\r"]]=], [=[["await", "exit code 3, [^\n]*, changed\\]"]]=],
      [=[["type", "\r"]]=], [=[["await", "lines.sh"]]=],
      [=[["type", ":Contree run\r"]]=], [=[["await", "only-[^k]*kept[^\n]*"]]=],
      [=[["type", ":qa!\r"]]=],
    }, "\n") .. "\n")
    local script = place:write("lines.sh", "echo only-; ls /kept\n")
    local output = place:run("luajit", ("TERM=xterm python3 %s/spec/support/typist.py 30 70 "
      .. "nvim -u NONE -i NONE -n %s -c 'luafile %s' -c 'set ft=sh' %s < %s"):format(host.root,
        editor:with_plugin(), setup, script, steps))
    assert.are.equal("0 restored", output:match("([^\n]*)\n$"))
  end)

  it("ends a shell with its buffer, and keeps what was changed in it", function()
    prints_with_plugin("$ /bin/sh -s|kept|[exit code 0, T]", [[
      local opened = require("contree.nvim.shell").open{}
      assert(vim.wait(20000, function() return opened.process end))
      opened.process.stdin:write("echo kept > /file; echo do''" .. "ne\r")
      buffer_text("contree://shell/1/session", "done")
      vim.cmd("bwipeout! " .. opened.buffer)
      assert(vim.wait(20000, function() return opened.over end))
      set("cat /file || echo none")
      vim.cmd("Contree run")
      io.write(output())
    ]])
    assert.are.equal(0, place:running())
  end)

  it("goes on after a shell of the folder that Neovim was left with", function()
    local folder = place.directory .. "/left"
    os.execute(("mkdir %s && cd %s && git init -q && seq 3 >numbers"):format(folder, folder))
    prints_with_plugin("", ([[
      vim.cmd("cd %s")
      local opened = require("contree.nvim.shell").open{ of_folder = true }
      assert(vim.wait(20000, function() return opened.process end))
      opened.process.stdin:write("echo kept > /file; echo do''" .. "ne\r")
      buffer_text("contree://shell/1/folder", "done")
    ]]):format(folder))
    assert.are.equal(0, place:running())
    prints_with_plugin("kept", ([[
      vim.cmd("cd %s")
      vim.cmd("Contree on cat /file")
      io.write(output():match("|(kept)|") or output())
    ]]):format(folder))
  end)

  it("stops what runs on the folder, whoever has started it", function()
    local folder = place.directory .. "/held"
    os.execute(("mkdir %s && cd %s && git init -q && seq 3 >numbers"):format(folder, folder))
    prints_with_plugin("contree: nothing runs|contree: stopped what ran on the folder", ([[
      vim.cmd("cd %s")
      told()
      vim.cmd("Contree stop")
      wait_told(1)
      local workspace
      require("contree").async(function()
        workspace = require("contree.nvim.folder").workspace()
        workspace:start("sleep 60")
      end)
      vim.cmd("Contree stop")
      wait_told(2)
      io.write(table.concat(seen, "|"))
    ]]):format(folder))
    assert.are.equal(0, place:running())
  end)

  it("says in a shell's buffer why there is none, and the session stays", function()
    prints_with_plugin("kept", [[
      set("echo kept > /file")
      vim.cmd("Contree run")
      output()
      vim.cmd("Contree shell tag:no-such:image")
      local text = buffer_text("contree://shell/1/tag:no-such:image", "no image has the tag")
      assert(text:find("[contree: ", 1, true), text)
      vim.cmd("bwipeout!")
      vim.cmd("bwipeout! contree://output")
      set("cat /file")
      vim.cmd("Contree run")
      io.write(output():match("|(kept)|"))
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

  it("brings the list of changes up to date, and leaves the user where that is now", function()
    local folder = place.directory .. "/elsewhere"
    os.execute(("mkdir %s && cd %s && git init -q && echo 1 >one && echo 1 >two"):format(folder,
      folder))
    prints_with_plugin("1 two", ([[
      vim.cmd("cd %s")
      told()
      vim.cmd("Contree on echo 2 > one; echo 2 > two")
      output()
      vim.cmd("Contree changes")
      buffer_text("contree://changes", "two")
      vim.fn.search("+++ b/one")
      vim.cmd("normal A")
      vim.cmd("tabnew two")
      local buffer = vim.fn.bufnr("contree://changes")
      assert(vim.wait(20000, function()
        local lines = vim.api.nvim_buf_get_lines(buffer, 0, -1, false)
        return not table.concat(lines, " "):find("b/one", 1, true)
      end))
      io.write(vim.fn.winnr("$"), " ", vim.fn.expand("%%:t"))
    ]]):format(folder))
  end)

  it("shows no file as empty that is nowhere, or cannot be read", function()
    local folder = place.directory .. "/unread"
    os.execute(("mkdir %s && cd %s && git init -q && echo keep >kept"):format(folder, folder))
    prints_with_plugin("done", ([[
      vim.cmd("cd %s")
      told()
      vim.cmd("Contree on echo new > made; rm kept; echo x > run; chmod +x run")
      output()
      vim.cmd("Contree review kpet")
      wait_told(1)
      assert(seen[1]:find("/unread nor the sandbox has kpet", 1, true), seen[1])
      local folder = require("contree.nvim.folder")
      local workspace = folder.workspace
      folder.workspace = function()
        return { path = vim.fn.getcwd(), at = "/w", read = function()
          require("contree.base.errors").raise("connection", "gone")
        end }
      end
      vim.cmd("Contree review kept")
      wait_told(2)
      assert(seen[2] == "contree: gone", seen[2])
      assert(vim.fn.tabpagenr("$") == 1)
      folder.workspace = workspace
      for _, path in ipairs{ "kept", "made" } do -- each is on one side only
        vim.cmd("Contree review " .. path)
        assert(vim.wait(20000, function() return vim.fn.tabpagenr("$") == 2 end), seen[3])
        vim.cmd("tabclose")
      end
      vim.cmd("Contree apply")
      wait_told(3)
      assert(seen[3]:find(":Contree! apply, brings what is risky home", 1, true), seen[3])
      io.write("done")
    ]]):format(folder))
  end)

  it("takes paths as they are completed, below the folder", function()
    local folder = place.directory .. "/upper"
    os.execute(("mkdir -p %s/lower && cd %s && git init -q && echo 1 >lower/one && echo 1 >one")
      :format(folder, folder))
    prints_with_plugin("2 1 2", ([[
      vim.cmd("cd %s")
      told()
      vim.cmd("Contree on echo 2 > lower/one; echo 2 > one; echo 2 > lower/two")
      output()
      vim.cmd("cd lower")
      vim.cmd("Contree review one")
      assert(vim.wait(20000, function() return vim.fn.tabpagenr("$") == 2 end), seen[1])
      assert(vim.fn.expand("%%:p"):find("/lower/one$"), vim.fn.expand("%%:p"))
      vim.cmd("tabclose")
      vim.cmd("cd %s/lower")
      vim.cmd("Contree changes")
      buffer_text("contree://changes", "b/one")
      vim.fn.search("^diff .* b/one$")
      vim.cmd("execute \"normal \\<CR>\"")
      assert(vim.wait(20000, function() return vim.fn.tabpagenr("$") == 2 end), seen[1])
      assert(vim.fn.expand("%%:p"):find("/upper/one$"), vim.fn.expand("%%:p"))
      vim.cmd("tabclose")
      vim.cmd("Contree apply one")
      wait_told(1)
      vim.cmd("Contree apply lower/two") -- not here yet: as the patch has it
      wait_told(2)
      io.write(vim.fn.readfile("one")[1], " ", vim.fn.readfile("../one")[1], " ",
        vim.fn.readfile("two")[1])
    ]]):format(folder, folder))
  end)

  it("begins the folder anew with another image, and loses nothing unless it is told to", function()
    local folder = place.directory .. "/anew"
    os.execute(("mkdir %s && cd %s && git init -q && seq 3 >numbers"):format(folder, folder))
    place.client.images:use("busybox:latest")
      :run{ shell = "echo other > /other", tag = "other:1", disposable = false }
    prints_with_plugin("1 change did not come home "
        .. "no image has the tag begins with other:1 1 other", ([[
      vim.cmd("cd %s")
      told()
      vim.cmd("Contree on echo x > made")
      output()
      vim.cmd("Contree begin other:1")
      wait_told(1)
      io.write(seen[1]:match("contree: ([^(]*)%%(.+%%)$"))
      vim.cmd("Contree! begin tag:no-such:image")
      wait_told(2)
      io.write(seen[2]:match("no image has the tag"), " ")
      vim.cmd("Contree! begin other:1")
      wait_told(3)
      io.write(seen[3]:match("begins with.*"), " ")
      vim.cmd("bwipeout! contree://output")
      vim.cmd("Contree on ls | wc -l; cat /other")
      io.write((output():match("|(%%d.*)|%%["):gsub("|", " ")))
    ]]):format(folder))
  end)

  it("puts the cursor of the log where the session is", function()
    prints_with_plugin("@ 2", [[
      set("touch /a")
      vim.cmd("Contree run")
      output()
      vim.cmd("Contree log")
      buffer_text("contree://log", "main")
      io.write(vim.api.nvim_get_current_line():sub(1, 3))
    ]])
  end)

  it("refuses settings that are none", function()
    prints_with_plugin("done", [[
      local setup = require("contree.nvim").setup
      for words, settings in pairs{
        ['does not know the option "imgae" (did you mean "image"?)'] = { imgae = "x" },
        ["timeout must be a number of seconds above 0, got a string"] = { timeout = "long" },
        ["height must be an integer from 1 to 10000, got a string"] = { height = "tall" },
        ["a map whose sh is a list of strings, got a string"] = { interpreters = { sh = "sh" } },
      } do
        local ok, err = pcall(setup, settings)
        assert(not ok and tostring(err):find(words, 1, true), tostring(err))
      end
      setup{ interpreters = { sh = { "/bin/cat" } }, timeout = 5, height = 3 }
      set("echo")
      vim.cmd("Contree run")
      assert(output():find("$ /bin/cat|echo|", 1, true))
      io.write("done")
    ]])
  end)

  it("has tools for agents, which take null for what is not given", function()
    local folder = place.directory .. "/tools"
    os.execute(("mkdir %s && cd %s && git init -q && seq 3 >numbers"):format(folder, folder))
    prints_with_plugin("before the last run;before the last 2 runs;made", ([[
      vim.cmd("cd %s")
      local tools = require("contree.nvim.tools")
      local function call(name, given)
        local words
        for _, tool in ipairs(tools.list) do
          if tool.name == name then
            tools.start(tool, given, {
              done = function(text) words = text end,
              failed = function(text) words = "failed: " .. text end,
            })
          end
        end
        assert(vim.wait(20000, function() return words end))
        assert(not words:find("^failed"), words)
        return words
      end
      for i = 1, 4 do
        call("workspace_run", { command = "echo " .. i .. " >made", image = vim.NIL,
          timeout = vim.NIL, prefer = vim.NIL })
      end
      io.write(call("workspace_rollback", { runs = vim.NIL }):match("before.*"), ";")
      io.write(call("workspace_rollback", { runs = 2 }):match("before.*"), ";")
      call("workspace_apply", { only = {}, risky = false })
      io.write(vim.fn.readfile("made")[1] == "1" and "made" or "not made")
    ]]):format(folder))
  end)

  it("completes", function()
    prints_with_plugin("rollback run busybox:latest main", [[
      io.write(table.concat(vim.fn.getcompletion("Contree r", "cmdline"), " ", 2, 3), " ")
      io.write(table.concat(vim.fn.getcompletion("Contree run busy", "cmdline"), " "), " ")
      set("true")
      vim.cmd("Contree run")
      output()
      io.write(table.concat(vim.fn.getcompletion("Contree checkout ", "cmdline"), " "))
    ]])
  end)

  it("can be loaded by its first command, as plugin managers do it", function()
    assert.are.same({ "$ /bin/sh -s|two|[exit code 0]", 0 }, { editor:run(([[
      local spec = dofile(%q .. "/lazy.lua")
      assert(spec[1] == "contree" and spec.build == "make nvim")
      vim.api.nvim_create_user_command(spec.cmd, function(given)
        vim.api.nvim_del_user_command(spec.cmd)
        vim.opt.rtp:append(%q)
        vim.cmd("runtime! plugin/contree.lua")
        vim.cmd(("%%d,%%d%%s %%s"):format(given.line1, given.line2, spec.cmd, given.args))
      end, { nargs = "*", range = true, bang = true })
      vim.bo.filetype = "sh"
      vim.api.nvim_buf_set_lines(0, 0, -1, false, { "echo one", "echo two" })
      vim.cmd("2Contree run")
      local text
      assert(vim.wait(20000, function()
        local buffer = vim.fn.bufnr("contree://output")
        if buffer == -1 then return false end
        text = table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "|")
        return text:find("exit code")
      end))
      io.write((text:gsub(", %%d+%%.%%d+ s", "")))
    ]]):format(host.root, host.root)) })
  end)

  it("says what to do when the module is not built", function()
    local output, status = editor:run([[
      for name in pairs(package.loaded) do
        if name:find("^contree") then package.loaded[name] = nil end
      end
      local cpath, told = package.cpath, {}
      package.cpath = ""
      vim.notify = function(text) told[#told + 1] = text end
      vim.cmd("Contree run")
      vim.cmd("Contree run")
      package.cpath = cpath
      io.write(table.concat(told, "\n"), " ")
      vim.cmd("Contree rnu")
      io.write(told[3]:match("there is no :Contree rnu"))
    ]], editor:with_plugin())
    assert.are.equal(0, status)
    local words = "contree: module 'contree.core' not found (make nvim, in the plugin's directory, "
      .. "builds what it needs; :checkhealth contree)"
    assert.are.equal(words .. "\n" .. words .. " there is no :Contree rnu", output)
  end)

  it("has help and a health check", function()
    local output, status = editor:run([[
      vim.cmd("help contree")
      io.write(vim.fn.expand("%:t"), " ")
      vim.cmd("help :Contree-rollback")
      vim.cmd("checkhealth contree")
      io.write(table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), "\n"))
    ]], editor:with_plugin())
    assert.matches("^contree.txt ", output)
    assert.matches("OK:? contree %S+, driven by nvim", output)
    assert.matches("OK:? contree.Client%(unix:%S+%) answers", output)
    assert.is_nil(output:find("ERROR", 1, true))
    assert.are.equal(0, status)
  end)
end)
