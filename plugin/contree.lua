-- :Contree and its subcommands. Nothing is loaded before the first of them.
if vim.g.loaded_contree then return end
vim.g.loaded_contree = true

-- LuaJIT looks for modules where Neovim is, before anywhere else: a project's file cjson.lua would
-- be run in place of the module that the plugin needs. So what contree's modules require, now or
-- later, is looked for in absolute places alone; what others require, wherever the user says.
local function without_here(path)
  return table.concat(vim.tbl_filter(function(each) return vim.startswith(each, "/") end,
    vim.split(path, ";", { plain = true })), ";")
end

-- Whether a module of contree is required, or one of these requires another.
local function is_ours(name)
  if name == "contree" or vim.startswith(name, "contree.") then return true end
  local level, caller = 3, nil -- above the searcher is `require`, or `pcall` of it
  repeat
    caller = debug.getinfo(level, "S")
    level = level + 1
  until not caller or caller.what ~= "C"
  local source = caller and caller.source or ""
  return (source:find("[@/]lua/contree/") or source:find("[@/]lua/5%.1/contree/")) ~= nil
end

-- What the other searchers find, or how they say that they do not.
local function ask_others(name, searcher)
  local tried = {}
  for _, other in ipairs(package.loaders) do
    local found = other ~= searcher and other(name)
    if type(found) == "function" then return found end
    tried[#tried + 1] = type(found) == "string" and found or nil
  end
  error(("module '%s' not found:%s"):format(name, table.concat(tried)), 0)
end

local function searcher(name)
  if not is_ours(name) then return nil end
  local path, cpath = package.path, package.cpath
  package.path, package.cpath = without_here(path), without_here(cpath)
  local ok, found = pcall(ask_others, name, searcher)
  package.path, package.cpath = path, cpath
  return ok and found or error(found, 0)
end
table.insert(package.loaders, 2, searcher)

local ADVICE = "make nvim, in the plugin's directory, builds what it needs; :checkhealth contree"

-- The plugin, or nil when it cannot be loaded; then the user is told why.
local function load()
  local ok, found = pcall(require, "contree.nvim")
  if ok then return found end
  -- So that the next attempt fails, or succeeds, for reasons of its own.
  for name in pairs(package.loaded) do
    if name == "contree" or vim.startswith(name, "contree.") then package.loaded[name] = nil end
  end
  local why = tostring(found):match("[^\n]*"):gsub("^%S+:%d+: ", ""):gsub(":$", "")
  vim.notify(("contree: %s (%s)"):format(why, ADVICE), vim.log.levels.ERROR)
end

vim.api.nvim_create_user_command("Contree", function(given)
  local plugin = load()
  if plugin then plugin.command(given) end
end, {
  desc = "Run in sandboxes that branch like git",
  nargs = "*",
  range = true,
  bang = true,
  complete = function(lead, line)
    local plugin = load()
    return plugin and plugin.complete(lead, line) or {}
  end,
})
