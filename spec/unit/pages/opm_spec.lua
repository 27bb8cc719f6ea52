-- dist.ini is what opm demands, by the rules of `opm build` (opm 0.0.7), and its package is the
-- door alone.
local contree = require("contree")
local disk = require("spec.support.disk")

local KEYS = { "name", "abstract", "version", "author", "is_original", "license", "repo_link",
  "lib_dir", "doc_dir", "exclude_files", "main_module", "requires" }
local LICENSES = "apache2 3bsd 2bsd gpl gpl2 gpl3 lgpl mit mozilla2 cddl eclipse public artistic "
  .. "artistic2 proprietary "

local function read_ini(path)
  local found = {}
  for line in disk.read(path):gmatch("[^\n]+") do
    if not line:find("^%s*[#;]") then
      local key, value = line:match("^%s*([%w_]+)%s*=%s*(.-)%s*$")
      assert(key and not found[key], line)
      found[key] = value
    end
  end
  return found
end

-- The lines that a command prints.
local function lines(command)
  local list = {}
  for line in disk.capture(command):gmatch("[^\n]+") do list[#list + 1] = line end
  return list
end

describe("dist.ini", function()
  local dist = read_ini("dist.ini")

  it("has the keys that opm knows, with values that it takes", function()
    local known = {}
    for _, key in ipairs(KEYS) do
      known[key] = true
      assert.is_truthy(dist[key] and dist[key] ~= "", key)
    end
    for key in pairs(dist) do assert.is_true(known[key], key) end
    assert.is_nil(dist.name:find("[^%w_-]"))
    assert.are.equal("yes", dist.is_original)
    assert.is_truthy(LICENSES:find(dist.license .. " ", 1, true))
    assert.matches("^MIT License", disk.read("LICENSE"))
    assert.matches("%a", dist.author)
    -- The project's name must be in the package's, or the other way round.
    local project = dist.repo_link:match("^https://github%.com/[^/%s]+/([^/%s]+)$")
    assert.is_truthy(dist.name:find(project, 1, true))
    for one in (dist.requires .. ", "):gmatch("(.-),%s*") do
      local name = one:match("^([%w_]+)$") or one:match("^([%w_]+) >= %d+[%d.]*$")
      assert.is_true(name == "luajit" or name == "ngx_http_lua", one)
    end
  end)

  it("has the version that the module has", function()
    assert.are.equal(contree.version, dist.version)
    assert.matches("%d", dist.version)
    -- opm would take this for the version.
    for line in disk.read(dist.main_module):gmatch("[^\n]+") do
      assert.is_nil(line:find("version%s*=%s*%S*%d") or line:find("VERSION%s*=%s*%S*%d"), line)
    end
  end)

  it("packs the door and nothing else", function()
    local excluded = {}
    for pattern in (dist.exclude_files .. ","):gmatch("%s*(.-),") do
      local matched = lines("ls -d " .. pattern .. " 2>/dev/null")
      assert.is_true(#matched > 0, pattern .. " matches nothing: opm would refuse it")
      for _, path in ipairs(matched) do excluded[path] = true end
    end
    local packed = {}
    for _, path in ipairs(lines("find " .. dist.lib_dir .. " -name '*.lua'")) do
      if not excluded[path] then packed[#packed + 1] = path end
    end
    assert.are.same({ dist.main_module }, packed)
    assert.are.equal(dist.lib_dir .. "/resty/contree.lua", dist.main_module)
    assert.are.equal("0", disk.capture("luajit -b " .. dist.main_module .. " /dev/null; printf $?"))
    assert.is_truthy(disk.peek("README.md"))
    assert.are.equal("", disk.capture("find " .. dist.doc_dir .. " -name '*.md' -o -name '*.pod'"))
  end)
end)
