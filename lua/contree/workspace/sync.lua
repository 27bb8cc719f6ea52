--- The folder comes in: what has changed on the host since it last did becomes one layer of the
--- session's image, and of the mirror, an image that holds the folder and nothing else.
--- `self` is the contree.Workspace.

local clash = require("contree.workspace.clash")
local compare = require("contree.workspace.compare")
local diff = require("contree.image.diff")
local errors = require("contree.base.errors")
local filesystem = require("contree.image.filesystem")
local image = require("contree.image")
local layers = require("contree.image.layers")
local look = require("contree.workspace.look")
local loop = require("contree.loop")
local moves = require("contree.session.moves")
local packed = require("contree.workspace.packed")
local tasks = require("contree.loop.task")

local sync = {}

-- How often files that change while they are read are looked at again.
local ATTEMPTS = 4
local SMALL = 1048576 -- bytes of an archive that is held in memory

--- What came in last: the mirror and its index; the second result says that it belongs to the
--- session's image itself.
---@async
---@return contree.workspace.Record
function sync.last(self)
  local chain = self.past:chain(self.tip)
  for i = #chain, 1, -1 do
    local uuid = chain[i].uuid or image.uuid_of(moves.image_of(self, chain[i]))
    chain[i].uuid = uuid
    local found = self.records:of(uuid)
    if found then return found end
  end
  return { base = chain[1].uuid, index = "" }
end

--- A survey against what came in last.
---@async
function sync.look(self, last)
  local survey, found = look.at{ path = self.path, index = last.index, ignore = self.ignore,
    max_file = self.max_file, scratch = self.records.directory, known = self.known }
  self.known = not found.all and found.list or nil
  self.rule, self.rule_reason, self.skipped = found.rule, found.reason, survey:skipped()
  return survey
end

-- The pieces of an archive of what a survey has found, but what is in `less.skip`.
local function feed(self, survey, less)
  return function()
    survey:pack(less.skip, less.keep)
    return function()
      local bytes, problem = survey:piece(loop.SLICE)
      if problem then
        errors.raise("file", ("workspace: cannot read %s/%s"):format(self.path, problem))
      end
      return bytes
    end
  end
end

