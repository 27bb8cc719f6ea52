-- Steps of fault_steps.lua on a running engine, without faults, with a mark for each that has
-- begun and for what was told: fault_load.lua DIRECTORY DATA MARKS CLIENT STEPS SEED
local generator = require("spec.support.generator")
local steps = require("spec.support.fault_steps")
local wire = require("spec.support.wire")

local directory, data, marks, client, count, seed = table.unpack(arg)
local random = generator(tonumber(seed) + 7919 * tonumber(client))

local function mark(value)
  value.client = tonumber(client)
  local line = wire.json.encode(value) .. "\n"
  assert(#line < 4096) -- one write is one mark
  local file = assert(io.open(marks, "wb"))
  assert(file:write(line))
  assert(file:close())
end

local function empty() return { images = {}, files = {}, tags = {}, volumes = {} } end

local patient = { told = empty(), number = tonumber(client) * 1000000,
  engine = wire.attach{ directory = directory, data = data, path = directory .. "/s" } }
steps.prepare(patient)
mark{ told = patient.told }
patient.told = empty()
local names = { "upload", "kept", "many_files", "file", "import", "layers", "merge", "tag",
  "volume", "box", "collect", "kept", "upload", "kept" }
for _ = 1, tonumber(count) do
  local name = names[random(#names)]
  mark{ begins = name }
  local ok, why = pcall(steps[name], patient)
  if not ok and not (type(why) == "table" and (why.status == 429 or why.status == 409)) then
    error(type(why) == "table" and (why.refused or why.broken) or why, 0)
  end
  mark{ told = patient.told }
  patient.told = empty()
end
