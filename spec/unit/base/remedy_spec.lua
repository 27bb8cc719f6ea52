-- What to do about an error, in the words of each reader.

local errors = require("contree.base.errors")
local remedy = require("contree.base.remedy")

local READERS = { "script", "shell", "agent", "editor" }

-- The names that the sources use: remedy = { "name" … } and remedy.set(err, "name" …).
local function used()
  -- Those of limits are named by the limit (run/outcome.lua).
  local names = { timeout = true, memory = true, pids = true, disk = true }
  local pipe = assert(io.popen("cat $(find lua -name '*.lua')"))
  local text = pipe:read("*a")
  pipe:close()
  for name in text:gmatch('{ "([%l_]+)"[^}]*}') do names[name] = true end
  for name in text:gmatch('remedy%.set%(%w+, "([%l_]+)"') do names[name] = true end
  return names
end

describe("the remedies", function()
  it("are told to each reader in words of its own", function()
    local err = errors.new("not_found", "no such image", { remedy = { "import", "debian:12" } })
    assert.equal('client.images:oci("debian:12") imports it', err.hint)
    assert.equal("contree pull debian:12 imports it", remedy.hint(err, "shell"))
    assert.equal('import_image with registry_url = "debian:12" imports it',
      remedy.hint(err, "agent"))
  end)

  it("take what they name as it is", function()
    local err = errors.new("not_found", "no such image", { remedy = { "import", "100%s%1" } })
    assert.equal("contree pull 100%s%1 imports it", remedy.hint(err, "shell"))
  end)

  it("leave other hints as they are", function()
    local err = errors.new("file", "no such file", { hint = "is its directory there?" })
    for _, reader in ipairs(READERS) do
      assert.equal("is its directory there?", remedy.hint(err, reader))
    end
    assert.is_nil(remedy.hint(errors.new("file", "no such file"), "shell"))
  end)

  it("replace the hint of an error that has one", function()
    local err = errors.new("not_found", "no such image", { hint = "look elsewhere" })
    remedy.set(err, "import", "a")
    assert.equal('client.images:oci("a") imports it', err.hint)
  end)

  it("are all used, and speak no Lua to those who write none", function()
    local names = used()
    for name, row in pairs(remedy.rows()) do
      assert.is_true(names[name], name .. " is used nowhere")
      for _, reader in ipairs{ "shell", "editor" } do
        local words = row[reader] == nil and row.script or row[reader] or ""
        for _, lua in ipairs{ "[%w_]:[%l_]+%f[%W]", "err%.%l", "{ %l+ =" } do
          assert.is_nil(words:find(lua), name .. " for " .. reader .. ": " .. words)
        end
      end
    end
  end)
end)
