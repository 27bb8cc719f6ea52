-- How long /bin/true takes, from start to exit: image:run, a bare sandbox of the same kind,
-- a plain process, crun and podman. Back to back, and with 5 ms between two runs.
-- Usage: lua bench/parts/latency.lua ROUNDS
local contree = require("contree")
local core = require("contree.core")
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local percentiles = require("bench.lib.percentiles")
local program = require("bench.lib.program")

local rounds = tonumber(arg[1])
local scratch = assert(os.getenv("BENCH_SCRATCH"))
local client, _, stop = home.client()
local image = client.images:use("busybox:latest")

local function runs(options, pause)
  return function(n)
    local list = {}
    for i = 1, n do
      local begin = core.now()
      local result = image:run(options)
      list[i] = (core.now() - begin) * 1e6
      assert(result.exit_code == 0)
      if pause then contree.sleep(pause) end
    end
    return list
  end
end

local function prints(command)
  return function(n)
    return program.numbers(command:gsub("%%N", ("%d"):format(n)):gsub("%%D", scratch), n)
  end
end

local DISPOSABLE = { command = "/bin/true" }
local KEPT = { command = "/bin/touch", args = { "/kept" }, disposable = false }
-- crun and podman refuse a hybrid cgroup layout: hide its unified half.
local HIDE = "unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"' - "
local peers = {
  { "posix_spawn", 10, prints("build/peers/peer %N %D/root/bin/true") },
  { "bare sandbox", 10, prints("build/peers/floor %N %D") },
  { "image:run", 10, runs(DISPOSABLE) },
  { "image:run, kept", 10, runs(KEPT) },
  { "posix_spawn, 5 ms apart", 10, prints("build/peers/peer -p 5 %N %D/root/bin/true") },
  { "bare sandbox, 5 ms apart", 10, prints("build/peers/floor -p 5 %N %D") },
  { "image:run, 5 ms apart", 10, runs(DISPOSABLE, 0.005) },
  { "crun run", 4, prints(HIDE .. "build/peers/peer %N crun --cgroup-manager=disabled run "
    .. "--bundle %D contree-bench") },
  { "podman run --rm", 1, prints(HIDE .. "build/peers/peer %N podman run --rm --network none "
    .. "--cgroups=disabled --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --rootfs "
    .. "%D/root /bin/true") },
}

-- The first turns warm up. A peer that does not run here is left out, if we can do without.
local OPTIONAL = { ["crun run"] = true, ["podman run --rm"] = true }
local times, present = {}, {}
for _, peer in ipairs(peers) do
  local ok, err = pcall(peer[3], peer[2])
  if not ok and not OPTIONAL[peer[1]] then error(err, 0) end
  if ok then
    times[peer[1]] = {}
    present[#present + 1] = peer
  else
    print(("  %s is left out: %s"):format(peer[1], err))
  end
end
for _ = 1, rounds do
  for _, peer in ipairs(present) do
    local list = times[peer[1]]
    for _, time in ipairs(peer[3](peer[2])) do list[#list + 1] = time end
  end
end
stop()

local function at(name, q) return percentiles.at(times[name], q or 0.5) / 1e3 end
local function line(text, ours, peer, most)
  judge.line{ line = text, ours = at(ours), peer = at(peer), beside = peer, unit = "ms",
    most = most }
end

print("  " .. percentiles.head("start to exit, ms"))
for _, peer in ipairs(present) do judge.times(peer[1], times[peer[1]], 1e-3) end
line("image:run, back to back", "image:run", "bare sandbox", 1.2)
judge.line{ line = "image:run, its p99 to its p50", ours = at("image:run", 0.99),
  peer = at("image:run"), beside = "its own p50", unit = "ms", most = 3 }
line("image:run, 5 ms apart", "image:run, 5 ms apart", "bare sandbox, 5 ms apart", 1)
line("image:run, 5 ms apart, to a plain process", "image:run, 5 ms apart",
  "posix_spawn, 5 ms apart", 1.5)
local floor = at("bare sandbox")
line("image:run, one small file kept, durable", "image:run, kept", "bare sandbox",
  math.min((at("image:run") + 1) / floor, 2))
for _, peer in ipairs{ "crun run", "podman run --rm" } do
  if times[peer] then line("image:run, to " .. peer, "image:run", peer) end
end
