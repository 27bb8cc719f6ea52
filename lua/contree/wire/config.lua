--- Where url, token and project come from: argument › environment › profile ›
--- the local engine (http-api.md §9).
--
-- Credentials from different places are not mixed: a profile's token is used with an url
-- from elsewhere only when the caller names the profile.

local errors = require("contree.base.errors")
local nearest = require("contree.base.options").nearest

local config = {}

local SERVICE = "https://api.tokenfactory.nebius.com/sandboxes"

local function expand_home(path, getenv)
  return (path:gsub("^~", getenv("HOME") or "~", 1))
end

--- The directory of auth.ini and cli.ini.
---@param getenv fun(name: string): string?
function config.directory(getenv)
  local own, xdg = getenv("CONTREE_HOME"), getenv("XDG_CONFIG_HOME")
  if own and own ~= "" then return expand_home(own, getenv) end
  -- A relative one would be in whatever folder this is; such ones mean nothing (basedir-spec).
  if xdg and xdg:sub(1, 1) == "/" then return xdg .. "/contree" end
  return (getenv("HOME") or "") .. "/.config/contree"
end

-- Read an ini text into sections[name][key]: the part of Python ConfigParser's dialect that
-- profiles use.
local function parse(text, sections)
  local section
  for line in (text:gsub("^\239\187\191", "") .. "\n"):gmatch("(.-)\r?\n") do
    local name = line:match("^%s*%[(.-)%]%s*$")
    if name then
      section = sections[name] or {}
      sections[name] = section
    elseif section and not line:match("^%s*[#;]") then
      local key, value = line:match("^%s*([^=:]-)%s*[=:]%s*(.-)%s*$")
      if key and key ~= "" then section[key:lower()] = value:gsub("%%%%", "%%") end
    end
  end
end

-- Rules of the network by their names: the file network.ini beside auth.ini. Each section is a
-- preset; its lines `allow = RULES`, `deny = RULES` and `resolve = NAME ADDRESS` may be repeated.
local NETWORK_FILE = "/network.ini"

local function refuse_line(number, line, how)
  errors.raise("invalid_argument", ("%s, line %d: %s"):format(NETWORK_FILE:sub(2), number, line),
    { hint = how })
end

local function add_rule(preset, key, value, number, line)
  if key == "resolve" then
    local name, address = value:match("^(%S+)%s+(%S+)$")
    if not name then refuse_line(number, line, "resolve = NAME ADDRESS") end
    preset.resolve[name] = address
  elseif key == "allow" or key == "deny" then
    for rule in value:gmatch("[^%s,]+") do table.insert(preset[key], rule) end
  else
    refuse_line(number, line, "a preset has lines of allow =, deny = and resolve =")
  end
end

local function read_networks(text)
  local presets, names, number, preset = {}, {}, 0, nil
  for line in (text:gsub("^\239\187\191", "") .. "\n"):gmatch("(.-)\r?\n") do
    number = number + 1
    local name = line:match("^%s*%[%s*(.-)%s*%]%s*$")
    local key, value = line:match("^%s*(%a+)%s*=%s*(.-)%s*$")
    if name then
      preset = presets[name] or { allow = {}, deny = {}, resolve = {} }
      presets[name], names[name] = preset, true
    elseif key and preset then
      add_rule(preset, key:lower(), value, number, line)
    elseif line:match("%S") and not line:match("^%s*[#;]") then
      refuse_line(number, line, "[NAME] begins a preset; its rules follow as allow = RULES")
    end
  end
  return presets, names
end

--- The rules that the user's file network.ini has under a name.
---@param name string
---@param getenv? fun(name: string): string?
---@return { allow: string[], deny: string[], resolve: table<string, string> }
function config.network(name, getenv)
  local path = config.directory(getenv or os.getenv) .. NETWORK_FILE
  local file = io.open(path, "rb")
  local presets, names = read_networks(file and file:read("*a") or "")
  if file then file:close() end
  if presets[name] then return presets[name] end
  local near = nearest(name, names)
  errors.raise("invalid_argument", ('there is no preset "@%s" of networking'):format(name),
    { hint = near and ('did you mean "@%s"?'):format(near) or "presets are sections of " .. path })
