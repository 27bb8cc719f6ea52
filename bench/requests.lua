-- Small requests, one after the other and side by side, compared with a loop in C over
-- libcurl alone; they take turns. Usage: lua bench/requests.lua [ROUNDS]
local contree = require("contree")
local core = require("contree.core")
local home = require("spec.support.home")
local process = require("bench.process")

local EACH = 2000
local rounds = tonumber(arg[1]) or 10
local client, directory, stop = home.client()
local socket = directory .. "/engine.sock"
client:whoami()

local function in_c()
  local pipe = assert(io.popen(("build/bench/requests %d %s /v1/whoami"):format(EACH, socket)))
  local took, used = pipe:read("*n", "*n")
  pipe:close()
  return took, used
end

local function in_lua(fn)
  return function()
    local begun, used = core.now(), os.clock()
    fn()
    return core.now() - begun, os.clock() - used
  end
end

local function one_by_one()
  for _ = 1, EACH do client:whoami() end
end

local function side_by_side()
  local list = {}
  for i = 1, EACH do list[i] = function() client:whoami() end end
  contree.gather(list, { concurrency = 100 })
end

local peers = {
  { "C, libcurl alone", in_c }, { "client, one by one", in_lua(one_by_one) },
  { "client, 100 in flight", in_lua(side_by_side) },
}
for _, peer in ipairs(peers) do
  peer.took, peer.used = math.huge, math.huge
  peer[2]()
end
for _ = 1, rounds do
  for _, peer in ipairs(peers) do
    local took, used = peer[2]()
    peer.took, peer.used = math.min(peer.took, took), math.min(peer.used, used)
  end
end
print(("%-24s %12s %14s %8s"):format("the best of " .. rounds, "requests/s", "us of CPU", "x C"))
for _, peer in ipairs(peers) do
  print(("%-24s %12.0f %14.1f %8.2f"):format(peer[1], EACH / peer.took, peer.used * 1e6 / EACH,
    peer.used / peers[1].used))
end
print(("client: %.1f MB at most"):format(process.peak("self")))
stop()
