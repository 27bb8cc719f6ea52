--- The user's directories for what programs keep: caches, which may be lost, and state.

local core = require("contree.core")
local errors = require("contree.base.errors")

local directories = {}

local function find(own, xdg, below)
  local given, base, home = os.getenv(own), os.getenv(xdg), os.getenv("HOME")
  if given and given ~= "" then return given end
  if base and base:sub(1, 1) == "/" then return base .. "/contree" end
  return home and home:sub(1, 1) == "/" and home .. below .. "/contree" or nil
end

--- Makes a directory and those above it; fails silently.
function directories.make(path)
  local at = 1
  while true do
    local slash = path:find("/", at + 1, true)
    core.mkdir(path:sub(1, (slash or 0) - 1), 448)
    if not slash then return end
    at = slash
  end
end

--- Whether something is there. Where that cannot be told, it fails: an error is no answer.
---@param path string
---@return boolean
function directories.has(path)
  local found, problem, missing = core.lstat(path)
  if not found and not missing then errors.raise("file", problem) end
  return found ~= nil
end

--- The names in a directory; none if it is missing. Where they cannot be told, it fails.
---@param path string
---@return string[]
function directories.names(path)
  local list, problem, missing = core.list(path)
  if not list and not missing then errors.raise("file", problem) end
  return list or {}
end

--- The path for what may be lost, or nil if the environment names none.
---@return string?
function directories.cache() return find("CONTREE_CACHE_DIR", "XDG_CACHE_HOME", "/.cache") end

--- The path for what should not be lost.
---@return string?
function directories.state() return find("CONTREE_STATE_DIR", "XDG_STATE_HOME", "/.local/state") end

return directories
