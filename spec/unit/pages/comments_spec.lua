-- What comments and pages point to is there.
local disk = require("spec.support.disk")

-- The files of the repository; without git those below its folders.
local function files()
  local folders = "src lua spec scripts bench fuzz examples docs"
  local list = disk.capture("git ls-files -- " .. folders .. " '*.md' 2>/dev/null")
  if list == "" then list = disk.capture("find " .. folders .. " *.md -type f") end
  local found = {}
  for path in list:gmatch("[^\n]+") do
    if disk.peek(path) then found[#found + 1] = path end
  end
  return found
end

-- The parts of a file that are prose: comments of C and Lua, all of a page.
local function prose(path, text)
  local parts = {}
  local function take(pattern)
    for part in text:gmatch(pattern) do parts[#parts + 1] = part end
  end
  if path:find("%.[chS]$") then
    take("/%*.-%*/")
  elseif path:find("%.lua$") then
    take("%-%-([^\n]*)")
  elseif path:find("%.md$") then
    parts[1] = text
  else
    take("#([^\n]*)")
  end
  return table.concat(parts, "\n")
end

describe("what is written about the code", function()
  local all, by_name, sections = files(), {}, {}

  setup(function()
    for _, path in ipairs(all) do
      by_name[path:match("[^/]+$")] = true
      by_name[path] = true
    end
    local contract = disk.read("docs/engine/http-api.md")
    for number in contract:gmatch("\n##+ ([%d.]*%d)") do sections[number] = true end
  end)

  -- Names of files that are not this repository's: of images, of other projects.
  local ELSEWHERE = { ["api.md"] = true }

  it("names files of the repository that are there", function()
    local lost = {}
    for _, path in ipairs(all) do
      for name in prose(path, disk.read(path)):gmatch("[%w_/%-]+%.md%f[^%w]") do
        local last = name:match("[^/]+$")
        if not by_name[last] and not ELSEWHERE[last] then
          lost[#lost + 1] = path .. " names " .. name
        end
      end
    end
    assert.are.same({}, lost)
  end)

  it("cites sections of the contract that are there", function()
    local lost, cited = {}, 0
    for _, path in ipairs(all) do
      for rest in prose(path, disk.read(path)):gmatch("http%-api%.md[%s*]+§([^\n]*)") do
        for number in ("§" .. rest):gmatch("§([%d.]*%d)") do
          cited = cited + 1
          if not sections[number] then
            lost[#lost + 1] = ("%s cites §%s"):format(path, number)
          end
        end
      end
    end
    assert.are.same({}, lost)
    assert.is_true(cited > 40, cited .. " are cited")
  end)
end)
