/* spawn.h: start a server that outlives us. */
#ifndef CONTREE_SPAWN_H
#define CONTREE_SPAWN_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* core.start_detached(path, argv, log_path | nil) -> program | nil, message
 *
 * Starts the program `path` with the arguments argv (argv[1] is its name)
 * followed by "--ready-fd" "3", in a session of its own and not as our child:
 * nothing to reap, no terminal, directory "/", standard input from /dev/null,
 * standard output and error to log_path (made with mode 0600, appended to) or
 * /dev/null, signals as by default, no other open file but descriptor 3, a
 * pipe. It says that it is ready by writing a byte there. Nothing here waits:
 *
 *   ready()      true, nil: not yet, or false: it ended (or closed the pipe)
 *                without having been ready
 *   last_line()  the last line that it added to its log, or nil
 *   stop()       ends it with SIGTERM unless it is ready
 *
 * When the object is collected, the program lives on. */
int spawn_lua_start(lua_State *L);
void spawn_register(lua_State *L);

#pragma GCC visibility pop

#endif
