#include "loop.h"
#include "descriptors.h"
#include "lua_compat.h"
#include "transfer.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOP_TYPE "contree.loop"

double loop_now(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* How many forks lie between this process and the one that loaded us. A
 * property of the process, so it is global; and cheaper to ask than getpid().
 */
static volatile sig_atomic_t forks;

static void count_fork(void) {
    forks++;
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, count_fork);
}

bool loop_forked(const struct loop *loop) {
    return loop->forks != forks;
}

static void check_process(lua_State *L, const struct loop *loop) {
    if (loop_forked(loop))
        luaL_error(L, "contree: this loop was made before fork(); make a new "
                      "client in the child");
}

void loop_check(lua_State *L, const struct loop *loop) {
    check_process(L, loop);
    if (loop->closed)
        luaL_error(L, "contree: this loop is closed");
}

/* Time */

/* When something is to be done, as far as it is known here. */
static double next_due(const struct loop *loop) {
    double due = loop->resting > 0 ? 0 : loop->curl_due;

    if (loop->deadline < due)
        due = loop->deadline;
    if (loop->running > 0 && loop->idle_due < due)
        due = loop->idle_due;
    return due;
}

/* Sets the poller's timer, for hosts that watch it. It may go off too early,
 * never too late; so a later moment needs no system call. */
static bool arm(struct loop *loop, double due) {
    double now;

    if (!loop->exported || due == INFINITY)
        return true;
    now = loop_now();
    if (loop->armed <= due && loop->armed > now)
        return true;
    loop->armed = due;
    return poller_arm(&loop->poller, due > now ? due - now : 0);
}

void loop_wake(struct loop *loop) {
    arm(loop, link_alone(&loop->ready) ? next_due(loop) : 0);
}

/* Until next_due() in milliseconds, rounded up; -1: for ever. */
static int due_in(const struct loop *loop) {
    double seconds = next_due(loop) - loop_now();

    if (seconds == INFINITY)
        return -1;
    if (seconds <= 0)
        return 0;
    return seconds < INT_MAX / 1000 ? (int)ceil(seconds * 1000) : INT_MAX;
}

/* Callbacks of libcurl: C only. */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user,
                     void *known) {
    struct loop *loop = user;
    int wanted = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        poller_forget(&loop->poller, fd);
        return 0;
    }
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        wanted |= POLLER_READ;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        wanted |= POLLER_WRITE;
    if (!known) {
        descriptors_keep(fd);
        curl.multi_assign(loop->multi, fd, loop);
    }
    return poller_watch(&loop->poller, fd, wanted, known != NULL) ? 0 : -1;
}

static int on_timer(CURLM *multi, long milliseconds, void *user) {
    struct loop *loop = user;

    (void)multi;
    loop->curl_due =
        milliseconds < 0 ? INFINITY : loop_now() + (double)milliseconds / 1000;
    return 0;
}

/* What transfers use */

CURL *loop_take_easy(struct loop *loop) {
    return loop->spares > 0 ? loop->spare[--loop->spares] : curl.easy_init();
}

void loop_give_easy(struct loop *loop, CURL *easy) {
    const int room = sizeof loop->spare / sizeof *loop->spare;

    if (loop->closed || loop->spares == room) {
        curl.easy_cleanup(easy);
        return;
    }
    curl.easy_reset(easy);
    loop->spare[loop->spares++] = easy;
}

/* Lets libcurl keep as many connections as are in use, lest it closes one to
 * open another; but a host shall not sit on hundreds of idle ones. */
static void fit_connections(struct loop *loop) {
    const int least = 32;
    int connections = loop->connections > 0 ? loop->connections : least;

    while (connections < loop->running)
        connections *= 2;
    while (connections > least && connections / 4 > loop->running)
        connections /= 2;
    if (connections == loop->connections)
        return;
    loop->connections = connections;
    curl.multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, (long)connections);
}

CURLMcode loop_add(struct loop *loop, struct transfer *transfer) {
    CURLMcode code = curl.multi_add_handle(loop->multi, transfer->easy);

    if (code != CURLM_OK)
        return code;
    link_append(&loop->active, &transfer->active);
    loop->running++;
    fit_connections(loop);
    if (transfer->idle_timeout > 0) {
        double due = loop_now() + transfer->idle_timeout / 8;
        if (due < loop->idle_due)
            loop->idle_due = due;
    }
    return CURLM_OK;
}

void loop_remove(struct loop *loop, struct transfer *transfer) {
    if (link_alone(&transfer->active))
        return;
    curl.multi_remove_handle(loop->multi, transfer->easy);
    link_remove(&transfer->active);
    loop->running--;
    fit_connections(loop);
}

bool loop_is_late(const struct loop *loop) {
    return loop_now() >= loop->turn_end;
}

void loop_queue(struct loop *loop, struct transfer *transfer) {
    if (link_alone(&transfer->ready))
        link_append(&loop->ready, &transfer->ready);
}

