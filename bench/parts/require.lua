-- Processor time of require("contree") in a fresh process, beside require("cjson") and
-- opening the module's shared library. Usage: lua bench/parts/require.lua PROCESSES
local disk = require("spec.support.disk")
local judge = require("bench.lib.judge")
local percentiles = require("bench.lib.percentiles")
local program = require("bench.lib.program")

local CLOCKED = [[
local clock = os.clock
local begun = clock()
%s
print((clock() - begun) * 1e6)
]]
local OURS = 'require("contree")'
local PEER = 'require("cjson"); assert(package.loadlib(%q, "*"))'

local function prepare(lua)
  local environment = disk.capture('"$BENCH_TREE"/scripts/env ' .. lua)
  local core = assert(environment:match('LUA_CPATH="([^?]*)')) .. "contree/core.so"
  local function command(code)
    return ("%s\n%s -e %s"):format(environment, lua, disk.quote(CLOCKED:format(code)))
  end
  return { lua = lua, commands = { ours = command(OURS), peer = command(PEER:format(core)) },
    times = { ours = {}, peer = {} } }
end

local both = { prepare("lua5.4"), prepare("luajit") }
for _ = 1, tonumber(arg[1]) do
  for _, one in ipairs(both) do
    for who, command in pairs(one.commands) do
      table.insert(one.times[who], program.numbers(command)[1] / 1e3)
    end
  end
end
for _, one in ipairs(both) do
  judge.line{ line = ('require "contree", %s'):format(one.lua), unit = "ms",
    ours = percentiles.at(one.times.ours, 0.5), peer = percentiles.at(one.times.peer, 0.5),
    beside = "cjson and dlopen of core", most = 2 }
end
