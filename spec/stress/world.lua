-- What a stress takes place in: its engine, images in a registry of this machine, and the faults
-- that were found.
local contents = require("spec.stress.contents")
local disk = require("spec.support.disk")
local registry = require("spec.support.registry")
local wire = require("spec.support.wire")

local world = { faults = {} }

function world.say(text, ...)
  io.write(select("#", ...) > 0 and text:format(...) or text, "\n")
  io.flush()
end

function world.fault(text, ...)
  world.faults[#world.faults + 1] = text
  world.say("FAULT: " .. text, ...)
end

local IMPORTS = 4

-- The image of a number: its files, and the commands that make it (spec/support/layout.sh).
local function image(number)
  local files = {}
  -- The lowest layer has the programs that operations use.
  local commands = { "mkdir -p t/bin t/etc && cp $(command -v busybox) t/bin/busybox",
    "for a in $(busybox --list); do ln -s busybox t/bin/$a 2>/dev/null || true; done",
    "tree t >0.tar", "layer 0.tar" }
  for layer = 1, number do
    local name = "l" .. layer
    files[name] = { ("import-%d-%d"):format(number, layer), layer * 500 }
    commands[#commands + 1] = ("rm -rf t; mkdir -p t/s; yes %s | head -n %d >t/s/%s"):format(
      files[name][1], files[name][2], name)
    commands[#commands + 1] = ("tree t >%d.tar; layer %d.tar"):format(layer, layer)
  end
  commands[#commands + 1] = "finish"
  return files, table.concat(commands, "\n")
end

-- Writes down what clients have to know.
local function write_facts()
  local lines = { "registry:" .. world.registry.host,
    "listener:" .. disk.capture("readlink -f build/spec/support/listener") }
  world.imported = {}
  for number = 1, IMPORTS do
    local files, commands = image(number)
    world.registry:push(("stress%d:1"):format(number), commands)
    world.imported[number] = contents.signature(files)
    lines[#lines + 1] = ("import%d:%s"):format(number, (world.imported[number]:gsub(" ", ",")))
  end
  disk.write(world.directory .. "/facts", table.concat(lines, "\n") .. "\n")
end

world.ARGUMENTS = "--max-runs 32 --idle-exit 0"

function world.start()
  world.engine = wire.start(world.ARGUMENTS)
  world.directory = world.engine.directory
  os.execute(("cd %s && mkdir journal logs tmp && chmod 755 . tmp"):format(world.directory))
  world.registry = registry.start()
  write_facts()
end

function world.is_alive(pid)
  local stat = disk.peek(("/proc/%d/stat"):format(pid))
  return stat ~= nil and stat:match("%) (%a)") ~= "Z"
end

--- Whether the engine answers.
function world.answers()
  return (pcall(function() return world.engine:get("/v1/whoami") end))
end

--- Starts the engine again; nothing is done by hand before.
function world.restart()
  local ok, problem = pcall(world.engine.launch, world.engine, world.ARGUMENTS)
  if ok then return end
  -- A client may have been quicker: then this one finds the directory in use.
  if not tostring(problem):find("another contree-engine", 1, true) then
    world.fault("the engine did not start again: %s", tostring(problem))
  end
  wire.eventually("an engine", world.answers)
end

--- What sanitizers have said, of all engines.
function world.sanitizers()
  return disk.capture("cat $TMPDIR/report.* 2>/dev/null | head -n 400")
end

--- What strict engines have said, and clients of the sanitizers.
function world.mistakes()
  return disk.capture(([[cd %s && grep -h -A40 'CONTREE_STRICT=1\|Sanitizer' log s.log logs/* \
    2>/dev/null | head -n 300]]):format(world.directory))
end

--- Keeps journals and logs after a fault; returns where.
function world.keep(seed)
  local kept = ("%s/%d"):format(os.getenv("STRESS_LOGS") or world.directory .. ".kept", seed)
  os.execute(("mkdir -p %s && cd %s && cp -r journal logs log s.log facts kills %s/ 2>/dev/null")
    :format(kept, world.directory, kept))
  return kept
end

return world
