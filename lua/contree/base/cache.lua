--- A cache that programs share: a file of lines "KEY VALUE", one for each server and project.
--- Lines are only appended. It can be lost without harm.

local core = require("contree.core")
local directories = require("contree.base.directories")

local cache = {}

-- With more lines than this, the file is rewritten with the newest half of them.
local LINES_MAX = 8192

---@class contree.Cache
---@field path? string nil: there is no directory for it, and it is kept in memory only
---@field known table<string, string>
---@field lines integer  about as many as the file has, or `known`
local Cache = {}
Cache.__index = Cache

local function escape(char) return ("%%%02X"):format(char:byte()) end
local function unescape(digits) return string.char(tonumber(digits, 16)) end

local function line_of(key, value)
  return key .. " " .. value:gsub("[^%w%-._/:=,+]", escape) .. "\n"
end

-- Keep the newest half. A line that another process adds meanwhile is lost.
local function shorten(self, lines)
  local temporary = ("%s.%d"):format(self.path, core.getpid())
  local file = io.open(temporary, "wb")
  if not file then return end
  local text = table.concat(lines, "\n", #lines - LINES_MAX / 2 + 1) .. "\n"
  local ok = file:write(text)
  if file:close() and ok and os.rename(temporary, self.path) then return end
  os.remove(temporary)
end

local function load(self)
  local file = io.open(self.path, "rb")
  if not file then return end
  local lines = {}
  for line in file:lines() do
    local key, value = line:match("^(%S+) (%S*)$")
    if key then
      self.known[key] = value:gsub("%%(%x%x)", unescape)
      lines[#lines + 1] = line
    end
  end
  file:close()
  if #lines > LINES_MAX then shorten(self, lines) end
  self.lines = math.min(#lines, LINES_MAX / 2)
end

-- In a program that goes on for weeks, too, neither memory nor file grow without end.
local function count_line(self)
  self.lines = self.lines + 1
  if self.lines <= LINES_MAX then return end
  self.known, self.lines = {}, 0
  if self.path then load(self) end
end

--- The cache for a client's server.
---@param client contree.Client
---@param purpose string a directory's name
---@param place? string directory; default: the user's for caches
---@return contree.Cache
function cache.open(client, purpose, place)
  local self = setmetatable({ known = {}, lines = 0 }, Cache)
  if client.respond then return self end -- contree.testing: images end with the program
  place = place or directories.cache()
  if not place then return self end
  directories.make(place .. "/" .. purpose)
  local scope = core.sha256(client.address .. "\n" .. (client.project or ""))
  self.path = ("%s/%s/%s"):format(place, purpose, scope:sub(1, 32))
  load(self)
  return self
end

---@param key string
---@return string? value
function Cache:get(key) return self.known[key] end

--- Keep a value. A file that cannot be written is ignored.
---@param key string without spaces
---@param value string
function Cache:put(key, value)
  if self.known[key] == value then return end
  count_line(self)
  self.known[key] = value
  local file = self.path and io.open(self.path, "ab")
  if not file then return end
  -- One write(), so that the lines of two processes do not mix.
  file:setvbuf("full", 65536)
  file:write(line_of(key, value))
  file:close()
end

--- The key of a list of texts; different lists have different keys.
---@param texts string[]
---@return string
function cache.key(texts)
  local parts = {}
  for i, text in ipairs(texts) do parts[i] = #text .. ":" .. text end
  return core.sha256(table.concat(parts))
end

return cache
