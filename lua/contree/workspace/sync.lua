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

local function is_lost(self, last, err)
  return errors.is(err, "not_found") and not image.exists(self.client, last.base)
end

-- The changes below the folder's place, with paths of the image.
local function between(self, last, limit)
  if not self.client.compares_here then
    local ok, changes, truncated = pcall(diff.between, self.client, image.uuid_of(self.image),
      last.base, { path = self.at, limit = limit })
    if ok then return changes, truncated end
    if is_lost(self, last, changes) then
      self.lost = last.base
      return compare.inside(self, last)
    end
    if not errors.is(changes, "not_supported") then error(changes, 0) end
    self.client.compares_here = true
  end
  return compare.inside(self, last)
end

-- What the runs have changed below the folder's place since it last came in.
local function inside(self, last, limit)
  if image.uuid_of(self.image) == last.base then return diff.list(self.client, {}), false end
  local changes, truncated = between(self, last, limit)
  local strip = #self.at + 2
  for i = #changes, 1, -1 do
    changes[i].path = changes[i].path:sub(strip)
    if changes[i].path == "" then table.remove(changes, i) end
  end
  return changes, truncated
end

-- The paths that changed on both sides, and not to the same; see clash.find.
local function clashes_of(self, last, survey)
  if image.uuid_of(self.image) == last.base then return {}, {}, {} end
  return clash.find(self, survey:delta(), inside(self, last))
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

-- Where both sides have changed, the server merges the folder as it is now into the session's
-- image. What has come of it is kept: as long as neither has changed, it is the same again.
-- Nil: the server does not merge.
local function merge_sides(self, last, survey, prefer)
  if self.client.merges_not then return nil end
  local pieces = whole(feed(self, survey, {}))
  local index = pieces and index_of(survey)
  local tip, before = image.uuid_of(self.image), self.merged or {}
  local mirror = index and before.index == index and before.base == last.base and before.mirror
  if mirror and before.tip == tip and before.prefer == prefer then return before end
  local found = { base = last.base, tip = tip, prefer = prefer }
  found.mirror = mirror or put(self, last.base, survey, {}, pieces)
  found.index = index or index_of(survey)
  found.uuid, found.clashes = clash.merge(self, last, found.mirror, prefer)
  if not found.uuid and not found.clashes then
    self.client.merges_not = true
    return nil
  end
  self.merged = pieces and found or nil
  return found
end

-- Without merging, a path is of one side.
local function choose_sides(self, last, survey, counts, clashes, less, prefer)
  if not prefer then raise_clash(clashes) end
  for _, each in ipairs(prefer == "sandbox" and clashes or {}) do less.skip[each.path] = true end
  send(self, last, survey, counts, less)
end

local function bring(self, last, survey, counts, prefer)
  local clashes, skip, keep = clashes_of(self, last, survey)
  local less = { skip = skip, keep = keep }
  if #clashes == 0 then return send(self, last, survey, counts, less) end
  local found = merge_sides(self, last, survey, prefer)
  if not found then
    return choose_sides(self, last, survey, counts, clashes, less, prefer)
  end
  if found.clashes then raise_clash(found.clashes) end
  self.records:keep(found.uuid, { base = found.mirror, index = found.index })
  add_entry(self, found.uuid, counts)
end

-- A survey against what came in last, its counts, and what of it the session's image is not to
-- get. Raises when both sides have changed something and nobody is preferred.
local function look_without_mirror(self, last, prefer)
  local survey = sync.look(self, last)
  local clashes, skip, keep = clashes_of(self, last, survey)
  if #clashes > 0 and not prefer then
    survey:close()
    raise_clash(clashes)
  end
  for _, each in ipairs(prefer == "sandbox" and clashes or {}) do skip[each.path] = true end
  return survey, survey:counts(), { skip = skip, keep = keep }
end

--- Make the mirror anew, when the server has lost it, and bring in what has changed. What came
--- in last is known by the index only, so texts are not merged.
---@async
---@param prefer? "host"|"sandbox"
---@return table counts
function sync.renew(self, prefer)
  local last, root = sync.last(self), self.past:chain(self.tip)[1].uuid
  look_without_mirror(self, last, prefer):close()
  local all = sync.look(self, { index = "" })
  local mirror = put(self, root, all, {})
  local index = index_of(all)
  all:close()
  -- What changes from here on is found the next time, in the session's image already.
  local survey, counts, less = look_without_mirror(self, last, prefer)
  local tip = image.uuid_of(self.image)
  local uuid = tip
  if size_of(less.skip) < counts.added + counts.changed + counts.removed then
    uuid = put(self, tip, survey, less)
  end
  survey:close()
  self.records:keep(uuid, { base = mirror, index = index })
  if uuid ~= tip then add_entry(self, uuid, counts) end
  return counts
end

--- What the runs have changed below the folder's place since it last came in, and the record of
--- that. Where the server has lost the mirror, the folder comes in anew first.
---@async
---@param limit? integer
---@return contree.Changes changes, contree.workspace.Record last, boolean truncated
function sync.inside(self, limit)
  local last = sync.last(self)
  local changes, truncated = inside(self, last, limit)
  if self.lost ~= last.base then return changes, last, truncated end
  moves.check_free(self)
  sync.renew(self, self.prefer)
  last = sync.last(self)
  return inside(self, last, limit), last, false
end

local function once(self, prefer)
  local last = sync.last(self)
  local survey = sync.look(self, last)
  local counts = survey:counts()
  if counts.added + counts.changed + counts.removed > 0 then
    local ok, err = pcall(bring, self, last, survey, counts, prefer)
    if not ok then
      survey:close()
      if not is_lost(self, last, err) then error(err, 0) end
      return sync.renew(self, prefer), false
    end
  elseif counts.refreshed > 0 then
    self.records:keep(image.uuid_of(self.image), { base = last.base, index = index_of(survey) })
  end
  local unsettled = survey:unsettled()
  self.skipped = survey:skipped()
  survey:close()
  return counts, unsettled
end

--- The paths that changed on both sides, and cannot be merged. Nothing comes in.
---@async
---@return contree.workspace.Clash[]
function sync.conflicts(self)
  local last = sync.last(self)
  local survey = sync.look(self, last)
  local ok, found = pcall(function()
    local clashes = clashes_of(self, last, survey)
    local merged = #clashes > 0 and self.lost ~= last.base and merge_sides(self, last, survey)
    return merged and (merged.clashes or {}) or clashes
  end)
  survey:close()
  if not ok then error(found, 0) end
  return found
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
  local ok, err = true, nil
  if any then
    ok, err = pcall(function()
      local mirror = put(self, last.base, survey, { skip = skip })
      self.records:keep(image.uuid_of(self.image), { base = mirror, index = index_of(survey) })
    end)
  end
  survey:close()
  if not ok then error(err, 0) end
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
