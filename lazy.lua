-- What lazy.nvim should know of this plugin. (Without this file it would build the rock.)
return {
  "contree",
  build = "make nvim",
  cmd = "Contree",
}
