/* core.c: the module contree.core. */
#define _GNU_SOURCE /* dladdr, on_exit */
#include "clock.h"
#include "codec.h"
#include "curl_api.h"
#include "database.h"
#include "decompress.h"
#include "descriptors.h"
#include "detached.h"
#include "directory.h"
#include "folder.h"
#include "hashing.h"
#include "json_write.h"
#include "lines.h"
#include "loop.h"
#include "lua_compat.h"
#include "pack.h"
#include "place.h"
#include "regular.h"
#include "request.h"
#include "sse.h"
#include "survey.h"
#include "transfer.h"
#include "untar.h"
#include "version.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* core.isyieldable() -> boolean: may the caller yield? Asked from C, since
 * some hosts replace the coroutine library. */
static int core_isyieldable(lua_State *L) {
    lua_pushboolean(L, lua_isyieldable(L));
    return 1;
}

/* core.now() -> monotonic seconds */
static int core_now(lua_State *L) {
    lua_pushnumber(L, clock_now());
    return 1;
}

/* core.parse_date(text) -> Unix time of a date as HTTP writes them, or nil */
static int core_parse_date(lua_State *L) {
    const char *text = luaL_checkstring(L, 1);
    time_t date = curl_api_load() ? -1 : curl.getdate(text, NULL);
    if (date == -1)
        return compat_nil(L);
    lua_pushnumber(L, (lua_Number)date);
    return 1;
}

static int core_getpid(lua_State *L) {
    lua_pushinteger(L, getpid());
    return 1;
}

static int core_geteuid(lua_State *L) {
    lua_pushinteger(L, geteuid());
    return 1;
}

/* core.columns(fd) -> columns of a terminal, 80 if it does not say, or nil if
 * the descriptor is no terminal */
static int core_columns(lua_State *L) {
    int fd = (int)luaL_checkinteger(L, 1);
    if (!isatty(fd))
        return compat_nil(L);
    struct winsize size;
    bool says = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    lua_pushinteger(L, says ? size.ws_col : 80);
    return 1;
}

/* A string member of the table at 1, or NULL; it lives as long as the table. */
static const char *member(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    const char *text = lua_tostring(L, -1);
    lua_pop(L, 1);
    return text;
}

/* core.place{ data_dir =, own =, xdg_data_home =, home =, xdg_runtime_dir = }
 * -> data_dir, socket, socket_dir | nil, message: see place.h. All members are
 * strings or nil. */
static int core_place(lua_State *L) {
    struct place place;
    luaL_checktype(L, 1, LUA_TTABLE);
    const struct place_input in = {
        .data_dir = member(L, "data_dir"),
        .own = member(L, "own"),
        .xdg_data_home = member(L, "xdg_data_home"),
        .home = member(L, "home"),
        .xdg_runtime_dir = member(L, "xdg_runtime_dir"),
    };
    const char *problem = place_find(&in, &place);
    if (problem) {
        lua_pushnil(L);
        lua_pushstring(L, problem);
        return 2;
    }
    lua_pushstring(L, place.data_dir);
    lua_pushstring(L, place.socket);
    lua_pushstring(L, place.socket_dir);
    return 3;
}

/* Flushes all output first, as exit() would do. */
static void end_badly(int status, void *unused) {
    (void)unused;
    if (status != EXIT_SUCCESS)
        return;
    fflush(NULL);
    _exit(EXIT_FAILURE);
}

/* core.fail_at_exit(): the program exits with code 1 instead of 0. */
static int core_fail_at_exit(lua_State *L) {
    /* A property of the process, which may have Lua states in many threads. */
    static atomic_bool asked;
    (void)L;
    if (!atomic_exchange(&asked, true))
        on_exit(end_badly, NULL);
    return 0;
}

/* core.curl_version, which is not known before libcurl is loaded. */
static int core_index(lua_State *L) {
    const char *name = luaL_checkstring(L, 2);
    if (strcmp(name, "curl_version") != 0 || curl_api_load())
        return compat_nil(L);
    lua_pushstring(L, curl.version());
    lua_pushvalue(L, -1);
    lua_setfield(L, 1, name);
    return 1;
}

/* Keeps this module in memory when its Lua state ends: a resolver thread of
 * libcurl may still run, and return through it. */
static void hold(void) {
    Dl_info info;
    if (dladdr((void *)(size_t)hold, &info) != 0 && info.dli_fname)
        dlopen(info.dli_fname, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

static const luaL_Reg functions[] = {
    {"isyieldable", core_isyieldable},
    {"now", core_now},
    {"fail_at_exit", core_fail_at_exit},
    {"parse_date", core_parse_date},
    {"getpid", core_getpid},
    {"geteuid", core_geteuid},
    {"columns", core_columns},
    {"place", core_place},
    {"stat", directory_lua_stat},
    {"lstat", directory_lua_lstat},
    {"list", directory_lua_list},
    {"mkdir", directory_lua_mkdir},
    {"real_path", directory_lua_real_path},
    {"chmod", directory_lua_chmod},
    {"keep", descriptors_lua_keep},
    {"read_file", regular_lua_read},
    {"open_file", regular_lua_open},
    {"pack", pack_lua_new},
    {"untar", untar_lua_new},
    {"decompress", decompress_lua_open},
    {"sha256", hashing_lua_string},
    {"hash", hashing_lua_new},
    {"hash_file", hashing_lua_open},
    {"base64_encode", codec_base64_encode},
    {"base64_decode", codec_base64_decode},
    {"is_ascii", codec_is_ascii},
    {"newlines", codec_newlines},
    {"is_utf8", codec_is_utf8},
    {"tidy", codec_tidy},
    {"json_encode", json_write_lua},
    {"buffer", codec_buffer_new},
    {"sse", sse_lua_new},
    {"diff_lines", lines_lua_diff},
    {"survey", survey_lua_new},
    {"folder", folder_lua_new},
    {"index_read", survey_lua_index_read},
    {"database", database_lua_open},
    {"start_detached", detached_lua_start},
    {"request", request_lua_new},
    {"loop", loop_lua_new},
    {NULL, NULL},
};

int luaopen_contree_core(lua_State *L);

__attribute__((visibility("default"))) int luaopen_contree_core(lua_State *L) {
    compat_checkversion(L);
    hold();
    codec_register(L);
    hashing_register(L);
    regular_register(L);
    pack_register(L);
    untar_register(L);
    sse_register(L);
    request_register(L);
    survey_register(L);
    folder_register(L);
    transfer_register(L);
    loop_register(L);
    detached_register(L);
    database_register(L);
    luaL_newlib(L, functions);
    lua_pushliteral(L, CONTREE_VERSION);
    lua_setfield(L, -2, "version");
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, core_index);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    return 1;
}
