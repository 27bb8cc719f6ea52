--- What `require` returns: the names of the module's functions. The functions themselves, and
--- all rooms below them, are loaded at the first call of one: that takes ten times as long.

-- What must be there for `require` to succeed.
local cjson = require("cjson")
local core = require("contree.core")
local PIPE = require("contree.base.pipe")

local stub = {}

local FUNCTIONS = { "array", "async", "buffer", "gather", "host", "is_error", "new", "pollfd",
  "sessions", "shutdown", "sleep", "spawn", "step", "timeout" }

--- The module's table, one of its two faces.
---@param safe boolean whether failures are returned as nil, err
---@return table
function stub.make(safe)
  local module, face = { version = core.version, null = cjson.null, PIPE = PIPE }, nil
  for i = 1, #FUNCTIONS do
    local name = FUNCTIONS[i]
    module[name] = function(...)
      face = face or require("contree.face").make(safe)
      return face[name](...)
    end
  end
  return module
end

return stub
