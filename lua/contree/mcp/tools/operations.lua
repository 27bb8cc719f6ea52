--- Tools for operations.

local contree = require("contree")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local shapes = require("contree.mcp.tools.shapes")

local CANCEL_TIMEOUT = 10 -- seconds
local DONE = { SUCCESS = true, FAILED = true, CANCELLED = true }

local function get_operation(context, given)
  return shapes.operation(context.client, given.operation_id)
end

local function list_operations(context, given)
  local operations = json.array()
  local found = context.client.operations:list{ limit = given.limit, status = given.status,
    kind = given.type, since = given.since }
  for i, each in ipairs(found) do
    operations[i] = { uuid = each.uuid, kind = each.kind, status = each.status,
      error = each.error or json.null, created_at = each.created_at }
  end
  return { operations = operations }
end

local function cancel(context, uuid)
  local operation = context.client.operations:get(uuid)
  local status = operation:status()
  if DONE[status] then return status == "CANCELLED" end
  operation:cancel()
  shapes.wait(operation, CANCEL_TIMEOUT) -- its end is told a moment later
  return true
end

local function cancel_operation(context, given)
  return { cancelled = cancel(context, given.operation_id), operation_id = given.operation_id }
end

-- Waits for each until the time is up, or with `any` until one has ended.
local function wait_operations(context, given)
  local ids, tasks, ended = {}, {}, {}
  for _, id in ipairs(given.operation_ids) do
    if not ended[id] then
      ended[id] = "waiting"
      ids[#ids + 1] = id
    end
  end
  for _, id in ipairs(ids) do
    tasks[#tasks + 1] = function()
      shapes.wait(context.client.operations:get(id))
      ended[id] = "ended"
      if given.mode == "any" then error("first", 0) end
    end
  end
  local ok, err = pcall(contree.timeout, given.timeout,
    function() contree.gather(tasks, { concurrency = math.max(1, #tasks) }) end)
  local timed_out = not ok and errors.is(err, "timeout")
  if not ok and shapes.is_interrupt(err) then error(err, 0) end
  local results, completed, cancelled = {}, json.array(), json.array()
  for _, id in ipairs(ids) do
    if ended[id] == "ended" then
      completed[#completed + 1] = id
    else
      pcall(cancel, context, id)
      cancelled[#cancelled + 1] = id
    end
    local found, operation = pcall(shapes.operation, context.client, id)
    results[id] = found and operation
      or { uuid = id, status = "FAILED", error = tostring(operation) }
  end
  return { results = results, completed = completed, cancelled = cancelled,
    timed_out = timed_out and given.mode == "any" }
end

return {
  { name = "get_operation", title = "Look at an operation", reads = true, call = get_operation,
    about = "Says how an operation is: its status and, when it has ended, its output.",
    takes = { { "operation_id", "string", "its id", required = true } } },
  { name = "list_operations", title = "List operations", reads = true, call = list_operations,
    about = "Lists operations, the newest first.",
    takes = {
      { "limit", "integer", "the most to list", default = 100 },
      { "status", "string", "only these",
        choices = { "PENDING", "ASSIGNED", "EXECUTING", "SUCCESS", "FAILED", "CANCELLED" } },
      { "type", "string", "only these", choices = { "instance", "image_import" } },
      { "since", "string", "begun after this time, or within this age, such as 2h" },
    } },
  { name = "wait_operations", title = "Wait for operations", call = wait_operations,
    about = "Waits for operations that run did not wait for. What has not ended in time is "
      .. "cancelled; with mode any, the first to end wins and the others are cancelled.",
    takes = {
      { "operation_ids", "list", "their ids", required = true },
      { "timeout", "number", "seconds", default = 300 },
      { "mode", "string", "wait for all, or for any", default = "all", choices = { "all", "any" } },
    } },
  { name = "cancel_operation", title = "Cancel an operation", destroys = true,
    call = cancel_operation,
    about = "Stops an operation and drops its changes.",
    takes = { { "operation_id", "string", "its id", required = true } } },
}
