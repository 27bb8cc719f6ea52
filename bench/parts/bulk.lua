-- A large file goes through `cat` in a sandbox: from a file to a file, from a function to a
-- function, and from a buffer to a buffer; beside `cat | cat`. The memory is flat if all of
-- it takes no more than a quarter of it. Usage: lua bench/parts/bulk.lua ROUNDS MB
local contree = require("contree")
local disk = require("spec.support.disk")
local home = require("spec.support.home")
local judge = require("bench.lib.judge")
local process = require("bench.lib.process")
local timed = require("bench.lib.timed")
local turns = require("bench.lib.turns")

local PIECE = 64 * 1024
local rounds, mb = tonumber(arg[1]), tonumber(arg[2])
local client, directory, stop = home.client()
local image = client.images:use("busybox:latest")
image:run("true")
local engine = home.pid(directory .. "/data")
local from, to = directory .. "/from", directory .. "/to"
local whole = mb * 1048576

local function cat(stdin, stdout)
  local result = image:run{ command = "cat", stdin = stdin, stdout = stdout,
    truncate_output_at = 2 * whole, timeout = 3600 }
  assert(result.exit_code == 0 and not result.stdout_truncated)
  return result
end

-- Both ends are functions that give and take pieces.
local function functions()
  local file, arrived = assert(io.open(from, "rb")), 0
  cat(function() return file:read(PIECE) end, function(data) arrived = arrived + #data end)
  file:close()
  assert(arrived == whole, "what came out is not what went in")
end

local input
local function buffers()
  local out = contree.buffer()
  cat(contree.buffer(input), out)
  assert(out:length() == whole, "what came out is not what went in")
end

-- A file that replaces another is written to the disk when it is closed.
local function without_result(fn)
  return function()
    os.remove(to)
    return fn()
  end
end

-- Seconds, and milliseconds of processor time a MB of client and engine.
local function measured(fn)
  return without_result(function()
    local theirs, ours = process.cpu(engine), os.clock()
    local took = timed.call(fn)
    ours = os.clock() - ours
    return took, ours * 1e3 / mb, (process.cpu(engine) - theirs) * 1e3 / mb
  end)
end

local function peaks(size)
  timed.shell("head -c %d /dev/urandom > %s", size, from)
  process.forget_peak("self")
  process.forget_peak(engine)
  cat({ path = from }, { path = to })
  timed.shell("cmp %s %s", from, to)
  return { client = process.peak("self"), engine = process.peak(engine) }
end

local quarter, full = peaks(whole // 4), peaks(whole)
input = disk.read(from)
local all = turns.take(rounds, {
  { "cat", without_result(function() return timed.shell("cat %s | cat > %s", from, to) end) },
  { "file", measured(function() cat({ path = from }, { path = to }) end) },
  { "function", measured(functions) }, { "buffer", measured(buffers) },
})
stop()

local function line(text, name, most)
  judge.line{ line = ("%d MB, %s"):format(mb, text), ours = turns.median(all[name]),
    peer = turns.median(all.cat), beside = "cat | cat", unit = "s", most = most }
end
line("file -> cat -> file", "file", 2)
line("function -> cat -> function", "function", 2.5)
line("buffer -> cat -> buffer", "buffer", 2.5)
for n, who in ipairs{ "client", "engine" } do
  judge.line{ line = "file -> cat -> file, processor time a MB: " .. who, unit = "ms",
    ours = turns.median(all.file, n + 1), most = 1 }
end
for _, who in ipairs{ "client", "engine" } do
  judge.line{ line = ("file -> cat -> file, memory at most: %s"):format(who), unit = "MB",
    ours = full[who], peer = quarter[who], beside = ("%d MB"):format(mb // 4), most = 1.2,
    target = "flat (<= 1.2x)" }
end
