-- kill -9, at random: the engine, its launcher, sandboxes, what runs in them, the airlock, clients,
-- and the programs of clients (contree, contree mcp).
local crew = require("spec.stress.crew")
local disk = require("spec.support.disk")
local journal = require("spec.stress.journal")
local leftovers = require("spec.stress.leftovers")
local random = require("spec.stress.random")
local wire = require("spec.support.wire")
local world = require("spec.stress.world")

local kills = { counts = {}, pids = {} }

local moments

--- Begins with the kills of a seed.
function kills.begin(seed) moments = random.new(seed, "kills") end

--- A random part of a second's multiple.
function kills.part() return moments:part() end

-- One of those that a command lists, or nil.
local function any(command)
  local pids = {}
  for pid in wire.run(command .. " | tr '\\n' ' '"):gmatch("%d+") do pids[#pids + 1] = pid end
  return #pids > 0 and tonumber(moments:pick(pids)) or nil
end

local function child(pid) return pid and any(("pgrep -P %d"):format(pid)) end
local function engine() return leftovers.engine(world.engine.data) end

-- The children of a launcher are the sandboxes: contree-init. Theirs are the commands of runs.
local targets = {
  engine = engine,
  launcher = function() return child(engine()) end,
  sandbox = function() return child(child(engine())) end,
  command = function() return child(child(child(engine()))) end,
  airlock = function()
    local pid = engine()
    return pid and any(("for p in %d $(pgrep -P %d); do pgrep -x contree-airlock -P $p; done")
      :format(pid, pid))
  end,
  client = function() return moments:pick(crew.clients).pid end,
  program = function() return any(("pgrep -f '%s/bin/contree'"):format(wire.run("pwd"))) end,
}
local CHANCES = { engine = 4, launcher = 1, sandbox = 2, command = 1, airlock = 1, client = 2,
  program = 2 }

--- Kills one of them; false: there was none.
function kills.one()
  local name = moments:weighed(CHANCES)
  local pid = targets[name]()
  if not pid then return false end
  -- Clients read this, to know what failures are no faults.
  local path = world.directory .. "/kills"
  disk.write(path .. ".new", ("%s%s %d %.3f\n"):format(disk.peek(path) or "", name, pid,
    journal.now()))
  os.execute(("mv %s.new %s; kill -KILL %d 2>/dev/null"):format(path, path, pid))
  kills.counts[name], kills.pids[pid] = (kills.counts[name] or 0) + 1, true
  if name == "engine" then
    wire.eventually("the engine to end", function() return not world.is_alive(pid) end)
    if moments:chance(0.7) then world.restart() end -- else a client does
  end
  return true
end

local known = {} -- engines

--- Says so when an engine has ended that was not killed. Call it often.
function kills.look_at_engine()
  local pid = engine()
  if pid and world.is_alive(pid) then known[pid] = true end
  for other in pairs(known) do
    if not world.is_alive(other) then
      known[other] = nil
      if not kills.pids[other] then world.fault("engine %d has ended by itself", other) end
    end
  end
end

return kills
