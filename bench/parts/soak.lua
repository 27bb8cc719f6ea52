-- Very many operations on one engine, 32 in flight; after each hundredth part of them, what
-- engine and client hold at rest. Usage: lua bench/parts/soak.lua RUNS MINUTES CSV SVG
-- Writes a line a sample, and the curves. Ends with 1 if something grows or fails.
local contree = require("contree")
local core = require("contree.core")
local curves = require("bench.lib.curves")
local disk = require("spec.support.disk")
local figures = require("bench.lib.figures")
local home = require("spec.support.home")
local mixture = require("bench.lib.mixture")
local percentiles = require("bench.lib.percentiles")
local process = require("bench.lib.process")
local trend = require("bench.lib.trend")

local runs, minutes = tonumber(arg[1]), tonumber(arg[2])
local SAMPLES, IN_FLIGHT, AT_REST = 100, 32, 2.5 -- seconds until the engine gives back memory
local AGE = "30s" -- what is older and has no tag goes at each sample

-- What is looked at; `slack` is how much more than before is nothing yet, `part` how large a part
-- of it. The C library's allocator goes on to find pieces for some ten thousand pieces of work: of
-- memory in use that is nothing (docs/proofs/soak.md). Times vary with whatever else the machine
-- does, the processor's least; so does what is younger than AGE, and whether the sandboxes that
-- wait for the next run are all there at once.
local CURVES = {
  { name = "engine_mb", title = "engine: memory, MB", slack = 2 },
  { name = "family_mb", title = "with its processes, MB", slack = 8 },
  { name = "engine_fds", title = "engine: descriptors", slack = 2 },
  { name = "family_fds", title = "with its processes", slack = 16 },
  { name = "threads", title = "threads", slack = 0 },
  { name = "processes", title = "processes", slack = 1 },
  { name = "groups", title = "control groups", slack = 2 },
  { name = "mounts", title = "mounts", slack = 1 },
  { name = "disk_mb", title = "data directory, MB", slack = 3, part = 0.5 },
  { name = "entries", title = "its entries", slack = 50, part = 0.5 },
  { name = "client_mb", title = "client: memory, MB", slack = 2 },
  { name = "lua_mb", title = "client: Lua, MB", slack = 0.5 },
  { name = "client_fds", title = "client: descriptors", slack = 2 },
  { name = "cpu_ms", title = "processor time each, ms", slack = 0.2, part = 0.2 },
  { name = "p50_ms", title = "a run of 32 at once: p50, ms", slack = 5, part = 1 },
  { name = "p95_ms", title = "p95, ms", slack = 10, part = 1 },
}

local client, directory, stop = home.client{ engine = { idle = 86400 } }
local work = mixture.new(client, directory)
work.image:run("true")
local engine = home.pid(directory .. "/data")
local failures, samples, done = {}, {}, 0

local function one(n, times)
  local begun = core.now()
  local ok, kind = pcall(mixture.work, work, n)
  if not ok then
    failures[#failures + 1] = ("%d: %s"):format(n, tostring(kind))
    io.stderr:write("failed: ", failures[#failures], "\n")
  elseif kind == "run" then
    times[#times + 1] = (core.now() - begun) * 1e3
  end
end

local function batch(size)
  local list, times, cpu = {}, {}, process.cpu(engine)
  for i = 1, size do
    local n = done + i
    list[i] = function() one(n, times) end
  end
  contree.gather(list, { concurrency = IN_FLIGHT })
  done = done + size
  return times, (process.cpu(engine) - cpu) * 1e3 / size
end

local function collect_garbage()
  local command = ("contree-engine gc --socket %s/engine.sock --data-dir %s/data"
    .. " --untagged-older-than %s --operations-older-than %s --files-older-than %s >/dev/null")
    :format(directory, directory, AGE, AGE, AGE)
  if not os.execute(command) then failures[#failures + 1] = "gc" end
end

local function sample(times, cpu)
  collect_garbage()
  contree.sleep(AT_REST)
  local now = figures.take(engine, directory)
  now.runs, now.cpu_ms = done, cpu
  now.p50_ms, now.p95_ms = percentiles.at(times, 0.5), percentiles.at(times, 0.95)
  samples[#samples + 1] = now
end

-- A line of values, in the order of the curves.
local function line(of)
  local list = { of("runs") }
  for i, curve in ipairs(CURVES) do list[i + 1] = of(curve.name) end
  return table.concat(list, ",") .. "\n"
end

local csv = assert(io.open(arg[3], "w"))
local function write(text)
  csv:write(text)
  csv:flush()
  io.write(text)
  io.flush()
end

local function verdict()
  local grown = 0
  print(("%d pieces of work, %d at once, in %d samples"):format(done, IN_FLIGHT, #samples))
  local kinds = {}
  for kind in pairs(work.counts) do kinds[#kinds + 1] = kind end
  table.sort(kinds)
  for _, kind in ipairs(kinds) do print(("  %-10s %d"):format(kind, work.counts[kind])) end
  for _, curve in ipairs(CURVES) do
    local it = trend.of(samples, curve)
    curve.grows = it.grows
    grown = grown + (it.grows and 1 or 0)
    print(("%-30s %8.1f %8.1f  %s"):format(curve.title, it.before, it.after,
      it.grows and "GROWS" or "flat"))
  end
  print(("verdict: %s, %d failed"):format(grown == 0 and "flat" or "grows", #failures))
  disk.write(arg[4], curves.draw(("%d pieces of work, %d at once"):format(done, IN_FLIGHT),
    samples, CURVES))
  return grown == 0 and #failures == 0
end

write(line(function(name) return name end))
local size, limit = math.max(50, runs // SAMPLES), core.now() + minutes * 60
repeat
  sample(batch(math.min(size, runs - done)))
  write(line(function(name) return ("%.5g"):format(samples[#samples][name]) end))
until done >= runs or core.now() > limit and #samples >= 8
local good = verdict()
csv:close()
stop()
os.exit(good and 0 or 1, true)
