--- Names of images: uuids, tags, and references to registries
--- (http-api.md §8.7, §8.9).
--
-- References have the grammar of the registries' tools. A tag of ours has fewer characters
-- (a-z 0-9 _ - with single : / . between). It is derived from the reference, so that equal
-- images get equal tags, and different images different ones.

local core = require("contree.core")
local options = require("contree.base.options")

local reference = {}

-- Skopeo's other transports; references with these are passed on unchanged.
local TRANSPORTS = { ["oci"] = true, ["oci-archive"] = true, ["docker-archive"] = true,
  ["docker-daemon"] = true, ["containers-storage"] = true, ["dir"] = true }

local TAG_MAX, NAME_MAX, HERE_MAX = 128, 255, 256
local REFERENCE_MAX = 4096 -- also of a path in "oci:/PATH"

--- The text in lower case if it is a uuid, else nil.
---@param text string
---@return string?
function reference.uuid(text)
  if #text ~= 36 then return nil end
  local lower = text:lower()
  local a, b, c, d, e = lower:match("^(%x+)%-(%x+)%-(%x+)%-(%x+)%-(%x+)$")
  if a and #a == 8 and #b == 4 and #c == 4 and #d == 4 and #e == 12 then return lower end
end

--- Whether the server allows the tag.
---@param text string
---@return boolean
function reference.is_tag(text)
  return #text <= HERE_MAX and text:find("^[%l%d_-][%l%d_:/.-]*$") ~= nil
    and not text:find("[:/.][:/.]") and not text:find("[:/.]$")
end

-- Parts of a reference ----------------------------------------------------

--- The registry and the rest. A first part with a dot, a colon or a capital, or localhost, is a
--- registry.
---@param text string without "docker://"
---@return string host
---@return string rest
function reference.split_host(text)
  local host, rest = text:match("^([^/]+)/(.*)$")
  if host and (host:find("[.:%u]") or host == "localhost") then return host, rest end
  return "docker.io", text
end

local function is_port(text) return text == "" or text:find("^:%d+$") ~= nil end

local function is_host(host)
  local six, port = host:match("^%[([%x:.]+)%](.*)$")
  if six then return is_port(port) end
  local name
  name, port = host:match("^([^:]+)(.*)$")
  if not name or not is_port(port) then return false end
  for part in (name .. "."):gmatch("(.-)%.") do
    if not part:find("^%w[%w-]*$") or part:find("%-$") then return false end
  end
  return true
end

-- The problem with a repository's path, or nil.
local function path_problem(path)
  if path:find("%u") then return "the name of a repository has no capitals (a tag may)" end
  for part in (path .. "/"):gmatch("(.-)/") do
    local rest = part:gsub("__", "."):gsub("%-+", "."):gsub("_", ".")
    if not rest:find("^[%l%d]") or rest:find("[^%l%d.]") or rest:find("%.%.")
      or rest:find("%.$") then
      return ("%q is no part of a repository's name"):format(part)
    end
  end
end

local function tag_problem(tag)
  if #tag > TAG_MAX or not tag:find("^[%w_][%w_.-]*$") then
    return ("the tag %q is none: up to %d letters, digits, _ . and -, the first no . or -")
      :format(tag, TAG_MAX)
  end
end

local function digest_problem(digest)
  local hex = digest:match("^sha256:([%da-f]+)$")
  if not hex or #hex ~= 64 then
    return ("the digest %q is none: sha256: and 64 of 0-9 a-f"):format(digest)
  end
end

-- The local tag ------------------------------------------------------------

-- Add a hash of the text if it had to be changed, so that different texts stay different.
local function fit(text, changed)
  if text == changed then return text end
  return changed .. "-" .. core.sha256(text):sub(1, 8)
end

-- Upper and lower case are the same in a host that has a dot or a port.
local function host_here(host)
  local lower = host:lower()
  local six, port = lower:match("^%[(.-)%](.*)$")
  if six then return six:gsub(":", "-") .. port end
  return lower:find("[.:]") and lower or fit(host, lower)
