--- Which changes come home: all, or those that patterns name; what is risky or ignored, only if
--- it is asked for by name. Pure.

local ignore = require("contree.base.ignore")
local parents = require("contree.workspace.parents")

local choose = {}

local function names_of(path)
  local names = {}
  for name in path:gmatch("[^/]+") do names[#names + 1] = name end
  return names
end

-- A function that tells whether a path is chosen, and whether by its own name. What is the path of
-- a change is no pattern: a sandbox may call a file "*".
local function selection(changes, only, hunks)
  if only == nil and hunks == nil then return function() return true, false end end
  local list = type(only) == "string" and { only } or only or {}
  local known, patterns, named = {}, {}, {}
  for _, change in ipairs(changes) do
    local was = change.was or change
    known[change.path] = change.type ~= "directory" and was.type ~= "directory"
  end
  for _, each in ipairs(list) do
    named[each] = true
    -- A pattern is a line.
    if not known[each] and not each:find("\n", 1, true) then patterns[#patterns + 1] = each end
  end
  local rules = ignore.parse(table.concat(patterns, "\n"), "only")
  for path in pairs(hunks or {}) do named[path] = true end
  return function(path)
    if named[path] then return true, true end
    return rules:ignores(names_of(path)), false
  end
end

-- New directories come with what is in them.
local function add_parents(list, chosen)
  local needed = {}
  for path in pairs(chosen) do
    for parent in parents(path) do needed[parent] = true end
  end
  for _, change in ipairs(list) do
    if needed[change.path] and change.change == "added" and change.type == "directory" then
      chosen[change.path] = change
    end
  end
end

-- What was named in full, but has not changed.
local function add_unchanged(list, given, skipped)
  local known, only = {}, given.only or {}
  for _, change in ipairs(list) do known[change.path] = true end
  local function look(path)
    local name = path:gsub("/$", "")
    if known[name] or path:find("[*?[!\\]") then return end
    known[name] = true
    for _, change in ipairs(list) do
      if change.path:sub(1, #name + 1) == name .. "/" then return end
    end
    skipped[#skipped + 1] = { path = path, kind = "unchanged",
      why = "no run has changed such a path; paths are below the folder, as src/a.c" }
  end
  for _, path in ipairs(type(only) == "string" and { only } or only) do look(path) end
  for path in pairs(given.hunks or {}) do look(path) end
end

--- The chosen changes by path, and those that are left alone.
---@param list contree.WorkspaceChange[]
---@param given table { only, hunks, risky, max_size }
---@return table<string, contree.WorkspaceChange> chosen, table[] skipped
function choose.from(list, given)
  local is_chosen, chosen, skipped = selection(list, given.only, given.hunks), {}, {}
  for _, change in ipairs(list) do
    local wanted, named = is_chosen(change.path)
    local why, kind
    if change.type == "other" and change.change ~= "removed" then
      why, kind = "it is no file, directory or link", "unsupported"
    elseif change.type == "file" and change.change ~= "removed"
      and change.size > given.max_size then
      why, kind = "it is larger than max_size", "unsupported"
    elseif change.risky and not named and not given.risky then
      why, kind = change.risky, "risky"
    end
    if change.ignored and not named then wanted = false end
    if wanted and why then
      skipped[#skipped + 1] = { path = change.path, why = why, kind = kind }
    elseif wanted then
      chosen[change.path] = change
    end
  end
  add_parents(list, chosen)
  add_unchanged(list, given, skipped)
  return chosen, skipped
end

return choose
