std = "max"
max_line_length = 100
exclude_files = { "build/**", "lua_modules/**" }
files["spec"] = { std = "max+busted" }
files["examples/neovim"] = { globals = { "vim" } }
files["examples/nginx"] = { std = "ngx_lua" }
files["examples/love"] = { std = "luajit", globals = { "love" } }
