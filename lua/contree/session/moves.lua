--- How a session moves: when a run ends, from the end of the branch to the image that the
--- run left, unless the branch was moved meanwhile. `self` is the contree.Session.

local errors = require("contree.base.errors")
local image = require("contree.image")
local operation = require("contree.run.operation")
local run = require("contree.run")
local stage = require("contree.image.stage")

local moves = {}

--- The session's place now.
---@return contree.Place
function moves.place_of(self) return { branch = self.branch_name, tip = self.tip } end

--- The image of an entry of its history.
---@param entry contree.store.Entry
---@return contree.Image
function moves.image_of(self, entry)
  return entry.image or image.new(self.client, { uuid = entry.uuid })
end

--- Go to an entry; `found` is its image if it is at hand.
---@param entry contree.store.Entry
---@param found? contree.Image
function moves.go(self, entry, found)
  if self.tip == entry.id then return end
  self.tip = entry.id
  self.image = found or moves.image_of(self, entry)
end

--- Raises `conflict` while a run of this session is under way.
function moves.check_free(self)
  if self.busy then
    errors.raise("conflict", "this session is running a command",
      { hint = "wait for it, or fork() the session" })
  end
end

--- Raise `conflict` with the result that has no place on the branch.
---@param fields { result: contree.Result?, operation: contree.Operation?, branch: string? }
function moves.raise_moved(self, fields)
  fields.remedy = fields.result and { "commit", fields.result.uuid }
    or { "catch_up", self.branch_name }
  errors.raise("conflict", ("somebody else has moved the branch %q meanwhile")
    :format(fields.branch or self.branch_name), fields)
end

--- Move to the end of the branch. Raises `gone` if there is no such branch any more, and
--- `conflict` if a run that was started there has not been waited for.
---@async
---@return contree.Place
function moves.catch_up(self)
  local entry, pending = self.past:position(self.branch_name)
  if not entry then
    errors.raise("gone", ("the branch %q has been deleted"):format(self.branch_name),
      { remedy = { "checkout" } })
  end
  if pending then
    errors.raise("conflict", ("the run %s of this branch has not been waited for")
      :format(pending.operation), { remedy = { "wait", pending.operation } })
  end
  moves.go(self, entry)
  return moves.place_of(self)
end

-- Move to the end of the branch, and make the session busy.
---@return contree.Place
local function enter(self)
  moves.check_free(self)
  self.busy = true
  local ok, place = pcall(moves.catch_up, self)
  if ok then return place end
  self.busy = false
  error(place, 0)
end

-- Have the branch checked again after files were sent: if it was moved meanwhile, the command
-- does not run.
local function watch(self, plan, place)
  if not plan.files or plan.disposable then return end
  plan.before_sent = function()
    local entry = self.past:position(place.branch)
    if not entry or entry.id ~= place.tip then moves.raise_moved(self, {}) end
  end
end

-- The session goes to the image that a run leaves, unless none was kept, the command was
-- stopped half-way, or it failed and the session keeps only what succeeds.
local function is_kept(self, result)
  return result and result.uuid and not result.timed_out
    and (self.keep ~= "success" or result.exit_code == 0)
end

local function entry_of(result, kind, title)
  return { image = result, uuid = result.uuid, kind = kind, title = title,
    exit_code = result.exit_code, operation = result.operation and result.operation.uuid }
end

local function strand(self, place, entry)
  self.stranded[entry.image] = { place = place, entry = entry }
end

local function add(self, place, entry)
  -- If this fails, session:commit() can still take the result.
  strand(self, place, entry)
  local ok, added = pcall(self.past.add, self.past, place, entry)
  if not ok then
    if errors.is(added) then added.result = added.result or entry.image end
    error(added, 0)
  end
  if not added then
    moves.raise_moved(self, { result = entry.image, operation = entry.image.operation })
  end
  self.stranded[entry.image] = nil
  moves.go(self, entry, entry.image)
end

