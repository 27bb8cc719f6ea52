-- Images from Dockerfiles, on the embedded engine with real sandboxes.
local contree = require("contree")
local disk = require("spec.support.disk")
local fake = require("spec.support.fake")
local home = require("spec.support.home")
local safe = require("contree.safe")
local wire = require("spec.support.wire")

-- Without subordinate ids there is only one id in a sandbox (scripts/as-user).
local SINGLE = os.getenv("CONTREE_TEST_IDS") == "single"

describe("images:build", function()
  local client, directory, stop, cache

  setup(function()
    client, directory, stop = home.client()
    cache = directory .. "/cache"
  end)
  teardown(function() stop() end)

  local function shell(command) return disk.capture("cd " .. directory .. " && " .. command) end

  local function write(name, data)
    local path = directory .. "/" .. name
    os.execute("mkdir -p " .. disk.quote(path:match("^(.*)/")))
    return disk.write(path, data)
  end

  -- Builds a Dockerfile's text; returns the image, and the last event of each line.
  local function build(text, given)
    local done, copy = {}, { dockerfile = { data = text }, cache_dir = cache }
    for name, value in pairs(given or {}) do copy[name] = value end
    copy.on_step = function(event) done[event.line] = event.type end
    return client.images:build(copy), done
  end

  local function refused(text, given)
    local ok, err = pcall(build, text, given)
    assert.is_false(ok)
    assert.is_true(contree.is_error(err), tostring(err))
    return err
  end

  local function cat(image, path) return image:read(path) end

  -- Returns "path type mode owner" of everything below a path.
  local function tree(image, path)
    return image:run{ shell = "cd " .. path .. [[ && find . | sort | while read f; do
      stat -c '%n %A %u:%g %N' "$f"; done]] }.stdout
  end

  it("makes an image of a Dockerfile and its context", function()
    write("app/Dockerfile", [[
# what the image is made of
FROM busybox:latest
ENV GREETING=hello NAME="the world"
WORKDIR /app
COPY main.sh ./
RUN ./main.sh > out \
  # a comment between
  && pwd >> out
LABEL org.name=test
EXPOSE 80 81/udp
CMD ["./main.sh"]
]])
    shell("printf '#!/bin/sh\\necho \"$GREETING, $NAME\"\\n' > app/main.sh; chmod 755 app/main.sh")
    local image = client.images:build{ context = directory .. "/app", cache_dir = cache,
      tag = "app:1" }
    assert.equal("hello, the world\n/app\n", cat(image, "/app/out"))
    assert.equal("app:1", image.tag)
    assert.equal(image.uuid, client.images:use("app:1", { strict = true }).uuid)
    assert.equal("hello", image:run('printf "$GREETING"').stdout)
    assert.same({ env = { GREETING = "hello", NAME = "the world" }, workdir = "/app",
      cmd = { "./main.sh" }, labels = { ["org.name"] = "test" }, exposed = { "80", "81/udp" },
      volumes = {} }, image.config)
    assert.equal(image.uuid, image.stages[0].uuid)
  end)

  describe("runs again only what changed:", function()
    local TEXT = "FROM busybox:latest\nRUN cat /proc/sys/kernel/random/uuid > /1\nCOPY a /a\n"
      .. "RUN cat /a /1 > /2\nRUN touch /3"

    setup(function() write("reuse/a", "one") end)

    local function again(no_cache)
      return build(TEXT, { context = directory .. "/reuse", no_cache = no_cache })
    end

    it("nothing, the second time", function()
      local first, done = again()
      assert.same({ "step_completed", "step_completed", "step_completed", "step_completed",
        "step_completed" }, done)
      local second
      second, done = again()
      assert.equal(first.uuid, second.uuid)
      assert.same({ "step_completed", "cache_hit", "cache_hit", "cache_hit", "cache_hit" }, done)
    end)

    it("what comes after a file that is another one", function()
      local before = cat(again(), "/2")
      write("reuse/a", "two")
      local after, done = again()
      assert.same({ "step_completed", "cache_hit", "step_completed", "step_completed",
        "step_completed" }, done)
      assert.equal((before:gsub("one", "two")), cat(after, "/2"))
      write("reuse/a", "one")
      assert.equal(before, cat(again(), "/2"))
      shell("chmod 755 reuse/a")
      done = select(2, again())
      assert.equal("step_completed", done[4])
      shell("chmod 644 reuse/a; touch reuse/a")
      done = select(2, again())
      assert.equal("cache_hit", done[4])
    end)

    it("what comes after a line that is another one", function()
      local _, done = build("FROM busybox:latest\nENV A=1\nRUN :\nUSER 0\nRUN echo $A")
      assert.equal("step_completed", done[5])
      _, done = build("FROM busybox:latest\nENV A=1\nRUN :\nUSER 0\nRUN echo $A")
      assert.equal("cache_hit", done[5])
      for _, text in ipairs{ "FROM busybox:latest\nENV A=2\nRUN :\nUSER 0\nRUN echo $A",
        "FROM busybox:latest\nENV A=1\nRUN :\nWORKDIR /tmp\nRUN echo $A" } do
        _, done = build(text)
        assert.equal("step_completed", done[5])
      end
    end)

    it("all, when that is wanted", function()
      local before = cat(again(), "/1")
      local image, done = again(true)
      assert.equal("step_completed", done[2])
      assert.not_equal(before, cat(image, "/1"))
      assert.equal(cat(image, "/1"), cat(again(), "/1"))
    end)

    it("what is no longer there", function()
      again()
      local path = shell("ls " .. cache .. "/build/*"):gsub("%s+$", "")
      -- Pretend that all images but that of the first step were collected.
      shell(([[awk '{ u = $2; if (u ~ /^[0-9a-f]+-/ && n++ > 0) sub(/^......../, "00000000", u);
        print $1, u }' %s > new && mv new %s]]):format(path, path))
      local image, done = again()
      assert.equal("step_completed", done[5])
      assert.equal("one", cat(image, "/2"):sub(1, 3))
      image, done = again()
      assert.equal("cache_hit", done[5])
      assert.is_true(image:exists("/3"))
      -- Pretend that another program has written to the cache.
      build("FROM busybox:latest\nENV P=$PATH\nRUN :")
      shell(("sed -i 's/ .*/ {junk}/' %s"):format(path))
      done = select(2, again())
      assert.equal("step_completed", done[2])
      done = select(2, build("FROM busybox:latest\nENV P=$PATH\nRUN :"))
      assert.equal("step_completed", done[3])
    end)
  end)

  describe("COPY", function()
    local context

    setup(function()
      context = directory .. "/copy"
      shell([[mkdir -p copy/src/empty copy/src/sub copy/many && cd copy && echo a > a.txt &&
        echo b > b.txt && echo x > src/x && chmod 755 src/x && echo y > src/sub/y &&
        ln -s x src/link && echo no > src/z.log && echo no > z.log &&
        echo '**/*.log' > .dockerignore &&
        for i in $(seq 70); do echo $i > many/f$i; done && head -c 1100000 /dev/zero > many/large]])
    end)

    local function copied(lines, path)
      return tree(build("FROM busybox:latest\n" .. lines, { context = context }), path)
    end

    it("puts a file under a name, or into a directory", function()
      assert.equal([[
. drwxr-xr-x 0:0 .
./a -rw-r--r-- 0:0 ./a
./c drwxr-xr-x 0:0 ./c
./c/a.txt -rw-r--r-- 0:0 ./c/a.txt
]], copied("COPY a.txt /d/a\nCOPY a.txt /d/c/", "/d"))
      local image = build("FROM busybox:latest\nRUN mkdir /there && ln -s there /link\n"
        .. "COPY a.txt /there\nCOPY b.txt /link\nCOPY a.txt /tmp\nWORKDIR /w\nCOPY a.txt .\n"
        .. 'COPY ["b.txt", "a b"]\nWORKDIR sub\nCOPY a.txt ..//c\nCOPY a.txt b.txt ./',
        { context = context })
      for path, data in pairs{ ["/there/a.txt"] = "a", ["/there/b.txt"] = "b", ["/tmp/a.txt"] = "a",
        ["/w/a.txt"] = "a", ["/w/a b"] = "b", ["/w/c"] = "a", ["/w/sub/b.txt"] = "b" } do
        assert.equal(data .. "\n", cat(image, path), path)
      end
    end)

    it("puts what is in a directory, but for what is ignored", function()
      assert.equal([[
. drwxr-xr-x 0:0 .
./empty drwxr-xr-x 0:0 ./empty
./link lrwxrwxrwx 0:0 './link' -> 'x'
./sub drwxr-xr-x 0:0 ./sub
./sub/y -rw-r--r-- 0:0 ./sub/y
./x -rwxr-xr-x 0:0 ./x
]], copied("COPY src /d", "/d"))
      local there = build("FROM busybox:latest\nWORKDIR /d\nCOPY *.txt /d\n"
        .. "COPY a.txt no* ./\nCOPY no* /e",
        { context = context })
      assert.equal("a.txt\nb.txt\n", there:run("ls /d").stdout)
      assert.is_false(there:exists("/e"))
      local image = build("FROM busybox:latest\nCOPY *.txt /d/\n"
        .. "COPY --exclude=*.txt --exclude=many . /e", { context = context })
      assert.equal("a.txt\nb.txt\n", image:run("ls /d").stdout)
      assert.equal("src\n", image:run("ls /e").stdout)
    end)

    it("gives modes", function()
      assert.equal([[
. drwxr-x--- 0:0 .
./empty drwxr-x--- 0:0 ./empty
./link lrwxrwxrwx 0:0 './link' -> 'x'
./sub drwxr-x--- 0:0 ./sub
./sub/y -rwxr-x--- 0:0 ./sub/y
./x -rwxr-x--- 0:0 ./x
]], copied("COPY --chmod=750 src /d", "/d"))
      assert.equal(384, build("FROM busybox:latest\nCOPY --chmod=0600 a.txt /f",
        { context = context }):stat("/f").mode)
    end)

    it("gives owners, where there are ids to give", function()
      local trees = "FROM busybox:latest\nCOPY --chown=nobody src /d"
      local files = "FROM busybox:latest\nCOPY --chown=5:root a.txt /f"
      if SINGLE then
        assert.matches("one id to give", tostring(refused(trees, { context = context })))
        assert.matches("one id to give", tostring(refused(files, { context = context })))
        return
      end
      local image = build(trees, { context = context })
      for _, path in ipairs{ "/d", "/d/empty", "/d/sub/y", "/d/x" } do
        assert.equal(65534, image:stat(path).uid, path)
        assert.equal(65534, image:stat(path).gid, path)
      end
      image = build(files, { context = context })
      assert.same({ 5, 0 }, { image:stat("/f").uid, image:stat("/f").gid })
      assert.matches('Dockerfile:2: the image has no user "nobdy"', tostring(refused(
        "FROM busybox:latest\nCOPY --chown=nobdy a.txt /f", { context = context })))
    end)

    it("takes many files, and large ones", function()
      local image = build("FROM busybox:latest\nCOPY many /many", { context = context })
      assert.equal("71 2485 1100000\n", image:run([[cd /many; echo $(ls | wc -l) \
        $(cat f* | awk '{ n += $1 } END { print n }') $(wc -c < large)]]).stdout)
    end)

    it("takes here-documents", function()
      local image = build("FROM busybox:latest\nARG V=1\n"
        .. 'COPY <<one <<"two" /d/\nv=$V\none\nv=$V\ntwo\n'
        .. "COPY --chmod=755 <<-EOF /run.sh\n\t#!/bin/sh\n\techo ran\nEOF\nRUN /run.sh > /out")
      assert.equal("v=1\n", cat(image, "/d/one"))
      assert.equal("v=$V\n", cat(image, "/d/two"))
      assert.equal("ran\n", cat(image, "/out"))
    end)

    it("refuses what is not there, or not in the context", function()
      for text, message in pairs{
        ["COPY none /d"] = "Dockerfile:2: there is no none in the context",
        ["COPY ../app/main.sh /d"] = "Dockerfile:2: ../app/main.sh is outside of the context",
        ["COPY z.log /d"] = ".dockerignore leaves it out",
        ["COPY a.txt b.txt /d"] = '2 sources need a directory to go to (write the destination'
          .. ' as "/d/")',
        ["COPY *.txt /new"] = '2 sources need a directory to go to (write the destination'
          .. ' as "/new/")',
        ["COPY a.txt"] = "COPY needs a source and a destination",
        ["COPY --chmod=u+x a.txt /d"] = "octal digits",
        ["COPY --parents a.txt /d"] = "--parents is not supported",
        ["COPY --from=7 a /d"] = "there is no stage 7 before this one",
        ["COPY --from=busybox /none /d"] = "no such path",
      } do
        local err = refused("FROM busybox:latest\n" .. text, { context = context })
        assert.matches(message, tostring(err), 1, true)
        assert.equal(2, err.line)
      end
      assert.matches("there is no context", tostring(refused("FROM busybox:latest\nCOPY a /a")))
    end)

    it("does not mix two states of a file", function()
      write("race/f", "before")
      local ok, err = pcall(client.images.build, client.images, {
        dockerfile = { data = "FROM busybox:latest\nCOPY f /f" }, context = directory .. "/race",
        cache_dir = cache, on_event = function(event)
          if event.type == "step_started" and event.line == 2 then write("race/f", "after") end
        end })
      assert.is_false(ok)
      assert.matches("f has changed meanwhile", tostring(err))
    end)
  end)

  describe("ADD", function()
    it("unpacks archives that are in the context", function()
      shell([[mkdir -p add/t/d && cd add && echo 1 > t/d/f && tar -czf a.tgz -C t . &&
        tar -cf a.tar t && tar -cJf a.bin t &&
        tar -cjf a.tar.x -C t . && tar --zstd -cf a.tar.y t &&
        echo plain | gzip > one.gz && cp a.tar copied.tar]])
      local image = build("FROM busybox:latest\nADD a.tgz /1\nADD a.tar a.bin /2/\nADD one.gz /3/\n"
        .. "ADD --chmod=700 a.tgz /4\nCOPY copied.tar /5/\nADD --unpack=false a.tar /6\n"
        .. "ADD a.tar.* /7/",
        { context = directory .. "/add" })
      assert.equal("1\n", cat(image, "/1/d/f"))
      assert.equal("1\n", cat(image, "/2/t/d/f"))
      assert.equal("plain\n", image:run("zcat /3/one.gz").stdout)
      assert.equal(420, image:stat("/4/d/f").mode) -- --chmod is not for what is in archives
      assert.equal("d t\n", image:run("echo $(ls /7)").stdout)
      assert.is_true(image:exists("/5/copied.tar"))
      assert.equal("file", image:stat("/6").type)
    end)

    it("B2: gives files their extended attributes, out of archives and images", function()
      write("xattrs/make.py", [[
import io, tarfile
cap = bytes.fromhex("0100000200200000000000000000000000000000")
t = tarfile.open("x.tar", "w", format=tarfile.PAX_FORMAT)
def add(name, kind=tarfile.REGTYPE, **pax):
    i = tarfile.TarInfo(name); i.type = kind; i.mode = 0o755; i.mtime = 1000000000
    i.linkname = "x/f" if kind == tarfile.LNKTYPE else ""
    i.size = 3 if kind == tarfile.REGTYPE else 0
    i.pax_headers = {"SCHILY.xattr." + k: v for k, v in pax.items()}
    t.addfile(i, io.BytesIO(b"new"))
add("x/f", **{"user.color": "red\nblue", "user.overlay.opaque": "y", "trusted.x": "1"})
add("x/h", tarfile.LNKTYPE)
add("x/cap", **{"security.capability": cap.decode("latin-1")})
t.close()
]])
      write("xattrs/show.py", [[
import sys, tarfile
for m in tarfile.open(sys.argv[1]):
    if m.isfile() or m.islnk():
        print(m.name, oct(m.mode), m.mtime, sorted((k[13:], v) for k, v in m.pax_headers.items()
            if k.startswith("SCHILY.xattr.")), m.linkname)
]])
      shell("cd xattrs && python3 make.py")
      local image = build("FROM busybox:latest AS a\nRUN mkdir -p /d/x && echo old > /d/x/f\n"
        .. "ADD x.tar /d\nFROM busybox:latest\nCOPY --from=a /d /e\n",
        { context = directory .. "/xattrs" })
      image:archive("/e/x", directory .. "/xattrs/out.tar")
      local found = shell("cd xattrs && python3 show.py out.tar")
      assert.matches("e/x/f 0o755 1000000000 [('user.color', 'red\\nblue')] ", found, 1, true)
      assert.matches("e/x/h 0o755 1000000000 [] e/x/f\n", found, 1, true)
      assert.equal("newnew", image:run("cat /e/x/f /e/x/h").stdout)
      assert.matches("e/x/cap 0o755 1000000000 [('security.capability', '\\x01\\x00\\x00\\x02\\x00 "
        .. ("\\x00"):rep(14) .. "')] \n", found, 1, true)
    end)

    it("fetches URLs, and checks them", function()
      local server = fake.start()
      finally(function() server:stop() end)
      local rules = {
        { method = "GET", path = "/a/moved", replies = { { status = 302,
          headers = { Location = "../file?x=1" } } } },
        { method = "GET", path = "/a/../file", replies = { { status = 200, body = "hello" } } },
        { method = "GET", path = "/file", replies = { { status = 200, body = "hello" } } },
        { method = "GET", path = "/round", replies = { { status = 302,
          headers = { Location = "/round" } } } },
      }
      for n = 0, 10 do
        rules[#rules + 1] = { method = "GET", path = "/hop" .. n, replies = { { status = 302,
          headers = { Location = n == 10 and "/file" or "/hop" .. n + 1 } } } }
      end
      server:rules(rules)
      local sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
      local image = build(("FROM busybox:latest\nADD %s/file /d/\nADD %s/a/moved /moved\n"
        .. "ADD --checksum=sha256:%s --chmod=644 %s/file /sum\nADD %s/hop1 /hops"):format(
        server.url, server.url, sum, server.url, server.url))
      assert.equal("hello", cat(image, "/hops"))
      assert.equal("hello", cat(image, "/d/file"))
      assert.equal("hello", cat(image, "/moved"))
      assert.equal(384, image:stat("/d/file").mode)
      assert.equal(420, image:stat("/sum").mode)
      for text, message in pairs{
        ["ADD %s/none /d"] = "the server answers",
        ["ADD %s/round /d"] = "more than 10 redirects",
        ["ADD %s/hop0 /d"] = "more than 10 redirects",
        ["ADD %s/ /d/"] = "names no file",
        ["ADD --checksum=sha256:" .. ("0"):rep(64) .. " %s/file /d"] = "it is sha256:" .. sum,
        ["ADD --checksum=md5:1 %s/file /d"] = "64 hexadecimal digits",
        ["ADD %s/x.git /d"] = "Git",
      } do
        local err = refused("FROM busybox:latest\n" .. text:format(server.url))
        assert.matches(message, tostring(err), 1, true)
        assert.equal(2, err.line)
      end
    end)
  end)

  it("has stages, and builds those that are needed", function()
    local text = [[
ARG BASE=busybox
FROM $BASE AS Base
ENV A=1
WORKDIR /out
FROM base AS made
RUN mkdir -p d/e && echo $A > d/e/f && ln -s d/e/f l && ln d/e/f h && mkdir empty && chown $OWNER d
RUN echo 1 > 'file1.x'; echo 2 > file2.x
FROM busybox AS unused
RUN exit 1
FROM scratch
COPY --from=made /out /all
COPY --from=1 /out/l /followed
COPY --from=made --chown=$OWNED /out/d /owned
COPY --from=made /out/*.x /globbed/
COPY --from=busybox:latest /bin/busybox /bin/sh
COPY --from=made out/d/e/f /
]]
    local owner, owned = SINGLE and "0:0" or "3:4", SINGLE and "0:0" or "7:8"
    text = text:gsub("%$OWNER", owner):gsub("%$OWNED", owned)
    local image, done = build(text)
    assert.is_nil(done[9])
    local expected = [[
./all drwxr-xr-x 0:0 ./all
./all/d drwxr-xr-x 3:4 ./all/d
./all/d/e drwxr-xr-x 0:0 ./all/d/e
./all/d/e/f -rw-r--r-- 0:0 ./all/d/e/f
./all/empty drwxr-xr-x 0:0 ./all/empty
./all/file1.x -rw-r--r-- 0:0 ./all/file1.x
./all/file2.x -rw-r--r-- 0:0 ./all/file2.x
./all/h -rw-r--r-- 0:0 ./all/h
./all/l lrwxrwxrwx 0:0 './all/l' -> 'd/e/f'
./followed -rw-r--r-- 0:0 ./followed
./globbed drwxr-xr-x 0:0 ./globbed
./globbed/file1.x -rw-r--r-- 0:0 ./globbed/file1.x
./globbed/file2.x -rw-r--r-- 0:0 ./globbed/file2.x
./owned drwxr-xr-x 7:8 ./owned
./owned/e drwxr-xr-x 7:8 ./owned/e
./owned/e/f -rw-r--r-- 7:8 ./owned/e/f
]]
    local all = build("FROM busybox:latest\nCOPY --from=" .. image.uuid .. " / /x")
    assert.equal((expected:gsub("3:4", owner):gsub("7:8", owned)), all:run([[
      cd /x && find ./all ./followed ./globbed ./owned | sort | while read f; do
        stat -c '%n %A %u:%g %N' "$f"; done]]).stdout)
    local names = {}
    for _, entry in ipairs(image:ls("/")) do names[#names + 1] = entry.name end
    assert.equal("all bin dev f followed globbed owned proc sys", table.concat(names, " "))
    assert.equal("1\n", image:run{ command = "/bin/sh", args = { "-c", "read a < /f; echo $a" } }
      .stdout)
    assert.is_nil(image.stages.unused)
    assert.equal(image.stages.made.uuid, image.stages[1].uuid)
    assert.equal(image.stages.made.uuid, build(text, { target = "MADE" }).uuid)
    assert.matches('no stage "mad" %(did you mean made%?%)',
      tostring(refused(text, { target = "mad" })))
  end)

  it("copies anew from a stage that is another one now", function()
    local text = [[
FROM busybox AS made
RUN echo %s > /f
FROM busybox
COPY --from=made /f /g
]]
    local _, first = build(text:format("one"))
    local image, done = build(text:format("two"))
    assert.equal("two\n", cat(image, "/g"))
    assert.equal("cache_hit", select(2, build(text:format("one")))[4])
    assert.are_not.equal("cache_hit", first[4])
    assert.are_not.equal("cache_hit", done[4])
    -- Nor is one image taken for another that has a file of this name.
    local one, two = build("FROM busybox\nRUN echo 1 > /f"), build("FROM busybox\nRUN echo 2 > /f")
    for content, from in pairs{ ["1\n"] = one, ["2\n"] = two } do
      local copied = build("FROM busybox\nARG X\nCOPY --from=$X /f /h",
        { args = { X = from.uuid } })
      assert.equal(content, cat(copied, "/h"))
    end
  end)

  it("makes stages side by side; one that fails ends the others", function()
    local ended = {}
    local ok, err = pcall(client.images.build, client.images, { cache_dir = cache,
      dockerfile = { data = [[
FROM busybox:latest AS slow
RUN sleep 3600
FROM busybox:latest AS broken
RUN exit 3
FROM scratch
COPY --from=slow /x /
COPY --from=broken /y /
]] }, on_event = function(event)
        if event.type == "step_failed" then ended[event.line] = event.error.kind end
      end })
    assert.is_false(ok)
    assert.equal(4, err.line)
    assert.same({ [2] = "cancelled", [4] = "command_failed" }, ended)
    wire.eventually("the end of the slow one", function()
      local last = client.operations:list{ limit = 2 }
      for _, each in ipairs(last) do
        if each.status == "CANCELLED" then return true end
      end
    end)
  end)

  it("tells variables apart: ENV stays, ARG does not", function()
    local text = [[
ARG GLOBAL=g
FROM busybox:latest
ARG GLOBAL
ARG A=1 B=${A:-0}2 C
ENV D=$A$B PATH=/mine:$PATH
ENV A=env
RUN echo "$GLOBAL $A $B $C $D $http_proxy" > /out
]]
    local image = build(text)
    assert.equal("g env 12  112 \n", cat(image, "/out"))
    assert.equal("env||/mine:", image:run('printf "$A|$B|${PATH%%/usr*}"').stdout)
    image = build(text, { args = { B = "b", C = "c", GLOBAL = "x", http_proxy = "p" } })
    assert.equal("x env b c 1b p\n", cat(image, "/out"))
    assert.is_nil(image.config.env.C)
    local err = refused(text, { args = { GLOBL = "x" } })
    assert.is_true(err.misuse)
    assert.matches("build_spec.lua:%d+: .* has no ARG GLOBL %(did you mean GLOBAL%?%)",
      tostring(err))
  end)

  it("runs as a user, in a directory, with a shell", function()
    local text = [[
FROM busybox:latest
RUN echo 'app:x:12:34::/home/app:/bin/sh' >> /etc/passwd && echo 'web:x:56:' >> /etc/group
USER app
WORKDIR /home/app
RUN echo "$(id -u):$(id -g) $HOME $PWD" > /tmp/1
USER 99:web
RUN ["sh", "-c", "echo \"$(id -u):$(id -g)\" > /tmp/2"]
SHELL ["/bin/sh", "-e", "-c"]
RUN echo "$-" | tr -cd e > /tmp/3
RUN <<EOF
#!/bin/busybox sh
echo "ran $(basename "$0" | cut -c 1-3)" > /tmp/4
EOF
RUN cat <<A <<B > /tmp/5
$((1 + 1))
A
two
B
]]
    assert.matches('no user "nope"', tostring(refused("FROM busybox:latest\nUSER nope\nRUN true")))
    if SINGLE then
      assert.matches("Dockerfile:5: RUN .*one id to give", tostring(refused(text)))
      text = text:gsub("USER app", "ENV HOME=/home/app"):gsub("USER 99:web", "USER root:0")
    end
    local image = build(text)
    assert.equal((SINGLE and "0:0" or "12:34") .. " /home/app /home/app\n", cat(image, "/tmp/1"))
    assert.equal(SINGLE and "0:0\n" or "99:56\n", cat(image, "/tmp/2"))
    assert.equal("e", cat(image, "/tmp/3"))
    assert.equal("ran tmp\n", cat(image, "/tmp/4"))
    assert.equal("two\n", cat(image, "/tmp/5"))
    assert.equal(SINGLE and "/home/app" or "/root", image:run('printf "$HOME"').stdout)
    assert.equal(SINGLE and "root:0" or "99:web", image.config.user)
  end)

  it("says what failed, where, and with what", function()
    local seen = {}
    local ok, err = pcall(client.images.build, client.images, { cache_dir = cache,
      dockerfile = { data = "FROM busybox:latest\n\nRUN echo out; \\\n  echo why >&2; exit 3\n" },
      on_event = function(event) seen[#seen + 1] = event.type .. (event.data or "") end })
    assert.is_false(ok)
    assert.equal("command_failed", err.kind)
    assert.equal(3, err.line)
    assert.equal(3, err.result.exit_code)
    assert.equal("out\n", err.result.stdout)
    assert.equal("RUN echo out;   echo why >&2; exit 3", err.step)
    assert.matches("contree: Dockerfile:3: RUN echo out; echo why.*: the command ended with "
      .. "exit code 3: why", tostring(err))
    assert.is_nil(err.hint)
    assert.matches("networking = true", refused(
      "FROM busybox:latest\nRUN wget http://example.invalid/").hint)
    table.sort(seen)
    assert.same({ "stderrwhy\n", "stdoutout\n", "step_completed", "step_failed", "step_started",
      "step_started" }, seen)
    assert.matches("Dockerfile:1: FROM no:such/thing", tostring(refused("FROM no:such/thing")))
    assert.matches("type=secret is not supported",
      tostring(refused("FROM busybox:latest\nRUN --mount=type=secret,id=x true")))
    assert.equal("step_completed", select(2, build(
      "FROM busybox:latest\nRUN --mount=type=cache,target=/c --network=none true"))[2])
    assert.equal("timeout",
      refused("FROM busybox:latest\nRUN sleep 60", { timeout = 1 }).result.limit)
  end)

  it("keeps the caches of RUN in volumes, for later builds", function()
    local mine = "RUN --mount=type=cache,target=$PLACE,id=Mine/x "
    local function built(lines)
      return (build("FROM busybox:latest\nARG PLACE=/c\nWORKDIR /w\n" .. lines))
    end
    local image = built(mine .. "echo 1 >> /c/n; echo kept > /kept")
    assert.equal("", image:run("ls -A /c").stdout)
    assert.equal("kept\n", image:read("/kept"))
    -- Another Dockerfile finds it, elsewhere.
    image = built("RUN --mount=type=cache,id=Mine/x,dst=d cp d/n /copy; echo 2 >> d/n\n" .. mine
      .. "cat /c/n > /both")
    assert.equal("1\n", image:read("/copy"))
    assert.equal("1\n2\n", image:read("/both"))
    -- Another id, another cache; by default the target is the id.
    image = built("RUN --mount=type=cache,target=/w/d ls -A d > /other; touch d/f\n"
      .. "RUN --mount=type=cache,target=d ls -A d >> /other\n"
      .. "RUN --mount=type=cache,target=/x,sharing=locked --mount=type=tmpfs,target=/y "
      .. "mkdir -p /x /y; touch /x/f /y/f")
    assert.equal("f\n", image:read("/other"))
    assert.is_true(image:exists("/x/f"))
    assert.is_true(image:exists("/y/f"))
    -- One in another one stays a directory of it.
    image = built("RUN --mount=type=cache,target=/o --mount=type=cache,target=/o/i "
      .. "mkdir -p /o/i; touch /o/i/f; ls /o > /list")
    assert.equal("i\n", image:read("/list"))
    local names = {}
    for _, volume in ipairs(client.volumes:list()) do names[#names + 1] = volume.name end
    local all = table.concat(names, " ")
    assert.matches("build/mine%-x%-%x+", all)
    assert.matches("build/w%-d%-%x+", all)
    assert.is_nil(all:find("build/x", 1, true))
    -- For a user who is not root, too.
    local id = SINGLE and 0 or 7
    image = built(("USER %d\nRUN --mount=type=cache,target=/mine touch /mine/f; id -u > /tmp/id")
      :format(id))
    assert.equal(id .. "\n", image:read("/tmp/id"))
    assert.matches("needs target=",
      tostring(refused("FROM busybox:latest\nRUN --mount=type=cache x")))
  end)

  it("refuses calls that are wrong, and Dockerfiles that are not there", function()
    for _, given in ipairs{ {}, { dockerfile = {} }, { contxt = "x" }, { context = 5 },
      { context = directory, username = "x" } } do
      local ok, err = pcall(client.images.build, client.images, given)
      assert.is_false(ok)
      assert.is_true(err.misuse)
      assert.matches("build_spec.lua:%d+", tostring(err))
    end
    local ok, err = pcall(client.images.build, client.images, directory .. "/none")
    assert.is_false(ok)
    assert.equal("file", err.kind)
    local careful = safe.new{ engine = { data_dir = directory .. "/data",
      socket = directory .. "/engine.sock" } }
    local image, problem = careful.images:build{ dockerfile = { data = "FRM x" } }
    assert.is_nil(image)
    assert.equal("invalid_argument", problem.kind)
    image = careful.images:build{ dockerfile = { data = "FROM busybox:latest\nRUN true" },
      cache_dir = cache }
    assert.is_nil(select(2, image:run{ shell = "exit 1", check = true }).misuse)
  end)

  -- A pipe must not block the build, and a device must not be read for ever.
  it("F11: takes Dockerfiles that are files, and the context's from within", function()
    shell([[mkdir f11 && cd f11 && mkdir out pipe in && echo FROM busybox:latest > out/real &&
      cp out/real . && ln -s ../real out/Dockerfile && mkfifo pipe/Dockerfile && mkfifo pipe/own &&
      ln -s Other in/Dockerfile && cp real in/Other && truncate -s 1G large]])
    local here = directory .. "/f11/"
    for name, given in pairs{
      ["leads out of its directory"] = { context = here .. "out" },
      ["out/Dockerfile: it leads"] = { context = here .. "out/" },
      ["pipe/Dockerfile: it is not a regular file"] = { context = here .. "pipe" },
      ["pipe/own: it is not a regular file"] = { dockerfile = here .. "pipe/own" },
      ["/dev/zero: it is not a regular file"] = { dockerfile = "/dev/zero" },
      ["out: it is not a regular file"] = { dockerfile = here .. "out" },
      ["large: it is too large"] = { dockerfile = here .. "large" },
      ["none: No such file"] = { dockerfile = here .. "none" },
      ["none/Dockerfile: No such file"] = { context = here .. "none" },
    } do
      local ok, err = pcall(client.images.build, client.images, given)
      assert.is_false(ok, name)
      assert.equal("file", err.kind)
      assert.matches(name, tostring(err), 1, true)
    end
    for _, given in ipairs{ { context = here .. "in" },
      { dockerfile = here .. "out/Dockerfile" } } do
      assert.is_truthy(client.images:build(given).uuid)
    end
  end)

  it("B8: has a shell's forms of $ in each instruction that has variables", function()
    write("b8/a1", "one")
    write("b8/$$", "two")
    local image = build([[
ARG T=latest
FROM busybox:${T}$@
ARG A=1 B=${T:+x}2 C=$0
ENV X=$@y Y="$$z" Z='$$' W=a$$b V=$A_ U=${A}_$ Q=\$A
LABEL l=$A$* m="\$$A"
EXPOSE $P ${P:-80 81}/tcp
VOLUME /v$A
STOPSIGNAL SIG${S:-TERM}
WORKDIR /w$A$!/$1
COPY a$A /c$A$#
COPY ["a${A}", "/d$?"]
COPY \$\$ /e
USER ${N:-0}
CMD echo $A $$
SHELL ["/bin/sh", "-c"]
RUN echo "$X|$Y|$Z|$W|$V|$U|$Q|$B|$C" > /out; echo "$$" | grep -qv '\$'
]], { context = directory .. "/b8" })
    assert.equal("y|z|$$|ab||1_$|$A|2|\n", cat(image, "/out"))
    assert.same({ l = "1", m = "$1" }, image.config.labels)
    assert.same({ "80", "81/tcp" }, image.config.exposed)
    assert.same({ "/v1" }, image.config.volumes)
    assert.equal("SIGTERM", image.config.stopsignal)
    assert.equal("/w1", image.config.workdir)
    assert.equal("one", cat(image, "/c1"))
    assert.equal("one", cat(image, "/d"))
    assert.equal("two", cat(image, "/e"))
    assert.same({ "/bin/sh", "-c", "echo $A $$" }, image.config.cmd)
  end)

  it("takes no image's tag away", function()
    local base = client.images:use("busybox:latest", { strict = true }).uuid
    local one = build("FROM busybox:latest", { tag = "mine:1" })
    assert.equal(base, client.images:use("busybox:latest", { strict = true }).uuid)
    assert.not_equal(base, one.uuid)
    local two = build("FROM busybox:latest", { tag = "mine:2" })
    assert.equal(one.uuid, client.images:use("mine:1", { strict = true }).uuid)
    assert.equal(two.uuid, client.images:use("mine:2", { strict = true }).uuid)
    assert.equal(two.uuid, build("FROM busybox:latest", { tag = "mine:2" }).uuid)
    assert.equal("x\n", one:run("echo x").stdout)
  end)

  it("may be many at once, and be cancelled", function()
    local text = "FROM busybox:latest\nRUN sleep 0.2; echo 1 > /f\nRUN echo 2 >> /f"
    local built = contree.gather{ function() return build(text) end,
      function() return build(text) end, function() return build(text) end }
    for _, image in ipairs(built) do assert.equal("1\n2\n", cat(image, "/f")) end
    contree.async(function()
      local running
      local task = contree.spawn(function()
        build("FROM busybox:latest\nRUN echo up; sleep 100",
          { on_event = function(event) running = running or event.type == "stdout" end })
      end)
      repeat contree.sleep(0.02) until running
      task:cancel()
      local ok, err = pcall(task.wait, task)
      assert.is_false(ok)
      assert.equal("cancelled", err.kind)
    end)
    wire.eventually("the end of what was cancelled", function()
      return client.operations:list{ limit = 1 }[1].status == "CANCELLED"
    end)
  end)
end)
