/* spawn.h: start a server that outlives us. */
#ifndef CONTREE_SPAWN_H
#define CONTREE_SPAWN_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* core.spawn_detached(path, argv, ready_timeout_seconds, log_path | nil)
 *   -> true | nil, message
 *
 * Starts the program `path` with the arguments argv (argv[1] is its name)
 * followed by "--ready-fd" "3", in a session of its own and not as our child:
 * nothing to reap, no terminal, directory "/", standard input from /dev/null,
 * standard output and error to log_path (made with mode 0600, appended to) or
 * /dev/null, signals as by default, no other open file but descriptor 3, a
 * pipe. Waits until it writes a byte there, for at most the timeout; a
 * program that is late is ended with SIGTERM. */
int spawn_lua_detached(lua_State *L);

#pragma GCC visibility pop

#endif
