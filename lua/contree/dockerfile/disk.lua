--- Local files: regular ones that fit into memory.

local core = require("contree.core")
local errors = require("contree.base.errors")

local disk = {}

-- The most bytes of a Dockerfile or a .dockerignore.
local TEXT_MAX = 16777216

--- The content of a file, or nil if it does not exist.
---@param path string
---@param root? string the directory that the path is relative to; a link out of it is refused
---@return string?
function disk.read_if_there(path, root)
  local text, wrong, missing = core.read_file(path, TEXT_MAX, root)
  if not text and not missing then errors.raise("file", "cannot read " .. wrong) end
  return text
end

--- The content of a file, or nil and the problem.
---@param path string
---@param root? string as above
---@return string? text, string? problem
function disk.read(path, root) return core.read_file(path, TEXT_MAX, root) end

return disk
