--- Input that is too long for the spawn request: sent in pieces while the
--- command runs (http-api.md §4.16).

local core = require("contree.core")
local control = require("contree.wire.control")
local errors = require("contree.base.errors")
local stdio = require("contree.base.stdio")
local tasks = require("contree.loop.task")
local wire = require("contree.wire")

local stdin = {}

-- The most bytes of input in a spawn request. Encoding more would block the host too long.
local INLINE = 262144

--- Read the input that a spawn request carries. Returns the member of its body and, when
--- there is more, a reader of the rest: all of it if it is a file, which the server may read.
---@param reader fun(): string?
---@param path? string  of the file that it reads
---@return table, { read: fun(): string?, integer?, path: string?, offset: integer }?
function stdin.begin(reader, path)
  local parts, size = {}, 0
  local chunk = reader()
  while chunk do
    parts[#parts + 1] = chunk
    size = size + #chunk
    if size > INLINE then break end
    chunk = reader()
  end
  local bytes = parts[2] and table.concat(parts) or parts[1] or "" -- large ones are not copied
  local inline = chunk and path and 0 or INLINE
  local body = stdio.encode(bytes:sub(1, inline))
  body.close = chunk == nil
  if body.close then return body end
  local held = #bytes > inline and bytes
  local function read()
    local first = held
    held = nil
    if first then return first, inline + 1 end
    return reader()
  end
  return body, { read = read, path = path, offset = inline }
end

-- Let a local engine read the rest of the file by itself.
local function hand_over(process, rest)
  local file = rest.path and core.open_file(rest.path)
  if not file then return false end
  local ok, done = pcall(control.hand_over, process, process.spid, file, rest.offset)
  file:close()
  if not ok then error(done, 0) end
  return done
end

local function send_all(process, rest)
  if not hand_over(process, rest) then control.stream(process, process.spid, rest.read) end
end

-- End a process that could not be given its input.
local function give_up(process)
  if process.spid > 1 then return control.kill(process, process.spid, "KILL") end
  wire.request(process.client, { method = "DELETE",
    path = "/operations/" .. wire.segment(process.uuid) })
end

--- Start to send the rest of the input of an operation or a subprocess. When that fails, the
--- process is ended, and its wait() raises the error.
function stdin.feed(process)
  local rest = process.plan.rest_of_stdin
  process.plan.rest_of_stdin = nil
  process.feeder = tasks.spawn(function()
    local ok, err = pcall(send_all, process, rest)
    if ok or control.is_over(err) or errors.is(err, "cancelled") then return end
    process.feed_error = err
    pcall(give_up, process)
  end)
end

--- Stop sending.
function stdin.stop(process)
  if process.feeder then process.feeder:cancel() end
  process.feeder = nil
end

return stdin
