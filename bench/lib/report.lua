-- Makes bench/RESULTS.md and its plot of the lines that were measured:
-- lua bench/lib/report.lua SCRATCH DIRECTORY full|quick
local disk = require("spec.support.disk")
local plot = require("bench.lib.plot")

local scratch, directory, amount = arg[1], arg[2], arg[3]

-- The rows of one kind in a file that judge.lua has written.
local function rows(file, kind)
  local list = {}
  for text in (disk.peek(scratch .. "/" .. file) or ""):gmatch("[^\n]+") do
    local fields = {}
    for field in (text .. "\t"):gmatch("(.-)\t") do fields[#fields + 1] = field end
    if table.remove(fields, 1) == kind then list[#list + 1] = fields end
  end
  return list
end

-- What the other tree had: the ratio, or the figure of a line without a peer.
local before
for _, fields in ipairs(rows("before", "line")) do
  before = before or {}
  before[fields[1]] = fields[5] ~= "" and fields[5] or fields[2]
end

local lines, judged, met = {}, 0, 0
for n, fields in ipairs(rows("lines", "line")) do
  local line, ours, peer, beside, ratio, target, verdict, reached = table.unpack(fields)
  local row = { line, ours, peer ~= "" and ("%s (%s)"):format(peer, beside) or "", ratio,
    target, verdict ~= "" and verdict or "-" }
  if before then table.insert(row, 5, before[line] or "") end
  lines[n] = { line = line, reached = tonumber(reached), verdict = verdict, row = row }
  if verdict ~= "" then judged = judged + 1 end
  if verdict == "met" then met = met + 1 end
end
local times = rows("lines", "times")
if #lines == 0 then os.exit() end

local out = {}
local function add(text, ...) out[#out + 1] = text:format(...) end
local function row(cells)
  for n, cell in ipairs(cells) do cells[n] = tostring(cell):gsub("|", "\\|") end
  add("%s", "| " .. table.concat(cells, " | ") .. " |")
end

local function said(command) return (disk.capture(command):gsub("%s+$", "")) end

add("# Results\n")
add("Written by `make bench%s`, %s. Linux %s, %s cores, load %s at the end.",
  amount == "quick" and " QUICK=1" or "", os.date("!%Y-%m-%d"),
  said("uname -r | grep -o '^[0-9.]*[0-9]'"), said("nproc"), said("cut -d' ' -f1 /proc/loadavg"))
add("%d of %d targets are met%s. [performance.md](../docs/proofs/performance.md) says how to read"
  .. " it.\n", met, judged, before and "; before: another tree, in the same run" or "")
local head = { "", "ours", "beside", "ratio", "target", "" }
if before then table.insert(head, 5, "before") end
row(head)
add("|%s", ("---|"):rep(#head))
for _, line in ipairs(lines) do row(line.row) end
add("\n![Each line, measured by its target](results.svg)\n")
if #times > 0 then
  add("Milliseconds:\n")
  row{ "", "n", "p50", "p95", "p99", "max" }
  add("|---|---|---|---|---|---|")
  for _, fields in ipairs(times) do row(fields) end
end
disk.write(directory .. "/RESULTS.md", table.concat(out, "\n") .. "\n")
disk.write(directory .. "/results.svg", plot.draw(lines))
print(("%d of %d targets are met; %s/RESULTS.md"):format(met, judged, directory))
