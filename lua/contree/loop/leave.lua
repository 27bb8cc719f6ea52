--- The end of the program: nothing that it started goes on without it.

local class = require("contree.base.class")
local core = require("contree.core")
local errors = require("contree.base.errors")
local loop = require("contree.loop")
local owned = require("contree.loop.owned")
local tasks = require("contree.loop.task")

local leave = {}

-- Seconds that the end of a program waits for what it has left running to be undone.
local LAST = 1
local PLACES = 5

--- Cancel all tasks and undo what they have started, and wait until that is done.
---@param seconds number
---@return boolean over false when the time ran out first; the rest is dropped
function leave.shutdown(seconds)
  if loop.current() then
    errors.misuse("contree.shutdown is for plain code", "a task ends itself by returning")
  end
  local host, name = loop.host()
  if host.will then
    errors.raise("not_supported", "contree.shutdown cannot wait in " .. name,
      { hint = "tasks end with their request" })
  end
  tasks.cancel_all()
  owned.undo_all()
  local over = tasks.join_all(seconds)
  tasks.report_all()
  if not over then
    loop.close()
    if host.drop then host.drop() end
  end
  return over
end

local function places(list)
  local found, seen = {}, {}
  for _, task in ipairs(list) do
    if not seen[task.made] then
      seen[task.made] = true
      found[#found + 1] = task.made
    end
  end
  table.sort(found)
  local rest = #found - PLACES
  if rest > 0 then found = { (table.unpack or unpack)(found, 1, PLACES) } end
  return table.concat(found, ", ") .. (rest > 0 and (" and %d more places"):format(rest) or "")
end

local function tell(list, what)
  if #list == 0 then return end
  io.stderr:write(("contree: the program has ended, and %d of its tasks %s, started at %s\n")
    :format(#list, what, places(list)))
end

local function tell_of_tasks()
  local waiting, running = {}, {}
  for _, task in ipairs(tasks.unfinished()) do
    table.insert(task.status == "waiting" and waiting or running, task)
  end
  tell(waiting, "never ran")
  tell(running, "had not ended")
  if #waiting + #running > 0 then
    io.stderr:write("contree: tasks run while something waits: put the program into ",
      "contree.async(function() … end), or wait for them\n")
  end
end

-- Whether the script is the whole program, not a part of a host.
local function is_script()
  return not tasks.stepped and type(rawget(_G, "arg")) == "table"
end

local function end_of_program(host)
  tasks.report_all()
  if host.script and is_script() then
    tell_of_tasks()
    if tasks.untended > 0 then core.fail_at_exit() end
  end
  loop.seize()
  owned.undo_all()
  tasks.join_apart(LAST)
  loop.dispose()
end

-- A value that is collected when the Lua state is closed. Lua calls finalisers in reverse
-- order of their creation, and this one needs the core loop: it must be younger.
local function anchor()
  local pid, this = core.getpid(), {}
  leave.current = this
  leave.anchor = class.on_collect(function()
    local host = loop.chosen()
    if leave.current ~= this or core.getpid() ~= pid or not host or host.will then return end
    pcall(end_of_program, host)
  end)
end

loop.on_new_reactor = anchor
anchor()

return leave
