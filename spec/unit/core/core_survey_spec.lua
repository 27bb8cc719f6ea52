-- What has changed in a folder, and the layer that brings it.
local core = require("contree.core")
local disk = require("spec.support.disk")

describe("core.survey", function()
  local directory, folder

  before_each(function()
    directory = disk.directory()
    folder = directory .. "/in"
    os.execute("mkdir " .. folder)
  end)
  after_each(function() disk.remove(directory) end)

  local function sh(script) assert(os.execute("cd " .. folder .. " && " .. script)) end

  local function survey(given)
    given.path = folder
    local s = assert(core.survey(given))
    local over = false
    while not over do
      local problem
      over, problem = s:step(0)
      assert(over ~= nil, problem)
    end
    return s
  end

  local function pack(s, ...)
    s:pack(...)
    local parts = {}
    while true do
      local bytes, problem = s:piece(0)
      assert(not problem, problem)
      if not bytes then return table.concat(parts) end
      parts[#parts + 1] = bytes
    end
  end

  local function shown(s)
    local list = {}
    for i, each in ipairs(s:delta()) do list[i] = each.change:sub(1, 1) .. " " .. each.path end
    table.sort(list)
    return table.concat(list, ", ")
  end

  local function names_in(bytes)
    disk.write(directory .. "/tar", bytes)
    return (disk.capture("tar -tf " .. directory .. "/tar | sort"):gsub("\n", " "))
  end

  it("is the same however it is cut", function()
    sh("mkdir -p a/b && for i in $(seq 600); do echo $i > a/b/$i; done; ln -s b a/l")
    local first = survey{}
    assert.are.same({ added = 603, changed = 0, removed = 0, refreshed = 0 }, first:counts())
    disk.write(directory .. "/tar", pack(first))
    assert.are.equal("", disk.capture(("mkdir %s/copy && tar -xf %s/tar -C %s/copy && "
      .. "diff -r %s %s/copy"):format(directory, directory, directory, folder, directory)))
    local second = survey{ index = first:index() }
    assert.are.equal("", shown(second))
    -- In the same order whatever the order of the names, and each once.
    local names = {}
    for i = 1, 600 do names[#names + 1] = "a/b/" .. (i * 7 % 600 + 1) .. "\0" end
    names[#names + 1] = "a/b/1\0a/b/8\0a/b/none\0"
    local listed = survey{ names = table.concat(names) }
    assert.are.equal(600, listed:counts().added)
    assert.are.equal("r a, r a/b, r a/l",
      shown(survey{ names = table.concat(names), index = first:index() }))
    assert.are.equal(600, select(2, names_in(pack(listed)):gsub("%S+", "")))
  end)

  it("finds every kind of change", function()
    sh("mkdir d e && echo 1 > same && echo 2 > edited && echo 3 > gone && echo 4 > d/x && "
      .. "ln -s a l && echo 5 > mode && echo 6 > e/y && echo 7 > touched")
    local first = survey{}
    pack(first)
    sh("echo 2b > edited && rm gone && rm -r d && ln -sf b l && chmod 600 mode && rm -r e && "
      .. "echo file > e && touch touched && echo 8 > new")
    local second = survey{ index = first:index() }
    assert.are.equal("a new, c e, c edited, c l, c mode, r d, r d/x, r e/y, r gone", shown(second))
    assert.are.equal(".wh.d .wh.gone e edited l mode new ", names_in(pack(second)))
    assert.are.equal(".wh.d e edited l mode ",
      names_in(pack(second, { new = true, gone = true })))
    -- What was left out is a change still.
    assert.are.equal("a new, r gone", shown(survey{ index = second:index() }))
  end)

  it("removes a directory as a whole, unless something is to be kept there", function()
    sh("mkdir -p d/e && echo 1 > d/e/x && echo 2 > d/e/y && echo 3 > k")
    local names = "d/e/x\0d/e/y\0k\0"
    local first = survey{ names = names }
    pack(first)
    sh("rm -r d")
    local second = survey{ names = names, index = first:index() }
    assert.are.equal("r d/e/x, r d/e/y", shown(second))
    assert.are.equal(".wh.d ", names_in(pack(second)))
    assert.are.equal("d/.wh.e ", names_in(pack(second, nil, { d = true })))
    assert.are.equal("d/e/.wh.x d/e/.wh.y ",
      names_in(pack(second, nil, { d = true, ["d/e"] = true })))
    -- A directory stays for a file in it that git does not list.
    sh("mkdir -p d/e && touch d/e/ignored")
    assert.are.equal("d/e/.wh.x d/e/.wh.y ",
      names_in(pack(survey{ names = names, index = first:index() })))
    sh("rm -r d && echo 1 > d")
    local third = survey{ names = "d\0k\0", index = first:index() }
    assert.are.equal("d ", names_in(pack(third)))
    pack(first)
    sh("rm k && mkdir k && echo 1 > k/z")
    assert.are.equal(".wh.d k k/z ",
      names_in(pack(survey{ names = "k\0k/z\0", index = third:index() })):gsub("^(d )", ""))
  end)

  it("reads again what changed in the tick of the index", function()
    for i = 1, 20 do
      sh("printf " .. i % 10 .. " > f")
      local first = survey{}
      pack(first)
      local index = first:index()
      disk.write(folder .. "/f", tostring((i + 1) % 10))
      assert.are.equal("c f", shown(survey{ index = index }), tostring(i))
    end
  end)

  it("goes through no link, and reads nothing but files", function()
    sh("mkdir ../out && echo secret > ../out/f && ln -s ../out way && mkfifo pipe && "
      .. "ln -s /dev/zero zero && truncate -s 1T holes")
    local s = survey{ names = "way/f\0../out/f\0/etc/passwd\0pipe\0zero\0holes\0.\0\0",
      max_file = 2 ^ 30 }
    assert.are.equal("a zero", shown(s))
    local why = {}
    for _, each in ipairs(s:skipped()) do why[each.path] = each.why end
    assert.are.same({ pipe = "it is a FIFO", holes = "it is larger than max_file" }, why)
    assert.are.equal("zero ", names_in(pack(s)))
  end)

  it("obeys a function that ignores", function()
    sh("mkdir -p a/b c && touch a/b/x a/y c/z")
    local function ignores(path)
      return path == "a" and 1 or path == "c" and 2 or 0
    end
    assert.are.equal("a a/b, a a/b/x, a a/y", shown(survey{ ignores = ignores }))
    assert.is_false((pcall(survey, { ignores = function() error("no") end })))
  end)

  it("says so when a file changes while it is read", function()
    disk.write(folder .. "/f", ("x"):rep(3000000))
    local s = survey{}
    s:pack()
    assert(s:piece(0))
    os.execute("truncate -s 1000000 " .. folder .. "/f")
    local bytes = s:piece(1)
    while bytes do bytes = s:piece(1) end
    assert.is_true(s:unsettled())
    assert.are.equal("c f", shown(survey{ index = s:index() }))
  end)

  it("skips what cannot be read, which stays what it was", function()
    local lua = os.getenv("CONTREE_TEST_LUA") or rawget(_G, "jit") and "luajit" or "lua5.4"
    sh("mkdir closed && echo 1 > closed/x && echo 2 > f && echo 3 > known && echo 4 > later")
    local program = disk.write(directory .. "/look.lua", [[
      local core = require("contree.core")
      local s = assert(core.survey{ path = arg[1], index = io.open(arg[2], "rb"):read("*a") })
      while not s:step(1) do end
      s:pack()
      while s:piece(1) do end
      local list = {}
      for _, each in ipairs(s:skipped()) do list[#list + 1] = each.path .. ": " .. each.why end
      for _, each in ipairs(s:delta()) do list[#list + 1] = each.change .. " " .. each.path end
      for path in pairs(core.index_read(s:index())) do list[#list + 1] = "index " .. path end
      table.sort(list)
      print(table.concat(list, "\n"))]])
    local first = survey{ names = "known\0closed/x\0" }
    pack(first)
    disk.write(directory .. "/index", first:index())
    sh("echo 3b > known && chmod 000 f known && chmod 700 closed && chmod 644 closed/x later")
    -- Root reads everything.
    local as = core.geteuid() == 0 and "chmod 755 " .. directory .. " && setpriv --reuid 65534 "
      .. "--clear-groups " or "chmod 000 " .. folder .. "/closed && "
    -- It may not read the module either.
    if disk.capture(("%s%s -e 'require(\"contree.core\")' 2>&1"):format(as, lua)) ~= "" then
      return pending("nobody can read this tree")
    end
    assert.are.equal("added later\nclosed: Permission denied\nf: Permission denied\n"
      .. "index closed/x\nindex known\nindex later\nknown: Permission denied\n",
      disk.capture(("%s%s %s %s %s/index"):format(as, lua, program, folder, directory)))
  end)

  it("refuses a damaged index, and ends where one was cut", function()
    sh("echo 1 > a && echo 2 > b")
    local s = survey{}
    pack(s)
    local index = s:index()
    assert.is_nil((core.survey{ path = folder, index = "none of ours" }))
    for length = 16, #index - 1 do
      local again = survey{ index = index:sub(1, length) }
      assert.is_true(#again:delta() >= 1)
      core.index_read(index:sub(1, length))
      again:close()
    end
    math.randomseed(7)
    for _ = 1, 300 do
      local at = math.random(17, #index)
      survey{ index = index:sub(1, at - 1) .. string.char(math.random(0, 255))
        .. index:sub(at + 1) }:close()
    end
    local read = core.index_read(index, { b = true, none = true })
    assert.are.same({ b = { type = "file", size = 2, mode = 420,
      sha256 = core.sha256("2\n") } }, read)
  end)

  it("does not take a folder that is gone for an empty one", function()
    sh("echo 1 > a")
    local s = assert(core.survey{ path = folder, names = "a\0" })
    os.execute("rm -r " .. folder)
    local over, problem = s:step(1)
    assert.is_nil(over)
    assert.matches("No such file", problem)
    assert.is_nil((core.survey{ path = folder }))
  end)
end)
