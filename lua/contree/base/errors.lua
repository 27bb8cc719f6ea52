--- The error object, its kinds, and the two ways to raise it.
--
-- A failed call raises one of these (contree.safe returns it instead). Misuse
-- (a wrong type, an unknown option) always raises. Where the script called is
-- added when an error leaves the module (base/class.lua).

---@class contree.Error tostring() of one is one line that says what to do
---@field kind contree.ErrorKind what sort of failure it is, to be tested for
---@field message string        what happened
---@field hint? string          what to do about it
---@field status? integer       the HTTP status, when a server said so
---@field request_id? string    what the server calls this request
---@field retry_after? number   seconds the server asked us to wait
---@field reason? string       why a box has ended: docs/use/box.md
---@field operation? contree.Operation  that was under way
---@field process? contree.Subprocess  that was under way
---@field result? contree.Result  what is known of the run
---@field conflicts? contree.Conflict[]  of image:merge
---@field where? string         the script's file:line that called
---@field traceback? string     the script's functions that led there, the innermost first
---@field misuse? boolean       the script's text is wrong, whatever the world is like

---@alias contree.ErrorKind
---| "invalid_argument" | "auth" | "forbidden" | "not_found" | "conflict" | "gone"
---| "too_early" | "rate_limited" | "unprocessable" | "server" | "connection"
---| "timeout" | "cancelled" | "operation_failed" | "command_failed"
---| "engine_unavailable" | "not_supported" | "file" | "internal"

local keys = require("contree.base.keys")
local place = require("contree.base.place")
local remedy = require("contree.base.remedy")

local errors = {}

local Error = { __name = "contree.Error" }

function Error:__tostring()
  local text = "contree: " .. self.message
  if self.where then text = self.where .. ": " .. text end
  if self.hint then text = text .. " (" .. self.hint .. ")" end
  return text
end

-- `"failed: " .. err`, as with the strings that Lua raises.
function Error.__concat(left, right) return tostring(left) .. tostring(right) end

-- A server's words end up in terminals and logs, so they become one line without control
-- characters. U+0080 to U+009F are control characters, too: \194\155 begins an escape sequence.
local function one_line(text)
  return (text:gsub("%s+", " "):gsub("%c", "?"):gsub("\194[\128-\159]", "?"):gsub(" $", ""))
end

---@param kind contree.ErrorKind
---@param message string
---@param fields? table
---@return contree.Error
function errors.new(kind, message, fields)
  local err = setmetatable({ kind = kind, message = one_line(message) }, Error)
  -- Errors are made in finalisers, too: see keys.
  for _, key in ipairs(fields and keys(fields) or {}) do err[key] = fields[key] end
  -- `remedy` is the row of remedy.lua that the hint is from: { name, what %s stands for }.
  if err.remedy then err.hint = remedy.words(err.remedy, "script") end
  err.hint = err.hint and one_line(err.hint) or nil
  return err
end

--- Raise an error that is not a mistake of the script.
function errors.raise(kind, message, fields)
  error(errors.new(kind, message, fields), 0)
end

local heard -- see on_misuse

--- Has a function told of each mistake of the script, before it is raised: for a host that shows
--- no error objects.
---@param fn? fun(err: contree.Error)
function errors.on_misuse(fn) heard = fn end

--- Raise an error for a mistake of the script (misuse).
function errors.misuse(message, hint)
  local err = errors.new("invalid_argument", message,
    { where = place.of(), misuse = true, hint = hint })
  if heard then heard(err) end
  error(err, 0)
end

---@return boolean
function errors.is(value, kind)
  return getmetatable(value) == Error and (kind == nil or value.kind == kind)
end

return errors
