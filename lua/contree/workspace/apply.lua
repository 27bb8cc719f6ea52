--- Changes come home, and are taken back. `self` is the contree.Workspace.

local changes = require("contree.workspace.changes")
local choose = require("contree.workspace.choose")
local class = require("contree.base.class")
local core = require("contree.core")
local errors = require("contree.base.errors")
local hash = require("contree.image.hash")
local hunks = require("contree.workspace.hunks")
local image = require("contree.image")
local journal = require("contree.workspace.journal")
local loop = require("contree.loop")
local sync = require("contree.workspace.sync")
local tasks = require("contree.loop.task")
local wire = require("contree.wire")
local write = require("contree.workspace.write")

local apply = {}

local AT_A_TIME = 4
local PATIENCE, PAUSE = 10, 0.02 -- seconds to wait for another program that applies
local TEXT_MAX = 2 ^ 27

---@class contree.Applied what apply() and undo() did; tostring() shows it
---@field written string[]   paths of the folder that are what they should be
---@field skipped { path: string, why: string, kind: string }[] paths that were left alone;
---  kind: "conflict" (the folder's file is another one than came in), "risky", "unsupported",
---  "failed"
---@field dry_run boolean
local make = class.define("contree.Applied", {}, {
  __tostring = function(self)
    local lines = {}
    for _, path in ipairs(self.written) do
      lines[#lines + 1] = (self.dry_run and "would write " or "wrote ") .. path
    end
    for _, each in ipairs(self.skipped) do
      lines[#lines + 1] = ("left %s alone (%s): %s"):format(each.path, each.kind, each.why)
    end
    return table.concat(lines, "\n")
  end,
})

local function skip(out, path, kind, why)
  out.skipped[#out.skipped + 1] = { path = path, kind = kind, why = why }
end

-- The folder -----------------------------------------------------------------

-- Open the folder for this call alone, and put in order what an earlier one has left.
local function enter(self)
  local folder, problem = core.folder(self.path)
  if not folder then errors.raise("file", "workspace: cannot open " .. problem) end
  local due = core.now() + PATIENCE
  while not folder:lock() do
    if core.now() > due then
      folder:close()
      errors.raise("conflict", "another program brings changes home to " .. self.path)
    end
    loop.sleep(PAUSE)
  end
  return folder
end

local function within(self, fn)
  local folder = enter(self)
  local ok, result = pcall(function()
    journal.recover(self.path, folder)
    return fn(folder)
  end)
  folder:close()
  if not ok then error(result, 0) end
  return result
end

-- Planning -------------------------------------------------------------------

local ABSENT = { type = "absent" }

-- What the folder should have at a path, as far as we know.
local function expected_of(change, index)
  local known = index[change.path]
  if known then return known end
  local was = change.change == "removed" and change or change.was
  return was and was.type == "directory" and { type = "directory" } or ABSENT
end

local function wanted_of(change)
  if change.change == "removed" then return ABSENT end
  local wanted = { type = change.type, mode = change.mode }
  if change.type == "link" then
    wanted.target = change.target
    wanted.sha256 = core.sha256(change.target or "")
  end
  return wanted
end

-- Removals first, the deepest before what holds it; then the rest, what holds before what is
-- in it.
local function before(a, b)
  local a_goes, b_goes = a.wanted.type == "absent", b.wanted.type == "absent"
  if a_goes ~= b_goes then return a_goes end
  if a_goes then return a.path > b.path end
  return a.path < b.path
end

local function steps_of(chosen, index, out)
  local steps = {}
  for path, change in pairs(chosen) do
    local step = { path = path, change = change, expected = expected_of(change, index),
      wanted = wanted_of(change) }
    if change.type == "link" and change.change ~= "removed" and not change.target then
      skip(out, path, "failed", "its target is not known")
    elseif step.expected.type == "directory" and step.wanted.type == "directory" then
      skip(out, path, "unsupported", "modes of directories are left alone")
    else
      steps[#steps + 1] = step
    end
  end
  table.sort(steps, before)
  return steps
end

-- Add the directories that new files need and the folder lacks.
local function add_parents(folder, steps)
  local there = {}
  for _, step in ipairs(steps) do there[step.path] = step.wanted.type == "directory" end
  for i = 1, #steps do
    local at = steps[i].wanted.type ~= "absent" and steps[i].path:find("/", 1, true)
    while at do
      local parent = steps[i].path:sub(1, at - 1)
      local found, problem = folder:look(parent)
      if there[parent] == nil and not found and not problem then
        steps[#steps + 1] = { path = parent, expected = ABSENT,
          wanted = { type = "directory", mode = 493 } }
      end
      there[parent] = true
      at = steps[i].path:find("/", at + 1, true)
    end
  end
  table.sort(steps, before)
end

-- Contents -----------------------------------------------------------------

local function download(self, uuid, path, sink)
  return wire.request(self.client, { method = "GET", raw = true, sha256 = sink and true,
    path = ("/inspect/%s/download"):format(wire.segment(uuid)), max_body = TEXT_MAX,
    query = { path = self.at .. "/" .. path }, sink = sink })
end

local function write_part(self, step, path, last, numbers)
  local change = step.change
  if not change.hunks then
    errors.misuse(("workspace:apply: %s has no hunks"):format(step.path))
  end
  local old = step.expected.type == "file" and download(self, last.base, step.path).body or ""
  local text = hunks.apply(old or "", change.hunks, numbers, step.path)
  local file = io.open(path, "wb")
  if not file or not file:write(text) or not file:close() then
    errors.raise("file", "workspace: cannot write " .. path)
  end
  step.wanted.mode = step.expected.mode or step.wanted.mode
  step.wanted.sha256 = core.sha256(text)
end

-- Get what is to be written into the journal's directory.
local function fetch(self, call, steps, last, given)
  local uuid, jobs = image.uuid_of(self.image), {}
  for i, step in ipairs(steps) do
    local numbers = given.hunks and given.hunks[step.path]
    if step.wanted.type == "file" then
      step.source = ("%s/new/%d"):format(call.path, i)
      jobs[#jobs + 1] = function()
        if numbers then return write_part(self, step, step.source, last, numbers) end
        step.wanted.sha256 = download(self, uuid, step.path,
          { path = step.source, mode = 384 }).sha256
      end
    end
  end
  tasks.gather(jobs, AT_A_TIME)
end

-- Copy what is replaced into the journal's directory; false and why not.
local function back_up(self, call, step, number)
  if step.expected.type ~= "file" then return true end
  step.old = ("old/%d"):format(number)
  local copying, problem = call.folder:copy(self.path .. "/" .. step.path, step.old,
    { mode = 384 })
  local over = false
  while copying and not over do
    over, problem = copying:step(loop.SLICE)
    if over == nil then break end
    if not over then loop.breathe() end
  end
  if not over then return false, problem end
  if hash.file(call.path .. "/" .. step.old) ~= step.expected.sha256 then
    return false, "it has changed in the folder"
  end
  return true
end

-- Writing ------------------------------------------------------------------

-- Of the steps, those that are still to be done; those whose result is there already count as
-- written. Also learns what a new file's owner should be.
local function to_do(folder, steps, out)
  local rest = {}
  for _, step in ipairs(steps) do
    local state, problem = write.state(folder, step.path)
    if not state then
      skip(out, step.path, "failed", problem)
    elseif write.is(state, step.wanted) then
      out.written[#out.written + 1] = step.path
    elseif not write.is(state, step.expected) then
      skip(out, step.path, "conflict", state.type == "absent" and "it is gone in the folder"
        or step.expected.type == "absent" and "there is one in the folder"
        or "it has changed in the folder")
    else
      step.expected.mode = step.expected.mode or state.mode
      step.expected.uid, step.expected.gid = state.uid, state.gid
      step.expected.target = state.target
      step.wanted.uid = step.wanted.uid or state.uid
      step.wanted.gid = step.wanted.gid or state.gid
      rest[#rest + 1] = step
    end
  end
  return rest
end

local CONFLICT = {
  ["it has changed in the folder"] = true, ["it has been made in the folder"] = true,
  ["a program has it open for writing"] = true, ["it is not empty"] = true,
}

local function settle(folder, step, out, ok, why)
  if ok then
    folder:sync(step.path)
    out.written[#out.written + 1] = step.path
  else
    if step.kept then why = ("%s; it is kept as %s"):format(why, step.kept) end
    skip(out, step.path, CONFLICT[why] and "conflict" or "failed", tostring(why))
  end
end

-- Do the steps. What is taken away stays beside until the end, except in directories that go.
local function do_all(folder, steps, out)
  local taken = {}
  for _, step in ipairs(steps) do
    local ok, why = write.put(folder, step)
    if ok and step.wanted.type == "absent" then ok, why = write.finish(folder, step) end
    if ok and step.wanted.type ~= "absent" then
      taken[#taken + 1] = step
    else
      settle(folder, step, out, ok, why)
    end
  end
  for i = #taken, 1, -1 do
    settle(folder, taken[i], out, write.finish(folder, taken[i]))
  end
end

local function carry_out(self, folder, call, steps, out, undoes)
  local rest = {}
  for i, step in ipairs(steps) do
    local ok, why = back_up(self, call, step, i)
    if ok then rest[#rest + 1] = step else skip(out, step.path, "conflict", why) end
  end
  for i, step in ipairs(rest) do step.name = call.prefix .. i end
  call:commit(rest, undoes)
  do_all(folder, rest, out)
  call:finish()
end

-- Begin a call of the journal, and drop it when the preparation fails.
local function with_call(self, fn)
  local call = journal.begin(self.path)
  local ok, problem = pcall(fn, call)
  if ok then return end
  if not core.lstat(call.path .. "/plan") then call:drop() end
  error(problem, 0)
end

local function note(self, out)
  local paths = {}
  for _, path in ipairs(out.written) do paths[path] = true end
  if not next(paths) then return end
  -- What is written is written. If this fails, the next time that the folder comes in finds
  -- that both sides have the same.
  local ok, err = pcall(sync.note, self, paths)
  if not ok and not errors.is(err) then error(err, 0) end
end

local function sorted(out)
  table.sort(out.written)
  table.sort(out.skipped, function(a, b) return a.path < b.path end)
  return make(out, out.safe)
end

--- See Workspace:apply.
---@async
---@return contree.Applied
function apply.run(self, given)
  local out = { written = {}, skipped = {}, dry_run = given.dry_run or false,
    safe = self.client.safe }
  within(self, function(folder)
    local list, last = changes.list(self, { text = given.hunks ~= nil })
    local chosen
    chosen, out.skipped = choose.from(list, given)
    local steps = steps_of(chosen, core.index_read(last.index, chosen), out)
    if #steps == 0 then return end
    add_parents(folder, steps)
    with_call(self, function(call)
      fetch(self, call, steps, last, given)
      steps = to_do(folder, steps, out)
      if given.dry_run then
        for _, step in ipairs(steps) do out.written[#out.written + 1] = step.path end
        return call:drop()
      end
      carry_out(self, folder, call, steps, out)
    end)
    if not given.dry_run then note(self, out) end
  end)
  return sorted(out)
end

-- Taking back --------------------------------------------------------------

local function reversed(call)
  local steps = {}
  for i = #call.steps, 1, -1 do
    local step = call.steps[i]
    steps[#steps + 1] = { path = step.path, expected = step.wanted, wanted = step.expected,
      source = step.old_path }
  end
  return steps
end

--- See Workspace:undo.
---@async
---@return contree.Applied
function apply.undo(self)
  local out = { written = {}, skipped = {}, dry_run = false, safe = self.client.safe }
  within(self, function(folder)
    local last = journal.last(self.path)
    if not last then
      errors.raise("not_found", "workspace: there is nothing to take back in " .. self.path)
    end
    local steps = to_do(folder, reversed(last), out)
    with_call(self, function(call) carry_out(self, folder, call, steps, out, last.path) end)
    last:undone()
    note(self, out)
  end)
  return sorted(out)
end

return apply
