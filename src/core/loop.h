/* loop.h: many transfers behind one descriptor.
 *
 * A curl multi handle whose sockets, together with a timer, are in one
 * poller. No libcurl callback enters Lua and no lua_State is kept: what
 * happened is queued in C, and Lua drains the queue with next_ready() after
 * step() or wait() returned. In Lua:
 *
 *   add(request)     starts and returns a transfer (request.h); raises for
 *                    misuse only. The loop does not hold it: a transfer that
 *                    is collected is aborted.
 *   step()           does what can be done without waiting; the number of
 *                    unfinished transfers
 *   wait(ms|nil)     waits until there is something to do, for at most `ms`,
 *                    or a signal came; then as step()
 *   next_ready()     the next transfer with something new (headers or data to
 *                    read, room to write, done), or nil. Works once closed.
 *   fd()             a descriptor to watch for reading: step() has work then,
 *                    or next_ready() something that did not come from step().
 *                    nil where there is no poller.
 *   timeout()        milliseconds until step() should be called, or nil
 *   deadline(s|nil)  in `s` seconds let fd() be readable and wait() return,
 *                    once; replaces the one before
 *   forked()         was it made by a parent of this process?
 *   close()          aborts everything; may be repeated
 *
 * After a fork, all but close() and forked() raise in the child. */
#ifndef CONTREE_LOOP_H
#define CONTREE_LOOP_H

#include "curl_api.h"
#include "list.h"
#include "poller.h"

#include <lua.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

struct transfer;

/* Owned by its userdata and by every transfer made in it (`references`), so
 * that the order in which Lua collects them does not matter. */
struct loop {
    int references;
    int forks; /* tells the process that made it; useless in any other */
    bool closed;
    CURLM *multi;
    struct poller poller;
    bool exported;      /* fd() was called: the poller's timer must be right */
    double armed;       /* when that timer goes off, see loop_now() */
    double curl_due;    /* when libcurl wants to be called */
    double deadline;    /* loop:deadline(); INFINITY: none, as in the others */
    double idle_due;    /* when to look for idle transfers */
    struct link active; /* unfinished transfers, by transfer.active */
    struct link ready;  /* the queue of next_ready(), by transfer.ready */
    int running;        /* the length of `active` */
    int resting;        /* those of them that have had their part of a turn */
    double turn_end;    /* when the others of them have, see loop_is_late() */
    int connections;    /* that libcurl may keep, at least */
    CURL *spare[64];    /* easy handles for reuse */
    int spares;
};

/* Monotonic seconds. */
double loop_now(void);
/* Was the loop made by a parent of this process? Then neither libcurl nor
 * the poller may be touched. */
bool loop_forked(const struct loop *loop);
/* Raises a Lua error when the loop was closed or made before a fork. */
void loop_check(lua_State *L, const struct loop *loop);
/* An easy handle without options; NULL when there is no memory. */
CURL *loop_take_easy(struct loop *loop);
void loop_give_easy(struct loop *loop, CURL *easy);
/* Starts and ends a transfer, whose easy handle is complete. */
CURLMcode loop_add(struct loop *loop, struct transfer *transfer);
void loop_remove(struct loop *loop, struct transfer *transfer);
/* Has this turn taken so long that what can wait must wait for the next? */
bool loop_is_late(const struct loop *loop);
/* Queues a transfer for next_ready(), unless it is in the queue. */
void loop_queue(struct loop *loop, struct transfer *transfer);
/* To be called when something was queued or scheduled outside step(). */
void loop_wake(struct loop *loop);
void loop_release(struct loop *loop);

/* core.loop() -> loop; loop_register() makes its metatable. */
int loop_lua_new(lua_State *L);
void loop_register(lua_State *L);

#pragma GCC visibility pop

#endif
