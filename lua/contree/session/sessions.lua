--- A store of sessions: a file with many of them, for several programs, also at the same
--- time.

local class = require("contree.base.class")
local options = require("contree.base.options")
local printed = require("contree.base.printed")
local sqlite = require("contree.session.store.sqlite")
local text = require("contree.base.text")

local sessions = {}

---@class contree.Sessions
---@field path string the file
local Sessions = {}

local make = class.define("contree.Sessions", Sessions, {
  __tostring = function(self) return ("contree.Sessions(%s)"):format(self.path) end,
}, { "path" })

--- contree.sessions. The file is made when it is first used.
---@param path string
---@param given? { timeout: number? } seconds to wait for others who use it; default 5
---@param safe? boolean
---@return contree.Sessions
function sessions.new(path, given, safe)
  options.argument("contree.sessions", "the path", options.name, path)
  given = options.check("contree.sessions", { timeout = options.duration }, given)
  local rows = sqlite.new(path, given.timeout)
  return make({ path = path, rows = rows }, safe)
end

---@class contree.StoredSession
---@field id string its name
---@field server string      the server of its images
---@field branch string      the selected branch
---@field uuid string        the image where it is
---@field title string       the last command
---@field created_at string ISO 8601
---@field updated_at string ISO 8601, of the last change

local print_session = printed.record(function(self)
  return ("%s  on %s  %s  %s"):format(self.id, self.branch, self.updated_at, text.line(self.title))
end)

local print_sessions = printed.list()

--- The sessions of the store, the one that was used last first.
---     for _, one in ipairs(store:list()) do print(one.id, one.title) end
--- Raises: file (the store cannot be read), timeout (it is locked).
---@async
---@return contree.StoredSession[]
function Sessions:list()
  local list = self.rows:read(function(rows) return rows:list_sessions() end)
  for _, each in ipairs(list) do print_session(each) end
  return print_sessions(list)
end

--- Deletes a session; its images stay on the server.
---     store:delete("demo")
--- Raises: file (the store cannot be written), timeout (it is locked).
---@async
---@param id string the session's name in the store
---@return boolean deleted false: there was none of that name
function Sessions:delete(id)
  options.argument("sessions:delete", "the id", options.name, id)
  return self.rows:write(function(rows) return rows:remove_session(id) end)
end

--- Closes the file. The next use opens it again.
---     store:close()
--- Raises: nothing.
function Sessions:close() self.rows:close() end

return sessions
