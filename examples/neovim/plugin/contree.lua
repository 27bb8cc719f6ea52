if vim.g.loaded_contree then return end
vim.g.loaded_contree = true

local function command(name, run, options)
  vim.api.nvim_create_user_command(name, run, options)
end

command("ContreeRun", function(given)
  require("contree_nvim").run(given.line1, given.line2, given.args)
end, { range = "%", nargs = "?", desc = "Run these lines in the sandbox" })

command("ContreeStop", function()
  require("contree_nvim").stop()
end, { desc = "Stop what :ContreeRun started" })

command("ContreeRollback", function(given)
  require("contree_nvim").rollback(given.count)
end, { count = 1, desc = "Undo the changes of the last run" })
