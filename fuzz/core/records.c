/* records.c: the records of a stream do not depend on how it is split, no
 * bytes break the parser, and output that goes to a file is the same. */
#define _GNU_SOURCE
#include "records.h"
#include "same.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Feed the stream in pieces; true if it has no error. */
static bool feed(struct records *records, const char *data, size_t size,
                 size_t piece) {
    struct transfer_error error = {0};
    for (size_t at = 0; at < size; at += piece)
        if (!records_feed(records, data + at,
                          size - at < piece ? size - at : piece, &error)) {
            if (!error.kind)
                abort();
            return false;
        }
    return true;
}

static void add(lua_State *L, luaL_Buffer *all, int record, const char *name) {
    lua_getfield(L, record, name);
    luaL_addstring(all, lua_isnil(L, -1) ? "-" : "+");
    if (lua_isnil(L, -1))
        lua_pop(L, 1);
    else
        luaL_addvalue(all);
}

/* A spool of 256 bytes, of which records may be. */
static void give_spool(struct records *records) {
    char bytes[256] = "spooled";
    records->spool.fd = memfd_create("spool", MFD_CLOEXEC);
    if (records->spool.fd < 0 ||
        write(records->spool.fd, bytes, sizeof bytes) != sizeof bytes)
        abort();
}

/* Push the oldest record; false if its bytes cannot be read. */
static bool push(lua_State *L, struct records *records) {
    struct transfer_error error = {0};
    bool ok = records_push(L, records, NULL, NULL, &error);
    if (ok != !error.kind)
        abort();
    return ok;
}

/* Push the records as a list of texts. */
static void push_reading(lua_State *L, const char *data, size_t size,
                         size_t piece) {
    struct records records;
    luaL_Buffer all;
    records_init(&records);
    give_spool(&records);
    feed(&records, data, size, piece);
    lua_newtable(L);
    for (int i = 1; records.first && push(L, &records); i++) {
        int record = lua_gettop(L);
        luaL_buffinit(L, &all);
        add(L, &all, record, "id");
        add(L, &all, record, "spid");
        add(L, &all, record, "event");
        add(L, &all, record, "data");
        add(L, &all, record, "bytes");
        luaL_pushresult(&all);
        lua_remove(L, record);
        lua_rawseti(L, -2, i);
    }
    if (!records.first && records.queued)
        abort();
    records_free(&records);
}

/* What is written to the file is what it says. */
static void check_file(lua_State *L, const char *data, size_t size,
                       size_t piece) {
    struct records records;
    bool whole = true;
    records_init(&records);
    give_spool(&records);
    records.out.fd = memfd_create("out", MFD_CLOEXEC);
    records.spid = 1;
    feed(&records, data, size, piece);
    while (whole && records.first) {
        whole = push(L, &records);
        lua_settop(L, 0);
    }
    if (records.out.fd < 0 ||
        (whole && lseek(records.out.fd, 0, SEEK_END) != records.out.written))
        abort();
    records_free(&records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lua_State *L; /* made once */
    if (check_pieces(&L, data, size, push_reading))
        check_file(L, (const char *)data + 1, size - 1, piece_of(data));
    return 0;
}
