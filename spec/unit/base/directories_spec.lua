-- Where programs of the user keep what they know.
local directories = require("contree.base.directories")
local disk = require("spec.support.disk")

describe("the user's directories", function()
  local getenv, variables = os.getenv, nil

  before_each(function()
    variables = {}
    os.getenv = function(name) return variables[name] end -- luacheck: ignore 122
  end)
  after_each(function() os.getenv = getenv end) -- luacheck: ignore 122

  it("are named by our own variable, else by XDG's, else they are in HOME", function()
    for what, names in pairs{ cache = { "CONTREE_CACHE_DIR", "XDG_CACHE_HOME", "/.cache" },
      state = { "CONTREE_STATE_DIR", "XDG_STATE_HOME", "/.local/state" } } do
      variables = {}
      assert.is_nil(directories[what](), what)
      variables.HOME = "relative"
      assert.is_nil(directories[what](), what)
      variables.HOME = "/home/a"
      assert.are.equal("/home/a" .. names[3] .. "/contree", directories[what]())
      for _, none in ipairs{ "", "relative" } do
        variables[names[2]] = none
        assert.are.equal("/home/a" .. names[3] .. "/contree", directories[what]())
      end
      variables[names[2]] = "/xdg"
      assert.are.equal("/xdg/contree", directories[what]())
      variables[names[1]] = ""
      assert.are.equal("/xdg/contree", directories[what]())
      variables[names[1]] = "/own"
      assert.are.equal("/own", directories[what]())
    end
  end)

  it("are made with those above them, for the user alone", function()
    os.getenv = getenv -- luacheck: ignore 122
    local path = disk.directory()
    finally(function() disk.remove(path) end)
    directories.make(path .. "/a/b/c")
    directories.make(path .. "/a/b/c")
    assert.are.equal("700 700 700 ",
      disk.capture(("cd %s && stat -c %%a a a/b a/b/c | tr '\\n' ' '"):format(path)))
    directories.make("/proc/none/a") -- fails silently
  end)
end)
