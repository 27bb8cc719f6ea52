#include "loop.h"
#include "clock.h"
#include "lua_compat.h"
#include "multi.h"
#include "request.h"
#include "setup.h"
#include "transfer.h"
#include "turn.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#define LOOP_TYPE "contree.loop"

static struct multi *loop_of(lua_State *L) {
    struct multi **slot = luaL_checkudata(L, 1, LOOP_TYPE);
    /* When the state is closed, finalisers may still call after ours. */
    if (!*slot)
        luaL_error(L, "contree: this loop is closed");
    return *slot;
}

static struct multi *usable_loop(lua_State *L) {
    struct multi *loop = loop_of(L);
    multi_check(L, loop);
    return loop;
}

/* The userdata's table maps a transfer's address to its userdata, weakly: a
 * transfer that nobody holds is collected, which aborts it. */
static void push_weak_table(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

int loop_lua_new(lua_State *L) {
    const char *problem = multi_load();
    if (problem)
        return luaL_error(L, "contree: %s", problem);
    struct multi **slot = compat_newuserdata(L, sizeof *slot);
    *slot = NULL;
    luaL_setmetatable(L, LOOP_TYPE);
    push_weak_table(L);
    compat_settable(L, -2);
    *slot = multi_new();
    if (!*slot)
        return luaL_error(L, "contree: cannot make a loop: %s",
                          strerror(errno));
    return 1;
}

static int loop_fd(lua_State *L) {
    struct multi *loop = usable_loop(L);
    if (loop->poller.set < 0)
        return compat_nil(L);
    if (!loop->exported) {
        if (!poller_arm(&loop->poller, -1))
            return luaL_error(L, "contree: no timer: %s", strerror(errno));
        loop->exported = true;
        multi_wake(loop);
    }
    lua_pushinteger(L, loop->poller.set);
    return 1;
}

static int loop_timeout(lua_State *L) {
    struct multi *loop = usable_loop(L);
    int milliseconds = multi_due_in(loop);
    long wanted = -1;
    if (loop->poller.set < 0)
        curl.multi_timeout(loop->handle, &wanted);
    if (wanted >= 0 && (milliseconds < 0 || wanted < milliseconds))
        milliseconds = wanted < INT_MAX ? (int)wanted : INT_MAX;
    if (!link_alone(&loop->ready))
        milliseconds = 0;
    if (milliseconds < 0)
        return compat_nil(L);
    lua_pushinteger(L, milliseconds);
    return 1;
}

static int loop_deadline(lua_State *L) {
    struct multi *loop = usable_loop(L);
    loop->deadline =
        lua_isnoneornil(L, 2) ? INFINITY : clock_now() + luaL_checknumber(L, 2);
    multi_wake(loop);
    return 0;
}

static int loop_step(lua_State *L) {
    struct multi *loop = usable_loop(L);
    struct poller_event events[64];
    int n = 0;
    if (loop->poller.set >= 0)
        n = poller_wait(&loop->poller, events, 64, 0);
    turn_run(loop, events, n);
    lua_pushinteger(L, loop->running);
    return 1;
}

/* How long wait() may sleep, in milliseconds; -1: for ever. */
static int longest_wait(const struct multi *loop, double limit) {
    int timeout = multi_due_in(loop);
    limit = ceil(limit);
    if (limit >= 0 && limit < INT_MAX && (timeout < 0 || limit < timeout))
        timeout = (int)limit;
    if (!link_alone(&loop->ready) || (timeout < 0 && loop->running == 0))
        return 0;
    return timeout;
}

static int loop_wait(lua_State *L) {
    struct multi *loop = usable_loop(L);
    double limit = luaL_optnumber(L, 2, -1);
    struct poller_event events[64];
    int n = 0, timeout;
    turn_run_due(loop); /* before sleeping: a request just added is sent now */
    timeout = longest_wait(loop, limit);
    if (loop->poller.set >= 0)
        n = poller_wait(&loop->poller, events, 64, timeout);
    else
        curl.multi_poll(loop->handle, NULL, 0, timeout < 0 ? 60000 : timeout,
                        NULL);
    turn_run(loop, events, n);
    lua_pushinteger(L, loop->running);
    return 1;
}

static int loop_add_request(lua_State *L) {
    struct multi *loop = usable_loop(L);
    lua_settop(L, 6); /* 6: the sink of a table */
    struct request *request = request_of(L, 2);
    const char *url = request_read_url(L, 3);
    struct transfer *transfer = transfer_push(L, loop, request);
    request_let_go(L, 2);
    request_read_body(L, 4, request, &transfer->source);
    request_read_sink(L, 6, &transfer->sink);
    if (!lua_isnil(L, 5))
        transfer->timeout = request_seconds(L, 5);
    if (!setup_transfer(transfer, url))
        return luaL_error(L, "not enough memory");
    compat_gettable(L, 1);
    lua_pushvalue(L, 7);
    lua_rawsetp(L, 8, transfer);
    transfer_start(transfer);
    multi_wake(loop);
    lua_settop(L, 7);
    return 1;
}

static int loop_next_ready(lua_State *L) {
    struct multi *loop = loop_of(L);
    struct link *link;
    multi_check_process(L, loop);
    compat_gettable(L, 1);
    while (!link_alone(&loop->ready)) {
        link = loop->ready.next;
        link_remove(link);
        const struct transfer *t = link_owner(link, struct transfer, ready);
        lua_rawgetp(L, -1, t);
        if (!lua_isnil(L, -1)) {
            lua_pushboolean(L, t->done);
            return 2;
        }
        lua_pop(L, 1); /* about to be collected */
    }
    return compat_nil(L);
}

static int loop_lua_forked(lua_State *L) {
    lua_pushboolean(L, multi_forked(loop_of(L)));
    return 1;
}

static void close_loop(struct multi *loop) {
    if (!loop->closed && !multi_forked(loop))
        turn_abort_all(loop, "aborted", "the client was closed");
    if (!multi_forked(loop))
        transfer_free_spares(loop);
    multi_close(loop);
}

static int loop_lua_close(lua_State *L) {
    close_loop(loop_of(L));
    return 0;
}

/* Transfers may outlive the loop. They are done then, and what they received
 * stays readable. */
static int loop_gc(lua_State *L) {
    struct multi **slot = luaL_checkudata(L, 1, LOOP_TYPE);
    if (*slot) {
        close_loop(*slot);
        multi_release(*slot);
        *slot = NULL;
    }
    return 0;
}

static const luaL_Reg methods[] = {
    {"fd", loop_fd},           {"timeout", loop_timeout},
    {"step", loop_step},       {"deadline", loop_deadline},
    {"wait", loop_wait},       {"next_ready", loop_next_ready},
    {"close", loop_lua_close}, {"forked", loop_lua_forked},
    {"add", loop_add_request}, {NULL, NULL}};

void loop_register(lua_State *L) {
    compat_newtype(L, LOOP_TYPE, methods, loop_gc);
}
