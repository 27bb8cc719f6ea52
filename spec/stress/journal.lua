-- What a client of the stress knows, a line of JSON each: what it begins (begin, end), what may
-- come of it (intent), what it was told (image, tag, upload, volume), and what was wrong
-- (fault). It is in the file before anything else happens, so it survives a killed client.
local cjson = require("cjson")
local disk = require("spec.support.disk")

local journal = {}
journal.__index = journal

--- Opens a journal for writing.
function journal.open(path)
  local file = assert(io.open(path, "a"))
  file:setvbuf("no")
  return setmetatable({ file = file }, journal)
end

function journal:write(kind, record)
  record = record or {}
  record.kind = kind
  record.at = tonumber(("%.3f"):format(journal.now()))
  self.file:write(cjson.encode(record) .. "\n")
end

--- Seconds, the same for all programs of this machine.
function journal.now()
  local file = assert(io.open("/proc/uptime"))
  local seconds = file:read("*n")
  file:close()
  return seconds
end

--- All records of a file. The last line of a killed client may be cut.
function journal.read(path)
  local records = {}
  for line in (disk.peek(path) or ""):gmatch("([^\n]*)\n") do
    local ok, record = pcall(cjson.decode, line)
    records[#records + 1] = ok and record or nil
  end
  return records
end

return journal
