--- The folder comes in: what has changed on the host since it last did becomes one layer of the
--- session's image, and of the mirror, an image that holds the folder and nothing else.
--- `self` is the contree.Workspace.

local archive = require("contree.workspace.archive")
local filesystem = require("contree.image.filesystem")
local image = require("contree.image")
local layers = require("contree.image.layers")
local look = require("contree.workspace.look")
local loop = require("contree.loop")
local moves = require("contree.session.moves")
local printed = require("contree.base.printed")
local sides = require("contree.workspace.sides")
local tasks = require("contree.loop.task")
local text = require("contree.base.text")

local sync = {}

local print_skipped = printed.list(function(each)
  return ("%s: %s"):format(text.line(each.path), each.why)
end)

-- How often files that change while they are read are looked at again.
local ATTEMPTS = 4

--- What came in last: the mirror and its index. `never`: nothing has come in yet.
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
  return { base = chain[1].uuid, index = "", never = true }
end

--- A survey against what came in last, and what look.at makes of `early`.
---@async
---@param early? fun(survey: userdata): function?
function sync.look(self, last, early)
  local survey, found, done = look.at{ path = self.path, index = last.index, early = early,
    progress = self.progress,
    ignore = self.ignore, max_file = self.max_file, scratch = self.records.directory,
    known = self.known }
  self.known = not found.all and found.list or nil
  self.rule, self.rule_reason = found.rule, found.reason
  self.skipped = print_skipped(survey:skipped())
  return survey, done
end

