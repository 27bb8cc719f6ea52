# The fuzzers, of which each is a file fuzz/PROGRAM/NAME.c: docs/proofs/fuzz.md.
# make fuzz SECONDS=600 ONLY="engine/url core/sse"    with libFuzzer, ASan and UBSan
# In the gate they run without libFuzzer: fuzz/replay.c.
F       := $(B)/fuzz
FUZZED  := $(patsubst fuzz/%.c,%,$(wildcard fuzz/*/*.c))
REPLAYS := $(addprefix $(B)/replay/,$(FUZZED))
SECONDS := 20

c-tests: $(REPLAYS)

# What each program is made of, without its main().
fuzz_core_OBJ    := $(CORE_SRC:src/%.c=%.o)
fuzz_engine_OBJ  := $(patsubst src/%.c,%.o,$(filter-out src/engine/command/main.c,$(ENGINE_SRC)) \
                      $(POLICY_SRC) src/core/place.c src/core/edits.c)
fuzz_airlock_OBJ := $(patsubst src/%.c,%.o,$(filter-out src/airlock/main.c,$(AIRLOCK_SRC)) $(POLICY_SRC)) \
                    $(patsubst $(B)/%,%,$(filter $(B)/engine/%,$(AIRLOCK_OBJ)))
fuzz_init_OBJ    := $(patsubst src/%.c,%.o,$(filter-out src/init/main.c,$(INIT_SRC)))
fuzz_engine_BLOBS := $(B)/engine/sandbox/init_blob.o $(B)/engine/sandbox/airlock_blob.o

replay_core_OBJ    := $(CORE_SRC:src/core/%.c=$(B)/lua5.4/obj/%.o)
replay_engine_OBJ  := $(B)/engine/libengine.a
replay_airlock_OBJ := $(B)/airlock/libairlock.a $(B)/engine/libengine.a
replay_init_OBJ    := $(B)/init/libinit.a

fuzz_core_INC    := -Isrc/core
fuzz_engine_INC  := -Isrc/engine -Isrc
fuzz_airlock_INC := -Isrc/engine -Isrc
fuzz_init_INC    := -Isrc
fuzz_core_LIBS    = $(call lazy,fuzz_core_PKGS,--libs lua5.4 $(CORE_LIBS)) -lm -ldl -lpthread
fuzz_engine_LIBS  = $(ENGINE_LDLIBS)
fuzz_init_LIBS    := -lresolv
fuzz_airlock_LIBS = $(ENGINE_LDLIBS) $(AIRLOCK_LDLIBS)

FUZZ_FLAGS = $(ENGINE_CFLAGS) $(AIRLOCK_CFLAGS) $(lua5.4_CFLAGS)
# (GCC looks for warnings: of the replays, too.)
FUZZ_CC   := $(shell command -v ccache) clang -std=gnu11 -g -O1 -w -MMD -MP \
             -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined

define fuzz_rules
$(F)/obj/$(1)/%.o: src/$(1)/%.c
	@mkdir -p $$(@D)
	$$(FUZZ_CC) -fsanitize=fuzzer-no-link $$(FUZZ_FLAGS) $$(fuzz_$(1)_INC) -c -o $$@ $$<
$(F)/$(1).a: $$(addprefix $(F)/obj/,$$(fuzz_$(1)_OBJ)) $$(fuzz_$(1)_BLOBS)
	rm -f $$@ && ar qcs $$@ $$^
$(F)/$(1)/%: fuzz/$(1)/%.c $(F)/$(1).a
	@mkdir -p $$(@D)
	$$(FUZZ_CC) -fsanitize=fuzzer $$(FUZZ_FLAGS) $$(fuzz_$(1)_INC) -o $$@ $$< $(F)/$(1).a $$(fuzz_$(1)_LIBS)
$(B)/replay/$(1)/%: fuzz/$(1)/%.c fuzz/replay.c $$(replay_$(1)_OBJ)
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(FUZZ_FLAGS) $$(fuzz_$(1)_INC) -o $$@ $$< fuzz/replay.c $$(replay_$(1)_OBJ) $$(fuzz_$(1)_LIBS)
endef
$(foreach program,core engine airlock init,$(eval $(call fuzz_rules,$(program))))

# Static PID 1 has no objects of its own.
$(B)/init/%.o: src/init/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Isrc -c -o $@ $<
$(B)/init/libinit.a: $(patsubst src/%.c,$(B)/%.o,$(filter-out src/init/main.c,$(INIT_SRC)))
	rm -f $@ && ar qcs $@ $^

fuzz:
	@scripts/deps build fuzz
	@$(MAKE) -s -j2 $(addprefix $(F)/,$(or $(ONLY),$(FUZZED)))
	@scripts/fuzz $(F) $(SECONDS) $(or $(ONLY),$(FUZZED))
