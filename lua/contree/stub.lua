--- What `require` returns: the names of the module's functions. The functions themselves, and
--- all rooms below them, are loaded at the first call of one: that takes ten times as long.

-- Before the module in C, which would miss functions of Lua, and not say so in words.
if not rawget(_G, "jit") and _VERSION < "Lua 5.3" then
  error(("contree runs in Lua 5.4 and LuaJIT. This is %s of PUC-Rio, where no task can wait "
    .. "within a pcall"):format(_VERSION), 0)
end

-- What must be there for `require` to succeed.
local cjson = require("cjson")
local core = require("contree.core")
local PIPE = require("contree.base.pipe")

local stub = {}

local FUNCTIONS = { "array", "async", "buffer", "gather", "host", "is_error", "new", "pollfd",
  "progress", "sessions", "shutdown", "sleep", "spawn", "step", "timeout" }

-- What could not be loaded, because there was no descriptor for a file, is loaded at the next call.
-- LuaJIT keeps a mark of it instead, of an odd type, and would refuse for ever.
local function forget_marks()
  for name, value in pairs(package.loaded) do
    local odd = type(value) == "userdata" or type(value) == "number"
    if odd and name:find("^contree%.") then package.loaded[name] = nil end
  end
end

-- Fail as every function does, as far as what is needed for that can be loaded.
local function fail(problem, safe)
  forget_marks()
  local ok, class = pcall(require, "contree.base.class")
  if ok then return class.entry(error, safe)(problem, 0) end
  forget_marks()
  if safe then return nil, problem end
  error(problem, 0)
end

--- The module's table, one of its two faces.
---@param safe boolean whether failures are returned as nil, err
---@return table
function stub.make(safe)
  local module, face = { version = core.version, _VERSION = "contree " .. core.version,
    null = cjson.null, PIPE = PIPE }, nil
  for i = 1, #FUNCTIONS do
    local name = FUNCTIONS[i]
    module[name] = function(...)
      if not face then
        local ok, found = pcall(require, "contree.face")
        if not ok then return fail(found, safe) end
        face = found.make(safe)
      end
      return face[name](...)
    end
  end
  return setmetatable(module, { __tostring = function(self)
    local names = {}
    for name in pairs(self) do
      if not name:find("^_") then names[#names + 1] = name end
    end
    table.sort(names)
    return ("contree %s: %s"):format(core.version, table.concat(names, ", "))
  end })
end

return stub
