--- Archives that ADD unpacks: tar, plain or compressed, recognised by content, not by name.

local core = require("contree.core")
local problem = require("contree.dockerfile.problem")
local stdio = require("contree.base.stdio")
local untar = require("contree.dockerfile.untar")

local archive = {}

local HEAD, CHUNK = 512, 1048576

-- How a compressed file begins.
local MAGIC = { "^\31\139", "^BZh%d", "^\253" .. "7zXZ%z", "^%(\181/\253" }

local function is_compressed(head)
  for _, magic in ipairs(MAGIC) do
    if head:find(magic) then return true end
  end
  return false
end

local function full_path(content)
  return content.root and content.root .. "/" .. content.path or content.path
end

local function open(step, content)
  local reader, wrong = core.decompress(content.path, content.root)
  if reader then return reader end
  problem.raise(step, ("cannot decompress %s: %s"):format(content.path, wrong),
    step.name .. " --unpack=false copies it as it is")
end

-- The first bytes inside a compressed file; fewer when it is damaged: then it does not count
-- as an archive.
local function inner_head(step, content)
  local reader, head = open(step, content), ""
  while #head < HEAD do
    local bytes = reader:read(HEAD - #head)
    if not bytes then break end
    head = head .. bytes
  end
  reader:close()
  return head
end

--- Whether ADD unpacks a file: "plain", "compressed", or false.
---@param step contree.build.Instruction
---@param content contree.build.Content
---@return string|false
function archive.looks_like_one(step, content)
  local file = stdio.open_file(full_path(content), "rb")
  local head = file and file:read(HEAD) or ""
  if file then file:close() end
  if is_compressed(head) then
    return untar.begins(inner_head(step, content)) and "compressed"
  end
  return untar.begins(head) and "plain"
end

--- Write the content of a compressed file into a local file.
---@param step contree.build.Instruction
---@param content contree.build.Content
---@param to string local path
function archive.decompress(step, content, to)
  local reader = open(step, content)
  local file, wrong = stdio.open_file(to, "wb")
  local bytes = ""
  while file and bytes do
    bytes, wrong = reader:read(CHUNK)
    if bytes and not file:write(bytes) then bytes, wrong = nil, "cannot write " .. to end
  end
  reader:close()
  if file and not file:close() then wrong = wrong or "cannot write " .. to end
  if wrong then
    problem.raise(step, ("cannot decompress %s: %s"):format(content.path, wrong))
  end
end

--- The path of the plain archive: the file itself, or a decompressed copy.
---@param build contree.build.Build
---@param step contree.build.Instruction
---@param source contree.build.CopySource
---@return string
function archive.plain(build, step, source)
  local content = source.entries[1].content
  if not source.packed then return full_path(content) end
  local path = build:temporary()
  archive.decompress(step, content, path)
  return path
end

return archive
