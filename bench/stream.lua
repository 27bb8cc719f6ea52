-- A large file goes through a sandbox: stdin from a file, `cat`, stdout to a file. This is
-- compared with `cat | cat` and SHA-256 of the same bytes. Then: how soon does a line that a
-- command writes arrive? Usage: lua bench/stream.lua [MB]
local core = require("contree.core")
local hash = require("contree.image.hash")
local home = require("spec.support.home")
local percentiles = require("bench.percentiles")
local process = require("bench.process")

local mb = tonumber(arg[1]) or 1024
local client, directory, stop = home.client()
local image = client.images:use("busybox:latest")
local from, to = directory .. "/from", directory .. "/to"
image:run("true")
local engine = home.pid(directory .. "/data")

local function timed(fn)
  local begun = core.now()
  fn()
  return core.now() - begun
end

local function shell(command)
  return timed(function() assert(os.execute(command)) end)
end

shell(("head -c %d /dev/urandom > %s"):format(mb * 1048576, from))
local cat = shell(("cat %s | cat > %s"):format(from, to))
local sum = timed(function() hash.file(from) end)

local ours, theirs = process.cpu("self"), process.cpu(engine)
local took = timed(function()
  local result = image:run{ command = "cat", stdin = { path = from }, stdout = { path = to },
    truncate_output_at = 2 * mb * 1048576, timeout = 3600 }
  assert(result.exit_code == 0 and not result.stdout_truncated)
end)
assert(hash.file(from) == hash.file(to), "what came out is not what went in")

print(("%d MB through a sandbox"):format(mb))
print(("  cat | cat %34.2f s %8.0f MB/s"):format(cat, mb / cat))
print(("  SHA-256 alone %30.2f s %8.0f MB/s"):format(sum, mb / sum))
print(("  stdin file, cat in the sandbox, stdout file %.2f s %8.0f MB/s   x cat %.1f")
  :format(took, mb / took, took / cat))
for name, pid in pairs{ client = "self", engine = engine } do
  local used = process.cpu(pid) - (name == "client" and ours or theirs)
  print(("  %s: %.1f MB at most, %.2f s of processor time, %.2f ms a MB")
    :format(name, process.peak(pid), used, used * 1000 / mb))
end

-- The time from sending a line to receiving its echo, so more than that of the output alone.
local times, p = {}, image:popen{ "cat" }
for i = 1, 1000 do
  local begun = core.now()
  p.stdin:write("line\n")
  assert(p.stdout:read("l") == "line")
  times[i] = (core.now() - begun) * 1000
end
p.stdin:close()
p:wait()
print(("a line to the command and its echo back: p50 %.2f ms, p99 %.2f, most %.2f")
  :format(percentiles.at(times, 0.5), percentiles.at(times, 0.99), percentiles.at(times, 1)))
stop()
