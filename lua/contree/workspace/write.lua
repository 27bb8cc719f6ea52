--- Makes one path of the folder what is wanted, if it is what is expected. A state is
--- { type = "absent"|"file"|"link"|"directory", mode =, sha256 =, target = }.
---
--- The new file is complete and on the disk under a name of ours beside the old one, and the
--- two are exchanged in one step. Only then is the old one compared with what was expected, so
--- no edit falls between look and change: if it differs, the two are exchanged back. The old one
--- is removed at the end, when it has been compared once more.

local core = require("contree.core")
local errors = require("contree.base.errors")
local hash = require("contree.image.hash")
local loop = require("contree.loop")

local write = {}

---@class contree.workspace.State
---@field type "absent"|"file"|"link"|"directory"|"other"
---@field mode? integer
---@field sha256? string  of a file's content, or of a link's target
---@field target? string  of a link

---@class contree.workspace.Step
---@field path string      below the folder
---@field name string      our name beside it
---@field expected contree.workspace.State
---@field wanted contree.workspace.State
---@field source? string   a local file with the wanted content

local function beside(path, name)
  local directory = path:match("^(.*/)[^/]*$") or ""
  return directory .. name
end

local function last(path) return path:match("[^/]+$") end

local PART = ".part"

--- The state of a path now; nil and why it cannot be told.
---@async
---@return contree.workspace.State? state, string? why
function write.state(folder, path)
  local found, problem = folder:look(path)
  if problem then return nil, problem end
  if not found then return { type = "absent" } end
  if found.type == "link" then found.sha256 = core.sha256(found.target) end
  if found.type == "file" then
    local hashing, wrong = folder:hash(path)
    local digest = hashing and hash.finish(hashing)
    if not digest then return nil, wrong or path .. ": it cannot be read" end
    found.sha256 = digest
  end
  return found
end

--- Whether a state is another.
---@param state contree.workspace.State?
---@param other contree.workspace.State
function write.is(state, other)
  if not state or state.type ~= other.type then return false end
  if state.type == "file" then return state.sha256 == other.sha256 and state.mode == other.mode end
  return state.type ~= "link" or state.sha256 == other.sha256
end

local function is_now(folder, path, state) return write.is(write.state(folder, path), state) end

-- Making ---------------------------------------------------------------------

local function copy(folder, step, part)
  local copying, problem = folder:copy(step.source, part, step.wanted)
  local over = false
  while copying and not over do
    over, problem = copying:step(loop.SLICE)
    if over == nil then return nil, problem end
    if not over then loop.breathe() end
  end
  return over or nil, problem
end

-- Make what is wanted under our name: first under another one, so that what bears our name is
-- complete.
local function stage(folder, step)
  local own = beside(step.path, step.name)
  local part = own .. PART
  local ok, problem
  if step.wanted.type == "file" then
    ok, problem = copy(folder, step, part)
  elseif step.wanted.type == "link" then
    ok, problem = folder:link(part, step.wanted.target)
  else
    ok, problem = folder:mkdir(part, step.wanted.mode or 493)
  end
  if ok then ok, problem = folder:move(part, step.name) end
  if ok then return true end
  folder:remove(part)
  -- Our own names say nothing to anybody.
  local reason = tostring(problem):match(": ([^:]+)$") or tostring(problem)
  return nil, "a new file cannot be written there: " .. reason
end

local CHANGED = "it has changed in the folder"
local MADE = "it has been made in the folder"
local BUSY = "a program has it open for writing"

-- Whether what was taken away, and now has our name, is what was expected, and nobody writes to
-- it; else why not.
local function verify(folder, step, own)
  local state, problem = write.state(folder, own)
  if not write.is(state, step.expected) then return false, problem or CHANGED end
  if state.type == "file" and folder:idle(own) == false then return false, BUSY end
  step.taken = state
  return true
end

