--- Files that are put on an image without a command: as one layer, or, where that cannot be
-- done, by a run of `true`.

local errors = require("contree.base.errors")
local filesystem = require("contree.image.filesystem")
local layers = require("contree.image.layers")
local stdio = require("contree.base.stdio")
local text = require("contree.base.text")
local tar = require("contree.base.tar")

local stage = {}

local CHUNK = 262144

-- Whether an archive can have an entry of a plan: not what only the server has, nor what would
-- be taken for a mark that removes.
local function fits(entry)
  return not entry.uuid and not entry.destination:find("/$")
    and not entry.destination:find("/%.wh%.")
end

local function open(path)
  local file, problem = stdio.open_file(path, "rb")
  local size = file and file:seek("end")
  if not size then errors.raise("file", "files: cannot read " .. tostring(problem or path)) end
  file:seek("set")
  return file, size
end

-- The pieces of one entry of an archive: a header, the content, the rest of the last block.
local function pieces_of(entry)
  local file, size, left
  local data = entry.data
  if data then size = #data else file, size = open(entry.path) end
  local function content()
    if left == 0 then return nil end
    local bytes = data or file:read(math.min(CHUNK, left))
    if not bytes then
      errors.raise("file", ("files: %s has changed meanwhile"):format(entry.path))
    end
    left = left - #bytes
    return bytes
  end
  return function()
    if not left then
      left = size
      return tar.header({ name = entry.destination:sub(2), type = "file", size = size,
        mode = tonumber(entry.mode, 8), uid = entry.uid or 0, gid = entry.gid or 0,
        mtime = os.time() })
    end
    local bytes = content()
    if bytes or not size then return bytes end
    if file then file:close() end
    bytes, size = tar.padding(size), nil
    return bytes
  end
end

-- The archive of some entries, for layers.put.
local function feed(entries)
  return function()
    local at, pieces, over = 0, nil, false
    return function()
      while not over do
        local bytes = pieces and pieces()
        if bytes then return bytes end
        at = at + 1
        if not entries[at] then
          over = true
          return tar.FINISH
        end
        pieces = pieces_of(entries[at])
      end
    end
  end
end

-- A layer would replace a directory with a file, and all that is in it would be gone.
local function check_places(self, uuid, entries)
  local listed = {}
  for _, entry in ipairs(entries) do
    local parent, name = entry.destination:match("^(.*)/([^/]+)$")
    if not listed[parent] then
      local ok, found = pcall(filesystem.ls, self, uuid, parent == "" and "/" or parent)
      if not ok and not (errors.is(found, "not_found") or errors.is(found, "unprocessable")) then
        error(found, 0)
      end
      listed[parent] = {}
      for _, each in ipairs(ok and found or {}) do listed[parent][each.name] = each.is_dir end
    end
    if listed[parent][name] then
      errors.raise("unprocessable", ("files: cannot replace %s: it is a directory")
        :format(entry.destination))
    end
  end
end

-- Put what fits into layers on an image. Returns what is left, as files= of a run, and the
-- image's uuid.
local function put_layers(self, uuid, plan)
  local left, single = {}, {}
  for _, tree in ipairs(plan.trees) do
    local made = layers.add(self, uuid, tree)
    if not made then return nil end
    uuid = made
  end
  for _, entry in ipairs(plan) do table.insert(fits(entry) and single or left, entry) end
  if #single > 0 and layers.can(self) then check_places(self, uuid, single) end
  local made = #single == 0 and uuid or layers.put(self, uuid, "/", feed(single))
  return made and left, made
end

--- Put the files of a plan on an image; returns the uuid of the new one.
---@async
---@param self contree.Client
---@param uuid string
---@param plan table of files.plan
---@param execute fun(uuid: string, plan: table): string puts them there by a run
---@return string
function stage.put(self, uuid, plan, execute)
  local left, made = put_layers(self, uuid, plan)
  if not left then return execute(uuid, plan) end
  if #left == 0 then return made end
  left.trees = {}
  return execute(made, left)
end

--- The destinations of a plan in words.
---@return string
function stage.title(plan)
  local names = {}
  for _, list in ipairs{ plan, plan.trees } do
    for _, each in ipairs(list) do names[#names + 1] = each.destination end
  end
  table.sort(names)
  return "stage " .. text.some(names, 3)
end

return stage
