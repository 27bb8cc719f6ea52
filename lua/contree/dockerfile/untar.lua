--- Reading tar archives from files: POSIX with its pax headers, GNU's long names, and the
--- sparse files of both. The bytes of a file stay in the archive; its entry has their offset.

local errors = require("contree.base.errors")
local pattern = require("contree.base.pattern")

local untar = {}

local BLOCK = 512
local HEADER_MAX = 16777216
local CHUNK = 1048576
local TIME_MAX = 2 ^ 33 - 1 -- the most seconds that the field of a time holds

local TYPES = { ["0"] = "file", ["7"] = "file", ["1"] = "hardlink", ["2"] = "link",
  ["3"] = "device", ["4"] = "device", ["5"] = "directory", ["6"] = "fifo", ["S"] = "file" }

---@class contree.build.TarEntry
---@field name string      clean: without "." and "..", nor "/" at either end; "" for the top
---@field type "file"|"hardlink"|"link"|"directory"|"fifo"|"device"
---@field mode integer
---@field uid integer
---@field gid integer
---@field mtime integer    Unix time
---@field size integer     of a file; 0 for other types
---@field offset integer   of its bytes in the archive
---@field map? { [1]: integer, [2]: integer }[] of a sparse file: the offset in the file and the
---  length of each piece of its bytes
---@field target? string   of a link; a hard link's is a name in the archive, clean
---@field xattrs? table<string, string>

local function fail(message) errors.raise("file", "tar: " .. message) end

-- Numbers and texts -------------------------------------------------------------

local function binary(text)
  -- A negative number: only a time before 1970 is one.
  if text:byte() == 255 then return 0 end
  local value = text:byte() % 64
  for i = 2, #text do value = value * 256 + text:byte(i) end
  return value
end

local function number_of(text)
  if text:byte() >= 128 then return binary(text) end
  local digits = text:match("^[ %z]*([0-7]*)")
  return digits == "" and 0 or tonumber(digits, 8)
end

-- A decimal number of a pax header. (tonumber() takes more: hexadecimal digits, exponents, signs.)
local function decimal_of(text)
  return #text < 16 and tonumber(text:match("^%d+$")) or fail("a pax header is damaged")
end

local function text_of(text) return text:match("^[^%z]*") end

-- A name as a path relative to the top, or nil if it leads out.
local function clean(name)
  local names = pattern.split(name)
  return names and table.concat(names, "/")
end

local function check_header(block)
  local sum = 8 * 32
  for i = 1, BLOCK do
    if i < 149 or i > 156 then sum = sum + block:byte(i) end
  end
  if number_of(block:sub(149, 156)) ~= sum then fail("a header is damaged") end
end

-- The archive -------------------------------------------------------------------

---@class contree.build.TarReader
local Reader = {}
Reader.__index = Reader

--- Read an archive from an open, seekable file, from its current position.
---@return contree.build.TarReader
function untar.reader(file)
  local at = file:seek("cur")
  local size = file:seek("end")
  file:seek("set", at)
  return setmetatable({ file = file, size = size, following = at }, Reader)
end

local function read_exactly(self, size)
  if size == 0 then return "" end
  local bytes = self.file:read(size)
  if not bytes or #bytes < size then fail("the archive is cut off") end
  return bytes
end

local function small_body(self, size)
  if size > HEADER_MAX then fail("a header is too long") end
  local bytes = read_exactly(self, size)
  read_exactly(self, -size % BLOCK)
  return bytes
end

-- Read the records "LENGTH KEY=VALUE\n" of a pax header. Keys that occur more than once are the
-- map of a sparse file: pairs of numbers.
local function read_records(text, ahead, numbers)
  local at = 1
  while at <= #text do
    local length, from = text:match("^(%d+) ()", at)
    length = tonumber(length)
    if not length or length < 5 or at + length - 1 > #text then
      fail("a pax header is damaged")
    end
    local key, value = text:sub(from, at + length - 2):match("^([^=]+)=(.*)$")
    if key == "GNU.sparse.offset" or key == "GNU.sparse.numbytes" then
      table.insert(numbers, decimal_of(value))
    elseif key then
      ahead[key] = value
    end
    at = at + length
  end
end

-- Sparse files --------------------------------------------------------------------

