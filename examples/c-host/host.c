/* A program in C with a poll loop of its own and two Lua states in it, each
 * with contree and tasks of its own. It goes on ticking a hundred times a
 * second while their commands run.
 *
 *   cc host.c -o host $(pkg-config --cflags --libs lua5.4)
 *   ./host script.lua [script.lua]
 *
 * It links nothing but Lua. With a static liblua add -Wl,-E, so that the
 * module finds the Lua in the program. */

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MAX_STATES 2
#define TICK_NS 10000000L

/* A Lua state, and what it needs from the next poll(). */
struct guest {
    lua_State *L;
    int contree;    /* the module, in the registry */
    int fd;         /* readable when step() has something to do; or -1 */
    double seconds; /* until step() is due in any case; or -1 */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

/* Print the error of a failed protected call. */
static bool check(lua_State *L, int status) {
    if (status == LUA_OK)
        return true;
    fprintf(stderr, "host: %s\n", luaL_tolstring(L, -1, NULL));
    lua_settop(L, 0);
    return false;
}

static bool open_guest(struct guest *guest, const char *script) {
    lua_State *L = guest->L = luaL_newstate();

    if (!L)
        return false;
    luaL_openlibs(L);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "contree");
    if (!check(L, lua_pcall(L, 1, 1, 0)))
        return false;
    guest->contree = luaL_ref(L, LUA_REGISTRYINDEX);
    return check(L, luaL_dofile(L, script));
}

/* contree.pollfd() */
static bool ask(struct guest *guest) {
    lua_State *L = guest->L;

    lua_rawgeti(L, LUA_REGISTRYINDEX, guest->contree);
    lua_getfield(L, -1, "pollfd");
    if (!check(L, lua_pcall(L, 0, 2, 0)))
        return false;
    guest->fd = (int)luaL_optinteger(L, -2, -1);
    guest->seconds = luaL_optnumber(L, -1, -1);
    lua_settop(L, 0);
    return true;
}

/* contree.step(): the number of tasks that have not ended; -1: it failed. */
static int step(struct guest *guest) {
    lua_State *L = guest->L;
    int tasks;

    lua_rawgeti(L, LUA_REGISTRYINDEX, guest->contree);
    lua_getfield(L, -1, "step");
    if (!check(L, lua_pcall(L, 0, 1, 0)))
        return -1;
    tasks = (int)lua_tointeger(L, -1);
    lua_settop(L, 0);
    return tasks;
}

static double now(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The program's own work, which must never wait: it counts. */
struct clock {
    int fd;
    int ticks;
    double last, worst; /* when the last tick was; the longest gap, seconds */
};

static bool open_clock(struct clock *clock) {
    struct itimerspec tick = {{0, TICK_NS}, {0, TICK_NS}};

    clock->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    clock->last = now();
    return clock->fd >= 0 && timerfd_settime(clock->fd, 0, &tick, NULL) == 0;
}

static void tick(struct clock *clock) {
    unsigned long long count;
    double gap = now() - clock->last;

    if (read(clock->fd, &count, sizeof count) != sizeof count)
        return;
    clock->ticks++;
    clock->last += gap;
    if (gap > clock->worst)
        clock->worst = gap;
}

/* Wait until the clock or a guest has something to do. Milliseconds are rounded
 * up, because a rest below one would become a busy loop. */
static bool wait_for_work(struct guest *guests, int n, const struct clock *c) {
    struct pollfd fds[MAX_STATES + 1] = {{c->fd, POLLIN, 0}};
    int timeout = -1;

    for (int i = 0; i < n; i++) {
        if (!ask(&guests[i]))
            return false;
        fds[i + 1] = (struct pollfd){guests[i].fd, POLLIN, 0};
        if (guests[i].seconds >= 0) {
            int wanted = (int)(guests[i].seconds * 1000 + 0.999);
            if (timeout < 0 || wanted < timeout)
                timeout = wanted;
        }
    }
    poll(fds, (nfds_t)n + 1, timeout);
    return true;
}

static bool run(struct guest *guests, int n, struct clock *clock) {
    int tasks;

    do {
        if (interrupted || !wait_for_work(guests, n, clock))
            return false;
        tick(clock);
        tasks = 0;
        for (int i = 0; i < n; i++) {
            int left = step(&guests[i]);
            if (left < 0)
                return false;
            tasks += left;
        }
    } while (tasks > 0);
    return true;
}

int main(int argc, char **argv) {
    struct guest guests[MAX_STATES] = {{0}};
    struct clock clock = {0};
    int n = argc - 1;
    bool ok = n >= 1 && n <= MAX_STATES;

    if (!ok) {
        fprintf(stderr, "usage: host script.lua [script.lua]\n");
        return 2;
    }
    signal(SIGINT, on_signal);
    ok = open_clock(&clock);
    for (int i = 0; ok && i < n; i++)
        ok = open_guest(&guests[i], argv[i + 1]);
    ok = ok && run(guests, n, &clock);
    for (int i = 0; i < n; i++)
        if (guests[i].L)
            lua_close(guests[i].L);
    printf("%s: %d ticks, longest gap %.1f ms\n", ok ? "done" : "stopped",
           clock.ticks, clock.worst * 1000);
    return ok ? 0 : 1;
}
