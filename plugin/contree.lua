-- :Contree and its subcommands. Nothing is loaded before the first of them.
if vim.g.loaded_contree then return end
vim.g.loaded_contree = true

vim.api.nvim_create_user_command("Contree", function(given)
  require("contree.nvim").command(given)
end, {
  desc = "Run in sandboxes that branch like git",
  nargs = "*",
  range = true,
  bang = true,
  complete = function(lead, line) return require("contree.nvim").complete(lead, line) end,
})