/* Opening and closing */

static bool set_up(struct loop *loop) {
    struct descriptors before = descriptors_look();

    loop->multi = curl.multi_init();
    descriptors_keep_new(&before);
    if (!loop->multi)
        return false;
    curl.multi_setopt(loop->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    if (loop->poller.set < 0)
        return true;
    curl.multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl.multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
    curl.multi_setopt(loop->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl.multi_setopt(loop->multi, CURLMOPT_TIMERDATA, loop);
    return true;
}

static struct loop *loop_new(void) {
    struct loop *loop = calloc(1, sizeof *loop);

    if (!loop)
        return NULL;
    loop->references = 1;
    loop->forks = forks;
    loop->armed = loop->curl_due = INFINITY;
    loop->deadline = loop->idle_due = INFINITY;
    link_init(&loop->active);
    link_init(&loop->ready);
    if ((poller_open(&loop->poller) || errno == ENOSYS) && set_up(loop))
        return loop;
    poller_close(&loop->poller);
    free(loop);
    return NULL;
}

static struct transfer *first_active(struct loop *loop) {
    return link_owner(loop->active.next, struct transfer, active);
}

static void abort_all(struct loop *loop, const char *kind,
                      const char *message) {
    while (!link_alone(&loop->active))
        transfer_abort(first_active(loop), kind, message);
}

static void loop_close(struct loop *loop) {
    if (loop->closed || loop_forked(loop))
        return;
    abort_all(loop, "aborted", "the client was closed");
    loop->closed = true;
    while (loop->spares > 0)
        curl.easy_cleanup(loop->spare[--loop->spares]);
    curl.multi_cleanup(loop->multi);
    loop->multi = NULL;
    poller_close(&loop->poller);
}

void loop_release(struct loop *loop) {
    if (--loop->references > 0)
        return;
    loop_close(loop);
    free(loop);
}

/* Running */

static void finish_done(struct loop *loop) {
    struct transfer *transfer;
    CURLMsg *message;
    int left;

    while ((message = curl.multi_info_read(loop->multi, &left))) {
        char *user = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &user);
        transfer = (struct transfer *)(void *)user;
        transfer_complete(transfer, message->data.result);
    }
}

static void check_idle(struct loop *loop) {
    const double pause = 0.01; /* seconds between two looks, at least */
    double now = loop_now(), due;
    struct link *link, *next;

    if (now < loop->idle_due)
        return;
    loop->idle_due = INFINITY;
    for (link = loop->active.next; link != &loop->active; link = next) {
        next = link->next;
        due =
            transfer_check_idle(link_owner(link, struct transfer, active), now);
        if (due < loop->idle_due)
            loop->idle_due = due > now + pause ? due : now + pause;
    }
}

/* One call into libcurl; when that is broken, so is every transfer. */
static void act(struct loop *loop, curl_socket_t fd, int what) {
    int running;
    CURLMcode code =
        loop->poller.set < 0
            ? curl.multi_perform(loop->multi, &running)
            : curl.multi_socket_action(loop->multi, fd, what, &running);

    finish_done(loop);
    if (code != CURLM_OK && code != CURLM_BAD_SOCKET)
        abort_all(loop, "other", curl.multi_strerror(code));
}

/* Does what libcurl has planned for now, such as starting transfers. */
static void run_due(struct loop *loop) {
    if (loop->poller.set >= 0 && loop_now() < loop->curl_due)
        return;
    loop->curl_due = INFINITY;
    act(loop, CURL_SOCKET_TIMEOUT, 0);
}

/* Those that have had their part of the last turn have one of this. */
static void wake_resting(struct loop *loop) {
    struct link *next;

    if (loop->resting == 0)
        return;
    for (struct link *link = loop->active.next;
         link != &loop->active && !loop_is_late(loop); link = next) {
        struct transfer *t = link_owner(link, struct transfer, active);
        next = link->next;
        if (t->resting)
            transfer_go_on(t);
    }
}

/* Tells libcurl what happened, and does what is due. */
static int run(struct loop *loop, const struct poller_event *events, int n) {
    const double most = 0.002; /* seconds */

    loop->turn_end = loop_now() + most;
    wake_resting(loop);
    /* What is left of the events is reported again. */
    for (int i = 0; i < n && (i == 0 || !loop_is_late(loop)); i++)
        act(loop, events[i].fd,
            (events[i].what & POLLER_READ ? CURL_CSELECT_IN : 0) |
                (events[i].what & POLLER_WRITE ? CURL_CSELECT_OUT : 0) |
                (events[i].what & POLLER_ERROR ? CURL_CSELECT_ERR : 0));
    run_due(loop);
    check_idle(loop);
    if (loop_now() >= loop->deadline)
        loop->deadline = INFINITY;
    arm(loop, next_due(loop));
    return loop->running;
}

/* Methods */

static struct loop *loop_of(lua_State *L) {
    struct loop **slot = luaL_checkudata(L, 1, LOOP_TYPE);

    /* When the state is closed, finalisers may still call after ours. */
    if (!*slot)
        luaL_error(L, "contree: this loop is closed");
    return *slot;
}

static struct loop *usable_loop(lua_State *L) {
    struct loop *loop = loop_of(L);

    loop_check(L, loop);
    return loop;
}

/* The userdata's table maps a transfer's address to its userdata, weakly: a
 * transfer nobody holds is collected and thereby aborted. */
static void push_weak_table(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

int loop_lua_new(lua_State *L) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *problem = curl_api_load();
    struct loop **slot;

    pthread_once(&once, watch_forks);
    if (problem)
        return luaL_error(L, "contree: %s", problem);
    slot = compat_newuserdata(L, sizeof *slot);
    *slot = NULL;
    luaL_setmetatable(L, LOOP_TYPE);
    push_weak_table(L);
    compat_settable(L, -2);
    errno = ENOMEM;
    *slot = loop_new();
    if (!*slot)
        return luaL_error(L, "contree: cannot make a loop: %s",
                          strerror(errno));
    return 1;
}

static int loop_fd(lua_State *L) {
    struct loop *loop = usable_loop(L);

    if (loop->poller.set < 0)
        return compat_nil(L);
    if (!loop->exported) {
        if (!poller_arm(&loop->poller, -1))
            return luaL_error(L, "contree: no timer: %s", strerror(errno));
        loop->exported = true;
        loop_wake(loop);
    }
    lua_pushinteger(L, loop->poller.set);
    return 1;
}

static int loop_timeout(lua_State *L) {
    struct loop *loop = usable_loop(L);
    int milliseconds = due_in(loop);
    long wanted = -1;

    if (loop->poller.set < 0)
        curl.multi_timeout(loop->multi, &wanted);
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
    struct loop *loop = usable_loop(L);

    loop->deadline =
        lua_isnoneornil(L, 2) ? INFINITY : loop_now() + luaL_checknumber(L, 2);
    loop_wake(loop);
    return 0;
}

static int loop_step(lua_State *L) {
    struct loop *loop = usable_loop(L);
    struct poller_event events[64];
    int n = 0;

    if (loop->poller.set >= 0)
        n = poller_wait(&loop->poller, events, 64, 0);
    lua_pushinteger(L, run(loop, events, n));
    return 1;
}

/* How long wait() may sleep, in milliseconds; -1: for ever. */
static int patience(const struct loop *loop, double limit) {
    int timeout = due_in(loop);

    limit = ceil(limit);
    if (limit >= 0 && limit < INT_MAX && (timeout < 0 || limit < timeout))
        timeout = (int)limit;
    if (!link_alone(&loop->ready) || (timeout < 0 && loop->running == 0))
        return 0;
    return timeout;
}

static int loop_wait(lua_State *L) {
    struct loop *loop = usable_loop(L);
    double limit = luaL_optnumber(L, 2, -1);
    struct poller_event events[64];
    int n = 0, timeout;

    run_due(loop); /* before sleeping: a request just added is sent now */
    timeout = patience(loop, limit);
    if (loop->poller.set >= 0)
        n = poller_wait(&loop->poller, events, 64, timeout);
    else
        curl.multi_poll(loop->multi, NULL, 0, timeout < 0 ? 60000 : timeout,
                        NULL);
    lua_pushinteger(L, run(loop, events, n));
    return 1;
}

static int loop_add_request(lua_State *L) {
    struct loop *loop = usable_loop(L);
    struct transfer *transfer;

    lua_settop(L, 2);
    transfer = transfer_push(L, loop, 2);
    compat_gettable(L, 1);
    lua_pushvalue(L, 3);
    lua_rawsetp(L, 4, transfer);
    transfer_start(transfer);
    loop_wake(loop);
    lua_settop(L, 3);
    return 1;
}

static int loop_next_ready(lua_State *L) {
    struct loop *loop = loop_of(L);
    struct link *link;

    check_process(L, loop);
    compat_gettable(L, 1);
    while (!link_alone(&loop->ready)) {
        link = loop->ready.next;
        link_remove(link);
        lua_rawgetp(L, -1, link_owner(link, struct transfer, ready));
        if (!lua_isnil(L, -1))
            return 1;
        lua_pop(L, 1); /* about to be collected */
    }
    return compat_nil(L);
}

static int loop_lua_forked(lua_State *L) {
    lua_pushboolean(L, loop_forked(loop_of(L)));
    return 1;
}

static int loop_lua_close(lua_State *L) {
    loop_close(loop_of(L));
    return 0;
}

/* Transfers may outlive this, done: what they hold stays readable. */
static int loop_gc(lua_State *L) {
    struct loop **slot = luaL_checkudata(L, 1, LOOP_TYPE);

    if (*slot) {
        loop_close(*slot);
        loop_release(*slot);
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
