--- Delivers the events of a process: output goes to the sinks, all else to the outcome.
--- `self` is an operation (process 1) or a subprocess, with the fields spid, plan, sinks,
--- seen and delivered.

local outcome = require("contree.run.outcome")
local stdin = require("contree.run.stdin")
local stdio = require("contree.base.stdio")

local delivery = {}

--- Prepare for events. A second call does nothing.
function delivery.begin(self)
  if self.sinks then return end
  self.sinks = self.plan.sinks or { stdout = stdio.output(nil)(), stderr = stdio.output(nil)() }
  self.seen, self.delivered = outcome.new(), { stdout = 0, stderr = 0 }
end

--- What a follower is to do with the output; nil: make events of it.
function delivery.output(self)
  if self.plan.on_event then return nil end
  local out, err = self.sinks.stdout, self.sinks.stderr
  return { spid = self.spid, stdout = out.file, stderr = err.file, count = self.delivered,
    buffers = function() return out.bytes and out.bytes(), err.bytes and err.bytes() end }
end

--- Deliver an event.
function delivery.take(self, event)
  local mine = (event.spid or 1) == self.spid
  if mine and (event.type == "stdout" or event.type == "stderr") then
    local bytes = event.bytes or stdio.decode(event.data)
    self.delivered[event.type] = self.delivered[event.type] + #bytes
    self.sinks[event.type].write(bytes)
  elseif mine and event.type == "spawn" and self.plan.rest_of_stdin then
    stdin.feed(self)
  end
  outcome.add_event(self.seen, event, self.spid)
  if self.plan.on_event then self.plan.on_event(event) end
end

--- Deliver the server's JSON of an operation: of its output, the part that no event has
--- brought.
---@param operation table OperationResponse
---@return contree.Outcome
function delivery.take_json(self, operation)
  local found, streams = outcome.of_operation(operation)
  for name, bytes in pairs(streams) do
    local rest = bytes:sub(self.delivered[name] + 1)
    if rest ~= "" then self.sinks[name].write(rest) end
  end
  return found
end

--- Closes the sinks; returns the fields of the result.
---@return any stdout, any stderr
function delivery.finish(self)
  return self.sinks.stdout.finish(), self.sinks.stderr.finish()
end

--- Close the sinks when there is no result to come.
function delivery.close(sinks)
  for _, sink in pairs(sinks or {}) do pcall(sink.finish) end
end

return delivery
