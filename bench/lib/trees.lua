--- Trees of files, the same on every machine.
local trees = {}

local A_DIRECTORY = 100 -- files

local function write(path, size, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text:rep(size // #text + 1):sub(1, size)))
  file:close()
end

--- Makes a directory with `count` files of half of `size` to one and a half of it. Their
--- contents are others for another `seed`.
---@return string top
function trees.make(top, count, size, seed)
  local last = (count - 1) // A_DIRECTORY
  assert(os.execute(("mkdir %s; cd %s; seq -f d%%.0f 0 %d | xargs mkdir")
    :format(top, top, last)))
  for n = 1, count do
    local path = ("%s/d%d/f%d"):format(top, (n - 1) // A_DIRECTORY, n)
    write(path, size // 2 + n * 7919 % size, ("file %d of tree %d\n"):format(n, seed))
  end
  return top
end

return trees
