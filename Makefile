# make          build the module for both Luas and the engine into build/
# make demo     install the dependencies, build, run examples/quickstart.lua
# make test     install the dependencies, build, run every test (SAN=1: sanitizers,
#               SPEC="spec/e2e/run_spec.lua spec/c": only these)
# make quick    while you work: lint of what changed, C units, unit specs, one Lua
# make env      print the shell exports for the build tree (LUA=luajit for LuaJIT)
# make help     the other targets

SHELL := /bin/bash
.DEFAULT_GOAL := all

CC      ?= gcc
PREFIX  ?= /usr/local
LUA     ?= lua5.4
# The Luas that the module is built for: LUAS=luajit builds it for that one alone.
LUAS    ?= lua5.4 luajit
SAN     ?=
TSAN    ?=
B       := build$(if $(SAN),/san)$(if $(TSAN),/tsan)

# Other compilers warn of other things, which must not keep users from building a release.
WERROR  := $(if $(wildcard .git),-Werror)
WARN    := -Wall -Wextra $(WERROR) -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
HARDEN  := -fstack-protector-strong -D_FORTIFY_SOURCE=2
comma   := ,
OPT     := $(if $(SAN),-O1 -fsanitize=address$(comma)undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined,$(if \
  $(TSAN),-O1 -fsanitize=thread -fno-omit-frame-pointer,-O2 $(HARDEN)))
CFLAGS  ?= -g
ALL_CFLAGS = -std=gnu11 $(WARN) $(OPT) $(CPPFLAGS) $(CFLAGS) -MMD -MP

# libcurl, libcrypto and libsqlite3 are opened when they are first needed: src/core/curl_api.h.
CORE_LIBS   := zlib
ENGINE_LIBS := libuv libmicrohttpd sqlite3 jansson libarchive libseccomp libcrypto libpcre2-8 zlib
# And libhttp_parser and libresolv, which have no file for pkg-config.
AIRLOCK_LIBS := libuv jansson libseccomp libssl libcrypto libpcre2-8 libmnl

# pkg-config runs once for each, and only when something is built.
lazy = $(eval $(1) := $(shell pkg-config $(2)))$($(1))
ENGINE_CFLAGS  = $(call lazy,ENGINE_CFLAGS,--cflags $(ENGINE_LIBS))
ENGINE_LDLIBS  = $(call lazy,ENGINE_LDLIBS,--libs $(ENGINE_LIBS)) -lpthread
AIRLOCK_CFLAGS = $(call lazy,AIRLOCK_CFLAGS,--cflags $(AIRLOCK_LIBS))
AIRLOCK_PKGS   = $(call lazy,AIRLOCK_PKGS,--libs $(AIRLOCK_LIBS))
AIRLOCK_LDLIBS = $(AIRLOCK_PKGS) -lhttp_parser -lresolv -lpthread
CORE_LDLIBS    = $(call lazy,CORE_LDLIBS,--libs $(CORE_LIBS)) -ldl -lpthread
lua5.4_CFLAGS  = $(call lazy,lua5.4_CFLAGS,--cflags lua5.4 $(CORE_LIBS))
luajit_CFLAGS  = $(call lazy,luajit_CFLAGS,--cflags luajit $(CORE_LIBS))

CORE_SRC   := $(wildcard src/core/*.c)
ENGINE_SRC := $(wildcard src/engine/*/*.c)
INIT_SRC   := $(wildcard src/init/*.c)
AIRLOCK_SRC := $(wildcard src/airlock/*.c)
POLICY_SRC := $(wildcard src/airlock/policy/*.c)
C_TESTS    := $(patsubst spec/c/%.c,$(B)/spec/%,$(wildcard spec/c/*/test_*.c))

# The module has these, too: both look for the engine's socket in the same places, and find
# the lines that differ.
SHARED_OBJ := $(B)/engine/place.o $(B)/engine/edits.o
ENGINE_OBJ := $(ENGINE_SRC:src/engine/%.c=$(B)/engine/%.o) $(SHARED_OBJ)
POLICY_OBJ := $(POLICY_SRC:src/airlock/policy/%.c=$(B)/airlock/policy/%.o)
# The engine checks rules with the code that the airlock obeys them with.
LIB_OBJ    := $(filter-out $(B)/engine/command/main.o,$(ENGINE_OBJ)) $(POLICY_OBJ) \
              $(B)/engine/sandbox/init_blob.o $(B)/engine/sandbox/airlock_blob.o
