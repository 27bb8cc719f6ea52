-- The places of a Lua file where scripts/mutate can make it wrong, as JSON: an array of
-- [kind, from, to, text], where the bytes from..to (the first is 0, `to` is not included) become
-- text. luajit lua_sites.lua FILE; luacheck's parser finds them.
package.path = package.path .. ";/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua"
local decoder = require("luacheck.decoder")
local json = require("cjson")
local parser = require("luacheck.parser")

local file = assert(io.open(arg[1], "rb"))
local source = file:read("*a"):gsub("^#![^\n]*", function(line) return (" "):rep(#line) end)
file:close()

local sites = {}

local function add(kind, from, to, text)
  if source:sub(from, to) ~= text then sites[#sites + 1] = { kind, from - 1, to, text } end
end

local function text_of(node) return source:sub(node.offset, node.end_offset) end

local OPERATORS = { ["=="] = "~=", ["~="] = "==", ["<"] = "<=", ["<="] = "<", [">"] = ">=",
  [">="] = ">", ["+"] = "-", ["-"] = "+", ["*"] = "/", ["/"] = "*", ["and"] = "or",
  ["or"] = "and", ["%"] = "*" }
-- What only looks or logs is left out: nobody can tell.
local function is_dull(node)
  local text = text_of(node)
  return text:find("^require") or text:find("^setmetatable") or text:find("^loop%.pace")
end

-- The operator stands between its operands, maybe beside a comment.
local function operator(node)
  local left, right = node[2], node[3]
  local from = left.end_offset + 1
  local between = source:sub(from, right.offset - 1):gsub("%-%-[^\n]*", function(comment)
    return (" "):rep(#comment)
  end)
  local first, last = between:find("%S+")
  local new = first and OPERATORS[between:sub(first, last)]
  if new then add("operator", from + first - 1, from + last - 1, new) end
  if node[1] == "and" or node[1] == "or" then
    add("operand", node.offset, node.end_offset, "(" .. text_of(left) .. ")")
    add("operand", node.offset, node.end_offset, "(" .. text_of(right) .. ")")
  end
end

local function negate(condition)
  add("condition", condition.offset, condition.end_offset, "not (" .. text_of(condition) .. ")")
end

local visit

local function visit_list(list)
  for i = 1, #list do
    if type(list[i]) == "table" then visit(list[i]) end
  end
end

local function returns(node)
  for i = 1, #node do
    local tag = node[i].tag
    if tag == "True" or tag == "False" or tag == "Nil" then
      add("return", node[i].offset, node[i].end_offset, tag == "True" and "nil" or "true")
    elseif tag ~= "Function" then
      add("return", node[i].offset, node[i].end_offset, "nil")
    end
  end
end

local visitors = {
  Op = function(node)
    if #node == 3 then operator(node) end
    if node[1] == "not" then
      add("condition", node.offset, node.end_offset, "(not not " .. text_of(node[2]) .. ")")
    end
  end,
  True = function(node) add("constant", node.offset, node.end_offset, "false") end,
  False = function(node) add("constant", node.offset, node.end_offset, "true") end,
  Number = function(node)
    local number = tonumber(text_of(node))
    add("constant", node.offset, node.end_offset, number == 0 and "1"
      or ("(%s + 1)"):format(text_of(node)))
  end,
  -- A word, not a message.
  String = function(node)
    if text_of(node):find("^[\"'][%w_./%-]+[\"']$") and #text_of(node) < 20 then
      add("constant", node.offset, node.end_offset, '"other"')
    end
  end,
  If = function(node)
    for i = 1, #node - 1, 2 do negate(node[i]) end
  end,
  While = function(node) negate(node[1]) end,
  Repeat = function(node) negate(node[2]) end,
  Fornum = function(node)
    local limit = node[3]
    add("off by one", limit.offset, limit.end_offset, "(" .. text_of(limit) .. ") - 1")
    add("off by one", limit.offset, limit.end_offset, "(" .. text_of(limit) .. ") + 1")
  end,
  Return = returns,
}

-- A statement that can be left out.
local function statement(node)
  if node.tag == "Call" or node.tag == "Invoke" then
    if not is_dull(node) then add("call", node.offset, node.end_offset, "do end") end
  elseif node.tag == "Set" and node[2][1].tag ~= "Function" then
    add("assignment", node.offset, node.end_offset, "do end")
  end
end

function visit(node)
  if visitors[node.tag] then visitors[node.tag](node) end
  -- A block, or the body of something.
  if not node.tag then
    for _, each in ipairs(node) do
      if type(each) == "table" then statement(each) end
    end
  elseif node.tag == "Do" then
    for _, each in ipairs(node) do statement(each) end
  end
  if node.tag == "Call" and text_of(node):find("^require") then return end
  -- A key is a name, not a value; and nobody can tell by what name a field is reached.
  if node.tag == "Pair" then return visit(node[2]) end
  if node.tag == "Index" then
    visit(node[1])
    if node[2].tag ~= "String" then visit(node[2]) end
    return
  end
  if node.tag == "Invoke" then
    visit(node[1])
    for i = 3, #node do visit(node[i]) end
    return
  end
  -- Lists of expressions look like blocks.
  if node.tag == "Local" or node.tag == "Localrec" or node.tag == "Set" then
    if node.tag == "Set" then visit_list(node[1]) end
    return node[2] and visit_list(node[2])
  end
  if node.tag == "Forin" then
    visit_list(node[2])
    return visit(node[3])
  end
  visit_list(node)
end

-- Bytes above 127 are one character each, so that offsets are bytes.
local tree = parser.parse(decoder.decode((source:gsub("[\128-\255]", "?"))))
for i, each in ipairs(tree) do
  -- What the module returns.
  if not (each.tag == "Return" and i == #tree) then
    statement(each)
    visit(each)
  end
end
io.write(#sites == 0 and "[]" or json.encode(sites), "\n")
