-- Every option stands in an example that runs: a block of a page of spec/e2e/docs_spec.lua, or a
-- file of examples/. Every field of what the module returns stands in some page or example.
package.path = "scripts/?.lua;scripts/?/init.lua;" .. package.path
local annotations = require("annotations")
local disk = require("spec.support.disk")

local classes = annotations.read_tree(".")
local order = annotations.reachable(classes, annotations.ALL_MODULES)
local options = annotations.options_of(classes, order)

local function has(text, name)
  return text:find("%f[%w_]" .. name .. "%f[^%w_]") ~= nil
end

-- The blocks that run, of the pages that docs_spec names.
local function blocks()
  local found = {}
  local pages = disk.read("spec/e2e/docs_spec.lua"):match("local PAGES = (%b{})")
  for page in pages:gmatch('"([^"]+)"') do
    for block in disk.read(page):gmatch("```lua\n(.-)```") do found[#found + 1] = block end
  end
  return table.concat(found, "\n")
end

describe("every public name", function()
  local examples = disk.capture("cat examples/*.lua examples/*/*.lua") .. blocks()
  local pages = disk.capture("cat README.md docs/use/*.md docs/use/hosts/*.md docs/engine/*.md")

  it("that is an option is in an example that runs", function()
    local missing, count = {}, 0
    for _, class in ipairs(order) do
      for _, field in ipairs(options[class.name] and class.fields or {}) do
        count = count + 1
        local name = field.name:gsub("%?$", "")
        if class.name ~= "contree.Error" and not has(examples, name) then
          missing[#missing + 1] = class.name .. ": " .. name
        end
      end
    end
    assert.are.same({}, missing)
    assert.is_true(count > 150)
  end)

  it("is in a page for users", function()
    local missing = {}
    for _, class in ipairs(order) do
      for _, field in ipairs(class.fields) do
        local name = field.name:gsub("%?$", "")
        if not has(pages, name) and not has(examples, name) then
          missing[#missing + 1] = class.name .. ": " .. name
        end
      end
      for _, method in ipairs(class.methods) do
        if not has(pages, method.name) then
          missing[#missing + 1] = class.name .. ": " .. method.name
        end
      end
    end
    assert.are.same({}, missing)
  end)

  it("is looked for as a word", function()
    assert.is_true(has("x = { only = 1 }", "only"))
    assert.is_false(has("lonely = 1, only_this", "only"))
  end)
end)
