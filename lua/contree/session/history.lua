--- The history of a session: a tree of entries, branches that point into it, and pending
--- runs. A store (session/store) keeps it, and other processes may change it at any time.
--- Each function here is one transaction and returns what it found.

local errors = require("contree.base.errors")

local history = {}

---@class contree.Place where a run was started from
---@field branch string
---@field tip integer

---@class contree.History
---@field rows contree.Rows
---@field id string
local History = {}
History.__index = History

-- The time as servers write it.
local function now() return os.date("!%Y-%m-%dT%H:%M:%SZ") end

local function at(rows, id) return setmetatable({ rows = rows, id = id }, History) end

local function insert(rows, id, entry, parent)
  entry.session, entry.parent = id, parent
  entry.created_at = entry.created_at or now()
  entry.id = rows:add_entry(entry)
  return entry.id
end

-- A name for a fork that no session of the store has. Its number is found by halving: a
-- thousand forks are made with ten questions each.
local function free_name(rows, id)
  local function is_taken(number) return rows:session(("%s-%d"):format(id, number)) end
  local taken, free = 1, 2
  while is_taken(free) do taken, free = free, free * 2 end
  while free - taken > 1 do
    local middle = math.floor((taken + free) / 2)
    if is_taken(middle) then taken = middle else free = middle end
  end
  return ("%s-%d"):format(id, free)
end

local function create(rows, id, server, entries)
  local moment = now()
  rows:add_session{ id = id, server = server, branch = "main", created_at = moment,
    updated_at = moment }
  local tip
  for _, entry in ipairs(entries) do tip = insert(rows, id, entry, tip) end
  rows:set_tip(id, "main", tip)
end

--- Opens the session of that name, or makes it from `entries`.
---@async
---@param rows contree.Rows
---@param id string
---@param server string
---@param entries? contree.store.Entry[] the oldest first
---@return contree.History? history nil: the session does not exist, and `entries` is nil
---@return string? server       the server of its images
function history.open(rows, id, server, entries)
  return rows:write(function()
    local found = rows:session(id)
    if not found and not entries then return nil end
    if not found then create(rows, id, server, entries) end
    return at(rows, id), found and found.server or server
  end)
end

--- Whether a store has a session.
---@async
function history.exists(rows, id)
  return rows:read(function() return rows:session(id) ~= nil end)
end

-- The session's row. Another process may have deleted it.
local function check(self)
  local found = self.rows:session(self.id)
  if not found then
    errors.raise("gone", ("the session %q has been deleted"):format(self.id))
  end
  return found
end

--- Another session in the same store, with this one's entries up to `tip`.
---@async
---@param id? string   nil: a name that is free
---@return contree.History? fork nil: there is a session of that name
function History:fork(id, tip)
  local rows = self.rows
  return rows:write(function()
    local server = check(self).server
    if id and rows:session(id) then return nil end
    local name = id or free_name(rows, self.id)
    local entries = {}
    for i, entry in ipairs(rows:chain(tip)) do
      entries[i] = {}
      for key, value in pairs(entry) do entries[i][key] = value end
    end
    create(rows, name, server, entries)
    return at(rows, name)
  end)
end

--- Where the session is now.
---@async
---@return string branch, contree.store.Entry entry
function History:current()
  return self.rows:read(function()
    local branch = check(self).branch
    return branch, self.rows:entry(self.rows:tip(self.id, branch))
  end)
end

--- The entry where a branch ends now, and the pending run that was started there.
---@async
---@return contree.store.Entry? entry nil: there is no such branch
---@return contree.store.Pending? pending
function History:position(branch)
  return self.rows:read(function()
    check(self)
    local tip = self.rows:tip(self.id, branch)
    if not tip then return nil end
    for _, row in ipairs(self.rows:list_pending(self.id)) do
      if row.branch == branch and row.tip == tip then return self.rows:entry(tip), row end
    end
    return self.rows:entry(tip)
  end)
end

--- The entries from the first one to `tip`.
---@async
---@return contree.store.Entry[]
function History:chain(tip)
  return self.rows:read(function()
    check(self)
    return self.rows:chain(tip)
  end)
end

