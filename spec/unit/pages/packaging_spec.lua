-- What packages are made of: one version, and a rockspec that LuaRocks can read.
local disk = require("spec.support.disk")

local version = disk.read("src/core/version.h"):match('CONTREE_VERSION "(.-)"')

local function load_rockspec()
  local rockspec = {}
  if setfenv then
    setfenv(assert(loadfile("contree-scm-1.rockspec")), rockspec)()
  else
    assert(loadfile("contree-scm-1.rockspec", "t", rockspec))()
  end
  return rockspec
end

describe("the version", function()
  it("is the same of the module, the engine, the change log and the Debian package", function()
    assert.matches("^%d+%.%d+%.%d+$", version)
    local contree = require("contree")
    assert.are.equal(version, contree.version)
    assert.are.equal("contree " .. version, contree._VERSION)
    assert.are.equal("contree " .. version, require("contree.safe")._VERSION)
    assert.are.equal("contree-engine " .. version .. "\n",
      disk.capture("contree-engine --version"))
    assert.are.equal(version, disk.read("CHANGELOG.md"):match("\n## ([%d.]+)"))
    assert.are.equal(version, disk.read("debian/changelog"):match("^contree %((.-)%-%d+%)"))
  end)
end)

describe("the rockspec", function()
  local rockspec = load_rockspec()

  it("has a version that scripts/dist can replace", function()
    local text = disk.read("contree-scm-1.rockspec")
    assert.are.equal("scm-1", rockspec.version)
    assert.is_truthy(text:find('\nversion = "scm-1"\n', 1, true))
    assert.is_truthy(text:find('\n  url = "', 1, true))
  end)

  it("names targets of the Makefile, and hands them what they use", function()
    local makefile = disk.read("Makefile")
    for _, target in ipairs{ rockspec.build.build_target, rockspec.build.install_target } do
      assert.is_truthy(makefile:find("\n" .. target .. ":", 1, true), target)
    end
    for name in pairs(rockspec.build.install_variables) do
      assert.is_truthy(makefile:find("$(" .. name .. ")", 1, true), name)
    end
  end)
end)
