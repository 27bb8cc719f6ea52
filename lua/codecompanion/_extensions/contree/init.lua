-- Where codecompanion.nvim looks for an extension that is called contree.
return require("contree.nvim.codecompanion")
