--- Values as people read them.

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

--- Control characters do not reach a terminal from names and other people's words.
---@param words string
---@return string
function text.plain(words)
  return (words:gsub("[%c\127]", "?"):gsub("\194[\128-\159]", "?"))
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

--- One line of words that may have several, or of what a server sent in their place.
---@param words any
---@return string
function text.line(words) return text.plain((tostring(words):gsub("%s+", " "))) end

return text
