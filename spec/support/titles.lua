--- The titles of a session's history in one text.

---@param session contree.Session
---@return string # such as "start|one|two"
return function(session)
  local list = {}
  for i, entry in ipairs(session:history()) do list[i] = entry.title end
  return table.concat(list, "|")
end
