-- A program that speaks plain HTTP, one operation after the other, some with several
-- connections, many of which it cuts.
local client = require("spec.stress.client").new()
local contents = require("spec.stress.contents")
local disk = require("spec.support.disk")
local journal = require("spec.stress.journal")
local socket = require("socket")
local wire = require("spec.support.wire")

local engine = wire.at(client.socket)
local operations = {}
local json = wire.json

-- Raises unless the status is the expected one.
local function expect(status, reply)
  if reply.status ~= status then
    error(("HTTP %d in place of %d: %s"):format(reply.status, status, reply.body:sub(1, 500)), 0)
  end
  return reply.json
end

local function spawn(body, prefer)
  return expect(201, engine:post("/v1/instances", body, { Prefer = prefer or "wait=60" }))
end

local function start(line, command, more)
  local body = { image = line:image().uuid, command = command, shell = true, disposable = true,
    timeout = 300 }
  for name, value in pairs(more or {}) do body[name] = value end
  return expect(201, engine:post("/v1/instances", body)).uuid
end

local function finished(uuid)
  local made = engine:wait(uuid)
  return made
end

-- Waits until a run has a process.
local function until_up(uuid)
  wire.eventually("a run to be up", function()
    local reply = engine:get("/v1/operations/" .. uuid .. "/usage")
    return reply.status == 200 or (reply.status ~= 425 and error(reply.body, 0))
  end)
end

local function cancel(uuid)
  local reply = engine:request("DELETE", "/v1/operations/" .. uuid)
  if reply.status ~= 202 and reply.status ~= 409 then expect(202, reply) end
  return engine:wait(uuid)
end

function operations.run(line)
  local out = line:content(20000)
  local made = spawn{ image = line:image().uuid, command = contents.write(out), shell = true,
    disposable = true, truncate_output_at = 4000000 }
  line:same(contents.text(out), wire.bytes(made.metadata.result.stdout), "stdout")
end

