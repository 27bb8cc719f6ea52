-- A client of `contree mcp`, for specs: writes messages and reads answers, line by line.
local disk = require("spec.support.disk")
local json = require("cjson").new()
local program = require("spec.support.program")

local mcp = {}
local Client = {}
Client.__index = Client

--- Starts a server. With `environment`, an `env -i` list, it has these variables alone.
---@param directory string that of home.client()
---@param environment? string
---@param seconds? number after which it is ended; default 120
function mcp.start(directory, environment, seconds)
  local number = (mcp.count or 0) + 1
  mcp.count = number
  local input, output = directory .. "/mcp.in" .. number, directory .. "/mcp.out" .. number
  os.execute(("mkfifo %s %s"):format(input, output))
  local words = program.words(directory, "mcp")
  if environment then words = environment .. " " .. words:match("(lua5%.4 .*)$") end
  os.execute(("(timeout %d %s; echo $? >%s/mcp.code%d) <%s >%s 2>%s/mcp.err &"):format(
    seconds or 120, words,
    directory, number, input, output, directory))
  local self = setmetatable({ next_id = 0, others = {}, code = directory .. "/mcp.code" .. number },
    Client)
  self.input, self.output = assert(io.open(input, "w")), assert(io.open(output, "r"))
  self.input:setvbuf("no")
  return self
end

function Client:send_line(line) self.input:write(line, "\n") end

--- Sends a message, without waiting; returns the id of a request.
function Client:send(method, params, is_notification)
  local message = { jsonrpc = "2.0", method = method, params = params }
  if not is_notification then
    self.next_id = self.next_id + 1
    message.id = self.next_id
  end
  self:send_line(json.encode(message))
  return message.id
end

--- The next message of the server; nil at its end.
function Client:read()
  local line = self.output:read("*l")
  return line and json.decode(line)
end

--- The answer to a request; what comes before it is in `others`.
function Client:answer(id)
  while true do
    local message = assert(self:read(), "the server has ended")
    if message.id == id then return message end
    table.insert(self.others, message)
  end
end

function Client:request(method, params) return self:answer(self:send(method, params)) end

--- Calls a tool; returns what it gave, and whether it failed.
function Client:call(name, arguments, meta)
  local made = self:request("tools/call", { name = name, arguments = arguments, _meta = meta })
  assert(made.result, made.error and made.error.message)
  return made.result.structuredContent or made.result.content[1].text, made.result.isError == true
end

--- What a tool gives when all is well.
function Client:result(name, arguments)
  local result, failed = self:call(name, arguments)
  assert(not failed, type(result) == "string" and result or name)
  return result
end

--- What a tool says when it fails.
function Client:failure(name, arguments)
  local text, failed = self:call(name, arguments)
  assert(failed, name)
  return text
end

--- Opens a connection as clients of the old era do.
function Client:initialize(version)
  local made = self:request("initialize", { protocolVersion = version or "2025-11-25",
    capabilities = { roots = {} }, clientInfo = { name = "spec", version = "1" } })
  self:send("notifications/initialized", nil, true)
  return made.result
end

--- Ends the input, and returns the exit code.
function Client:close()
  self.input:close()
  for line in self.output:lines() do table.insert(self.others, line) end
  self.output:close()
  for _ = 1, 100 do
    local code = disk.peek(self.code)
    if code and code ~= "" then return tonumber(code) end
    os.execute("sleep 0.1")
  end
end

return mcp