AIRLOCK_OBJ := $(AIRLOCK_SRC:src/airlock/%.c=$(B)/airlock/%.o) $(POLICY_OBJ) \
               $(patsubst %,$(B)/engine/base/%.o,buffer clock descriptor digest fault fd glob json nearest \
                 relay scope turn)

# Keep intermediate files between runs.
.SECONDARY:
.PHONY: compile_commands.json all nvim tools rock rock-install deb dist uninstall core engine c-tests demo test quick soak stress vm-test env deps lint format fuzz bench bench-peers check install clean help

all: tools core engine

# If a library is missing, say what to do before the compiler fails. Shell; $(1): libraries.
check_tools = command -v pkg-config >/dev/null && command -v $(firstword $(CC)) >/dev/null && \
  pkg-config --print-errors --exists $(1) && \
  echo 'int main(void) { return 0; }' | $(CC) -x c -o /dev/null - -lhttp_parser || \
  { echo "A compiler or a library is missing: 'make deps' installs what is needed." >&2; exit 1; }

tools:
	@$(call check_tools,$(LUAS) libcurl libcrypto $(CORE_LIBS) $(ENGINE_LIBS) $(AIRLOCK_LIBS))

core: $(LUAS:%=$(B)/%/contree/core.so)

engine: $(B)/bin/contree-engine

# For Neovim, in place: links, so that they are never older than what was built.
nvim:
	@$(call check_tools,luajit libcurl libcrypto $(CORE_LIBS) $(ENGINE_LIBS) $(AIRLOCK_LIBS))
	@# Plugin managers clone with git, so this is no release to the rule above.
	@$(MAKE) -s -j$$(nproc) WERROR= $(B)/luajit/contree/core.so engine
	@scripts/nvim $(B)

# The module, once for each Lua, from the same sources. (LuaRocks has another flag elsewhere.)
LINUX   := $(filter Linux,$(shell uname -s))
LIBFLAG ?= -shared
override LIBFLAG += $(if $(LINUX),-Wl$(comma)-z$(comma)nodelete)
define core_rules
$(B)/$(1)/obj/%.o: src/core/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) -fPIC -fvisibility=hidden $$($(1)_CFLAGS) -c -o $$@ $$<
$(B)/$(1)/contree/core.so: $(CORE_SRC:src/core/%.c=$(B)/$(1)/obj/%.o)
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(LDFLAGS) $$(LIBFLAG) -o $$@ $$^ $$(CORE_LDLIBS)
endef
$(eval $(call core_rules,lua5.4))
$(eval $(call core_rules,luajit))

# And once more for the Lua whose headers LuaRocks names (contree-scm-1.rockspec), with the
# engine unless ENGINE=no. A folder for each Lua, so that none finds the objects of another.
ENGINE     ?= $(if $(LINUX),yes,no)
LUA_INCDIR ?= none
ROCK       := $(subst /,_,$(LUA_INCDIR))
$(ROCK)_CFLAGS = $(call lazy,rock_CFLAGS,--cflags $(CORE_LIBS)) -I$(LUA_INCDIR)
$(eval $(call core_rules,$(ROCK)))

rock:
	@($(call check_tools,libcurl libcrypto $(CORE_LIBS) $(if $(filter yes,$(ENGINE)),$(ENGINE_LIBS) $(AIRLOCK_LIBS)))) || \
	  { echo "For the module without the engine: ENGINE=no luarocks make" >&2; exit 1; }
	@echo '#include "lua_compat.h"' | $(CC) -E -Isrc/core -I$(LUA_INCDIR) -o /dev/null -
	@$(MAKE) -s $(B)/$(ROCK)/contree/core.so $(if $(filter yes,$(ENGINE)),engine)

# The command runs in Lua 5.4, so it does not come with the module for LuaJIT.
rock_is_luajit = $(shell grep -s LUA_LJDIR $(LUA_INCDIR)/luaconf.h)

