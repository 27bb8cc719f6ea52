--- The logins of registries that the user has: what `skopeo login`, `podman login` and `docker
--- login` have written, or hand over (containers-auth.json(5)).

local core = require("contree.core")
local errors = require("contree.base.errors")
local json = require("contree.base.json")
local reference = require("contree.image.reference")

local logins = {}

local FILE_MAX = 2 ^ 20
local HUB = "docker.io"
-- How Docker names its own registry.
local HUB_KEYS = { "docker.io", "https://index.docker.io/v1/", "index.docker.io" }

-- The files, the first that knows the registry wins.
local function files(getenv)
  local own = getenv("REGISTRY_AUTH_FILE")
  if own and own ~= "" then return { own } end
  local home = getenv("HOME") or ""
  local list = {}
  local function add(directory, name)
    if directory and directory ~= "" then list[#list + 1] = directory .. name end
  end
  add(getenv("XDG_RUNTIME_DIR"), "/containers/auth.json")
  add(getenv("XDG_CONFIG_HOME") or home .. "/.config", "/containers/auth.json")
  add(getenv("DOCKER_CONFIG") or home .. "/.docker", "/config.json")
  return list
end

local function read(path)
  local file = io.open(path, "rb")
  if not file then return {} end
  local text = file:read(FILE_MAX)
  file:close()
  local value = text and json.decode(text)
  if type(value) ~= "table" then
    errors.raise("file", path .. ": the logins of registries are no JSON",
      { hint = "skopeo login writes such a file" })
  end
  return value
end

-- Asks a credential helper. Both words go to a shell, so they are plain.
local function ask(helper, key)
  if not helper:find("^[%w_-]+$") or not key:find("^[%w.:/_-]+$") then return nil end
  local pipe = io.popen(("printf %%s '%s' | docker-credential-%s get 2>/dev/null")
    :format(key, helper))
  local found = pipe and json.decode(pipe:read("a"))
  if pipe then pipe:close() end
  local user = type(found) == "table" and json.as("string", found.Username)
  local secret = user and json.as("string", found.Secret)
  return secret and { username = user, password = secret } or nil
end

local function member(value, name)
  return type(value) == "table" and value[name] or nil
end

local function of_key(file, key)
  local helper = json.as("string", member(file.credHelpers, key))
  if helper then return ask(helper, key) end
  local entry = member(file.auths, key)
  local auth = json.as("string", member(entry, "auth"))
  local plain = auth and core.base64_decode(auth)
  local user, password = (plain or ""):match("^([^:]+):(.*)$")
  if user then return { username = user, password = (password:gsub("%z+$", "")) } end
  local store = json.as("string", file.credsStore)
  return entry and store and ask(store, key) or nil
end

-- The registry and the repository.
local function place_of(ref)
  local host, path = reference.split_host((ref:gsub("^docker://", ""):gsub("@.*$", "")))
  return host == "index.docker.io" and HUB or host, (path:gsub(":[^/]*$", ""))
end

--- The user's login of a reference's registry; nil: none.
---@param ref string "docker://registry.example.net/me/app:v2", with or without "docker://"
---@param getenv? fun(name: string): string? default os.getenv
---@return { username: string, password: string }?
function logins.of(ref, getenv)
  local host, path = place_of(ref)
  for _, name in ipairs(files(getenv or os.getenv)) do
    local file = read(name)
    -- A login may be for a part of a registry: the longest name wins.
    local key = host .. "/" .. path
    while key do
      local found = of_key(file, key)
      if found then return found end
      key = key:match("^(.*)/")
    end
    for _, each in ipairs(host == HUB and HUB_KEYS or {}) do
      local found = of_key(file, each)
      if found then return found end
    end
  end
  return nil
end

return logins