end

local function read_sections(getenv)
  local sections = {}
  for _, name in ipairs{ "/cli.ini", "/auth.ini" } do
    local file = io.open(config.directory(getenv) .. name, "rb")
    if file then
      parse(file:read("*a") or "", sections)
      file:close()
    end
  end
  return sections
end

-- The profile of that name; without a name, the one that the environment or cli.ini selects.
local function profile(name, getenv)
  local sections = read_sections(getenv)
  local default = sections.DEFAULT or {}
  local wanted = name or getenv("CONTREE_PROFILE")
  if wanted == "" then wanted = nil end
  local found = sections["profile:" .. (wanted or default.profile or "default")]
  if not found then
    if not wanted then return {} end
    errors.raise("invalid_argument", ('there is no profile "%s"'):format(wanted),
      { hint = "profiles are kept in " .. config.directory(getenv) .. "/auth.ini" })
  end
  local kind = found.type or default.type
  return {
    token = found.token or default.token,
    project = found.project or default.project,
    url = found.url or default.url or (kind == "iam" and SERVICE or nil),
  }
end

local function environment(getenv)
  local function value(name)
    local text = getenv(name)
    if text and text:match("%S") then return text end
  end
  local found = {
    url = value("CONTREE_URL"),
    token = value("CONTREE_TOKEN"),
    project = value("CONTREE_PROJECT"),
  }
  -- The service's own variables are often set for other programs: they count only as a
  -- pair, or to complete ours.
  local token, project = value("NEBIUS_API_KEY"), value("NEBIUS_AI_PROJECT")
  if found.token or found.project or found.url or (token and project) then
    found.token = found.token or token
    found.project = found.project or project
  end
  return found
end

local function fill(into, from)
  for _, key in ipairs{ "url", "token", "project" } do
    if into[key] == nil then into[key] = from[key] end
  end
end

local function blank(text) return text == nil or (text ~= false and not text:match("%S")) end

local function refuse(what, how) errors.misuse(what .. " is missing", how) end

local function check_remote(found)
  if found.url == nil then found.url = SERVICE end
  local host = found.url:match("^https?://([^/?#%s]+)[^?#%s]*$")
  if not host or host:find("@", 1, true) then
    errors.misuse("url must look like https://HOST/PREFIX or unix:/PATH",
      "without user, query or fragment")
  end
  if blank(found.token) then
    refuse("the token", "pass token= or set CONTREE_TOKEN; token=false sends none")
  end
  if found.token and found.token:find("[%c%s]") then
    errors.misuse("the token must not contain spaces or line ends")
  end
  if found.url:gsub("/+$", "") == SERVICE and blank(found.project) then
    refuse("the project", "pass project= or set CONTREE_PROJECT")
  end
  return { url = found.url:gsub("/+$", ""), token = found.token or nil,
    project = not blank(found.project) and found.project or nil }
end

--- Decide which server a client talks to, and with which credentials.
---@param options table url, token, project, profile, engine of contree.new
---@param getenv? fun(name: string): string?
---@return table found { url, token, project } | { unix_socket, token } | { engine = {} }
function config.resolve(options, getenv)
  getenv = getenv or os.getenv
  if options.engine then
    for _, key in ipairs{ "url", "token", "project", "profile" } do
      if options[key] then
        errors.misuse(("engine and %s exclude each other"):format(key),
          "engine means the local engine, which needs no account")
      end
    end
    return { engine = options.engine == true and {} or options.engine }
  end
  local found = { url = options.url, token = options.token, project = options.project }
  if options.profile then fill(found, profile(options.profile, getenv)) end
  local explicit = found.token
  fill(found, environment(getenv))
  if found.url == nil and found.token == nil and found.project == nil then
    fill(found, profile(nil, getenv))
  end
  if (found.url == nil and not found.token and found.project == nil) or found.url == "local" then
    if options.engine == false then refuse("the url", "engine=false rules the local engine out") end
    return { engine = {} }
  end
  local socket = found.url and found.url:match("^unix:/*(/.*)$")
  if socket then return { unix_socket = socket, token = explicit or nil } end
  return check_remote(found)
end

return config
