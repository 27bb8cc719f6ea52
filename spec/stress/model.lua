-- What must hold when all clients have ended: what they were told is there and right, nothing else
-- is, and the engine is as it was before.
local cjson = require("cjson")
local contents = require("spec.stress.contents")
local crew = require("spec.stress.crew")
local disk = require("spec.support.disk")
local journal = require("spec.stress.journal")
local leftovers = require("spec.stress.leftovers")
local socket = require("socket")
local wire = require("spec.support.wire")
local world = require("spec.stress.world")

local fault, say = world.fault, world.say

local model = {}

local MEMORY = 160 * 1024 -- KiB that the engine may have more at the end: heaps of 20 threads
-- What an engine opens at the first need, and keeps: an airlock's program, a pipe for ports,
-- reports.
local SPARE = { descriptors = 6 }

--- All records of all journals, by their kinds.
function model.records()
  local all = setmetatable({}, { __index = function(t, k) t[k] = {} return t[k] end })
  for name in crew.names() do
    for _, record in ipairs(journal.read(("%s/journal/%s"):format(world.directory, name))) do
      record.name = name
      table.insert(all[record.kind], record)
    end
  end
  return all
end

---- images ----

-- Copies out /s of images whose uuids are on standard input.
local COPY = [[cd %s && while read -r uuid; do mkdir $uuid
  curl -s -f --unix-socket %s "http://localhost/v1/inspect/$uuid/archive?path=/s" |
    tar -xf - -C $uuid 2>/dev/null; done <uuids; find . -type f -path './*/*' >files]]

-- The files of images, by their uuids: signatures, or { problem }. All are looked at by one shell.
local function look_at(uuids)
  local path = world.directory .. "/look"
  os.execute(("rm -rf %s; mkdir %s"):format(path, path))
  disk.write(path .. "/uuids", table.concat(uuids, "\n") .. "\n")
  os.execute(COPY:format(path, world.engine.path))
  local files, found = {}, {}
  for uuid, name in disk.read(path .. "/files"):gmatch("%./([%x-]+)/s/([^\n]+)") do
    local content, problem = contents.parse(disk.read(("%s/%s/s/%s"):format(path, uuid, name)))
    files[uuid] = files[uuid] or {}
    files[uuid][name] = content
    if not content then found[uuid] = { name .. ": " .. problem } end
  end
  for _, uuid in ipairs(uuids) do
    found[uuid] = found[uuid] or contents.signature(files[uuid] or {})
    if found[uuid] == "" then -- without /s, or not there
      local reply = world.engine:get(("/v1/inspect/%s/list?path=/"):format(uuid))
      if reply.status ~= 200 then found[uuid] = { reply.body } end
    end
  end
  os.execute("rm -rf " .. path)
  return found
end

local function shown(found) return type(found) == "table" and found[1] or found end

-- Calls fn with each image that the engine lists.
local function each_image(fn)
  for offset = 0, math.huge, 1000 do
    local list = world.engine:get(("/v1/images?limit=1000&offset=%d"):format(offset)).json.images
    for _, image in ipairs(list) do fn(image) end
    if #list < 1000 then return end
  end
end

