--- The folder comes in: what has changed on the host since it last did becomes one layer of the
--- session's image, and of the mirror, an image that holds the folder and nothing else.
--- `self` is the contree.Workspace.

local agree = require("contree.workspace.agree")
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

-- An attempt to bring in what has changed: `last` (what came in before), `survey` of the folder
-- against it, its `counts`, `prefer` (who wins where both sides have changed), and the paths that
-- stay `apart`, as they change whenever they are read.

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

-- Put it on the mirror, and what is not in `less` on the session's image. Nil and the paths at
-- which the two would differ, if files change meanwhile.
local function put_both(self, attempt, less)
  local tip, base, survey = image.uuid_of(self.image), attempt.last.base, attempt.survey
  local all = archive.whole(archive.of(self, survey, { skip = attempt.apart }))
  local index, rest = archive.index(survey), all
  if all and (next(less.skip) or next(less.keep)) then
    local held = agree.held(survey)
    rest = archive.whole(archive.of(self, survey, less))
    local uneven = rest and agree.differing(held, survey, less.skip)
    if uneven then return nil, uneven end
  end
  if rest then
    local made = tasks.gather({
      function() return archive.put(self, base, survey, { skip = attempt.apart }, all) end,
      function() return archive.put(self, tip, survey, less, rest) end,
    }, 2)
    return { mirror = made[1], uuid = made[2], index = index }
  end
  local mirror = archive.put(self, base, survey, { skip = attempt.apart })
  index = archive.index(survey)
  local held = agree.held(survey)
  local uuid = archive.put(self, tip, survey, less)
  local uneven = agree.differing(held, survey, less.skip)
  if uneven then return nil, uneven end
  return { mirror = mirror, uuid = uuid, index = index }
end

