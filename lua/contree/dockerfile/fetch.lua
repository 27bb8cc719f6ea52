--- ADD of a URL. The file is fetched here, since the sandbox may have no network. No
--- credentials of contree are sent.

local core = require("contree.core")
local loop = require("contree.loop")
local problem = require("contree.dockerfile.problem")

local fetch = {}

local REDIRECTS_MAX = 10
local CONNECT_TIMEOUT, IDLE_TIMEOUT = 10, 60

local function host_of(url) return url:match("^(https?://[^/?#]+)") end

--- Whether a source of ADD is a URL to fetch.
function fetch.is_url(text) return text:find("^https?://[^/]") ~= nil end

--- The file name at the end of a URL's path; "" if it has none.
function fetch.name(url)
  local path = url:gsub("[?#].*$", ""):match("^https?://[^/]+/(.*)$") or ""
  return (path:gsub("^.*/", ""))
end

-- The URL that a redirect leads to; nil if it is not followed.
local function redirected(url, location)
  if not location or location == "" then return nil end
  local target
  if location:find("^//") then
    target = url:match("^https?:") .. location
  elseif location:find("^/") then
    target = host_of(url) .. location
  elseif location:find("^%a[%w+.-]*:") then
    target = location
  else
    target = url:gsub("[?#].*$", ""):match("^(.*/)") .. location
  end
  local downgrade = url:find("^https:") and target:find("^http:")
  return fetch.is_url(target) and not downgrade and target or nil
end

local function get(url, to)
  local port = loop.transfer{ method = "GET", url = url, sha256 = true,
    headers = { "User-Agent: contree-lua/" .. core.version },
    sink = { path = to, mode = 384 }, connect_timeout = CONNECT_TIMEOUT,
    idle_timeout = IDLE_TIMEOUT }
  while not port.handle:done() do port:wait() end
  return port.handle:result(), port.handle:headers()
end

--- Fetch a URL into a local file.
---@async
---@param step contree.build.Instruction
---@param url string
---@param to string local path
---@return string sha256 of its content
function fetch.get(step, url, to)
  local from = url:gsub("//[^/@]*@", "//***@")
  for _ = 0, REDIRECTS_MAX do
    local result, headers = get(url, to)
    if result.error then
      problem.raise(step, ("cannot fetch %s: %s"):format(from, result.error.message))
    end
    if result.status >= 200 and result.status < 300 then return result.sha256 end
    local next_url = result.status >= 300 and result.status < 400
      and redirected(url, headers.location)
    if not next_url then
      problem.raise(step, ("cannot fetch %s: the server answers %d"):format(from, result.status))
    end
    url = next_url
  end
  problem.raise(step, ("cannot fetch %s: more than %d redirects"):format(from, REDIRECTS_MAX))
end

return fetch
