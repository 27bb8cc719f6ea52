--- Bytes that commands write, as a text for people and for other plugins.

local text = {}

--- The same without what steers a terminal, and with plain line ends.
---@param bytes string
---@return string
function text.plain(bytes)
  return (bytes:gsub("\27%[[0-?]*[ -/]*[@-~]", ""):gsub("\27%][^\7\27]*\7", "")
    :gsub("\27%][^\7\27]*\27\\", ""):gsub("\27[@-Z\\-_]", ""):gsub("\r+\n", "\n"))
end

return text
