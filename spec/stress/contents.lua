-- What the model knows of an image: the files below /s. A content is a marker, which is one
-- of its kind in the whole stress, and how often it is repeated, a line each. So what is read
-- anywhere says whose it is, and files = { [path below /s] = { marker, lines } }.
local disk = require("spec.support.disk")

local contents = {}

function contents.text(content) return (content[1] .. "\n"):rep(content[2]) end

--- A shell line that writes a content into a file, or to standard output.
function contents.write(content, path)
  local line = ("yes %s | head -n %d"):format(content[1], content[2])
  if not path then return line end
  return ("mkdir -p /s/%s && %s >/s/%s"):format(path:match("^(.*)/[^/]*$") or "", line, path)
end

--- The content that a text is, or nil and what is odd about it.
function contents.parse(text)
  local marker = text:match("^([%w.-]+)\n") or ""
  local lines = #text / (#marker + 1)
  if lines % 1 ~= 0 or text ~= (marker .. "\n"):rep(lines) then
    return nil, ("%d bytes that are none of ours, from %q"):format(#text, text:sub(1, 60))
  end
  return { marker, lines }
end

function contents.copy(files)
  local copy = {}
  for path, content in pairs(files) do copy[path] = content end
  return copy
end

--- A text that is the same for the same files.
function contents.signature(files)
  local lines = {}
  for path, content in pairs(files) do
    lines[#lines + 1] = ("%s=%s*%d"):format(path, content[1], content[2])
  end
  table.sort(lines)
  return table.concat(lines, " ")
end

--- The files of a directory of this machine, which holds what /s of an image holds.
function contents.read(directory)
  local files = {}
  for path in disk.capture(("cd %s && find . -type f"):format(directory)):gmatch("%./([^\n]+)") do
    local content, problem = contents.parse(disk.read(directory .. "/" .. path))
    if not content then return nil, path .. ": " .. problem end
    files[path] = content
  end
  return files
end

--- The paths of files, sorted.
function contents.paths(files)
  local paths = {}
  for path in pairs(files) do paths[#paths + 1] = path end
  table.sort(paths)
  return paths
end

return contents
