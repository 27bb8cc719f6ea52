--- The session and the image that a command line means.

local errors = require("contree.base.errors")
local kept = require("contree.workspace.kept")
local logins = require("contree.command.logins")
local options = require("contree.base.options")

local sessions = {}

--- The session that --session names, else that of the folder.
---@return contree.Session
function sessions.open(args)
  local id = args.session
  if not id then
    local folder
    id, folder = kept.find(args.folder or ".")
    if not id then
      errors.raise("not_found", folder .. ": no session of this folder", {
        hint = "contree on --image IMAGE -- COMMAND begins one; --session NAME means another" })
    end
  end
  return args.client:session{ store = kept.store(), id = id }
end

--- The session of that name; a new one begins at an image.
---@param reference string the image
function sessions.named(args, reference)
  if kept.has(args.session) then return sessions.open(args) end
  return sessions.image(args, reference):session{ store = kept.store(), id = args.session }
end

--- The workspace of a folder; by default of the nearest above --folder that has one.
---@param given? { path: string?, image: string?, prefer: string?, progress: function? }
---@return contree.Workspace
function sessions.workspace(args, given)
  given = given or {}
  local id, folder
  if given.path then
    folder = kept.folder(given.path)
    id = kept.has(folder) and folder or nil
  else
    id, folder = kept.find(args.folder or ".")
  end
  if id then return kept.open(args.client, id, given) end
  if given.image then
    return kept.begin(args.client, folder, sessions.start(args, given.image), given)
  end
  errors.raise("not_found", folder .. ": no command has run on this folder yet",
    { hint = "contree on --image IMAGE -- COMMAND runs the first one" })
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

--- The image that a run begins at: as above, and imported with the user's login if it is not
--- there.
---@return contree.Image
function sessions.start(args, word)
  if word:find("^@") then return sessions.image(args, word) end
  local ok, image = pcall(args.client.images.oci, args.client.images, word, logins.of(word))
  if ok then return image end
  sessions.suggest(args, image, word)
  error(image, 0)
end

local function name_of(tag) return tag:match("^(.*):[^:/]*$") or tag end

--- Tells an error about an image that is not there which one was probably meant: one that is
--- here, with nearly the same name.
---@async
---@param err any
---@param word string the image that was asked for
function sessions.suggest(args, err, word)
  if not errors.is(err) or err.hint and (err.remedy or {})[1] ~= "import" then return end
  local ok, list = pcall(args.client.images.list, args.client.images, { tagged = true })
  local tags = {}
  for _, image in ipairs(ok and list or {}) do tags[name_of(image.tag)] = image.tag end
  local near = options.nearest(name_of(word), tags)
  if near then
    err.remedy, err.hint = nil, ("did you mean %s? contree images lists what is here")
      :format(tags[near])
  end
end

--- IMAGE:/PATH in its parts; nil when a word is no such thing.
---@return string? image, string? path
function sessions.split(word) return word:match("^(.-):(/.*)$") end

return sessions
