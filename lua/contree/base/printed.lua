--- Lists and records that print themselves, in a REPL and wherever a value is printed: plain
--- tables, whose metatable has nothing but __tostring.

local text = require("contree.base.text")

local printed = {}

local DEPTH = 3 -- of tables in tables
-- More lines than that say nothing more.
local LINES = 200

--- A function that gives a table its words.
---@param describe fun(record: table): string
---@return fun(record: table): table
function printed.record(describe)
  local meta = { __tostring = describe }
  return function(record)
    return getmetatable(record) == nil and setmetatable(record, meta) or record
  end
end

--- A function that lets a list be printed with a line for each member.
---@param line? fun(member: any): string default tostring
---@return fun(list: table): table
function printed.list(line)
  line = line or tostring
  return printed.record(function(list)
    local lines, count = {}, #list
    for i = 1, math.min(count, LINES) do lines[i] = line(list[i]) end
    if count > LINES then lines[LINES + 1] = ("… and %d more"):format(count - LINES) end
    return count > 0 and table.concat(lines, "\n") or "(none)"
  end)
end

-- Numbers first, each kind in order.
local function names_of(record)
  local names = {}
  for name in pairs(record) do names[#names + 1] = name end
  table.sort(names, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return names
end

local function value_of(value, depth)
  if type(value) == "string" then return text.quoted(value, 200) end
  if type(value) ~= "table" or getmetatable(value) or depth == 0 then return tostring(value) end
  local parts = {}
  for _, name in ipairs(names_of(value)) do
    local key = type(name) == "string" and name .. " = " or ""
    parts[#parts + 1] = key .. value_of(value[name], depth - 1)
  end
  return #parts > 0 and "{ " .. table.concat(parts, ", ") .. " }" or "{}"
end

--- Lets a table be printed with a line for each field.
---@param record table
---@return table record
printed.fields = printed.record(function(record)
  local lines = {}
  for i, name in ipairs(names_of(record)) do
    lines[i] = ("%s = %s"):format(tostring(name), value_of(record[name], DEPTH))
  end
  return #lines > 0 and table.concat(lines, "\n") or "(nothing)"
end)

--- What a command has written, for the text of its result; "" when that is nothing.
---@param result table { stdout, stderr }
---@return string
function printed.output(result)
  local parts = {}
  for _, name in ipairs{ "stdout", "stderr" } do
    local output = result[name]
    if type(output) == "string" and output ~= "" then
      parts[#parts + 1] = (", %s %s"):format(name, text.quoted(output))
    end
  end
  return table.concat(parts)
end

return printed
