--- Reading and writing tar archives: POSIX with its pax headers is read, POSIX
--- with GNU's long names is written, which every tar unpacks.

local errors = require("contree.errors")

local tar = {}

local BLOCK = 512
local CHUNK = 1048576
local NAME_MAX, HEADER_MAX = 100, 1048576

local TYPES = { ["0"] = "file", ["\0"] = "file", ["7"] = "file", ["1"] = "hardlink",
  ["2"] = "link", ["3"] = "device", ["4"] = "device", ["5"] = "directory", ["6"] = "fifo" }
local FLAGS = { file = "0", hardlink = "1", link = "2", directory = "5", fifo = "6" }

---@class contree.build.TarEntry
---@field name string      without a "/" at either end
---@field type "file"|"hardlink"|"link"|"directory"|"fifo"|"device"
---@field mode integer
---@field uid integer
---@field gid integer
---@field size integer     of a file; 0 for all else
---@field mtime? integer   Unix time; 0 when it is left out
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

-- A number in its field; one too large for octal digits in base 256.
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

local function padding(size) return ("\0"):rep(-size % BLOCK) end

---@class contree.build.TarWriter
local Writer = {}
Writer.__index = Writer

--- Writes an archive into an open file.
---@return contree.build.TarWriter
function tar.writer(file) return setmetatable({ file = file, count = 0 }, Writer) end

local function write(self, bytes)
  local ok, problem = self.file:write(bytes)
  if not ok then fail("cannot write: " .. tostring(problem)) end
end

local function write_long(self, text, flag)
  if #text <= NAME_MAX then return end
  text = text .. "\0"
  write(self, header_of({ name = "././@LongLink", mode = 0, uid = 0, gid = 0, size = #text }, flag))
  write(self, text .. padding(#text))
end

--- Adds an entry. `read` gives the bytes of a file: chunks, then nil.
---@param entry contree.build.TarEntry
---@param read? fun(): string?
function Writer:add(entry, read)
  write_long(self, entry.name, "L")
  write_long(self, entry.target or "", "K")
  write(self, header_of(entry, FLAGS[entry.type]))
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

--- Ends the archive; the file stays open.
function Writer:finish()
  write(self, ("\0"):rep(2 * BLOCK))
  local ok, problem = self.file:flush()
  if not ok then fail("cannot write: " .. tostring(problem)) end
end

-- Reading --------------------------------------------------------------------

local function number_of(text)
  if text:byte() >= 128 then
    local value = text:byte() % 64
    for i = 2, #text do value = value * 256 + text:byte(i) end
    return value
  end
  local digits = text:match("^[ %z]*([0-7]*)")
  return digits == "" and 0 or tonumber(digits, 8)
end

local function text_of(text) return text:match("^[^%z]*") end

local function check_header(block)
  local blank = block:sub(1, 148) .. "        " .. block:sub(157)
  if number_of(block:sub(149, 156)) ~= checksum(blank) then fail("a header is damaged") end
end

-- "LENGTH KEY=VALUE\n", as often as wanted.
local function pax_records(text)
  local found, at = {}, 1
  while at <= #text do
    local length, from = text:match("^(%d+) ()", at)
    length = tonumber(length)
    if not length or length < 5 or at + length - 1 > #text then
      fail("a pax header is damaged")
    end
    local key, value = text:sub(from, at + length - 2):match("^([^=]+)=(.*)$")
    if key then found[key] = value end
    at = at + length
  end
  return found
end

---@class contree.build.TarReader
local Reader = {}
Reader.__index = Reader

--- Reads an archive from an open file.
---@return contree.build.TarReader
function tar.reader(file) return setmetatable({ file = file, left = 0, skip = 0 }, Reader) end

local function read_exactly(self, size)
  if size == 0 then return "" end
  local bytes = self.file:read(size)
  if not bytes or #bytes < size then fail("the archive is cut off") end
  return bytes
end

--- The next chunk of the entry's bytes; nil at their end.
---@return string?
function Reader:chunk()
  if self.left == 0 then return nil end
  local bytes = read_exactly(self, math.min(self.left, CHUNK))
  self.left = self.left - #bytes
  return bytes
end

local function small_body(self, size)
  if size > HEADER_MAX then fail("a header is too long") end
  local bytes = read_exactly(self, size)
  read_exactly(self, -size % BLOCK)
  return bytes
end

-- What a header says, with what came before it for it.
local function entry_of(self, block, ahead)
  local prefix = block:sub(258, 262) == "ustar" and text_of(block:sub(346, 500)) or ""
  local name = ahead.path or (prefix ~= "" and prefix .. "/" or "") .. text_of(block:sub(1, 100))
  local flag = block:sub(157, 157)
  local size = tonumber(ahead.size) or number_of(block:sub(125, 136))
  local kind = TYPES[flag] or fail(("an entry of the kind %q is unknown"):format(flag))
  if kind ~= "file" then size = 0 end
  self.left, self.skip = size, -size % BLOCK
  return {
    name = name:gsub("^%./", ""):gsub("^/+", ""):gsub("/+$", ""), type = kind, size = size,
    mode = number_of(block:sub(101, 108)) % 4096,
    uid = tonumber(ahead.uid) or number_of(block:sub(109, 116)),
    gid = tonumber(ahead.gid) or number_of(block:sub(117, 124)),
    mtime = math.max(0, math.floor(tonumber(ahead.mtime) or number_of(block:sub(137, 148)))),
    target = (kind == "link" or kind == "hardlink")
      and (ahead.linkpath or text_of(block:sub(158, 257))) or nil,
  }
end

local function pass_over(self)
  while self:chunk() do end
  read_exactly(self, self.skip)
  self.skip = 0
end

--- The next entry, or nil at the end. What was not read of the last is skipped.
---@return contree.build.TarEntry?
function Reader:next()
  pass_over(self)
  local ahead = {}
  while true do
    local block = self.file:read(BLOCK)
    if not block or block == ("\0"):rep(BLOCK) then return nil end
    if #block < BLOCK then fail("the archive is cut off") end
    check_header(block)
    local flag, size = block:sub(157, 157), number_of(block:sub(125, 136))
    if flag == "x" then
      for key, value in pairs(pax_records(small_body(self, size))) do ahead[key] = value end
    elseif flag == "g" then
      small_body(self, size)
    elseif flag == "L" then
      ahead.path = text_of(small_body(self, size))
    elseif flag == "K" then
      ahead.linkpath = text_of(small_body(self, size))
    else
      return entry_of(self, block, ahead)
    end
  end
end

return tar
