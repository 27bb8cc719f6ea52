-- Processor time of small requests: the client under both Luas, a loop in C over libcurl
-- alone, and Python's httpx, over the same Unix socket.
-- Usage: lua bench/parts/requests.lua ROUNDS
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local program = require("bench.lib.program")
local turns = require("bench.lib.turns")

local EACH = 2000
local rounds = tonumber(arg[1])
local client, directory, stop = home.client()
client:whoami()
local socket = disk.quote(directory .. "/engine.sock")

-- Microseconds of processor time a request, and requests a second.
local function peer(command, ...)
  command = command:format(...)
  return function()
    local got = program.numbers(command, 2)
    return got[2] * 1e6 / EACH, EACH / got[1]
  end
end
local OURS = [[eval "$("$BENCH_TREE"/scripts/env %s)"; %s bench/peers/requests.lua %d %s %d]]
local function ours(lua, in_flight) return peer(OURS, lua, lua, EACH, socket, in_flight) end

local all = turns.take(rounds, {
  { "C", peer("build/peers/requests %d %s /v1/whoami", EACH, socket) },
  { "LuaJIT", ours("luajit", 1) }, { "Lua 5.4", ours("lua5.4", 1) },
  { "LuaJIT, 100 in flight", ours("luajit", 100) },
  { "Lua 5.4, 100 in flight", ours("lua5.4", 100) },
  { "httpx", peer("bench/peers/requests.py %d %s /v1/whoami", EACH, socket) },
})
stop()

local function line(lua, beside, most, target)
  judge.line{ line = "small request, " .. lua .. (beside == "C" and "" or ", to httpx"),
    ours = turns.least(all[lua]), unit = "us",
    peer = turns.least(all[beside]), beside = beside == "C" and "C, libcurl" or beside,
    most = most, target = target }
end
line("LuaJIT", "C", 1.3)
line("Lua 5.4", "C", 1.6)
line("LuaJIT", "httpx", 1 / 8, "<= 1/8")
line("Lua 5.4", "httpx", 1 / 8, "<= 1/8")
line("LuaJIT, 100 in flight", "C")
line("Lua 5.4, 100 in flight", "C")
