--- Changes come home, and are taken back. `self` is the contree.Workspace.

local carry = require("contree.workspace.carry")
local changes = require("contree.workspace.changes")
local choose = require("contree.workspace.choose")
local class = require("contree.base.class")
local core = require("contree.core")
local errors = require("contree.base.errors")
local hunks = require("contree.workspace.hunks")
local image = require("contree.image")
local loop = require("contree.loop")
local progress = require("contree.base.progress")
local remedy = require("contree.base.remedy")
local sync = require("contree.workspace.sync")
local tasks = require("contree.loop.task")
local plain = require("contree.base.text").plain
local wire = require("contree.wire")

local apply = {}

--- What apply() and undo() did, in words for who reads them.
---@param applied contree.Applied
---@param reader contree.Reader
---@return string
function apply.words(applied, reader)
  local lines, risky = {}, false
  local verb = applied.dry_run and "would write" or applied.undone and "took back" or "wrote"
  -- A name with an end of line in it is no other line.
  for _, path in ipairs(applied.written) do lines[#lines + 1] = verb .. " " .. plain(path) end
  for _, each in ipairs(applied.skipped) do
    lines[#lines + 1] = ("left %s alone (%s): %s"):format(plain(each.path), each.kind,
      plain(each.why))
    risky = risky or each.kind == "risky"
  end
  if risky then lines[#lines + 1] = remedy.words({ "risky" }, reader) end
  return table.concat(lines, "\n")
end

local AT_A_TIME = 4
local TEXT_MAX = 2 ^ 27

---@class contree.Applied what apply() and undo() did; tostring() shows it
---@field written string[]   paths of the folder that are what they should be
---@field skipped { path: string, why: string, kind: string }[] paths that were left alone;
---  kind: "conflict" (the folder's file is another one than came in), "risky", "unsupported",
---  "unchanged" (it was named, but there is no change), "failed"
---@field dry_run boolean nothing was done
---@field undone boolean     they were taken back
local make = class.define("contree.Applied", {}, {
  __tostring = function(self) return apply.words(self, "script") end,
}, { "written", "skipped", "dry_run", "undone" })

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

local function steps_of(chosen, index, out)
  local steps = {}
  for path, change in pairs(chosen) do
    local step = { path = path, change = change, expected = expected_of(change, index),
      wanted = wanted_of(change) }
    if change.type == "link" and change.change ~= "removed" and not change.target then
      carry.skip(out, path, "failed", "its target is not known")
    elseif step.expected.type == "directory" and step.wanted.type == "directory" then
      carry.skip(out, path, "unsupported", "modes of directories are left alone")
    else
      steps[#steps + 1] = step
    end
  end
  return steps
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
  local uuid, jobs, done = image.uuid_of(self.image), {}, 0
  local function add(get)
    jobs[#jobs + 1] = function()
      get()
      done = done + 1
      progress.tell(self.progress, "getting", "files", done, #jobs)
    end
  end
  for i, step in ipairs(steps) do
    local numbers = given.hunks and given.hunks[step.path]
    if step.wanted.type == "file" then
      step.source = ("%s/new/%d"):format(call.path, i)
      add(function()
        if numbers then return write_part(self, step, step.source, last, numbers) end
        step.wanted.sha256 = download(self, uuid, step.path,
          { path = step.source, mode = 384 }).sha256
      end)
    end
  end
  tasks.gather(jobs, AT_A_TIME)
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
  out.progress = nil
  return make(out, out.safe)
end

--- See Workspace:apply.
---@async
---@return contree.Applied
function apply.run(self, given)
  local out = { written = {}, skipped = {}, dry_run = given.dry_run or false,
    undone = false, safe = self.client.safe, progress = self.progress }
  carry.within(self.path, function(folder)
    local list, last = changes.list(self, { text = given.hunks ~= nil, ignored = true })
    local chosen
    chosen, out.skipped = choose.from(list, given)
    loop.pace()
    local index = core.index_read(last.index, chosen)
    loop.pace()
    local steps = steps_of(chosen, index, out)
    if #steps == 0 then return end
    carry.complete(folder, steps)
    carry.begin(self.path, function(call)
      fetch(self, call, steps, last, given)
      steps = carry.to_do(folder, steps, out)
      if given.dry_run then
        for _, step in ipairs(steps) do out.written[#out.written + 1] = step.path end
        return call:drop()
      end
      carry.out(self.path, folder, call, steps, out)
    end)
    if not given.dry_run then note(self, out) end
  end)
  return sorted(out)
end

--- See Workspace:undo.
---@async
---@return contree.Applied
function apply.undo(self)
  local out = { written = {}, skipped = {}, dry_run = false, undone = true,
    safe = self.client.safe, progress = self.progress }
  carry.within(self.path, function(folder)
    if not carry.undo(self.path, folder, out) then
      errors.raise("not_found", "workspace: there is nothing to take back in " .. self.path)
    end
    note(self, out)
  end)
  return sorted(out)
end

return apply
