--- Random numbers that are the same on every Lua, so that a seed can be repeated.

---@param seed integer
---@return fun(limit: integer): integer # from 1 to the limit
return function(seed)
  local state = seed % 2147483646 + 1
  return function(limit)
    state = state * 16807 % 2147483647
    return state % limit + 1
  end
end
