--- The directories above a path of a folder, the highest first: a/b/c has a and a/b.
---     for parent in parents("a/b/c") do print(parent) end
---@param path string
---@return fun(): string?
return function(path)
  local at = 0
  return function()
    at = at and path:find("/", at + 1, true)
    return at and path:sub(1, at - 1)
  end
end
