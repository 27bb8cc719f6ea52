--- contree ps, top, stop, forward, pause, resume, wait: what runs on the server.

local errors = require("contree.base.errors")
local report = require("contree.command.report")
local terminal = require("contree.command.terminal")

local operations = {}

local RUNNING = { PENDING = true, ASSIGNED = true, EXECUTING = true }

local function command_of(found)
  local metadata = type(found.metadata) == "table" and found.metadata or {}
  if metadata.command then
    local words = { metadata.command }
    for _, word in ipairs(type(metadata.args) == "table" and metadata.args or {}) do
      words[#words + 1] = word
    end
    return table.concat(words, " ")
  end
  local registry = metadata.registry
  return type(registry) == "table" and registry.url or found.kind or ""
end

local function list(args, all, limit)
  local found = {}
  for _, each in ipairs(args.client.operations:list{ limit = limit or 1000 }) do
    if all or RUNNING[each.status] then found[#found + 1] = each end
  end
  return found
end

function operations.ps(args)
  local found = list(args, args.all, args.limit)
  if not args.json and not args.quiet then
    for _, each in ipairs(found) do
      local _, details = args.client.operations:get(each.uuid):status()
      each.metadata = details.metadata
    end
  end
  report.list(args, found, { "OPERATION", "STATUS", "BEGAN", "TOOK", "COMMAND" }, function(each)
    return each.uuid, each.status, report.age(each.created_at), report.duration(each.duration),
      command_of(each)
  end)
  return 0
end

-- The operation of an id, or of the first digits of one that runs.
local function find(args, word)
  if #word == 36 then return args.client.operations:get(word) end
  local matches = {}
  for _, each in ipairs(list(args, false)) do
    if each.uuid:sub(1, #word) == word:lower() then matches[#matches + 1] = each.uuid end
  end
  if #matches == 1 then return args.client.operations:get(matches[1]) end
  local message = #matches == 0 and "no running operation begins with " .. word
    or ("%d running operations begin with %s"):format(#matches, word)
  errors.raise("not_found", message, { hint = "contree ps lists them" })
end

function operations.stop(args)
  local wanted = {}
  if args.all then
    for _, each in ipairs(list(args, false)) do
      wanted[#wanted + 1] = args.client.operations:get(each.uuid)
    end
  elseif #args.operation == 0 then
    errors.raise("invalid_argument", "there is nothing to stop",
      { hint = "contree stop ID, or contree stop --all" })
  end
  for _, word in ipairs(args.operation) do wanted[#wanted + 1] = find(args, word) end
  for _, operation in ipairs(wanted) do
    operation:cancel()
    report.line(operation.uuid)
  end
  return 0
end

local function each_of(args, method)
  for _, word in ipairs(args.operation) do
    local operation = find(args, word)
    operation[method](operation)
    report.line(operation.uuid)
  end
  return 0
end

function operations.pause(args) return each_of(args, "pause") end

function operations.resume(args) return each_of(args, "resume") end

function operations.forward(args)
  local port = tonumber(args.port) or args.port
  local address = find(args, args.operation):forward(port, { listen = args.listen })
  if args.json then report.json({ address = address }) else report.line(address) end
  return 0
end

local function usage_cells(each)
  local usage = each.usage or {}
  local function size(value) return value and report.size(value) or "-" end
  return each.uuid, each.paused and "PAUSED" or each.status,
    usage.cpu_seconds and ("%.1f s"):format(usage.cpu_seconds) or "-", size(usage.memory_bytes),
    tostring(usage.processes or "-"), size(usage.written_bytes), report.age(each.created_at)
end

local HOME_AND_CLEAR = "\27[H\27[J"

function operations.top(args)
  local repeats = terminal.is(terminal.OUT) and not args.once and not args.json
  repeat
    local found = args.client.operations:list{ status = "EXECUTING", limit = 1000 }
    if repeats then report.write(HOME_AND_CLEAR) end
    report.list(args, found, { "OPERATION", "STATUS", "CPU", "MEMORY", "PROCESSES", "WRITTEN",
      "BEGAN" }, usage_cells)
    io.stdout:flush()
    if repeats then args.contree.sleep(1) end
  until not repeats
  return 0
end

function operations.wait(args)
  local result = find(args, args.operation):wait()
  if args.json then
    report.json({ exit_code = result.exit_code, uuid = result.uuid, duration = result.duration })
  else
    report.write(result.stdout)
    io.stderr:write(result.stderr)
  end
  if result.signal then return 128 + result.signal end
  return result.exit_code or 0
end

return operations
