-- Records runs with perf and prints where most of the samples were taken, for the client, the
-- engine, its forkservers and the sandboxes: system calls, and functions of programs. Times
-- are milliseconds a run; the recording itself takes some, so that they are too large.
-- Usage: lua bench/lib/profile.lua RUNS FILE
local contree = require("contree")
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local process = require("bench.lib.process")

local HERTZ, TOP = 4000, 10
local runs, data = tonumber(arg[1]), arg[2]
local client, directory, stop = home.client()
local image = client.images:use("busybox:latest")
local function run(times)
  for _ = 1, times do image:run{ command = "/bin/true" } end
end
run(50)

-- Which of the groups a process is in. What the family starts later are sandboxes.
local own = tonumber(disk.read("/proc/self/stat"):match("^%d+"))
local engine = home.pid(directory .. "/data")
local family, groups = process.family(engine), {}
for _, pid in ipairs(family) do groups[pid] = "forkservers" end
groups[own], groups[engine] = "client", "engine"

local function record(fn)
  local recorder = tonumber((disk.capture(("perf record -q -g -e cpu-clock -F %d -o %s -p %d,%s"
    .. " >/dev/null & echo $!"):format(HERTZ, data, own, table.concat(family, ",")))))
  contree.sleep(0.5) -- until it has attached
  fn()
  os.execute(("kill -INT %d; %s"):format(recorder, disk.wait_for_end(recorder)))
end

-- What a stack says, the innermost frame first: { function, object } each.
local function place_of(stack)
  for _, frame in ipairs(stack) do
    local call = frame[1]:match("^__x64_sys_(.*)") or frame[1]:match("^__do_sys_(.*)")
    if call then return "system call " .. call end
    if frame[1] == "do_exit" then return "system call exit" end
    if frame[1] == "asm_exc_page_fault" then return "page faults" end
  end
  local inner, object = stack[1][1], stack[1][2]:match("[^/]*$"):gsub("%.so.*", "")
  if object:find("kernel", 1, true) then return "interrupts and the rest of the kernel" end
  if inner == "[unknown]" then return "in " .. object end
  return ("%s (%s)"):format(inner, object)
end

-- The samples of each group: its number, and those of each place.
local function count()
  local found, pid, stack = {}, nil, {}
  local function add()
    local name = groups[pid] or "sandboxes"
    local group = found[name] or { all = 0, places = {} }
    local place = place_of(stack)
    found[name] = group
    group.all = group.all + 1
    group.places[place] = (group.places[place] or 0) + 1
  end
  local pipe = assert(io.popen("perf script -F pid,ip,sym,dso -i " .. data .. " 2>/dev/null"))
  for line in pipe:lines() do
    local where, object = line:match("^%s*%x+ (.-) %((.*)%)%s*$")
    if where then
      stack[#stack + 1] = { where, object }
    elseif line:find("%d") then
      pid = tonumber(line)
    else
      if stack[1] then add() end
      stack = {}
    end
  end
  pipe:close()
  return found
end

local function print_group(name, group)
  local names = {}
  for place in pairs(group.places) do names[#names + 1] = place end
  table.sort(names, function(a, b) return group.places[a] > group.places[b] end)
  print(("\n%s: %.3f ms a run"):format(name, group.all * 1e3 / HERTZ / runs))
  for n = 1, math.min(TOP, #names) do
    local samples = group.places[names[n]]
    print(("%8.3f ms %5.1f %%  %s"):format(samples * 1e3 / HERTZ / runs,
      samples * 100 / group.all, names[n]))
  end
end

record(function() run(runs) end)
stop()
local found = count()
print(("%d runs"):format(runs))
for _, name in ipairs{ "client", "engine", "forkservers", "sandboxes" } do
  if found[name] then print_group(name, found[name]) end
end
