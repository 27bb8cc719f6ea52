-- :Contree and its subcommands. Nothing is loaded before the first of them.
if vim.g.loaded_contree then return end
vim.g.loaded_contree = true

-- LuaJIT looks for modules where Neovim is, before anywhere else: a project's file cjson.lua would
-- be run in place of the module that the plugin needs.
local function without_here(path)
  return table.concat(vim.tbl_filter(function(each) return not vim.startswith(each, "./?") end,
    vim.split(path, ";", { plain = true, trimempty = true })), ";")
end
package.path, package.cpath = without_here(package.path), without_here(package.cpath)

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
