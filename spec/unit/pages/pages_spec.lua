-- What the documentation says is there: the specs that it names.
local disk = require("spec.support.disk")
local here = debug.getinfo(1, "S").source:match("^@(.*/)spec/") or "./"

local function read(path) return disk.peek(here .. path) end

local function pages()
  local pipe = assert(io.popen("cd '" .. here .. "' && find docs *.md -name '*.md'"))
  local list = {}
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

-- `spec/….lua` "a test", "another" in a text: calls found(path, test or nil).
local function each_reference(text, found)
  for path, tests in text:gmatch('`(spec/[%w_%-%./]+)`([^`|]*)') do
    found(path)
    for test in tests:gmatch('"([^"]+)"') do found(path, test) end
  end
end

describe("the documentation", function()
  it("names only specs that there are", function()
    local missing, count = {}, 0
    for _, page in ipairs(pages()) do
      each_reference(read(page), function(path, test)
        local spec = read(path)
        count = count + 1
        -- A name that a spec puts together begins as it says.
        if not spec or (test and not spec:find('"' .. test, 1, true)) then
          missing[#missing + 1] = ("%s: %s %s"):format(page, path, test or "")
        end
      end)
    end
    assert.are.same({}, missing)
    assert.is_true(count > 100)
  end)

  it("can be found out of date", function()
    local seen = {}
    each_reference('| `spec/a_spec.lua` "one",\n"two" | `spec/b_spec.lua` | "no"',
      function(path, test) seen[#seen + 1] = path .. ":" .. (test or "") end)
    assert.are.same({ "spec/a_spec.lua:", "spec/a_spec.lua:one", "spec/a_spec.lua:two",
      "spec/b_spec.lua:" }, seen)
  end)

  -- The anchors of a page's headings, as GitHub makes them.
  local function anchors(page)
    local found = {}
    local text = read(page):gsub("\n```.-\n```", "")
    for heading in ("\n" .. text):gmatch("\n#+ ([^\n]+)") do
      local name = heading:lower():gsub("[^%w%s_-]", ""):gsub(" ", "-")
      found[name] = true
    end
    return found
  end

  it("names only headings that there are", function()
    local missing, known, count = {}, {}, 0
    for _, page in ipairs(pages()) do
      local directory = page:match("^(.*/)") or ""
      for target, heading in read(page):gmatch("%]%(([^)#%s]*)#([^)%s]+)%)") do
        local path, changed = target == "" and page or directory .. target, 1
        while changed > 0 do path, changed = path:gsub("[^/.]+/%.%./", "", 1) end
        if not target:find("^%a+:") and path:find("%.md$") then
          known[path] = known[path] or anchors(path)
          count = count + 1
          if not known[path][heading] then
            missing[#missing + 1] = ("%s: %s#%s"):format(page, target, heading)
          end
        end
      end
    end
    assert.are.same({}, missing)
    assert.is_true(count > 100)
  end)

  it("names only pages that there are", function()
    local missing = {}
    for _, page in ipairs(pages()) do
      local directory = page:match("^(.*/)") or ""
      for target in read(page):gmatch("%]%(([^)#%s]+)[^)]*%)") do
        local path, changed = directory .. target, 1
        while changed > 0 do path, changed = path:gsub("[^/.]+/%.%./", "", 1) end
        if not target:find("^%a+:") and not io.open(here .. path, "r") then
          missing[#missing + 1] = page .. ": " .. target
        end
      end
    end
    assert.are.same({}, missing)
  end)
end)
