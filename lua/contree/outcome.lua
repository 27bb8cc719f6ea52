--- What became of an operation, put together from either of the two places
--- that tell: the operation's JSON, or its events.

local errors = require("contree.errors")
local stdio = require("contree.stdio")

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

-- -1 says that there was none.
local function signal_of(number)
  if number and number > 0 then return number end
end

--- From an OperationResponse (wire-api.md §5.10).
---@return contree.Outcome found, table streams { stdout = bytes, stderr = bytes }
function outcome.of_operation(operation)
  local result = operation.metadata and operation.metadata.result or {}
  local state, resources = result.state or {}, result.resources or {}
  local out, err = result.stdout or {}, result.stderr or {}
  return {
    status = operation.status, error = operation.error,
    image_uuid = operation.result_image_uuid or operation.result and operation.result.image,
    input_uuid = operation.image_uuid,
    exited = state.exit_code ~= nil,
    exit_code = state.exit_code, signal = signal_of(state.signal),
    timed_out = state.timed_out or false,
    duration = resources.elapsed_time or operation.duration,
    resources = resources,
    truncated = { stdout = out.truncated or false, stderr = err.truncated or false },
    limit = result.limit, limit_value = result.limit_value, isolation = result.isolation,
    background_killed = result.background_killed,
  }, { stdout = stdio.decode(out), stderr = stdio.decode(err) }
end

-- EventResources under the names of InstanceResources (wire-api.md §5.8, §5.18).
local RENAMED = {
  max_rss_kb = "max_rss", minor_faults = "page_faults", major_faults = "page_faults_io",
  voluntary_ctx_switches = "voluntary_switches",
  involuntary_ctx_switches = "involuntary_switches",
  block_input_ops = "block_input", block_output_ops = "block_output",
  signals_received = "signals", shared_memory = "shared_memory",
  unshared_memory = "unshared_memory", swaps = "swaps",
}

local function resources_of(data)
  local from, to = data.resources or {}, {}
  for name, value in pairs(from) do
    if RENAMED[name] then to[RENAMED[name]] = value end
  end
  to.user_cpu_time = (from.user_time_us or 0) / 1e6
  to.system_cpu_time = (from.sys_time_us or 0) / 1e6
  to.elapsed_time = data.elapsed_us and data.elapsed_us / 1e6 or (data.duration_ms or 0) / 1000
  return to
end

--- An outcome to be told of events until one is the completion.
---@return contree.Outcome
function outcome.new()
  return { exited = false, timed_out = false, resources = {},
    truncated = { stdout = false, stderr = false } }
end

local readers = {}

function readers.init(self, data) self.isolation = data.isolation end

function readers.truncated(self, data)
  if data.stream then self.truncated[data.stream] = true end
end

local function read_limit(self, data)
  if data.limit then self.limit, self.limit_value = data.limit, data.limit_value end
end

function readers.exit(self, data)
  self.exited = true
  self.exit_code, self.signal = data.code, signal_of(data.signal)
  self.timed_out = data.timed_out or false
  read_limit(self, data)
  self.background_killed = data.background_killed
  self.resources = resources_of(data)
  self.duration = self.resources.elapsed_time
end

function readers.completion(self, data)
  self.status, self.error = data.status, data.error
  self.image_uuid = data.result_image_uuid
  read_limit(self, data)
end

--- Takes in one event of the sandbox, or of the process `spid` (default: 1).
---@param self contree.Outcome
function outcome.add_event(self, event, spid)
  local reader = readers[event.type]
  local source = event.spid or 0
  if reader and (source == 0 or source == (spid or 1)) then reader(self, event.data) end
end

local function last_line(text)
  return type(text) == "string" and text:match("([^\n]*%S[^\n]*)%s*$") or nil
end

--- Whether a command did not do what it should have.
function outcome.is_failure(result)
  return result.exit_code ~= 0 or result.timed_out or false
end

--- The error that a failed command becomes with check = true.
---@return contree.Error
function outcome.failure(result)
  local ending = result.timed_out and "ran into its time limit"
    or result.limit == "memory" and "ran out of the memory it may have"
    or result.signal and "was killed by signal " .. result.signal
    or "ended with exit code " .. tostring(result.exit_code)
  local line = last_line(result.stderr)
  return errors.new("command_failed", "the command " .. ending .. (line and ": " .. line or ""))
end

return outcome
