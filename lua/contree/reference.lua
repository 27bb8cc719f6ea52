--- Names of images: uuids, tags, and references to registries
--- (wire-api.md §8.7).

local reference = {}

-- skopeo's other transports; they are passed on as they are.
local TRANSPORTS = { ["oci"] = true, ["oci-archive"] = true, ["docker-archive"] = true,
  ["docker-daemon"] = true, ["containers-storage"] = true, ["dir"] = true }

--- The uuid that a text is, in lower case, or nil.
---@param text string
---@return string?
function reference.uuid(text)
  local lower = text:lower()
  local a, b, c, d, e = lower:match("^(%x+)%-(%x+)%-(%x+)%-(%x+)%-(%x+)$")
  if a and #a == 8 and #b == 4 and #c == 4 and #d == 4 and #e == 12 then return lower end
end

-- A first part with a dot or a colon, or localhost, is a registry.
local function split_host(text)
  local host, rest = text:match("^([^/]+)/(.+)$")
  if host and (host:find("[.:]") or host == "localhost") then return host, rest end
  return "docker.io", text
end

local function in_registry(text)
  if text:find("^/") then return nil end
  local host, path = split_host(text)
  if host == "index.docker.io" then host = "docker.io" end
  if host == "docker.io" then
    path = path:gsub("^library/", "")
    if path == "" then return nil end
  end
  local last = path:match("[^/]+$")
  if not last or last:find("^[:@]") then return nil end
  local prefix = host == "docker.io" and "" or host .. "/"
  local short = not last:find("[:@]") and prefix .. path or nil
  if short then path = path .. ":latest" end
  local official = host == "docker.io" and not path:find("/", 1, true)
  return {
    url = ("docker://%s/%s%s"):format(host, official and "library/" or "", path),
    tag = prefix .. path, short = short,
  }
end

--- Where an image comes from and the tag that it gets here.
---@param text string
---@return { url: string, tag: string?, short: string? }? source `short`: the tag less the
---  ":latest" that the text had not
---@return string? problem
function reference.parse(text)
  if reference.uuid(text) then return nil, "a uuid cannot be imported" end
  local scheme, rest = text:match("^([%w%-]+):(.+)$")
  if scheme and TRANSPORTS[scheme] and not rest:find("^//") then return { url = text } end
  scheme, rest = text:match("^(%w+)://(.*)$")
  if scheme and scheme ~= "docker" and scheme ~= "oci" then
    return nil, ("the transport %s:// is unknown"):format(scheme)
  end
  local source = in_registry(scheme and rest or text)
  if not source then
    return nil, ("%q names no image%s"):format(text,
      text:find("^/") and " (a file is oci-archive:/PATH or docker-archive:/PATH)" or "")
  end
  return source
end

return reference
