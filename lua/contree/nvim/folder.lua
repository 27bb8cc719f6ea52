--- The folder where Neovim is, as a workspace: what runs changed in it is looked at, brought home
--- hunk by hunk, and taken back. `contree on` has the same workspace.

local api = vim.api
local apply = require("contree.workspace.apply")
local config = require("contree.nvim.config")
local contree = require("contree")
local kept = require("contree.workspace.kept")
local task = require("contree.nvim.task")
local text = require("contree.base.text")
local turn = require("contree.nvim.turn")
local view = require("contree.nvim.view")

local folder = {}

local PATIENCE = 0.2 -- seconds

-- By folder, the workspace that was last opened: while a run of it is under way, it is the one.
-- (Opening it anew would move the branch below the run.)
local opened = {}

---@class contree.nvim.Place
---@field path? string   a folder; default: where Neovim is
---@field image? string  that a new workspace begins at; default: the configured one
---@field prefer? "host"|"sandbox" whose version it is where both sides have changed

-- The folder that has the workspace of a path: itself, or the nearest above that has one.
local function find(given)
  local id, here = kept.find(given.path or vim.fn.getcwd())
  return id or here, id ~= nil
end

local function session_of(place)
  return config.client():session{ store = kept.store(), id = place }
end

-- Take the end of a run that nobody has waited for, such as that of a shell that was open when
-- Neovim was left.
local function settle(place)
  local session = session_of(place)
  pcall(session.wait, session, PATIENCE)
end

local function open(place, is_known, given)
  local known = opened[place]
  if known and known.busy then return known end
  if is_known then settle(place) end
  opened[place] = is_known and kept.open(config.client(), place, { prefer = given.prefer })
    or kept.begin(config.client(), place, given.image or config.get().image)
  return opened[place]
end

--- The workspace of a folder, or of the nearest above it that has one.
---@async
---@param given? contree.nvim.Place
---@return contree.Workspace
function folder.workspace(given)
  given = given or {}
  local place, is_known = find(given)
  return turn.with("open " .. place, open, place, is_known, given)
end

--- Calls fn(workspace) when no other call of this for the folder is under way: what it runs
--- moves the folder's session.
---@async
---@param fn fun(workspace: contree.Workspace): any
---@param given? contree.nvim.Place
function folder.in_turn(fn, given)
  return turn.with("run " .. find(given or {}), function()
    return fn(folder.workspace(given))
  end)
end

--- Gives up the runs of the folder's session that are still under way, whoever has started
--- them; their changes are dropped. Returns how many there were.
---@async
---@return integer
function folder.abandon()
  local place, is_known = find{}
  if not is_known then return 0 end
  local session = session_of(place)
  local pending = session:pending()
  for _, operation in ipairs(pending) do session:abandon(operation) end
  return #pending
end

-- What would be lost with the workspace of a folder.
local function check_home(place)
  local workspace = folder.workspace{ path = place }
  local count = #workspace:changes{ text = false }
  if count == 0 then return end
  error(("%d %s did not come home (:Contree changes shows what runs changed, :Contree! begin drops "
    .. "it)"):format(count, count == 1 and "change" or "changes"), 0)
end

--- Begins the folder's workspace anew, with an image. One that cannot be had leaves it as it is.
---@param image string
---@param dropping? boolean  also if there are changes that did not come home
function folder.begin(image, dropping)
  task.run(function()
    local found = config.client().images:oci(image)
    local place, is_known = find{}
    turn.with("run " .. place, function()
      if is_known and not dropping then check_home(place) end
      local store = contree.sessions(kept.store())
      store:delete(place)
      store:close()
      opened[place] = nil
      kept.begin(config.client(), place, image)
    end)
    task.tell(("%s begins with %s"):format(vim.fn.fnamemodify(place, ":~"), found.tag or image))
  end)
end

-- The changes that the buffer shows: by row the change, its patch, and the number of the hunk (0
-- above the first). Neither the patch nor the names in it are read: both are the sandbox's.
local rows = {}

-- What is under the cursor.
local function under_cursor()
  local found = rows[api.nvim_win_get_cursor(0)[1]]
  if not found then task.tell("there is no change under the cursor", vim.log.levels.WARN) end
  return found
end

-- The patch of one change of a list.
local function patch_of(list, change)
  return tostring(setmetatable({ change }, getmetatable(list)))
end

