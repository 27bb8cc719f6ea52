--- Bytes that commands write, as a text that other plugins can put into JSON.

local text = {}

local SEQUENCES = {
  "^[\194-\223][\128-\191]",
  "^[\224-\239][\128-\191][\128-\191]",
  "^[\240-\244][\128-\191][\128-\191][\128-\191]",
}

local function valid(bytes)
  local at, parts = 1, {}
  while at <= #bytes do
    local whole
    for _, sequence in ipairs(SEQUENCES) do whole = whole or bytes:match(sequence, at) end
    parts[#parts + 1] = whole or "?"
    at = at + (whole and #whole or 1)
  end
  return table.concat(parts)
end

--- The same with "?" for each byte that is not UTF-8.
---@param bytes string
---@return string
function text.utf8(bytes) return (bytes:gsub("[\128-\255]+", valid)) end

--- The same without what steers a terminal, and with plain line ends.
---@param bytes string
---@return string
function text.plain(bytes)
  return (bytes:gsub("\27%[[0-?]*[ -/]*[@-~]", ""):gsub("\27%][^\7\27]*\7", "")
    :gsub("\27%][^\7\27]*\27\\", ""):gsub("\27[@-Z\\-_]", ""):gsub("\r+\n", "\n"))
end

return text
