--- Input that is too long for the spawn request: sent in pieces while the
--- command runs (wire-api.md §4.16).

local client = require("contree.client")
local errors = require("contree.errors")
local stdio = require("contree.stdio")
local tasks = require("contree.loop.task")

local stdin = {}

local INLINE = 4194304   -- up to so many bytes travel in the spawn request
local PIECE = 1048576

--- Reads as much as a spawn request carries. Returns the member of its body
--- and, when there is more, a reader of the rest.
---@param reader fun(): string?
function stdin.begin(reader)
  local parts, size = {}, 0
  local chunk = reader()
  while chunk do
    parts[#parts + 1] = chunk
    size = size + #chunk
    if size > INLINE then break end
    chunk = reader()
  end
  local bytes = table.concat(parts)
  local body = stdio.encode(bytes:sub(1, INLINE))
  body.close = chunk == nil
  if body.close then return body end
  local held = bytes:sub(INLINE + 1)
  return body, function()
    local first = held
    held = nil
    if first and first ~= "" then return first end
    return reader()
  end
end

-- The command has ended, or has closed its input.
local function is_over(err)
  return errors.is(err) and (err.status == 404 or err.status == 409 or err.status == 410)
end

local function post(operation, bytes, close)
  local body = stdio.encode(bytes)
  body.close = close
  client.request(operation.client, { method = "POST", json = body,
    path = ("/operations/%s/subprocesses/1/stdin"):format(client.segment(operation.uuid)) })
end

local function send_all(operation, reader)
  local chunk = reader()
  while chunk do
    for at = 1, #chunk, PIECE do post(operation, chunk:sub(at, at + PIECE - 1), false) end
    chunk = reader()
  end
  post(operation, "", true)
end

--- Starts to send the rest of an operation's input. A failure ends the
--- operation and is kept for whoever waits for it.
function stdin.feed(operation)
  local reader = operation.plan.rest_of_stdin
  operation.plan.rest_of_stdin = nil
  operation.feeder = tasks.spawn(function()
    local ok, err = pcall(send_all, operation, reader)
    if ok or is_over(err) or errors.is(err, "cancelled") then return end
    operation.feed_error = err
    pcall(client.request, operation.client, { method = "DELETE",
      path = "/operations/" .. client.segment(operation.uuid) })
  end)
end

--- Ends the sending.
function stdin.stop(operation)
  if operation.feeder then operation.feeder:cancel() end
  operation.feeder = nil
end

return stdin
