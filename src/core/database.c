#include "database.h"
#include "library.h"
#include "lua_compat.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__
#define SQLITE_LIBRARY "libsqlite3.dylib"
#else
#define SQLITE_LIBRARY "libsqlite3.so.0"
#endif

#define DATABASE_TYPE "contree.core.database"

#define SQLITE_API_LIST(X)                                                     \
    X(open_v2)                                                                 \
    X(close_v2)                                                                \
    X(errmsg)                                                                  \
    X(prepare_v2)                                                              \
    X(finalize)                                                                \
    X(step)                                                                    \
    X(changes)                                                                 \
    X(bind_parameter_count)                                                    \
    X(bind_text)                                                               \
    X(bind_int64)                                                              \
    X(bind_double)                                                             \
    X(bind_null)                                                               \
    X(column_count)                                                            \
    X(column_name)                                                             \
    X(column_type)                                                             \
    X(column_text)                                                             \
    X(column_bytes)                                                            \
    X(column_int64)                                                            \
    X(column_double)

/* Written once, under pthread_once. */
static struct {
#define SQLITE_API_MEMBER(name) __typeof__(&sqlite3_##name) name;
    SQLITE_API_LIST(SQLITE_API_MEMBER)
#undef SQLITE_API_MEMBER
} sqlite;
static bool loaded;

struct database {
    sqlite3 *handle;
    sqlite3_stmt *statement; /* left over when Lua ran out of memory */
    pid_t owner;
};

static void load(void) {
    void *library = dlopen(SQLITE_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    loaded = library != NULL;
#define SQLITE_API_RESOLVE(name)                                               \
    loaded = loaded && library_resolve(library, "sqlite3_" #name, &sqlite.name);
    SQLITE_API_LIST(SQLITE_API_RESOLVE)
#undef SQLITE_API_RESOLVE
}

static bool available(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return loaded;
}

static void drop_statement(struct database *database) {
    sqlite.finalize(database->statement);
    database->statement = NULL;
}

/* Closes the connection, unless it is a fork's copy of the parent's. */
static void shut(struct database *database) {
    if (!database->handle || database->owner != getpid())
        return;
    drop_statement(database);
    sqlite.close_v2(database->handle);
    database->handle = NULL;
}

static int database_gc(lua_State *L) {
    shut(luaL_checkudata(L, 1, DATABASE_TYPE));
    return 0;
}

static struct database *check_open(lua_State *L) {
    struct database *database = luaL_checkudata(L, 1, DATABASE_TYPE);
    if (!database->handle)
        luaL_error(L, "contree: this database is closed");
    if (database->owner != getpid())
        luaL_error(L, "contree: this database was opened before a fork");
    return database;
}

static int failed(lua_State *L, struct database *database, int code) {
    int primary = code & 0xFF;
    lua_pushnil(L);
    lua_pushstring(L, sqlite.errmsg(database->handle));
    lua_pushstring(L, primary == SQLITE_BUSY || primary == SQLITE_LOCKED
                          ? "busy"
                      : primary == SQLITE_CONSTRAINT ? "exists"
                                                     : "failed");
    drop_statement(database);
    return 3;
}

int database_lua_open(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    struct database *database = compat_newuserdata(L, sizeof *database);
    *database = (struct database){.owner = getpid()};
    luaL_setmetatable(L, DATABASE_TYPE);
    if (!available()) {
        lua_pushnil(L);
        lua_pushliteral(L, "libsqlite3 cannot be loaded (on Debian it is in "
                           "the package libsqlite3-0)");
        return 2;
    }
    /* SQLite would make it readable to all users. Not with open(): closing a
     * file drops the locks of other connections of this process to it. If this
     * fails, so does SQLite, which does not say why. */
    if (mknod(path, S_IFREG | S_IRUSR | S_IWUSR, 0) < 0 && errno != EEXIST) {
        lua_pushnil(L);
        lua_pushfstring(L, "it cannot be made: %s", strerror(errno));
        return 2;
    }
    int code = sqlite.open_v2(
        path, &database->handle,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) {
        lua_pushnil(L);
        lua_pushstring(L, database->handle ? sqlite.errmsg(database->handle)
                                           : "not enough memory");
        shut(database);
        return 2;
    }
    return 1;
}

static int bind_number(lua_State *L, sqlite3_stmt *statement, int at,
                       int index) {
    lua_Number value = lua_tonumber(L, index);
    if (value >= -9007199254740992.0 && value <= 9007199254740992.0 &&
        (lua_Number)(sqlite3_int64)value == value)
        return sqlite.bind_int64(statement, at, (sqlite3_int64)value);
    return sqlite.bind_double(statement, at, value);
}

/* Binds the value at `index`; it stays on the stack while the statement
 * runs. */
static int bind(lua_State *L, sqlite3_stmt *statement, int at, int index) {
    size_t size;
    if (lua_isnoneornil(L, index))
        return sqlite.bind_null(statement, at);
    if (lua_type(L, index) == LUA_TNUMBER)
        return bind_number(L, statement, at, index);
    const char *text = luaL_checklstring(L, index, &size);
    if (size > 0x7FFFFFFF)
        return SQLITE_TOOBIG;
    return sqlite.bind_text(statement, at, text, (int)size, SQLITE_STATIC);
}

/* Pushes the value of a column. */
static void push_column(lua_State *L, sqlite3_stmt *statement, int column) {
    switch (sqlite.column_type(statement, column)) {
    case SQLITE_NULL:
        lua_pushnil(L);
        break;
    case SQLITE_INTEGER:
        lua_pushinteger(L, (lua_Integer)sqlite.column_int64(statement, column));
        break;
    case SQLITE_FLOAT:
        lua_pushnumber(L, sqlite.column_double(statement, column));
        break;
    default: {
        const char *text = (const char *)sqlite.column_text(statement, column);
        int size = sqlite.column_bytes(statement, column);
        lua_pushlstring(L, text ? text : "", text ? (size_t)size : 0);
    }
    }
}

/* Adds the row that the statement is at to the list on top of the stack. */
static void add_row(lua_State *L, sqlite3_stmt *statement, int number) {
    int columns = sqlite.column_count(statement);
    lua_createtable(L, 0, columns);
    for (int i = 0; i < columns; i++) {
        push_column(L, statement, i);
        lua_setfield(L, -2, sqlite.column_name(statement, i));
    }
    lua_rawseti(L, -2, number);
}

static int database_exec(lua_State *L) {
    struct database *database = check_open(L);
    size_t size;
    const char *sql = luaL_checklstring(L, 2, &size);
    int code, rows = 0;
    drop_statement(database);
    code = sqlite.prepare_v2(database->handle, sql, (int)size + 1,
                             &database->statement, NULL);
    if (code == SQLITE_OK) {
        int count = sqlite.bind_parameter_count(database->statement);
        for (int i = 1; i <= count && code == SQLITE_OK; i++)
            code = bind(L, database->statement, i, i + 2);
    }
    if (code != SQLITE_OK)
        return failed(L, database, code);
    lua_newtable(L);
    while ((code = sqlite.step(database->statement)) == SQLITE_ROW)
        add_row(L, database->statement, ++rows);
    if (code != SQLITE_DONE)
        return failed(L, database, code);
    drop_statement(database);
    lua_pushinteger(L, sqlite.changes(database->handle));
    return 2;
}

static const luaL_Reg methods[] = {
    {"exec", database_exec}, {"close", database_gc}, {NULL, NULL}};

void database_register(lua_State *L) {
    compat_newtype(L, DATABASE_TYPE, methods, database_gc);
}
