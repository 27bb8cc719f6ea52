-- The places where scripts/mutate can make code wrong. That the tests notice is its own business.
local disk = require("spec.support.disk")
local json = require("contree.base.json")

describe("a mutant", function()
  local directory

  setup(function() directory = disk.directory() end)
  teardown(function() disk.remove(directory) end)

  -- What is made of a text, sorted, and each mutant as a whole.
  local function mutants(name, text, command)
    local path = disk.write(directory .. "/" .. name, text)
    local out = disk.capture(command:format(path))
    local sites = assert(json.decode(out), out)
    local list, whole = {}, {}
    for i, site in ipairs(sites) do
      list[i] = ("%s: %s -> %s"):format(site[1], text:sub(site[2] + 1, site[3]), site[4])
      whole[i] = text:sub(1, site[2]) .. site[4] .. text:sub(site[3] + 1)
    end
    table.sort(list)
    return list, whole
  end

  it("of Lua is an operator, a constant, a condition, a call or what is returned", function()
    local list, whole = mutants("m.lua", [[
local x = require("y") -- "é" == 1
local function f(a, b)
  if a ~= b --[=[ ~= ]=] then x.g(a) end
  for i = 1, #a do x.n = i + 0 end
  return a and "word", not b, function() return true end
end
return f
]], "luajit spec/support/mutants/lua_sites.lua %s")
    assert.are.same({ "assignment: x.n = i + 0 -> do end", "call: x.g(a) -> do end",
      "condition: a ~= b -> not (a ~= b)", "condition: not b -> (not not b)",
      'constant: "word" -> "other"', "constant: 0 -> 1", "constant: 1 -> (1 + 1)",
      "constant: true -> false", "off by one: #a -> (#a) + 1", "off by one: #a -> (#a) - 1",
      'operand: a and "word" -> ("word")', 'operand: a and "word" -> (a)', "operator: + -> -",
      "operator: and -> or", "operator: ~= -> ==", 'return: a and "word" -> nil',
      "return: not b -> nil", "return: true -> nil" }, list)
    for _, text in ipairs(whole) do assert((loadstring or load)(text)) end
  end)

  it("of C is the same, but not of what a macro has made", function()
    if os.execute("command -v clang >/dev/null") ~= (jit and 0 or true) then
      return pending("clang is not installed (scripts/deps fuzz)")
    end
    local list = mutants("m.c", [[
#include <stdbool.h>
#define TWICE(x) ((x) + 2)
void g(int n);
/* true */
static bool f(int a, const char *b) {
    if (a < 3 && !b)
        g(TWICE(a));
    a += 0x10;
    return a == 0;
}
int h(void) { return f(1, "true") ? -1 : 0; }
]], [[python3 -c 'import sys, json; sys.path.insert(0, "spec/support/mutants"); import c_sites
print(json.dumps(c_sites.find(sys.argv[1], [])))' %s]])
    assert.are.same({ "assignment: a += 0x10 -> (void)0", "call: g(TWICE(a)) -> (void)0",
      "condition: !b -> !!b", "condition: a < 3 && !b -> !(a < 3 && !b)",
      'condition: f(1, "true") -> !(f(1, "true"))', "constant: 0 -> 1", "constant: 0 -> 1",
      "constant: 0x10 -> (0x10 + 1)", "constant: 1 -> (1 + 1)", "constant: 1 -> (1 + 1)",
      "constant: 3 -> (3 + 1)", "operand: a < 3 && !b -> (!b)", "operand: a < 3 && !b -> (a < 3)",
      "operator: && -> ||", "operator: += -> -=", "operator: < -> <=", "operator: == -> !=",
      "return: a == 0 -> !(a == 0)",
      'return: f(1, "true") ? -1 : 0 -> 0' }, list)
  end)
end)
