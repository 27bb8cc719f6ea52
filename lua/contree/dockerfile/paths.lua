--- Paths inside an image, and the texts that have them. Pure.

local paths = {}

--- The absolute path that a path means in a directory; ".." ends at "/".
---@param path string
---@param cwd? string
---@return string absolute without a "/" at its end, but for "/" itself
function paths.absolute(path, cwd)
  if path:sub(1, 1) ~= "/" then path = (cwd or "") .. "/" .. path end
  local names = {}
  for name in path:gmatch("[^/]+") do
    if name == ".." then
      names[#names] = nil
    elseif name ~= "." then
      names[#names + 1] = name
    end
  end
  return "/" .. table.concat(names, "/")
end

--- Whether a path as it was written can only be a directory.
function paths.names_directory(path)
  return path == "" or path:find("/$") ~= nil or path:find("^%.%.?$") ~= nil
    or path:find("/%.%.?$") ~= nil
end

--- A path below a directory; the directory itself for "".
function paths.join(directory, rest)
  if rest == "" then return directory end
  return (directory == "/" and "" or directory) .. "/" .. rest
end

function paths.base(path) return path:match("([^/]+)/*$") or "" end

--- The directory that holds an absolute path.
function paths.parent(path)
  local parent = path:match("^(.*)/[^/]+/*$") or ""
  return parent == "" and "/" or parent
end

--- A text without blanks at its ends. One pattern for this would take a time that grows
--- with the square of the blanks.
function paths.trim(text) return text:find("%S") and text:match("^%s*(.*%S)") or "" end

--- A word of a shell line that is this text.
function paths.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

return paths