--- Run a plan and move to the image that it left.
---@async
---@return contree.Result
function moves.run(self, plan, kind, title)
  local place = enter(self)
  watch(self, plan, place)
  local ok, result = pcall(run.run, self.image, plan)
  if ok and not plan.disposable and is_kept(self, result) then
    ok, result = pcall(function()
      add(self, place, entry_of(result, kind, title))
      return result
    end)
  end
  self.busy = false
  if not ok then error(result, 0) end
  return result
end

--- Move to an image that is made of the session's without a run.
---@async
---@param kind string
---@param title string
---@param make fun(from: contree.Image): contree.Image, any
---@return contree.Image, any
function moves.make(self, kind, title, make)
  local place = enter(self)
  local ok, made, more = pcall(make, self.image)
  if ok then
    local added, err = pcall(add, self, place, entry_of(made, kind, title))
    if not added then ok, made = false, err end
  end
  self.busy = false
  if not ok then error(made, 0) end
  return made, more
end

-- Put the files of a plan on an image by a run, for a server that takes no layers.
local function stage_by_run(self, uuid, plan)
  local made = run.plan("session:stage", { command = "true", check = true }, false)
  made.files = plan
  local ok, result = pcall(run.run, image.new(self.client, { uuid = uuid }), made)
  if ok then return result.uuid end
  if errors.is(result, "command_failed") then
    errors.raise("not_supported", "this server puts files into an image only by a run, and that "
      .. "failed: " .. result.message, { hint = "the image needs the program true" })
  end
  error(result, 0)
end

--- Put the files of a plan into the session's image, and move to the new one.
---@async
---@return contree.Image
function moves.stage(self, plan)
  if #plan == 0 and #plan.trees == 0 then return self.image end
  local function make(from)
    local uuid = stage.put(self.client, image.uuid_of(from), plan, function(base, left)
      return stage_by_run(self, base, left)
    end)
    return image.new(self.client, { uuid = uuid })
  end
  return (moves.make(self, "stage", stage.title(plan), make))
end

-- Take the end of a pending run; `result` is nil when it kept no image.
local function take_end(self, row, started, result)
  local entry = is_kept(self, result) and entry_of(result, row.kind, row.title) or nil
  local found = self.past:settle(row.operation, entry)
  row.taken = true
  self.started[row.operation] = nil
  if found == "moved" then
    local place = { branch = row.branch, tip = row.tip }
    strand(self, place, entry)
    moves.raise_moved(self, { result = result, operation = started, branch = row.branch })
  end
  if row.branch ~= self.branch_name then return end
  if found == "placed" and entry and self.tip == row.tip then
    moves.go(self, entry, result)
  elseif found == "done" then
    moves.go(self, (self.past:position(self.branch_name)))
  end
end

--- Start a plan. The session is busy until somebody has waited for the end.
---@async
---@return contree.Operation
function moves.start(self, plan, title)
  local place = enter(self)
  -- Any program that opens the store may wait for it.
  plan.detach = plan.detach or self.past.rows.durable
  local row = { branch = place.branch, tip = place.tip, kind = "run", title = title }
  self.busy = row
  local function ended(result)
    -- One that was abandoned may end beside a newer one.
    if self.busy == row then self.busy = false end
    if result or plan.disposable or row.taken then return end
    self.started[row.operation] = nil
    self.past:forget(row.operation)
  end
  local keep = not plan.disposable and function(started, result)
    take_end(self, row, started, result)
  end or nil
  watch(self, plan, place)
  local ok, started = pcall(run.start, self.image, plan, ended, keep)
  if ok and keep then
    row.operation = started.uuid
    local noted, err = pcall(self.past.expect, self.past, row)
    if noted then
      self.started[row.operation] = started
    else
      operation.cancel_quietly(self.client, started.uuid)
      ok, started = false, err
    end
  end
  if ok then return started end
  self.busy = false
  error(started, 0)
end

--- The operation of a pending run, whichever program has started it.
---@param row contree.store.Pending
---@return contree.Operation
function moves.operation_of(self, row)
  return self.started[row.operation] or operation.new(self.client, row.operation, nil, {
    disposable = false,
    keep = function(started, result) take_end(self, row, started, result) end,
  })
end

return moves
