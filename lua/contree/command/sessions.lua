--- The sessions of the program, in one store of the user's: those of folders, by the folder's
--- path, and those with a name.

local core = require("contree.core")
local directories = require("contree.base.directories")
local errors = require("contree.base.errors")

local sessions = {}

--- The path of the store. Its directory is made.
function sessions.store()
  local state = directories.state()
  if not state then
    errors.raise("file", "there is no place for sessions",
      { hint = "set HOME, or CONTREE_STATE_DIR" })
  end
  directories.make(state)
  return state .. "/sessions.db"
end

--- The ids of all sessions.
local function all(args)
  local ids = {}
  for _, each in ipairs(args.contree.sessions(sessions.store()):list()) do ids[each.id] = true end
  return ids
end

local function parent_of(path)
  if path == "/" then return nil end
  local parent = path:match("^(.*)/[^/]+$")
  return parent == "" and "/" or parent
end

--- The absolute path of a folder, without links.
function sessions.folder(path)
  local real, problem = core.real_path(path)
  local stat = real and core.stat(real)
  if stat and stat.type == "directory" then return real end
  errors.raise("file", ("%s: %s"):format(path, problem or "it is no directory"))
end

--- The id of the session of a folder, or of the nearest above it that has one.
---@return string? id, string folder
local function find(args)
  local folder = sessions.folder(args.folder or ".")
  local ids, at = all(args), folder
  while at do
    if ids[at] then return at, folder end
    at = parent_of(at)
  end
  return nil, folder
end

--- Whether a folder has a session.
function sessions.has(args, folder) return all(args)[folder] == true end

--- The session that --session names, else that of the folder.
---@return contree.Session
function sessions.open(args)
  local id = args.session
  if not id then
    local folder
    id, folder = find(args)
    if not id then
      errors.raise("not_found", folder .. ": no session of this folder", {
        hint = "contree on --image IMAGE -- COMMAND begins one; --session NAME means another" })
    end
  end
  return args.client:session{ store = sessions.store(), id = id }
end

--- The session of that name; a new one begins at an image.
---@param reference? string the image
function sessions.named(args, reference)
  if not reference then return sessions.open(args) end
  return sessions.image(args, reference):session{ store = sessions.store(), id = args.session }
end

--- The workspace of a folder.
---@param options? table of image:workspace, with `image` for a folder that has none
---@return contree.Workspace
function sessions.workspace(args, options)
  options = options or {}
  local id, folder
  if options.path then
    folder = sessions.folder(options.path)
    id = sessions.has(args, folder) and folder or nil
  else
    id, folder = find(args)
  end
  if not id and not options.image then
    errors.raise("not_found", folder .. ": no command has run on this folder yet",
      { hint = "contree on --image IMAGE -- COMMAND runs the first one" })
  end
  local from
  if id then
    from = args.client:session{ store = sessions.store(), id = id }.image
  else
    from = args.client.images:oci(options.image)
  end
  return from:workspace{ path = id or folder, store = sessions.store(), id = id or folder,
    prefer = options.prefer }
end

--- The image that a word names: a tag, a uuid, a reference, or @ with @-N for where the
--- session is, or was N runs ago.
---@return contree.Image
function sessions.image(args, word)
  local back = word:match("^@%-?(%d*)$")
  if not back then return args.client.images:use(word) end
  local session = sessions.open(args)
  if back == "" then return session.image end
  local past = session:history()
  local entry = past[#past - tonumber(back)]
  if entry then return entry.image end
  errors.raise("not_found", ("%s: the session has %d entries"):format(word, #past),
    { hint = "contree log lists them" })
end

--- IMAGE:/PATH in its parts; nil when a word is no such thing.
---@return string? image, string? path
function sessions.split(word) return word:match("^(.-):(/.*)$") end

return sessions
