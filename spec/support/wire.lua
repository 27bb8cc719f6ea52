--- Starts a real contree-engine on its own directory, and sends HTTP by hand, so that specs
-- see exactly what is on the wire.
local cjson = require("cjson").new()
local disk = require("spec.support.disk")
local luassert = require("luassert")
local socket = require("socket")
local unix = require("socket.unix")

local wire = { json = cjson, null = cjson.null }

--- The limit for every wait, in seconds: a spec fails instead of hanging.
wire.TIME_LIMIT = 30 * (tonumber(os.getenv("CONTREE_TEST_SLOWNESS")) or 1)

local TIME_LIMIT = wire.TIME_LIMIT

local function run(command) return (disk.capture(command):gsub("%s+$", "")) end
wire.run = run

wire.remove = disk.remove

function wire.gunzip(data)
  local path = os.tmpname()
  disk.write(path, data)
  local plain = disk.capture(("gzip -dc %s 2>&1"):format(path))
  os.remove(path)
  return plain
end

--- Calls `check` until it returns something true; fails after a while.
function wire.eventually(what, check)
  local limit = socket.gettime() + TIME_LIMIT
  while true do
    local value = check()
    if value then return value end
    if socket.gettime() > limit then error("waited in vain for " .. what, 2) end
    socket.sleep(0.01)
  end
end

---- connections ----

local Connection = {}
Connection.__index = Connection

local function connect(where)
  local sock
  if where.port then
    sock = socket.tcp()
    sock:settimeout(TIME_LIMIT)
    assert(sock:connect("127.0.0.1", where.port))
    sock:setoption("tcp-nodelay", true)
  else
    sock = unix.stream()
    sock:settimeout(TIME_LIMIT)
    local ok, problem = sock:connect(where.path)
    if not ok then
      sock:close()
      return nil, problem
    end
  end
  return setmetatable({ sock = sock }, Connection)
end

function Connection:send(data) return self.sock:send(data) end
function Connection:close() self.sock:close() end

