--- What is done with an operation while it runs (docs/use/live.md): pausing it,
--- what it uses, and what listens in it.

local control = require("contree.wire.control")
local errors = require("contree.base.errors")
local options = require("contree.base.options")
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

local FORWARD = { listen = options.name }

local function target_check(value)
  local is_port = type(value) == "number" and value % 1 == 0 and value >= 1 and value <= 65535
  local is_path = type(value) == "string" and value:sub(1, 1) == "/" and not value:find("%z")
  if not is_port and not is_path then return "a port, or the absolute path of a Unix socket" end
end

--- See operation:forward.
---@async
---@return string address
function live.forward(self, target, given)
  options.argument("operation:forward", "the target", target_check, target)
  given = options.check("operation:forward", FORWARD, given)
  local answer = ask(self, "forward ports", { method = "POST", path = path(self, "/ports"),
    json = { [type(target) == "number" and "port" or "path"] = target, listen = given.listen } })
  return wire.member(answer, "address")
end

--- See operation:ports.
---@async
---@return table[]
function live.ports(self)
  return wire.member(ask(self, "forward ports",
    { method = "GET", path = path(self, "/ports") }), "ports", "table")
end

--- See operation:close_port.
---@async
---@return boolean closed
function live.close_port(self, address)
  options.argument("operation:close_port", "the address", options.name, address)
  for _, port in ipairs(live.ports(self)) do
    if port.address == address then
      local ok, err = pcall(wire.request, self.client, { method = "DELETE",
        path = path(self, ("/ports/%d"):format(port.id)) })
      if not ok and not errors.is(err, "not_found") then error(err, 0) end
      return ok
    end
  end
  return false
end

return live
