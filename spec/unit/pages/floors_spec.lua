-- scripts/floors finds each kind of mistake, and the pages in docs/inside agree with it.
local disk = require("spec.support.disk")

-- The languages' tables: { lang = , room = , may = "the rooms that it may use" }.
local function rooms()
  local list = {}
  for line in disk.capture("scripts/floors --rooms"):gmatch("[^\n]+") do
    local lang, room, may = line:match("^(%w+) (%w+) ?(.*)$")
    list[#list + 1] = { lang = lang, room = room, may = may }
  end
  return list
end

-- What is wrong with a tree of these files (text by path), as scripts/floors says it.
local function check(files)
  local tree = disk.directory()
  os.execute(("mkdir -p %s/src %s/lua/contree"):format(tree, tree))
  for path, text in pairs(files) do
    os.execute(("mkdir -p %s/%s"):format(tree, path:match("^(.*)/")))
    disk.write(tree .. "/" .. path, text)
  end
  local said = disk.capture("scripts/floors " .. disk.quote(tree) .. " 2>&1; echo code $?")
  disk.remove(tree)
  return said
end

describe("scripts/floors", function()
  it("lets a room use what stands below it", function()
    assert.are.equal("code 0\n", check{
      ["src/engine/layer/gc.c"] = '#include "layer/gc.h"\n#include "store/store.h"\n',
      ["src/engine/layer/gc.h"] = "",
      ["src/engine/store/store.h"] = "",
      ["lua/contree/run/init.lua"] = 'local image = require("contree.image")\n',
      ["lua/contree/image/init.lua"] = "",
    })
  end)

  it("names an include that leads upwards", function()
    assert.are.equal("floors: src/engine/store/store.c uses src/engine/layer/gc.h: "
      .. "store may not use layer\ncode 1\n", check{
        ["src/engine/store/store.c"] = '#include "layer/gc.h"\n',
        ["src/engine/layer/gc.h"] = "",
      })
  end)

  it("names a require that leads upwards, wherever it stands", function()
    assert.are.equal("floors: lua/contree/image/init.lua uses lua/contree/run/init.lua: "
      .. "image may not use run\ncode 1\n", check{
        ["lua/contree/image/init.lua"] = 'function f()\n  return require "contree.run"\nend\n',
        ["lua/contree/run/init.lua"] = "",
      })
  end)

  it("names a circle of files inside of a room", function()
    assert.are.equal("floors: circle: src/engine/view/a, src/engine/view/b\n"
      .. "floors: circle: lua/contree/run/a.lua, lua/contree/run/b.lua\ncode 1\n", check{
        ["src/engine/view/a.c"] = '#include "view/b.h"\n',
        ["src/engine/view/a.h"] = "",
        ["src/engine/view/b.h"] = '#include "a.h"\n',
        ["lua/contree/run/a.lua"] = 'require("contree.run.b")\n',
        ["lua/contree/run/b.lua"] = 'require("contree.run.a")\n',
      })
  end)

  it("names a file in an unknown folder", function()
    local said = check{
      ["src/engine/attic/old.c"] = "",
      ["src/engine/main.c"] = "",
      ["lua/contree/attic/old.lua"] = "",
    }
    assert.is_truthy(said:find("src/engine/attic/old.c: is in no room", 1, true), said)
    assert.is_truthy(said:find("src/engine/main.c: is in no room", 1, true), said)
    assert.is_truthy(said:find("lua/contree/attic/old.lua: is in no room", 1, true), said)
    assert.is_truthy(said:find("code 1", 1, true), said)
  end)
end)

describe("docs/inside", function()
  for _, lang in ipairs{ "c", "lua" } do
    local path = "docs/inside/floors-" .. lang .. ".svg"
    it("has the picture that scripts/floors --svg draws: " .. path, function()
      local command = "scripts/floors --svg " .. lang
      assert.is_true(disk.read(path) == disk.capture(command),
        ("%s > %s draws it again"):format(command, path))
    end)
  end

  it("has a page for each room that says which rooms it may use", function()
    local list = rooms()
    for _, row in ipairs(list) do
      local path = ("docs/inside/%s/%s.md"):format(row.lang, row.room)
      local may = disk.read(path):match("\nMay use: ([^\n]*)%.\n")
      assert.are.equal(row.may == "" and "no other room" or (row.may:gsub(" ", ", ")), may, path)
    end
    assert.is_true(#list > 20)
  end)

  it("has no page for a room that there is not", function()
    local known = {}
    for _, row in ipairs(rooms()) do known[row.lang .. "/" .. row.room .. ".md"] = true end
    local pages = disk.capture("cd docs/inside && ls -d c/* lua/*")
    for path in pages:gmatch("[^\n]+") do assert.is_true(known[path], path) end
  end)

  -- A page of a room names the files of the room without its path.
  local function is_there(name, room)
    for _, below in ipairs{ "", "src/", "src/engine/", "src/" .. room .. "/",
      "src/airlock/" .. room .. "/",
      "src/engine/" .. room .. "/", "lua/contree/", "lua/contree/" .. room .. "/" } do
      if disk.peek(below .. name) then return true end
    end
    return false
  end

  it("names only files and functions that there are", function()
    local lost, count = {}, 0
    local code = disk.capture("find src lua -name '*.[chl]*' | xargs cat")
    for path in disk.capture("ls docs/inside/*.md docs/inside/*/*.md"):gmatch("[^\n]+") do
      local room = path:match("(%w+)%.md$")
      for name in disk.read(path):gmatch("`([^`\n]+)`") do
        local file = name:match("^[%l%d_/]+%.[ch]$") or name:match("^[%l%d_/]+%.lua$")
        local call = name:match("^([%l_]+)%(%)$")
        count = count + ((file or call) and 1 or 0)
        if file and not is_there(file, room) or call and not code:find(call .. "(", 1, true) then
          lost[#lost + 1] = path .. " names " .. name
        end
      end
    end
    assert.are.same({}, lost)
    assert.is_true(count > 100)
  end)
end)
