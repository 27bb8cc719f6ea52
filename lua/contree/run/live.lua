--- What is done with an operation while it runs (docs/use/live.md): pausing it, and
--- what it uses.

local control = require("contree.wire.control")
local errors = require("contree.base.errors")
local wire = require("contree.wire")

local live = {}

local function path(self, rest) return "/operations/" .. wire.segment(self.uuid) .. rest end

-- A server without an endpoint answers "not found", as it does for an operation that it does
-- not know: so the operation is looked up.
local function ask(self, what, request)
  local ok, answer = pcall(control.order, self, 1, request)
  if ok then return answer end
  local missing = errors.is(answer, "not_supported")
    or errors.is(answer, "not_found") and pcall(wire.fetch, self.client,
      { method = "GET", path = path(self, "") })
  if missing then
    errors.raise("not_supported", "this server does not " .. what,
      { hint = "the local engine does", status = answer.status })
  end
  error(answer, 0)
end

--- See operation:pause.
---@async
function live.pause(self)
  ask(self, "pause operations", { method = "POST", path = path(self, "/pause") })
end

--- See operation:resume.
---@async
function live.resume(self)
  ask(self, "pause operations", { method = "POST", path = path(self, "/resume") })
end

--- See operation:usage.
---@async
---@return table
function live.usage(self)
  local answer = ask(self, "tell what a run uses", { method = "GET", path = path(self, "/usage") })
  wire.member({ json = answer.json }, "cpu_seconds", "number")
  local used = {}
  for name, value in pairs(answer.json) do used[name] = tonumber(value) end
  return used
end

return live