-- A small archive as a whole, so that two images can get it at the same time; else nil.
local function whole(pieces)
  local parts, size = {}, 0
  for bytes in pieces() do
    parts[#parts + 1], size = bytes, size + #bytes
    if size > SMALL then return nil end
    loop.pace()
  end
  local text = table.concat(parts)
  return function()
    local left = text
    return function()
      local bytes = left
      left = nil
      return bytes
    end
  end
end

local function index_of(survey)
  loop.pace()
  local index = survey:index()
  loop.pace()
  return index
end

-- Put what has changed on an image.
local function put(self, uuid, survey, less, pieces)
  pieces = pieces or feed(self, survey, less)
  return layers.put(self.client, uuid, self.at, pieces)
    or packed.put(self, uuid, pieces, survey, less.skip)
end

local function between(self, last, limit)
  if not self.client.compares_here then
    local ok, changes, truncated = pcall(diff.between, self.client, image.uuid_of(self.image),
      last.base, { path = self.at, limit = limit })
    if ok then return changes, truncated end
    if not errors.is(changes, "not_supported") then error(changes, 0) end
    self.client.compares_here = true
  end
  return compare.inside(self, last)
end

--- What the runs have changed below the folder's place since it last came in.
---@async
---@param limit? integer
---@return contree.Changes changes, boolean truncated
function sync.inside(self, last, limit)
  if image.uuid_of(self.image) == last.base then return diff.list(self.client, {}), false end
  local changes, truncated = between(self, last, limit)
  local strip = #self.at + 2
  for i = #changes, 1, -1 do
    changes[i].path = changes[i].path:sub(strip)
    if changes[i].path == "" then table.remove(changes, i) end
  end
  return changes, truncated
end

--- The paths that changed on both sides, and not to the same.
---@async
---@return contree.workspace.Clash[]
function sync.clashes(self, last, survey)
  if image.uuid_of(self.image) == last.base then return {}, {}, {} end
  return clash.find(self, survey:delta(), sync.inside(self, last))
end

local function names_of(clashes)
  local list = {}
  for i, each in ipairs(clashes) do list[i] = each.path end
  table.sort(list)
  if #list > 5 then list[6], list[7] = ("and %d more"):format(#list - 5), nil end
  return table.concat(list, ", ", 1, math.min(#list, 6))
end

local function raise_clash(clashes)
  errors.raise("conflict", ("workspace: changed both in the folder and in the sandbox: %s")
    :format(names_of(clashes)), { paths = clashes,
    hint = 'sync{ prefer = "host" } or { prefer = "sandbox" } decides; conflicts() lists them' })
end

local function title_of(counts)
  local parts = {}
  for _, each in ipairs{ "added", "changed", "removed" } do
    if counts[each] > 0 then parts[#parts + 1] = ("%d %s"):format(counts[each], each) end
  end
  return "workspace: " .. table.concat(parts, ", ")
end

local function add_entry(self, uuid, counts)
  local entry = { uuid = uuid, kind = "files", title = title_of(counts) }
  if not self.past:add(moves.place_of(self), entry) then moves.raise_moved(self, {}) end
  moves.go(self, entry)
end

-- Put it on the mirror, and what is not in `less` on the session's image.
local function put_both(self, last, survey, less)
  local tip = image.uuid_of(self.image)
  local all = whole(feed(self, survey, {}))
  local index = index_of(survey)
  local rest = all and whole(feed(self, survey, less))
  if rest then
    local made = tasks.gather({
      function() return put(self, last.base, survey, {}, all) end,
      function() return put(self, tip, survey, less, rest) end,
    }, 2)
    return made[1], made[2], index
  end
  local mirror = put(self, last.base, survey, {})
  index = index_of(survey)
  return mirror, put(self, tip, survey, less), index
end

local function size_of(set)
  local size = 0
  for _ in pairs(set) do size = size + 1 end
  return size
end

-- Send what a survey has found to the mirror, and to the session's image but what it has
-- already or keeps as it is.
local function send(self, last, survey, counts, less)
  local tip = image.uuid_of(self.image)
  local total = counts.added + counts.changed + counts.removed
  local mirror, index, uuid
  if tip == last.base or size_of(less.skip) == total then
    mirror = put(self, last.base, survey, {})
    index, uuid = index_of(survey), tip == last.base and mirror or tip
  else
    mirror, uuid, index = put_both(self, last, survey, less)
  end
  self.records:keep(uuid, { base = mirror, index = index })
  if uuid ~= tip then add_entry(self, uuid, counts) end
end

local function once(self, prefer)
  local last = sync.last(self)
  local survey = sync.look(self, last)
  local counts = survey:counts()
  if counts.added + counts.changed + counts.removed > 0 then
    local clashes, skip, keep = sync.clashes(self, last, survey)
    if #clashes > 0 and not prefer then raise_clash(clashes) end
    for _, each in ipairs(prefer == "sandbox" and clashes or {}) do skip[each.path] = true end
    send(self, last, survey, counts, { skip = skip, keep = keep })
  elseif counts.refreshed > 0 then
    self.records:keep(image.uuid_of(self.image), { base = last.base, index = index_of(survey) })
  end
  local unsettled = survey:unsettled()
  self.skipped = survey:skipped()
  survey:close()
  return counts, unsettled
end

--- Bring in what has changed on the host.
---@async
---@param prefer? "host"|"sandbox" who wins where both sides have changed
---@return table counts { added, changed, removed }
function sync.run(self, prefer)
  moves.catch_up(self)
  local counts = { added = 0, changed = 0, removed = 0 }
  for _ = 1, ATTEMPTS do
    local found, unsettled = once(self, prefer)
    for name in pairs(counts) do counts[name] = counts[name] + found[name] end
    if not unsettled then break end
  end
  return counts
end

--- Note that the folder has some paths as they are now, and leave the session's image as it
--- is: for paths that were brought home from it, or taken back.
---@async
---@param paths table<string, boolean>
function sync.note(self, paths)
  local last = sync.last(self)
  local survey = sync.look(self, last)
  local skip, any = {}, false
  loop.pace()
  for _, each in ipairs(survey:delta()) do
    if paths[each.path] then any = true else skip[each.path] = true end
  end
  if any then
    local mirror = put(self, last.base, survey, { skip = skip })
    self.records:keep(image.uuid_of(self.image), { base = mirror, index = index_of(survey) })
  end
  survey:close()
end

--- The mirror that an earlier workspace of the folder has left on an image, if it is there
--- still.
---@async
---@param below string the uuid of the image
---@return string?
function sync.mirror(self, below)
  local mirror = self.records:mirror(below)
  if not mirror or not self.records:of(mirror) then return nil end
  local ok, there = pcall(filesystem.exists, self.client, mirror, "/")
  return ok and there and mirror or nil
end

return sync
