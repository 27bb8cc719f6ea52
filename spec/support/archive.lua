--- The bytes of a tar archive, for specs.
local tar = require("contree.base.tar")

---@param members table[] { name, data =, target =, type =, mode =, uid =, mtime = }: one with data
---  is a file, one with a target a link
---@return string
return function(members)
  local pieces = {}
  local writer = tar.writer{
    write = function(_, bytes)
      pieces[#pieces + 1] = bytes
      return true
    end,
    flush = function() return true end,
  }
  for _, each in ipairs(members) do
    writer:add({ name = each[1], type = each.type or each.target and "link" or "file",
      mode = each.mode or 420, uid = each.uid or 0, gid = 0, mtime = each.mtime or 1000000000,
      size = each.data and #each.data or 0, target = each.target }, function() return each.data end)
  end
  writer:finish()
  return table.concat(pieces)
end
