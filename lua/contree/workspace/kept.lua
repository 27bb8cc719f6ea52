--- The workspaces that programs of the user share: one a folder, in one store, by the folder's
--- path. Sessions with a name are kept there, too.

local core = require("contree.core")
local directories = require("contree.base.directories")
local errors = require("contree.base.errors")
local sessions = require("contree.session.sessions")
local workspace = require("contree.workspace")

local kept = {}

--- The path of the store. Its directory is made.
---@return string
function kept.store()
  local state = directories.state()
  if not state then
    errors.raise("file", "there is no place for sessions",
      { hint = "set HOME, or CONTREE_STATE_DIR" })
  end
  directories.make(state)
  return state .. "/sessions.db"
end

--- The ids of all sessions: id -> true.
---@async
local function all()
  local ids, store = {}, sessions.new(kept.store())
  for _, each in ipairs(store:list()) do ids[each.id] = true end
  store:close()
  return ids
end

--- Whether there is a session of that id.
---@async
---@param id string a folder's path, or a name
function kept.has(id) return all()[id] == true end

local function parent_of(path)
  if path == "/" then return nil end
  local parent = path:match("^(.*)/[^/]+$")
  return parent == "" and "/" or parent
end

--- The absolute path of a folder, without links.
---@param path string
---@return string
function kept.folder(path)
  local real, problem = core.real_path(path)
  local stat = real and core.stat(real)
  if stat and stat.type == "directory" then return real end
  -- The system's words begin with the path already.
  errors.raise("file", problem or path .. ": it is no directory")
end

--- The id of the session of a folder, or of the nearest above it that has one.
---@async
---@param path string
---@return string? id, string folder
function kept.find(path)
  local folder = kept.folder(path)
  local ids, at = all(), folder
  while at do
    if ids[at] then return at, folder end
    at = parent_of(at)
  end
  return nil, folder
end

local function options_of(id, given)
  given = given or {}
  return { path = id, store = kept.store(), id = id, prefer = given.prefer,
    progress = given.progress }
end

--- The workspace of that id, which there is. Nothing comes in before its next run.
---@async
---@param client contree.Client
---@param id string      a folder's path, from kept.find()
---@param given? { prefer: string?, progress: function? } of image:workspace
---@return contree.Workspace
function kept.open(client, id, given)
  local session = client:session{ store = kept.store(), id = id }
  return workspace.reopen(session.image, options_of(id, given))
end

--- The workspace of a folder that has none.
---@async
---@param client contree.Client
---@param folder string  as of kept.folder()
---@param image contree.Image|string a string is imported if it is not there
---@param given? { prefer: string?, progress: function? } of image:workspace
---@return contree.Workspace
function kept.begin(client, folder, image, given)
  if type(image) == "string" then image = client.images:oci(image) end
  return image:workspace(options_of(folder, given))
end

return kept
