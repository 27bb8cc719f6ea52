-- What a build does with files on this machine: patterns, the context, archives,
-- and what it remembers.
local cache = require("contree.build.cache")
local context = require("contree.build.context")
local disk = require("spec.support.disk")
local errors = require("contree.errors")
local ignore = require("contree.build.ignore")
local pattern = require("contree.build.pattern")
local tar = require("contree.build.tar")

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

  it("takes patterns", function()
    for rule, cases in pairs{
      ["*.o"] = { { "x.o", ".o", "y.o/z" }, { "d/x.o", "x.oo" } },
      ["**/*.o"] = { { "x.o", "a/b/x.o" }, { "a/b" } },
      ["a/**"] = { { "a/b", "a/b/c" }, { "a", "b" } },
      ["a/**/z"] = { { "a/z", "a/b/z", "a/b/c/z" }, { "a/b", "z" } },
      ["**"] = { { "a", "a/b" }, {} },
      ["a?c"] = { { "abc", "aäc" }, { "ac", "a/c" } },
      ["[a-c]x"] = { { "ax", "cx" }, { "dx" } },
      ["[^a-c]x"] = { { "dx" }, { "ax" } },
      ["a\\*"] = { { "a*" }, { "ab" } },
      ["a.b"] = { { "a.b" }, { "axb" } },
      ["%a+("] = { { "%a+(" }, { "aa(" } },
      ["[]x"] = false, ["a["] = false, ["../a"] = false,
    } do
      if cases then
        local is = ignored(rule)
        for _, path in ipairs(cases[1]) do assert.is_true(is(path), rule .. " " .. path) end
        for _, path in ipairs(cases[2]) do assert.is_false(is(path), rule .. " " .. path) end
      else
        local ok, err = pcall(ignored, "\n" .. rule)
        assert.is_false(ok, rule)
        assert.matches("%.dockerignore:2: the pattern", tostring(err))
      end
    end
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
    assert.matches("more than", select(2, pattern.name(("*a"):rep(60))))
    assert.is_true(pattern.name(("*a"):rep(20))(("a"):rep(20)))
  end)
end)

describe("the context", function()
  local directory, here

  setup(function()
    directory = disk.directory()
    os.execute(([[cd %s && mkdir -p c/src/empty c/src/deep c/skipped && cd c && echo 1 > a.txt &&
      echo 2 > b.txt && echo 3 > src/x && chmod 750 src/x && echo 4 > src/deep/y &&
      ln -s deep src/link && ln -s nowhere src/dangling && ln -s a.txt top && ln -s src tree &&
      ln -s ../secret out && ln -s /etc abs && ln -s loop loop && echo s > ../secret &&
      ln -s ../../secret src/out && echo 5 > skipped/z && mkfifo src/pipe &&
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

  it("holds files, with who may run them", function()
    assert.same({ "a.txt: file 644" }, find("a.txt"))
    assert.same({ "a.txt: file 644" }, find("/./src/../a.txt"))
    assert.same({ "x: file 755" }, find("src/x"))
  end)

  it("holds trees: links as they are, neither pipes nor what is ignored", function()
    assert.same({ "src: directory 755", "src:dangling link 777", "src:deep directory 755",
      "src:deep/y file 644", "src:empty directory 755", "src:link link 777", "src:out link 777",
      "src:x file 755" }, find("src"))
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
    assert.matches("the link abs leads out", refused("abs/passwd"))
    assert.matches("the link src/out leads out", refused("src/out"))
    assert.matches("circle", refused("loop"))
  end)

  it("has patterns", function()
    assert.same({ "a.txt: file 644", "b.txt: file 644" }, find("*.txt"))
    assert.same({ "x: file 755" }, find("s*c/[w-x]"))
    assert.matches("there is no %*%.none", refused("*.none"))
    assert.matches("without its %]", refused("a["))
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

  it("is read in each of the forms that there are", function()
    local long = ("n"):rep(150) .. "/" .. ("m"):rep(160)
    shell(([[mkdir -p in/%s && cd in && echo hi > %s/f && ln %s/f hard && ln -s %s sym &&
      mkfifo p]])
      :format(long, long, long, long))
    for _, format in ipairs{ "gnu", "pax", "posix" } do
      shell("tar --format=" .. format .. " -C in -cf " .. format .. ".tar . 2>/dev/null")
      local file = assert(io.open(directory .. "/" .. format .. ".tar", "rb"))
      local reader, found = tar.reader(file), {}
      local entry = reader:next()
      while entry do
        found[entry.name] = entry
        if entry.type == "file" then entry.data = reader:chunk() end
        entry = reader:next()
      end
      file:close()
      local first = found.hard.type == "file" and found.hard or found[long .. "/f"]
      assert.equal("hi\n", first.data)
      assert.equal(long, found.sym.target)
      assert.equal("fifo", found.p.type)
      assert.equal("directory", found[long].type)
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
        local reader = tar.reader(file)
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
    cache.open(client, place):put("key", "value with\nall \255 %41 kinds")
    assert.equal("value with\nall \255 %41 kinds", cache.open(client, place):get("key"))
    assert.is_nil(cache.open({ address = "unix:/y" }, place):get("key"))
    assert.is_nil(cache.open({ address = "unix:/x", project = "p" }, place):get("key"))
    assert.equal("700\n", disk.capture("stat -c %a " .. place .. "/build"))
  end)

  it("does not need a place", function()
    local kept = cache.open(client, "/proc/nowhere")
    kept:put("key", "value")
    assert.equal("value", kept:get("key"))
    assert.is_nil(cache.open(client, "/proc/nowhere"):get("key"))
  end)

  it("outlives lines that are damaged, and forgets the oldest of too many", function()
    local one = cache.open(client, directory)
    one:put("first", "1")
    local file = assert(io.open(one.path, "ab"))
    file:write("torn li\n\n\0\255\nhalf ", ("x"):rep(100))
    file:write("\n")
    for i = 1, 9000 do file:write(("k%d v%d\n"):format(i, i)) end
    file:close()
    assert.equal("1", cache.open(client, directory):get("first"))
    local again = cache.open(client, directory)
    assert.equal("v9000", again:get("k9000"))
    assert.is_nil(again:get("first"))
    assert.is_nil(again:get("k1"))
  end)

  it("has keys that do not run together", function()
    assert.not_equal(cache.key{ "ab", "c" }, cache.key{ "a", "bc" })
    assert.not_equal(cache.key{ "a" }, cache.key{ "a", "" })
  end)
end)
