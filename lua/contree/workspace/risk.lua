--- What a change could do on the host beyond being there: files that programs run by
--- themselves, and ways out of the folder. Pure.

local risk = {}

-- Directories whose files programs run or obey unasked; in lower case, since some file systems
-- do not tell cases apart.
local DIRECTORIES = {
  [".git"] = "git runs or obeys it", [".githooks"] = "git runs it", [".husky"] = "git runs it",
  [".vscode"] = "an editor runs it", [".idea"] = "an editor runs it", [".vs"] = "an editor runs it",
  [".vim"] = "an editor runs it", [".nvim"] = "an editor runs it", [".zed"] = "an editor runs it",
  [".cursor"] = "an editor runs it", [".claude"] = "an agent runs it",
  [".devcontainer"] = "an editor runs it", [".cargo"] = "cargo obeys it",
  [".github"] = "it runs where it is pushed", [".gitlab"] = "it runs where it is pushed",
  [".circleci"] = "it runs where it is pushed", [".yarn"] = "yarn runs it",
  [".mvn"] = "Maven obeys it",
}

local NAMES = {
  [".envrc"] = "direnv runs it", [".direnvrc"] = "direnv runs it",
  [".nvim.lua"] = "an editor runs it", [".nvimrc"] = "an editor runs it",
  [".exrc"] = "an editor runs it", [".vimrc"] = "an editor runs it",
  [".gvimrc"] = "an editor runs it", [".lvimrc"] = "an editor runs it",
  [".lazy.lua"] = "an editor runs it", [".dir-locals.el"] = "an editor runs it",
  [".dir-locals-2.el"] = "an editor runs it", [".emacs"] = "an editor runs it",
  [".mise.toml"] = "mise obeys it", ["mise.toml"] = "mise obeys it",
  [".pre-commit-config.yaml"] = "git runs it", ["lefthook.yml"] = "git runs it",
  [".gitmodules"] = "git obeys it", [".gitattributes"] = "git obeys it",
  [".gitconfig"] = "git obeys it", [".npmrc"] = "npm obeys it", [".yarnrc"] = "yarn obeys it",
  [".yarnrc.yml"] = "yarn obeys it", [".pnpmfile.cjs"] = "pnpm runs it",
  ["head"] = "git may take its directory for a repository",
  [".mcp.json"] = "an agent runs it", [".gitlab-ci.yml"] = "it runs where it is pushed",
  [".luacheckrc"] = "a linter runs it", [".pylintrc"] = "a linter obeys it",
  [".eslintrc.js"] = "a linter runs it", [".eslintrc.cjs"] = "a linter runs it",
  ["eslint.config.js"] = "a linter runs it", ["eslint.config.mjs"] = "a linter runs it",
  ["eslint.config.cjs"] = "a linter runs it", ["eslint.config.ts"] = "a linter runs it",
  [".luarc.json"] = "an editor obeys it", [".gdbinit"] = "a debugger runs it",
  [".lldbinit"] = "a debugger runs it", [".tool-versions"] = "asdf obeys it",
  [".bashrc"] = "a shell runs it", [".profile"] = "a shell runs it",
  [".zshenv"] = "a shell runs it", [".zshrc"] = "a shell runs it",
  [".contreeignore"] = "it decides which files go into sandboxes",
  [".gitignore"] = "it decides which files go into sandboxes",
}

-- Code points that macOS does not see in names.
local UNSEEN = { "\226\128[\140-\143\170-\174]", "\226\129[\170-\175]", "\239\187\191" }

-- A name as the systems read it that are the most generous: Windows drops dots and spaces at the
-- end and what follows a colon, and calls .git also git~1; macOS does not see some characters.
local function plain(name)
  for _, each in ipairs(UNSEEN) do name = name:gsub(each, "") end
  name = name:gsub("(.):.*$", "%1"):gsub("(.)[. ]+$", "%1")
  return name:find("^git~%d") and ".git" or name
end

local function by_name(path)
  local last
  for name in path:lower():gmatch("[^/]+") do
    last = plain(name)
    if DIRECTORIES[last] then return DIRECTORIES[last] end
  end
  return NAMES[last]
end

local function bit(mode, value) return math.floor(mode / value) % 2 == 1 end

local function is_executable(node)
  return node and node.type == "file" and node.mode
    and (bit(node.mode, 64) or bit(node.mode, 8) or bit(node.mode, 1))
end

local function by_mode(change)
  if change.type == "file" or change.type == "directory" then
    if bit(change.mode or 0, 2048) then return "it has the setuid bit" end
    if bit(change.mode or 0, 1024) then return "it has the setgid bit" end
  end
  if is_executable(change) and not is_executable(change.was) then
    if change.change == "added" then return "it is a new program" end
    if change.was then return "it becomes a program" end
  end
end

-- Whether a link may lead out of the folder. A ".." behind a name is one too many: what is
-- before it may be a link itself.
local function by_target(path, target)
  if not target or target == "" then return "where it leads is not known" end
  if target:sub(1, 1) == "/" then return "it leads out of the folder" end
  local depth, up, named = select(2, path:gsub("/", "")), 0, false
  for name in target:gmatch("[^/]+") do
    if name == ".." then
      up = up + 1
      if named or up > depth then return "it leads out of the folder" end
    elseif name ~= "." then
      named = true
    end
  end
  if by_name(target) then return "it leads to a file that runs by itself" end
end

--- Whether a path is risky for its name alone.
function risk.is_named(path) return by_name(path) ~= nil end

--- Why a change should be looked at before it is made on the host; nil if nothing is special.
---@param change contree.Change with a path below the folder and, of a link, its target
---@return string?
function risk.of(change)
  local found = by_name(change.path)
  if found then return found end
  if change.change == "removed" then return nil end
  if change.type == "link" then return by_target(change.path, change.target) end
  return by_mode(change)
end

return risk
