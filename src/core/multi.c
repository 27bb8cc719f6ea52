#include "multi.h"
#include "clock.h"
#include "descriptors.h"
#include "lua_compat.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* How many forks lie between this process and the one that loaded the module.
 * Global, because it is a property of the process. Cheaper than getpid(). */
static volatile sig_atomic_t forks;

static void count_fork(void) {
    forks++;
}

static void watch_forks(void) {
    pthread_atfork(NULL, NULL, count_fork);
}

bool multi_forked(const struct multi *multi) {
    return multi->forks != forks;
}

void multi_check_process(lua_State *L, const struct multi *multi) {
    if (multi_forked(multi))
        luaL_error(L, "contree: this loop was made before fork(); make a new "
                      "client in the child");
}

void multi_check(lua_State *L, const struct multi *multi) {
    multi_check_process(L, multi);
    if (multi->closed)
        luaL_error(L, "contree: this loop is closed");
}

/* Time. */

/* The next moment at which something must be done. Without a poller only
 * libcurl knows when it wants to be called. */
static double next_due(const struct multi *multi) {
    double due = multi->resting > 0 ? 0 : multi->curl_due;
    if (multi->deadline < due)
        due = multi->deadline;
    if (multi->running > 0 && multi->idle_due < due)
        due = multi->idle_due;
    return due;
}

/* Sets the poller's timer, for hosts that watch it. The timer may go off too
 * early, never too late; so a later moment needs no system call. */
static void arm(struct multi *multi, double due) {
    if (!multi->exported || due == INFINITY)
        return;
    double now = clock_now();
    if (multi->armed <= due && multi->armed > now)
        return;
    multi->armed = due;
    poller_arm(&multi->poller, due > now ? due - now : 0);
}

void multi_arm(struct multi *multi) {
    arm(multi, next_due(multi));
}

void multi_wake(struct multi *multi) {
    arm(multi, link_alone(&multi->ready) ? next_due(multi) : 0);
}

int multi_due_in(const struct multi *multi) {
    double seconds = next_due(multi) - clock_now();
    if (seconds == INFINITY)
        return -1;
    if (seconds <= 0)
        return 0;
    return seconds < INT_MAX / 1000 ? (int)ceil(seconds * 1000) : INT_MAX;
}

/* Callbacks of libcurl: C only. */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user,
                     void *known) {
    struct multi *multi = user;
    int wanted = 0;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        poller_forget(&multi->poller, fd);
        return 0;
    }
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        wanted |= POLLER_READ;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        wanted |= POLLER_WRITE;
    if (!known) {
        descriptors_keep(fd);
        curl.multi_assign(multi->handle, fd, multi);
    }
    return poller_watch(&multi->poller, fd, wanted, known != NULL) ? 0 : -1;
}

static int on_timer(CURLM *handle, long milliseconds, void *user) {
    struct multi *multi = user;
    (void)handle;
    multi->curl_due =
        milliseconds < 0 ? INFINITY : clock_now() + (double)milliseconds / 1000;
    return 0;
}

/* What transfers use. */

/* Let libcurl keep as many connections as are in use: else it closes one to
 * open another. Do not keep hundreds of idle ones. */
static void fit_connections(struct multi *multi) {
    const int least = 32;
    int connections = multi->connections > 0 ? multi->connections : least;
    while (connections < multi->running)
        connections *= 2;
    while (connections > least && connections / 4 > multi->running)
        connections /= 2;
    if (connections == multi->connections)
        return;
    multi->connections = connections;
    curl.multi_setopt(multi->handle, CURLMOPT_MAXCONNECTS, (long)connections);
}

CURLMcode multi_add(struct multi *multi, CURL *easy, struct link *active) {
    CURLMcode code = curl.multi_add_handle(multi->handle, easy);
    if (code != CURLM_OK)
        return code;
    link_append(&multi->active, active);
    multi->running++;
    fit_connections(multi);
    return CURLM_OK;
}

void multi_remove(struct multi *multi, CURL *easy, struct link *active) {
    if (link_alone(active))
        return;
    curl.multi_remove_handle(multi->handle, easy);
    link_remove(active);
    multi->running--;
    fit_connections(multi);
}

void multi_check_idle_at(struct multi *multi, double due) {
    if (due < multi->idle_due)
        multi->idle_due = due;
}

bool multi_is_late(const struct multi *multi) {
    return clock_now() >= multi->turn_end;
}

void multi_queue(struct multi *multi, struct link *ready) {
    if (link_alone(ready))
        link_append(&multi->ready, ready);
}

/* Opening and closing. */

static bool set_up(struct multi *multi) {
    struct fd_window before = descriptors_look();
    multi->handle = curl.multi_init();
    descriptors_keep_new(&before);
    if (!multi->handle)
        return false;
    curl.multi_setopt(multi->handle, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
    if (multi->poller.set < 0)
        return true;
    curl.multi_setopt(multi->handle, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl.multi_setopt(multi->handle, CURLMOPT_SOCKETDATA, multi);
    curl.multi_setopt(multi->handle, CURLMOPT_TIMERFUNCTION, on_timer);
    curl.multi_setopt(multi->handle, CURLMOPT_TIMERDATA, multi);
    return true;
}

const char *multi_load(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    return curl_api_load();
}

struct multi *multi_new(void) {
    struct multi *multi = calloc(1, sizeof *multi);
    errno = ENOMEM;
    if (!multi)
        return NULL;
    multi->references = 1;
    multi->forks = forks;
    multi->armed = multi->curl_due = INFINITY;
    multi->deadline = multi->idle_due = INFINITY;
    link_init(&multi->active);
    link_init(&multi->ready);
    link_init(&multi->spare);
    if ((poller_open(&multi->poller) || errno == ENOSYS) && set_up(multi))
        return multi;
    poller_close(&multi->poller);
    free(multi);
    return NULL;
}

void multi_close(struct multi *multi) {
    if (multi->closed || multi_forked(multi))
        return;
    multi->closed = true;
    curl.multi_cleanup(multi->handle);
    multi->handle = NULL;
    poller_close(&multi->poller);
}

void multi_release(struct multi *multi) {
    if (--multi->references > 0)
        return;
    multi_close(multi);
    free(multi);
}
