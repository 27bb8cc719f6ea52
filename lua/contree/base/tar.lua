--- Writing tar archives: POSIX with GNU's long names, which every tar unpacks.

local errors = require("contree.base.errors")

local tar = {}

local BLOCK = 512
local NAME_MAX = 100

local FLAGS = { file = "0", hardlink = "1", link = "2", directory = "5", fifo = "6" }

---@class contree.TarMember
---@field name string      without a "/" at either end
---@field type "file"|"hardlink"|"link"|"directory"|"fifo"
---@field mode integer
---@field uid integer
---@field gid integer
---@field size integer     of a file; 0 for other types
---@field mtime? integer   Unix time; default 0
---@field target? string   of a link; a hard link's is a name in the archive

local function fail(message) errors.raise("file", "tar: " .. message) end

-- Writing --------------------------------------------------------------------

local function octal(value, digits)
  local text = {}
  for i = digits, 1, -1 do
    text[i] = ("%d"):format(value % 8)
    value = math.floor(value / 8)
  end
  return table.concat(text)
end

-- A number in its field: octal digits, or base 256 if it is too large for these.
local function number(value, width)
  if value < 8 ^ (width - 1) then return octal(value, width - 1) .. "\0" end
  local bytes = {}
  for i = width, 2, -1 do
    bytes[i] = string.char(value % 256)
    value = math.floor(value / 256)
  end
  bytes[1] = "\128"
  return table.concat(bytes)
end

local function field(text, width)
  text = text:sub(1, width)
  return text .. ("\0"):rep(width - #text)
end

local function checksum(header)
  local sum = 0
  for i = 1, BLOCK do sum = sum + header:byte(i) end
  return sum
end

local function header_of(entry, flag)
  local head = field(entry.name, NAME_MAX) .. number(entry.mode, 8) .. number(entry.uid, 8)
    .. number(entry.gid, 8) .. number(entry.size, 12) .. number(entry.mtime or 0, 12)
  local tail = flag .. field(entry.target or "", NAME_MAX) .. "ustar\0" .. "00"
    .. ("\0"):rep(64) .. number(0, 8) .. number(0, 8) .. ("\0"):rep(167)
  return head .. octal(checksum(head .. "        " .. tail), 6) .. "\0 " .. tail
end

-- What comes after the content of a file of so many bytes.
local function padding(size) return ("\0"):rep(-size % BLOCK) end
tar.padding = padding

-- The longer names go before the header of their entry.
local function long_name(text, flag)
  if #text <= NAME_MAX then return "" end
  text = text .. "\0"
  return header_of({ name = "././@LongLink", mode = 0, uid = 0, gid = 0, size = #text }, flag)
    .. text .. padding(#text)
end

--- The header of an entry; its content comes next, then tar.padding(size).
---@param entry contree.TarMember
---@return string
function tar.header(entry)
  return long_name(entry.name, "L") .. long_name(entry.target or "", "K")
    .. header_of(entry, FLAGS[entry.type])
end

--- The end of an archive.
tar.FINISH = ("\0"):rep(2 * BLOCK)

---@class contree.TarWriter
local Writer = {}
Writer.__index = Writer

--- Writes an archive into an open file.
---@return contree.TarWriter
function tar.writer(file) return setmetatable({ file = file, count = 0 }, Writer) end

local function write(self, bytes)
  local ok, problem = self.file:write(bytes)
  if not ok then fail("cannot write: " .. tostring(problem)) end
end

--- Add an entry. `read` returns the bytes of a file in chunks, then nil.
---@param entry contree.TarMember
---@param read? fun(): string?
function Writer:add(entry, read)
  write(self, tar.header(entry))
  local left = entry.size
  while left > 0 do
    local chunk = read()
    if not chunk or #chunk > left then fail(entry.name .. " has not the size that it had") end
    left = left - #chunk
    write(self, chunk)
  end
  write(self, padding(entry.size))
  self.count = self.count + 1
end

--- End the archive. The file stays open.
function Writer:finish()
  write(self, tar.FINISH)
  local ok, problem = self.file:flush()
  if not ok then fail("cannot write: " .. tostring(problem)) end
end

return tar