end

local function tag_here(tag)
  local changed = tag:lower():gsub("%.%.", ".-"):gsub("%.%.", ".-"):gsub("%.$", "-")
  return fit(tag, changed)
end

local function cut(text)
  if #text <= HERE_MAX then return text end
  return fit(text, (text:sub(1, HERE_MAX - 9):gsub("[:/.]$", "")))
end

-- Whole references ---------------------------------------------------------

-- "name:tag@digest" in parts; the digest beats the tag.
local function split(text)
  local name, digest = text:match("^(.-)@(.*)$")
  name = name or text
  local path, tag = name:match("^(.*):([^/]*)$")
  return path or name, tag, digest
end

local function check(host, path, tag, digest)
  if not is_host(host) then return ("%q is no host"):format(host) end
  local problem = path_problem(path)
  if problem then return problem end
  if #path > NAME_MAX then return ("its name is longer than %d bytes"):format(NAME_MAX) end
  return tag and tag_problem(tag) or digest and digest_problem(digest) or nil
end

local function in_registry(text)
  local host, rest = reference.split_host(text)
  if host == "index.docker.io" then host = "docker.io" end
  local path, tag, digest = split(rest)
  if host == "docker.io" then path = path:gsub("^library/", "") end
  local problem = check(host, path, tag, digest)
  if problem then return nil, problem end
  local hub = host == "docker.io"
  local prefix = (hub and "" or host_here(host) .. "/") .. path
  local official = hub and not path:find("/", 1, true)
  local version = digest and "@" .. digest or ":" .. (tag or "latest")
  local here = prefix .. ":" .. (digest and digest:gsub(":", "-") or tag_here(tag or "latest"))
  return {
    url = ("docker://%s/%s%s%s"):format(host, official and "library/" or "", path, version),
    tag = cut(here), short = not tag and not digest and prefix or nil,
  }
end

--- Where an image comes from and the tag that it gets here.
---@param text string
---@return { url: string, tag: string?, short: string? }? source `short`: the tag less the
---  ":latest" that the text had not
---@return string? problem
function reference.parse(text)
  if #text > REFERENCE_MAX then
    return nil, ("a name has at most %d bytes, and this one %d"):format(REFERENCE_MAX, #text)
  end
  if reference.uuid(text) then return nil, "a uuid cannot be imported" end
  local scheme, rest = text:match("^([%w%-]+):(.+)$")
  if scheme and TRANSPORTS[scheme] and not rest:find("^//") then return { url = text } end
  scheme, rest = text:match("^(%w+)://(.*)$")
  if scheme and scheme ~= "docker" and scheme ~= "oci" then
    return nil, ("the transport %s:// is unknown"):format(scheme)
  end
  if text:find("^/") then
    return nil, ("%q names no image (a file is oci-archive:/PATH or docker-archive:/PATH)")
      :format(text)
  end
  local source, problem = in_registry(scheme and rest or text)
  if not source then return nil, ("%q names no image: %s"):format(text, problem) end
  return source
end

--- The tag of the image with this name: a tag itself, or the tag that the import of a
--- reference gives. Any other text is returned for the server to refuse.
---@param name string
---@return string
function reference.tag(name)
  if reference.is_tag(name) then return name end
  local source = reference.parse(name)
  return source and source.tag or name
end

--- The name of an image, session, uuid or tag in a request.
---@param where string the function that was given it
---@param what string
---@param other contree.Image|contree.Session|string
---@return string
function reference.named(where, what, other)
  if type(other) == "table" then
    local one = other.image or other
    other = one.uuid or one.tag
  end
  options.argument(where, what, options.name, other)
  local tag = other:gsub("^tag:", "")
  return reference.uuid(tag) or "tag:" .. reference.tag(tag)
end

return reference
