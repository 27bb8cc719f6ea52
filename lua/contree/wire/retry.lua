--- Which failures are safe to repeat, and when (http-api.md §10.1).
--
-- A request that the server may have carried out is repeated only if doing it twice does
-- no harm. It was not carried out after 425, after 429, and without a connection.

local core = require("contree.core")
local options = require("contree.base.options")

local retry = {}

local LADDER = { 0.1, 0.2, 0.5, 1, 2, 5 }

local IDEMPOTENT = { GET = true, HEAD = true, PUT = true, DELETE = true }

---@class contree.RetryOptions
---@field max_attempts? integer including the first; default 10
---@field max_delay? number     seconds; a server that asks for more is not waited for; default 60

--- What contree.new's retry= may hold.
retry.spec = { max_attempts = options.integer(1, 1000), max_delay = options.seconds }

---@param given false|table|nil contree.new's retry=
function retry.policy(given)
  if given == false then return { max_attempts = 1, max_delay = 0 } end
  given = given or {}
  return { max_attempts = given.max_attempts or 10, max_delay = given.max_delay or 60 }
end

-- A generator of our own for jitter: math.random() would change the host's sequence.
local state

local function random()
  state = state or (core.getpid() * 7919 + core.now() * 1e6) % 2147483647
  state = (state * 16807) % 2147483647
  return state / 2147483647
end

--- Seconds to wait before attempt number `attempt` + 1. The server's Retry-After replaces
--- our own delay; the wait is never shorter.
function retry.delay(attempt, retry_after)
  if retry_after then return retry_after * (1 + 0.1 * random()) end
  return LADDER[math.min(attempt, #LADDER)] * (0.5 + random() / 2)
end

local function transient(err)
  local status = err.status
  if not status then return err.kind == "connection" and not err.final end
  return status == 410 or status >= 500 and status ~= 501 and status ~= 507
end

--- Whether a failed request may be sent again.
---@param request table { method, repeatable = true when twice does no harm }
---@param err contree.Error with `unsent` when no byte of it left us
function retry.allowed(request, err)
  if err.status == 425 or err.status == 429 or err.unsent then return true end
  return transient(err) and (request.repeatable or IDEMPOTENT[request.method] or false)
end

--- Seconds that a Retry-After header asks for, or nil.
---@param now? integer Unix time, for dates
function retry.after(header, now)
  if not header then return nil end
  local seconds = header:match("^%s*%d+%.?%d*%s*$") and tonumber(header)
  if seconds then return seconds end
  if header:match("^%s*%-%d") then return 0 end
  local date = core.parse_date(header)
  return date and math.max(0, date - (now or os.time()))
end

return retry