-- Exchange back. If what comes back is not ours, somebody has replaced it meanwhile: that is the
-- newer one, and it goes back to its place.
local function swap_back(folder, step, own)
  folder:swap(step.path, step.name)
  if is_now(folder, own, step.wanted) then
    folder:remove(own)
  else
    folder:swap(step.path, step.name)
    step.kept = own
  end
end

local function move_back(folder, step, own)
  if folder:move(own, last(step.path)) ~= true then step.kept = own end
end

-- Ways -----------------------------------------------------------------------

local function create(folder, step, own)
  local ok, problem = folder:move(own, last(step.path))
  if ok then return true end
  folder:remove(own)
  return nil, problem or MADE
end

local function remove(folder, step, own)
  local ok, problem, reason = folder:move(step.path, step.name)
  if not ok then return nil, reason == "missing" and CHANGED or problem end
  local same, why = verify(folder, step, own)
  if same then return true end
  move_back(folder, step, own)
  return nil, why
end

-- For file systems that cannot exchange: the look comes right before the change.
local function replace(folder, step, own)
  local ok, problem = nil, CHANGED
  if is_now(folder, step.path, step.expected) then
    ok, problem = folder:replace(own, last(step.path))
  end
  if not ok then folder:remove(own) end
  return ok, problem
end

local function exchange(folder, step, own)
  local ok, problem, reason = folder:swap(step.path, step.name)
  if ok == false then return replace(folder, step, own) end
  if not ok then
    folder:remove(own)
    return nil, reason == "missing" and CHANGED or problem
  end
  local same, why = verify(folder, step, own)
  if same then return true end
  swap_back(folder, step, own)
  return nil, why
end

--- Make a path what is wanted.
---@async
---@param step contree.workspace.Step
---@return boolean? done, string? why
function write.put(folder, step)
  local own = beside(step.path, step.name)
  if step.wanted.type ~= "absent" then
    local ok, problem = stage(folder, step)
    if not ok then return nil, problem end
    if step.expected.type == "absent" then return create(folder, step, own) end
    return exchange(folder, step, own)
  end
  return remove(folder, step, own)
end

--- Remove what was taken away, unless somebody has written to it meanwhile.
---@async
---@return boolean? done, string? why
function write.finish(folder, step)
  local own = beside(step.path, step.name)
  if not step.taken then return true end
  local found, problem = folder:look(own)
  local same = found and found.stamp == step.taken.stamp and found.inode == step.taken.inode
    and (found.type ~= "file" or folder:idle(own) ~= false)
  local removed, wrong
  if same then removed, wrong = folder:remove(own) end
  if removed then return true end
  if step.wanted.type == "absent" then move_back(folder, step, own)
  else swap_back(folder, step, own) end
  local is_directory = found and found.type == "directory"
  if same and not (is_directory and tostring(wrong):find("not empty")) then return nil, wrong end
  return nil, problem or is_directory and "it is not empty" or CHANGED
end

-- What cannot be told now is for the next call: it must not count as "nothing is there".
local function sure(value, problem)
  if problem then
    errors.raise("file", "workspace: what an interrupted call has left cannot be put in order: "
      .. problem)
  end
  return value
end

--- Bring a path into order that a killed program has left: nothing of ours stays beside it, and
--- no edit is lost.
---@async
function write.recover(folder, step)
  local own = beside(step.path, step.name)
  folder:remove(own .. PART)
  if not sure(folder:look(own)) then return end
  local state = sure(write.state(folder, own))
  local arrived = write.is(sure(write.state(folder, step.path)), step.wanted)
  if write.is(state, step.expected) then
    -- A directory that is not empty cannot be removed.
    if folder:remove(own) then return end
  elseif not arrived and write.is(state, step.wanted) then
    folder:remove(own)
    return
  end
  if not arrived then return end
  if step.wanted.type == "absent" then move_back(folder, step, own)
  else swap_back(folder, step, own) end
end

return write
