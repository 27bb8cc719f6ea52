--- The outcome of an operation, read from its JSON or from its events: the two say the same
--- in different forms.

local errors = require("contree.base.errors")
local json = require("contree.base.json")
local networking = require("contree.wire.networking")
local stdio = require("contree.base.stdio")

local outcome = {}

---@class contree.Outcome
---@field status string       SUCCESS, FAILED or CANCELLED
---@field error? string
---@field image_uuid? string  the image that was kept
---@field input_uuid? string  the image it ran from
---@field exited boolean      whether the fields below it are known
---@field exit_code? integer
---@field signal? integer
---@field timed_out boolean
---@field duration? number
---@field resources table
---@field truncated table     { stdout = boolean, stderr = boolean }
---@field limit? string
---@field limit_value? number  bytes, processes or seconds
---@field isolation? string[]
---@field background_killed? integer
---@field denied? contree.DeniedList  of a run whose networking has rules
---@field tried? contree.DeniedList   the same, with trace

-- A server may send anything.
local NONE = {}
local function number(value) return type(value) == "number" and value or nil end
local function text(value) return type(value) == "string" and value or nil end
local function map(value) return type(value) == "table" and value or NONE end

-- -1 means no signal.
local function signal_of(value)
  local found = number(value)
  if found and found > 0 then return found end
end

-- Only a local engine tells which limit ended a process; the time limit is told by all.
local function read_limit(self, data)
  if text(data.limit) then self.limit, self.limit_value = data.limit, number(data.limit_value) end
  if self.timed_out and not self.limit then self.limit = "timeout" end
end

--- From an OperationResponse (http-api.md §5.10).
---@return contree.Outcome found, table streams { stdout = bytes, stderr = bytes }
function outcome.of_operation(operation)
  local result = map(map(operation.metadata).result)
  local state = map(result.state)
  local resources = json.as("table", result.resources) or {}
  local out, err = map(result.stdout), map(result.stderr)
  local code, signal = number(state.exit_code), signal_of(state.signal)
  -- A code of -1 without a signal means that the command has not ended, or never began.
  local exited = signal ~= nil or state.timed_out == true or code ~= nil and code >= 0
  local found = {
    status = text(operation.status), error = text(operation.error),
    image_uuid = text(operation.result_image_uuid) or text(map(operation.result).image),
    input_uuid = text(operation.image_uuid),
    exited = exited, exit_code = exited and code or nil, signal = signal,
    timed_out = state.timed_out == true,
    duration = number(resources.elapsed_time) or number(operation.duration),
    resources = resources,
    truncated = { stdout = out.truncated == true, stderr = err.truncated == true },
    isolation = json.as("table", result.isolation),
    background_killed = number(result.background_killed),
    denied = type(result.denied) == "table" and networking.list(result.denied) or nil,
    tried = type(result.tried) == "table" and networking.list(result.tried) or nil,
  }
  read_limit(found, result)
  return found, { stdout = stdio.decode(out), stderr = stdio.decode(err) }
end

-- EventResources under the names of InstanceResources (http-api.md §5.8, §5.18).
local RENAMED = {
  max_rss_kb = "max_rss", minor_faults = "page_faults", major_faults = "page_faults_io",
  voluntary_ctx_switches = "voluntary_switches",
  involuntary_ctx_switches = "involuntary_switches",
  block_input_ops = "block_input", block_output_ops = "block_output",
  signals_received = "signals", shared_memory = "shared_memory",
  unshared_memory = "unshared_memory", swaps = "swaps",
}

local function resources_of(data)
  local from, to = map(data.resources), {}
  for name, value in pairs(from) do
    if RENAMED[name] then to[RENAMED[name]] = value end
  end
  to.user_cpu_time = (number(from.user_time_us) or 0) / 1e6
  to.system_cpu_time = (number(from.sys_time_us) or 0) / 1e6
  to.elapsed_time = number(data.elapsed_us) and data.elapsed_us / 1e6
    or (number(data.duration_ms) or 0) / 1000
  return to
end

--- An empty outcome, for add_event() to fill.
---@return contree.Outcome
function outcome.new()
  return { exited = false, timed_out = false, resources = {},
    truncated = { stdout = false, stderr = false } }
end

local readers = {}

function readers.init(self, data)
  self.isolation = json.as("table", data.isolation)
  for _, wall in ipairs(self.isolation or {}) do
    if wall == "airlock" then self.denied = self.denied or networking.list() end
  end
end

-- What the airlock of a run refused, and what it connected.
local function reader_of(name)
  return function(self, data)
    self[name] = self[name] or networking.list()
    networking.count(self[name], data)
  end
end

readers.denied, readers.tried = reader_of("denied"), reader_of("tried")

function readers.truncated(self, data)
  if data.stream then self.truncated[data.stream] = true end
end

function readers.exit(self, data)
  self.exited = true
  self.exit_code, self.signal = number(data.code), signal_of(data.signal)
  self.timed_out = data.timed_out == true
  read_limit(self, data)
  self.background_killed = number(data.background_killed)
  self.resources = resources_of(data)
  self.duration = self.resources.elapsed_time
end

function readers.completion(self, data)
  self.status, self.error = text(data.status), text(data.error)
  self.image_uuid = text(data.result_image_uuid)
  self.resources.layer_bytes = number(data.layer_bytes)
  read_limit(self, data)
end

--- Add an event of the sandbox, or of the process `spid` (default: 1).
---@param self contree.Outcome
function outcome.add_event(self, event, spid)
  local reader = readers[event.type]
  local source = event.spid or 0
  if reader and (source == 0 or source == (spid or 1)) then reader(self, event.data) end
end

--- The error at the end of a stream that was cut off although the caller did not ask for it.
---@param name "stdout"|"stderr"
---@param limit? integer the bytes after which it was cut, if known
---@return contree.Error
function outcome.cut_off(name, limit)
  return errors.new("unprocessable", ("%s was cut off%s: this is not all of it"):format(name,
    limit and (" after %d bytes"):format(limit) or ""),
    { hint = "truncate_output_at = sets the limit" })
end

local function last_line(output)
  return type(output) == "string" and output:match("([^\n]*%S[^\n]*)%s*$") or nil
end

--- Whether a command failed: an exit code other than 0, a signal, or the time limit.
function outcome.is_failure(result)
  return result.exit_code ~= 0 or result.timed_out or false
end

-- How large each limit was. The remedies have the same names.
local LIMITS = {
  timeout = " of %d s",
  memory = ", %d bytes",
  pids = ", having wanted more than %d processes",
  disk = ", having written more than %d bytes",
}

--- The error for a failed command with check = true.
---@return contree.Error
function outcome.failure(result)
  local limit = result.timed_out and "timeout" or result.limit
  local ending = limit == "timeout" and "ran into its time limit"
    or limit == "memory" and "ran out of the memory it may have"
    or result.signal and "was killed by signal " .. result.signal
    or "ended with exit code " .. tostring(result.exit_code)
  local known = LIMITS[limit]
  if known and result.limit_value then
    ending = ending .. known:format(result.limit_value)
  end
  local line = last_line(result.stderr)
  return errors.new("command_failed", "the command " .. ending .. (line and ": " .. line or ""),
    { remedy = known and { limit } })
end

return outcome
