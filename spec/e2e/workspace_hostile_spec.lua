-- Runs that try to reach the host by what they leave in a workspace: each attempt is refused or
-- harmless, and the canary outside of the folder stays what it was.
local contree = require("contree")
local disk = require("spec.support.disk")
local home = require("spec.support.home")

describe("a hostile run in a workspace", function()
  local client, directory, stop, image, count, before

  setup(function()
    client, directory, stop = home.client()
    image, count = client.images:use("busybox:latest"), 0
    os.execute(("mkdir %s/out; echo canary > %s/out/f; mkdir %s/out/d")
      :format(directory, directory, directory))
    before = disk.capture("cd " .. directory .. "/out; find . -printf '%p %y %m %s %T@\\n' | sort")
  end)
  teardown(function() stop() end)
  after_each(function()
    assert.are.equal(before, disk.capture("cd " .. directory
      .. "/out; find . -printf '%p %y %m %s %T@\\n' | sort"))
    assert.are.equal("canary\n", disk.read(directory .. "/out/f"))
  end)

  local function open(script)
    count = count + 1
    local path = ("%s/folder%d"):format(directory, count)
    assert(os.execute(("mkdir %s && cd %s && : > .contreeignore && %s"):format(path, path, script)))
    return image:workspace{ path = path }, path
  end

  local function attempt(ws, script) return ws:run{ shell = script, check = true } end

  -- What apply did, in short: paths written, and those left alone with the kind of reason.
  local function outcome(applied)
    local left = {}
    for i, each in ipairs(applied.skipped) do left[i] = each.path .. " " .. each.kind end
    return table.concat(applied.written, " "), table.concat(left, ", ")
  end

  -- Runs a script. None of the paths comes home, and all are marked.
  local function all_risky(script, paths)
    local ws, path = open("echo 1 > a")
    attempt(ws, script)
    local written, marked = outcome(ws:apply()), {}
    for _, change in ipairs(ws:changes{ text = false }) do
      if change.risky then marked[change.path] = true end
    end
    for each in paths:gmatch("%S+") do
      assert.is_nil((" " .. written .. " "):find(" " .. each .. " ", 1, true), written)
      assert.is_nil(disk.peek(path .. "/" .. each), each)
      assert.is_true(marked[each], each)
    end
  end

  it("plants a git hook", function()
    all_risky("mkdir -p .git/hooks; echo x > .git/hooks/post-checkout",
      ".git/hooks/post-checkout")
  end)

  it("sets git's configuration", function()
    all_risky([[mkdir .git sub sub/.git
      printf '[core]\n\tfsmonitor = x\n' | tee .git/config > sub/.git/config]],
      ".git/config sub/.git/config")
  end)

  -- The folder's own repository is somebody else's, as one that came in an archive.
  it("has a repository in the folder that would run programs when it is asked for files", function()
    local ran = directory .. "/out/ran"
    local _, path = open(([[
      git init -q && git config user.email a@b && git config user.name a && mkdir in out &&
      echo 1 >in/f && echo 2 >out/g && git add . && git commit -qm x &&
      git sparse-checkout init --cone --sparse-index && git sparse-checkout set in &&
      tree=$(git rev-parse HEAD:out) && rm -f .git/objects/$(echo $tree | cut -c 1,2)/* &&
      cat >>.git/config <<END
[core]
	repositoryformatversion = 1
	fsmonitor = "touch %s; false"
	sshCommand = "touch %s; false"
[protocol]
	allow = always
[extensions]
	partialClone = origin
[remote "origin"]
	url = .
	promisor = true
	partialclonefilter = tree:0
	uploadpack = "touch %s; false"
END
      git config remote.origin.uploadpack >/dev/null]]):format(ran, ran, ran))
    os.remove(path .. "/.contreeignore")
    local ok, ws = pcall(image.workspace, image, { path = path })
    if ok then
      attempt(ws, "echo 1 >new")
      pcall(ws.changes, ws)
      pcall(ws.apply, ws)
    end
    assert.is_nil(disk.peek(ran))
    -- It is a repository that does so: git by itself is led on.
    os.execute("cd " .. path .. " && git ls-files -co --exclude-standard >/dev/null 2>&1")
    assert.are.equal("", disk.read(ran))
    os.remove(ran)
    os.execute(("touch -d @%s %s/out"):format(before:match("^%. d %S+ %S+ (%S+)"), directory))
  end)

  it("gives a file a name that is a pattern", function()
    local ws, path = open("echo 1 > a")
    attempt(ws, [[mkdir d; for name in '*' '**' 'd/*' '!x' '#x' "$(printf 'x\n**')" 'a ' '[a]'
      do echo 2 >"$name"; done; echo 2 >a; echo 2 >d/b]])
    for _, name in ipairs{ "*", "**", "d/*", "!x", "#x", "x\n**", "a ", "[a]" } do
      local only = name:gsub("\\n", "\n")
      local written, left = outcome(ws:apply{ only = { only } })
      assert.are.same({ only, "" }, { (written:gsub("^d d", "d")), left })
    end
    assert.are.equal("1\n", disk.read(path .. "/a"))
    assert.are.equal("d/b", (outcome(ws:apply{ only = { "d" } })))
  end)

  it("makes .git a file that leads elsewhere", function()
    all_risky("echo gitdir: ../out > .git", ".git")
  end)

  it("writes .git in other letters", function()
    all_risky("mkdir .GIT .Git; echo x > .GIT/config; "
      .. "echo x > .Git/x", ".GIT/config .Git/x")
  end)

  it("makes a directory that git takes for a repository", function()
    all_risky("mkdir -p r/objects r/refs; echo ref: x > r/HEAD; echo x > r/config", "r/HEAD")
  end)

  it("leaves files that editors run", function()
    all_risky([[mkdir .vscode .idea .nvim; echo x > .exrc
      echo x > .nvim.lua; echo x > .vscode/tasks.json; echo x > .idea/x; echo x > .dir-locals.el]],
      ".exrc .nvim.lua .vscode/tasks.json .idea/x .dir-locals.el")
  end)

  it("leaves files that shells and tools run", function()
    all_risky("mkdir .husky .cargo; echo x > .envrc; echo x > .husky/pre-push; "
      .. "echo x > .cargo/config.toml; echo x > .npmrc; echo x > .pre-commit-config.yaml",
      ".envrc .husky/pre-push .cargo/config.toml .npmrc .pre-commit-config.yaml")
  end)

  it("leaves files that a forge runs", function()
    all_risky("mkdir -p .github/workflows; "
      .. "echo x > .github/workflows/x.yml; echo x > .gitlab-ci.yml",
      ".github/workflows/x.yml .gitlab-ci.yml")
  end)

  it("decides what comes in next time", function()
    all_risky("echo '!.env' > .gitignore", ".gitignore")
  end)

  it("leaves a program", function()
    all_risky("echo x > p; chmod 755 p; echo y > q; chmod 711 q", "p q")
  end)

  it("leaves setuid and setgid bits", function()
    all_risky("echo x > u; chmod 4644 u; echo x > g; chmod 2644 g; "
      .. "mkdir s; chmod 2755 s", "u g")
  end)

  it("leaves absolute links", function()
    all_risky("ln -s /etc/passwd p; ln -s / root", "p root")
  end)

  it("leaves links that climb out", function()
    all_risky("mkdir d; ln -s ../out o; ln -s ../../out d/o; "
      .. "ln -s d/../../out p; ln -s . here; ln -s here/../../out q; ln -s ./.././out r",
      "o d/o p q r")
  end)

  it("turns a program's bit on", function()
    local ws, path = open("echo 1 > a")
    attempt(ws, "chmod 755 a")
    assert.are.same({ "", "a risky" }, { outcome(ws:apply()) })
    assert.are.equal("644\n", disk.capture("stat -c %a " .. path .. "/a"))
  end)

  it("puts a directory where the host has a link that leads out", function()
    local ws, path = open("ln -s ../out way && ln -s ../out/f one")
    attempt(ws, "rm way one; mkdir -p way/d; echo bad > way/f; echo bad > way/d/f; echo bad > one")
    -- Below the link nothing is written,
    local written, left = outcome(ws:apply{ only = "way/f" })
    assert.are.equal("", written)
    assert.matches("way/f failed", left)
    -- and with the link itself it is replaced.
    ws:apply()
    assert.are.equal("bad\nbad\n",
      disk.capture("cd " .. path .. "; test ! -L way && cat way/f one"))
  end)

  it("puts a link where the host has a directory, and writes through it", function()
    local ws, path = open("mkdir d && echo 1 > d/f")
    attempt(ws, "rm -r d; mkdir /out; ln -s ../out d; echo bad > d/f")
    local written, left = outcome(ws:apply{ risky = true })
    assert.are.equal("d d/f", written, left)
    assert.are.equal("../out\n", disk.capture("readlink " .. path .. "/d"))
    attempt(ws, "echo worse > d/f; echo worse > d/new")
    assert.are.same({ "", "" }, { outcome(ws:apply{ risky = true }) })
  end)

  it("uses links that the host swaps for directories meanwhile", function()
    local ws, path = open("mkdir d && for i in $(seq 30); do echo $i > d/$i; done")
    attempt(ws, "for i in $(seq 30); do echo bad > d/$i; echo bad > d/n$i; done")
    local pid = disk.capture(([[(while :; do mv %s/d %s/real 2>/dev/null && ln -s ../out %s/d
      rm -f %s/d; mv %s/real %s/d; done) >/dev/null 2>&1 & echo $!]])
      :format(path, path, path, path, path, path)):match("%d+")
    for _ = 1, 4 do
      ws:apply()
      pcall(ws.undo, ws)
    end
    os.execute("kill " .. pid .. "; sleep 0.2; cd " .. path
      .. "; test -e real && rm -f d && mv real d")
    assert.are.equal("d\nf\n", disk.capture("ls " .. directory .. "/out"))
  end)

  it("leaves FIFOs, sockets and devices", function()
    local ws, path = open("echo 1 > a && echo 2 > b")
    attempt(ws, "rm a; mkfifo a pipe; mknod zero c 1 5 2>/dev/null || mkfifo zero")
    local written, left = outcome(ws:apply{ risky = true })
    assert.are.equal("", written)
    assert.matches("a unsupported", left)
    assert.matches("pipe unsupported", left)
    assert.are.equal("1\n", disk.read(path .. "/a"))
  end)

  it("has the host read what has become a FIFO, a device or a directory there", function()
    local ws, path = open("echo 1 > a && echo 2 > b && echo 3 > c && echo 4 > d")
    attempt(ws, "for f in a b c d; do echo bad >> $f; done; echo bad > e")
    os.execute("cd " .. path .. " && rm a b c d && mkfifo a && ln -s /dev/zero b && mkdir c && "
      .. "ln -s " .. directory .. "/out/f d && mkfifo e")
    local written, left = outcome(ws:apply())
    assert.are.equal("", written)
    assert.are.equal("a conflict, b conflict, c conflict, d conflict, e conflict", left)
    assert.are.equal("/dev/zero\n", disk.capture("readlink " .. path .. "/b"))
  end)

  it("leaves gigabytes of holes", function()
    local ws, path = open("echo 1 > a")
    attempt(ws, "truncate -s 10G holes; truncate -s 10G a")
    assert.are.same({ "", "a unsupported, holes unsupported" }, { outcome(ws:apply()) })
    assert.is_string(tostring(ws:changes()))
    assert.are.equal("1\n", disk.read(path .. "/a"))
    assert.are.equal("", disk.capture("find " .. path .. " -size +1M"))
  end)

  it("gives names that are hard to print or to quote", function()
    local ws, path = open("echo 1 > a")
    local names = { "-rf", "a b", "a\nb", "\27[2J", "'\"$(touch x)`", "\255\254", "...", " ",
      ("n"):rep(254), "*", "~", "#x", "!x", "\\", "a\t", "%s%n" }
    local files = {}
    for i, name in ipairs(names) do files["/tmp/in/" .. i] = { data = name } end
    ws:run{ files = files, check = true, shell =
      'cd /tmp/in; for i in *; do printf %s "$i" > "/work/$(cat $i; echo x)" && '
      .. 'mv "/work/$(cat $i; echo x)" "/work/$(cat $i)"; done; ls /work >&2; true' }
    local applied = ws:apply()
    assert.are.same({}, applied.skipped)
    for _, name in ipairs(names) do
      assert.is_string(disk.peek(path .. "/" .. name), name)
    end
    assert.is_nil(tostring(ws:changes()):find("\27", 1, true))
    assert.are.same({}, ws:undo().skipped)
    assert.are.equal(".contreeignore\na\n", disk.capture("ls -A " .. path))
  end)

  it("gives paths that are too long for the host", function()
    local ws, path = open("echo 1 > a")
    attempt(ws, [[n=$(printf '%0200d' 0); for i in $(seq 12); do mkdir $n && cd $n; done
      echo bad > f; for i in $(seq 12); do mkdir $n && cd $n; done; echo bad > f; true]])
    local ok, applied = pcall(ws.apply, ws)
    assert.is_true(ok or contree.is_error(applied), tostring(applied))
    assert.are.equal("1\n", disk.read(path .. "/a"))
  end)

  it("uses our names", function()
    local ws, path = open("echo 1 > a")
    attempt(ws, "echo 2 > a; for i in 1 2 3; do echo x > .contree-00000000-$i-1; "
      .. "echo x > .contree-00000000-$i-1.part; done; echo x > a.part")
    assert.are.same({}, ws:apply().skipped)
    assert.are.equal("2\n", disk.read(path .. "/a"))
    assert.are.same({}, ws:undo().skipped)
    assert.are.equal(".contreeignore\na\n", disk.capture("ls -A " .. path))
  end)

  it("makes a file of a directory that the host still uses", function()
    local ws, path = open("mkdir d && echo 1 > d/f && echo d/mine > .contreeignore && "
      .. "echo mine > d/mine")
    attempt(ws, "rm -r d; echo bad > d")
    local _, left = outcome(ws:apply())
    assert.are.equal("d conflict", left)
    assert.are.equal("mine\n", disk.read(path .. "/d/mine"))
    assert.are.equal("", disk.capture("ls -A " .. path .. " | grep contree-"))
  end)

  it("removes what the host still uses", function()
    local ws, path = open("mkdir d && echo 1 > d/f && echo 2 > g && "
      .. "echo d/mine > .contreeignore && echo mine > d/mine")
    attempt(ws, "rm -r d g")
    os.execute("echo mine >> " .. path .. "/g")
    local written, left = outcome(ws:apply())
    assert.are.same({ "d/f", "d conflict, g conflict" }, { written, left })
    assert.are.equal("mine\n2\nmine\n", disk.capture("cd " .. path .. "; cat d/mine g"))
  end)

  it("overwrites what never came in", function()
    local ws, path = open("printf '.env\\nkeys\\n' > .contreeignore && echo secret > .env && "
      .. "mkdir keys && echo secret > keys/k")
    assert.are.equal("", ws:run("cat .env keys/k 2>&-").stdout)
    attempt(ws, "echo bad > .env; mkdir keys; echo bad > keys/k; echo bad > keys/n; "
      .. "rm .contreeignore")
    assert.are.same({ "", ".contreeignore risky" }, { outcome(ws:apply()) })
    assert.are.same({ "keys/n", ".env conflict, keys/k conflict" },
      { outcome(ws:apply{ only = { ".env", "keys/k", "keys/n" } }) })
    assert.are.equal("secret\nsecret\n", disk.capture("cd " .. path .. "; cat .env keys/k"))
  end)

  it("writes .git as other systems read it", function()
    all_risky([[for n in '.git ' '.git.' 'git~1' '.g'$(printf '\342\200\214')'it' \
        '.git::$INDEX_ALLOCATION'; do mkdir "$n"; echo x > "$n/config"; done
      mv '.git ' '.git_'; mv .git_ .git.x; mv .git.x '.git  .']], "git~1/config "
      .. ".git./config .g\226\128\140it/config .git::$INDEX_ALLOCATION/config")
  end)

  it("leaves files that linters, debuggers and version managers load", function()
    all_risky("echo x > .luacheckrc; mkdir s; echo x > s/.eslintrc.js; echo x > eslint.config.mjs; "
      .. "echo x > .gdbinit; echo x > .pylintrc; echo x > .tool-versions; echo x > .luarc.json",
      ".luacheckrc s/.eslintrc.js eslint.config.mjs .gdbinit .pylintrc .tool-versions .luarc.json")
  end)

  it("gives names that differ in case only", function()
    local ws, path = open("echo 1 > readme && mkdir d")
    attempt(ws, "echo 2 > README; mkdir D; echo x > D/f; echo y > d/F; echo z > d/f; "
      .. "echo x > .ENVRC")
    local written, left = outcome(ws:apply())
    assert.are.same({ "D D/f README d/F d/f", ".ENVRC risky" }, { written, left })
    assert.are.equal("1\n2\ny\nz\n", disk.capture("cd " .. path .. "; cat readme README d/F d/f"))
  end)

  it("changes the modes of directories and of the folder", function()
    local ws, path = open("mkdir d && echo 1 > d/f && chmod 750 d . ")
    attempt(ws, "chmod 6777 /work d; mkdir -m 2777 s; echo x > s/f")
    local written, left = outcome(ws:apply{ risky = true })
    assert.are.equal("s s/f", written)
    assert.matches("d unsupported", left)
    assert.are.equal("750\n750\n", disk.capture("cd " .. path .. "; stat -c %a . d"))
  end)

  it("gives its files to others", function()
    local ws, path = open("echo 1 > a")
    attempt(ws, "echo 2 > a; echo 3 > b; chown 1234:1234 a b; mkdir d; chown 99 d; echo x > d/f")
    assert.are.same({}, ws:apply().skipped)
    assert.are.equal(disk.capture("id -u"), disk.capture("cd " .. path
      .. "; stat -c %u a b d d/f | sort -u"))
  end)

  it("writes to what the host has as a hard link to another file", function()
    local ws, path = open("ln ../out/f h && ln ../out/f gone && echo 1 > a")
    attempt(ws, "echo bad >> h; rm gone; ln a b; ln a c; echo bad >> a")
    assert.are.equal("a b c gone h", (outcome(ws:apply())))
    assert.are.equal("canary\nbad\n1 1 1\n", disk.capture("cd " .. path
      .. "; cat h; echo $(stat -c %h a b c)"))
    -- Not even what undo puts back is a link of the other file.
    assert.are.same({}, ws:undo().skipped)
    os.execute("echo mine >> " .. path .. "/h; echo mine >> " .. path .. "/gone")
  end)

  it("forges a patch", function()
    local ws = open("echo 1 > a")
    local name = "x\n--- a/y\n+++ b/.envrc\n@@ -0,0 +1 @@\n+bad"
    ws:run{ files = { ["/work/a"] = { data = "diff --git a/z b/.envrc\n+++ b/.envrc\n" },
      ["/tmp/name"] = { data = name } },
      shell = 'n=$(cat /tmp/name; echo x); echo x > "b${n##*/}"; ln -s "$n" l', check = true }
    local heads = 0
    for line in (tostring(ws:changes()) .. "\n"):gmatch("([^\n]*)\n") do
      heads = heads + (line:find("^diff %-%-git") and 1 or 0)
      assert.is_nil(line:find("^%+%+%+ b/%.envrc"))
    end
    assert.are.equal(#ws:changes(), heads)
  end)

  it("leaves links that lead round in circles", function()
    local ws, path = open("mkdir d && echo 1 > d/f")
    attempt(ws, "ln -s a b; ln -s b a; ln -s self self; ln -s . d/here; rm d/f; ln -s f d/f")
    assert.are.equal("a b d/f d/here self", (outcome(ws:apply())))
    assert.are.equal("a d\n", ws:run("echo a; ls -d d").stdout:gsub("\n", " ", 1))
    assert.are.same({}, ws:undo().skipped)
    assert.are.equal("1\n", disk.read(path .. "/d/f"))
  end)

  it("removes everything", function()
    local ws, path = open("mkdir d && echo 1 > d/f && ln -s d l && echo 2 > p && chmod 700 p d")
    local function tree() return disk.capture("cd " .. path
      .. "; find . -mindepth 1 -printf '%p %y %m %l\\n' | sort; cat d/f p") end
    local was = tree()
    attempt(ws, "rm -rf * .contreeignore")
    ws:apply{ risky = true }
    assert.are.equal("", disk.capture("ls -A " .. path))
    assert.are.same({}, ws:undo().skipped)
    assert.are.equal(was, tree())
  end)

  it("unmounts, replaces or removes its own folder", function()
    local ws, path = open("mkdir d && echo 1 > d/a && echo 2 > b")
    ws:run{ shell = "cd /; umount /work; rm -rf /work; ln -s /etc /work", check = true }
    local applied = ws:apply()
    assert.are.equal("1\n2\n", disk.capture("cd " .. path .. "; cat d/a b 2>&1"):gsub(
      "^cat.*$", "1\n2\n"))
    assert.is_true(#applied.written == 0 or disk.peek(path .. "/b") == nil)
    ws:undo()
    assert.are.equal("1\n2\n", disk.capture("cd " .. path .. "; cat d/a b"))
  end)
end)