--- Sends a request. options: headers, body, host, chunks (a list, sent with
-- chunked transfer coding).
function Connection:request(method, path, options)
  options = options or {}
  local lines = { ("%s %s HTTP/1.1"):format(method, path) }
  local headers = { Host = "localhost" }
  if options.body then headers["Content-Length"] = #options.body end
  if options.chunks then headers["Transfer-Encoding"] = "chunked" end
  for name, value in pairs(options.headers or {}) do headers[name] = value end
  for name, value in pairs(headers) do lines[#lines + 1] = ("%s: %s"):format(name, value) end
  local text = table.concat(lines, "\r\n") .. "\r\n\r\n" .. (options.body or "")
  for _, chunk in ipairs(options.chunks or {}) do
    text = text .. ("%x\r\n%s\r\n"):format(#chunk, chunk)
  end
  if options.chunks then text = text .. "0\r\n\r\n" end
  self.method = method
  return self:send(text)
end

--- Reads status line and headers (names in lower case).
function Connection:head()
  local line, problem = self.sock:receive("*l")
  if not line then return nil, problem end
  local reply = { status = tonumber(line:match("^HTTP/1%.1 (%d+)")), headers = {} }
  while true do
    line = assert(self.sock:receive("*l"))
    if line == "" then break end
    local name, value = line:match("^([^:]+):%s*(.-)%s*$")
    reply.headers[name:lower()] = value
  end
  if reply.status == 100 then return self:head() end
  self.reply = reply
  return reply
end

--- The next chunk of a chunked body; nil after the last one; nil and an error when the body
-- was cut short.
function Connection:chunk()
  local line, problem = self.sock:receive("*l")
  if not line then return nil, problem end
  local length = tonumber(line, 16)
  local data = length > 0 and assert(self.sock:receive(length)) or nil
  assert(self.sock:receive("*l"))
  return data
end

--- The raw body of a reply, after its head was read.
function Connection:body(reply)
  local length = tonumber(reply.headers["content-length"])
  if self.method == "HEAD" or reply.status == 204 or length == 0 then return "" end
  if length then return assert(self.sock:receive(length)) end
  if reply.headers["transfer-encoding"] ~= "chunked" then
    return assert(self.sock:receive("*a"))
  end
  local parts = {}
  while true do
    local data, problem = self:chunk()
    if problem then
      reply.cut = problem
      break
    end
    if not data then break end
    parts[#parts + 1] = data
  end
  return table.concat(parts)
end

--- The complete reply: status, headers, body, and json when it is JSON.
function Connection:response()
  local reply, problem = self:head()
  if not reply then return nil, problem end
  reply.raw = self:body(reply)
  reply.body = reply.headers["content-encoding"] == "gzip" and wire.gunzip(reply.raw) or reply.raw
  if reply.headers["content-type"] == "application/json" and #reply.body > 0 then
    reply.json = cjson.decode(reply.body)
  end
  return reply
end

--- The next SSE frame as { id, event, data (decoded), text }, a comment as
-- { comment }, or nil at the end.
function Connection:frame()
  self.text = self.text or ""
  while true do
    local frame, rest = self.text:match("^(.-)\n\n(.*)$")
    if frame then
      self.text = rest
      if frame:sub(1, 1) == ":" then return { comment = frame } end
      local data = frame:match("\ndata: ([^\n]*)") or frame:match("^data: ([^\n]*)")
      local ok, event = pcall(cjson.decode, data or "")
      return { id = tonumber(frame:match("id: (%-?%d+)")), event = frame:match("event: (%S+)"),
        data = ok and event or nil, text = frame }
    end
    local data, problem = self:chunk()
    if not data then return nil, problem end
    self.text = self.text .. data
  end
end

---- the engine ----

local Engine = {}
Engine.__index = Engine

-- A zombie counts as ended, because its new parent may never reap it. But while one of its
-- threads is still running, it holds its socket.
local function alive(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  local stat = file and file:read("*a")
  if file then file:close() end
  if not stat then return false end
  local fields = {}
  for field in stat:match("%) (.*)"):gmatch("%S+") do fields[#fields + 1] = field end
  return fields[1] ~= "Z" or tonumber(fields[18]) > 1
end

-- Starts the engine again, with the prefix of wire.start().
function Engine:launch(arguments)
  self.log = self.directory .. "/log"
  local command = "%s contree-engine serve --data-dir %s --socket %s %s >>%s 2>&1 & echo $!"
  self.pid = tonumber(run(command:format(self.prefix, self.data, self.path,
    arguments or "", self.log)))
  wire.eventually("the engine to listen: " .. self.log, function()
    local connection = connect(self)
    if connection then connection:close() end
    return connection or (not alive(self.pid) and error(disk.read(self.log), 0))
  end)
end

-- Engines that were not stopped, because a spec or a start failed halfway, are killed when
-- the interpreter ends.
local started = {}

local function stop_all()
  for engine in pairs(started) do
    if engine.pid then run(("kill -KILL %d 2>/dev/null"):format(engine.pid)) end
    run("umount " .. engine.data .. " 2>/dev/null")
    wire.remove(engine.directory)
  end
end

if newproxy then -- LuaJIT: tables have no finalizers
  wire.last = newproxy(true)
  getmetatable(wire.last).__gc = stop_all
else
  wire.last = setmetatable({}, { __gc = stop_all })
end

--- An engine that somebody else has started, by its socket.
function wire.at(path) return setmetatable({ path = path }, Engine) end

--- Starts an engine; `prefix` is a command that executes what follows it.
function wire.start(arguments, prefix)
  local self = setmetatable({ prefix = prefix or "" }, Engine)
  self.directory = run("mktemp -d -t contree-spec-XXXXXX")
  self.data = self.directory .. "/data"
  self.path = self.directory .. "/s"
  started[self] = true
  self:launch(arguments)
  return self
end

--- An engine that another process has started; `place` has its directory, data and path.
function wire.attach(place) return setmetatable(place, Engine) end

function Engine:kill(signal)
  run(("kill -%s %d 2>/dev/null"):format(signal, self.pid))
  wire.eventually("the engine to end", function() return not alive(self.pid) end)
end

function Engine:is_alive() return alive(self.pid) end

-- Returns why a strict engine aborted (src/engine/base/descriptor.h, base/turn.h), with the
-- lines of the source, or nil.
local function mistake(log)
  local text = disk.read(log)
  local at = text:find("[^\n]*%(CONTREE_STRICT=1%)")
  return at and text:sub(at, at + 8000):gsub("engine%(%+(0x%x+)%)", function(address)
    return "engine(" .. run("addr2line -fipe $(command -v contree-engine) " .. address) .. ")"
  end)
end

--- Ends the engine and removes its directory.
function Engine:stop()
  started[self] = nil
  run(("kill -TERM %d 2>/dev/null"):format(self.pid))
  local ok = pcall(wire.eventually, "", function() return not alive(self.pid) end)
  if not ok then self:kill("KILL") end
  local why = mistake(self.log)
  wire.remove(self.directory)
  assert(ok, "the engine did not stop when told to")
  assert(not why, why)
end

-- In the work directory of an overlay while it is mounted.
local MOUNTED = "*/w/work/incompat/volatile/dirty"

--- Whether the runs have left no files behind.
function Engine:is_clean()
  return run(("find %s/w %s/trash -type f -not -path '%s' 2>/dev/null"):format(self.data,
    self.data, MOUNTED)) == ""
end

--- How many sandboxes are there: those of runs, and those that wait for one. Each is a child
-- of a launcher, with a root of its own.
function Engine:sandboxes()
  return tonumber(run(("for p in $(pgrep -P %d); do for q in $(pgrep -P $p); do "
    .. "grep -l upperdir=w/ /proc/$q/mountinfo; done; done 2>/dev/null | wc -l")
    :format(self.pid)))
end

--- A user or group id that exists in this engine's sandboxes: `n`, or 0 if that is the only
-- one.
function Engine:id(n)
  if self.many == nil then
    local reply = self:post("/v1/instances", wire.spawn{ command = "true", uid = 65534 })
    self.many = reply.status == 201
  end
  return self.many and n or 0
end

--- The host's id of root in this engine's sandboxes, who owns the layers.
function Engine:first_id() return tonumber(run("stat -c %u " .. self.data .. "/l/0")) end

--- Whether runs can have limits here: without control groups they cannot.
function Engine:has_limits()
  return run("contree-engine doctor --data-dir " .. self.data)
    :find("memory, pids, cpus of each run can be limited", 1, true) ~= nil
end

--- The control groups of this engine's runs, one a line: there may be other engines.
function Engine:groups()
  return run(([[find /sys/fs/cgroup -type d -name "$(stat -c 'contree-%%D' %s).$(
    printf %%x $(stat -c %%i %s))-*"]]):format(self.data, self.data))
end

--- A memory figure of the engine in KiB: VmRSS, VmHWM.
function Engine:memory(name)
  return tonumber(disk.read(("/proc/%d/status"):format(self.pid)):match(name .. ":%s*(%d+)"))
end

function Engine:connect() return assert(connect(self)) end

--- One request on a connection of its own.
function Engine:request(method, path, options)
  local connection = self:connect()
  connection:request(method, path, options)
  local reply, problem = connection:response()
  connection:close()
  return assert(reply, problem)
end

function Engine:get(path, headers) return self:request("GET", path, { headers = headers }) end

function Engine:post(path, value, headers)
  return self:request("POST", path, { headers = headers,
    body = type(value) == "string" and value or cjson.encode(value) })
end

--- Checks that a reply is this error; returns it.
function wire.refuses(status, pattern, reply)
  luassert.are.equal(status, reply.status, reply.body)
  luassert.are.equal(status, reply.json.status)
  luassert.matches(pattern, reply.json.error)
  return reply
end

--- A spawn request with sensible defaults.
function wire.spawn(options)
  local body = { image = "tag:busybox:latest", disposable = true }
  for key, value in pairs(options) do body[key] = value end
  return body
end

--- A spawn request for a shell command.
function wire.shell(command, options)
  local request = { command = command, shell = true }
  for key, value in pairs(options or {}) do request[key] = value end
  return request
end

--- Runs to the end; returns the finished OperationResponse.
function Engine:run(options)
  local reply = self:post("/v1/instances", wire.spawn(options), { Prefer = "wait=60" })
  assert(reply.status == 201, reply.body)
  assert(reply.headers["preference-applied"] == "wait", "it took too long")
  return reply.json
end

--- Starts without waiting; returns the operation's id.
function Engine:spawn(options)
  local reply = self:post("/v1/instances", wire.spawn(options))
  assert(reply.status == 201, reply.body)
  return reply.json.uuid
end

function Engine:wait(uuid)
  return wire.eventually("operation " .. uuid, function()
    local reply = self:get("/v1/operations/" .. uuid)
    local status = reply.json and reply.json.status
    return (status == "SUCCESS" or status == "FAILED" or status == "CANCELLED") and reply.json
  end)
end

--- Cancels an operation, and returns how it then is.
function Engine:cancel(uuid)
  self:request("DELETE", "/v1/operations/" .. uuid)
  return self:wait(uuid)
end

--- Opens an event stream.
function Engine:follow(uuid, query, headers)
  local connection = self:connect()
  connection:request("GET", ("/v1/operations/%s/events%s"):format(uuid, query or ""),
    { headers = headers })
  assert(connection:head().status == 200)
  return connection
end

--- All frames of a stream that ends.
function Engine:events(uuid, query, headers)
  local connection = self:follow(uuid, query, headers)
  local frames = {}
  for frame in function() return connection:frame() end do
    if frame.event then frames[#frames + 1] = frame end
  end
  connection:close()
  return frames
end

--- Waits for the next frame of a type.
function wire.await(connection, event)
  for frame in function() return connection:frame() end do
    if frame.event == event then return frame end
  end
  error("the stream ended without " .. event, 2)
end

local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

function wire.base64(text)
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    local group = {}
    for shift = 3, 0, -1 do
      local digit = math.floor(bits / 64 ^ shift) % 64 + 1
      group[#group + 1] = digits:sub(digit, digit)
    end
    if not c then group[4] = "=" end
    if not b then group[3] = "=" end
    out[#out + 1] = table.concat(group)
  end
  return table.concat(out)
end

local values = {}
for i = 1, #digits do values[digits:sub(i, i)] = i - 1 end

local function unbase64(text)
  local out = {}
  for a, b, c, d in text:gmatch("(.)(.)(.)(.)") do
    local bits = values[a] * 262144 + values[b] * 4096 + (values[c] or 0) * 64 + (values[d] or 0)
    out[#out + 1] = string.char(math.floor(bits / 65536), math.floor(bits / 256) % 256, bits % 256)
      :sub(1, c == "=" and 1 or d == "=" and 2 or 3)
  end
  return table.concat(out)
end

--- The bytes of a StreamRepr.
function wire.bytes(stream)
  return stream.encoding == "base64" and unbase64(stream.value) or stream.value
end

--- The number of bytes of a StreamRepr, without decoding it.
function wire.size(stream)
  if stream.encoding ~= "base64" then return #stream.value end
  return #stream.value / 4 * 3 - #stream.value:match("=*$")
end

--- The bytes of one stream in a list of frames.
function wire.output(frames, stream, spid)
  local out = {}
  for _, frame in ipairs(frames) do
    if frame.event == stream and (not spid or frame.data.spid == spid) then
      out[#out + 1] = wire.bytes(frame.data.data)
    end
  end
  return table.concat(out)
end

--- The number of bytes of stdout in a list of frames.
function wire.output_size(frames)
  local size = 0
  for _, frame in ipairs(frames) do
    if frame.event == "stdout" then size = size + wire.size(frame.data.data) end
  end
  return size
end

function wire.types(frames)
  local out = {}
  for i, frame in ipairs(frames) do out[i] = frame.event end
  return table.concat(out, " ")
end

return wire