rock-install:
	mkdir -p $(INST_LIBDIR)/contree $(INST_LUADIR) $(INST_BINDIR)
	cp $(B)/$(ROCK)/contree/core.so $(INST_LIBDIR)/contree
	cd lua && find . -name '*.lua' | tar cf - -T - | tar xf - -C $(INST_LUADIR)
	$(if $(rock_is_luajit),,cp bin/contree $(INST_BINDIR))
	$(if $(filter yes,$(ENGINE)),cp $(B)/bin/contree-engine $(INST_BINDIR))

$(B)/engine/%.o: src/engine/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ENGINE_CFLAGS) -Isrc/engine -Isrc -c -o $@ $<

$(SHARED_OBJ): $(B)/engine/%.o: src/core/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# PID 1 of the sandbox is static, never sanitized, and travels inside the engine.
$(B)/bin/contree-init: $(INIT_SRC) $(wildcard src/init/*.h)
	@mkdir -p $(@D)
	$(CC) -std=gnu11 $(WARN) -Os -g0 -static -Isrc -o $@ $(INIT_SRC) -lresolv
	strip $@

$(B)/engine/sandbox/init_blob.o: src/engine/sandbox/init_blob.S $(B)/bin/contree-init
	@mkdir -p $(@D)
	$(CC) -DINIT_PATH='"$(B)/bin/contree-init"' -c -o $@ $<

$(B)/airlock/%.o: src/airlock/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(AIRLOCK_CFLAGS) -Isrc/engine -Isrc -c -o $@ $<

# Travels inside the engine, too.
$(B)/bin/contree-airlock: $(AIRLOCK_OBJ)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(AIRLOCK_LDLIBS)

$(B)/engine/sandbox/airlock_blob.o: src/engine/sandbox/airlock_blob.S $(B)/bin/contree-airlock
	@mkdir -p $(@D)
	strip -o $(B)/bin/contree-airlock.stripped $(B)/bin/contree-airlock
	$(CC) -DAIRLOCK_PATH='"$(B)/bin/contree-airlock.stripped"' -c -o $@ $<

# q, not r: files of two rooms may have the same name.
$(B)/engine/libengine.a: $(LIB_OBJ)
	rm -f $@ && ar qcs $@ $^

$(B)/tsan.o: spec/stress/tsan.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(B)/bin/contree-engine: $(if $(TSAN),$(B)/tsan.o) $(B)/engine/command/main.o $(B)/engine/libengine.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(if $(TSAN),-Wl$(comma)--wrap=fork) -o $@ $^ $(ENGINE_LDLIBS)

$(B)/spec/%: spec/c/%.c $(B)/engine/libengine.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Isrc/engine -Isrc -Ispec/c $(ENGINE_CFLAGS) -o $@ $< $(filter %.a,$^) $(ENGINE_LDLIBS)

$(B)/airlock/libairlock.a: $(filter-out $(B)/airlock/main.o $(B)/airlock/policy/% $(B)/engine/%,$(AIRLOCK_OBJ))
	rm -f $@ && ar qcs $@ $^

$(B)/spec/airlock/%: spec/c/airlock/%.c $(B)/airlock/libairlock.a $(B)/engine/libengine.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Isrc/engine -Isrc -Ispec/c $(AIRLOCK_CFLAGS) -o $@ $< $(filter %.a,$^) $(ENGINE_LDLIBS) $(AIRLOCK_LDLIBS)

include fuzz/rules.mk

# The benchmarks, too, so that they keep up with what they measure.
c-tests: $(C_TESTS) $(B)/peers/floor $(B)/peers/store \
	$(B)/spec/support/listener $(B)/spec/support/leaver \
	$(B)/spec/support/faulty $(B)/spec/support/disk_log \
	$(B)/spec/support/shifted_clock.so

# For sandboxes, which have no libraries: static, and without sanitizers.
$(B)/spec/support/listener $(B)/spec/support/leaver: $(B)/spec/support/%: spec/support/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -Wall -Wextra -Werror -static -o $@ $<

# It supervises programs with sanitizers, and has none itself.
$(B)/spec/support/faulty: spec/support/faulty.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -o $@ $< -lseccomp

$(B)/spec/support/shifted_clock.so: spec/support/shifted_clock.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -o $@ $<

$(B)/spec/support/disk_log: spec/support/disk_log.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -o $@ $< $(shell pkg-config --cflags --libs fuse3)

$(B)/peers/floor $(B)/peers/store: $(B)/peers/%: bench/peers/%.c $(B)/engine/libengine.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Isrc/engine -Isrc $(ENGINE_CFLAGS) -o $@ $< $(filter %.a,$^) $(ENGINE_LDLIBS)

$(B)/peers/%: bench/peers/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -o $@ $< $($*_LDLIBS)

requests_LDLIBS := -lcurl
net_LDLIBS := -static # it runs in a sandbox, too
sha256_LDLIBS := -lcrypto

bench-peers: $(patsubst bench/peers/%.c,$(B)/peers/%,$(wildcard bench/peers/*.c))

# Absolute paths, so that it works from any directory: eval "$(make -s env)"
env:
	@scripts/env $(LUA) $(B)

deps:
	@scripts/deps $(or $(DEPS),build)

demo:
	@scripts/deps build
	@$(MAKE) -s all
	@eval "$$(scripts/env $(LUA) $(B))" && $(LUA) examples/quickstart.lua

test:
	@scripts/deps build test
	@$(MAKE) -s -j2 all c-tests SAN=$(SAN)
	@SAN=$(SAN) scripts/test $(B)

# On the kernel of Debian 12, slowly: see scripts/vm.
vm-test:
	@scripts/deps build vm
	@$(MAKE) -s -j2 all c-tests
	@scripts/vm $(B)

quick:
	@$(MAKE) -s -j2 all c-tests
	@LINT=changed LUAS=lua5.4 ONLY="lint c unit" scripts/test $(B)

# Checks that are too long for the gate: some hours. With RUNS=10000 only bench/soak.
soak:
	@scripts/deps build test room
	@$(MAKE) -s -j2 all c-tests
	@scripts/soak $(B)

# Random operations of all kinds at once, and a model of what must hold, for some minutes; SAN=1 and
# TSAN=1 for an engine with sanitizers, KILLS=500 kills what runs: spec/stress/main.lua.
MINUTES ?= 5
stress:
	@scripts/deps build test
	@$(MAKE) -s -j2 all c-tests SAN= TSAN=
	@$(if $(SAN)$(TSAN),$(MAKE) -s -j2 engine)
	@scripts/stress $(B) $$(( $(MINUTES) * 60 ))

lint:
	@scripts/deps build test
	@scripts/lint

# For clangd and other tools that need the compiler's options of a file.
compile_commands.json:
	@scripts/compile-commands

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

bench:
	@scripts/deps build bench
	@$(MAKE) -s all
	@bench/run $(if $(QUICK),quick)

# scripts/install has the list. Folders other than PREFIX's usual ones: LUA_LIB=, LIBDIR=.
install: all
	@scripts/install

uninstall:
	@scripts/install --remove

export PREFIX DESTDIR LUAS B LUA_LIB LIBDIR

# Debian packages of the tree as it is now, in build/deb.
deb:
	@scripts/deb

# contree-VERSION.tar.gz and the rockspec of the release, in build/dist.
dist:
	@scripts/dist

clean:
	rm -rf build

help:
	@sed -n 's/^# make/make/p' Makefile; \
	printf '%s\n' 'make deps     install what building needs (DEPS="build test bench": more)' \
	  'make nvim     the module and the engine for this directory as a Neovim plugin' \
  'make compile_commands.json  for clangd' \
  'make lint     clang-format, luacheck, compiler warnings' \
	  'make vm-test  the tests in a virtual machine with the kernel of Debian 12' \
	  'make soak     checks that are too long for make test: see scripts/soak' \
	  'make stress   many clients at once, at random (MINUTES=5 SEED=, KILLS=, SAN=1, TSAN=1)' \
	  'make fuzz     every parser under libFuzzer (SECONDS=20 ONLY="engine/url"): docs/proofs/fuzz.md' \
	  'make bench    the benchmarks, some minutes (QUICK=1: one): docs/proofs/performance.md' \
	  'make install  into PREFIX (default /usr/local); make uninstall removes it' \
	  'make deb      Debian packages, in build/deb' \
	  'make dist     the tarball and the rockspec of a release, in build/dist' \
	  'make clean    remove build/'

-include $(shell find $(B) -path $(B)/deb -prune -o -name '*.d' -type f -print 2>/dev/null)