--- The entries from the first one to the end of a branch.
---@async
---@return contree.store.Entry[]? entries nil: there is no such branch
function History:chain_of(branch)
  return self.rows:read(function()
    check(self)
    local tip = self.rows:tip(self.id, branch)
    return tip and self.rows:chain(tip) or nil
  end)
end

--- All entries, the oldest first, and where each branch ends.
---@async
---@return contree.store.Entry[] entries, table<string, integer> tips
function History:tree()
  return self.rows:read(function()
    check(self)
    return self.rows:list_entries(self.id), self.rows:tips(self.id)
  end)
end

-- Add an entry at the place where a run was started, or as a new branch from there. False:
-- the branch was moved since, or there is one of that name.
local function place(self, place_at, entry, branch)
  local rows = self.rows
  check(self)
  local name = branch or place_at.branch
  local tip = rows:tip(self.id, name)
  if branch and tip or not branch and tip ~= place_at.tip then return false end
  insert(rows, self.id, entry, place_at.tip)
  rows:set_tip(self.id, name, entry.id)
  if branch then rows:select_branch(self.id, branch) end
  if entry.operation then rows:remove_pending(entry.operation) end
  return true
end

--- Add an entry. With `branch` it begins a new branch of that name, which is selected.
---@async
---@return boolean added false: the branch was moved, or there is one of that name
function History:add(place_at, entry, branch)
  return self.rows:write(function() return place(self, place_at, entry, branch) end)
end

--- Note a pending run: its end will be taken later.
---@async
---@param row { operation: string, branch: string, tip: integer, kind: string, title: string }
function History:expect(row)
  row.session, row.created_at = self.id, now()
  self.rows:write(function()
    check(self)
    self.rows:add_pending(row)
  end)
end

--- The pending runs, the oldest first.
---@async
---@return contree.store.Pending[]
function History:pending()
  return self.rows:read(function()
    check(self)
    return self.rows:list_pending(self.id)
  end)
end

--- Take the end of a pending run. Only the first call does; any process may make it.
---@async
---@param operation string
---@param entry? contree.store.Entry nil: it kept no image
---@return "placed"|"moved"|"done" what moved: its branch was moved, and the run stays pending;
---  done: it was taken before
function History:settle(operation, entry)
  local rows = self.rows
  return rows:write(function()
    check(self)
    local row = rows:find_pending(operation)
    if not row then return "done" end
    if entry and not place(self, row, entry) then return "moved" end
    rows:remove_pending(operation)
    return "placed"
  end)
end

--- Forget a pending run, unless that would have to wait for the store.
function History:forget(operation)
  pcall(self.rows.write_now, self.rows, function() self.rows:remove_pending(operation) end)
end

--- Move the end of a branch to another entry.
---@async
---@return boolean moved false: it was moved meanwhile
function History:move(place_at, tip)
  local rows = self.rows
  return rows:write(function()
    check(self)
    if rows:tip(self.id, place_at.branch) ~= place_at.tip then return false end
    rows:set_tip(self.id, place_at.branch, tip)
    return true
  end)
end

--- Make a branch that ends at an entry, and select it.
---@async
---@return boolean made false: there is one of that name
function History:branch(name, tip)
  local rows = self.rows
  return rows:write(function()
    check(self)
    if rows:tip(self.id, name) then return false end
    rows:set_tip(self.id, name, tip)
    rows:select_branch(self.id, name)
    return true
  end)
end

--- Selects a branch.
---@async
---@return contree.store.Entry? entry where it ends; nil: no such branch
function History:select(name)
  local rows = self.rows
  return rows:write(function()
    check(self)
    local tip = rows:tip(self.id, name)
    if not tip then return nil end
    rows:select_branch(self.id, name)
    return rows:entry(tip)
  end)
end

--- Removes a branch.
---@async
---@return "removed"|"selected"|"none" what
function History:remove_branch(name)
  local rows = self.rows
  return rows:write(function()
    if check(self).branch == name then return "selected" end
    if not rows:tip(self.id, name) then return "none" end
    rows:set_tip(self.id, name, nil)
    return "removed"
  end)
end

--- The names of the branches, sorted.
---@async
---@return string[]
function History:branches()
  local names = {}
  local tips = self.rows:read(function()
    check(self)
    return self.rows:tips(self.id)
  end)
  for name in pairs(tips) do names[#names + 1] = name end
  table.sort(names)
  return names
end

return history
