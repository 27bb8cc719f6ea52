--- Values as people read them.

local core = require("contree.core")

local text = {}

local UNITS = { "", "K", "M", "G", "T" }

--- 1536 -> "1.5K"
---@param bytes number
---@return string
function text.size(bytes)
  local unit = 1
  while bytes >= 1024 and unit < #UNITS do bytes, unit = bytes / 1024, unit + 1 end
  return (unit > 1 and bytes < 10 and "%.1f%s" or "%.0f%s"):format(bytes, UNITS[unit])
end

--- Seconds as people say them: "12 ms", "3.4 s".
---@param seconds? number
---@return string
function text.duration(seconds)
  if not seconds then return "-" end
  if seconds < 1 then return ("%.0f ms"):format(seconds * 1000) end
  return ("%.1f s"):format(seconds)
end

local SEQUENCES = {
  "^[\194-\223][\128-\191]",
  "^[\224-\239][\128-\191][\128-\191]",
  "^[\240-\244][\128-\191][\128-\191][\128-\191]",
}

-- Bytes above 127; put() gives what stands for one that is in no character of UTF-8.
local function characters(bytes, put)
  local at, parts = 1, {}
  while at <= #bytes do
    local whole
    for _, sequence in ipairs(SEQUENCES) do whole = whole or bytes:match(sequence, at) end
    parts[#parts + 1] = whole or put(bytes:sub(at, at))
    at = at + (whole and #whole or 1)
  end
  return table.concat(parts)
end

local function questionable() return "?" end

-- A byte of this range steers terminals that do not read UTF-8.
local function without_c1(byte) return byte:find("[\128-\159]") and "?" or byte end

--- The same with "?" for each byte that is not UTF-8.
---@param bytes string
---@return string
function text.utf8(bytes)
  if core.is_utf8(bytes) then return bytes end
  return (bytes:gsub("[\128-\255]+", function(run) return characters(run, questionable) end))
end

--- Control characters do not reach a terminal from names and other people's words: neither what
--- steers it, nor what changes the order in which a line is read, and shows another name.
---@param words string
---@return string
function text.plain(words)
  words = words:gsub("[%c\127]", "?"):gsub("\194[\128-\159]", "?")
    :gsub("\226\128[\168-\174]", "?"):gsub("\226\129[\166-\169]", "?")
  if core.is_utf8(words) then return words end
  return (words:gsub("[\128-\255]+", function(run) return characters(run, without_c1) end))
end

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"' }

--- The beginning of a text, no more than so many bytes; a character of UTF-8 is not cut in two.
---@param words string
---@param most integer
---@return string
function text.cut(words, most)
  if #words <= most then return words end
  -- What is cut off may begin within a character.
  while most > 0 and words:find("^[\128-\191]", most + 1) do most = most - 1 end
  return words:sub(1, most)
end

--- Bytes in quotes, no more than so many; "…" stands for the rest.
---@param bytes string
---@param most? integer default 60
---@return string
function text.quoted(bytes, most)
  local kept = text.cut(bytes, most or 60)
  return '"' .. text.plain((kept:gsub('[\n\r\t"]', ESCAPES))) .. (kept ~= bytes and '…"' or '"')
end

--- The first of some names: "a, b and 3 more".
---@param names string[]
---@param most integer how many are named
---@param count? integer how many there are; default #names
---@return string
function text.some(names, most, count)
  local more = (count or #names) - math.min(#names, most)
  return table.concat(names, ", ", 1, math.min(#names, most))
    .. (more > 0 and (" and %d more"):format(more) or "")
end

--- One line of words that may have several, or of what a server sent in their place.
---@param words any
---@return string
function text.line(words) return text.plain((tostring(words):gsub("%s+", " "))) end

return text
