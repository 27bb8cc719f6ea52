--- The journal: what apply() and undo() are about to do to a folder, written before they do it,
--- with copies of what they replace. It is in the state directory, one directory a call.
---
--- A directory holds `plan`, once all is known; `old` and `new`, files by number; `ended`; and
--- `undone`. One with a plan and without `ended` was interrupted: recover() puts its paths in
--- order before the next call begins.

local core = require("contree.core")
local directories = require("contree.base.directories")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local write = require("contree.workspace.write")

local journal = {}

local VERSION = 1 -- of plans; the first had no number
local KEPT = 20   -- calls that can be taken back
local TEXT_MAX = 2 ^ 30

local function fail(problem)
  errors.raise("file", "workspace: cannot keep the journal: " .. tostring(problem),
    { hint = "CONTREE_STATE_DIR names another directory" })
end

local function root_of(path)
  local state = directories.state()
  if not state then fail("there is no directory for it; set HOME or CONTREE_STATE_DIR") end
  return state .. "/workspace/journal/" .. core.sha256(path):sub(1, 32)
end

---@class contree.workspace.Journal one call
---@field path string
---@field folder userdata
---@field steps? contree.workspace.Step[]
local Journal = {}
Journal.__index = Journal

local function open(path)
  local folder, problem = core.folder(path)
  if not folder then fail(problem) end
  return setmetatable({ path = path, folder = folder }, Journal)
end

-- The calls of a folder, the oldest first.
local function list(root)
  local names = {}
  for _, name in ipairs(directories.names(root)) do
    if name:find("^%d+$") then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function has(root, name, what)
  return directories.has(("%s/%s/%s"):format(root, name, what))
end

local function remove(root, name)
  local path = root .. "/" .. name
  for _, below in ipairs{ "/old/", "/new/", "/" } do
    for _, each in ipairs(core.list(path .. below) or {}) do os.remove(path .. below .. each) end
    os.remove(path .. below)
  end
  os.remove(path)
end

-- Steps as text -----------------------------------------------------------

-- Names may be any bytes.
local function packed_state(state)
  return { type = state.type, mode = state.mode, sha256 = state.sha256, uid = state.uid,
    gid = state.gid, target = state.target and core.base64_encode(state.target) }
end

local function packed_step(step)
  return { path = core.base64_encode(step.path), name = step.name, old = step.old,
    expected = packed_state(step.expected), wanted = packed_state(step.wanted) }
end

-- Of a file that may be damaged: nil, or what was packed.
local function bytes_of(text) return type(text) == "string" and core.base64_decode(text) or nil end

local function is_a(kind, value) return value == nil or type(value) == kind end

local function state_of(found)
  if type(found) ~= "table" or type(found.type) ~= "string" then return nil end
  local state = { type = found.type, mode = found.mode, sha256 = found.sha256, uid = found.uid,
    gid = found.gid, target = bytes_of(found.target) }
  local whole = is_a("number", state.mode) and is_a("string", state.sha256)
    and is_a("number", state.uid) and is_a("number", state.gid)
    and (state.type ~= "link" or state.target)
  return whole and state or nil
end

local function step_of(found)
  if type(found) ~= "table" then return nil end
  local step = { path = bytes_of(found.path), name = found.name, old = found.old,
    expected = state_of(found.expected), wanted = state_of(found.wanted) }
  local whole = step.path and step.expected and step.wanted and is_a("string", step.name)
    and (step.old == nil or type(step.old) == "string" and step.old:find("^old/%d+$"))
  return whole and step or nil
end

-- Its steps, and which call it takes back; of a newer one the version; nil: it is damaged.
local function plan_of(text)
  local plan = json.decode(text)
  if type(plan) ~= "table" or not is_a("number", plan.version) then return nil end
  if (plan.version or 1) > VERSION then return { version = plan.version } end
  if type(plan.steps) ~= "table" or not is_a("string", plan.undoes) then return nil end
  local steps = {}
  for i, found in ipairs(plan.steps) do
    steps[i] = step_of(found)
    if not steps[i] then return nil end
  end
  return { steps = steps, undoes = plan.undoes }
end

-- One call ------------------------------------------------------------------

