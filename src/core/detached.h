/* detached.h: starts a server that outlives the host. */
#ifndef CONTREE_DETACHED_H
#define CONTREE_DETACHED_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* core.start_detached(path, argv, log_path | nil) -> program | nil, message
 *
 * Starts the program `path` with the arguments argv (argv[1] is its name)
 * followed by "--ready-fd" "3". It runs in a session of its own and is not our
 * child: nothing to reap, no terminal, directory "/", standard input from
 * /dev/null, standard output and error to log_path (made with mode 0600,
 * appended to) or /dev/null, default signals, and no other open file but
 * descriptor 3. That is a pipe, to which the program writes a byte when it is
 * ready. No function waits:
 *
 *   ready()      true: it is; nil: not yet; false: it ended (or closed the
 * pipe) without having been ready last_line()  the last line that it added to
 * its log, or nil stop()       ends it with SIGTERM unless it is ready
 *
 * The program lives on when the object is collected. */
int detached_lua_start(lua_State *L);
void detached_register(lua_State *L);

#pragma GCC visibility pop

#endif