local function check_images(all)
  local intended = { [""] = true } -- what an image may be that nobody was told
  for _, record in ipairs(all.intent) do intended[record.files] = true end
  for _, files in ipairs(world.imported) do intended[files] = true end
  local told, uuids, operations = {}, {}, {}
  for _, record in ipairs(all.image) do
    if not record.uuid:find("^tag:") and not told[record.uuid] then
      told[record.uuid] = record
      uuids[#uuids + 1] = record.uuid
    end
  end
  local known = #uuids
  each_image(function(image)
    if not told[image.uuid] then uuids[#uuids + 1] = image.uuid end
    operations[image.uuid] = image.operation_uuid
  end)
  for uuid, found in pairs(look_at(uuids)) do
    local record = told[uuid]
    if record and found ~= record.files then
      fault("image %s of %s: %s, not %s", uuid, record.name, shown(found), record.files)
    elseif not record and not intended[found] then
      fault("image %s, of operation %s, is of nobody: %s", uuid, tostring(operations[uuid]),
        shown(found))
    end
  end
  say("looked at %d images that were told, and %d that were not", known, #uuids - known)
end

local function check_lineage(all)
  for _, record in ipairs(all.image) do
    if record.operation then
      local reply = world.engine:get("/v1/operations/" .. record.operation)
      local made = reply.json
      if reply.status ~= 200 or made.status ~= "SUCCESS" or made.result_image_uuid ~= record.uuid
        or (not record.parent:find("^tag:") and made.image_uuid ~= record.parent) then
        fault("the operation of image %s of %s: %s", record.uuid, record.name, reply.body)
      end
    end
  end
end

---- what else was told ----

-- A tag is where it was told to be, or where a later request, whose answer was lost, moved it.
local function check_tags(all)
  local last, asked = {}, {}
  for _, record in ipairs(all.tagging) do asked[record.tag .. " " .. record.uuid] = record end
  for _, record in ipairs(all.tag) do last[record.tag] = record end
  for tag, record in pairs(last) do
    local now = world.engine:get("/v1/images?tag=" .. tag).json.images[1]
    local other = now and asked[tag .. " " .. now.uuid]
    if not now or (now.uuid ~= record.uuid and not (other and other.at >= record.at)) then
      fault("tag %s is at %s, not %s", tag, now and now.uuid or "none", record.uuid)
    end
  end
end

local function check_uploads(all)
  for _, record in ipairs(all.upload) do
    local reply = world.engine:get("/v1/files/" .. record.sha256)
    if reply.status ~= 200 or reply.json.size ~= record.size then
      fault("upload %s: %d", record.sha256, reply.status)
    end
  end
end

-- A volume has each line that was told, and only lines that somebody wanted to write.
local function check_volumes(all)
  local told, wanted = {}, {}
  for _, record in ipairs(all.volume) do
    told[record.volume] = told[record.volume] or {}
    told[record.volume][record.text] = true
  end
  for _, record in ipairs(all.hope) do wanted[record.volume .. record.text] = true end
  for volume, texts in pairs(told) do
    local made = world.engine:run{ command = "cat", args = { "/v/log" },
      volumes = { ["/v"] = volume }, truncate_output_at = 1e8 }
    for text in wire.bytes(made.metadata.result.stdout):gmatch("[^\n]+") do
      if not wanted[volume .. text] then fault("%q in volume %s", text, volume) end
      texts[text] = nil
    end
    for text in pairs(texts) do fault("%s is lost from volume %s", text, volume) end
  end
end

---- the engine itself ----

local function check_operations()
  wire.eventually("all operations to end", function()
    for _, status in ipairs{ "PENDING", "ASSIGNED", "EXECUTING" } do
      if #world.engine:get("/v1/operations?status=" .. status).json > 0 then return false end
    end
    return true
  end)
end

-- Waits until the engine is as it was before.
local function check_figures(before)
  local data, now, problem = world.engine.data, nil, nil
  local ok = pcall(wire.eventually, "", function()
    world.engine:post("/v1/gc", {})
    now, problem = leftovers.figures(data), nil
    for name, value in pairs(before) do
      if now[name] > value + (SPARE[name] or 0) then
        problem = ("%d %s, before %d"):format(now[name], name, value)
      end
    end
    socket.sleep(0.5)
    return not problem
  end)
  if not ok then fault("left over: %s\n%s", problem, leftovers.show(data)) end
  say("at the end: %s", cjson.encode(now))
end

local function check_memory(before)
  local grown = leftovers.memory(world.engine.data) - before
  say("the engine has %d MiB more memory", math.floor(grown / 1024))
  -- Sanitizers keep what was freed for a while.
  if grown > MEMORY and not os.getenv("STRESS_SLOW") then fault("that is too much") end
end

--- Checks all of it.
---@param before table leftovers.figures()
---@param memory integer leftovers.memory()
function model.check(all, before, memory)
  check_operations()
  check_figures(before)
  check_memory(memory)
  check_images(all)
  check_lineage(all)
  check_tags(all)
  check_uploads(all)
  check_volumes(all)
end

return model
