--- Carries out what is planned for a folder: each step with a copy of what it replaces, in the
--- journal first; and takes a call back. Knows nothing of images.
---
--- `out` gathers { written = paths, skipped = { path, kind, why } }; `out.progress` is told.

local core = require("contree.core")
local directories = require("contree.base.directories")
local errors = require("contree.base.errors")
local hash = require("contree.image.hash")
local journal = require("contree.workspace.journal")
local loop = require("contree.loop")
local progress = require("contree.base.progress")
local write = require("contree.workspace.write")

local carry = {}

local PATIENCE, PAUSE = 10, 0.02 -- seconds to wait for another program that applies

local ABSENT = { type = "absent" }

function carry.skip(out, path, kind, why)
  out.skipped[#out.skipped + 1] = { path = path, kind = kind, why = why }
end

local skip = carry.skip

-- The folder -----------------------------------------------------------------

local function enter(path)
  local folder, problem = core.folder(path)
  if not folder then errors.raise("file", "workspace: cannot open " .. problem) end
  local due = core.now() + PATIENCE
  while not folder:lock() do
    if core.now() > due then
      folder:close()
      errors.raise("conflict", "another program brings changes home to " .. path)
    end
    loop.sleep(PAUSE)
  end
  return folder
end

--- Call fn with the folder, for this call alone, when what an earlier one has left is in order.
---@async
---@param path string
---@param fn fun(folder: userdata): any
function carry.within(path, fn)
  local folder = enter(path)
  local ok, result = pcall(function()
    journal.recover(path, folder)
    return fn(folder)
  end)
  folder:close()
  if not ok then error(result, 0) end
  return result
end

-- Steps -----------------------------------------------------------------------

-- Removals first, the deepest before what holds it; then the rest, what holds before what is
-- in it.
local function before(a, b)
  local a_goes, b_goes = a.wanted.type == "absent", b.wanted.type == "absent"
  if a_goes ~= b_goes then return a_goes end
  if a_goes then return a.path > b.path end
  return a.path < b.path
end

--- Add the directories that new files need and the folder lacks, and sort the steps.
---@param steps contree.workspace.Step[]
function carry.complete(folder, steps)
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

-- Copy what is replaced into the journal's directory; false and why not.
local function back_up(path, call, step, number)
  if step.expected.type ~= "file" then return true end
  step.old = ("old/%d"):format(number)
  local copying, problem = call.folder:copy(path .. "/" .. step.path, step.old,
    { mode = 384 })
  local over = false
  while copying and not over do
    over, problem = copying:step(loop.SLICE)
    if over == nil then break end
    if not over then loop.breathe() end
  end
  if not over then return false, problem end
  local digest, wrong = hash.file(call.path .. "/" .. step.old)
  if digest == step.expected.sha256 then return true end
  return false, digest and "it has changed in the folder" or wrong
end

-- Writing ------------------------------------------------------------------

-- Whether a path is below one of some directories.
local function is_below(path, made)
  local at = path:find("/", 1, true)
  while at do
    if made[path:sub(1, at - 1)] then return true end
    at = path:find("/", at + 1, true)
  end
  return false
end

--- Of the steps, those that are still to be done; those whose result is there already count as
--- written. Also learns what a new file's owner should be.
---@async
function carry.to_do(folder, steps, out)
  local rest, made = {}, {}
  for _, step in ipairs(steps) do
    local state, problem = ABSENT, nil
    if not is_below(step.path, made) then state, problem = write.state(folder, step.path) end
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
      made[step.path] = step.wanted.type == "directory"
    end
  end
  return rest
end

local CONFLICT = {
  ["it has changed in the folder"] = true, ["it has been made in the folder"] = true,
  ["a program has it open for writing"] = true, ["it is not empty"] = true,
}

local function kind_of(why) return CONFLICT[why] and "conflict" or "failed" end

local function settle(step, out, ok, why)
  if ok then
    step.done = true
    out.written[#out.written + 1] = step.path
  else
    local kind = kind_of(why)
    if step.kept then why = ("%s; that is kept as %s"):format(why, step.kept) end
    skip(out, step.path, kind, tostring(why))
  end
end

-- Do the steps. What is taken away stays beside until the end, except in directories that go.
local function do_all(folder, steps, out)
  local taken = {}
  for i, step in ipairs(steps) do
    progress.tell(out.progress, "writing", "files", i - 1, #steps)
    local ok, why = write.put(folder, step)
    if ok and step.wanted.type == "absent" then ok, why = write.finish(folder, step) end
    if ok and step.wanted.type ~= "absent" then
      taken[#taken + 1] = step
    else
      settle(step, out, ok, why)
    end
  end
  for i = #taken, 1, -1 do
    settle(taken[i], out, write.finish(folder, taken[i]))
  end
  progress.tell(out.progress, "writing", "files", #steps, #steps)
end

-- The names are on the disk: once for each directory.
local function sync_all(folder, steps)
  local synced = {}
  for _, step in ipairs(steps) do
    local directory = step.path:match("^(.*)/") or ""
    if step.done and not synced[directory] then
      synced[directory] = true
      folder:sync(step.path)
      loop.pace()
    end
  end
end

--- Carry out the steps that are to be done.
---@async
---@param path string of the folder
---@param call contree.workspace.Journal
---@param undoes? string the call that this one takes back
function carry.out(path, folder, call, steps, out, undoes)
  local rest = {}
  for i, step in ipairs(steps) do
    local ok, why = back_up(path, call, step, i)
    if ok then rest[#rest + 1] = step else skip(out, step.path, kind_of(why), why) end
  end
  for i, step in ipairs(rest) do step.name = call.prefix .. i end
  call:commit(rest, undoes)
  do_all(folder, rest, out)
  sync_all(folder, rest)
  call:finish(rest)
end

--- Call fn with a new call of the journal, which is dropped when the preparation fails.
---@async
function carry.begin(path, fn)
  local call = journal.begin(path)
  local ok, problem = pcall(fn, call)
  if ok then return end
  if not directories.has(call.path .. "/plan") then call:drop() end
  error(problem, 0)
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

-- What could not be written is told as such; a conflict is for good.
local function has_failed(out)
  for _, each in ipairs(out.skipped) do
    if each.kind == "failed" then return true end
  end
  return false
end

--- Undo the last call that stands. False: no call stands. Where a file could not be written, the
--- call stands still, and the rest can be taken back once that is mended.
---@async
---@return boolean
function carry.undo(path, folder, out)
  local last = journal.last(path)
  if not last then return false end
  local steps = carry.to_do(folder, reversed(last), out)
  carry.begin(path, function(call) carry.out(path, folder, call, steps, out, last.path) end)
  if has_failed(out) then
    last.folder:close()
  else
    last:undone()
  end
  return true
end

return carry
