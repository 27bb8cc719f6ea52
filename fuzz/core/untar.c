/* untar.c: no archive breaks the unpacking of one on the host, and none
 * makes a file outside of its directory. The checksums of headers are mended,
 * so that changed headers are looked at. */
#include "untar.h"
#include "../input.h"

#include <dirent.h>
#include <lauxlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int method(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    lua_pushvalue(L, 1);
    return 2;
}

static int unpack(lua_State *L) {
    const char *bytes = lua_tostring(L, lua_upvalueindex(1));
    size_t size = lua_rawlen(L, lua_upvalueindex(1));
    size_t piece = (size_t)lua_tointeger(L, lua_upvalueindex(2)), at = 0;
    lua_settop(L, 1);
    int ok = 1;
    for (; ok && at < size; at += piece) {
        method(L, "feed");
        lua_pushlstring(L, bytes + at, size - at < piece ? size - at : piece);
        lua_call(L, 2, 1);
        ok = lua_toboolean(L, -1);
        lua_settop(L, 1);
    }
    /* Not finished: so it is removed. */
    method(L, "close");
    lua_call(L, 1, 0);
    return 0;
}

static void check_empty(void) {
    DIR *dir = opendir(fuzz_directory("untar"));
    int count = 0;
    while (dir && readdir(dir))
        count++;
    if (!dir || count != 2)
        abort();
    closedir(dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lua_State *L;
    char to[400];
    if (!L) {
        L = luaL_newstate();
        HOLDS(L);
        untar_register(L);
    }
    if (size < 2)
        return 0;
    char *copy = malloc(size);
    if (!copy)
        abort();
    memcpy(copy, data + 1, size - 1);
    mend_checksums(copy, size - 1);
    snprintf(to, sizeof to, "%s/to", fuzz_directory("untar"));
    lua_settop(L, 0);
    lua_pushlstring(L, copy, size - 1);
    lua_pushinteger(L, 1 + data[0] * 3);
    lua_pushcclosure(L, unpack, 2);
    lua_pushcfunction(L, untar_lua_new);
    lua_pushstring(L, to);
    lua_pushstring(L, "");
    lua_call(L, 2, 1);
    lua_call(L, 1, 0);
    free(copy);
    check_empty();
    return 0;
}
