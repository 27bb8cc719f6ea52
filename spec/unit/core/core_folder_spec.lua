-- Files below a folder: no path and no link leads out of it.
local core = require("contree.core")
local disk = require("spec.support.disk")

describe("core.folder", function()
  local directory, folder

  before_each(function()
    directory = disk.directory()
    os.execute("cd " .. directory .. [[ && mkdir -p in/d out && printf 1 > in/f &&
      printf canary > out/f && ln -s ../out in/way && ln -s ../../out/f in/d/link &&
      ln -s f in/here && mkfifo in/pipe]])
    folder = assert(core.folder(directory .. "/in"))
  end)
  after_each(function()
    folder:close()
    disk.remove(directory)
  end)

  local function canary()
    return disk.capture("cd " .. directory .. "/out; ls -A; cat f")
  end

  it("refuses every way out", function()
    local source = disk.write(directory .. "/source", "bad")
    local function each(path)
      for _, call in ipairs{
        function() return folder:look(path) end,
        function() return folder:hash(path) end,
        function() return folder:idle(path) end,
        function() return folder:copy(source, path, { mode = 420 }) end,
        function() return folder:link(path, "x") end,
        function() return folder:mkdir(path, 493) end,
        function() return folder:move(path, "other") end,
        function() return folder:swap(path, "f") end,
        function() return folder:replace(path, "other") end,
        function() return folder:remove(path) end,
        function() return folder:sync(path) end,
        function() return folder:write(path, "bad", true) end,
        function() return folder:append(path, "bad") end,
      } do
        local ok, problem = call()
        assert.is_nil(ok, path)
        assert.is_string(problem, path)
      end
    end
    for _, path in ipairs{ "..", "../out/f", "d/../../out/f", directory .. "/out/f", "/", "", ".",
      "./f", "d/.", "d//f", "f/", "way/f", "way/new", "d/" .. ("n"):rep(256),
      ("d/"):rep(3000) .. "f" } do each(path) end
    assert.are.equal("f\ncanary", canary())
  end)

  it("takes only names beside a file", function()
    for _, name in ipairs{ "..", ".", "", "d/x", "/x" } do
      for _, method in ipairs{ "move", "swap", "replace" } do
        assert.is_false((pcall(folder[method], folder, "f", name)), name)
      end
    end
  end)

  it("looks at links, and follows none", function()
    assert.are.equal("../../out/f", folder:look("d/link").target)
    assert.are.equal("other", folder:look("pipe").type)
    assert.is_nil(select(2, folder:look("none/at/all")))
    for _, path in ipairs{ "here", "d/link", "pipe", "d" } do
      local hashing, problem = folder:hash(path)
      assert.is_nil(hashing, path)
      assert.is_string(problem)
    end
    -- A link that is written is replaced.
    assert.is_true(folder:write("d/link", "mine", true))
    assert.are.equal("mine", disk.read(directory .. "/in/d/link"))
    local ok, problem = folder:append("here", "x")
    assert.is_nil(ok)
    assert.matches("symbolic link", problem)
    assert.are.equal("f\ncanary", canary())
  end)

  it("makes, exchanges, moves and removes", function()
    local source = disk.write(directory .. "/source", ("x"):rep(1000000))
    local copying = assert(folder:copy(source, "new", { mode = 488 }))
    local over = false
    while not over do over = copying:step(0) end
    assert.is_true(over)
    local found = folder:look("new")
    assert.are.same({ "file", 1000000, 488 }, { found.type, found.size, found.mode })
    local ok, _, reason = folder:copy(source, "new", { mode = 420 })
    assert.is_nil(ok)
    assert.are.equal("exists", reason)
    assert.is_true(folder:swap("new", "f"))
    assert.are.equal("1", disk.read(directory .. "/in/new"))
    assert.is_false(folder:move("new", "f"))
    assert.is_true(folder:move("new", "newer"))
    assert.is_true(folder:replace("newer", "f"))
    assert.are.equal("1", disk.read(directory .. "/in/f"))
    assert.is_true(folder:mkdir("e", 448))
    assert.is_true(folder:link("e/l", "nowhere"))
    ok, _, reason = folder:remove("e")
    assert.is_nil(ok)
    assert.are.equal("exists", reason)
    assert.is_true(folder:remove("e/l") and folder:remove("e") and folder:sync("f"))
    ok, _, reason = folder:remove("e")
    assert.is_nil(ok)
    assert.are.equal("missing", reason)
  end)

  it("knows whether somebody writes to a file", function()
    assert.is_true(folder:idle("f"))
    local reader = io.open(directory .. "/in/f", "r")
    assert.is_true(folder:idle("f"))
    local writer = io.open(directory .. "/in/f", "a")
    assert.is_false(folder:idle("f"))
    writer:close()
    reader:close()
    assert.is_true(folder:idle("f"))
  end)

  it("has one owner at a time", function()
    local other = core.folder(directory .. "/in")
    assert.is_true(folder:lock())
    assert.is_false(other:lock())
    folder:close()
    assert.is_true(other:lock())
    other:close()
    assert.is_false((pcall(folder.lock, folder)))
    assert.is_nil((core.folder(directory .. "/in/f")))
    assert.is_nil((core.folder(directory .. "/none")))
  end)
end)
