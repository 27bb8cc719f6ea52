--- Trees on this machine's disk.

local core = require("contree.core")
local loop = require("contree.loop")

local trees = {}

--- Remove a tree; no link is followed. What cannot be removed stays.
---@async
---@param path string
function trees.remove(path)
  loop.pace()
  local found = core.lstat(path)
  if found and found.type == "directory" then
    for _, name in ipairs(core.list(path) or {}) do trees.remove(path .. "/" .. name) end
  end
  os.remove(path)
end

return trees
