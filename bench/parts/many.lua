-- Many runs at once from one Lua process: processor time a run, and memory at most.
-- Usage: lua bench/parts/many.lua RUNS
local contree = require("contree")
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local process = require("bench.lib.process")

local runs = tonumber(arg[1])
local client, directory, stop = home.client()
local image = client.images:use("busybox:latest")
image:run("true")
local engine = home.pid(directory .. "/data")

-- Milliseconds of processor time a run, of client and engine.
local function measure(in_flight, options)
  local list = {}
  for i = 1, runs do
    list[i] = function() assert(image:run(options).exit_code == 0) end
  end
  local theirs, ours = process.cpu(engine), os.clock()
  contree.gather(list, { concurrency = in_flight })
  ours = os.clock() - ours
  return ours * 1e3 / runs, (process.cpu(engine) - theirs) * 1e3 / runs
end

local function compare(text, options)
  local client_one, engine_one = measure(1, options)
  local client_many, engine_many = measure(runs, options)
  local function line(who, many, one)
    judge.line{ line = ("%d %s in flight, processor time each: %s"):format(runs, text, who),
      ours = many, peer = one, beside = "one by one", unit = "ms" }
  end
  line("client", client_many, client_one)
  line("engine", engine_many, engine_one)
end

compare("runs", { command = "/bin/true" })
compare("that write to a function", { command = "/bin/echo", args = { "x" },
  stdout = function() end })
for who, pid in pairs{ client = "self", engine = engine } do
  judge.line{ line = ("%d runs in flight, memory at most: %s"):format(runs, who),
    ours = process.peak(pid), unit = "MB" }
end
stop()
