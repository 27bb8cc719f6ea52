-- For Lua 5.4:  luarocks --lua-version 5.4 make
-- For LuaJIT:   luarocks --lua-version 5.1 make LUA_INCDIR=/usr/include/luajit-2.1
-- The Makefile builds the module for that Lua, and the engine, and says which libraries are
-- missing. The command contree comes with the module for 5.4, in which it runs. ENGINE=no in
-- the environment leaves the engine out, which a hosted service does not need.
rockspec_format = "3.0"
package = "contree"
version = "scm-1"

source = {
  url = "git+file://.",
}

description = {
  summary = "Run commands in sandboxes that snapshot and branch their file systems",
  detailed = [[
    Lua 5.4 and LuaJIT. A client for ConTree services and for contree-engine, which
    runs the sandboxes on this machine; the command contree. Calls block in plain
    code and yield in coroutines; Neovim, OpenResty, LÖVE, luv, cqueues and Copas
    are supported. The command wants argparse and luv, too.
  ]],
  license = "MIT",
}

supported_platforms = { "unix" }

dependencies = {
  "lua >= 5.1, < 5.5", -- 5.1 is LuaJIT: the headers of another 5.1 are refused in words
  "lua-cjson >= 2.1.0",
}

test_dependencies = { "busted", "luasocket" }
test = { type = "busted", flags = { "spec/unit" } }

build = {
  type = "make",
  build_target = "rock",
  build_variables = {
    CC = "$(CC)",
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA_INCDIR = "$(LUA_INCDIR)",
  },
  install_target = "rock-install",
  install_variables = {
    LUA_INCDIR = "$(LUA_INCDIR)",
    INST_LUADIR = "$(LUADIR)",
    INST_LIBDIR = "$(LIBDIR)",
    INST_BINDIR = "$(BINDIR)",
  },
  copy_directories = { "docs", "examples" },
}

-- The command finds its module by itself, also where LuaRocks's wrapper does not look
-- (--deps-mode none).
deploy = { wrap_bin_scripts = false }
