-- A file system that cannot exchange two files: the core says so.
local carrier = require("spec.support.carrier")
local core = require("contree.core")
local disk = require("spec.support.disk")
local write = require("contree.workspace.write")

describe("a folder whose file system cannot exchange", function()
  local directory

  before_each(function()
    directory = disk.directory()
    os.execute(("mkdir -p %s/in/d %s/source"):format(directory, directory))
  end)
  after_each(function() disk.remove(directory) end)

  -- The folder as the core shows it there.
  local function poor()
    local folder = assert(core.folder(directory .. "/in"))
    return setmetatable({ swap = function() return false end }, { __index = function(_, name)
      return function(_, ...) return folder[name](folder, ...) end
    end })
  end

  local function step(path)
    for i, each in ipairs(carrier.steps(directory .. "/source")) do
      if each.path == path then
        each.name = ".contree-x-" .. i
        return each
      end
    end
  end

  it("gets what is wanted where it is what was expected", function()
    local folder = poor()
    disk.write(directory .. "/in/a", carrier.before.a)
    disk.write(directory .. "/in/b", "mine\n")
    disk.write(directory .. "/in/gone", carrier.before.gone)
    for path, right in pairs{ a = true, b = false, made = true, gone = true } do
      local one = step(path)
      local ok, why = write.put(folder, one)
      if ok then ok, why = write.finish(folder, one) end
      assert.are.equal(right or nil, ok or nil, path .. ": " .. tostring(why))
    end
    assert.are.equal("new a\nmine\nnew made\na\nb\nd\nmade\n",
      disk.capture("cd " .. directory .. "/in; cat a b made; ls -A"))
  end)
end)
