--- Paths inside an image, and helpers for text. Pure.

local paths = {}

--- The absolute path of a path relative to a directory; ".." stops at "/".
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

--- Whether a written path names a directory by its form.
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

--- A text without blanks at its ends. A single pattern would take time that grows with the
--- square of the number of blanks.
function paths.trim(text) return text:find("%S") and text:match("^%s*(.*%S)") or "" end

--- A text quoted as a word of a shell line.
function paths.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

return paths
