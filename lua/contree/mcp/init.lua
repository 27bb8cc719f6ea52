--- An MCP server on two streams of lines (docs/use/mcp.md): reads messages, answers each in a
--- task of its own, and cancels what the client no longer wants.

local contree = require("contree")
local core = require("contree.core")
local json = require("contree.base.json")
local protocol = require("contree.mcp.protocol")
local shapes = require("contree.mcp.tools.shapes")

local mcp = {}

local PARSE, REQUEST = -32700, -32600
-- The longest message. A client that sends more is told, and its message is passed over.
local LONGEST = 64 * 2 ^ 20
-- Seconds to end in. Clients send SIGTERM after two.
local FAREWELL = 1.8

---@class contree.mcp.Server
---@field client contree.Client
---@field write fun(line: string)
---@field running table<string|integer, contree.Task> requests that are being answered, by id
---@field version? string  the revision that `initialize` has settled on
---@field handles table    what tools keep between calls
local Server = {}
Server.__index = Server

-- The JSON of a message. Bytes that are no UTF-8 become "?": its client waits for an answer.
local function text_of(message)
  message.jsonrpc = "2.0"
  return json.encode(message) or assert(json.encode(shapes.utf8(message)))
end

local function send(self, message) self.write(text_of(message) .. "\n") end

--- Tells the client something that is no answer.
function Server:notify(method, params) send(self, { method = method, params = params }) end

local function refuse(self, id, code, message)
  send(self, { id = id or json.null, error = { code = code, message = message } })
end

-- The answer to a request: a result, or an error of the protocol.
local function answer(self, message)
  local ok, result = pcall(protocol.answer, self, message)
  if ok then return { id = message.id, result = result } end
  if shapes.is_interrupt(result) then return nil end
  if type(result) == "table" and result.code then return { id = message.id, error = result } end
  return { id = message.id, error = { code = -32603, message = tostring(result) } }
end

-- Larger integers are not exact in the numbers of JSON: the answer would be another request's.
local function is_id(id)
  return type(id) == "string" or math.type(id) == "integer" and math.abs(id) < 2 ^ 53
end

local function key_of(id) return type(id) .. ":" .. id end

local function start(self, message, deliver)
  local key = key_of(message.id)
  if self.running[key] then
    return deliver{ id = message.id,
      error = { code = REQUEST, message = "a request of this id is being answered" } }
  end
  self.running[key] = contree.spawn(function()
    local made = answer(self, message)
    self.running[key] = nil
    deliver(made)
  end)
end

local function notified(self, message)
  if message.method ~= "notifications/cancelled" then return end
  local id = type(message.params) == "table" and message.params.requestId
  local task = is_id(id) and self.running[key_of(id)]
  if task then contree.spawn(task.cancel, task) end
end

-- deliver(answer) is called once for each request, with nil for one that was cancelled.
local function handle(self, message, deliver)
  if type(message) ~= "table" or message.jsonrpc ~= "2.0" then
    return deliver{ id = json.null, error = { code = REQUEST, message = "no JSON-RPC 2.0" } }
  elseif message.method == nil then
    return -- the answer to a request of ours; we make none
  elseif type(message.method) ~= "string" then
    return deliver{ id = json.null, error = { code = REQUEST, message = "method is no text" } }
  elseif message.id == nil then
    return notified(self, message)
  elseif not is_id(message.id) then
    return deliver{ id = json.null,
      error = { code = REQUEST, message = "id must be a text, or an integer below 2^53" } }
  end
  start(self, message, deliver)
end

-- Whether a message is owed an answer: notifications, and answers to us, are not.
local function is_owed(message)
  return type(message) ~= "table" or message.jsonrpc ~= "2.0"
    or message.method ~= nil and (message.id ~= nil or type(message.method) ~= "string")
end

-- Where a list ends that may have holes, which were null.
local function length_of(list)
  local last = 0
  for i in pairs(list) do last = math.max(last, math.type(i) == "integer" and i or 0) end
  return last
end

-- Batches are in one revision only; clients of that one must be able to send them. The answers
-- are one line, when all are there.
local function handle_batch(self, list)
  local answers, expected, count = {}, 0, length_of(list)
  for i = 1, count do expected = expected + (is_owed(list[i]) and 1 or 0) end
  local function deliver(made)
    if made then answers[#answers + 1] = text_of(made) end
    expected = expected - 1
    if expected == 0 and #answers > 0 then
      self.write("[" .. table.concat(answers, ",") .. "]\n")
    end
  end
  for i = 1, count do handle(self, list[i], deliver) end
end

local function take(self, line)
  if not line:find("%S") then return end
  local message, problem = json.decode(line)
  if not message or not core.is_utf8(line) then
    refuse(self, nil, PARSE, problem or "not JSON: not UTF-8")
  elseif not line:find("^%s*%[") or next(message) == nil then
    handle(self, message, function(made)
      if made then send(self, made) end
    end)
  elseif protocol.has_batches(self) then
    handle_batch(self, message)
  else
    refuse(self, nil, REQUEST, "this revision of the protocol has no batches")
  end
end

-- Calls take() with each line until the input ends.
local function read_lines(self, read)
  local parts, size, passing = {}, 0, false
  for bytes in read do
    local at = 1
    while true do
      local newline = bytes:find("\n", at, true)
      local part = bytes:sub(at, (newline or 0) - 1)
      size = size + #part
      if size > LONGEST then parts, passing = {}, true else parts[#parts + 1] = part end
      if not newline then break end
      if passing then
        refuse(self, nil, REQUEST, ("a message has more than %d bytes"):format(LONGEST))
      else
        take(self, (table.concat(parts):gsub("\r$", "")))
      end
      parts, size, passing, at = {}, 0, false, newline + 1
    end
  end
end

-- Cancels what is being answered, and waits until the server has been told.
local function end_all(self)
  local tasks = {}
  for _, task in pairs(self.running) do tasks[#tasks + 1] = task end
  for _, task in ipairs(tasks) do task:cancel() end
  pcall(contree.timeout, FAREWELL, function()
    for _, task in ipairs(tasks) do pcall(task.wait, task) end
  end)
end

--- Serves until the input ends; then what is still being answered is cancelled.
---@async
---@param client contree.Client
---@param read fun(): string?     the next bytes; waits
---@param write fun(line: string)
function mcp.serve(client, read, write)
  local self = setmetatable({ client = client, write = write, running = {}, handles = {} }, Server)
  read_lines(self, read)
  end_all(self)
end

return mcp
