--- Files of this machine: regular ones, of a size that fits into memory.

local core = require("contree.core")
local errors = require("contree.base.errors")

local disk = {}

-- Of a Dockerfile or a .dockerignore.
local TEXT_MAX = 16777216

--- A text, or nil when there is no such file.
---@param path string
---@param root? string what the path is relative to; no link leads out of it
---@return string?
function disk.read_if_there(path, root)
  local text, wrong, missing = core.read_file(path, TEXT_MAX, root)
  if not text and not missing then errors.raise("file", "cannot read " .. wrong) end
  return text
end

--- All of a text, or nil and why not.
---@param path string
---@param root? string as above
---@return string? text, string? problem
function disk.read(path, root) return core.read_file(path, TEXT_MAX, root) end

return disk
