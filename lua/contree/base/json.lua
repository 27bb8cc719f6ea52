--- JSON for the wire: integers are exact, `[]` and `{}` differ, and a string that is not
--- UTF-8 is refused.

local core = require("contree.core")

local json = {}

--- The one value that is sent as null.
json.null = core.null

local Array = { __name = "contree.array" }

--- Marks a table as a list, so that an empty one is sent as [].
function json.array(list)
  return setmetatable(list or {}, Array)
end

local function fail(path, what)
  error({ path = #path > 0 and table.concat(path, ".") or "the value", what = what }, 0)
end

local encode_value

local function encode_string(text, path)
  return core.json_string(text) or fail(path, "is not valid UTF-8")
end

local function encode_number(number, path)
  if number ~= number or number == math.huge or number == -math.huge then
    fail(path, "is not a finite number")
  end
  if math.type and math.type(number) == "integer" then return ("%d"):format(number) end
  if number % 1 == 0 and number >= -2 ^ 53 and number <= 2 ^ 53 then
    return ("%.0f"):format(number)
  end
  local short = ("%.15g"):format(number)
  return tonumber(short) == number and short or ("%.17g"):format(number)
end

local function encode_array(list, path)
  local out = {}
  for i = 1, #list do
    path[#path + 1] = i
    out[i] = encode_value(list[i], path)
    path[#path] = nil
  end
  return "[" .. table.concat(out, ",") .. "]"
end

local function encode_object(map, path)
  local out = {}
  for key, value in pairs(map) do
    if type(key) ~= "string" then fail(path, "mixes list and map") end
    path[#path + 1] = key
    out[#out + 1] = encode_string(key, path) .. ":" .. encode_value(value, path)
    path[#path] = nil
  end
  return "{" .. table.concat(out, ",") .. "}"
end

function encode_value(value, path)
  local kind = type(value)
  if kind == "string" then return encode_string(value, path) end
  if kind == "number" then return encode_number(value, path) end
  if kind == "boolean" then return tostring(value) end
  if value == json.null then return "null" end
  if kind ~= "table" then fail(path, "is a " .. kind) end
  if #path > 100 then fail(path, "is nested too deeply") end
  if #value > 0 or getmetatable(value) == Array then return encode_array(value, path) end
  return encode_object(value, path)
end

--- The value if it has that type, else nil: a server may send anything.
---@param kind type
function json.as(kind, value)
  if type(value) == kind then return value end
end

local function byte_of(hex) return string.char(tonumber(hex, 16)) end

--- The name of a file in an image. One that is not UTF-8 is percent-encoded on the
--- wire, and a further member says so.
---@return string?
function json.file_name(object, key)
  local name = json.as("string", object[key])
  if name and object[key .. "_encoding"] == "percent" then
    return (name:gsub("%%(%x%x)", byte_of))
  end
  return name
end

--- The JSON text of a value, or nil and what is wrong with it.
---@return string? text, string? message
function json.encode(value)
  local ok, text = pcall(encode_value, value, {})
  if ok then return text end
  if type(text) ~= "table" then error(text, 0) end
  return nil, text.path .. " " .. text.what
end

--- The table that a JSON text holds, or nil and what is wrong with it. An absent member and
--- one that is null look alike.
---@return table? value, string? message
function json.decode(text)
  local value, problem = core.json_decode(text)
  if type(value) == "table" then return value end
  return nil, problem and "not JSON: " .. problem or "JSON, but no object or list"
end

return json