local function title_of(counts)
  local parts = {}
  for _, each in ipairs{ "added", "changed", "removed" } do
    if counts[each] > 0 then parts[#parts + 1] = ("%d %s"):format(counts[each], each) end
  end
  return "workspace: " .. (parts[1] and table.concat(parts, ", ") or "empty")
end

local function add_entry(self, uuid, counts)
  local entry = { uuid = uuid, kind = "files", title = title_of(counts) }
  if not self.past:add(moves.place_of(self), entry) then moves.raise_moved(self, {}) end
  moves.go(self, entry)
end

-- Put it on the mirror, and what is not in `less` on the session's image.
local function put_both(self, last, survey, less)
  local tip = image.uuid_of(self.image)
  local all = archive.whole(archive.of(self, survey, {}))
  local index = archive.index(survey)
  local rest = all and archive.whole(archive.of(self, survey, less))
  if rest then
    local made = tasks.gather({
      function() return archive.put(self, last.base, survey, {}, all) end,
      function() return archive.put(self, tip, survey, less, rest) end,
    }, 2)
    return made[1], made[2], index
  end
  local mirror = archive.put(self, last.base, survey, {})
  index = archive.index(survey)
  return mirror, archive.put(self, tip, survey, less), index
end

local function size_of(set)
  local size = 0
  for _ in pairs(set) do size = size + 1 end
  return size
end

-- Bringing in a few edits while git still lists the files: mostly it lists what it listed the last
-- time, and both sides have not changed the same. Else what this has made is left to the garbage
-- collection. Returns nil where there is more to it.
local function hurry(self, last, survey)
  local counts = survey:counts()
  if counts.removed > 0 or counts.added + counts.changed == 0 then return nil end
  local pieces = self.client.extended and archive.whole(archive.of(self, survey, {}))
  if not pieces then return nil end
  local tip, made = image.uuid_of(self.image), { index = archive.index(survey) }
  local jobs = { function() made.mirror = layers.put(self.client, last.base, self.at, pieces) end }
  if tip ~= last.base then
    jobs[2] = function() made.uuid = layers.put(self.client, tip, self.at, pieces) end
    jobs[3] = function() made.changes = sides.inside(self, last) end
  end
  return function()
    return pcall(tasks.gather, jobs, #jobs) and made.mirror
      and (tip == last.base or made.uuid) and made or nil
  end
end

-- Send what a survey has found to the mirror, and to the session's image but what it has
-- already or keeps as it is.
local function send(self, last, survey, counts, less)
  local tip = image.uuid_of(self.image)
  local total = counts.added + counts.changed + counts.removed
  local mirror, index, uuid
  if tip == last.base or size_of(less.skip) == total then
    mirror = archive.put(self, last.base, survey, {})
    index, uuid = archive.index(survey), tip == last.base and mirror or tip
  else
    mirror, uuid, index = put_both(self, last, survey, less)
  end
  self.records:keep(uuid, { base = mirror, index = index })
  if uuid ~= tip then add_entry(self, uuid, counts) end
end

-- Without merging, a path is of one side.
local function choose_sides(self, last, survey, counts, clashes, less, prefer)
  if not prefer then sides.refuse(clashes) end
  for _, each in ipairs(prefer == "sandbox" and clashes or {}) do less.skip[each.path] = true end
  send(self, last, survey, counts, less)
end

-- Take what hurry() has made.
local function take(self, made, counts)
  local tip = image.uuid_of(self.image)
  local uuid = made.uuid or made.mirror
  self.records:keep(uuid, { base = made.mirror, index = made.index })
  if uuid ~= tip then add_entry(self, uuid, counts) end
end

local function bring(self, last, survey, counts, prefer, made)
  local clashes, skip, keep = sides.clashes(self, last, survey, made and made.changes)
  local less = { skip = skip, keep = keep }
  if #clashes == 0 and made and not next(skip) then return take(self, made, counts) end
  if #clashes == 0 then return send(self, last, survey, counts, less) end
  local found = sides.merge(self, last, survey, prefer)
  if not found then
    return choose_sides(self, last, survey, counts, clashes, less, prefer)
  end
  if found.clashes then sides.refuse(found.clashes) end
  self.records:keep(found.uuid, { base = found.mirror, index = found.index })
  add_entry(self, found.uuid, counts)
end

-- A survey against what came in last, its counts, and what of it the session's image is not to
-- get. Raises when both sides have changed something and nobody is preferred.
local function look_without_mirror(self, last, prefer)
  local survey = sync.look(self, last)
  local clashes, skip, keep = sides.clashes(self, last, survey)
  if #clashes > 0 and not prefer then
    survey:close()
    sides.refuse(clashes)
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
  local mirror = archive.put(self, root, all, {})
  local index = archive.index(all)
  all:close()
  -- What changes from here on is found the next time, in the session's image already.
  local survey, counts, less = look_without_mirror(self, last, prefer)
  local tip = image.uuid_of(self.image)
  local uuid = tip
  if size_of(less.skip) < counts.added + counts.changed + counts.removed then
    uuid = archive.put(self, tip, survey, less)
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
  local changes, truncated = sides.inside(self, last, limit)
  if self.lost ~= last.base then return changes, last, truncated end
  moves.check_free(self)
  sync.renew(self, self.prefer)
  last = sync.last(self)
  return sides.inside(self, last, limit), last, false
end

local function once(self, prefer)
  local last = sync.last(self)
  local survey, made = sync.look(self, last, function(early) return hurry(self, last, early) end)
  local counts = survey:counts()
  if counts.added + counts.changed + counts.removed > 0 then
    local ok, err = pcall(bring, self, last, survey, counts, prefer, made)
    if not ok then
      survey:close()
      if not sides.is_lost(self, last, err) then error(err, 0) end
      return sync.renew(self, prefer), false
    end
  elseif last.never then
    local uuid = archive.empty(self, image.uuid_of(self.image), survey)
    self.records:keep(uuid, { base = uuid, index = archive.index(survey) })
    add_entry(self, uuid, counts)
  elseif counts.refreshed > 0 then
    self.records:keep(image.uuid_of(self.image),
      { base = last.base, index = archive.index(survey) })
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
    local clashes = sides.clashes(self, last, survey)
    local merged = #clashes > 0 and self.lost ~= last.base and sides.merge(self, last, survey)
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
      local mirror = archive.put(self, last.base, survey, { skip = skip })
      self.records:keep(image.uuid_of(self.image), { base = mirror, index = archive.index(survey) })
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
