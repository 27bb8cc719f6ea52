-- Starts support/fake_server.py. A spec sets the rules of the server, and reads the requests
-- that it has recorded.
local socket = require("socket")
local cjson = require("cjson").new()
local core = require("contree.core")

local fake = {}

local here = debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
cjson.encode_sparse_array(true)

--- The path of the program, which can also play contree-engine.
fake.program = here .. "fake_server.py"
if fake.program:sub(1, 1) ~= "/" then
  local pipe = io.popen("pwd")
  fake.program = pipe:read("*l") .. "/" .. fake.program
  pipe:close()
end

local Server = {}
Server.__index = Server

---@return table server { url, port }
function fake.start()
  local pipe = assert(io.popen("exec python3 '" .. fake.program .. "'"))
  local port = assert(tonumber(pipe:read("*l")), "the fake server did not start")
  return setmetatable({ pipe = pipe, port = port, url = "http://127.0.0.1:" .. port }, Server)
end

local function speak(port, method, path, body)
  local connection = assert(socket.connect("127.0.0.1", port))
  assert(connection:send(table.concat({ method .. " " .. path .. " HTTP/1.1", "Host: x",
    "Connection: close", "Content-Length: " .. #body, "", body }, "\r\n")))
  local text = connection:receive("*a")
  connection:close()
  return (text:gsub("^.-\r\n\r\n", ""))
end

--- Sets the rules (see fake_server.py) and forgets what was recorded.
function Server:rules(list)
  speak(self.port, "POST", "/_rules", #list > 0 and cjson.encode(list) or "[]")
end

--- The recorded requests: list of { method, path, query, headers, body }.
function Server:requests()
  local list = cjson.decode(speak(self.port, "GET", "/_requests", ""))
  for _, request in ipairs(list) do
    request.body = core.base64_decode(request.body)
    if (request.headers["content-type"] or ""):find("json") then
      request.json = cjson.decode(request.body)
    end
  end
  return list
end

--- The recorded requests as a list of "METHOD path".
function Server:asked()
  local list = {}
  for i, request in ipairs(self:requests()) do list[i] = request.method .. " " .. request.path end
  return list
end

function Server:stop()
  speak(self.port, "POST", "/_quit", "")
  self.pipe:close()
end

-- Shapes of answers ---------------------------------------------------------

fake.null = cjson.null

--- A finished operation (http-api.md §5.10).
function fake.operation(fields)
  local operation = {
    uuid = fields.uuid or "op-1", kind = "instance", status = fields.status or "SUCCESS",
    error = fields.error or cjson.null, created_at = "2026-06-08T20:00:00Z", duration = 1.5,
    image_uuid = fields.image_uuid or fake.IMAGE, result_image_uuid = fields.result or cjson.null,
    metadata = { command = "x", image = fake.IMAGE },
    result = { image = fields.result or cjson.null, tag = cjson.null },
  }
  if fields.status == nil or fields.exited then
    operation.metadata.result = {
      state = { exit_code = fields.exit_code or 0, signal = fields.signal or -1, pid = 42,
        timed_out = fields.timed_out or false },
      resources = { elapsed_time = 0.2, max_rss = 1024 },
      stdout = fields.stdout_stream or { value = fields.stdout or "", encoding = "ascii",
        truncated = fields.truncated or false },
      stderr = { value = fields.stderr or "", encoding = "ascii" },
    }
  end
  return operation
end

fake.IMAGE = "12345678-9abc-baba-deda-0123456789ab"
fake.KEPT = "22345678-9abc-baba-deda-0123456789ab"

--- One event as a frame of the stream.
function fake.frame(id, kind, spid, data)
  local event = { id = id, ts = "2026-06-08T20:00:00.10Z", spid = spid, type = kind, data = data }
  return ("id: %d\nevent: %s\ndata: %s\n\n"):format(id, kind, cjson.encode(event))
end

local RESOURCES = { user_time_us = 1500000, sys_time_us = 500000, max_rss_kb = 2048,
  minor_faults = 7, major_faults = 1 }

--- The frames of a run that writes these chunks to stdout; ids from 0.
function fake.frames(chunks, options)
  options = options or {}
  local frames = {
    fake.frame(0, "init", 0, { started_at = "2026-06-08T20:00:00Z", init_pid = 1 }),
    fake.frame(1, "spawn", 1, { pid = 42, command = "x", args = {} }),
  }
  local id = 2
  for _, chunk in ipairs(chunks) do
    frames[#frames + 1] = fake.frame(id, options.stream or "stdout", 1,
      { value = chunk, encoding = options.encoding or "ascii" })
    id = id + 1
  end
  if options.open then return frames end
  frames[#frames + 1] = fake.frame(id, "exit", 1, { pid = 42, code = options.code or 0,
    signal = -1, timed_out = false, duration_ms = 1200, resources = RESOURCES })
  frames[#frames + 1] = fake.frame(id + 1, "completion", 0,
    { status = options.status or "SUCCESS", duration_ms = 1300,
      result_image_uuid = options.result })
  return frames
end

--- A reply that is an event stream.
function fake.stream(frames, options)
  options = options or {}
  return { status = 200, headers = { ["Content-Type"] = "text/event-stream" }, chunks = frames,
    ["end"] = options["end"] }
end

--- The same frames as records (http-api.md §6.6).
function fake.records(frames)
  local records = {}
  for i, frame in ipairs(frames) do
    local id, kind, data = frame:match("^id: (%d+)\nevent: (%w+)\ndata: (.*)\n\n$")
    local event = cjson.decode(data)
    if kind == "stdout" or kind == "stderr" then data = event.data.value else kind = "event" end
    records[i] = ("%s %s %d %d\n%s"):format(kind, id, event.spid, #data, data)
  end
  return records
end

--- A reply that is a stream of records, or of any text.
function fake.recorded(records, options)
  local reply = fake.stream(records, options)
  reply.headers["Content-Type"] = "application/vnd.contree.records"
  return reply
end

--- Rules for a run whose operation is "op-1".
function fake.run(options)
  return {
    { method = "POST", path = "/v1/instances", replies = {
      options.spawned or { status = 201, json = { uuid = "op-1", result = cjson.null } } } },
    { method = "GET", path = "/v1/operations/op-1/events",
      replies = options.events or { fake.stream(fake.frames({})) } },
    { method = "GET", path = "/v1/operations/op-1",
      replies = options.operations or { { status = 200, json = fake.operation({}) } } },
    { method = "DELETE", path = "/v1/operations/op-1", replies = { { status = 202 } } },
  }
end

return fake
