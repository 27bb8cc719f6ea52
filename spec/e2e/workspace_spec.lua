-- A folder as a session: it comes in before each run, and changes come home.
local contree = require("contree")
local disk = require("spec.support.disk")
local home = require("spec.support.home")

local own = home.own(it)

describe("image:workspace", function()
  local client, directory, stop, image, count

  setup(function()
    client, directory, stop = home.client()
    image, count = client.images:use("busybox:latest"), 0
  end)
  teardown(function() stop() end)

  local function sh(folder, script) assert(os.execute(("cd %s && %s"):format(folder, script))) end

  -- A new folder, made by a shell script.
  local function folder(script)
    count = count + 1
    local path = ("%s/folder%d"):format(directory, count)
    os.execute("mkdir " .. path)
    if script then sh(path, script) end
    return path
  end

  local GIT = "git init -q . && git config user.email a@b && git config user.name a && "

  local function open(path, given)
    given = given or {}
    given.path = path
    return image:workspace(given)
  end

  local function out(workspace, command)
    return workspace:run{ shell = command, check = true }.stdout
  end

  local function kinds(changes)
    local list = {}
    for i, each in ipairs(changes) do
      list[i] = each.change:sub(1, 1) .. " " .. each.path .. (each.risky and " !" or "")
    end
    return table.concat(list, ", ")
  end

  local function whys(skipped)
    local list = {}
    for i, each in ipairs(skipped) do
      list[i] = each.path .. ": " .. (each.kind and each.kind .. ": " or "") .. each.why
    end
    return table.concat(list, "\n")
  end

  local function raises(kind, fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    assert.is_true(contree.is_error(err, kind), tostring(err))
    return err
  end

  describe("takes in", function()
    it("an empty folder, which is a directory in the sandbox", function()
      local path = folder()
      local ws = open(path)
      assert.equal("/work\n", out(ws, "pwd; ls -A"))
      assert.equal("", tostring(ws:changes()))
      -- It comes in once, and what comes later is a change like any other.
      local steps = #ws:history()
      ws:run("true")
      assert.equal(steps + 1, #ws:history())
      sh(path, "echo 1 > a")
      assert.equal("a\n", out(ws, "ls -A; touch b"))
      assert.equal("a b", kinds(ws:changes()))
      ws:apply()
      sh(path, "rm a b")
      assert.equal("", out(ws, "ls -A"))
    end)

    it("what git says, and no ignored secret", function()
      local path = folder(GIT .. [[echo .env > .gitignore && echo secret > .env &&
        mkdir src && echo 1 > src/a && git add . && git commit -qm a && echo 2 > src/new]])
      local ws = open(path)
      assert.equal("git", ws.rule)
      assert.equal("/work\n./.gitignore\n./src/a\n./src/new\n",
        out(ws, "pwd; find . -type f | sort"))
      -- Unless it is asked for.
      assert.equal("secret\n", out(open(path, { ignore = false }), "cat .env"))
      assert.equal("secret\n", out(open(path, { ignore = { "src" } }), "cat .env; ls src || true"))
    end)

    it("an edit that is sent while git still lists the names, and no ignored secret", function()
      local path = folder(GIT .. [[echo .env > .gitignore && echo secret > .env && echo 1 > a &&
        git add . && git commit -qm a]])
      local ws = open(path)
      local list = "find . -type f | sort; cat a"
      assert.equal("./.gitignore\n./a\n1\n", out(ws, list))
      for n = 2, 4 do
        sh(path, ("echo %d > a"):format(n))
        assert.equal(("./.gitignore\n./a\n%d\n"):format(n), out(ws, list))
      end
      -- With a run's change of its own, both images get the edit.
      out(ws, "echo made > b")
      sh(path, "echo 5 > a")
      assert.equal("./.gitignore\n./a\n./b\n5\n", out(ws, list))
      assert.equal("a b", kinds(ws:changes()))
      -- What git lists anew comes in although an edit was under way.
      sh(path, "echo 6 > a; echo new > c")
      assert.equal("./.gitignore\n./a\n./b\n./c\n6\n", out(ws, list))
      sh(path, "echo 7 > a; echo .env > .gitignore; echo c >> .gitignore; git rm -q --cached c "
        .. "2> /dev/null; true")
      assert.equal("./.gitignore\n./a\n./b\n7\n", out(ws, list))
      assert.equal("a b", kinds(ws:changes()))
    end)

    it("what .contreeignore leaves, without git", function()
      local path = folder("mkdir -p a/b empty && echo 1 > a/b/c && echo x > drop.log && "
        .. "echo y > keep.log && printf '*.log\\n!keep.log\\n' > .contreeignore")
      local ws = open(path)
      assert.equal(".contreeignore", ws.rule)
      assert.matches("not a git repository", ws.rule_reason)
      assert.equal(".\n./.contreeignore\n./a\n./a/b\n./a/b/c\n./empty\n./keep.log\n",
        out(ws, "find . | sort"))
      assert.equal("all files", open(folder("echo 1 > a")).rule)
    end)

    it("nothing when git does not say what is secret", function()
      local path = folder("mkdir .git && echo secret > .env")
      local err = raises("file", open, path)
      assert.matches("git does not say", err.message)
      assert.matches("ignore =", err.hint)
      sh(path, "echo .env > .contreeignore")
      assert.equal(".contreeignore", open(path).rule)
    end)

    it("modes, links, times, and names of any bytes", function()
      local name = "n\255\nx 'q"
      local path = folder("mkdir d && echo 1 > d/f && chmod 750 d/f && ln -s d/f l && "
        .. "ln -s /nowhere/.. dangling && touch -d @1000000000 d/f && : > empty")
      disk.write(path .. "/" .. name, "odd")
      disk.write(path .. "/" .. ("long"):rep(50), "long")
      local ws = open(path)
      assert.equal("750 1000000000\nd/f\n/nowhere/..\n0\n",
        out(ws, "stat -c '%a %Y' d/f; readlink l; readlink dangling; stat -c %s empty"))
      assert.equal("odd", ws:read("/work/" .. name))
      assert.equal("long", out(ws, "cat longlong*"))
      out(ws, "for f in n*; do echo more >> \"$f\"; done")
      assert.are.same({ name }, ws:apply().written)
      assert.equal("oddmore\n", disk.read(path .. "/" .. name))
    end)

    it("no sockets, FIFOs, devices, nor what is too large or a mark of layers", function()
      local path = folder("mkfifo pipe && echo 1 > f && truncate -s 1T holes && echo 2 > .wh.f "
        .. "&& (mknod null c 1 3 2>/dev/null || mkfifo null)")
      local made = require("spec.support.disk").capture("python3 -c 'import socket; "
        .. "socket.socket(socket.AF_UNIX).bind(\"" .. path .. "/sock\")' 2>&1")
      assert.equal("", made)
      local ws = open(path)
      assert.equal("f\n", out(ws, "ls"))
      local said = whys(ws.skipped)
      assert.matches("pipe: it is a FIFO", said)
      assert.matches("sock: it is a socket", said)
      assert.matches("holes: it is larger than max_file", said)
      assert.matches(".wh.f: a layer cannot hold", said, 1, true)
      assert.matches("null: it is a ", said)
      -- Holes that fit come in as zeros.
      sh(path, "rm holes && truncate -s 1M holes")
      assert.equal("1048576\n", out(ws, "stat -c %s holes"))
    end)

    it("repositories in repositories, and worktrees", function()
      local path = folder(GIT .. "echo 1 > f && git add f && git commit -qm f && mkdir sub && "
        .. "(cd sub && " .. GIT .. "echo 2 > g && echo x > .env && echo .env > .gitignore && "
        .. "git add g .gitignore && git commit -qm g) && git -c protocol.file.allow=always "
        .. "submodule --quiet add ./sub sub && git commit -qm sub && mkdir hollow")
      local tree = directory .. "/tree"
      sh(path, "git worktree add -q " .. tree)
      assert.equal("2\n.\n..\n.gitignore\ng\n", out(open(path), "cat sub/g; ls -a sub"))
      -- In a worktree .git is a file, and the submodule is not checked out.
      local ws = open(tree)
      assert.equal("git", ws.rule)
      assert.equal("1\nno\n", out(ws, "cat f; test -e .git || echo no"))
    end)

    it("hard links as files of their own", function()
      local path = folder("echo 1 > a && ln a b")
      local ws = open(path)
      assert.equal("1\n1\n1\n", out(ws, "cat a b; stat -c %h a"))
      sh(path, "echo 2 > b")
      assert.equal("2\n2\n", out(ws, "cat a b"))
    end)

    it("edits, deletions and changes of type before each run", function()
      local path = folder(GIT .. "mkdir d e && echo 1 > a && echo 2 > d/b && echo 3 > e/c && "
        .. "ln -s a l && git add . && git commit -qm x")
      local ws = open(path)
      out(ws, "echo built > product")
      sh(path, "echo 1b > a && rm -r d && echo file > d && rm e/c && rm l && mkdir l "
        .. "&& echo 5 > l/x")
      assert.equal("1b\nfile\n5\nbuilt\nno\n",
        out(ws, "cat a d l/x product; test -e e/c || echo no"))
      assert.equal("a product", kinds(ws:changes()))
      sh(path, "rm d && mkdir d && echo 6 > d/y && rm -r l && ln -s d l")
      assert.equal("6\n6\n", out(ws, "cat d/y l/y"))
      -- An edit that leaves size and time as they are is found, too.
      sh(path, "touch -r a stamp && printf '1c\\n' > a && touch -r stamp a && rm stamp")
      assert.equal("1c\n", out(ws, "cat a"))
    end)

    it("nothing twice: a touched file is no change", function()
      local path = folder("echo 1 > a && echo 2 > b")
      local ws = open(path)
      local uuid = ws.image.uuid
      sh(path, "touch a && cp b c && mv c b")
      assert.are.same({ added = 0, changed = 0, removed = 0 }, ws:sync())
      assert.equal(uuid, ws.image.uuid)
    end)

    it("a folder that another workspace has brought in, without sending it again", function()
      local path = folder("echo 1 > a")
      local first = open(path)
      local second = open(path)
      assert.equal(first.image.uuid, second.image.uuid)
      sh(path, "echo 2 > a")
      assert.equal("2\n", out(open(path), "cat a"))
    end)

    it("names that differ in case only, and files with holes", function()
      local path = folder("echo 1 > readme && echo 2 > README && mkdir d D && echo 3 > d/f && "
        .. "echo 4 > D/f && truncate -s 8M holes && printf end >> holes")
      local ws = open(path)
      assert.equal("1\n2\n3\n4\n8388611\nend", out(ws, "cat readme README d/f D/f; "
        .. "stat -c %s holes; tail -c 3 holes"))
      out(ws, "echo x >> README; printf more >> holes")
      assert.are.same({ "README", "holes" }, ws:apply().written)
      assert.equal("1\n2\nx\nendmore", disk.capture("cd " .. path
        .. "; cat readme README; tail -c 7 holes"))
    end)

    it("a folder on another file system", function()
      local path = disk.capture("mktemp -d /dev/shm/contree-spec.XXXXXX"):match("^(/.+)\n$")
      sh(path, "echo 1 > a && mkdir d && echo 2 > d/b")
      local ws = open(path)
      out(ws, "echo x >> a; rm -r d; echo n > n")
      local written = ws:apply().written
      local after = disk.capture("cd " .. path .. "; cat a n; ls d 2>&-")
      local undone = ws:undo()
      local before = disk.capture("cd " .. path .. "; cat a d/b; ls n 2>&-")
      disk.remove(path)
      assert.are.same({ "a", "d", "d/b", "n" }, written)
      assert.equal("1\nx\nn\n", after)
      assert.are.same({}, undone.skipped)
      assert.equal("1\n2\n", before)
    end)

    it("a folder that vanishes in the middle, or says so", function()
      for i = 1, 6 do
        local path = folder(("for i in $(seq 400); do mkdir -p d$((i %% 20)) && "
          .. "echo %d > d$((i %% 20))/f$i; done"):format(i))
        os.execute(("(sleep %.3f; rm -r %s) &"):format(i * 0.004, path))
        local ok, ws = pcall(open, path)
        assert.is_true(ok or contree.is_error(ws, "file"), tostring(ws))
        if not ok then assert.matches(path, tostring(ws), 1, true) end
        disk.capture("while test -e " .. path .. "; do sleep 0.01; done")
        if ok then
          assert.matches("no directory any more", raises("file", ws.run, ws, "true").message)
          for _, method in ipairs{ "apply", "undo" } do
            assert.matches(path, raises("file", ws[method], ws).message, 1, true)
          end
          sh(directory, "mkdir " .. path .. " && echo back > " .. path .. "/f")
          assert.equal("f\n", out(ws, "ls"))
        end
      end
    end)

    it("the folder anew, when the server has lost what came in last", function()
      local path = folder("seq 1 9 > a && echo 1 > b && echo 1 > c && echo 1 > d")
      local ws = open(path)
      out(ws, "echo box >> a; echo box > new; echo box >> d")
      local function lose()
        local last = require("contree.workspace.sync").last(ws)
        last.base = last.base:gsub("%x%x%x%x$", "0000")
      end
      lose()
      sh(path, "echo host >> b && rm c")
      assert.equal("box\n1\nhost\nbox\nno\n",
        out(ws, "tail -1 a; cat b new; test -e c || echo no"))
      assert.equal("c a, c d, a new", kinds(ws:changes()))
      lose()
      sh(path, "echo host > e")
      assert.matches("\n+box\n", tostring(ws:changes()), 1, true)
      assert.equal("c a, c d, a new", kinds(ws:changes()))
      lose()
      sh(path, "echo host >> d")
      assert.equal("d", ws:conflicts()[1].path)
      raises("conflict", ws.run, ws, "true")
      ws:sync{ prefer = "sandbox" }
      assert.equal("1\nbox\nhost\n", out(ws, "cat d e"))
      assert.are.same({ "a", "d", "new" }, ws:apply().written)
    end)

    it("no folder that is gone", function()
      local path = folder("echo 1 > a")
      local ws = open(path)
      sh(path, "cd .. && rm -r " .. path)
      assert.matches("no directory any more", raises("file", ws.run, ws, "true").message)
      raises("file", open, path)
      raises("file", open, directory .. "/none")
    end)
  end)

  describe("shows", function()
    it("changes as a patch", function()
      local path = folder(GIT .. "seq 1 20 > n && echo x > gone && git add . && git commit -qm x")
      local ws = open(path)
      out(ws, "sed -i s/^10$/ten/ n; rm gone; mkdir d; echo new > d/f")
      local changes = ws:changes()
      assert.equal("a d, a d/f, r gone, c n", kinds(changes))
      disk.write(directory .. "/patch", tostring(changes))
      sh(path, "git apply " .. directory .. "/patch && test $(cat d/f) = new && test ! -e gone "
        .. "&& grep -q ten n")
    end)

    it("what is risky", function()
      local path = folder("echo 1 > f && echo 2 > tool && echo x > .contreeignore")
      local ws = open(path)
      out(ws, [[mkdir -p .git/hooks sub/.vscode .husky; echo x > .git/hooks/pre-commit
        echo x > .git/config; echo x > .envrc; echo x > sub/.nvim.lua; echo x > .exrc
        echo x > sub/.vscode/tasks.json; echo x > .husky/pre-push; chmod +x tool; chmod u+s f
        ln -s /etc/passwd absolute; ln -s ../../x out; ln -s f in; ln -s in/../../x through
        ln -s .git/config inner; echo ok > plain]])
      local risky = {} -- an archive tells no setuid bit: without comparisons f is as it was
      for _, change in ipairs(ws:changes()) do
        if change.risky then risky[#risky + 1] = change.path end
      end
      assert.equal(".envrc .exrc .git .git/config .git/hooks .git/hooks/pre-commit .husky "
        .. ".husky/pre-push absolute " .. (home.plain and "" or "f ") .. "inner "
        .. "out sub/.nvim.lua sub/.vscode "
        .. "sub/.vscode/tasks.json through tool", table.concat(risky, " "))
      local applied = ws:apply()
      assert.equal("in plain sub", table.concat(applied.written, " "))
      assert.equal(#risky, #applied.skipped)
      assert.is_nil(disk.peek(path .. "/.envrc"))
      -- What is named comes home.
      assert.are.same({ ".envrc" }, ws:apply{ only = ".envrc" }.written)
      assert.equal(#risky - 1, #ws:apply{ risky = true }.written)
    end)
  end)

  describe("brings home", function()
    it("all, and then nothing is left", function()
      local path = folder(GIT .. "mkdir d && echo 1 > a && echo 2 > d/b && echo 3 > c && "
        .. "chmod 640 a && ln -s a l && git add . && git commit -qm x")
      local ws = open(path)
      out(ws, [[echo more >> a; rm -r d; echo file > d; rm c; mkdir -p n/m; echo 4 > n/m/f
        ln -sf d l; mv n/m/f n/m/g]])
      local dry = ws:apply{ dry_run = true }
      assert.is_true(dry.dry_run)
      assert.equal("1\n", disk.read(path .. "/a"))
      local applied = ws:apply()
      assert.are.same(dry.written, applied.written)
      assert.are.same({}, applied.skipped)
      assert.equal("1\nmore\n640\nfile\nd\n4\n", disk.capture("cd " .. path
        .. "; cat a; stat -c %a a; cat d; readlink l; cat n/m/g; ls -A | grep contree; ls c 2>&-"))
      assert.equal("", kinds(ws:changes()))
      -- The next run sees the same, and both sides go on.
      sh(path, "echo host >> a")
      assert.equal("1\nmore\nhost\n", out(ws, "cat a"))
    end)

    it("what is chosen", function()
      local path = folder("mkdir src && echo 1 > src/a && echo 2 > b")
      local ws = open(path)
      out(ws, "echo x >> src/a; echo x >> b; mkdir -p src/deep other/deep; echo x > src/deep/n; "
        .. "echo x > other/deep/n")
      assert.equal("src/a src/deep src/deep/n",
        table.concat(ws:apply{ only = { "src/**" } }.written, " "))
      assert.equal("a other, a other/deep, a other/deep/n, c b", kinds(ws:changes()):gsub(
        "^(c b), (.*)$", "%2, %1"))
      assert.equal("other other/deep other/deep/n",
        table.concat(ws:apply{ only = "other/deep/n" }.written, " "))
      assert.equal("2\n", disk.read(path .. "/b"))
    end)

    it("what git does not ignore", function()
      local path = folder(GIT .. "printf '*.o\\nbuild/\\n' > .gitignore && echo 1 > a && mkdir sub "
        .. "&& (cd sub && " .. GIT .. "echo 1 > g && git add . && git commit -qm g) && "
        .. "git -c protocol.file.allow=always submodule --quiet add ./sub sub && ln -s sub way && "
        .. "git add . && git commit -qm x")
      local ws = open(path)
      out(ws, "echo x > a.o; echo x > b; mkdir -p build/deep src; echo x > build/deep/f; "
        .. "echo x > src/c.o; echo x > src/c; echo y > sub/g; echo x > sub/n; rm way; mkdir way; "
        .. "echo x > way/n; mkdir -p build/.git; echo x > build/.git/config")
      assert.equal("a b, a build/.git !, a build/.git/config !, a src, a src/c, c sub/g, a sub/n, "
        .. "c way, a way/n", kinds(ws:changes()))
      assert.equal(14, #ws:changes{ ignored = true, text = false })
      assert.equal("b src src/c sub/g sub/n way way/n", table.concat(ws:apply().written, " "))
      assert.equal("a.o", table.concat(ws:apply{ only = { "a.o", "*" } }.written, " "))
      -- The same with patterns.
      local plain = open(path, { ignore = { "*.log", "out" } })
      out(plain, "mkdir out; echo x > out/f; echo x > y.log; echo x > y")
      assert.equal("a y", kinds(plain:changes()))
      assert.equal("a out, a out/f, a y, a y.log", kinds(plain:changes{ ignored = true }))
    end)

    it("single hunks", function()
      local path = folder("seq 1 40 > n && printf 'a\\nb' > open")
      local ws = open(path)
      out(ws, "sed -i 's/^5$/five/; s/^20$/twenty/; s/^35$/thirty-five/' n; printf c >> open; "
        .. "echo x > other")
      local changes = ws:changes()
      assert.equal(3, #changes[1].hunks)
      assert.are.same({ "n" }, ws:apply{ hunks = { n = { 3, 1 } } }.written)
      local text = disk.read(path .. "/n")
      assert.is_truthy(text:find("five\n", 1, true) and text:find("\n20\n", 1, true)
        and text:find("thirty-five", 1, true))
      -- The rest is still a change, of the file as it is now.
      changes = ws:changes()
      assert.equal("n", changes[1].path)
      assert.equal(1, #changes[1].hunks)
      assert.matches("-20\n+twenty\n", changes[1].hunks[1].text, 1, true)
      raises("invalid_argument", ws.apply, ws, { hunks = { n = { 2 } } })
      assert.are.same({ "n", "open" }, ws:apply{ hunks = { n = { 1 }, open = { 1 } } }.written)
      assert.equal("a\nbc", disk.read(path .. "/open"))
      assert.equal("a other", kinds(ws:changes()))
    end)

    it("no file that was edited meanwhile", function()
      local path = folder("echo 1 > a && echo 2 > b && echo 3 > c && echo 4 > d")
      local ws = open(path)
      out(ws, "for f in a b c d; do echo box >> $f; done; echo box > e; rm d")
      sh(path, "echo mine > a && rm b && echo mine > e && echo mine >> d")
      local applied = ws:apply()
      assert.are.same({ "c" }, applied.written)
      assert.equal("a: conflict: it has changed in the folder\n"
        .. "b: conflict: it is gone in the folder\nd: conflict: it has changed in the folder\n"
        .. "e: conflict: there is one in the folder", whys(applied.skipped))
      assert.equal("mine\n4\nmine\nmine\n", disk.capture("cd " .. path .. "; cat a d e; ls b 2>&-"))
      local list = {}
      for _, each in ipairs(ws:conflicts()) do
        list[#list + 1] = ("%s %s/%s"):format(each.path, each.host, each.sandbox)
      end
      table.sort(list)
      assert.equal("a changed/changed, b removed/changed, d changed/removed, e added/added",
        table.concat(list, ", "))
      local err = raises("conflict", ws.run, ws, "true")
      assert.matches("a, b, d, e", err.message, 1, true)
      ws:sync{ prefer = "host" }
      assert.equal("mine\n4\nmine\nmine\nno\n", out(ws, "cat a d e; test -e b || echo no"))
    end)

    it("the sandbox's version where that is preferred", function()
      local path = folder("echo 1 > a")
      local ws = open(path, { prefer = "sandbox" })
      out(ws, "echo box > a")
      sh(path, "echo host > a")
      assert.equal("box\n", out(ws, "cat a"))
      assert.matches("-host\n+box\n", tostring(ws:changes()), 1, true)
      assert.are.same({ "a" }, ws:apply().written)
      assert.equal("box\n", disk.read(path .. "/a"))
    end)

    it("the same that both sides have made, without a conflict", function()
      local path = folder("echo 1 > a")
      local ws = open(path)
      out(ws, "echo same > a; echo same > b; ln -s a l")
      sh(path, "echo same > a; echo same > b; ln -s a l")
      assert.are.same({}, ws:conflicts())
      assert.equal("same\n", out(ws, "cat a"))
      assert.equal("", kinds(ws:changes()))
    end)

    own("what both sides have done to a text, together", function()
      local path = folder(GIT .. "seq 1 20 > n && echo 1 > a && mkdir d && seq 5 > d/t && "
        .. "git add . && git commit -qm x")
      local ws = open(path)
      out(ws, "sed -i s/^3$/box/ n; chmod 755 a; sed -i s/^1$/box/ d/t; echo box > new")
      sh(path, "sed -i s/^17$/host/ n && echo host >> a && sed -i s/^5$/host/ d/t && "
        .. "echo host > other")
      assert.are.same({}, ws:conflicts())
      assert.equal("box\nhost\n1\nhost\n755\nbox\n2\n3\n4\nhost\nhost\n",
        out(ws, "grep -E 'box|host' n; cat a; stat -c %a a; cat d/t other"))
      -- The sandbox's part is what is left to bring home.
      assert.equal("c a !, c d/t, c n, a new", kinds(ws:changes()))
      assert.matches("\n-3\n+box\n", tostring(ws:changes()), 1, true)
      assert.is_nil(tostring(ws:changes()):find("+host", 1, true))
      assert.are.same({ "a", "d/t", "n", "new" }, ws:apply{ risky = true }.written)
      assert.equal("1,2,box,4,5,16,host,18,19,20,",
        disk.capture("cd " .. path .. "; (head -5 n; tail -5 n) | tr '\n' ,"))
      assert.equal("box\nhost\n", out(ws, "grep -E 'box|host' n"))
      ws:undo()
      assert.equal("3\nhost\n", disk.capture("cd " .. path .. "; grep -E '^3$|host|box' n"))
    end)

    own("a text in which both have changed a line, only by decision", function()
      local path = folder("seq 1 20 > n && seq 1 20 > m && echo 1 > t && echo 1 > gone")
      local ws = open(path)
      out(ws, "sed -i 's/^3$/box/; s/^9$/box/' n; sed -i s/^3$/box/ m; rm t; mkdir t; "
        .. "echo box > t/f; rm gone")
      sh(path, "sed -i 's/^3$/host/; s/^17$/host/' n && sed -i s/^17$/host/ m && echo 2 > t && "
        .. "echo 2 > gone")
      local list = {}
      for i, each in ipairs(ws:conflicts()) do
        list[i] = ("%s %s %s/%s"):format(each.path, each.conflict, each.host, each.sandbox)
      end
      table.sort(list)
      assert.equal("gone removed changed/removed, n content changed/changed, "
        .. "t type changed/changed", table.concat(list, ", "))
      local uuid = ws.image.uuid
      local err = raises("conflict", ws.run, ws, "true")
      assert.matches("gone, n, t", err.message, 1, true)
      assert.equal(3, #err.paths)
      assert.equal(uuid, ws.image.uuid)
      -- The text without a conflict is merged all the same.
      local fork = ws:fork()
      fork:sync{ prefer = "sandbox" }
      assert.equal("box\nbox\nbox\nhost\nbox\nno\n",
        out(fork, "grep -Eh 'box|host' n m t/f; test -e gone || echo no"))
      ws:sync{ prefer = "host" }
      assert.equal("host\nhost\nbox\nhost\n2\n2\n",
        out(ws, "grep -Eh 'box|host' n m; cat t gone"))
    end)

    it("no file that a program has open for writing", function()
      local path = folder("echo 1 > log")
      local ws = open(path)
      out(ws, "echo box > log")
      local file = assert(io.open(path .. "/log", "a"))
      assert.equal("log: conflict: a program has it open for writing", whys(ws:apply().skipped))
      file:write("more\n")
      file:close()
      assert.equal("1\nmore\n", disk.read(path .. "/log"))
      assert.equal("", disk.capture("ls -A " .. path .. " | grep contree"))
    end)
  end)

  describe("takes back", function()
    it("what came home last", function()
      local path = folder(GIT .. "mkdir d && echo 1 > a && chmod 600 a && echo 2 > d/b && "
        .. "ln -s a l && git add . && git commit -qm x")
      local ws = open(path)
      out(ws, "echo x > a; rm -r d; mkdir n; echo 3 > n/f; ln -sf n l; chmod 644 a")
      ws:apply()
      assert.equal("", kinds(ws:changes()))
      local undone = ws:undo()
      assert.are.same({}, undone.skipped)
      assert.equal("1\n600\n2\na\nno\n", disk.capture("cd " .. path
        .. "; cat a; stat -c %a a; cat d/b; readlink l; test -e n || echo no"))
      assert.equal("", disk.capture("cd " .. path .. "; git status --short"))
      -- The sandbox keeps its version, which can come home again.
      assert.equal("x\n", out(ws, "cat a"))
      assert.are.same({}, ws:apply().skipped)
      assert.equal("x\n3\n", disk.capture("cd " .. path .. "; cat a n/f"))
      ws:undo()
      raises("not_found", ws.undo, ws)
    end)

    it("no edit that came after", function()
      local path = folder("echo 1 > a && echo 2 > b")
      local ws = open(path)
      out(ws, "echo x > a; echo x > b; echo x > c")
      ws:apply()
      sh(path, "echo mine > a && echo mine >> c")
      local undone = ws:undo()
      assert.are.same({ "b" }, undone.written)
      assert.equal(2, #undone.skipped)
      assert.equal("mine\n2\nx\nmine\n", disk.capture("cd " .. path .. "; cat a b c"))
    end)
  end)

  describe("is a session", function()
    it("that goes to no image without the folder, whose files would all be removed", function()
      local path = folder("echo 1 > a")
      local ws = open(path)
      local err = raises("unprocessable", ws.commit, ws, image, "other")
      assert.matches("has no directory /work", err.message, 1, true)
      assert.same({ "main" }, ws:list_branches())
      assert.equal(0, #ws:changes())
      -- One with it is the user's to choose, and says what it changes.
      local other = image:run{ shell = "mkdir /work; echo 2 > /work/a", disposable = false }
      ws:commit(other, "other")
      assert.equal("c a", kinds(ws:changes()))
      raises("not_found", ws.commit, ws, client.images:use("none:1"))
    end)

    it("that goes back, forks and branches with its folder", function()
      local path = folder("echo 1 > a")
      local ws = open(path)
      out(ws, "echo first > x")
      sh(path, "echo 2 > a")
      out(ws, "echo second > y")
      ws:rollback(2)
      assert.equal("2\nno\n", out(ws, "cat a; test -e y || echo no"))
      local fork = ws:fork()
      out(fork, "echo fork > z")
      assert.equal("a x, a z", kinds(fork:changes()))
      assert.equal("a x", kinds(ws:changes()))
      assert.are.same({ "x", "z" }, fork:apply().written)
      -- What the fork has brought home comes in here.
      assert.equal("fork\n", out(ws, "cat z"))
    end)

    own("into which a fork is merged", function()
      local path = folder("seq 20 > n && echo 1 > a")
      local ws = open(path)
      local fork = ws:fork()
      out(ws, "sed -i s/^3$/three/ n")
      out(fork, "sed -i s/^17$/seventeen/ n; echo f > f")
      sh(path, "echo host >> a")
      out(fork, "true") -- the fork has it already
      ws:merge(fork)
      assert.equal("three\nseventeen\n1\nhost\n", out(ws, "grep t n; cat a"))
      assert.equal("a f, c n", kinds(ws:changes()))
      assert.are.same({ "f", "n" }, ws:apply().written)
      assert.equal("three\nseventeen\n", disk.capture("grep t " .. path .. "/n"))
    end)

    it("in which a run that was started is waited for first", function()
      local path, store = folder("echo 1 > a"), directory .. "/pending.db"
      local ws = open(path, { store = store, id = "w" })
      ws:start("sleep 1; echo box > b")
      local again = image:session{ store = store, id = "w" }
      sh(path, "echo 2 > a")
      raises("conflict", open, path, { store = store, id = "w" })
      again:wait()
      assert.equal("2\nbox\n", out(open(path, { store = store, id = "w" }), "cat a b"))
    end)

    it("in a store, which another program goes on with", function()
      local path, store = folder("echo 1 > a"), directory .. "/store.db"
      local ws = open(path, { store = store, id = "w" })
      out(ws, "echo box > a")
      sh(path, "echo 3 > b")
      local again = open(path, { store = store, id = "w" })
      assert.equal("box\n3\n", out(again, "cat a b"))
      assert.equal("c a", kinds(again:changes()))
      assert.are.same({ "a" }, again:apply().written)
      assert.equal("", kinds(open(path, { store = store, id = "w" }):changes()))
    end)

    it("on a server that takes no layers and does not compare images", function()
      local path = folder(GIT .. "mkdir d e && echo 1 > d/a && echo 2 > b && ln -s b l && "
        .. "chmod 750 b && echo 5 > e/f && git add . && git commit -qm x")
      client.sends_files, client.compares_here = true, true
      local ws = open(path)
      assert.equal("1\n2\nb\n750\n", out(ws, "cat d/a b; readlink l; stat -c %a b"))
      assert.equal("", kinds(ws:changes()))
      sh(path, "rm -r d && echo file > d && rm b && echo 3 > c")
      assert.equal("file\n3\nno\n", out(ws, "cat d c; test -e b || echo no"))
      out(ws, "echo x >> c; rm e/f; ln -sf c l; mkdir -p n/m; echo 4 > n/m/f; chmod 700 d")
      sh(path, "echo 6 > host")
      assert.equal("6\n", out(ws, "cat host"))
      local changes = ws:changes()
      assert.equal("c c, c d !, r e/f, c l, a n, a n/m, a n/m/f", kinds(changes))
      assert.matches("\n 3\n+x\n", tostring(changes), 1, true)
      assert.equal("c e/f l n n/m n/m/f", table.concat(ws:apply().written, " "))
      assert.equal("c d !", kinds(ws:changes()))
      sh(path, "echo mine > c")
      out(ws, "true")
      out(ws, "echo box > c")
      sh(path, "echo mine > c && echo again >> c")
      raises("conflict", ws.run, ws, "true")
      client.sends_files, client.compares_here = nil, nil
    end)

    it("that tells how far it is", function()
      local path = folder("mkdir d && for i in $(seq 300); do head -c 5000 /dev/urandom > d/$i; "
        .. "done")
      local seen, order = {}, {}
      local ws = open(path, { progress = function(each)
        if not seen[each.phase] then order[#order + 1] = each.phase end
        local before = seen[each.phase]
        assert.is_true(not before or before.total ~= each.total or before.done <= each.done)
        seen[each.phase] = each
      end })
      assert.are.same({ "looking", "sending" }, order)
      assert.are.same({ phase = "sending", unit = "bytes", done = 1500000, total = 1500000 },
        seen.sending)
      assert.equal(301, seen.looking.total)
      assert.equal("files", seen.looking.unit)
      seen, order = {}, {}
      local fork = ws:fork()
      out(fork, "for i in 1 2 3; do echo x > d/$i; done; rm d/4")
      fork:apply()
      assert.are.same({ "looking", "getting", "writing", "sending" }, order)
      assert.are.same({ phase = "getting", unit = "files", done = 3, total = 3 }, seen.getting)
      assert.are.same({ phase = "writing", unit = "files", done = 4, total = 4 }, seen.writing)
      seen, order = {}, {}
      assert.is_nil(rawget(fork:undo(), "progress"))
      assert.equal(4, seen.writing.total)
      raises("invalid_argument", open, path, { progress = true })
    end)

    it("with its own mistakes", function()
      local path = folder("echo 1 > a")
      assert.matches('did you mean "ignore"', raises("invalid_argument", open, path,
        { ignor = {} }).hint, 1, true)
      raises("invalid_argument", open, path, { at = "/" })
      raises("invalid_argument", open, path, { at = "/a/../b" })
      raises("invalid_argument", open, path, { prefer = "both" })
      for _, at in ipairs{ "/etc/passwd", "/etc/passwd/x/y" } do
        local err = raises(home.plain and "not_supported" or "invalid_argument", open, path,
          { at = at })
        assert.matches(home.plain and "the run that was to unpack an archive failed"
          or "/etc/passwd is a file in the image", err.message, 1, true)
      end
      local ws = open(path, { at = "/srv/app/" })
      assert.equal("/srv/app\n/\n", out(ws, "pwd") .. ws:run{ shell = "pwd", cwd = "/" }.stdout)
      raises("invalid_argument", ws.apply, ws, { hunk = {} })
      -- Names that fit nothing are told of, and what is risky says how it comes home.
      out(ws, "echo 2 > a; echo x > .envrc; mkdir d; echo x > d/f")
      for _, only in ipairs{ "nothing", "/srv/app/a", path .. "/a", { "e", "*.x" } } do
        local applied = ws:apply{ only = only }
        assert.are.same({}, applied.written)
        assert.equal("unchanged", applied.skipped[1].kind)
        assert.equal(1, #applied.skipped)
      end
      assert.equal("unchanged", ws:apply{ hunks = { b = { 1 } } }.skipped[1].kind)
      assert.are.same({}, ws:apply{ only = { "d", "d/" } }.skipped)
      local applied = ws:apply()
      assert.equal("wrote a\nleft .envrc alone (risky): direnv runs it\napply{ only = \"PATH\" } "
        .. "or { risky = true } brings what is risky home", tostring(applied))
      assert.equal("took back a", tostring(ws:undo()))
    end)
  end)
end)
