-- The rockspec lists every file by hand; this is what notices a missing one.
local function files(directory, pattern)
  local found = {}
  local pipe = assert(io.popen("find " .. directory .. " -name '" .. pattern .. "'"))
  for path in pipe:lines() do found[#found + 1] = path end
  pipe:close()
  table.sort(found)
  return found
end

local function load_rockspec()
  local rockspec = {}
  if setfenv then
    setfenv(assert(loadfile("contree-scm-1.rockspec")), rockspec)()
  else
    assert(loadfile("contree-scm-1.rockspec", "t", rockspec))()
  end
  return rockspec
end

describe("rockspec", function()
  local modules = load_rockspec().build.modules

  it("lists every C source", function()
    local sources = modules["contree.core"].sources
    table.sort(sources)
    assert.same(files("src/core", "*.c"), sources)
  end)

  it("lists every Lua module under its name", function()
    local listed = {}
    for name, path in pairs(modules) do
      if type(path) == "string" then
        listed[#listed + 1] = path
        assert.equal((path:match("^lua/(.*)%.lua$"):gsub("/init$", ""):gsub("/", ".")), name)
      end
    end
    table.sort(listed)
    assert.same(files("lua", "*.lua"), listed)
  end)
end)
