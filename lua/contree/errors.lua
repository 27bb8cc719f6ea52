--- The error object, its kinds, and the two ways to raise it.
--
-- A failed call raises one of these (contree.safe returns it instead). Misuse
-- (a wrong type, an unknown option) always raises, and names the caller's line.

---@class contree.Error
---@field kind contree.ErrorKind
---@field message string
---@field hint? string          what to do about it
---@field status? integer       the HTTP status, when a server said so
---@field request_id? string    what the server calls this request
---@field retry_after? number   seconds the server asked us to wait
---@field operation? contree.Operation
---@field process? contree.Subprocess
---@field result? contree.Result  what is known of the run
---@field where? string         the caller's file:line, for misuse
---@field misuse? boolean

---@alias contree.ErrorKind
---| "invalid_argument" | "auth" | "forbidden" | "not_found" | "conflict" | "gone"
---| "too_early" | "rate_limited" | "unprocessable" | "server" | "connection"
---| "timeout" | "cancelled" | "operation_failed" | "command_failed"
---| "engine_unavailable" | "not_supported" | "file"

local errors = {}

-- Frames whose source starts so are ours, not the caller's.
local ours = debug.getinfo(1, "S").source:match("^(.*)errors%.lua$")

local Error = { __name = "contree.Error" }

function Error:__tostring()
  local text = "contree: " .. self.message
  if self.where then text = self.where .. ": " .. text end
  if self.hint then text = text .. " (" .. self.hint .. ")" end
  return text
end

-- A server's words end up in terminals and logs: one line, no control bytes.
local function one_line(text)
  return (text:gsub("%s+", " "):gsub("%c", "?"):gsub(" $", ""))
end

--- Where the code that called into this library is.
local function caller()
  local level = 2
  local info = debug.getinfo(level, "Sl")
  while info do
    if info.currentline > 0 and info.source:sub(1, #ours) ~= ours then
      return info.short_src .. ":" .. info.currentline
    end
    level = level + 1
    info = debug.getinfo(level, "Sl")
  end
end

---@param kind contree.ErrorKind
---@param message string
---@param fields? table
---@return contree.Error
function errors.new(kind, message, fields)
  local err = setmetatable({ kind = kind, message = one_line(message) }, Error)
  for key, value in pairs(fields or {}) do err[key] = value end
  if err.hint then err.hint = one_line(err.hint) end
  return err
end

--- Raises what the world caused.
function errors.raise(kind, message, fields)
  error(errors.new(kind, message, fields), 0)
end

--- Raises what the caller did wrong, at the caller's line.
function errors.misuse(message, hint)
  error(errors.new("invalid_argument", message,
    { where = caller(), misuse = true, hint = hint }), 0)
end

---@return boolean
function errors.is(value, kind)
  return getmetatable(value) == Error and (kind == nil or value.kind == kind)
end

return errors
