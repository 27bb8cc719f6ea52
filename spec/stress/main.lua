-- A stress of one engine by many clients at once, and a model of what must hold.
--   scripts/stress, or lua5.4 spec/stress/main.lua [SECONDS]
--     SEED=N       the same operations in the same order, for each line of a client
--     KILLS=N      kills engine, sandboxes and clients at N random moments
--     CLIENTS="lua luajit http http mcp"
--     STRESS_ONLY="keep merge"   these operations alone
-- docs/proofs/stress.md says what it checks, and what it found.
local cjson = require("cjson")
local crew = require("spec.stress.crew")
local disk = require("spec.support.disk")
local journal = require("spec.stress.journal")
local kills = require("spec.stress.kills")
local leftovers = require("spec.stress.leftovers")
local model = require("spec.stress.model")
local socket = require("socket")
local world = require("spec.stress.world")

local SECONDS = tonumber(arg[1]) or 20
local SEED = tonumber(os.getenv("SEED") or os.getenv("CONTREE_SEED")) or os.time()
local KILLS = tonumber(os.getenv("KILLS"))
local KINDS = os.getenv("CLIENTS") or "lua luajit http http mcp"
local SLOWNESS = tonumber(os.getenv("CONTREE_TEST_SLOWNESS")) or 1
local DEADLINE = 150 * SLOWNESS -- of one operation, in seconds
local MANY = 10 -- faults, after which it ends

local fault, say = world.fault, world.say

-- Whether an operation hangs, or there are too many faults; says so.
local function is_stuck()
  for _, record in ipairs(crew.look()) do
    if crew.has(record.name) and journal.now() - record.at > DEADLINE then
      fault("%s, %s: it hangs since %.3f\n%s", record.line, record.operation, record.at,
        leftovers.show(world.engine.data))
      return true
    end
  end
  return #world.faults >= MANY
end

-- How many clients run; those that were killed are started again.
local function running()
  local count = 0
  for _, client in ipairs(crew.clients) do
    if not world.is_alive(client.pid) and KILLS and journal.now() < client.limit then
      crew.start_one(client)
    end
    if world.is_alive(client.pid) then count = count + 1 end
  end
  return count
end

-- Returns true when all clients have ended.
local function watch()
  local left, next_look = KILLS or 0, 0
  local next_kill = socket.gettime() + kills.part()
  while running() > 0 do
    local now = socket.gettime()
    if left > 0 and now >= next_kill then
      if kills.one() then left = left - 1 end
      next_kill = now + kills.part() * 1.6 * SECONDS / KILLS
    end
    if now >= next_look then
      if is_stuck() then return false end
      next_look = socket.gettime() + 2
    end
    kills.look_at_engine()
    socket.sleep(0.05)
  end
  is_stuck()
  return true
end

local function count(all)
  local failed = 0
  for _, record in ipairs(all["end"]) do failed = failed + (record.failed and 1 or 0) end
  say("%d operations have ended, %d of which failed when something was killed", #all["end"], failed)
  if KILLS then say("killed: %s", cjson.encode(kills.counts)) end
end

local function stress()
  local before = leftovers.figures(world.engine.data)
  local memory = leftovers.memory(world.engine.data)
  say("at the beginning: %s", cjson.encode(before))
  crew.start(KINDS, SECONDS, SEED, KILLS ~= nil)
  if not watch() then return end
  if not world.answers() then world.restart() end
  local all = model.records()
  count(all)
  model.check(all, before, memory)
end

local function stop()
  crew.stop()
  crew.read_logs()
  world.registry:stop()
  if #world.faults > 0 then say("the operations are in %s/journal", world.keep(SEED)) end
  local pid = leftovers.engine(world.engine.data)
  if pid and world.is_alive(pid) then
    world.engine.pid = pid
    local stopped, why = pcall(world.engine.stop, world.engine)
    if not stopped then fault("%s", tostring(why)) end
  end
  -- Leaks are told at the end.
  local said = world.sanitizers()
  if said ~= "" then fault("%s", said) end
  local traces = leftovers.traces(world.directory)
  if traces ~= "" then fault("left after the end: %s", traces) end
  disk.remove(world.directory)
end

say("stress of %d s, seed %d%s", SECONDS, SEED, KILLS and (", %d kills"):format(KILLS) or "")
kills.begin(SEED)
world.start()
world.engine:run{ command = "true" }
socket.sleep(1)
local ok, problem = xpcall(stress, debug.traceback)
if not ok then fault("%s", tostring(problem)) end
local mistakes = world.mistakes()
if mistakes ~= "" then fault("%s", mistakes) end
stop()
if #world.faults > 0 then
  say("%d faults; SEED=%d does the same operations", #world.faults, SEED)
  os.exit(1)
end
say("no fault")
