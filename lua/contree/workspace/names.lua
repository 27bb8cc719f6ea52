--- Which files of a folder go into a sandbox: what git says, or all but what is ignored.

local core = require("contree.core")
local directories = require("contree.base.directories")
local errors = require("contree.base.errors")
local ignore = require("contree.base.ignore")
local loop = require("contree.loop")

local names = {}

local IGNORE_FILE = ".contreeignore"
local IGNORE_MAX = 1048576
local NAMES_MAX = 2 ^ 30
local PAUSE = 0.001 -- between two looks whether git has ended
local PATIENCE = 120
local DEPTH = 5 -- of halves

---@class contree.workspace.Names
---@field rule string          what decides, in words
---@field reason? string       why git does not
---@field list? string         paths, each ended by a NUL; nil: all but what is ignored
---@field ignores? fun(path: string): integer

-- Git runs as a program that is not our child, writes into files, and tells by descriptor 3
-- that it has succeeded. A repository's own configuration could make it run programs: one that
-- watches files, and one that fetches what the repository lacks.
local GUARDS = [[
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_PREFIX GIT_NAMESPACE
export GIT_ALLOW_PROTOCOL=none GIT_NO_LAZY_FETCH=1
]]

local GIT = GUARDS .. [[
command -v git >/dev/null || { echo "git is not installed" >"$2"; exit 1; }
LC_ALL=C git -c core.fsmonitor=false -C "$1" ls-files -co --exclude-standard -z 2>"$2" &&
  printf x >&3
]]

local count = 0

local function read_and_remove(path)
  local text = core.read_file(path, NAMES_MAX)
  os.remove(path)
  return text or ""
end

local function await(program)
  local due = core.now() + PATIENCE
  while core.now() < due do
    local ready = program:ready()
    if ready ~= nil then return ready end
    loop.sleep(PAUSE)
  end
  program:stop()
  return false
end

-- Have git list the files in a directory. Returns a function that waits for the list and
-- returns it, or nil and why git gave no list.
local function begin_git(path, scratch)
  count = count + 1
  local out = ("%s/git.%d.%d"):format(scratch, core.getpid(), count)
  local problems = out .. ".err"
  local program, wrong = core.start_detached("/bin/sh", { "sh", "-c", GIT, "sh", path, problems },
    out)
  return function()
    local ok = program and await(program)
    local list, said = read_and_remove(out), read_and_remove(problems)
    if ok then return list end
    return nil, wrong or said:match("[^\n]+") or "git did not answer"
  end
end

local function is_below_git(path)
  while path do
    if directories.has(path .. "/.git") then return true end
    path = path ~= "/" and (path:match("^(.+)/[^/]*$") or "/") or nil
  end
  return false
end

-- Git's own files are no part of a project, unless they are asked for ("!.git").
local function of_patterns(text, file, rule, reason)
  local rules = ignore.parse(".git\n" .. text, file)
  return { rule = rule, reason = reason, ignores = rules:verdict() }
end

local function of_file(path, reason)
  local text, problem, missing = core.read_file(IGNORE_FILE, IGNORE_MAX, path)
  if text then return of_patterns(text, IGNORE_FILE, IGNORE_FILE, reason) end
  if not missing then errors.raise("file", "workspace: cannot read " .. problem) end
  -- Without git nobody knows which files are secrets.
  if is_below_git(path) then
    errors.raise("file", ("workspace: git does not say which files of %s are ignored: %s")
      :format(path, reason), { remedy = { "ignore" } })
  end
  return of_patterns("", IGNORE_FILE, "all files", reason)
end

--- Begin to find the files of a folder. Returns a function that waits for them.
---@async
---@param path string absolute, without links
---@param given? string[]|false patterns in place of git's; false: all files
---@param scratch string a directory for our files
---@return fun(): contree.workspace.Names
function names.begin(path, given, scratch)
  if given == false then return function() return { rule = "all files" } end end
  if given then
    local found = of_patterns(table.concat(given, "\n"), "ignore", "ignore =")
    return function() return found end
  end
  local answer = begin_git(path, scratch)
  return function()
    local list, reason = answer()
    if list then return { rule = "git", list = list } end
    return of_file(path, reason)
  end
end

-- Of paths in a file, those that git ignores. It fails as a whole for a path in a submodule, or
-- below a link.
local CHECK = GUARDS .. [[
LC_ALL=C git -c core.fsmonitor=false -C "$1" check-ignore -z --stdin <"$2" 2>/dev/null
[ $? -le 1 ] && printf x >&3
]]

local function ask_ignored(path, list, scratch)
  count = count + 1
  local out = ("%s/git.%d.%d"):format(scratch, core.getpid(), count)
  local input = out .. ".in"
  local file = io.open(input, "wb")
  if not file then return nil end
  file:write(table.concat(list, "\0"), "\0")
  file:close()
  local program = core.start_detached("/bin/sh", { "sh", "-c", CHECK, "sh", path, input }, out)
  local ok = program and await(program)
  local found = read_and_remove(out)
  os.remove(input)
  return ok and found or nil
end

-- Asks again for the halves when git refuses the whole; a path that it refuses is not ignored.
local function add_ignored(set, path, list, scratch, depth)
  local found = #list > 0 and ask_ignored(path, list, scratch)
  for name in (found or ""):gmatch("%Z+") do set[name:gsub("/$", "")] = true end
  if found or #list < 2 or depth == 0 then return end
  local half, halves = math.floor(#list / 2), { {}, {} }
  for i, each in ipairs(list) do table.insert(halves[i <= half and 1 or 2], each) end
  for _, each in ipairs(halves) do add_ignored(set, path, each, scratch, depth - 1) end
end

--- Of some paths, those that would not come in: a set. Those of directories end with a slash.
---@async
---@param path string of the folder
---@param given? string[]|false as of names.begin
---@param list string[]
---@return table<string, boolean>
function names.ignored(path, given, list, scratch)
  local set = {}
  if given == false then return set end
  local rules = given and of_patterns(table.concat(given, "\n"), "ignore")
    or not is_below_git(path) and of_file(path)
  if not rules then
    add_ignored(set, path, list, scratch, DEPTH)
    return set
  end
  for _, each in ipairs(list) do
    local name = each:gsub("/$", "")
    if rules.ignores(name) ~= 0 then set[name] = true end
  end
  return set
end

--- The files of repositories in a repository, which git lists as one name each. One that is
--- not checked out is empty.
---@async
---@param path string of the folder
---@param found string[] their paths below it
---@return string list
function names.inner(path, found, scratch)
  local parts = {}
  for _, each in ipairs(found) do
    local full = path .. "/" .. each
    local list = directories.has(full .. "/.git") and begin_git(full, scratch)()
    for name in (list or ""):gmatch("%Z+") do parts[#parts + 1] = each .. "/" .. name .. "\0" end
  end
  return table.concat(parts)
end

return names
