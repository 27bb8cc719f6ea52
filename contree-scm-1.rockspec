rockspec_format = "3.0"
package = "contree"
version = "scm-1"

source = {
  url = "git+file://.",
}

description = {
  summary = "Run commands in sandboxes that snapshot and branch their file systems",
  detailed = [[
    A client for ConTree services and for contree-engine, which runs the
    sandboxes on this machine. Calls block in plain code and yield in
    coroutines; Neovim, OpenResty, LÖVE, luv, cqueues and Copas are supported.
  ]],
  license = "MIT",
}

supported_platforms = { "unix" }

dependencies = {
  "lua >= 5.1, < 5.5", -- 5.1: LuaJIT
  "lua-cjson >= 2.1.0",
}

-- libcurl, libcrypto and libsqlite3 are opened when first needed (src/core/curl_api.h), so they are
-- looked for here, but not linked. No header keys: LuaRocks does not find
-- headers in Debian's multiarch directories.
external_dependencies = {
  CURL = { library = "curl" },
  CRYPTO = { library = "crypto" },
  SQLITE = { library = "sqlite3" },
  ZLIB = { library = "z" },
}

test_dependencies = { "busted", "luasocket" }
test = { type = "busted", flags = { "spec/unit" } }

build = {
  type = "builtin",
  modules = {
    ["contree.core"] = {
      sources = {
        "src/core/bytes.c",
        "src/core/codec.c",
        "src/core/core.c",
        "src/core/curl_api.c",
        "src/core/database.c",
        "src/core/decompress.c",
        "src/core/descriptors.c",
        "src/core/digest.c",
        "src/core/directory.c",
        "src/core/head.c",
        "src/core/inflate.c",
        "src/core/lines.c",
        "src/core/loop.c",
        "src/core/place.c",
        "src/core/poller.c",
        "src/core/regular.c",
        "src/core/request.c",
        "src/core/sink.c",
        "src/core/source.c",
        "src/core/spawn.c",
        "src/core/sse.c",
        "src/core/transfer.c",
      },
      incdirs = { "$(CURL_INCDIR)", "$(CRYPTO_INCDIR)", "$(SQLITE_INCDIR)", "$(ZLIB_INCDIR)" },
      libdirs = { "$(CRYPTO_LIBDIR)", "$(ZLIB_LIBDIR)" },
      libraries = { "z", "dl", "pthread" },
    },
    ["contree.bisect"] = "lua/contree/bisect.lua",
    ["contree.build.archive"] = "lua/contree/build/archive.lua",
    ["contree.build.arguments"] = "lua/contree/build/arguments.lua",
    ["contree.build.automaton"] = "lua/contree/build/automaton.lua",
    ["contree.build.builder"] = "lua/contree/build/builder.lua",
    ["contree.build.cache"] = "lua/contree/build/cache.lua",
    ["contree.build.context"] = "lua/contree/build/context.lua",
    ["contree.build.copy"] = "lua/contree/build/copy.lua",
    ["contree.build.disk"] = "lua/contree/build/disk.lua",
    ["contree.build.expand"] = "lua/contree/build/expand.lua",
    ["contree.build.fetch"] = "lua/contree/build/fetch.lua",
    ["contree.build.ignore"] = "lua/contree/build/ignore.lua",
    ["contree.build"] = "lua/contree/build/init.lua",
    ["contree.build.layer"] = "lua/contree/build/layer.lua",
    ["contree.build.pack"] = "lua/contree/build/pack.lua",
    ["contree.build.parser"] = "lua/contree/build/parser.lua",
    ["contree.build.paths"] = "lua/contree/build/paths.lua",
    ["contree.build.pattern"] = "lua/contree/build/pattern.lua",
    ["contree.build.place"] = "lua/contree/build/place.lua",
    ["contree.build.problem"] = "lua/contree/build/problem.lua",
    ["contree.build.shipment"] = "lua/contree/build/shipment.lua",
    ["contree.build.stage"] = "lua/contree/build/stage.lua",
    ["contree.build.tar"] = "lua/contree/build/tar.lua",
    ["contree.build.target"] = "lua/contree/build/target.lua",
    ["contree.build.untar"] = "lua/contree/build/untar.lua",
    ["contree.build.users"] = "lua/contree/build/users.lua",
    ["contree.class"] = "lua/contree/class.lua",
    ["contree.client"] = "lua/contree/client.lua",
    ["contree.config"] = "lua/contree/config.lua",
    ["contree.control"] = "lua/contree/control.lua",
    ["contree.delivery"] = "lua/contree/delivery.lua",
    ["contree.diff"] = "lua/contree/diff.lua",
    ["contree.engine"] = "lua/contree/engine.lua",
    ["contree.errors"] = "lua/contree/errors.lua",
    ["contree.face"] = "lua/contree/face.lua",
    ["contree.files"] = "lua/contree/files.lua",
    ["contree.filesystem"] = "lua/contree/filesystem.lua",
    ["contree.follow"] = "lua/contree/follow.lua",
    ["contree.hash"] = "lua/contree/hash.lua",
    ["contree.history"] = "lua/contree/history.lua",
    ["contree.image"] = "lua/contree/image.lua",
    ["contree.images"] = "lua/contree/images.lua",
    contree = "lua/contree/init.lua",
    ["contree.json"] = "lua/contree/json.lua",
    ["contree.lineage"] = "lua/contree/lineage.lua",
    ["contree.loop.copas"] = "lua/contree/loop/copas.lua",
    ["contree.loop.cqueues"] = "lua/contree/loop/cqueues.lua",
    ["contree.loop.hosts"] = "lua/contree/loop/hosts.lua",
    ["contree.loop"] = "lua/contree/loop/init.lua",
    ["contree.loop.leave"] = "lua/contree/loop/leave.lua",
    ["contree.loop.love"] = "lua/contree/loop/love.lua",
    ["contree.loop.luv"] = "lua/contree/loop/luv.lua",
    ["contree.loop.nginx"] = "lua/contree/loop/nginx.lua",
    ["contree.loop.nginx_thread"] = "lua/contree/loop/nginx_thread.lua",
    ["contree.loop.nvim"] = "lua/contree/loop/nvim.lua",
    ["contree.loop.owned"] = "lua/contree/loop/owned.lua",
    ["contree.loop.plain"] = "lua/contree/loop/plain.lua",
    ["contree.loop.task"] = "lua/contree/loop/task.lua",
    ["contree.loop.timers"] = "lua/contree/loop/timers.lua",
    ["contree.moves"] = "lua/contree/moves.lua",
    ["contree.operation"] = "lua/contree/operation.lua",
    ["contree.options"] = "lua/contree/options.lua",
    ["contree.outcome"] = "lua/contree/outcome.lua",
    ["contree.place"] = "lua/contree/place.lua",
    ["contree.process"] = "lua/contree/process.lua",
    ["contree.reference"] = "lua/contree/reference.lua",
    ["contree.retry"] = "lua/contree/retry.lua",
    ["contree.run"] = "lua/contree/run.lua",
    ["contree.safe"] = "lua/contree/safe.lua",
    ["contree.session"] = "lua/contree/session.lua",
    ["contree.sessions"] = "lua/contree/sessions.lua",
    ["contree.shared"] = "lua/contree/shared.lua",
    ["contree.stdin"] = "lua/contree/stdin.lua",
    ["contree.stdio"] = "lua/contree/stdio.lua",
    ["contree.store.memory"] = "lua/contree/store/memory.lua",
    ["contree.store.sqlite"] = "lua/contree/store/sqlite.lua",
    ["contree.subprocess"] = "lua/contree/subprocess.lua",
    ["contree.users"] = "lua/contree/users.lua",
    ["contree.testing"] = "lua/contree/testing.lua",
  },
}
