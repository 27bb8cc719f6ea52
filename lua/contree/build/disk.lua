--- Files of this machine.

local disk = {}

--- All of a file, or nil and why not.
---@param path string
---@return string? bytes, string? problem
function disk.read(path)
  local file, wrong = io.open(path, "rb")
  if not file then return nil, wrong end
  local bytes, problem = file:read("*a")
  file:close()
  return bytes, problem and ("%s: %s"):format(path, problem)
end

return disk
