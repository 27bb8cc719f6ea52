-- Where neotest looks for the strategy "contree".
return require("contree.nvim.neotest")
