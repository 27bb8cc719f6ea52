/* multi.h: a curl multi handle whose sockets and timer are in one poller.
 *
 * It knows the easy handles of its transfers and the places of the transfers
 * in its lists, but not the transfers themselves (transfer.h). No callback
 * enters Lua, and no lua_State is kept. */
#ifndef CONTREE_MULTI_H
#define CONTREE_MULTI_H

#include "curl_api.h"
#include "list.h"
#include "poller.h"

#include <lua.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Owned by the userdata of the loop and by every transfer made in it
 * (`references`), so that Lua may collect them in any order. Moments are those
 * of clock_now(); INFINITY means never. */
struct multi {
    int references;
    int forks; /* tells the process that made it; useless in any other */
    bool closed;
    CURLM *handle; /* NULL once closed */
    struct poller poller;
    bool exported;      /* a host watches the poller: its timer must be right */
    double armed;       /* when that timer goes off */
    double curl_due;    /* when libcurl wants to be called */
    double deadline;    /* when a host wants to be woken */
    double idle_due;    /* when to check for idle transfers */
    struct link active; /* unfinished transfers, by transfer.active */
    struct link ready;  /* transfers with something new, by transfer.ready */
    int running;        /* the length of `active` */
    int resting;        /* active transfers that wait for the next turn */
    double turn_end;    /* see multi_is_late() */
    int connections;    /* that libcurl may keep, at least */
    struct link spare;  /* transfers that wait to be used again */
    int spares;         /* the length of `spare` */
};

/* Loads libcurl if need be; NULL, or why it cannot be loaded: a string that
 * lives as long as the process. To be called before multi_new(). */
const char *multi_load(void);
/* Has one reference, which the caller owns; NULL with errno set. */
struct multi *multi_new(void);
/* Ends all but the memory; may be repeated. Every transfer must be removed, and
 * the spare ones freed, before. Does nothing in a forked child. */
void multi_close(struct multi *multi);
/* Gives a reference back. Closes and frees with the last one. */
void multi_release(struct multi *multi);

/* Was it made by a parent of this process? Then neither libcurl nor the poller
 * may be touched. */
bool multi_forked(const struct multi *multi);
/* Raise a Lua error when it was made before a fork; multi_check() also when it
 * is closed. */
void multi_check_process(lua_State *L, const struct multi *multi);
void multi_check(lua_State *L, const struct multi *multi);

/* Starts an easy handle with all its options. On success `active` is in the
 * list of that name until multi_remove(), which does nothing if it is not. */
CURLMcode multi_add(struct multi *multi, CURL *easy, struct link *active);
void multi_remove(struct multi *multi, CURL *easy, struct link *active);
/* Has the next turn at `due` or later check for idle transfers. */
void multi_check_idle_at(struct multi *multi, double due);
/* Appends to `ready`, unless the link is in that list. */
void multi_queue(struct multi *multi, struct link *ready);

/* Has this turn taken so long that what can wait must wait for the next? */
bool multi_is_late(const struct multi *multi);
/* Milliseconds until something must be done, rounded up; -1: never. */
int multi_due_in(const struct multi *multi);
/* Sets the timer of the poller to the next moment at which something must be
 * done: after a turn; multi_wake() after something was queued or scheduled
 * outside a turn. */
void multi_arm(struct multi *multi);
void multi_wake(struct multi *multi);

#pragma GCC visibility pop

#endif
