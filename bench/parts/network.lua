-- What a connection costs that leaves a sandbox with rules for its network, beside one that
-- leaves no sandbox: the time of a new connection and of an answer, the throughput, and many
-- at once. All of it on the loopback interface, where nothing else takes time.
-- Usage: lua bench/parts/network.lua ROUNDS
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local percentiles = require("bench.lib.percentiles")
local program = require("bench.lib.program")

local CONNECTIONS, ANSWERS, MEGABYTES, MANY = 500, 2000, 512, 500

local rounds = tonumber(arg[1])
local client, _, stop = home.client()
local image = client.images:use("busybox:latest")
local server = assert(io.popen("exec build/peers/net serve", "r"))
local port, pid = assert(server:read("l")):match("(%d+) (%d+)")

local function direct(what, amount)
  return program.numbers(("build/peers/net %s 127.0.0.1 %d %d"):format(what, port, amount))
end

-- The first name of a run has the first of the addresses that are made up.
local function inside(what, amount)
  local result = image:run{
    shell = ("nslookup peer.example >/dev/null; /net %s 198.18.0.1 7000 %d"):format(what, amount),
    files = { ["/net"] = "build/peers/net" },
    networking = {
      allow = { "peer.example:7000" },
      resolve = { ["peer.example"] = "127.0.0.1:" .. port },
    },
  }
  assert(result.exit_code == 0, result.stderr)
  local list = {}
  for number in result.stdout:gmatch("%S+") do list[#list + 1] = tonumber(number) end
  return list
end

local function append(list, more)
  for _, value in ipairs(more) do list[#list + 1] = value end
end

local function both(what, amount)
  local ours, peer = {}, {}
  for _ = 1, rounds do
    append(peer, direct(what, amount))
    append(ours, inside(what, amount))
  end
  return ours, peer
end

for _, part in ipairs{
  { "connect", CONNECTIONS, "a connection and its answer" },
  { "echo", ANSWERS, "an answer on a connection" },
} do
  local ours, peer = both(part[1], part[2])
  judge.times(part[3] .. ", direct", peer, 0.001)
  judge.times(part[3] .. ", with rules", ours, 0.001)
  judge.line{ line = part[3] .. ": what rules add",
    ours = (percentiles.at(ours, 0.5) - percentiles.at(peer, 0.5)) / 1000, most = 1,
    unit = "ms" }
end
for _, way in ipairs{ "down", "up" } do
  local ours, peer = both(way, MEGABYTES)
  judge.line{ line = "bytes " .. way .. ", with rules for the network",
    ours = percentiles.at(ours, 0.5), peer = percentiles.at(peer, 0.5), beside = "direct",
    least = 0.6, unit = "MB/s" }
end
judge.line{ line = "connections at once that answer, with rules",
  ours = inside("many", MANY)[1], least = MANY }
os.execute("kill " .. pid)
server:close()
stop()
