-- types/contree, what lua-language-server reads: it is up to date, LuaCATS, and has all names.
package.path = "scripts/?.lua;scripts/?/init.lua;" .. package.path
local annotations = require("annotations")
local disk = require("spec.support.disk")
local types = require("annotations.types")

local FILES = { "contree", "contree/safe", "contree/testing", "resty/contree" }

local function read(name) return disk.peek("types/contree/library/" .. name .. ".lua") end

-- Whether one line of annotations can be read.
local function problem_of(line)
  local tag, rest = line:match("^%-%-%-@(%w+)%s*(.*)$")
  local with_name = tag == "param" or tag == "field" or tag == "alias"
  if with_name and not rest:find("^%[") then rest = rest:match("^%S+%s+(.*)$") end
  if with_name and rest and rest:find("^%[") then rest = rest:match("^%b[]%s+(.*)$") end
  if with_name or tag == "return" then
    local _, problem = types.parse(rest or "")
    return problem
  elseif tag == "operator" then
    local _, problem = types.parse(rest:match("^call%(.-%): (.*)$") or "")
    return problem
  end
  local known = { class = true, meta = true, async = true }
  return not known[tag] and "no tag" or nil
end

describe("the addon for lua-language-server", function()
  it("is up to date", function()
    assert.are.equal("code 0\n", disk.capture("scripts/library --check 2>&1; echo code $?"))
  end)

  it("is found out of date when an annotation has changed", function()
    local tree = disk.directory()
    disk.capture(("cp -r lua types %s/ && echo '---@class contree.Error\n---@field more string\n"
      .. "local _' >>%s/lua/contree/base/errors.lua"):format(tree, tree))
    local said = disk.capture("scripts/library --check " .. tree .. " 2>&1; echo code $?")
    disk.remove(tree)
    assert.are.equal("library: types/contree/library/contree.lua is out of date: "
      .. "scripts/library --write\ncode 1\n", said)
  end)

  it("is Lua, and each of its tags can be read", function()
    local count = 0
    for _, name in ipairs(FILES) do
      local text = read(name)
      assert.is_truthy((loadstring or load)(text), name)
      for line in text:gmatch("[^\n]+") do
        if line:find("^%-%-%-@") then
          count = count + 1
          assert.is_nil(problem_of(line), name .. ": " .. line)
        end
      end
    end
    assert.is_true(count > 1500)
  end)

  it("declares each class once, and has each method in both faces", function()
    local classes = annotations.read_tree(".")
    local plain, safe = read("contree"), read("contree/safe")
    for _, class in ipairs(annotations.reachable(classes, { "contree" })) do
      local variable = class.name:match("%w+$")
      local tag = class.alias and "@alias " or "@class "
      local _, count = (plain .. "\n"):gsub("%-%-%-" .. tag .. class.name:gsub("%.", "%%.")
        .. "[ \n]", "")
      assert.are.equal(1, count, class.name)
      for _, method in ipairs(class.methods) do
        local mark = class.name == "contree" and "." or ":"
        local line = ("function %s%s%s("):format(variable, mark, method.name)
        assert.is_truthy(plain:find(line, 1, true), line)
        local of_safe = line:gsub("^function contree%.", "function safe.")
        assert.is_truthy(safe:find(of_safe, 1, true), line)
      end
    end
  end)

  it("says that the safe face returns nil and an error, where something can fail", function()
    local safe = read("contree/safe")
    for _, text in ipairs{
      "---@return contree.safe.Result|nil\n---@return contree.Error? err why it failed\n"
        .. "function Image:run(given) end",
      "---@return contree.Changes|nil changes\n"
        .. "---@return boolean|contree.Error|nil truncated whether there are more\n"
        .. "function Image:diff(other, given) end",
      "---@return contree.safe.Buffer\nfunction safe.buffer(text) end",
    } do
      assert.is_truthy(safe:find(text, 1, true), text .. "\nis not in the file")
    end
  end)
end)
