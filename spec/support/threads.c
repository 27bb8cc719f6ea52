/* Runs a script in many Lua states at once, each in a thread of its own, again
 * and again:
 *
 *   cc threads.c -o threads -pthread $(pkg-config --cflags --libs lua5.4)
 *   ./threads THREADS ROUNDS SCRIPT
 *
 * The module is one for the whole process. A script has its number in `thread`.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_THREADS 64

static int rounds;
static const char *script;
static pthread_barrier_t together;

/* One state: opened, used, closed. Returns whether the script ended well. */
static int use(int number) {
    lua_State *L = luaL_newstate();
    int good;

    if (!L)
        return 0;
    luaL_openlibs(L);
    lua_pushinteger(L, number);
    lua_setglobal(L, "thread");
    good = luaL_dofile(L, script) == LUA_OK;
    if (!good) {
        lua_getglobal(L, "tostring"); /* an error may be an object */
        lua_insert(L, -2);
        lua_call(L, 1, 1);
        fprintf(stderr, "thread %d: %s\n", number, lua_tostring(L, -1));
    }
    lua_close(L);
    return good;
}

static void *work(void *arg) {
    int number = (int)(long)arg;
    long failed = 0;

    pthread_barrier_wait(&together);
    for (int i = 0; i < rounds; i++)
        failed += !use(number);
    return (void *)failed;
}

int main(int argc, char **argv) {
    pthread_t threads[MAX_THREADS];
    int count = argc == 4 ? atoi(argv[1]) : 0;
    long failed = 0;
    void *each;

    if (count < 1 || count > MAX_THREADS) {
        fprintf(stderr, "usage: threads THREADS ROUNDS SCRIPT\n");
        return 2;
    }
    rounds = atoi(argv[2]);
    script = argv[3];
    pthread_barrier_init(&together, NULL, (unsigned)count);
    for (long i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)) != 0)
            return 2;
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], &each);
        failed += (long)each;
    }
    printf("%d threads, %d rounds, %ld failed\n", count, rounds, failed);
    return failed != 0;
}