local function map_of(numbers)
  local map = {}
  for i = 1, #numbers - 1, 2 do
    if numbers[i + 1] > 0 then map[#map + 1] = { numbers[i], numbers[i + 1] } end
  end
  return map
end

-- GNU's form: four pieces in the header, and 21 in each block behind it.
local function old_map(self, block)
  local numbers, at, count = {}, 387, 4
  local more = block:byte(483)
  while true do
    for i = 0, 2 * count - 1 do
      local field = block:sub(at + 12 * i, at + 12 * i + 11)
      numbers[#numbers + 1] = number_of(field)
    end
    if more ~= 1 then return map_of(numbers) end
    block = read_exactly(self, BLOCK)
    at, count, more = 1, 21, block:byte(505)
  end
end

-- The form 1.0 of pax: the map precedes the bytes, with one number a line.
local function front_map(self)
  local text, numbers, wanted, at = "", {}, 1, 1
  local used = 0
  while #numbers < wanted do
    local number, after = text:match("^(%d+)\n()", at)
    if number then
      numbers[#numbers + 1], at = tonumber(number), after
      if #numbers == 1 then wanted = 1 + 2 * numbers[1] end
    else
      if used > HEADER_MAX or #text - at > 32 then fail("the map of a sparse file is too long") end
      text, at = text:sub(at) .. read_exactly(self, BLOCK), 1
      used = used + BLOCK
    end
  end
  table.remove(numbers, 1)
  return map_of(numbers), used
end

local function numbers_of(text)
  local numbers = {}
  for number in text:gmatch("%d+") do numbers[#numbers + 1] = tonumber(number) end
  return numbers
end

-- The map of an entry, and the number of bytes in its body before the pieces.
local function sparse_map(self, block, ahead, numbers)
  if block:sub(157, 157) == "S" then return old_map(self, block), 0 end
  if ahead["GNU.sparse.major"] == "1" then return front_map(self) end
  if ahead["GNU.sparse.map"] then return map_of(numbers_of(ahead["GNU.sparse.map"])), 0 end
  if ahead["GNU.sparse.size"] then return map_of(numbers), 0 end
end

local function check_map(entry, packed)
  local total, last = 0, 0
  for _, piece in ipairs(entry.map) do
    if piece[1] < last then fail("the map of a sparse file is damaged") end
    total, last = total + piece[2], piece[1] + piece[2]
  end
  if total > packed or last > entry.size then fail("the map of a sparse file is damaged") end
end

-- Entries -------------------------------------------------------------------------

local function name_of(block, ahead)
  if ahead["GNU.sparse.name"] or ahead.path then return ahead["GNU.sparse.name"] or ahead.path end
  -- GNU's archives have other fields at the place of POSIX's prefix.
  local prefix = block:sub(258, 263) == "ustar\0" and text_of(block:sub(346, 500)) or ""
  return (prefix ~= "" and prefix .. "/" or "") .. text_of(block:sub(1, 100))
end

local function type_of(block, name)
  local flag = block:sub(157, 157)
  if flag == "\0" then return name:find("/$") and "directory" or "file" end
  return TYPES[flag] or fail(("%s is of the kind %q, which is unknown"):format(name, flag))
end

local function xattrs_of(ahead)
  local found
  for key, value in pairs(ahead) do
    local name = key:match("^SCHILY%.xattr%.(.+)$")
    if name then
      found = found or {}
      found[name] = value
    end
  end
  return found
end

local function target_of(block, ahead, kind, name)
  local text = ahead.linkpath or text_of(block:sub(158, 257))
  if kind == "link" then return text end
  return clean(text) or fail(("the hard link %s leads out of the archive"):format(name))
end

local function time_of(block, ahead)
  local seconds = tonumber((ahead.mtime or ""):match("^%-?%d+%.?%d*$"))
    or number_of(block:sub(137, 148))
  return math.min(math.max(0, math.floor(seconds)), TIME_MAX)
end

-- Set the offset of a file's bytes and that of the next header.
local function find_content(self, entry, block, ahead, numbers)
  local packed = ahead.size and decimal_of(ahead.size) or number_of(block:sub(125, 136))
  local from = self.file:seek("cur")
  entry.size, entry.offset = packed, from
  local map, before = sparse_map(self, block, ahead, numbers)
  if map then
    local real = ahead["GNU.sparse.realsize"] or ahead["GNU.sparse.size"]
    entry.map = map
    entry.size = real and decimal_of(real) or number_of(block:sub(484, 495))
    -- GNU's map precedes the body, the map of pax is in the body.
    if before == 0 then from = self.file:seek("cur") end
    entry.offset = from + before
    check_map(entry, packed - before)
  end
  self.following = from + packed + -packed % BLOCK
  if self.following > self.size then fail("the archive is cut off") end
end

local function entry_of(self, block, ahead, numbers)
  local given = name_of(block, ahead)
  local kind = type_of(block, given)
  local name = clean(given) or fail(given .. " leads out of the archive")
  local entry = {
    name = name, type = kind, size = 0, mode = number_of(block:sub(101, 108)) % 4096,
    uid = ahead.uid and decimal_of(ahead.uid) or number_of(block:sub(109, 116)),
    gid = ahead.gid and decimal_of(ahead.gid) or number_of(block:sub(117, 124)),
    mtime = time_of(block, ahead), xattrs = xattrs_of(ahead),
    target = (kind == "link" or kind == "hardlink")
      and target_of(block, ahead, kind, name) or nil,
  }
  self.following = self.file:seek("cur")
  if kind == "file" then find_content(self, entry, block, ahead, numbers) end
  return entry
end

--- The next entry, or nil at the end.
---@return contree.build.TarEntry?
function Reader:next()
  self.file:seek("set", self.following)
  local ahead, numbers = {}, {}
  while true do
    local block = self.file:read(BLOCK)
    if not block or block == ("\0"):rep(BLOCK) then return nil end
    if #block < BLOCK then fail("the archive is cut off") end
    check_header(block)
    local flag, size = block:sub(157, 157), number_of(block:sub(125, 136))
    if flag == "x" then
      read_records(small_body(self, size), ahead, numbers)
    elseif flag == "g" then
      small_body(self, size)
    elseif flag == "L" then
      ahead.path = text_of(small_body(self, size))
    elseif flag == "K" then
      ahead.linkpath = text_of(small_body(self, size))
    else
      return entry_of(self, block, ahead, numbers)
    end
  end
end

--- Whether a block is the first one of a tar archive.
---@param block string
---@return boolean
function untar.begins(block)
  if #block < BLOCK or block == ("\0"):rep(BLOCK) then return false end
  return (pcall(check_header, block:sub(1, BLOCK)))
end

-- Bytes ---------------------------------------------------------------------------

--- A function that returns some bytes of an open file in chunks, then nil.
---@return fun(): string?
function untar.bytes(file, offset, size)
  local left = size
  file:seek("set", offset)
  return function()
    if left == 0 then return nil end
    local bytes = file:read(math.min(left, CHUNK))
    if not bytes then fail("the archive is cut off") end
    left = left - #bytes
    return bytes
  end
end

return untar
