-- A program that uses the module, with several lines of operations at once, a task each.
local client = require("spec.stress.client").new()
local contents = require("spec.stress.contents")
local contree = require("contree")
local disk = require("spec.support.disk")

local LINES = 5
local DEADLINE = 100 * client.slowness
-- How long a command may take that is to time out: long enough to begin.
local SECOND = math.ceil(client.slowness)

local server = contree.new{ engine = { data_dir = client.data, socket = client.socket } }
local operations = {}

local function use(image) return server.images:use(image.uuid) end

-- Raises unless an error of this kind is raised.
local function refused(kind, fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then error(kind .. " was not raised", 0) end
  if not contree.is_error(err, kind) then error(err, 0) end
  return err
end

---- runs that leave nothing ----

function operations.output(line)
  local out, err = line:content(60000), line:content(20000)
  local command = ("%s & %s >&2; wait"):format(contents.write(out), contents.write(err))
  local result = use(line:image()):run{ shell = command, truncate_output_at = 16 * 1024 * 1024,
    disposable = true }
  line:same(contents.text(out), result.stdout, "stdout")
  line:same(contents.text(err), result.stderr, "stderr")
  assert(result.exit_code == 0, "exit code")
end

function operations.cut(line)
  local out = line:content(50000)
  local limit = line.random:size(100000)
  local result = use(line:image()):run{ shell = contents.write(out), disposable = true,
    truncate_output_at = limit }
  line:same(contents.text(out):sub(1, limit), result.stdout, "the beginning of stdout")
  assert(result.stdout_truncated == (#contents.text(out) > limit), "whether it was cut")
end

function operations.input(line)
  local text = contents.text(line:content(30000))
  local result = use(line:image()):run{ command = "cat", stdin = text, disposable = true,
    truncate_output_at = 16 * 1024 * 1024 }
  line:same(text, result.stdout, "what came back")
end

function operations.environment(line)
  local a, b = line:content(2000), line:marker()
  local result = use(line:image()):run{ shell = "cat /in/file; echo $MARKER >&2",
    files = { ["/in/file"] = { data = contents.text(a) } }, env = { MARKER = b },
    disposable = true }
  line:same(contents.text(a), result.stdout, "a file of a run")
  line:same(b .. "\n", result.stderr, "a variable of a run")
end

function operations.timeout(line)
  local out = line:content(100)
  local result = use(line:image()):run{ shell = contents.write(out) .. "; sleep 100",
    timeout = SECOND, disposable = true }
  assert(result.timed_out and result.signal == 9, "it did not time out")
  line:same(contents.text(out), result.stdout, "what came before the timeout")
end

function operations.cancel(line)
  local task = contree.spawn(function()
    return use(line:image()):run{ shell = "echo x >/s.x; sleep 100", timeout = 300,
      disposable = false }
  end)
  contree.sleep(line.random:part() ^ 2 * 0.5)
  task:cancel()
  refused("cancelled", task.wait, task)
end

function operations.cancel_operation(line)
  local operation = use(line:image()):start{ shell = "yes | head -c 3000000; sleep 100",
    disposable = false, timeout = 300 }
  contree.sleep(line.random:part() ^ 2 * 0.5)
  operation:cancel()
  refused("cancelled", operation.wait, operation)
  assert(operation:status() == "CANCELLED", "its status")
end

function operations.kill(line)
  local out = line:content(100)
  local operation = use(line:image()):start{ shell = contents.write(out) .. "; sleep 100",
    disposable = true }
  contree.sleep(0.2 + line.random:part() ^ 2 * 0.3)
  operation:kill(line.random:pick{ "KILL", "TERM" })
  local result = operation:wait()
  assert(result.signal == 9 or result.signal == 15 or result.exit_code == -1, "its end")
end

function operations.popen(line)
  local process = use(line:image()):popen({ "cat" })
  for _ = 1, line.random:number(5) do
    local marker = line:marker()
    process.stdin:write(marker .. "\n")
    local back = process.stdout:read("l")
    if not back then process:wait() end -- says why
    line:same(marker, back, "a line that came back")
  end
  if line.random:chance(0.3) then
    process:kill()
  else
    process.stdin:close()
  end
  process:wait()
end

function operations.terminal(line)
  local marker = line:marker()
  local process = use(line:image()):popen({ "sh" }, { tty = { rows = 30, cols = 200 } })
  process.stdin:write("stty -echo; echo ready\n")
  local text = ""
  local function until_there(what)
    while not text:find(what, 1, true) do
      local more = process.stdout:read(1)
      if not more then process:wait() end -- says why
      text = text .. assert(more, "the terminal has ended")
    end
  end
  until_there("\nready")
  process.stdin:write(("echo %s; stty size\n"):format(marker))
  until_there(marker)
  until_there("30 200")
  if line.random:chance(0.5) then process:resize(10, 20) end
  if line.random:chance(0.5) then
    process:close()
  else
    process.stdin:write("exit\n")
  end
  process:wait()
end

function operations.subprocess(line)
  local operation = use(line:image()):start{ shell = "sleep 100", disposable = true }
  local results = {}
  for i = 1, line.random:number(4) do
    results[i] = function()
      local out = line:content(5000)
      local process = operation:spawn{ shell = contents.write(out) }
      line:same(contents.text(out), process:wait().stdout, "stdout of a subprocess")
    end
  end
  contree.gather(results)
  operation:cancel()
  refused("cancelled", operation.wait, operation)
end

function operations.pause(line)
  local out = line:content(300)
  local operation = use(line:image()):start{ disposable = true,
    shell = "sleep 0.3; " .. contents.write(out) }
  local ok, err = pcall(operation.pause, operation)
  if ok then
    local status, details = operation:status()
    assert(status ~= "EXECUTING" or details.paused, "it is not paused")
    contree.sleep(line.random:part() * 0.5)
    if line.random:chance(0.2) then
      operation:cancel()
      refused("cancelled", operation.wait, operation)
      return
    end
    operation:usage()
    operation:resume()
  elseif not contree.is_error(err, "conflict") then
    error(err, 0)
  end
  line:same(contents.text(out), operation:wait().stdout, "stdout after a pause")
end

function operations.watch(line)
  local name = line:marker()
  local operation = use(line:image()):start{ disposable = true,
    shell = "mkdir /w; while sleep 0.05; do echo x >/w/" .. name .. "; done" }
  local seen
  for _ = 1, 100 do
    local ok, err = pcall(function()
      for change in operation:watch("/w") do
        seen = change.path
        if seen then break end
      end
    end)
    if ok then break end
    if not contree.is_error(err, "unprocessable") then error(err, 0) end -- not there yet
    contree.sleep(0.05)
  end
  line:same("/w/" .. name, seen, "what was watched")
  operation:cancel()
  refused("cancelled", operation.wait, operation)
end

function operations.volume(line)
  local marker = line:marker()
  -- The name is noted first: a run that was killed may have written it.
  client.journal:write("hope", { volume = line.name, text = marker })
  local result = use(line:image()):run{ disposable = true,
    shell = ("echo %s >>/v/log; tail -n 1 /v/log"):format(marker),
    volumes = { ["/v"] = line.name } }
  line:same(marker .. "\n", result.stdout, "the volume")
  client.journal:write("volume", { volume = line.name, text = marker })
  if line.random:chance(0.1) then
    local name = line.name .. "/other"
    server.volumes:create(name, { quota = 1e9 })
    assert(server.volumes:get(name).name == name)
    server.volumes:remove(name)
  end
end

function operations.mount(line)
  local path, out = line:scratch(), line:content(1000)
  disk.write(path .. "/file", contents.text(out))
  os.execute("chmod 755 " .. path)
  local result = use(line:image()):run{ shell = "cat /m/file; echo x 2>/dev/null >/m/file",
    disposable = true, mounts = { ["/m"] = path } }
  line:same(contents.text(out), result.stdout, "a mounted file")
  line:same(contents.text(out), disk.read(path .. "/file"), "the file here")
end

function operations.airlock(line)
  local result = use(line:image()):run{ disposable = true, timeout = 60,
    mounts = line.PROGRAMS,
    shell = "curl -sS http://in.example/v2/; curl -sS http://out.example/ && echo LEAK",
    networking = { allow = { "in.example" }, resolve = { ["in.example"] = client:fact("registry"),
      ["out.example"] = client:fact("registry") } } }
  line:same("{}", result.stdout, "what the airlock let through")
  assert(#result.denied > 0, "nothing was told as denied")
end

function operations.hosted_network(line)
  local result = use(line:image()):run{ shell = "ip link | wc -l", networking = true,
    disposable = true }
  assert(result.exit_code == 0, "a run with networking: " .. result.stderr)
end

function operations.refusals(line)
  local image = use(line:image())
  local none = server.images:use("tag:no-such-" .. line:marker())
  refused("not_found", none.run, none, "true")
  refused("not_found", function() image:read("/no/such/file") end)
  assert(image:run{ command = "/no/such/program", disposable = true }.exit_code == 127)
end

---- runs and others that leave an image ----

-- Keeps what `how` writes; `how` gets the command and returns the new image.
local function kept(line, how)
  local image = line:image()
  local command, files = line:change(image)
  line:intend(files)
  local made, operation = how(use(image), command, files)
  return line:told(made.uuid, files, { parent = image.uuid, operation = operation })
end

function operations.keep(line)
  kept(line, function(image, command)
    local result = image:run{ shell = command, disposable = false }
    assert(result.exit_code == 0, result.stderr)
    return result, result.operation.uuid
  end)
end

function operations.keep_failed(line)
  kept(line, function(image, command)
    local result = image:run{ shell = command .. "; exit 3", disposable = false }
    assert(result.exit_code == 3, result.stderr)
    return result, result.operation.uuid
  end)
end

function operations.keep_large(line)
  local image = line:image()
  local files = contents.copy(image.files)
  files.large = { line:marker(), 100000 + line.random:number(400000) }
  line:intend(files)
  local result = use(image):run{ shell = contents.write(files.large, "large"), disposable = false }
  line:told(result.uuid, files)
end

-- The files that a line of shell would have written, put there without running anything.
local function staged(line, image)
  local files = contents.copy(image.files)
  files.last, files["d/staged"] = line:content(3), line:content(2000)
  return files, { ["/s/last"] = { data = contents.text(files.last) },
    ["/s/d/staged"] = { data = contents.text(files["d/staged"]) } }
end

function operations.stage(line)
  local image = line:image()
  local files, given = staged(line, image)
  line:intend(files)
  local session = use(image):session()
  line:told(session:stage(given).uuid, files)
end

function operations.apply_files(line)
  local image = line:image()
  local files, given = staged(line, image)
  line:intend(files)
  line:told(use(image):apply_files(given).uuid, files)
end

function operations.session(line)
  local image = line:image()
  local session = use(image):session()
  local files = image.files
  for _ = 1, 2 do
    local command, after = line:change{ files = files }
    line:intend(after)
    session:run(command)
    line:told(session.image.uuid, after)
    files = after
  end
  session:rollback(2)
  assert(session.image.uuid == image.uuid or image.uuid:find("tag:", 1, true), "rollback")
end

function operations.box(line)
  local image = line:image()
  local box = use(image):open{ idle_timeout = 60 }
  local files = image.files
  for _ = 1, line.random:number(3) do
    local command, after = line:change{ files = files }
    line:intend(after)
    local out = line:content(1000)
    local result = box:run(command .. " && " .. contents.write(out))
    line:same(contents.text(out), result.stdout, "stdout in a box")
    files = after
    if line.random:chance(0.5) then line:told(box:snapshot().uuid, files) end
  end
  local result = box:run{ shell = "sleep 100", timeout = SECOND }
  line:same("9 timeout", ("%s %s"):format(result.signal, result.limit),
    ("a command in a box, %s, %s"):format(result.exit_code, result.duration))
  local choice = line.random:number(3)
  if choice == 1 then
    line:told(box:close{ keep = true }.uuid, files)
  elseif choice == 2 then
    box:close()
  else
    box.operation:cancel()
  end
end

function operations.merge(line)
  local base = line:image()
  local sides = {}
  local function side(name)
    local files = contents.copy(base.files)
    files[name] = line:content(2000)
    line:intend(files)
    local result = use(base):run{ shell = contents.write(files[name], name), disposable = false }
    sides[name] = line:told(result.uuid, files)
  end
  contree.gather(function() side("ours") end, function() side("theirs") end)
  local files = contents.copy(sides.ours.files)
  files.theirs = sides.theirs.files.theirs
  line:intend(files)
  local merged = use(sides.ours):merge(use(sides.theirs))
  line:told(merged.uuid, files)
end

function operations.merge_conflict(line)
  local base = line:image()
  local sides = {}
  for i = 1, 2 do
    local files = contents.copy(base.files)
    files.a = line:content(50)
    line:intend(files)
    local result = use(base):run{ shell = contents.write(files.a, "a"), disposable = false }
    sides[i] = line:told(result.uuid, files)
  end
  local err = refused("conflict", function() use(sides[1]):merge(use(sides[2])) end)
  assert(err.conflicts[1].path == "/s/a", "the conflict")
  line:intend(sides[2].files)
  local merged, conflicts = use(sides[1]):merge(use(sides[2]), { prefer = "theirs" })
  assert(#conflicts == 1, "the preferred conflict")
  line:told(merged.uuid, sides[2].files)
end

function operations.build(line)
  local image = line:image()
  local context = line:scratch()
  local first = contents.copy(image.files)
  first.built = line:content(2000)
  disk.write(context .. "/file", contents.text(first.built))
  local second = contents.copy(first)
  second.ran = line:content(2000)
  -- A stage of its own that the last one copies from.
  local other = { x = line:content(500) }
  local third = contents.copy(second)
  third["from/x"] = other.x
  disk.write(context .. "/Dockerfile", ([[
FROM busybox:latest AS other
RUN %s
FROM %s
COPY file /s/built
RUN %s
COPY --from=other /s/x /s/from/x
]]):format(contents.write(other.x, "x"), (image.uuid:gsub("^tag:", "")),
    contents.write(second.ran, "ran")))
  for _, files in ipairs{ first, second, third, other } do line:intend(files) end
  local built = server.images:build{ context = context, cache_dir = client.tmp .. "/cache",
    no_cache = line.random:chance(0.3) }
  line:told(built.uuid, third)
end

function operations.import(line)
  local number = line.random:number(4)
  local files = line.files_of(client:fact("import" .. number):gsub(",", " "))
  line:intend(files)
  local image = server.images:import_from(("docker://%s/stress%d:1"):format(
    client:fact("registry"), number), { tag = ("%s/import:%d"):format(line.name, number) })
  line:told(image.uuid, files)
  line.tagged[image.uuid] = true
end

---- looking at images ----

function operations.look(line)
  local image = line:image()
  local there = use(image)
  for path, content in pairs(image.files) do
    line:same(contents.text(content), there:read("/s/" .. path), "/s/" .. path)
  end
  if image.files.last then
    local found = there:grep{ pattern = image.files.last[1], path = "/s" }
    assert(found.matches[1].path:find("^/s/"), "grep")
    assert(there:exists("/s/last") and not there:exists("/s/nothing"))
    assert(there:stat("/s/last").size == #contents.text(image.files.last))
  end
end

function operations.export(line)
  local image = line:image()
  if not next(image.files) then return end
  local path = line:scratch() .. "/tree"
  use(image):export_to(path, { at = "/s" })
  line:same_files(image.files, path, "what was exported")
end

function operations.archive(line)
  local image = line:image()
  if not next(image.files) then return end
  local path = line:scratch()
  use(image):archive("/s", path .. "/tar")
  os.execute(("mkdir %s/tree && tar -xf %s/tar -C %s/tree"):format(path, path, path))
  local root = disk.peek(path .. "/tree/s/" .. next(image.files)) and "/tree/s" or "/tree"
  line:same_files(image.files, path .. root, "what was archived")
end

function operations.leave_archive(line)
  local path = line:scratch()
  local task = contree.spawn(function() use(line:image()):archive("/", path .. "/tar") end)
  contree.sleep(line.random:part() ^ 3 * 0.1)
  task:cancel()
  pcall(task.wait, task)
  if task.status == "cancelled" then
    assert(not disk.peek(path .. "/tar"), "a part of an archive")
  end
end

function operations.diff(line)
  local old, new = line:image(), line:image()
  local expected = {}
  for path, content in pairs(new.files) do
    local was = old.files[path]
    if not was then
      expected[#expected + 1] = "added /s/" .. path
    elseif was[1] ~= content[1] or was[2] ~= content[2] then
      expected[#expected + 1] = "changed /s/" .. path
    end
  end
  for path in pairs(old.files) do
    if not new.files[path] then expected[#expected + 1] = "removed /s/" .. path end
  end
  table.sort(expected)
  local found = {}
  for _, change in ipairs(use(new):diff(use(old), { text = line.random:chance(0.5) })) do
    if change.type == "file" and change.path:find("^/s/") then
      found[#found + 1] = change.change .. " " .. change.path
    end
  end
  table.sort(found)
  line:same(table.concat(expected, "\n"), table.concat(found, "\n"), "a diff")
end

function operations.look_at_anybodys(line)
  local record = line:anybodys()
  if not record then return end
  local path = line:scratch() .. "/tree"
  if record.files == "" then return end
  server.images:use(record.uuid):export_to(path, { at = "/s" })
  line:same_files(line.files_of(record.files), path, "the image of another client")
end

function operations.lists(line)
  server.images:list{ limit = line.random:number(200) }
  server.operations:list{ limit = line.random:number(200) }
  server:whoami()
  server:disk()
end

---- tags ----

function operations.tag(line)
  local name, image = ("%s/tag:%d"):format(line.name, line.random:number(3)), line:image()
  -- An image has one tag.
  if image.uuid:find("^tag:") or line.tagged[image.uuid] then return end
  line.tagged[image.uuid] = true
  client.journal:write("tagging", { tag = name, uuid = image.uuid })
  use(image):tag_as(name)
  client.journal:write("tag", { tag = name, uuid = image.uuid })
  local found = server.images:use(name, { strict = true })
  assert(found.uuid == image.uuid, "a tag leads elsewhere")
end

---- folders ----

function operations.workspace(line)
  local image = line:image()
  local folder = line:scratch()
  local mine, theirs = line:content(500), line:content(500)
  disk.write(folder .. "/mine", contents.text(mine))
  local workspace = use(image):workspace{ path = folder, ignore = false }
  local result = workspace:run(("cat mine; %s >theirs"):format(contents.write(theirs)))
  line:same(contents.text(mine), result.stdout, "the folder in the sandbox")
  line:told(workspace.image.uuid, image.files)
  assert(not disk.peek(folder .. "/theirs"), "a run wrote into the folder")
  assert(#workspace:changes() == 1, "one change")
  workspace:apply()
  line:same_files({ mine = mine, theirs = theirs }, folder, "the folder after apply")
  workspace:undo()
  line:same_files({ mine = mine }, folder, "the folder after undo")
end

---- ports ----

function operations.port(line)
  local operation = use(line:image()):start{ disposable = true, command = "/listener",
    files = { ["/listener"] = { source = client:fact("listener"), mode = "0755" } },
    args = { "tcp", "8000", line:marker() } }
  local address = operation:forward(8000)
  assert(#operation:ports() == 1 and operation:ports()[1].address == address)
  assert(operation:close_port(address), "the port was not there")
  operation:cancel()
  refused("cancelled", operation.wait, operation)
end

local WEIGHTS = { output = 6, cut = 2, input = 3, environment = 3, timeout = 1, cancel = 3,
  cancel_operation = 2, kill = 2, popen = 3, terminal = 2, subprocess = 2, pause = 3, watch = 2,
  volume = 3, mount = 2, airlock = 2, hosted_network = 1, refusals = 1, keep = 14,
  keep_failed = 2, keep_large = 1, stage = 3, apply_files = 2, session = 2, box = 3, merge = 3,
  merge_conflict = 1, build = 2, import = 2, look = 3, export = 2, archive = 2,
  leave_archive = 2, diff = 3, look_at_anybodys = 3, lists = 1, tag = 2, workspace = 2, port = 1 }

-- Nothing that was told may be missing, and nothing of ours may break, whatever was killed. What
-- a command does is another thing only where it was killed itself, with what is around it.
local NEVER = { not_found = true, internal = true, invalid_argument = true, auth = true }
local function tolerates(problem, killed)
  if contree.is_error(problem) then return not NEVER[problem.kind] end
  return killed.command or killed.sandbox or killed.launcher or killed.airlock
end

local function describe(problem)
  if not contree.is_error(problem) then return tostring(problem) end
  return ("%s: %s\n%s"):format(problem.kind, tostring(problem), problem.traceback or "")
end

contree.async(function()
  local tasks = {}
  for i = 1, LINES do
    tasks[i] = contree.spawn(function()
      local line = client:line(client.name .. i)
      line.tolerates, line.describe = tolerates, describe
      line:go(operations, WEIGHTS, function(operation)
        return pcall(contree.timeout, DEADLINE, operation)
      end)
    end)
  end
  for _, task in ipairs(tasks) do task:wait() end
end)
server:close()