local function say(applied)
  local words = apply.words(applied, "editor")
  task.tell(words ~= "" and words:gsub("\n$", "") or "nothing to do",
    applied.skipped and #applied.skipped > 0 and vim.log.levels.WARN or nil)
  vim.cmd("checktime")
end

local show

local function apply_now(workspace, options)
  say(workspace:apply(options))
  if #vim.fn.win_findbuf(vim.fn.bufnr("contree://changes")) > 0 then show(true) end
end

-- Bring home what the user has seen, and nothing that a run has made of it since.
local function bring_home(seen, options)
  task.run(function()
    local workspace = folder.workspace()
    local list = workspace:changes()
    for _, change in ipairs(list) do
      if change.path == seen.path and patch_of(list, change) == seen.patch then
        return apply_now(workspace, options)
      end
    end
    show()
    task.tell(("%s has changed in the sandbox since it was shown; look at it again"):format(
      text.plain(seen.path)), vim.log.levels.WARN)
  end)
end

-- The path below the folder of one that the user has typed: Neovim may be below the folder, and
-- completes the names that are there.
local function below(workspace, typed)
  local directory = vim.fn.getftype(typed) ~= ""
    and vim.loop.fs_realpath(vim.fn.fnamemodify(typed, ":p:h"))
  local root = workspace.path .. "/"
  if not directory or not vim.startswith(directory .. "/", root) then return typed end
  return (directory .. "/"):sub(#root + 1) .. vim.fn.fnamemodify(typed, ":p:t")
end

-- Show a file in a tab page of its own. Its name is no part of a command: it may have any bytes.
local function open_tab(path)
  local buffer = vim.fn.bufadd(path)
  vim.bo[buffer].buflisted = true
  vim.cmd("tab split")
  api.nvim_win_set_buf(0, buffer)
end

--- Compares a file with the sandbox's version in diff mode, in a tab page of its own: `do` brings
--- a hunk over, and `:w` keeps it.
---@async
---@param path string below the folder
---@param is_typed? boolean  it may be below where Neovim is, too
function folder.review(path, is_typed)
  local workspace = folder.workspace()
  if is_typed then path = below(workspace, path) end
  local ok, bytes = pcall(workspace.read, workspace, workspace.at .. "/" .. path)
  -- Shown as empty, a file that could not be read would be emptied by `do`.
  if not ok and not contree.is_error(bytes, "not_found") then error(bytes, 0) end
  if not ok and vim.fn.getftype(workspace.path .. "/" .. path) == "" then
    error(("neither the folder %s nor the sandbox has %s"):format(
      vim.fn.fnamemodify(workspace.path, ":~"), text.plain(path)), 0)
  end
  local lines = ok and vim.split(bytes:gsub("\n$", ""), "\n", { plain = true }) or {}
  open_tab(workspace.path .. "/" .. path)
  vim.cmd("diffthis")
  local filetype = vim.bo.filetype
  vim.cmd("rightbelow vnew")
  local buffer = api.nvim_get_current_buf()
  vim.bo[buffer].buftype, vim.bo[buffer].bufhidden = "nofile", "wipe"
  vim.bo[buffer].swapfile = false
  api.nvim_buf_set_name(buffer, ("contree://%d/%s"):format(buffer, text.plain(path)))
  api.nvim_buf_set_lines(buffer, 0, -1, false, lines)
  vim.bo[buffer].filetype, vim.bo[buffer].modifiable = filetype, false
  vim.cmd("diffthis")
  vim.cmd("wincmd p")
end

local KEYS = {
  a = function()
    local seen = under_cursor()
    if not seen then return end
    bring_home(seen, seen.hunk > 0 and { only = {}, hunks = { [seen.path] = { seen.hunk } } }
      or { only = { seen.path } })
  end,
  A = function()
    local seen = under_cursor()
    if seen then bring_home(seen, { only = { seen.path } }) end
  end,
  ["<CR>"] = function()
    local seen = under_cursor()
    if seen then task.run(folder.review, seen.path) end
  end,
  R = function() task.run(show) end,
}

--- A line for each change that apply() leaves alone because it is risky.
---@param list contree.Changes
---@return string
function folder.warnings(list)
  local lines = {}
  for _, change in ipairs(list) do
    if change.risky then
      lines[#lines + 1] = ("risky, so apply leaves it alone: %s (%s)\n"):format(
        text.plain(change.path), change.risky)
    end
  end
  return table.concat(lines)
end

function show(quietly)
  local list = folder.workspace():changes()
  local warnings = folder.warnings(list)
  local parts, row = { warnings }, select(2, warnings:gsub("\n", "\n"))
  rows = {}
  for _, change in ipairs(list) do
    local patch, hunk = patch_of(list, change), 0
    for line in patch:gmatch("([^\n]*)\n") do
      row = row + 1
      if line:find("^@@ ") then hunk = hunk + 1 end
      rows[row] = { path = change.path, patch = patch, hunk = hunk }
    end
    parts[#parts + 1] = patch
  end
  if row == select(2, warnings:gsub("\n", "\n")) then
    return task.tell("the runs changed nothing here")
  end
  view.show("changes", "diff", table.concat(parts), KEYS, quietly)
end

--- Shows what runs changed, as a patch with keys: `a` brings a hunk home, `A` a file, Return
--- compares the file in diff mode.
function folder.changes() task.run(show) end

--- Brings changes home.
---@param paths string[] only these; all if there are none
---@param risky? boolean
function folder.apply(paths, risky)
  task.run(function()
    local workspace, only = folder.workspace(), {}
    for i, path in ipairs(paths) do only[i] = below(workspace, path) end
    apply_now(workspace, { only = #only > 0 and only or nil, risky = risky or nil })
  end)
end

--- Takes the last apply back.
function folder.undo()
  task.run(function() say(folder.workspace():undo()) end)
end

return folder
