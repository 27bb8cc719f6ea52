-- Large contents up and down, as ratios to SHA-256 of the same bytes (libcrypto, in this
-- process). Usage: lua bench/files.lua [MB [ROUNDS]]
local contree = require("contree")
local core = require("contree.core")
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local percentiles = require("bench.percentiles")
local process = require("bench.process")

local mb, rounds = tonumber(arg[1]) or 1024, tonumber(arg[2]) or 3
local client, directory, stop = home.client()
local image = client.images:use("busybox:latest")
local from, to = directory .. "/from", directory .. "/to"
image:run("true")
local engine = home.pid(directory .. "/data")

local times, cpu = {}, {}

-- Memory that a virtual machine has not used before is slow at first use, and the page cache
-- takes a lot of it: so as much is used and given back before each measurement.
local function warm_up()
  disk.capture(("head -c %d /dev/zero > %s.warm; rm %s.warm; sync"):format(
    mb * 1048576 * 5 // 4, from, from))
end

local function measure(name, fn)
  warm_up()
  local ours, theirs, begun = process.cpu("self"), process.cpu(engine), core.now()
  local answer = fn()
  times[name], cpu[name] = times[name] or {}, cpu[name] or { 0, 0 }
  table.insert(times[name], core.now() - begun)
  cpu[name][1] = cpu[name][1] + (process.cpu("self") - ours) / rounds
  cpu[name][2] = cpu[name][2] + (process.cpu(engine) - theirs) / rounds
  return answer
end

-- The longest time for which a task that only yields did not run.
local function gap(fn)
  local most, over = 0, false
  local ticker = contree.spawn(function()
    local last = core.now()
    while not over do
      contree.sleep(0)
      local now = core.now()
      most, last = math.max(most, now - last), now
    end
  end)
  contree.spawn(function()
    fn()
    over = true
  end):wait()
  ticker:wait()
  return most
end

local most = 0
for _ = 1, rounds do
  disk.capture(("head -c %d /dev/urandom > %s; sync"):format(mb * 1048576, from))
  local sum = measure("SHA-256 alone", function() return core.hash_file(from):step(1e9) end)
  local file = measure("upload", function() return client.files:upload(from) end)
  assert(file.sha256 == sum)
  measure("upload, there already", function() return client.files:upload(from) end)
  local result = image:run{ command = "true", files = { ["/f"] = from }, disposable = false }
  os.remove(to)
  disk.capture("sync")
  measure("download", function() return result:download("/f", to) end)
  assert(core.hash_file(to):step(1e9) == sum)
  most = math.max(most, gap(function() client.files:upload(from) end))
end

print(("%d MB                       p50 s  x SHA-256   client CPU   engine CPU"):format(mb))
local alone = percentiles.at(times["SHA-256 alone"], 0.5)
for _, name in ipairs{ "SHA-256 alone", "upload", "upload, there already", "download" } do
  local took = percentiles.at(times[name], 0.5)
  print(("  %-22s %8.2f %10.2f %10.2f s %10.2f s"):format(name, took, took / alone,
    cpu[name][1], cpu[name][2]))
end
print(("  the loop stood still for at most %.1f ms while an upload hashed"):format(most * 1000))
stop()
