-- How long /bin/true takes, from start to exit: image:run, a bare sandbox of the same kind,
-- crun and podman. They take turns, so that noise of the machine affects all alike.
-- Usage: lua bench/latency.lua [ROUNDS]
local core = require("contree.core")
local home = require("spec.support.home")
local percentiles = require("bench.percentiles")

local rounds = tonumber(arg[1]) or 20
local scratch = arg[2] or "/tmp"

local client, _, stop = home.client()
local image = client.images:use("busybox:latest")

local function lua_runs(options)
  return function(n, out)
    for _ = 1, n do
      local begin = core.now()
      local result = image:run(options)
      out[#out + 1] = (core.now() - begin) * 1e6
      assert(result.exit_code == 0)
    end
  end
end

local function program(command)
  return function(n, out)
    local pipe = assert(io.popen(command:gsub("%%N", tostring(n)) .. " 2>" .. scratch .. "/error"))
    local lines = 0
    for line in pipe:lines() do
      lines = lines + 1
      out[#out + 1] = tonumber(line)
    end
    pipe:close()
    if lines < n then
      local file = io.open(scratch .. "/error")
      error("peer failed: " .. command .. "\n" .. (file and file:read("*a") or ""))
    end
  end
end

-- crun and podman refuse a hybrid cgroup layout: hide its unified half.
local hide = "unshare -m sh -c 'umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"' - "
local peers = {
  { "posix_spawn, no sandbox", 10, program("build/bench/peer %N " .. scratch .. "/root/bin/true") },
  { "bare sandbox (floor)", 10, program("build/bench/floor %N " .. scratch) },
  { "image:run, command", 10, lua_runs{ command = "/bin/true" } },
  { "image:run, kept", 10, lua_runs{ command = "/bin/touch", args = { "/kept" },
    disposable = false } },
  { "crun run", 5, program(hide .. "build/bench/peer %N crun --cgroup-manager=disabled run "
    .. "--bundle " .. scratch .. " contree-bench") },
  { "podman run --rm", 1, program(hide .. "build/bench/peer %N podman run --rm --network none "
    .. "--cgroups=disabled --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --rootfs "
    .. scratch .. "/root /bin/true") },
}

for _, peer in ipairs(peers) do
  peer.times = {}
  peer[3](peer[2], {}) -- warm
end
for _ = 1, rounds do
  for _, peer in ipairs(peers) do peer[3](peer[2], peer.times) end
end
stop()

print(percentiles.head("start to exit, ms") .. "   x floor")
local floor = percentiles.at(peers[2].times, 0.5)
for _, peer in ipairs(peers) do
  print(percentiles.row(peer[1], peer.times, 1e-3)
    .. ("%10.2f"):format(percentiles.at(peer.times, 0.5) / floor))
end
