-- A large file goes up (`files =`) and down (`download`), beside SHA-256 of it alone; and how
-- long the host's loop is held meanwhile. Usage: lua bench/parts/files.lua ROUNDS MB
local held = require("bench.lib.held")
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local process = require("bench.lib.process")
local program = require("bench.lib.program")
local timed = require("bench.lib.timed")
local turns = require("bench.lib.turns")

local rounds, mb = tonumber(arg[1]), tonumber(arg[2])
local client, directory, stop = home.client()
local image = client.images:use("busybox:latest")
image:run("true")
local engine = home.pid(directory .. "/data")
local from, to = directory .. "/from", directory .. "/to"
timed.shell("head -c %d /dev/urandom > %s", mb * 1048576, from)

-- Another content each time, so that the server lacks it.
local number = 0
local function change()
  number = number + 1
  local file = assert(io.open(from, "r+b"))
  file:write(("%16d"):format(number))
  file:close()
end

local function upload() client.files:upload(from) end
local function run() image:run{ command = "/bin/true", files = { ["/big"] = from } } end

local kept = image:run{ command = "/bin/true", files = { ["/big"] = from }, disposable = false }
local function download() kept:download("/big", to) end
download()
timed.shell("cmp %s %s", from, to)

local function up(fn, measure)
  return function()
    change()
    return measure(fn)
  end
end

-- To a file that is not there: ext4 writes the data out when another file is replaced.
local function down(measure)
  return function()
    os.remove(to)
    return measure(download)
  end
end

process.forget_peak("self")
process.forget_peak(engine)
local all = turns.take(rounds, {
  { "sha256", function() return program.numbers("build/peers/sha256 " .. from)[1] end },
  { "upload", up(upload, timed.call) }, { "run", up(run, timed.call) },
  { "download", down(timed.call) },
  { "upload holds", up(upload, held.longest) },
  { "download holds", down(held.longest) },
})
local client_peak, engine_peak = process.peak("self"), process.peak(engine)
stop()

local function line(text, name, most)
  judge.line{ line = ("%d MB: %s"):format(mb, text), ours = turns.median(all[name]),
    peer = turns.median(all.sha256), beside = "SHA-256 alone", unit = "s", most = most }
end
line("upload alone", "upload", 1.35)
line("files =, the upload and a run with it", "run", 1.35)
line("download", "download", 1.35)
for _, name in ipairs{ "upload", "download" } do
  judge.line{ line = name .. ": a host's loop is held, at most", unit = "ms", most = 4,
    ours = turns.least(all[name .. " holds"]) }
end
judge.line{ line = "up and down: memory at most, client", ours = client_peak, unit = "MB" }
judge.line{ line = "up and down: memory at most, engine", ours = engine_peak, unit = "MB" }
