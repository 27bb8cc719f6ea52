--- A store of sessions in memory, lost with the program. Rows and functions are those of
--- store/sqlite.lua.

local memory = {}

---@class contree.store.Session
---@field id string
---@field server string         the server of its images
---@field branch string         the selected branch
---@field created_at string
---@field updated_at string

---@class contree.store.Entry
---@field id integer
---@field session string
---@field parent? integer
---@field uuid? string          of the image
---@field kind "start"|"run"|"files"|"stage"|"commit"|"merge"
---@field title string
---@field exit_code? integer
---@field operation? string     the id of the operation that made the image
---@field created_at string    ISO 8601
---@field image? contree.Image  where its uuid is not known; not in a file

---@class contree.store.Pending a run whose end was not taken yet
---@field operation string
---@field session string
---@field branch string
---@field tip integer           the entry that it was started from
---@field kind string
---@field title string
---@field created_at string

---@class contree.Rows
local Rows = {}
Rows.__index = Rows

---@return contree.Rows
function memory.new()
  return setmetatable({ sessions = {}, branches = {}, entries = {}, pending = {} }, Rows)
end

--- Call fn(rows, …) as one transaction.
function Rows:read(fn, ...) return fn(self, ...) end
Rows.write = Rows.read

--- The same without waiting.
Rows.write_now = Rows.read

function Rows:session(id) return self.sessions[id] end

function Rows:add_session(row)
  self.sessions[row.id] = row
  self.branches[row.id] = {}
end

function Rows:select_branch(id, name) self.sessions[id].branch = name end

function Rows:tip(id, name) return self.branches[id][name] end

--- Let a branch end at an entry, or remove it (nil).
function Rows:set_tip(id, name, tip) self.branches[id][name] = tip end

--- name -> entry
function Rows:tips(id)
  local tips = {}
  for name, tip in pairs(self.branches[id]) do tips[name] = tip end
  return tips
end

--- The entry's image is left out where its uuid says which it is: the results of thousands of
--- runs, with their output, would stay for as long as the session.
---@return integer id
function Rows:add_entry(row)
  row.id = #self.entries + 1
  local kept = {}
  for name, value in pairs(row) do kept[name] = value end
  if kept.uuid then kept.image = nil end
  self.entries[row.id] = kept
  return row.id
end

function Rows:entry(id) return self.entries[id] end

--- The entries from the first one to `tip`.
function Rows:chain(tip)
  local list, chain = {}, {}
  local at = self.entries[tip]
  while at do
    list[#list + 1] = at
    at = self.entries[at.parent]
  end
  for i = #list, 1, -1 do chain[#chain + 1] = list[i] end
  return chain
end

--- All entries of a session, the oldest first.
function Rows:list_entries(id)
  local list = {}
  for _, entry in ipairs(self.entries) do
    if entry.session == id then list[#list + 1] = entry end
  end
  return list
end

function Rows:made_by(id, operation)
  for _, entry in ipairs(self.entries) do
    if entry.session == id and entry.operation == operation then return entry end
  end
end

function Rows:add_pending(row) self.pending[#self.pending + 1] = row end

--- The pending runs of a session, the oldest first.
function Rows:list_pending(id)
  local list = {}
  for _, row in ipairs(self.pending) do
    if row.session == id then list[#list + 1] = row end
  end
  return list
end

function Rows:find_pending(operation)
  for _, row in ipairs(self.pending) do
    if row.operation == operation then return row end
  end
end

function Rows:remove_pending(operation)
  for i, row in ipairs(self.pending) do
    if row.operation == operation then return table.remove(self.pending, i) end
  end
end

return memory
