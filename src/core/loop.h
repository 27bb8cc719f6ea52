/* loop.h: core.loop(), many transfers behind one descriptor.
 *
 * The Lua face of multi.h. No libcurl callback enters Lua: what happened is
 * queued in C, and Lua drains the queue with next_ready() after step() or
 * wait() has returned.
 *
 *   add(request[, url, body, timeout])
 *                    starts and returns a transfer (request.h); raises for
 *                    misuse only. `request` is a table, or a prepared one with
 *                    url and body apart. The loop does not hold the transfer:
 *                    one that is collected is aborted.
 *   step()           does what can be done without waiting; the number of
 *                    unfinished transfers
 *   wait(ms|nil)     waits until there is something to do, for at most `ms`
 *                    milliseconds or until a signal comes; then as step()
 *   next_ready()     the next transfer with something new (headers or data to
 *                    read, room to write, done) and whether it is done; or
 *                    nil. Works once closed.
 *   fd()             a descriptor to watch for reading: when it is readable,
 *                    step() has work, or next_ready() has a transfer that did
 *                    not come from step(). nil where there is no poller.
 *   timeout()        milliseconds until step() should be called, or nil
 *   deadline(s|nil)  makes fd() readable and wait() return in `s` seconds,
 *                    once; replaces the deadline before
 *   forked()         was it made by a parent of this process?
 *   close()          aborts everything; may be repeated
 *
 * After a fork, all but close() and forked() raise in the child. */
#ifndef CONTREE_LOOP_H
#define CONTREE_LOOP_H

#include <lua.h>

#pragma GCC visibility push(hidden)

/* core.loop() -> loop; loop_register() makes its metatable. */
int loop_lua_new(lua_State *L);
void loop_register(lua_State *L);

#pragma GCC visibility pop

#endif
