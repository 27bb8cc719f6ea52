-- What the Neovim plugin has for other plugins, with stand-ins for those.
local disk = require("spec.support.disk")
local host = require("spec.support.host")
local neovim = require("spec.support.neovim")

describe("for other plugins of Neovim", function()
  local editor, place, count

  setup(function()
    editor = neovim.place()
    place, count = editor.place, 0
  end)
  teardown(function() editor:stop() end)

  -- Runs code in a new folder with a file of three lines.
  local function prints(wanted, code)
    count = count + 1
    local folder = ("%s/project-%d"):format(place.directory, count)
    os.execute(("mkdir %s && cd %s && git init -q && seq 3 >numbers"):format(folder, folder))
    assert.are.same({ wanted, 0 }, { editor:run(neovim.PLUGIN .. ([[
      vim.cmd("cd %s")
      vim.o.shortmess = "aoOtTWF" -- Neovim says nothing of files
      local plugins = require("spec.support.editor_plugins")
      local function await(what) assert(vim.wait(20000, what), "in vain") end
      local function said(call)
        await(function() return call.told[1] end)
        return (call.told[1]:gsub("%%d+%%.%%d+ s", "T"))
      end
      local function lines(path) return table.concat(vim.fn.readfile(path), " ") end
    ]]):format(folder) .. code, editor:with_plugin()) })
  end

  describe("codecompanion", function()
    local CALL = [[
      require("codecompanion._extensions.contree").setup{ run_command = true }
      local function call(...) return plugins.codecompanion_call(...) end
    ]]

    it("gets the tools as a group, and asks before files of the user are written", function()
      prints("workspace_run,workspace_changes,workspace_apply,workspace_undo,workspace_rollback "
        .. "workspace_apply workspace_undo", CALL .. [[
        local chat = require("codecompanion.config").interactions.chat
        local names = chat.tools.groups.contree.tools
        io.write(table.concat(names, ","))
        for _, name in ipairs(names) do
          local tool = chat.tools[name].callback()
          local schema = tool.schema["function"]
          assert(schema.name == name and #schema.description > 30)
          assert(vim.json.decode(vim.json.encode(schema.parameters)).properties)
          if chat.tools[name].opts.require_approval_before then io.write(" ", name) end
        end
      ]])
    end)

    it("runs, shows, applies and takes back", function()
      prints("done", CALL .. [[
        local words = said(call("workspace_run",
          { command = "sed -i s/2/two/ numbers; echo made; echo oh >&2" }))
        assert(words == "exit code 0, T, changed\nstdout:\nmade\nstderr:\noh", words)
        assert(lines("numbers") == "1 2 3")
        words = said(call("workspace_changes", vim.empty_dict()))
        assert(words:find("-2\n+two", 1, true), words)
        local asked = call("workspace_apply", { only = { "numbers" }, risky = vim.NIL })
        assert(asked.tool.output.prompt(asked.tool) == "Bring numbers home from the sandbox?")
        assert(said(asked) == "wrote numbers", asked.told[1])
        assert(lines("numbers") == "1 two 3")
        assert(said(call("workspace_undo", {})) == "took back numbers")
        assert(lines("numbers") == "1 2 3")
        words = said(call("workspace_rollback", {}))
        assert(words:find("before the last run", 1, true), words)
        assert(said(call("workspace_changes", {})) == "the runs changed nothing")
        io.write("done")
      ]])
    end)

    it("has its run_command in the sandbox, also in versions with a callback", function()
      prints("exit code 4, T|stdout:|/work", CALL .. [[
        local call = call("run_command", { cmd = "pwd; exit 4", flag = vim.NIL }, true)
        assert(call.entry.opts.require_approval_before == false)
        io.write((said(call):gsub("\n", "|")))
      ]])
    end)

    it("stops a command when the user stops the agent", function()
      prints("the user has stopped workspace_run", CALL .. [[
        local call = call("workspace_run", { command = "sleep 60" })
        vim.wait(1000)
        call.stop()
        vim.wait(500)
        io.write(table.concat(call.told, "|"))
      ]])
      assert.are.equal(0, place:running())
    end)

    it("tells the model what is wrong with its arguments", function()
      prints("error: workspace_run: command is missing (a line for the shell)|"
        .. "error: workspace_run: timeout must be a whole number above 0|"
        .. "error: workspace_apply: only must be a list of texts|"
        .. "error: workspace_run: prefer must be one of host, sandbox", CALL .. [[
        io.write(said(call("workspace_run", { command = vim.NIL })), "|",
          said(call("workspace_run", { command = "true", timeout = "soon" })), "|",
          said(call("workspace_apply", { only = "numbers" })), "|",
          said(call("workspace_run", { command = "true", prefer = "mine" })))
      ]])
    end)

    it("says what to do about a conflict in words of its own", function()
      prints("prefer = \"host\" or \"sandbox\" decides exit code 0, T|stdout:|theirs", CALL .. [[
        said(call("workspace_run", { command = "echo theirs > numbers" }))
        vim.fn.writefile({ "mine" }, "numbers")
        io.write(said(call("workspace_run", { command = "true" }))
          :match('prefer = "host" or "sandbox" decides'), " ")
        io.write((said(call("workspace_run", { command = "cat numbers", prefer = "sandbox" }))
          :gsub("\n", "|")))
      ]])
    end)

    it("hands on bytes that are no text, and no colours", function()
      prints('"exit code 0, T\\nstdout:\\nred ? \195\164"', CALL .. [[
        io.write((vim.json.encode(said(call("workspace_run",
          { command = [=[printf '\033[31mred\033[0m \377 \303\244']=] }))):gsub("\\u00e4", "ä")))
      ]])
    end)

    it("runs what is asked for at the same time one after another", function()
      prints("1 2 3 x", CALL .. [[
        local calls = {}
        for i = 1, 3 do
          calls[i] = call("workspace_run", { command = "echo x >> log; wc -l < log" })
        end
        for _, each in ipairs(calls) do io.write(said(each):match("(%d+)$"), " ") end
        said(call("workspace_run", { command = "sed -i 2,3d log" }))
        said(call("workspace_apply", {}))
        io.write(lines("log"))
      ]])
    end)
  end)

  describe("avante", function()
    local CALL = [[
      local by_name = {}
      for _, tool in ipairs(require("contree.nvim.avante").tools()) do by_name[tool.name] = tool end
      local function call(name, input) return plugins.avante_call(by_name[name], input) end
      local helpers = require("avante.llm_tools.helpers")
    ]]

    it("gets tools with their parameters", function()
      prints("command string, timeout integer?, image string?, prefer string?", CALL .. [[
        local tool = by_name.workspace_run
        local parts = {}
        for i, field in ipairs(tool.param.fields) do
          parts[i] = ("%s %s%s"):format(field.name, field.type, field.optional and "?" or "")
        end
        assert(tool.param.type == "table" and tool.returns[1].name == "result")
        assert(by_name.workspace_apply.param.fields[1].type == "array")
        assert(tool.func({ command = "tr" }, { streaming = true }) == nil)
        io.write(table.concat(parts, ", "))
      ]])
    end)

    it("runs, and asks before it applies", function()
      prints("Bring all changes home from the sandbox?", CALL .. [[
        assert(said(call("workspace_run", { command = "echo new > made" })):find("^exit code 0"))
        helpers.answer, helpers.reason = false, "not yet"
        assert(said(call("workspace_apply", {})) == "error: the user did not allow it: not yet")
        assert(vim.fn.filereadable("made") == 0)
        helpers.answer = true
        assert(said(call("workspace_apply", {})) == "wrote made")
        assert(lines("made") == "new")
        io.write(helpers.asked[2])
      ]])
    end)

    it("stops a command when the user stops the agent", function()
      prints("error: __CANCELLED__", CALL .. [[
        local call = call("workspace_run", { command = "sleep 60" })
        vim.wait(1000)
        helpers.is_cancelled = true
        await(function() return call.told[1] end)
        vim.wait(500)
        io.write(table.concat(call.told, "|"))
      ]])
      assert.are.equal(0, place:running())
    end)
  end)

  describe("mcphub", function()
    local CALL = [[
      require("contree.nvim.mcphub").setup()
      local function call(...) return plugins.mcphub_call("contree", ...) end
    ]]

    it("gets a server with the tools", function()
      prints("exit code 0, T|stdout:|1|2|3", CALL .. [[
        io.write((said(call("workspace_run", { command = "cat numbers" })):gsub("\n", "|")))
      ]])
    end)

    it("has its commands stopped by :Contree stop", function()
      prints("error: the user has stopped it", CALL .. [[
        local call = call("workspace_run", { command = "sleep 60" })
        vim.wait(1000)
        vim.cmd("Contree stop")
        io.write(said(call))
      ]])
      assert.are.equal(0, place:running())
    end)
  end)

  describe("overseer", function()
    local TASK = [[
      local function task(given) return plugins.overseer_task(given) end
      local function ended(one)
        await(function() return one.code end)
        return one.code
      end
    ]]

    it("runs a task on the folder, at a terminal, with paths of the folder", function()
      prints("3 at-tty /work/numbers|1|partial", TASK .. [[
        local here = vim.fn.getcwd()
        local one = task{ strategy = "contree", cwd = here, env = { PLACE = here .. "/numbers" },
          cmd = { "sh", "-c", "test -t 1 && echo at-tty $PLACE; head -n1 " .. here
            .. "/numbers; printf '\\033[1mpartial'; exit 3" } }
        local code = ended(one)
        io.write(code, " ", table.concat(one.lines, "|"))
        assert(table.concat(one.bytes):find("\27[1mpartial", 1, true))
        local buffer = one.strategy:get_bufnr()
        await(function()
          return table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "|")
            :find("exit code 3", 1, true)
        end)
        one.strategy:dispose()
        assert(not vim.api.nvim_buf_is_valid(buffer))
      ]])
    end)

    it("keeps what tasks do unless it is told not to", function()
      prints("0 1 0", TASK .. [[
        io.write(ended(task{ strategy = "contree", cmd = "echo > kept" }), " ")
        ended(task{ strategy = { "contree", keep = false }, cmd = "echo > dropped" })
        io.write(ended(task{ strategy = "contree", cmd = "test -e dropped" }), " ")
        io.write(ended(task{ strategy = "contree", cmd = "test -e kept" }))
      ]])
    end)

    it("stops a task, which can start again", function()
      prints("0 again", TASK .. [[
        local one = task{ strategy = "contree", cmd = "test -e numbers && sleep 60" }
        vim.wait(1000)
        one.strategy:stop()
        one.strategy:reset()
        vim.wait(500)
        assert(one.code == nil, "a stopped task was told an exit code")
        one.cmd = "echo again"
        one:start()
        io.write(ended(one), " ", one.lines[1])
      ]])
      assert.are.equal(0, place:running())
    end)

    it("tells why a task could not run", function()
      prints("1 no image has the tag", TASK .. [[
        local one = task{ strategy = { "contree", image = "tag:no-such:image" }, cmd = "true" }
        io.write(ended(one), " ")
        local text = ""
        await(function()
          text = table.concat(vim.api.nvim_buf_get_lines(one.strategy:get_bufnr(), 0, -1, false))
          return text:find("no image")
        end)
        io.write(text:match("no image has the tag"))
      ]])
    end)
  end)

  describe("neotest", function()
    local RUN = [[
      local function run(spec, started)
        local found
        plugins.neotest_run("contree", spec, started or function() end, function(...)
          found = { ... }
        end)
        await(function() return found end)
        return unpack(found)
      end
    ]]

    it("runs tests where the folder is here, and brings a report back", function()
      prints("5 shown=yes", RUN .. [[
        local here, report = vim.fn.getcwd(), vim.fn.tempname()
        local code, path, process = run{ env = { SHOWN = "yes" }, command = { "sh", "-c",
          'test -t 1 && cat "$1" > "${2#*=}"; echo shown=$SHOWN; touch "$1.left"; exit 5', "sh",
          here .. "/numbers", "--report=" .. report } }
        assert(process.is_complete())
        io.write(code, " ", (lines(path):gsub("\r", "")))
        assert(lines(report) == "1 2 3", lines(report))
        assert(vim.fn.filereadable("numbers.left") == 0)
      ]])
    end)

    it("brings the script of an adapter along, and sees what was edited", function()
      local plugin = place.directory .. "/adapter"
      os.execute("mkdir -p " .. plugin .. "/lib")
      disk.write(plugin .. "/runner.sh", '. "${0%/*}/lib/part.sh"; cat numbers')
      disk.write(plugin .. "/lib/part.sh", "echo part")
      prints("part 1 2 3 part edited", RUN .. ([[
        vim.opt.runtimepath:append(%q)
        local spec = { command = { "sh", %q } }
        local _, first = run(spec)
        vim.fn.writefile({ "edited" }, "numbers")
        local _, second = run(spec)
        io.write((lines(first):gsub("\r", "")), " ", (lines(second):gsub("\r", "")))
      ]]):format(plugin, plugin .. "/runner.sh"))
    end)

    it("begins with what runs on the folder have installed", function()
      prints("installed", RUN .. [[
        vim.cmd("Contree on echo installed > /etc/tool")
        output()
        local _, path = run{ command = { "cat", "/etc/tool" } }
        io.write((lines(path):gsub("\r", "")))
      ]])
    end)

    it("streams, is shown, and is stopped", function()
      prints("143 first true", RUN .. [[
        local code, chunk, shown
        plugins.neotest_run("contree", { command = { "sh", "-c", "echo first; sleep 60" } },
          function(process)
            plugins.nio.run(function()
              chunk = process.output_stream()()
              process.attach()
              shown = vim.fn.winnr("$") == 2
              process.stop()
            end)
          end, function(found) code = found end)
        await(function() return code end)
        io.write(code, " ", (chunk:gsub("\r\n", "")), " ", tostring(shown))
      ]])
      assert.are.equal(0, place:running())
    end)
  end)

  local page = disk.read(host.root .. "/docs/use/hosts/neovim.md")

  it("has a recipe for nio", function()
    local recipe = page:match("```lua\n(%-%- nio.-)```")
    prints("true one\nfalse command_failed", recipe .. [[
      local image = contree.new().images:use("busybox:latest")
      local text
      require("nio").run(function()
        local ok, result = run(image, "echo one")
        text = tostring(ok) .. " " .. result.stdout
        local failed, err = run(image, { shell = "exit 3", check = true })
        text = text .. tostring(failed) .. " " .. err.kind
      end, function() io.write(text) end)
      await(function() return text and text:find("command_failed") end)
    ]])
  end)

  it("has a recipe for plenary", function()
    local recipe = page:match("```lua\n(%-%- plenary.-)```")
    prints("true one\n", recipe .. [[
      local image, done = contree.new().images:use("busybox:latest"), false
      require("plenary.async").run(function()
        local ok, result = run(image, "echo one")
        io.write(tostring(ok), " ", result.stdout)
      end, function() done = true end)
      await(function() return done end)
    ]])
  end)
end)
