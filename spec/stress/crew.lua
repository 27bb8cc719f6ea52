-- The clients of a stress: programs of spec/stress/clients, and what their journals say.
local cjson = require("cjson")
local disk = require("spec.support.disk")
local journal = require("spec.stress.journal")
local wire = require("spec.support.wire")
local world = require("spec.stress.world")

local crew = { clients = {} }

--- Starts a client, or its next generation: with a journal, and a name in all markers, of its own.
function crew.start_one(client)
  client.generation = client.generation + 1
  client.journal = ("%sg%d"):format(client.name, client.generation)
  local lua = client.kind == "luajit" and "luajit" or "lua5.4"
  local program = client.kind == "luajit" and "lua" or client.kind
  local variables = ("STRESS_DIRECTORY=%s STRESS_NAME=%s STRESS_SEED=%d STRESS_UNTIL=%.3f %s")
    :format(world.directory, client.journal, crew.seed, client.limit,
      crew.kills and "STRESS_KILLS=1" or "")
  client.pid = tonumber(wire.run(([[eval "$(scripts/env %s build)"
    %s exec %s spec/stress/clients/%s.lua >>%s/logs/%s 2>&1 & echo $!]]):format(lua, variables, lua,
      program, world.directory, client.journal)))
end

--- Starts clients, for some seconds.
---@param kinds string such as "lua luajit http mcp"
function crew.start(kinds, seconds, seed, kills)
  crew.seed, crew.kills = seed, kills
  local limit = journal.now() + seconds
  for kind in kinds:gmatch("%S+") do
    local client = { kind = kind, name = kind .. #crew.clients + 1, generation = 0, limit = limit }
    crew.clients[#crew.clients + 1] = client
    crew.start_one(client)
  end
end

--- The names of all journals, or logs.
function crew.names(kind)
  return disk.capture(("ls %s/%s"):format(world.directory, kind or "journal")):gmatch("%S+")
end

local seen = {} -- faults of clients

local function report(record)
  local key = record.line .. record.at
  if seen[key] then return end
  seen[key] = true
  world.fault("%s, %s, from %.3f to %.3f:\n%s", record.line, record.operation, record.began,
    record.at, record.problem)
end

--- Takes new faults of clients; returns the operations that go on.
function crew.look()
  local open = {}
  for name in crew.names() do
    local pending = {}
    local lines = disk.capture(("grep -E '\"kind\":\"(begin|end|fault)\"' %s/journal/%s"):format(
      world.directory, name))
    for text in lines:gmatch("[^\n]+") do
      local ok, record = pcall(cjson.decode, text)
      if ok and record.kind == "fault" then
        report(record)
      elseif ok then
        pending[record.line] = record.kind == "begin" and record or nil
      end
    end
    for _, record in pairs(pending) do
      record.name = name
      open[#open + 1] = record
    end
  end
  return open
end

--- Whether the client of a journal is there.
function crew.has(name)
  for _, client in ipairs(crew.clients) do
    if client.journal == name then return world.is_alive(client.pid) end
  end
  return false
end

--- Ends what is left of them.
function crew.stop()
  for _, client in ipairs(crew.clients) do
    if world.is_alive(client.pid) then os.execute(("kill -KILL %d"):format(client.pid)) end
  end
end

-- A client that was killed leaves commands whose output nobody reads.
local HARMLESS = { "[^\n]*rite error[^\n]*\n", "[^\n]*error writing[^\n]*\n",
  "[^\n]*Broken pipe\n", "[^\n]*I/O error\n" }

--- Whatever a client printed is a fault.
function crew.read_logs()
  for name in crew.names("logs") do
    local text = disk.peek(("%s/logs/%s"):format(world.directory, name)) or ""
    for _, pattern in ipairs(HARMLESS) do text = text:gsub(pattern, "") end
    -- A task that an operation cancels later may fail before, because of a kill.
    if crew.kills then text = text:gsub("contree: a task failed and nobody waited[^\n]*\n", "") end
    if text:find("%S") then world.fault("%s said: %s", name, text:sub(1, 3000)) end
  end
end

return crew
