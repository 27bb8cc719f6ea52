-- Where overseer.nvim looks for the strategy "contree".
return require("contree.nvim.overseer")
