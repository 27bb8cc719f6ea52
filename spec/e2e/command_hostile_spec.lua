-- The program `contree` in folders that somebody else wrote, and among names that a hostile
-- sandbox has given. A canary shows whether anything was run, read or written here.
local disk = require("spec.support.disk")
local program = require("spec.support.program")

-- Names as a sandbox may give them: what steers a terminal, in one byte and in UTF-8, what turns
-- the reading order, what looks like an option or like a line of ours.
local NAMES = { "esc\27[31m\27]0;title\7", "c1\194\155 31m", "byte\155 31m",
  "turn\226\128\174gnp.exe", "-rf",
  "--output=x", "two\nwrote lies", "back\r\8\8", "bytes\255\254", "$(touch canary)",
  "`touch canary`", "; touch canary" }

describe("contree, where others wrote,", function()
  local directory, stop, canary

  setup(function()
    directory, stop = program.place()
    canary = directory .. "/canary"
  end)
  teardown(function() stop() end)
  after_each(function() assert.is_nil(disk.peek(canary)) end)

  local function run(line, around) return program.run(directory, line, around) end

  local function ok(line, around) return program.ok(directory, line, around) end

  local function fails(line, around)
    local out, err, code = run(line, around)
    assert.is_true(code > 0, line .. ": " .. out)
    return err
  end

  -- What somebody at a terminal gets, less our own colours and the ends of lines.
  local function shown(line, folder)
    local all = disk.capture(("cd %s && script -qec %s /dev/null </dev/null"):format(
      folder or directory, disk.quote("TERM=xterm " .. program.words(directory, line))))
    assert.is_true(#all > 0, line)
    return (all:gsub("\r\n", "\n"):gsub("\27%[%d+m", ""))
  end

  local function is_calm(text, line)
    for _, steering in ipairs{ "[%z\1-\9\11-\31\127]", "\194[\128-\159]", "e\155",
      "\226\128[\170-\174]" } do
      assert.is_nil(text:find(steering), ("%s: %q"):format(line, text))
    end
  end

  describe("a folder", function()
    local folder

    setup(function()
      folder = directory .. "/theirs"
      os.execute(("mkdir -p %s/contree/command"):format(folder))
    end)

    it("lends none of its modules", function()
      local evil = ("io.open(%q, 'w'):close() os.exit(9)"):format(canary)
      for _, name in ipairs{ "luv", "cjson", "argparse", "contree/core", "contree/init", "contree",
        "contree/command/init", "init" } do
        disk.write(("%s/%s.lua"):format(folder, name), evil)
        disk.write(("%s/%s.so"):format(folder, name), "no library")
      end
      local there = { before = "cd " .. folder .. "; " }
      assert.matches("^contree %d", ok("--version", there))
      ok("images", there)
      ok("mcp", there)
      -- As it is started where nothing says where modules are.
      ok("--version", { before = "cd " .. folder .. "; unset LUA_PATH; " })
    end)

    it("lends none of its settings and programs", function()
      local settings = "[DEFAULT]\nprofile = evil\n[profile:evil]\nurl = http://127.0.0.1:1\n"
        .. "token = theirs\n"
      os.execute(("mkdir -p %s/.config/contree %s/contree"):format(folder, folder))
      for _, name in ipairs{ "auth.ini", "cli.ini", ".config/contree/auth.ini", "contree/auth.ini",
        ".contreerc", "contree.ini" } do
        disk.write(folder .. "/" .. name, settings)
      end
      for _, name in ipairs{ "contree-engine", "git", "sh", "skopeo" } do
        disk.write(folder .. "/" .. name, "#!/bin/sh\ntouch " .. canary .. "\n")
        os.execute(("chmod 755 %s/%s"):format(folder, name))
      end
      for _, variables in ipairs{ "", "PATH=$PATH: ", "PATH=$PATH:. ", "CONTREE_PROFILE= ",
        "CONTREE_RUNTIME= " } do
        local out = ok("status", { before = ("cd %s; %s "):format(folder, variables) })
        assert.matches("server +unix:" .. disk.quote(directory):sub(2, -2):gsub("%p", "%%%0"), out)
      end
      -- With XDG_CONFIG_HOME as some write it.
      local out = ok("status", { before = ("cd %s; XDG_CONFIG_HOME=. HOME=%s "):format(folder,
        directory) })
      assert.not_matches("127%.0%.0%.1", out)
    end)
  end)

  it("says no more of a variable than its name", function()
    for _, variables in ipairs{ "CONTREE_TOKEN=$(printf 'secret-1\\r\\nX: y')",
      "CONTREE_URL=$(printf 'http://127.0.0.1:1/\\r\\nX: secret-1')",
      "CONTREE_URL=http://user:secret-1@127.0.0.1:1", "CONTREE_URL=file:///etc/passwd" } do
      local out, err, code = disk.capture(("env CONTREE_TOKEN=t CONTREE_URL=http://127.0.0.1:1 "
        .. "CONTREE_HOME=%s LUA_CPATH=%s %s lua5.4 %s/bin/contree images 2>&1; echo $?"):format(
        directory, disk.quote((os.getenv("LUA_CPATH"):gsub("/luajit/", "/lua5.4/"))), variables,
        program.root))
      assert.is_nil(err or code)
      assert.matches("\n[1-9]%d*\n$", out)
      assert.not_matches("secret%-1", out)
      is_calm(out, variables)
    end
  end)

  describe("names", function()
    local folder, there

    setup(function()
      folder = directory .. "/named"
      there = { before = "cd " .. folder .. "; " }
      os.execute(("mkdir %s && cd %s && git init -q && echo hello >in"):format(folder, folder))
      local script = { "mkdir -p d; cd d" }
      for _, name in ipairs(NAMES) do
        local word = disk.quote(name)
        local text = "'text of \\033[31m\\302\\233%s\\n' "
        table.insert(script, "printf " .. text .. word .. " >./" .. word)
        table.insert(script, ("ln -s %s ./to%s"):format(word, word))
      end
      disk.write(directory .. "/script", table.concat(script, "\n"))
      ok("on -i busybox:latest -- sh -s", { before = there.before,
        input = "<" .. directory .. "/script" })
      ok("run -t odd:v1 busybox:latest sh -s", { input = "<" .. directory .. "/script" })
      -- Titles of runs are words of whoever ran them.
      ok("on -s -- " .. disk.quote("echo '\27]0;evil\7\27[2J' \226\128\174 >titled"), there)
      ok("run -t odd:v2 -s odd:v1 " .. disk.quote("echo '\27]0;evil\7' >titled"))
    end)

    it("steer no terminal", function()
      for _, line in ipairs{ "ls odd:v1 d", "ls odd:v1 /d", "ls -q odd:v1 /d",
        "ls --json odd:v1 /d",
        "cat odd:v1 " .. disk.quote("/d/esc\27[31m\27]0;title\7"), "grep text odd:v1 /d",
        "grep --json text odd:v1 /d", "diff busybox:latest odd:v1",
        "diff --stat busybox:latest odd:v1", "diff --json busybox:latest odd:v1", "changes",
        "changes --stat", "changes --json", "log", "log --json", "branch", "sessions",
        "sessions --json", "images -a", "images --tree", "blame titled", "blame --json titled",
        "ps -a", "ps -a --json", "apply --dry-run", "cat odd:v1 /none\27[31m",
        "ls 'no\27[31mne'", "checkout 'no\27]0;x\7'", "\27[31m", "ls odd:v1 --\27[31m" } do
        is_calm(shown(line, folder), line)
      end
    end)

    it("are an object of JSON each, whatever they are", function()
      local decode = require("cjson").decode
      for _, line in ipairs{ "ls --json odd:v1 /d", "diff --json busybox:latest odd:v1",
        "changes --json",
        "log --json", "grep --json text odd:v1 /d" } do
        local count = 0
        for each in ok(line, there):gmatch("[^\n]+") do
          assert.is_table(decode(each), line)
          count = count + 1
        end
        assert.is_true(count > 2, line)
      end
    end)

    it("are names and no options, here and for the engine", function()
      local to = directory .. "/out"
      os.execute("mkdir -p " .. to)
      assert.matches("text of", ok("cat odd:v1 -- /d/-rf"))
      ok("cp -- odd:v1:/d/-rf " .. to .. "/")
      ok("cp -- 'odd:v1:/d/$(touch canary)' " .. to .. "/", { before = "cd " .. directory .. "; " })
      assert.matches("text of", disk.read(to .. "/-rf"))
      for _, line in ipairs{ "export -- --output=" .. canary, "export -- -o" .. canary,
        "export -o - -- --help", "import -- --version", "import -- --help", "import -- -x",
        "rm -- --all", "run -- --help", "pull -- --help",
        "push -- odd:v1 --help" } do
        fails(line, there)
      end
      ok("images odd:v1", there)
    end)

    it("complete nothing, and are in no completion", function()
      for _, name in ipairs(NAMES) do
        -- "-rf" is a tag like any other.
        if not name:find("^[a-z-]+$") then fails("tag odd:v1 -- " .. disk.quote(name)) end
      end
      for _, shell in ipairs{ "bash", "zsh", "fish" } do
        assert.not_matches("odd", ok("completion " .. shell))
      end
    end)
  end)

  it("links that the host has made meanwhile are not written through", function()
    local folder = directory .. "/linked"
    local there = { before = "cd " .. folder .. "; " }
    os.execute(("mkdir -p %s/d %s/outside && cd %s && git init -q && echo 1 >d/f && echo 1 >one")
      :format(folder, directory, folder))
    ok("on -i busybox:latest -s -- 'echo 2 >d/f; echo 2 >one; echo 2 >d/new'", there)
    os.execute(("cd %s && rm -r d one && ln -s ../outside d && ln -s ../outside/one one")
      :format(folder))
    fails("apply", there)
    fails("apply --risky", there)
    assert.are.equal("", disk.capture("ls " .. directory .. "/outside"))
  end)
end)
