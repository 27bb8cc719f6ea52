--- What is done with an operation while it runs (docs/use/live.md): pausing it,
--- what it uses, what listens in it, and what changes in its files.

local class = require("contree.base.class")
local control = require("contree.wire.control")
local errors = require("contree.base.errors")
local failure = require("contree.wire.failure")
local json = require("contree.base.json")
local loop = require("contree.loop")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local text = require("contree.base.text")
local wire = require("contree.wire")

local live = {}

local function path(self, rest) return "/operations/" .. wire.segment(self.uuid) .. rest end

-- A server without an endpoint answers "not found", as it does for an operation that it does
-- not know: so the operation is looked up.
local function ask(self, what, request, send)
  local ok, answer = pcall(control.order, self, 1, request, send)
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
  return printed.fields(used)
end

local print_port = printed.record(function(self)
  return ("%s -> %s  %d connections"):format(tostring(self.address),
    tostring(self.port or self.path), tonumber(self.connections) or 0)
end)

local print_ports = printed.list()

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
  local list = wire.member(ask(self, "forward ports",
    { method = "GET", path = path(self, "/ports") }), "ports", "table")
  for _, each in ipairs(list) do
    if type(each) == "table" then print_port(each) end
  end
  return print_ports(list)
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

-- Watching -----------------------------------------------------------------

local WATCH = { recursive = options.boolean }

local function path_check(value)
  if type(value) ~= "string" or value:sub(1, 1) ~= "/" or value:find("%z") then
    return "an absolute path"
  end
end

local print_change = printed.record(function(self)
  local from = self.from and ("  from %s"):format(text.line(self.from)) or ""
  return ("%s  %s%s"):format(self.type, text.line(tostring(self.path)), from)
end)

local function event_of(frame)
  local event = json.decode(frame.data or "")
  if type(event) ~= "table" or type(event.type) ~= "string" then
    errors.raise("server", "the watch tells what is no change")
  end
  event.path = json.file_name(event, "path")
  event.from = json.file_name(event, "from")
  event.path_encoding, event.from_encoding = nil, nil
  return print_change(event)
end

local function failed(frame)
  local found = json.decode(frame.data or "") or {}
  errors.raise(failure.kind_of(tonumber(found.status) or 500),
    tostring(found.error or "the watch has failed"), { status = tonumber(found.status) })
end

-- The next change; nil at the end of the operation.
local function next_change(watch)
  local handle = watch.port.handle
  while not watch.over do
    loop.pace()
    local frame = handle:next_event()
    if frame and frame.event == "change" then return event_of(frame) end
    if frame and frame.event == "failed" then
      watch:close()
      failed(frame)
    elseif frame and frame.event == "end" then
      watch:close()
    elseif not frame and handle:done() then
      watch:close()
      errors.raise("connection", "the watch was cut off: changes may be missing")
    elseif not frame then
      watch.port:wait()
    end
  end
end

local Watch = {}
Watch.__index = Watch

function Watch:close()
  self.over = true
  self.port:cancel()
end

--- See operation:watch.
---@async
---@return fun(): table?
function live.watch(self, where, given)
  options.argument("operation:watch", "the path", path_check, where)
  given = options.check("operation:watch", WATCH, given)
  local port = ask(self, "watch files", { path = path(self, "/watch"),
    query = { path = where, recursive = given.recursive },
    headers = { "Accept: text/event-stream" } }, wire.open_events)
  local watch = setmetatable({ port = port, over = false }, Watch)
  -- When a loop is left early, the connection stays open until this is garbage.
  watch.sentinel = class.on_collect(function()
    if not watch.over then loop.later(watch.close, watch) end
  end)
  return class.entry(function() return next_change(watch) end)
end

return live