function operations.follow(line)
  local out, err = line:content(30000), line:content(100)
  local uuid = start(line, ("%s; %s >&2; sleep 0.0%d"):format(contents.write(out),
    contents.write(err), line.random:number(9)), { truncate_output_at = 4000000 })
  local frames = engine:events(uuid, "?follow=1")
  line:same(contents.text(out), wire.output(frames, "stdout"), "stdout of the events")
  line:same(contents.text(err), wire.output(frames, "stderr"), "stderr of the events")
  assert(frames[#frames].event == "completion", "the last event")
  for i = 2, #frames do assert(frames[i].id > frames[i - 1].id, "the order of events") end
end

function operations.leave_events(line)
  local uuid = start(line, "while sleep 0.02; do echo x; done")
  local connection = engine:follow(uuid, "?follow=1")
  for _ = 1, line.random:number(10) do connection:frame() end
  connection:close()
  line:same("CANCELLED", cancel(uuid).status, "its status")
end

-- A connection that is cut while the answer is held back.
function operations.hang_up(line)
  local image = line:image()
  local command, files = line:change(image)
  line:intend(files)
  local connection = engine:connect()
  connection:request("POST", "/v1/instances", { headers = { Prefer = "wait=60" },
    body = json.encode{ image = image.uuid, command = command, shell = true } })
  socket.sleep(line.random:part() ^ 3 * 0.3)
  connection:close()
end

-- A request that is cut in the middle.
function operations.half_a_request(line)
  local connection = engine:connect()
  local body = json.encode{ image = "tag:busybox:latest", command = "true" }
  local text = ("POST /v1/instances HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s")
    :format(#body, body)
  connection:send(text:sub(1, line.random:number(#text)))
  if line.random:chance(0.5) then socket.sleep(0.02) end
  connection:close()
end

function operations.keep(line)
  local image = line:image()
  local command, files = line:change(image)
  line:intend(files)
  local made = spawn{ image = image.uuid, command = command, shell = true }
  line:same("SUCCESS", made.status, "its status: " .. tostring(made.error))
  line:same(made.result_image_uuid, made.result.image, "the result")
  line:told(made.result_image_uuid, files, { operation = made.uuid,
    parent = image.uuid })
end

function operations.idempotent(line)
  local image = line:image()
  local command, files = line:change(image)
  line:intend(files)
  local key = line:marker()
  local headers = { ["Idempotency-Key"] = key, Prefer = "wait=60" }
  local connections = {}
  for i = 1, 2 do
    connections[i] = engine:connect()
    connections[i]:request("POST", "/v1/instances", { headers = headers,
      body = json.encode{ image = image.uuid, command = command, shell = true } })
  end
  local first = expect(201, assert(connections[1]:response()))
  local second = expect(201, assert(connections[2]:response()))
  for i = 1, 2 do connections[i]:close() end
  line:same(first.uuid, second.uuid, "the operation of a key")
  local made = finished(first.uuid)
  line:told(made.result_image_uuid, files)
end

function operations.upload(line)
  local content = line:content(50000)
  local text = contents.text(content)
  local options = line.random:chance(0.5) and { body = text }
    or { chunks = { text:sub(1, #text - 2), text:sub(-2) } }
  local made = expect(201, engine:request("POST", "/v1/files", options))
  client.journal:write("upload", { sha256 = made.sha256, size = #text })
  assert(made.size == #text, "its size")
  local image = line:image()
  local files = contents.copy(image.files)
  files.up = content
  line:intend(files)
  local run = spawn{ image = image.uuid, command = "true",
    files = { ["/s/up"] = { uuid = made.uuid } } }
  line:same("SUCCESS", run.status, "its status")
  line:told(run.result_image_uuid, files)
end

-- A tar of files, below DIRECTORY/s.
local function tar(line, files)
  local path = line:scratch()
  for name, content in pairs(files) do
    os.execute(("mkdir -p $(dirname %s/s/%s)"):format(path, name))
    disk.write(path .. "/s/" .. name, contents.text(content))
  end
  local pack = line.random:pick{ "", "| gzip", "| zstd -q" }
  return disk.capture(("tar --owner=0 --group=0 -C %s -c s %s"):format(path, pack))
end

function operations.layer(line)
  local image = line:image()
  local files = contents.copy(image.files)
  local added = { last = line:content(3), ["d/layer"] = line:content(10000) }
  local data = tar(line, added)
  for name, content in pairs(added) do files[name] = content end
  local uuid = image.uuid
  if uuid:find("^tag:") then
    uuid = engine:get("/v1/images?tag=busybox:latest").json.images[1].uuid
  end
  local path = ("/v1/images/%s/layers"):format(uuid)
  line:intend(files)
  if line.random:chance(0.3) then -- breaks off
    local connection = engine:connect()
    connection:send(("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n")
      :format(path, #data))
    connection:send(data:sub(1, line.random:number(#data) - 1))
    socket.sleep(line.random:part() ^ 3 * 0.1)
    connection:close()
    return
  end
  local made = expect(201, engine:request("POST", path, { body = data }))
  line:told(made.uuid, files)
end

function operations.import(line)
  local number = line.random:number(4)
  local made = expect(201, engine:post("/v1/images/import", { registry = {
    url = ("docker://%s/stress%d:1"):format(client:fact("registry"), number) } }))
  if line.random:chance(0.4) then
    socket.sleep(line.random:part() ^ 2 * 0.5)
    cancel(made.uuid)
    return
  end
  local ended = finished(made.uuid)
  line:same("SUCCESS", ended.status, "an import: " .. tostring(ended.error))
  line:told(ended.result_image_uuid,
    line.files_of(client:fact("import" .. number):gsub(",", " ")))
end

function operations.merge(line)
  local base = line:image()
  local sides = {}
  for i, name in ipairs{ "ours", "theirs" } do
    local files = contents.copy(base.files)
    files[name] = line:content(300)
    line:intend(files)
    local made = spawn{ image = base.uuid, command = contents.write(files[name], name),
      shell = true }
    sides[i] = line:told(made.result_image_uuid, files)
  end
  local files = contents.copy(sides[1].files)
  files.theirs = sides[2].files.theirs
  line:intend(files)
  local body = json.encode{ ours = sides[1].uuid, theirs = sides[2].uuid }
  if line.random:chance(0.3) then
    local connection = engine:connect()
    connection:request("POST", "/v1/merge", { body = body })
    socket.sleep(line.random:part() ^ 3 * 0.1)
    connection:close()
    return
  end
  line:told(expect(201, engine:post("/v1/merge", body)).image.uuid, files)
end

function operations.box(line)
  local image = line:image()
  local made = expect(201, engine:post("/v1/instances", { image = image.uuid,
    box = { idle_timeout = 30 } }))
  local at = "/v1/operations/" .. made.uuid
  local lifeline = engine:follow(made.uuid, "?follow=1&hangup=1")
  until_up(made.uuid)
  local files = image.files
  for _ = 1, line.random:number(3) do
    local command, after = line:change{ files = files }
    line:intend(after)
    local reply = expect(201, engine:post(at .. "/subprocesses", { command = command,
      shell = true }, { Prefer = "wait=60" }))
    assert(reply.result.state.exit_code == 0, "a command in a box")
    files = after
    if line.random:chance(0.5) then
      line:told(expect(201, engine:request("POST", at .. "/snapshot", { body = "" })).uuid, files)
    elseif line.random:chance(0.3) then -- nobody waits for this one
      local connection = engine:connect()
      connection:request("POST", at .. "/snapshot", { body = "" })
      connection:close()
    end
  end
  if line.random:chance(0.5) then
    expect(204, engine:request("DELETE", at .. "/subprocesses/1?signal=TERM"))
    local ended = finished(made.uuid)
    line:same("SUCCESS", ended.status, "a box: " .. tostring(ended.error))
    line:told(ended.result_image_uuid, files)
    lifeline:close()
  else
    lifeline:close()
    line:same("CANCELLED", finished(made.uuid).status, "a box whose client went")
  end
end

function operations.pause(line)
  local uuid = start(line, "while :; do :; done")
  until_up(uuid)
  for _ = 1, line.random:number(3) do
    expect(200, engine:request("POST", ("/v1/operations/%s/pause"):format(uuid), { body = "" }))
    if line.random:chance(0.7) then
      expect(200, engine:request("POST", ("/v1/operations/%s/resume"):format(uuid), { body = "" }))
    end
  end
  if line.random:chance(0.5) then
    expect(204, engine:request("DELETE", ("/v1/operations/%s/subprocesses/1"):format(uuid)))
    line:same("SUCCESS", finished(uuid).status, "a killed run")
  else
    line:same("CANCELLED", cancel(uuid).status, "a cancelled run")
  end
end

function operations.watch(line)
  local uuid = start(line, "mkdir /w; touch /ready; i=0; while sleep 0.02; do echo x >/w/$i; "
    .. "i=$((i+1)); done")
  until_up(uuid)
  local connection
  wire.eventually("a watcher", function()
    connection = engine:connect()
    connection:request("GET", ("/v1/operations/%s/watch?path=/w"):format(uuid))
    local reply = connection:head()
    if reply.status == 200 then return true end
    connection:close()
    assert(reply.status == 422 or reply.status == 425, reply.status)
  end)
  for _ = 1, line.random:number(5) do
    local frame = connection:frame()
    assert(frame.comment or (frame.event == "change" and frame.data.path:find("^/w")), frame.text)
  end
  if line.random:chance(0.5) then connection:close() end
  cancel(uuid)
  connection:close()
end

function operations.port(line)
  local marker = line:marker()
  local upload = expect(201, engine:request("POST", "/v1/files",
    { body = disk.read(client:fact("listener")) }))
  local made = expect(201, engine:post("/v1/instances", { image = line:image().uuid,
    command = "/l", args = { "tcp", "8000", marker }, disposable = true, timeout = 300,
    files = { ["/l"] = { uuid = upload.uuid, mode = "0755" } } }))
  local stream = engine:follow(made.uuid, "?follow=1")
  wire.await(stream, "stdout")
  stream:close()
  local at = ("/v1/operations/%s/ports"):format(made.uuid)
  local port = expect(201, engine:post(at, { port = 8000 }))
  local host, number = port.address:match("^(.*):(%d+)$")
  for _ = 1, line.random:number(5) do
    local connection = socket.tcp()
    connection:settimeout(wire.TIME_LIMIT)
    assert(connection:connect(host, tonumber(number)))
    if line.random:chance(0.3) then
      connection:close()
    else
      line:same(marker, connection:receive("*a") or "nothing", "over a port")
      connection:close()
    end
  end
  if line.random:chance(0.5) then
    expect(204, engine:request("DELETE", ("%s/%d"):format(at, port.id)))
  end
  cancel(made.uuid)
end

function operations.terminal(line)
  local marker = line:marker()
  local uuid = start(line, "stty -echo; echo ready; read a; echo got-$a; sleep 100",
    { tty = { rows = 20, cols = 200 } })
  local stream = engine:follow(uuid, "?follow=1&hangup=1")
  local text = ""
  local function until_there(what)
    while not text:find(what, 1, true) do
      local frame = assert(stream:frame(), "the stream has ended")
      if frame.event == "stdout" then text = text .. wire.bytes(frame.data.data) end
    end
  end
  until_there("ready")
  expect(204, engine:post(("/v1/operations/%s/subprocesses/1/stdin"):format(uuid),
    { value = marker .. "\n", close = false }))
  until_there("got-" .. marker)
  if line.random:chance(0.5) then
    expect(204, engine:post(("/v1/operations/%s/subprocesses/1/tty"):format(uuid),
      { rows = 5, cols = 5 }))
  end
  if line.random:chance(0.5) then
    cancel(uuid)
  else
    stream:close()
    line:same("SUCCESS", finished(uuid).status, "a terminal that was hung up")
  end
  stream:close()
end

function operations.input(line)
  local content = line:content(20000)
  local text = contents.text(content)
  local uuid = start(line, "cat", { stdin = { value = "", close = false },
    truncate_output_at = 4000000 })
  until_up(uuid)
  local at = 1
  local path = ("/v1/operations/%s/subprocesses/1/stdin"):format(uuid)
  while at <= #text do
    local size = line.random:size(#text)
    expect(204, engine:request("POST", path, { body = text:sub(at, at + size - 1),
      headers = { ["Content-Type"] = "application/octet-stream" } }))
    at = at + size
  end
  expect(204, engine:request("POST", path .. "?close=1", { body = "",
    headers = { ["Content-Type"] = "application/octet-stream" } }))
  line:same(text, wire.bytes(finished(uuid).metadata.result.stdout), "what came back")
end

function operations.leave_archive(line)
  local record = line:anybodys()
  if not record then return end
  local connection = engine:connect()
  connection:request("GET", ("/v1/inspect/%s/archive?path=/"):format(record.uuid))
  if line.random:chance(0.7) then
    assert(connection:head().status == 200, "an archive of another client's image")
    for _ = 1, line.random:number(4) - 1 do connection:chunk() end
  end
  connection:close()
end

function operations.download(line)
  local record = line:anybodys()
  if not record then return end
  for path, content in pairs(line.files_of(record.files)) do
    local reply = engine:get(("/v1/inspect/%s/download?path=/s/%s"):format(record.uuid, path))
    expect(200, reply)
    line:same(contents.text(content), reply.body, ("/s/%s of %s"):format(path, record.uuid))
  end
end

function operations.leave_download(line)
  local record = line:anybodys()
  if not record or record.files == "" then return end
  local connection = engine:connect()
  local path = contents.paths(line.files_of(record.files))[1]
  connection:request("GET", ("/v1/inspect/%s/download?path=/s/%s"):format(record.uuid, path))
  if line.random:chance(0.5) then connection:head() end
  connection:close()
end

function operations.lists(line)
  for _, path in ipairs{ "/v1/operations?limit=50", "/v1/images?limit=50", "/v1/whoami",
    "/v1/files?limit=20", "/v1/operations?status=EXECUTING", "/v1/volumes", "/v1/disk" } do
    if line.random:chance(0.5) then expect(200, engine:get(path)) end
  end
end

function operations.collect()
  local reply = engine:post("/v1/gc", {})
  assert(reply.status == 200 or reply.status == 409, reply.body) -- 409: it is being done already
end

function operations.volumes(line)
  local name = line.name .. "-" .. line.random:number(2)
  local uuid = start(line, "echo x >>/v/f; sleep 0.2", { volumes = { ["/v"] = name } })
  local reply = engine:request("DELETE", "/v1/volumes/" .. name)
  assert(reply.status == 409 or reply.status == 204 or reply.status == 404, reply.body)
  if line.random:chance(0.5) then cancel(uuid) end
  finished(uuid)
  reply = engine:request("DELETE", "/v1/volumes/" .. name)
  assert(reply.status == 204 or reply.status == 404, reply.body)
end

function operations.airlock(line)
  local uuid = start(line, "curl -sS http://in.example/v2/; sleep 100", { mounts = line.PROGRAMS,
    networking = { enabled = true, allow = { "in.example" },
      resolve = { ["in.example"] = client:fact("registry") } } })
  if line.random:chance(0.6) then
    local stream = engine:follow(uuid, "?follow=1")
    local frame = wire.await(stream, "stdout")
    line:same("{}", wire.bytes(frame.data.data), "over the airlock")
    stream:close()
  else
    socket.sleep(line.random:part() * 0.2)
  end
  line:same("CANCELLED", cancel(uuid).status, "its status")
end

function operations.pipelined(line)
  local connection = engine:connect()
  for _ = 1, line.random:number(20) do
    connection:request("GET", "/v1/whoami")
    connection:request("HEAD", "/v1/files/" .. ("0"):rep(64))
    connection.method = "GET"
    expect(200, assert(connection:response()))
    connection.method = "HEAD"
    expect(404, assert(connection:response()))
  end
  connection:close()
end

local WEIGHTS = { run = 5, follow = 5, leave_events = 3, hang_up = 5, half_a_request = 2, keep = 12,
  idempotent = 2, upload = 3, layer = 5, import = 3, merge = 3, box = 4, pause = 3, watch = 3,
  port = 3, terminal = 3, input = 3, leave_archive = 5, download = 3, leave_download = 3,
  lists = 3, collect = 2, volumes = 2, airlock = 2, pipelined = 1 }

local line = client:line(client.name)
line:go(operations, WEIGHTS, function(operation)
  local ok, problem = pcall(operation)
  -- An engine that was killed is there again soon.
  if not ok and client.killing then
    local limit = journal.now() + 60
    while journal.now() < limit do
      if pcall(engine.get, engine, "/v1/whoami") then break end
      socket.sleep(0.1)
    end
  end
  return ok, problem
end)
