/* database.h: SQLite for Lua, as much of it as a store of sessions needs.
 *
 * No function waits for another process: a locked database is "busy" at once,
 * and Lua decides when to try again. A connection belongs to the process and
 * the Lua state that opened it. */
#ifndef CONTREE_DATABASE_H
#define CONTREE_DATABASE_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* core.database(path) -> database | nil, message
 * Opens or creates (mode 0600) a database; libsqlite3 is loaded when this is
 * first called.
 *
 * database:exec(sql, ...) -> rows, changed | nil, message, kind
 *   Runs one statement with its parameters: strings (text), numbers, nil.
 *   rows: list of { column = value }, NULL being absent; changed: how many
 *   rows the last INSERT, UPDATE or DELETE touched; kind: "busy", "exists" (a
 *   constraint) or "failed".
 * database:close() */
int database_lua_open(lua_State *L);

void database_register(lua_State *L);

#pragma GCC visibility pop

#endif
