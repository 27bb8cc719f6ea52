--- What a person sees on the terminal of a process, and types.
local contree = require("contree")
local core = require("contree.core")

local screen = {}

local TIME_LIMIT = 30 * (tonumber(os.getenv("CONTREE_TEST_SLOWNESS")) or 1)

-- Read until `pattern` is there; returns what it captures (or matches), and the text before.
---@param process contree.Process
---@param pattern string
function screen.await(process, pattern)
  local seen = screen[process] or ""
  local limit = core.now() + TIME_LIMIT
  while not seen:find(pattern) do
    -- A spec fails instead of hanging.
    local left = math.max(0, limit - core.now())
    local reader = contree.spawn(process.stdout.read, process.stdout, 65536)
    local ok, bytes = pcall(reader.wait, reader, left)
    if not ok then error(("no %q in %q"):format(pattern, seen), 2) end
    if not bytes then error(("the terminal ended without %q: %q"):format(pattern, seen), 2) end
    seen = seen .. bytes
  end
  local first, last = seen:find(pattern)
  screen[process] = seen:sub(last + 1)
  return seen:match(pattern), seen:sub(1, first - 1)
end

function screen.type(process, bytes, pattern)
  process.stdin:write(bytes)
  if pattern then return screen.await(process, pattern) end
end

return setmetatable(screen, { __mode = "k" })
