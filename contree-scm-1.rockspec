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
}

-- libcurl, libcrypto and libsqlite3 are not linked: they are opened when first needed
-- (src/core/curl_api.h), so LuaRocks only checks that they exist. It does not find headers in
-- Debian's multiarch directories, so there are no header keys.
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
        "src/core/detached.c",
        "src/core/digest.c",
        "src/core/directory.c",
        "src/core/edits.c",
        "src/core/hashing.c",
        "src/core/head.c",
        "src/core/inflate.c",
        "src/core/json.c",
        "src/core/lines.c",
        "src/core/loop.c",
        "src/core/multi.c",
        "src/core/pack.c",
        "src/core/place.c",
        "src/core/poller.c",
        "src/core/records.c",
        "src/core/regular.c",
        "src/core/request.c",
        "src/core/setup.c",
        "src/core/sink.c",
        "src/core/source.c",
        "src/core/sse.c",
        "src/core/tar.c",
        "src/core/transfer.c",
        "src/core/tree.c",
        "src/core/turn.c",
        "src/core/untar.c",
      },
      incdirs = { "$(CURL_INCDIR)", "$(CRYPTO_INCDIR)", "$(SQLITE_INCDIR)", "$(ZLIB_INCDIR)" },
      libdirs = { "$(CRYPTO_LIBDIR)", "$(ZLIB_LIBDIR)" },
      libraries = { "z", "dl", "pthread" },
    },
    ["contree.api"] = "lua/contree/api.lua",
    ["contree.base.automaton"] = "lua/contree/base/automaton.lua",
    ["contree.base.class"] = "lua/contree/base/class.lua",
    ["contree.base.errors"] = "lua/contree/base/errors.lua",
    ["contree.base.ignore"] = "lua/contree/base/ignore.lua",
    ["contree.base.json"] = "lua/contree/base/json.lua",
    ["contree.base.options"] = "lua/contree/base/options.lua",
    ["contree.base.pattern"] = "lua/contree/base/pattern.lua",
    ["contree.base.pipe"] = "lua/contree/base/pipe.lua",
    ["contree.base.place"] = "lua/contree/base/place.lua",
    ["contree.base.stdio"] = "lua/contree/base/stdio.lua",
    ["contree.dockerfile"] = "lua/contree/dockerfile/init.lua",
    ["contree.dockerfile.archive"] = "lua/contree/dockerfile/archive.lua",
    ["contree.dockerfile.arguments"] = "lua/contree/dockerfile/arguments.lua",
    ["contree.dockerfile.builder"] = "lua/contree/dockerfile/builder.lua",
    ["contree.dockerfile.cache"] = "lua/contree/dockerfile/cache.lua",
    ["contree.dockerfile.context"] = "lua/contree/dockerfile/context.lua",
    ["contree.dockerfile.copy"] = "lua/contree/dockerfile/copy.lua",
    ["contree.dockerfile.disk"] = "lua/contree/dockerfile/disk.lua",
    ["contree.dockerfile.expand"] = "lua/contree/dockerfile/expand.lua",
    ["contree.dockerfile.fetch"] = "lua/contree/dockerfile/fetch.lua",
    ["contree.dockerfile.layer"] = "lua/contree/dockerfile/layer.lua",
    ["contree.dockerfile.pack"] = "lua/contree/dockerfile/pack.lua",
    ["contree.dockerfile.parser"] = "lua/contree/dockerfile/parser.lua",
    ["contree.dockerfile.paths"] = "lua/contree/dockerfile/paths.lua",
    ["contree.dockerfile.place"] = "lua/contree/dockerfile/place.lua",
    ["contree.dockerfile.problem"] = "lua/contree/dockerfile/problem.lua",
    ["contree.dockerfile.shipment"] = "lua/contree/dockerfile/shipment.lua",
    ["contree.dockerfile.stage"] = "lua/contree/dockerfile/stage.lua",
    ["contree.dockerfile.tar"] = "lua/contree/dockerfile/tar.lua",
    ["contree.dockerfile.target"] = "lua/contree/dockerfile/target.lua",
    ["contree.dockerfile.untar"] = "lua/contree/dockerfile/untar.lua",
    ["contree.dockerfile.users"] = "lua/contree/dockerfile/users.lua",
    ["contree.face"] = "lua/contree/face.lua",
    ["contree.history.bisect"] = "lua/contree/history/bisect.lua",
    ["contree.history.lineage"] = "lua/contree/history/lineage.lua",
    ["contree.image"] = "lua/contree/image/init.lua",
    ["contree.image.diff"] = "lua/contree/image/diff.lua",
    ["contree.image.files"] = "lua/contree/image/files.lua",
    ["contree.image.filesystem"] = "lua/contree/image/filesystem.lua",
    ["contree.image.hash"] = "lua/contree/image/hash.lua",
    ["contree.image.images"] = "lua/contree/image/images.lua",
    ["contree.image.layers"] = "lua/contree/image/layers.lua",
    ["contree.image.reference"] = "lua/contree/image/reference.lua",
    ["contree.image.users"] = "lua/contree/image/users.lua",
    ["contree.loop"] = "lua/contree/loop/init.lua",
    ["contree.loop.copas"] = "lua/contree/loop/copas.lua",
    ["contree.loop.cqueues"] = "lua/contree/loop/cqueues.lua",
    ["contree.loop.hosts"] = "lua/contree/loop/hosts.lua",
    ["contree.loop.leave"] = "lua/contree/loop/leave.lua",
    ["contree.loop.love"] = "lua/contree/loop/love.lua",
    ["contree.loop.luv"] = "lua/contree/loop/luv.lua",
    ["contree.loop.nginx"] = "lua/contree/loop/nginx.lua",
    ["contree.loop.nginx_guards"] = "lua/contree/loop/nginx_guards.lua",
    ["contree.loop.nginx_thread"] = "lua/contree/loop/nginx_thread.lua",
    ["contree.loop.nvim"] = "lua/contree/loop/nvim.lua",
    ["contree.loop.owned"] = "lua/contree/loop/owned.lua",
    ["contree.loop.plain"] = "lua/contree/loop/plain.lua",
    ["contree.loop.task"] = "lua/contree/loop/task.lua",
    ["contree.loop.timers"] = "lua/contree/loop/timers.lua",
    ["contree.run"] = "lua/contree/run/init.lua",
    ["contree.run.delivery"] = "lua/contree/run/delivery.lua",
    ["contree.run.import"] = "lua/contree/run/import.lua",
    ["contree.run.operation"] = "lua/contree/run/operation.lua",
    ["contree.run.outcome"] = "lua/contree/run/outcome.lua",
    ["contree.run.process"] = "lua/contree/run/process.lua",
    ["contree.run.shared"] = "lua/contree/run/shared.lua",
    ["contree.run.stdin"] = "lua/contree/run/stdin.lua",
    ["contree.run.subprocess"] = "lua/contree/run/subprocess.lua",
    ["contree.safe"] = "lua/contree/safe.lua",
    ["contree.session"] = "lua/contree/session/init.lua",
    ["contree.session.history"] = "lua/contree/session/history.lua",
    ["contree.session.moves"] = "lua/contree/session/moves.lua",
    ["contree.session.sessions"] = "lua/contree/session/sessions.lua",
    ["contree.session.store.memory"] = "lua/contree/session/store/memory.lua",
    ["contree.session.store.sqlite"] = "lua/contree/session/store/sqlite.lua",
    ["contree.testing"] = "lua/contree/testing.lua",
    ["contree.wire"] = "lua/contree/wire/init.lua",
    ["contree.wire.client"] = "lua/contree/wire/client.lua",
    ["contree.wire.config"] = "lua/contree/wire/config.lua",
    ["contree.wire.control"] = "lua/contree/wire/control.lua",
    ["contree.wire.engine"] = "lua/contree/wire/engine.lua",
    ["contree.wire.failure"] = "lua/contree/wire/failure.lua",
    ["contree.wire.follow"] = "lua/contree/wire/follow.lua",
    ["contree.wire.retry"] = "lua/contree/wire/retry.lua",
    contree = "lua/contree/init.lua",
  },
}