-- Whether a survey has found anything but what is in `skip`, of which it may have found nothing.
local function has_rest(survey, skip)
  local any = false
  loop.pace()
  for _, each in ipairs(survey:delta()) do any = any or not skip[each.path] end
  loop.pace()
  return any
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
    if not pcall(tasks.gather, jobs, #jobs) then return nil end
    if tip == last.base then made.uuid = made.mirror end
    return made.mirror and made.uuid and made or nil
  end
end

local function put_mirror(self, attempt)
  local tip, base = image.uuid_of(self.image), attempt.last.base
  local mirror = archive.put(self, base, attempt.survey, { skip = attempt.apart })
  return { mirror = mirror, uuid = tip == base and mirror or tip,
    index = archive.index(attempt.survey) }
end

-- From here on the session's image is one that has what came in.
local function take(self, made, counts)
  self.records:keep(made.uuid, { base = made.mirror, index = made.index })
  if made.uuid ~= image.uuid_of(self.image) then add_entry(self, made.uuid, counts) end
end

-- Send what a survey has found to the mirror, and to the session's image but what it has
-- already or keeps as it is. What is apart goes to neither. Returns the paths at which the two
-- would differ: then nothing has come in.
local function send(self, attempt, less)
  for path in pairs(attempt.apart) do less.skip[path] = true end
  local made, uneven
  if image.uuid_of(self.image) == attempt.last.base
    or next(less.skip) and not has_rest(attempt.survey, less.skip) then
    made = put_mirror(self, attempt)
  else
    made, uneven = put_both(self, attempt, less)
  end
  if made then take(self, made, attempt.counts) end
  return uneven
end

-- Without merging, a path is of one side.
local function choose_sides(self, attempt, clashes, less)
  if not attempt.prefer then sides.refuse(clashes) end
  local mine = attempt.prefer == "sandbox"
  for _, each in ipairs(mine and clashes or {}) do less.skip[each.path] = true end
  return send(self, attempt, less)
end

-- `made`: what hurry() has made of the same. Returns the paths that change while they are read:
-- then nothing has come in.
local function bring(self, attempt, made)
  local last, survey = attempt.last, attempt.survey
  local clashes, skip, keep = sides.clashes(self, last, survey, made and made.changes)
  local less = { skip = skip, keep = keep }
  if #clashes == 0 and made and not next(skip) then return take(self, made, attempt.counts) end
  if #clashes == 0 then return send(self, attempt, less) end
  local found = sides.merge(self, last, survey, attempt.prefer)
  if not found then return choose_sides(self, attempt, clashes, less) end
  if found.clashes then sides.refuse(found.clashes) end
  take(self, found, attempt.counts)
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

-- Make attempts until nothing has changed meanwhile. Paths at which the two images would differ
-- stay apart from the third attempt on, and come in the next time. Returns the counts of all.
local function settle(self, try)
  local all, apart = { added = 0, changed = 0, removed = 0 }, {}
  local counts, unsettled, uneven
  for i = 1, ATTEMPTS do
    counts, unsettled, uneven = try(apart)
    if not uneven then
      for name in pairs(all) do all[name] = all[name] + counts[name] end
      if not unsettled then break end
    elseif i > 1 then
      for _, path in ipairs(uneven) do apart[path] = true end
    end
  end
  if uneven then agree.refuse(self.path, uneven) end
  for path in pairs(apart) do
    self.skipped[#self.skipped + 1] = { path = path, why = "it changes whenever it is read" }
  end
  return all
end

-- One attempt to make the mirror anew. Returns the counts, and the paths that change while they
-- are read: then nothing has come in.
local function renew_once(self, prefer, apart)
  local last, root = sync.last(self), self.past:chain(self.tip)[1].uuid
  look_without_mirror(self, last, prefer):close()
  local all = sync.look(self, { index = "" })
  local made = { mirror = archive.put(self, root, all, { skip = apart }),
    index = archive.index(all), uuid = image.uuid_of(self.image) }
  local held = agree.held(all)
  all:close()
  local survey, counts, less = look_without_mirror(self, last, prefer)
  for path in pairs(apart) do less.skip[path] = true end
  if has_rest(survey, less.skip) then
    made.uuid = archive.put(self, made.uuid, survey, less)
  end
  local uneven = agree.differing(held, survey, less.skip)
  survey:close()
  if not uneven then take(self, made, counts) end
  return counts, uneven
end

--- Make the mirror anew, when the server has lost it, and bring in what has changed. What came
--- in last is known by the index only, so texts are not merged.
---@async
---@param prefer? "host"|"sandbox"
---@return table counts
function sync.renew(self, prefer)
  return settle(self, function(apart)
    local counts, uneven = renew_once(self, prefer, apart)
    return counts, false, uneven
  end)
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

-- One attempt to bring in what has changed. Returns the counts, whether files have changed while
-- they were read, and which of them kept all from coming in.
local function once(self, prefer, apart)
  local last = sync.last(self)
  local survey, made = sync.look(self, last, function(early) return hurry(self, last, early) end)
  local counts, uneven = survey:counts(), nil
  if counts.added + counts.changed + counts.removed > 0 then
    local ok, result = pcall(bring, self, { last = last, survey = survey, counts = counts,
      apart = apart, prefer = prefer }, made)
    if not ok then
      survey:close()
      if not sides.is_lost(self, last, result) then error(result, 0) end
      return sync.renew(self, prefer), false
    end
    uneven = result
  elseif last.never then
    local uuid = archive.empty(self, image.uuid_of(self.image), survey)
    self.records:keep(uuid, { base = uuid, index = archive.index(survey) })
    add_entry(self, uuid, counts)
  elseif counts.refreshed > 0 then
    self.records:keep(image.uuid_of(self.image),
      { base = last.base, index = archive.index(survey) })
  end
  local unsettled = survey:unsettled()
  self.skipped = print_skipped(survey:skipped())
  survey:close()
  return counts, unsettled, uneven
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
  return settle(self, function(apart) return once(self, prefer, apart) end)
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
