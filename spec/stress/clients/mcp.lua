-- A program that uses `contree mcp` as agents do, and the command contree as people do.
local client = require("spec.stress.client").new()
local contents = require("spec.stress.contents")
local disk = require("spec.support.disk")
local mcp = require("spec.support.mcp")
local program = require("spec.support.program")

local operations = {}
-- The words before `lua5.4 bin/contree`. Folders' sessions and caches are this program's.
local environment = ("CONTREE_HOME=%s CONTREE_CACHE_DIR=%s/cache "
  .. "CONTREE_STATE_DIR=%s/state LUA_CPATH=%s"):format(client.tmp, client.tmp, client.tmp,
    disk.quote(os.getenv("LUA_CPATH"):gsub("/luajit/", "/lua5.4/") .. ""))

local server

local function leave()
  local code = server and server:close()
  server = nil
  return code
end

local function call(name, arguments)
  if not server then
    server = mcp.start(client.tmp, ("env %s CONTREE_URL=unix:%s"):format(environment,
      client.socket), 86400)
    server:initialize()
  end
  local ok, result, failed = pcall(server.call, server, name, arguments)
  if not ok then pcall(leave) end
  if not ok or failed then error(type(result) == "string" and result or "a tool failed", 0) end
  return result
end

local function words(arguments, more)
  return ("env %s %s lua5.4 %s/bin/contree %s"):format(environment,
    more or "CONTREE_URL=unix:" .. client.socket, program.root, arguments)
end

-- Runs the command. In `around`, `before` and `input` are shell text; `engine`: it is one of those
-- that contree-engine does.
local function contree(arguments, around)
  around = around or {}
  local text = disk.capture(("%s%s %s 2>%s/stderr; printf '\n%%s' $?"):format(around.before or "",
    words(arguments, around.engine and "CONTREE_DATA_DIR=" .. client.data),
    around.input or "</dev/null", client.tmp))
  local out, code = text:match("^(.*)\n(%d+)$")
  if code ~= "0" then
    error(("contree %s: %s, %s"):format(arguments, code, disk.read(client.tmp .. "/stderr")), 0)
  end
  return out
end

---- tools for agents ----

function operations.run(line)
  local out = line:content(1000)
  local made = call("run", { image = line:image().uuid, command = contents.write(out),
    shell = true, disposable = true, truncate_output_at = 1000000 })
  line:same(contents.text(out), made.metadata.result.stdout.value, "stdout of a tool")
end

function operations.keep(line)
  local image = line:image()
  local command, files = line:change(image)
  line:intend(files)
  local made = call("run", { image = image.uuid, command = command, shell = true,
    disposable = false })
  line:told(made.result_image_uuid or made.result.image, files)
end

function operations.wait(line)
  local out = line:content(10)
  local made = call("run", { image = line:image().uuid, shell = true, disposable = true,
    wait = false, command = "sleep 0.2; " .. contents.write(out) })
  call("wait_operations", { operation_ids = { made.operation_id or made.uuid } })
  made = call("get_operation", { operation_id = made.operation_id or made.uuid })
  line:same(contents.text(out), made.metadata.result.stdout.value, "stdout of an operation")
end

function operations.cancel(line)
  local made = call("run", { image = line:image().uuid, shell = true, disposable = true,
    wait = false, command = "sleep 100" })
  call("cancel_operation", { operation_id = made.operation_id or made.uuid })
end

function operations.read(line)
  local image = line:image()
  if not image.files.last then return end
  local made = call("read_file", { image = image.uuid, path = "/s/last" })
  line:same(contents.text(image.files.last), made.content or made, "a file")
end

function operations.folder(line)
  local folder = line:scratch()
  local mine, theirs = line:content(200), line:content(200)
  disk.write(folder .. "/mine", contents.text(mine))
  call("workspace_run", { path = folder, image = "tag:busybox:latest", command = "cat mine; "
    .. contents.write(theirs) .. " >theirs" })
  assert(not disk.peek(folder .. "/theirs"), "a run wrote into the folder")
  call("workspace_changes", { path = folder })
  call("workspace_apply", { path = folder })
  line:same_files({ mine = mine, theirs = theirs }, folder, "the folder after apply")
  call("workspace_undo", { path = folder })
  line:same_files({ mine = mine }, folder, "the folder after undo")
end

function operations.leave()
  if not server then return end
  local code = leave()
  assert(code == 0, "contree mcp ended with " .. tostring(code))
end

---- the command ----

function operations.command_run(line)
  local out = line:content(3000)
  line:same(contents.text(out), contree(("run %s -- sh -c '%s'"):format(line:image().uuid,
    contents.write(out))), "stdout of the command")
end

function operations.command_pipe(line)
  local path = line:scratch() .. "/in"
  local text = contents.text(line:content(5000))
  disk.write(path, text)
  line:same(text, contree(("run %s -- cat"):format(line:image().uuid),
    { input = "<" .. path }), "what came back")
end

function operations.command_folder(line)
  local folder = line:scratch()
  local mine = line:content(200)
  disk.write(folder .. "/mine", contents.text(mine))
  local at = { before = ("cd %s && "):format(folder) }
  line:same(contents.text(mine), contree("on -i busybox:latest . -- cat mine", at),
    "a file of a folder")
  contree("on . -- sh -c 'rm mine; echo x >new'", at)
  line:same_files({ mine = mine }, folder, "the folder before apply")
  contree("apply", at)
  assert(disk.peek(folder .. "/new") == "x\n" and not disk.peek(folder .. "/mine"), "apply")
  contree("undo", at)
  line:same_files({ mine = mine }, folder, "the folder after undo")
end

function operations.command_export(line)
  local image = line:image()
  if image.uuid:find("^tag:") then return end
  local path = line:scratch()
  -- These commands go to the engine of a data directory.
  contree(("export -o %s/tar %s"):format(path, image.uuid), { engine = true })
  os.execute(("cd %s && mkdir tree && tar -xf tar -C tree"):format(path))
  line:same_files(image.files, path .. "/tree/s", "what was exported")
end

function operations.command_lists(line)
  contree(line.random:pick{ "images", "ps", "df", "status", "volumes" })
  if line.random:chance(0.3) then
    local ok, problem = pcall(contree, "gc", { engine = true })
    assert(ok or problem:find("is being collected already", 1, true), problem)
  end
end

function operations.command_stop(line)
  local path = line:scratch() .. "/out"
  -- As a person does who interrupts it.
  local code = disk.capture(([[(trap - INT; exec %s) >%s 2>&1 & sleep 0.%d
    kill -INT $! 2>/dev/null; wait $!; echo $?]]):format(words("run " .. line:image().uuid
      .. " -- sleep 100"), path, line.random:number(9)))
  assert(tonumber(code) and tonumber(code) ~= 0, "the exit code of what was interrupted")
end

local WEIGHTS = { run = 6, keep = 6, wait = 3, cancel = 3, read = 3, folder = 4, leave = 1,
  command_run = 4, command_pipe = 3, command_folder = 3, command_export = 2, command_lists = 3,
  command_stop = 2 }

local line = client:line(client.name)
line:go(operations, WEIGHTS, function(operation)
  local ok, problem = pcall(operation)
  if not ok and client.killing then os.execute("sleep 0.2") end
  return ok, problem
end)
leave()
