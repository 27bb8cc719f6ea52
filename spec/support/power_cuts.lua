-- Cuts the power of an engine's disk many times: power_cuts.lua CUTS SEED, in a mount namespace
-- of its own, so that no other process keeps the disks mounted. An engine works on a disk that
-- records what is written and flushed (disk_log.c). Then disks are made as cuts at many moments
-- would have left them, without what was not flushed (disk_cut.py). On each an engine has to
-- start by itself, and to have all that was told before the cut.
local disk = require("spec.support.disk")
local steps = require("spec.support.fault_steps")
local wire = require("spec.support.wire")

local CUTS, SEED = tonumber(arg[1]), tonumber(arg[2])
local CLIENTS = 3
local STEPS = math.max(6, math.min(60, math.floor(CUTS / 2)))

local here = wire.run("pwd")
local place = disk.directory()

local function sh(command, ...)
  return wire.run(("exec 2>&1; cd %s; "):format(place) .. command:format(...))
end

local function engine_at(data, socket)
  return wire.attach{ directory = place, data = place .. data, path = place .. socket,
    prefix = os.getenv("CONTREE_POWER_PREFIX") or "" }
end

-- Two engines of a machine are never at work at once.
local function record()
  local said = sh([[mkdir disk data; truncate -s 1G base; mke2fs -q -t ext4 -m 0 base
    cp --sparse=always base image
    $(dirname $(dirname $(command -v contree-engine)))/spec/support/disk_log image writes disk \
      >disk_log.said 2>&1 &
    for i in $(seq 200); do test -e disk/disk && break; sleep 0.05; done
    mount -o loop disk/disk data]])
  if said ~= "" then error("the disk cannot be mounted: " .. said, 0) end
  local engine = engine_at("/data/data", "/s")
  engine:launch()
  said = sh([[cd %s
    for i in $(seq %d); do
      lua5.4 spec/support/fault_load.lua %s %s/data/data %s/disk/mark $i %d %d || echo failed &
    done; wait]], here, CLIENTS, place, place, place, STEPS, SEED)
  engine:kill("TERM")
  said = said .. sh([[umount data
    for i in $(seq 200); do umount disk 2>/dev/null && break; sleep 0.05; done]])
  if said ~= "" then error(said, 0) end
end

-- What clients have been told, and what they had begun, before a cut.
local function read(lines)
  local told, begun, about = { images = {}, files = {}, tags = {}, volumes = {} }, {}, nil
  local last = {}
  for line in lines:gmatch("[^\n]+") do
    local mark = wire.json.decode(line)
    if mark.records then about = mark end
    if mark.client then begun[mark.client] = mark.begins end
    for kind, list in pairs(mark.told or {}) do
      for key, value in pairs(list) do told[kind][key] = value end
    end
    for tag, image in pairs(mark.told and mark.told.tags or {}) do
      if tag:find("^t:") then last[mark.client] = { tag = tag, image = image } end
    end
  end
  -- An image has one tag, so only the last of each client's is there. Another one may be, which
  -- was not told any more.
  for tag in pairs(told.tags) do
    if tag:find("^t:") then told.tags[tag] = nil end
  end
  for client, each in pairs(last) do
    if begun[client] ~= "tag" then told.tags[each.tag] = each.image end
  end
  return told, about
end

local function check(cut)
  local marks = sh("python3 %s/spec/support/disk_cut.py base writes out.%d %d %d %d", here, cut,
    SEED, cut, CUTS)
  local told, about = read(marks)
  if not about then error(marks, 0) end
  local said = sh("mkdir -p cut; mount -o loop out.%d cut && echo mounted", cut)
  if said ~= "mounted" then error(said, 0) end
  local problems = {}
  about.images = 0
  for _ in pairs(told.images) do about.images = about.images + 1 end
  if sh("ls -d cut/data 2>/dev/null") ~= "" then
    local engine = engine_at("/cut/data", "/cut.s")
    engine.prefix = ""
    local ok, why = pcall(engine.launch, engine)
    if not ok then return { "no start: " .. tostring(why) }, about end
    steps.verify({ told = told, engine = engine }, function(problem)
      problems[#problems + 1] = problem
    end)
    local next_run = engine:run{ command = "true" }
    if next_run.status ~= "SUCCESS" then problems[#problems + 1] = next_run.error end
    engine:kill("KILL")
    for line in disk.read(engine.log):gmatch("[^\n]+") do
      if line:find("on the disk") or line:find("damaged") or line:find("malformed") then
        problems[#problems + 1] = line
      end
    end
    os.remove(engine.log)
  elseif about.images > 0 then
    problems[1] = "no data directory"
  end
  said = sh("umount cut && rm out.%d && echo done", cut)
  if said ~= "done" then error(said, 0) end
  return problems, about
end

local sum = { pieces = 0, dropped = 0, images = 0, of = 0 }
local ok, why = pcall(function()
  record()
  for cut = 0, CUTS - 1 do
    local problems, about = check(cut)
    for name in pairs(sum) do sum[name] = sum[name] + about[name] end
    for _, problem in ipairs(problems) do
      print(("cut %d of %d, record %d of %d: %s"):format(cut, CUTS, about.records, about.of,
        problem))
    end
  end
end)
sh("umount cut; umount data; umount -l disk")
disk.remove(place)
if not ok then print(why) end
print(("%d power cuts in %d writes and flushes: %d of %d unflushed pieces dropped, "
  .. "%d images asked for"):format(CUTS, sum.of / CUTS, sum.dropped, sum.pieces, sum.images))
