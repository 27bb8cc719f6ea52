/* request.h: from a Lua request table to a transfer ready to start. */
#ifndef CONTREE_REQUEST_H
#define CONTREE_REQUEST_H

#include "transfer.h"

#include <lua.h>

#pragma GCC visibility push(hidden)

/* Reads the table at `index` into `transfer`, whose easy handle is fresh, and
 * sets its options, but for the callbacks. Raises for an unknown key, a wrong
 * type, and for bytes that would break the request apart. */
void request_read(lua_State *L, int index, struct transfer *transfer);

#pragma GCC visibility pop

#endif
