-- Local files in a build: patterns, the context, archives and the cache.
local cache = require("contree.base.cache")
local context = require("contree.dockerfile.context")
local disk = require("spec.support.disk")
local errors = require("contree.base.errors")
local ignore = require("contree.base.ignore")
local tar = require("contree.base.tar")
local untar = require("contree.dockerfile.untar")

local STEP = { file = "Dockerfile", line = 7, name = "COPY", source = "COPY x y" }

local function names_of(path)
  local names = {}
  for name in path:gmatch("[^/]+") do names[#names + 1] = name end
  return names
end

describe(".dockerignore", function()
  local function ignored(text)
    local rules = ignore.parse(text, ".dockerignore")
    return function(path) return rules:ignores(names_of(path)) end
  end

  it("takes names, and what is below them", function()
    local is = ignored("a\n/b/\n./c/d\n")
    for _, path in ipairs{ "a", "a/x/y", "b", "b/x", "c/d", "c/d/e" } do
      assert.is_true(is(path))
    end
    for _, path in ipairs{ "x/a", "ab", "c", "c/dd" } do assert.is_false(is(path)) end
  end)

  it("has exceptions, comments and empty lines", function()
    local is = ignored("# x\n\n*\n!keep\n  keep/not  \n!keep/not/but\r\n")
    assert.is_true(is("a"))
    assert.is_false(is("keep"))
    assert.is_false(is("keep/this"))
    assert.is_true(is("keep/not"))
    assert.is_false(is("keep/not/but"))
  end)

  it("takes any bytes", function()
    local seed = 7
    for _ = 1, 2000 do
      local bytes = {}
      for i = 1, 12 do
        seed = (seed * 16807) % 2147483647
        bytes[i] = ("**?[]\\!^-/.a%(\255"):sub(seed % 16 + 1, seed % 16 + 1)
      end
      local ok, err = pcall(function() return ignored(table.concat(bytes))("a/b/c.a") end)
      assert.is_true(ok or errors.is(err), tostring(err))
    end
  end)
end)

describe("the context", function()
  local directory, here

  setup(function()
    directory = disk.directory()
    os.execute(([[cd %s && mkdir -p c/src/empty c/src/deep c/skipped && cd c && echo 1 > a.txt &&
      echo 2 > b.txt && echo 3 > src/x && chmod 750 src/x && echo 4 > src/deep/y &&
      ln -s deep src/link && ln -s nowhere src/dangling && ln -s a.txt top && ln -s src tree &&
      ln -s ../secret out && ln -s /etc abs && ln -s /a.txt in && ln -s loop loop &&
      echo s > ../secret &&
      ln -s ../../secret src/out && echo 5 > skipped/z && mkfifo -m 600 src/pipe &&
      printf 'skipped\n**/*.tmp\n' > .dockerignore && echo 6 > src/q.tmp]]):format(directory))
    here = context.open(directory .. "/c/")
  end)
  teardown(function() os.execute("rm -rf " .. disk.quote(directory)) end)

  local function find(text)
    local found = {}
    for _, source in ipairs(here:find(STEP, text)) do
      for _, entry in ipairs(source.entries) do
        found[#found + 1] = ("%s:%s %s %o"):format(source.name, entry.rel, entry.type, entry.mode)
      end
    end
    return found
  end

  local function refused(text)
    local ok, err = pcall(find, text)
    assert.is_false(ok, text)
    assert.is_true(errors.is(err, "invalid_argument"))
    assert.equal(7, err.line)
    return tostring(err)
  end

  it("B2: holds files with their modes", function()
    assert.same({ "a.txt: file 644" }, find("a.txt"))
    assert.same({ "a.txt: file 644" }, find("/./src/../a.txt"))
    assert.same({ "x: file 750" }, find("src/x"))
  end)

  it("B2: holds trees: links as they are, but not what is ignored", function()
    assert.same({ "src: directory 755", "src:dangling link 777", "src:deep directory 755",
      "src:deep/y file 644", "src:empty directory 755", "src:link link 777", "src:out link 777",
      "src:pipe fifo 600", "src:x file 750" }, find("src"))
    for _, line in ipairs(find(".")) do
      assert.not_matches("skipped", line)
      assert.not_matches("secret:", line)
    end
  end)

  it("follows links that are asked for by name, inside of it", function()
    assert.same({ "top: file 644" }, find("top"))
    assert.equal("tree: directory 755", find("tree")[1])
    assert.same({ "y: file 644" }, find("src/link/y"))
  end)

  it("is never left", function()
    assert.matches("outside of the context", refused("../secret"))
    assert.matches("outside of the context", refused("src/../../secret"))
    assert.matches("the link out leads out", refused("out"))
    assert.matches("the link abs leads out", refused("abs/no/such"))
    assert.same({ "in: file 644" }, find("in"), "a link from / is one from the context")
    assert.matches("the link src/out leads out", refused("src/out"))
    assert.matches("circle", refused("loop"))
  end)

  it("B2: holds hard links, and the directories of what is excepted", function()
    os.execute(("cd %s && mkdir -m 700 -p h/d h/e/f && echo 1 > h/1 && ln h/1 h/2 &&"
      .. " ln h/1 h/d/3 && echo 2 > h/e/f/x && echo 3 > h/e/y"):format(directory))
    disk.write(directory .. "/h/.dockerignore", "e\n!e/f/x\n.dockerignore\n")
    local found = {}
    for i, entry in ipairs(context.open(directory .. "/h"):find(STEP, ".")[1].entries) do
      found[i] = ("%s %s %o %s"):format(entry.rel, entry.type, entry.mode, entry.target or "")
    end
    assert.same({ " directory 755 ", "1 file 644 ", "2 hardlink 644 1", "d directory 700 ",
      "d/3 hardlink 644 1", "e directory 755 ", "e/f directory 700 ", "e/f/x file 644 " }, found)
  end)

  -- A FIFO or device is neither waited for nor read without end.
  it("F11: has its .dockerignore within, as a file of a size that can be", function()
    local function opened(command, dockerfile)
      os.execute(("cd %s && rm -rf f && mkdir f && cd f && %s"):format(directory, command))
      local ok, err = pcall(context.open, directory .. "/f", dockerfile)
      if not ok then assert.is_true(errors.is(err, "file"), tostring(err)) end
      return ok, tostring(err)
    end
    assert.is_true(opened("true"))
    assert.is_true(opened("echo x > y && ln -s y .dockerignore"))
    for command, message in pairs{
      ["ln -s ../secret .dockerignore"] = "leads out",
      ["ln -s /etc/passwd .dockerignore"] = "leads out",
      ["ln -s /dev/zero .dockerignore"] = "leads out",
      ["mkfifo .dockerignore"] = "not a regular file",
      ["mkdir .dockerignore"] = "not a regular file",
      ["truncate -s 1G .dockerignore"] = "too large",
      ["ln -s .dockerignore .dockerignore"] = "levels of symbolic links",
    } do
      local ok, err = opened(command)
      assert.is_false(ok, command)
      assert.matches(message, err, 1, true)
    end
    local ok, err = opened("mkfifo D.dockerignore", directory .. "/f/D")
    assert.is_false(ok)
    assert.matches("D.dockerignore: it is not a regular file", err, 1, true)
  end)

  it("has patterns", function()
    assert.same({ "a.txt: file 644", "b.txt: file 644" }, find("*.txt"))
    assert.same({ "x: file 750" }, find("s*c/[w-x]"))
    assert.same({}, find("*.none"))
    assert.same({}, find("s*/none"))
    assert.matches("without its %]", refused("a["))
    assert.same({}, find("t*/x"), "a link is not followed on the way")
  end)

  it("may be seen differently by each Dockerfile", function()
    disk.write(directory .. "/other.dockerignore", "*\n!b.txt\n")
    local other = context.open(directory .. "/c", directory .. "/other")
    local names = {}
    for i, entry in ipairs(other:find(STEP, ".")[1].entries) do names[i] = entry.rel end
    assert.same({ "", "b.txt" }, names)
  end)

  it("says what is not there, and why", function()
    assert.matches("there is no none in the context", refused("none"))
    assert.matches("%.dockerignore leaves it out", refused("skipped/z"))
    assert.matches("%.dockerignore leaves it out", refused("skipped"))
    local ok, err = pcall(context.open, directory .. "/secret")
    assert.is_false(ok)
    assert.equal("file", err.kind)
  end)
end)

describe("tar", function()
  local directory

  setup(function() directory = disk.directory() end)
  teardown(function() os.execute("rm -rf " .. disk.quote(directory)) end)

  local function shell(command) return disk.capture("cd " .. directory .. " && " .. command) end

  it("is written so that others unpack it", function()
    local file = assert(io.open(directory .. "/a.tar", "wb"))
    local writer = tar.writer(file)
    local long = ("d/"):rep(90) .. "file"
    local rest = { "hel", "lo" }
    writer:add({ name = "x", type = "directory", mode = 448, uid = 0, gid = 0, size = 0 })
    writer:add({ name = "x/f", type = "file", mode = 493, uid = 5, gid = 2 ^ 31, size = 5,
      mtime = 1e9 }, function() return table.remove(rest, 1) end)
    writer:add({ name = "x/l", type = "link", mode = 511, uid = 0, gid = 0, size = 0,
      target = long })
    writer:add({ name = long, type = "file", mode = 420, uid = 0, gid = 0, size = 0 })
    writer:finish()
    file:close()
    for _, program in ipairs{ "tar", "busybox tar" } do
      shell("rm -rf out && mkdir out && " .. program .. " -xf a.tar -C out --no-same-owner 2>&1")
      assert.equal("hello", shell("cat out/x/f"))
      assert.equal(long .. "\n", shell("readlink out/x/l"))
      assert.equal("file\n", shell("ls out/" .. long:match("^(.*)/")))
    end
    assert.matches("5/2147483648 +5 2001%-09%-0", shell("tar --numeric-owner -tvf a.tar"))
  end)

  it("refuses a file that has another size than it had", function()
    local file = assert(io.tmpfile())
    for _, size in ipairs{ 3, 9 } do
      local rest = { "hello" }
      local ok, err = pcall(function()
        tar.writer(file):add({ name = "x", type = "file", mode = 0, uid = 0, gid = 0,
          size = size }, function() return table.remove(rest, 1) end)
      end)
      assert.is_false(ok)
      assert.matches("has not the size", tostring(err))
    end
    file:close()
  end)

  -- The entries of an archive by name, with the contents of files.
  local function read_all(name)
    local file = assert(io.open(directory .. "/" .. name, "rb"))
    local reader, found = untar.reader(file), {}
    for entry in function() return reader:next() end do
      found[entry.name] = entry
      if entry.type == "file" then
        local size = 0
        for _, piece in ipairs(entry.map or { { 0, entry.size } }) do size = size + piece[2] end
        entry.data = ""
        for bytes in untar.bytes(file, entry.offset, size) do entry.data = entry.data .. bytes end
      end
    end
    file:close()
    return found
  end

  it("B2: is read with its holes, in each of the forms that there are", function()
    shell([[mkdir holes && cd holes && truncate -s 4M many && truncate -s 200M end &&
      truncate -s 1M empty && echo x >> end &&
      for i in $(seq 0 40); do printf $i | dd of=many bs=65536 seek=$i conv=notrunc 2>&1; done &&
      printf plain > plain && truncate -s 12G huge && echo y >> huge]])
    for _, form in ipairs{ "--format=gnu", "--format=posix --sparse-version=0.0",
      "--format=posix --sparse-version=0.1", "--format=posix --sparse-version=1.0" } do
      shell("tar -S " .. form .. " -C holes -cf holes.tar .")
      local found = read_all("holes.tar")
      assert.equal(200 * 1048576 + 2, found["end"].size, form)
      assert.equal("x", found["end"].data:match("^%z*(x)\n$"))
      assert.equal(12 * 2 ^ 30 + 2, found.huge.size)
      assert.equal(1048576, found.empty.size)
      assert.equal("", found.empty.data)
      assert.is_nil(found.plain.map)
      assert.equal("plain", found.plain.data)
      assert.equal(41, #found.many.map)
      local numbers = {}
      for number in found.many.data:gmatch("%d+") do numbers[#numbers + 1] = tonumber(number) end
      for i = 0, 40 do
        assert.equal(i, numbers[i + 1])
        assert.equal(65536 * i, found.many.map[i + 1][1])
      end
    end
  end)

  it("B2: is read with its attributes, and none of its names leads out", function()
    shell([[cat > make.py <<'P'
import io, sys, tarfile
def make(path, *members):
    t = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)
    for name, kind, target, pax in members:
        i = tarfile.TarInfo(name); i.type = kind; i.linkname = target; i.pax_headers = pax
        t.addfile(i)
    t.close()
F, H, D = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
make("names.tar", ("./a//b/../c", F, "", {"SCHILY.xattr.user.x": "1=2"}), ("/d/", D, "", {}),
     (".", D, "", {}),
     ("h", H, "./a/c", {}), ("n", F, "", {"path": "new\nline"}))
for i, m in enumerate([("../x", F, "", {}), ("a/../../x", F, "", {}), ("h", H, "../x", {})]):
    make("out%d.tar" % i, m)
P
python3 make.py]])
    local found = read_all("names.tar")
    assert.same({ ["user.x"] = "1=2" }, found["a/c"].xattrs)
    assert.equal("directory", found.d.type)
    assert.equal("directory", found[""].type)
    assert.equal("a/c", found.h.target)
    assert.equal("file", found["new\nline"].type)
    for i = 0, 2 do
      local ok, err = pcall(read_all, ("out%d.tar"):format(i))
      assert.is_false(ok)
      assert.matches("leads out of the archive", tostring(err))
    end
  end)

  it("is read with owners of any number, however it is written", function()
    shell([[cat > owners.py <<'P'
import tarfile
for name, kind in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
    t = tarfile.open(name + "-owners.tar", "w", format=kind)
    for uid, gid in ((0, 0), (1000, 100), (0o7777777, 0o7777777), (2**31 + 1, 2**21)):
        i = tarfile.TarInfo("%d.%d" % (uid, gid)); i.uid = uid; i.gid = gid
        t.addfile(i)
    t.close()
P
python3 owners.py]])
    for _, format in ipairs{ "gnu", "pax" } do
      local count = 0
      for name, entry in pairs(read_all(format .. "-owners.tar")) do
        assert.equal(name, ("%.0f.%.0f"):format(entry.uid, entry.gid))
        count = count + 1
      end
      assert.equal(4, count)
    end
  end)

  it("is read in each of the forms that there are", function()
    local long = ("n"):rep(150) .. "/" .. ("m"):rep(160)
    shell(([[mkdir -p in/%s && cd in && echo hi > %s/f && ln %s/f hard && ln -s %s sym &&
      touch -d @-5 %s && mkfifo p]])
      :format(long, long, long, long, long))
    for _, format in ipairs{ "gnu", "pax", "posix" } do
      shell("tar --format=" .. format .. " -C in -cf " .. format .. ".tar . 2>/dev/null")
      local found = read_all(format .. ".tar")
      local first = found.hard.type == "file" and found.hard or found[long .. "/f"]
      assert.equal("hi\n", first.data)
      assert.equal(long, found.sym.target)
      assert.equal("fifo", found.p.type)
      assert.equal("directory", found[long].type)
      assert.equal(0, found[long].mtime)
      assert.is_true(first.mtime > 1e9)
    end
  end)

  it("is refused when it is damaged", function()
    shell("echo hi > one && tar -cf good.tar one")
    local good = assert(io.open(directory .. "/good.tar", "rb"))
    local bytes = good:read("*a")
    good:close()
    local function read(text)
      disk.write(directory .. "/bad.tar", text)
      local file = assert(io.open(directory .. "/bad.tar", "rb"))
      local ok, err = pcall(function()
        local reader = untar.reader(file)
        while reader:next() do end
      end)
      file:close()
      return ok, err
    end
    assert.is_true(read(bytes))
    for _, text in ipairs{ bytes:sub(1, 600), bytes:sub(1, 300), "x" .. bytes:sub(2),
      bytes:sub(1, 100) .. ("\255"):rep(400) .. bytes:sub(501) } do
      local ok, err = read(text)
      assert.is_false(ok)
      assert.is_true(errors.is(err, "file"), tostring(err))
    end
  end)
end)

describe("what a build remembers", function()
  local directory, client

  setup(function()
    directory = disk.directory()
    client = { address = "unix:/x" }
  end)
  teardown(function() os.execute("rm -rf " .. disk.quote(directory)) end)

  it("is there for the next, for the same server and project only", function()
    local place = directory .. "/deep/er"
    cache.open(client, "build", place):put("key", "value with\nall \255 %41 kinds")
    assert.equal("value with\nall \255 %41 kinds", cache.open(client, "build", place):get("key"))
    assert.is_nil(cache.open({ address = "unix:/y" }, "build", place):get("key"))
    assert.is_nil(cache.open({ address = "unix:/x", project = "p" }, "build", place):get("key"))
    assert.equal("700\n", disk.capture("stat -c %a " .. place .. "/build"))
  end)

  it("does not need a place", function()
    local kept = cache.open(client, "build", "/proc/nowhere")
    kept:put("key", "value")
    assert.equal("value", kept:get("key"))
    assert.is_nil(cache.open(client, "build", "/proc/nowhere"):get("key"))
  end)

  it("outlives lines that are damaged, and forgets the oldest of too many", function()
    local one = cache.open(client, "build", directory)
    one:put("first", "1")
    local file = assert(io.open(one.path, "ab"))
    file:write("torn li\n\n\0\255\nhalf ", ("x"):rep(100))
    file:write("\n")
    for i = 1, 9000 do file:write(("k%d v%d\n"):format(i, i)) end
    file:close()
    assert.equal("1", cache.open(client, "build", directory):get("first"))
    local again = cache.open(client, "build", directory)
    assert.equal("v9000", again:get("k9000"))
    assert.is_nil(again:get("first"))
    assert.is_nil(again:get("k1"))
  end)

  it("has keys that do not run together", function()
    assert.not_equal(cache.key{ "ab", "c" }, cache.key{ "a", "bc" })
    assert.not_equal(cache.key{ "a" }, cache.key{ "a", "" })
  end)
end)
