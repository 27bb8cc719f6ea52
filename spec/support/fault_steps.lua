--- The steps of the scenario in which calls fail (faults.lua). A step asks the engine for
-- something and notes what it was told. It raises { refused = } for a structured error,
-- { broken = } when the connection broke, and a string when an answer is wrong.
local archive = require("spec.support.archive")
local outside = require("spec.support.outside")
local socket = require("socket")
local wire = require("spec.support.wire")

local steps = {}
local verify

---- requests ----

local function structured(reply)
  return reply.json and type(reply.json.error) == "string" and #reply.json.error > 0
    and reply.json.status == reply.status
end

-- A reply, of which an error is structured.
local function send(patient, method, path, options)
  local ok, reply = pcall(patient.engine.request, patient.engine, method, path, options)
  if not ok then
    if tostring(reply):find("timeout", 1, true) then
      error(("no answer to %s %s"):format(method, path), 0)
    end
    error({ broken = method .. " " .. path .. ": " .. tostring(reply) }, 0)
  end
  -- A stream that has begun can tell of a failure only so.
  if reply.cut then error({ refused = method .. " " .. path .. ": cut" }, 0) end
  return reply
end

local function ask(patient, method, path, body, headers)
  if type(body) == "table" then body = wire.json.encode(body) end
  local reply = send(patient, method, path, { body = body, headers = headers })
  if reply.status >= 300 and reply.status ~= 302 then
    if method ~= "HEAD" and not structured(reply) then
      error(("%s %s: %d is no structured error: %s"):format(method, path, reply.status,
        reply.body), 0)
    end
    error({ refused = reply.body, status = reply.status }, 0)
  end
  return reply
end

local function get(patient, path) return ask(patient, "GET", path) end

local function expect(what, want, have)
  if want ~= have then
    error(("%s: %q and not %q"):format(what, tostring(have):sub(1, 300),
      tostring(want):sub(1, 300)), 0)
  end
end

-- A run to its end; one that FAILED must say why.
local function run(patient, options)
  local body = wire.spawn(options)
  body.timeout = body.timeout or 15
  local reply = ask(patient, "POST", "/v1/instances", body, { Prefer = "wait=25" })
  local operation = reply.json
  if operation.status == "SUCCESS" then return operation end
  if operation.status ~= "FAILED" or type(operation.error) ~= "string" or operation.error == "" then
    error("a run that neither succeeded nor says why: " .. reply.body, 0)
  end
  error({ refused = operation.error }, 0)
end

-- The output of a run, which is whole.
local function output(operation)
  local result = operation.metadata.result
  if result.state.exit_code ~= 0 then
    error({ refused = "exit code " .. tostring(result.state.exit_code) .. " "
      .. wire.bytes(result.stderr) }, 0)
  end
  return wire.bytes(result.stdout)
end

local function unique(patient)
  patient.number = patient.number + 1
  return ("%d.%d"):format(patient.number, math.floor(socket.gettime() * 1e6))
end

---- before ----

