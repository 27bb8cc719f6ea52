--- JSON for the wire: integers are exact, `[]` and `{}` differ, and a string that is not
--- UTF-8 is refused. An instance of lua-cjson of our own decodes. Its number formatting
--- loses digits, so the core encodes.

local core = require("contree.core")
local cjson = require("cjson").new()
cjson.decode_invalid_numbers(false)

local json = {}

--- The one value that is sent as null.
json.null = cjson.null

local Array = { __name = "contree.array" }

--- Marks a table as a list, so that an empty one is sent as [].
function json.array(list)
  return setmetatable(list or {}, Array)
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
function json.encode(value) return core.json_encode(value, Array) end

--- The table that a JSON text holds, or nil and what is wrong with it.
---@return table? value, string? message
function json.decode(text)
  local ok, value = pcall(cjson.decode, text)
  if not ok then return nil, "not JSON: " .. value:gsub("^.-:%d+: ", "") end
  if type(value) ~= "table" then return nil, "JSON, but no object or list" end
  -- An absent member and one that is null look alike; Lua 5.4 gets back the
  -- integers that cjson made floats of.
  return core.tidy(value)
end

return json