--- Begin a call. `names` in the folder are made from its number.
---@param path string of the folder
---@return contree.workspace.Journal
function journal.begin(path)
  local root = root_of(path)
  local names = list(root)
  local number = (tonumber(names[#names]) or 0) + 1
  for i = 1, #names - KEPT do remove(root, names[i]) end
  local self_path = ("%s/%08d"):format(root, number)
  directories.make(self_path .. "/old")
  directories.make(self_path .. "/new")
  local self = open(self_path)
  self.prefix = (".contree-%s-%d-"):format(core.sha256(self_path .. os.time()):sub(1, 8), number)
  return self
end

--- Write the plan; from now on the call can be recovered.
---@param steps contree.workspace.Step[]
---@param undoes? string the path of the call that this one takes back
function Journal:commit(steps, undoes)
  local rows = json.array{}
  for i, step in ipairs(steps) do rows[i] = packed_step(step) end
  local text, problem = json.encode{ version = VERSION, steps = rows, undoes = undoes,
    time = os.time() }
  local ok = text and self.folder:sync("old/0") and self.folder:sync("new/0")
  if not ok then fail(problem) end
  local above = core.folder(self.path:match("^(.*)/"))
  if not above or not above:sync("0") then fail("its directory cannot be written") end
  above:close()
  ok, problem = self.folder:write("plan", text, true)
  if not ok then fail(problem) end
end

--- All paths are in order.
---@param steps? contree.workspace.Step[] those that are `done` can be taken back; nil: all that
---  are found done then
function Journal:finish(steps)
  for _, name in ipairs(core.list(self.path .. "/new") or {}) do
    os.remove(self.path .. "/new/" .. name)
  end
  local done = {}
  for i, step in ipairs(steps or {}) do
    if step.done then done[#done + 1] = i end
  end
  local ok, problem = self.folder:write("ended", steps and table.concat(done, " ") .. "\n" or "",
    true)
  self.folder:close()
  if not ok then fail(problem) end
end

--- The call came to nothing.
function Journal:drop()
  self.folder:close()
  local root, name = self.path:match("^(.*)/([^/]+)$")
  remove(root, name)
end

--- The call was taken back.
function Journal:undone()
  local ok, problem = self.folder:write("undone", "", true)
  self.folder:close()
  if not ok then fail(problem) end
end

local function read(path)
  local text = core.read_file(path .. "/plan", TEXT_MAX)
  local plan = text and plan_of(text)
  if not plan then fail("the plan in " .. path .. " is damaged") end
  if plan.version then
    errors.raise("file", ("workspace: the journal in %s was made by a newer contree (version %s, "
      .. "this one knows %d)"):format(path, plan.version, VERSION),
      { hint = "use that one for this folder" })
  end
  local self = open(path)
  self.steps, self.undoes = {}, plan.undoes
  local ended, problem, missing = core.read_file(path .. "/ended", TEXT_MAX)
  if not ended and not missing then fail(problem) end
  ended = ended or ""
  for i, step in ipairs(plan.steps) do
    if ended == "" or (" " .. ended):find(("%%s%d%%s"):format(i)) then
      step.old_path = step.old and path .. "/" .. step.old
      self.steps[#self.steps + 1] = step
    end
  end
  return self
end

-- All calls -------------------------------------------------------------------

--- Put in order what killed programs have left.
---@async
---@param path string of the folder
---@param folder userdata
function journal.recover(path, folder)
  local root = root_of(path)
  for _, name in ipairs(list(root)) do
    if not has(root, name, "plan") then
      remove(root, name)
    elseif not has(root, name, "ended") then
      local call = read(root .. "/" .. name)
      local undoes, over = call.undoes, true
      for _, step in ipairs(call.steps) do
        write.recover(folder, step)
        over = write.is(write.state(folder, step.path), step.wanted) and over
      end
      call:finish()
      -- What was taken back in part can be taken back once more.
      if undoes and over and directories.has(undoes) then open(undoes):undone() end
    end
  end
end

--- The last call that was not taken back, or nil.
---@param path string of the folder
---@return contree.workspace.Journal?
function journal.last(path)
  local root = root_of(path)
  local names = list(root)
  for i = #names, 1, -1 do
    if has(root, names[i], "ended") and not has(root, names[i], "undone") then
      local call = read(root .. "/" .. names[i])
      if not call.undoes then return call end
      call.folder:close()
    end
  end
end

return journal
