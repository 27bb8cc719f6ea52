--- SHA-256 of large data, in parts: between these, other code of the host runs.

local core = require("contree.core")
local loop = require("contree.loop")

local hash = {}

local function run(hashing)
  local digest, size = hashing:step(loop.SLICE)
  while digest == false do
    loop.breathe()
    digest, size = hashing:step(loop.SLICE)
  end
  return digest, size
end

--- The digest of what a hashing of the core reads; nil and the problem.
---@async
---@return string? hex, integer|string size or problem
function hash.finish(hashing) return run(hashing) end

--- The digest of a string.
---@async
---@return string hex
function hash.text(text) return (run(core.hash(text))) end

--- The digest of a regular file, or nil and the problem.
---@async
---@param path string
---@param root? string the path is one below it, and no link leads out of it
---@return string? hex, integer|string size or problem
function hash.file(path, root)
  local hashing, problem = core.hash_file(path, root)
  local digest, size
  if hashing then digest, size = run(hashing) end
  if digest then return digest, size end
  return nil, ("%s: %s"):format(path, problem or size)
end

return hash