--- What the steps stand on; made without faults.
function steps.prepare(patient)
  local engine = patient.engine
  patient.busybox = engine:get("/v1/images?tag=busybox:latest").json.images[1].uuid
  local function after(image, command)
    local done = engine:run(wire.shell(command, { image = image, disposable = false }))
    assert(done.status == "SUCCESS" and done.result_image_uuid ~= wire.null, wire.json.encode(done))
    return done.result_image_uuid
  end
  local text = "mkdir /w; seq 9 > /w/text; seq 20000 > /w/long; ln -s text /w/link; touch /w/gone"
  patient.base = after(patient.busybox, text)
  patient.ours = after(patient.base, "sed -i s/2/two/ /w/text")
  patient.theirs = after(patient.base, "sed -i s/8/eight/ /w/text; rm /w/gone")
  patient.told.images[patient.ours] = { ["/w/text"] = "1\ntwo\n3\n4\n5\n6\n7\n8\n9\n" }
  patient.told.images[patient.theirs] = { ["/w/text"] = "1\n2\n3\n4\n5\n6\n7\neight\n9\n" }
  local path = ("%s/import%d.tar"):format(engine.directory, patient.number)
  local file = assert(io.open(path, "wb"))
  local members = { { "d", type = "directory", mode = 493 } }
  for i = 1, 40 do members[#members + 1] = { "d/" .. i, data = ("%d\n"):format(i):rep(300) } end
  members[#members + 1] = { "d/link", target = "1" }
  members[#members + 1] = { "d/same", type = "hardlink", target = "d/1" }
  file:write(archive(members))
  file:close()
  patient.import = path
end

---- steps ----

function steps.upload(patient)
  local text = ("content %s "):format(unique(patient)):rep(3000)
  local file = ask(patient, "POST", "/v1/files", text).json
  expect("size", #text, file.size)
  patient.told.files[file.sha256] = true
end

function steps.kept(patient)
  local text = unique(patient)
  local operation = run(patient, wire.shell(
    ("mkdir /n; echo %s > /n/f; echo %s"):format(text, text),
    { disposable = false, image = patient.ours }))
  expect("output", text .. "\n", output(operation))
  patient.told.images[operation.result_image_uuid] = { ["/n/f"] = text .. "\n",
    ["/w/text"] = "1\ntwo\n3\n4\n5\n6\n7\n8\n9\n" }
end

function steps.many_files(patient)
  local text = unique(patient)
  local operation = run(patient, wire.shell(
    ("for i in $(seq 60); do echo %s $i > /f$i; done"):format(text), { disposable = false }))
  output(operation)
  patient.told.images[operation.result_image_uuid] = { ["/f60"] = text .. " 60\n" }
end

function steps.run(patient)
  local operation = run(patient, wire.shell("head -c 300000 /dev/zero | tr '\\0' x"))
  expect("bytes", 300000, #output(operation))
end

function steps.file(patient)
  local body = "a file " .. unique(patient)
  local file = ask(patient, "POST", "/v1/files", body).json
  patient.told.files[file.sha256] = true
  expect("file", body, output(run(patient, wire.shell("cat /tmp/sent", {
    files = { ["/tmp/sent"] = { uuid = file.uuid, mode = "0644" } } }))))
end

function steps.import(patient)
  local tag = "import:" .. unique(patient)
  local image = ask(patient, "POST", "/v1/import", { operand = patient.import, tag = tag }).json
  patient.told.images[image.uuid] = { ["/d/40"] = ("40\n"):rep(300),
    ["/d/same"] = ("1\n"):rep(300) }
  patient.told.tags[tag] = image.uuid
end

function steps.layers(patient)
  local text = unique(patient)
  local image = ask(patient, "POST", ("/v1/images/%s/layers?at=/w"):format(patient.base), archive{
    { "new", data = text }, { ".wh.gone", data = "" }, { "dir", type = "directory", mode = 448 },
    { "dir/l", target = "../new" } }).json
  patient.told.images[image.uuid] = { ["/w/new"] = text }
end

function steps.merge(patient)
  local answer = ask(patient, "POST", "/v1/merge", { ours = patient.ours,
    theirs = patient.theirs }).json
  expect("conflicts", 0, answer.conflict_count)
  patient.told.images[answer.image.uuid] = { ["/w/text"] = "1\ntwo\n3\n4\n5\n6\n7\neight\n9\n" }
end

function steps.read(patient)
  local path = "/v1/inspect/" .. patient.ours
  expect("download", "1\ntwo\n3\n4\n5\n6\n7\n8\n9\n",
    get(patient, path .. "/download?path=/w/link").body)
  local names = {}
  for _, entry in ipairs(get(patient, path .. "/list?path=/w").json.files) do
    names[#names + 1] = entry.path
  end
  table.sort(names)
  expect("list", "gone link long text", table.concat(names, " "):gsub("/w/", ""))
  expect("grep", true, get(patient, path .. "/grep?pattern=two&path=/w").body:find("two", 1, true)
    ~= nil)
  expect("archive", true, #get(patient, path .. "/archive?path=/w").body > 100000)
  expect("diff", true, get(patient, ("%s/diff?base=%s"):format(path, patient.base)).body
    :find("text", 1, true) ~= nil)
  expect("long", 108894, #get(patient, path .. "/download?path=/w/long").body)
end

function steps.tag(patient)
  local tag = "t:" .. unique(patient)
  ask(patient, "PATCH", ("/v1/images/%s/tag"):format(patient.theirs), { tag = tag })
  patient.told.tags = { [tag] = patient.theirs }
  get(patient, "/v1/images?tag=" .. tag)
end

function steps.volume(patient)
  local name = "v" .. unique(patient)
  ask(patient, "POST", "/v1/volumes", { name = name, quota = 1000000 })
  patient.told.volumes[name] = true
  output(run(patient, wire.shell("echo kept > /v/f", { volumes = { ["/v"] = name } })))
  expect("volume", "kept\n", output(run(patient, wire.shell("cat /v/f",
    { volumes = { ["/v"] = name } }))))
  get(patient, "/v1/volumes")
  patient.told.volumes[name] = nil
  ask(patient, "DELETE", "/v1/volumes/" .. name)
  patient.told.volumes[name] = false
end

-- What nobody was told of goes on: a box until it was idle for long enough.
local function end_untold(patient)
  local engine = patient.engine
  local ok, reply = pcall(engine.get, engine, "/v1/operations?status=EXECUTING")
  for _, each in ipairs(ok and reply.json or {}) do
    pcall(engine.request, engine, "DELETE", "/v1/operations/" .. each.uuid)
  end
end

local function ask_or_end(patient, method, path, body)
  local ok, reply = pcall(ask, patient, method, path, body)
  if ok then return reply end
  end_untold(patient)
  error(reply, 0)
end

-- The path of a new operation.
local function begin(patient, body)
  return "/v1/operations/" .. ask_or_end(patient, "POST", "/v1/instances", body).json.uuid
end

function steps.box(patient)
  local path = begin(patient,
    { image = "tag:busybox:latest", box = { idle_timeout = 20 }, disposable = false })
  local text = unique(patient)
  local ok, why = xpcall(function()
    local spawned
    for _ = 1, 1500 do
      spawned = send(patient, "POST", path .. "/subprocesses", { body = wire.json.encode(
        wire.shell(("echo %s > /f; cat"):format(text), { stdin = { value = "input", encoding =
        "ascii", close = true } })) })
      if spawned.status ~= 425 then break end
      socket.sleep(0.01)
    end
    if spawned.status ~= 201 then
      if not structured(spawned) then error("no structured error: " .. spawned.body, 0) end
      error({ refused = spawned.body }, 0)
    end
    local result
    for _ = 1, 1500 do
      result = get(patient, ("%s/subprocesses/%d"):format(path, spawned.json.spid)).json
      if result.state.exit_code ~= -1 or result.state.signal ~= -1 then break end
      socket.sleep(0.01)
    end
    if result.state.exit_code ~= 0 then
      error({ refused = "a subprocess failed: " .. wire.json.encode(result) }, 0)
    end
    local shot = ask(patient, "POST", path .. "/snapshot").json
    patient.told.images[shot.uuid] = { ["/f"] = text .. "\n" }
    ask(patient, "POST", path .. "/pause")
    ask(patient, "POST", path .. "/resume")
    get(patient, path .. "/usage")
  end, function(e) return e end)
  -- However it went: the box ends.
  pcall(patient.engine.request, patient.engine, "DELETE", path)
  if not ok then error(why, 0) end
end

function steps.cancel(patient)
  local path = begin(patient, wire.spawn{ command = "sleep", args = { "30" }, timeout = 40 })
  socket.sleep(0.02)
  ask_or_end(patient, "DELETE", path)
  for _ = 1, 800 do
    local status = get(patient, path).json.status
    if status ~= "EXECUTING" and status ~= "PENDING" and status ~= "ASSIGNED" then return end
    socket.sleep(0.01)
  end
  error("cancelled, and goes on", 0)
end

function steps.limits(patient)
  expect("limits", "ok\n", output(run(patient, wire.shell("echo ok", {
    resources_limits = { memory_bytes = 50000000, pids = 20 } }))))
end

function steps.events(patient)
  local uuid = ask(patient, "POST", "/v1/instances", wire.spawn(wire.shell(
    "for i in 1 2 3 4 5; do echo $i; sleep 0.02; done"))).json.uuid
  local connection = patient.engine:connect()
  connection:request("GET", ("/v1/operations/%s/events?follow=1"):format(uuid))
  local out, ended = "", false
  local ok, why = pcall(function()
    local head = connection:head()
    if not head then error({ broken = "events" }, 0) end
    if head.status ~= 200 then error({ refused = "events: " .. head.status }, 0) end
    for frame in function() return connection:frame() end do
      if frame.event == "stdout" then out = out .. wire.bytes(frame.data.data) end
      if frame.event == "completion" then ended = true end
    end
  end)
  connection:close()
  patient.engine:wait(uuid)
  if not ok then error(type(why) == "table" and why or { broken = tostring(why) }, 0) end
  if not ended then error({ broken = "the stream of events" }, 0) end
  local operation = get(patient, "/v1/operations/" .. uuid).json
  if operation.status ~= "SUCCESS" or operation.metadata.result.state.exit_code ~= 0 then
    error({ refused = "the run failed" }, 0)
  end
  expect("events", "1\n2\n3\n4\n5\n", out)
end

local SECRET = "sesame-of-a-fault-0123456789"

-- A server that is asked through an airlock; release() ends it.
local function world_of(patient)
  patient.world = patient.world or outside.start()
  return patient.world
end

--- Ends what the steps have started beside the engine.
function steps.release(patient)
  if patient.world then patient.world:stop() end
  patient.world = nil
end

-- A run with rules and a secret reaches what it may, and nothing else; the secret is nowhere in it.
function steps.airlock(patient)
  local port = world_of(patient).http
  -- (The image's wget works with no name and no address.)
  local operation = run(patient, wire.shell(([[
    ask() {
      at=$(nslookup $1 | sed -n 's/^Address.*: *\(198[.0-9]*\)$/\1/p' | tail -n 1)
      printf 'GET /hello HTTP/1.1\r\nHost: %%s:%d\r\nConnection: close\r\n\r\n' $1 |
        nc -w 5 ${at:-192.0.2.1} %d
    }
    ask plain.example | tail -n 1
    ask other.example | grep hello && exit 8
    echo "token $TOKEN"; env; exit 0]]):format(port, port), {
      networking = { allow = { "plain.example:" .. port }, resolve = {
        ["plain.example"] = "127.0.0.1:" .. port, ["other.example"] = "127.0.0.1:" .. port } },
      secrets = { TOKEN = { value = SECRET, hosts = { "tls.example" } } } }))
  local told = wire.json.encode(operation)
  if told:find(SECRET, 1, true) then error("the secret is told: " .. told, 0) end
  local result = operation.metadata.result
  if result.state.exit_code == 8 then error("it reached what it may not", 0) end
  local said = output(operation)
  -- What fails in the airlock may cost a connection.
  if said:sub(1, 6) ~= "hello\n" then error({ refused = "no server: " .. said }, 0) end
  expect("placeholder", true, said:find("token %w+") ~= nil)
  expect("isolation", "airlock", result.isolation[#result.isolation])
end

function steps.export(patient)
  local path = patient.engine.directory .. "/out.tar"
  os.remove(path)
  local ok, why = pcall(ask, patient, "POST", "/v1/export", { operand = patient.ours,
    output = path })
  if ok then
    expect("export", "1\ntwo\n3\n4\n5\n6\n7\n8\n9", wire.run(
      ("tar xOf %s w/text 2>&1 || tar xOf %s ./w/text"):format(path, path)))
  end
  os.remove(path)
  if not ok then error(why, 0) end
  local left = wire.run(("ls -A %s | grep -vE '^(s|log|data|ctl|import.*)$'"):format(
    patient.engine.directory))
  expect("left by an export", "", left)
end

function steps.collect(patient) ask(patient, "POST", "/v1/gc", {}) end

function steps.disk(patient) get(patient, "/v1/disk") end

--- The names of all steps, in a fixed order.
steps.names = { "upload", "kept", "many_files", "run", "file", "import", "layers", "merge", "read",
  "tag", "volume", "box", "cancel", "limits", "events", "airlock", "export", "collect",
  "disk" }

---- afterwards ----

--- Calls `report` for all that is not as it was told.
function steps.verify(patient, report)
  verify(patient, report)
end

function verify(patient, report)
  local engine, told = patient.engine, patient.told
  for image, files in pairs(told.images) do
    for path, text in pairs(files) do
      local reply = engine:get(("/v1/inspect/%s/download?path=%s"):format(image, path))
      if reply.status ~= 200 or reply.body ~= text then
        report(("image %s, %s: %d %s"):format(image, path, reply.status, reply.body:sub(1, 200)))
      end
    end
    if image ~= patient.ours and image ~= patient.theirs then told.images[image] = nil end
  end
  for sha256 in pairs(told.files) do
    local path = ("%s/b/%s/%s"):format(engine.data, sha256:sub(1, 2), sha256)
    if wire.run("sha256sum <" .. path .. " 2>&1"):sub(1, 64) ~= sha256 then
      report("content of file " .. sha256)
    end
    if engine:get("/v1/files/" .. sha256).status ~= 200 then
      report("row of file " .. sha256)
    end
    told.files[sha256] = nil
  end
  for tag, image in pairs(told.tags) do
    local now = engine:get("/v1/images?tag=" .. tag).json.images[1]
    if not now or now.uuid ~= image then report("tag " .. tag) end
    told.tags[tag] = nil
  end
  for name, there in pairs(told.volumes) do
    local status = engine:get("/v1/volumes/" .. name).status
    if (status == 200) ~= there then report(("volume %s: %d"):format(name, status)) end
    if there then engine:request("DELETE", "/v1/volumes/" .. name) end
    told.volumes[name] = nil
  end
end

return steps
