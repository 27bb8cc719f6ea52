-- The Neovim plugin in a folder that somebody else wrote, and with what a hostile sandbox leaves:
-- names that are commands to an editor, patches that look like another one, output that steers.
local disk = require("spec.support.disk")
local neovim = require("spec.support.neovim")

describe("the Neovim plugin, among the hostile,", function()
  local editor, place, canary, count

  setup(function()
    editor = neovim.place()
    place, count = editor.place, 0
    canary = place.directory .. "/canary"
  end)
  teardown(function() editor:stop() end)
  after_each(function() assert.is_nil(disk.peek(canary)) end)

  local function new_folder()
    count = count + 1
    local folder = ("%s/hostile-%d"):format(place.directory, count)
    os.execute(("mkdir %s && cd %s && git init -q && seq 30 >numbers && echo keep >other")
      :format(folder, folder))
    return folder
  end

  -- What the code prints, in a new folder or the one that is named. It finds `canary`, the text of
  -- the changes, and rows in it.
  local function prints(wanted, code, folder)
    assert.are.same({ wanted, 0 }, { editor:run(neovim.PLUGIN .. ([[
      vim.cmd("cd %s")
      vim.o.shortmess = "aoOtTWF" -- Neovim says nothing of files
      local canary = %q
      told()
      local function lines(path) return table.concat(vim.fn.readfile(path), " ") end
      local function changes(pattern)
        vim.cmd("Contree changes")
        return buffer_text("contree://changes", pattern)
      end
      local function go_to(text)
        vim.fn.cursor(1, 1)
        assert(vim.fn.search("\\V" .. vim.fn.escape(text, "\\"), "cW") > 0, text)
      end
    ]]):format(folder or new_folder(), canary) .. code, editor:with_plugin()) })
  end

  it("runs no module of the folder where it is", function()
    local folder = new_folder()
    os.execute("mkdir -p " .. folder .. "/contree/nvim")
    for _, name in ipairs{ "cjson", "contree", "contree/core", "contree/init", "contree/nvim/init",
      "luv", "health", "nio", "mcphub" } do
      disk.write(("%s/%s.lua"):format(folder, name), ("io.open(%q, 'w'):close() error('evil')")
        :format(canary))
    end
    -- As where nothing says where modules are: the folder comes first.
    prints("hello", [[
      assert(package.path:find("./?.lua", 1, true) and package.cpath:find("./?.so", 1, true))
      vim.cmd("Contree on echo hello")
      io.write(output():match("|(%w+)|"))
      -- What is needed later, and what is installed nowhere else.
      package.loaded.cjson, package.loaded["contree.base.json"] = nil, nil
      assert(require("contree.base.json").encode({ 1 }) == "[1]")
      local function fails(wanted, ...)
        local ok, err = pcall(...)
        assert(not ok and tostring(err):find(wanted, 1, true), tostring(err))
      end
      fails("module 'mcphub' not found", require("contree.nvim.mcphub").setup)
      fails("module 'nio' not found", require("contree.nvim.neotest"), { command = { "true" } })
      fails("module 'contree.health.none' not found", require, "contree.health.none")
    ]], folder)
  end)

  it("leaves the editor's paths as they are, so that others find what is in the folder", function()
    local folder = new_folder()
    disk.write(folder .. "/theirs.lua", "return 'theirs'")
    assert.are.same({ "same theirs", 0 }, { editor:run(neovim.PLUGIN .. ([[
      vim.cmd("cd %s")
      told()
      vim.cmd("Contree on echo hello")
      output()
      pcall(require("contree.nvim.mcphub").setup) -- is not found
      io.write(package.path .. package.cpath == _G.paths and "same " or "other ", require("theirs"))
    ]]):format(folder), "--cmd 'lua paths = package.path .. package.cpath' "
      .. editor:with_plugin()) })
  end)

  it("hands the line on as it is typed", function()
    prints("% # $HOME `x` <cword> | lua nothing()", [[
      vim.cmd("Contree on printf '%s ' '%' '#' '$HOME' '`x`' '<cword>' '| lua nothing()'")
      io.write((output():match("|(%% .-) ?|%[exit")))
    ]])
  end)

  it("executes no name of a file", function()
    prints("done", [=[
      local names = { "a\nlua io.open(canary, 'w'):close()", "b | lua io.open(canary, 'w'):close()",
        "`touch canary`", "%", "#", "$HOME", "*", "+lua io.open(canary, 'w'):close()", "-rf", "~",
        "c\27[31m\7", "d\255", "back\\slash", "'quoted\"", "++enc=x", "sp ace\t", "\195\169" }
      _G.canary = canary
      local script = {}
      for i, name in ipairs(names) do
        script[i] = ("printf '%d\\n' >./%s"):format(i, vim.fn.shellescape(name, false))
      end
      require("contree.nvim.task").run(function()
        require("contree.nvim.folder").in_turn(function(workspace)
          workspace:run{ command = "sh", stdin = table.concat(script, "\n"), check = true }
        end)
        seen[1] = "ran"
      end)
      wait_told(1)
      assert(seen[1] == "ran", seen[1])
      local folder = require("contree.nvim.folder")
      changes("new file")
      for i, name in ipairs(names) do
        -- by the content, which only this file has
        vim.fn.cursor(1, 1)
        assert(vim.fn.search("^+" .. i .. "$") > 0, name)
        local tabs = vim.fn.tabpagenr("$")
        vim.cmd("execute \"normal \\<CR>\"")
        assert(vim.wait(20000, function() return vim.fn.tabpagenr("$") == tabs + 1 end), name)
        assert(vim.api.nvim_buf_get_name(0) == vim.fn.getcwd() .. "/" .. name,
          vim.api.nvim_buf_get_name(0))
        vim.cmd("wincmd l")
        assert(vim.fn.getline(1) == tostring(i), name)
        vim.cmd("tabclose")
        local buffer = vim.api.nvim_get_current_buf()
        local tick = vim.api.nvim_buf_get_changedtick(buffer)
        vim.cmd("normal A")
        wait_told(i + 1)
        assert(lines(name) == tostring(i), name .. ": " .. seen[i + 1])
        assert(vim.wait(20000, function() -- until the changes are shown anew, or there are none
          return vim.api.nvim_buf_get_changedtick(buffer) ~= tick or #seen > #names + 1
        end))
      end
      io.write("done")
    ]=])
  end)

  it("brings home what is under the cursor, whatever it looks like", function()
    prints("1 keep evil", [=[
      vim.cmd("Contree on " .. [[sed -i s/^1$/one/ numbers; echo evil >other; rm numbers; ]]
        .. [[printf 'diff --git a/other b/other\n@@ -1,1 +1,1 @@\n-keep\n+evil\n' >fake; ]]
        .. [[for d in "$(printf 'x\ndiff --git a/other b/other\n@@ -1 +1 @@')" ]]
        .. [["$(printf '.vscode/y\ndiff --git a/other b/other')"; do ]]
        .. [[mkdir -p "${d%/*}"; echo 2 >"$d"; done; seq 30 >numbers]])
      output()
      changes("new file")
      for row = 1, vim.fn.line("$") do
        assert(not vim.fn.getline(row):find("^diff %-%-git a/other b/other") or
          vim.fn.getline(row + 1):find("^%-%-%- a/other"), vim.fn.getline(row))
      end
      go_to("+diff --git a/other b/other")
      vim.cmd("normal a")
      wait_told(1)
      assert(lines("fake"):find("^diff .*evil$"), seen[1])
      changes("new file")
      go_to("x\\ndiff")
      vim.cmd("normal A")
      wait_told(2)
      io.write(lines("numbers"):match("^%d"), " ", lines("other"), " ")
      changes("b/other")
      assert(vim.fn.search("^diff --git a/other b/other$", "cw") > 0)
      vim.cmd("normal A")
      wait_told(3)
      io.write(lines("other"))
    ]=])
  end)

  it("brings home what was seen, and not what came after", function()
    prints("28 29 30|28 late 30", [[
      vim.cmd("Contree on sed -i 's/^2$/two/; s/^29$/late/' numbers")
      output()
      changes("late")
      vim.fn.search("^@@")
      vim.fn.search("^@@")
      vim.cmd("bwipeout! contree://output")
      vim.cmd("Contree on sed -i 's/^late$/evil/' numbers")
      output()
      vim.fn.win_gotoid(vim.fn.bufwinid("contree://changes"))
      vim.cmd("normal a")
      wait_told(1)
      assert(seen[1]:find("numbers has changed in the sandbox since it was shown"), seen[1])
      io.write(lines("numbers"):sub(-8), "|")
      assert(buffer_text("contree://changes", "evil"))
      vim.cmd("bwipeout! contree://output")
      vim.cmd("Contree on sed -i 's/^evil$/late/' numbers")
      output()
      vim.fn.win_gotoid(vim.fn.bufwinid("contree://changes"))
      vim.cmd("normal R")
      buffer_text("contree://changes", "late")
      vim.fn.cursor(1, 1)
      vim.fn.search("^@@")
      vim.fn.search("^@@")
      vim.cmd("normal a")
      wait_told(2)
      io.write(lines("numbers"):sub(-10))
    ]])
  end)

  it("goes to no branch that a command's words name", function()
    prints("other", [[
      vim.fn.input = function() return "mine" end
      set("touch /a")
      vim.cmd("Contree run")
      output()
      vim.cmd("Contree branch other")
      wait_told(1)
      vim.cmd("bwipeout! contree://output")
      vim.bo.filetype = ""
      set("#!/bin/touch (main)")
      vim.cmd("Contree run")
      output()
      vim.cmd("bwipeout! contree://output")
      set("#!/bin/touch /c")
      vim.cmd("Contree run")
      output()
      vim.cmd("Contree log")
      buffer_text("contree://log", "/c")
      go_to("touch (main)")
      vim.cmd("execute \"normal \\<CR>\"")
      buffer_text("contree://log", "mine")
      local session = require("contree.nvim.run").session()
      assert(session.branch_name == "mine", session.branch_name)
      io.write("other")
    ]])
  end)

  it("shows output that steers as text, and obeys no modeline in it", function()
    prints("done", [=[
      vim.o.modeline, vim.o.modelines = true, 5
      local line = "vim: set filetype=lua textwidth=33 makeprg=evil: "
      vim.cmd("Contree on printf 'nul\\000 esc\\033[31m\\033]0;x\\007 \\377 cr\\r\\n" .. line
        .. "\\n'; printf '" .. line .. "\\n' >other; printf '" .. line .. "\\n' >fresh")
      local shown = output()
      assert(shown:find("esc\27[31m\27]0;x\7 \255 cr\r", 1, true), shown)
      local buffer = vim.fn.bufnr("contree://output")
      assert(vim.bo[buffer].filetype == "contree" and vim.bo[buffer].textwidth == 0)
      changes("fresh")
      assert(vim.bo.filetype == "diff" and vim.bo.textwidth == 0 and not vim.bo.modifiable)
      for i, name in ipairs{ "other", "fresh" } do
        vim.cmd("Contree review " .. name)
        assert(vim.wait(20000, function() return vim.fn.tabpagenr("$") == 2 end), seen[1])
        vim.cmd("wincmd l")
        assert(vim.fn.getline(1) == vim.trim(line) .. " ", vim.fn.getline(1))
        assert(vim.bo.textwidth == 0 and vim.bo.filetype == "" and not vim.bo.swapfile)
        assert(vim.bo.buftype == "nofile")
        vim.cmd("tabclose")
      end
      assert(vim.o.makeprg == "make")
      assert(#vim.fn.glob(".*.sw?", true, true) == 0)
      io.write("done")
    ]=])
  end)

  it("tells of names without what steers, a line for each", function()
    prints("contree: wrote a?[31m?wrote lies|wrote b", [=[
      vim.cmd("Contree on echo 1 >\"$(printf 'a\\033[31m\\nwrote lies')\"; echo 1 >b")
      output()
      vim.cmd("Contree apply")
      wait_told(1)
      io.write((seen[1]:gsub("\n", "|")))
    ]=])
  end)

  it("leaves alone what is outside of the folder", function()
    local folder = new_folder()
    os.execute(("mkdir %s-out; echo host >%s-out/f; ln -s ../%s-out %s/way"):format(folder, folder,
      folder:match("[^/]*$"), folder))
    prints("host", ([[
      vim.cmd("Contree on rm way; mkdir way; echo evil >way/f; ln -s %s-out/f link; echo 1 >new")
      output()
      changes("new file")
      os.execute("rm -rf way; ln -s ../$(basename $PWD)-out way")
      go_to("b/way/f")
      vim.cmd("normal A")
      wait_told(1)
      vim.cmd("Contree apply ../" .. vim.fn.fnamemodify(vim.fn.getcwd(), ":t") .. "-out/f")
      wait_told(2)
      vim.cmd("Contree! apply")
      wait_told(3)
      io.write(lines("%s-out/f"))
    ]]):format(folder, folder), folder)
    assert.are.equal("f\n", disk.capture("ls -A " .. folder .. "-out"))
  end)
end)
