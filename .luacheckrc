std = "max"
max_line_length = 100
exclude_files = { "build/**", "lua_modules/**" }
files["spec"] = { std = "max+busted" }
files["plugin"] = { globals = { "vim" } }
files["lazy.lua"] = { globals = { "vim" } }
files["lua/contree/nvim"] = { std = "luajit", globals = { "vim" } }
files["lua/contree/health.lua"] = { globals = { "vim" } }
files["lua/resty"] = { std = "ngx_lua" }
files["spec/support/editor_plugins.lua"] = { std = "luajit", globals = { "vim" } }
files["examples/nginx"] = { std = "ngx_lua" }
files["examples/love"] = { std = "luajit", globals = { "love" } }
