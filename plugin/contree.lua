-- :Contree and its subcommands. Nothing is loaded before the first of them.
if vim.g.loaded_contree then return end
vim.g.loaded_contree = true

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
