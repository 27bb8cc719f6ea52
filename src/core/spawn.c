#define _GNU_SOURCE /* clone */
#include "spawn.h"
#include "lua_compat.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_FD 3

extern char **environ;

/* Each child has this much stack. */
enum { STACK = 64 * 1024 };

/* What we and the children share, in a mapping of its own. */
struct start {
    const char *path;
    char *const *arguments;
    int null, log, ready; /* descriptors for the program */
    volatile pid_t pid;   /* of the program */
    volatile int error;   /* errno of what failed, 0: nothing */
    char stacks[2][STACK];
};

/* Runs `function` in a child; its pid, or -1 with errno set. Where possible
 * it runs in our memory, while we stand still, until it ends or executes a
 * program: so a large host pays no copy of its page tables. */
static pid_t run_child(int (*function)(void *), struct start *start,
                       int number) {
#ifdef __linux__
    char *top = start->stacks[number] + STACK;

    top -= (uintptr_t)top % 16;
    return clone(function, top, CLONE_VM | CLONE_VFORK | SIGCHLD, start);
#else
    pid_t pid = fork();

    (void)number;
    if (pid == 0)
        _exit(function(start));
    return pid;
#endif
}

/* The functions down to launch() run in a child: only system calls, and no
 * memory is changed but *start. */

static void close_from(int first) {
    long limit;

#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)first, ~0U, 0) == 0)
        return;
#endif
    limit = sysconf(_SC_OPEN_MAX);
    for (int fd = first; fd < (limit > 0 ? limit : 1024); fd++)
        close(fd);
}

static void default_signals(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        sigaction(i, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int be_program(void *argument) {
    struct start *start = argument;

    /* The descriptors are all above 3 (see above_standard). */
    if (dup2(start->null, 0) >= 0 && dup2(start->log, 1) >= 0 &&
        dup2(start->log, 2) >= 0 && dup2(start->ready, READY_FD) >= 0 &&
        chdir("/") == 0) {
        close_from(READY_FD + 1);
        default_signals();
        execve(start->path, start->arguments, environ);
    }
    start->error = errno;
    return 127;
}

/* Between us and the program, so that init becomes its parent. */
static int be_parent(void *argument) {
    struct start *start = argument;

    setsid();
    start->pid = run_child(be_program, start, 1);
    if (start->pid < 0)
        start->error = errno;
    return 0;
}

/* False, and start->error says why, when there is no program running. */
static bool launch(struct start *start) {
    sigset_t all, old;
    pid_t pid;

    /* No signal handler of the host may run in a child. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid = run_child(be_parent, start, 0);
    if (pid < 0)
        start->error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return start->error == 0;
}

/* Moves a descriptor out of the way of 0 to 3; takes and gives -1 too. */
static int above_standard(int fd) {
    int copy;

    if (fd < 0 || fd > READY_FD)
        return fd;
    copy = fcntl(fd, F_DUPFD_CLOEXEC, READY_FD + 1);
    close(fd);
    return copy;
}

static double now(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

enum readiness { READY, LATE, GONE };

static enum readiness await(int fd, double seconds) {
    double end = now() + seconds;
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    char byte;

    for (;;) {
        double left = end - now();
        int n = poll(&wanted, 1, left > 0 ? (int)ceil(left * 1000) : 0);
        if (n == 0)
            return LATE;
        if (n < 0 && errno != EINTR)
            return GONE;
        if (n > 0) {
            ssize_t got = read(fd, &byte, 1);
            if (got < 0 && errno == EINTR)
                continue;
            return got == 1 ? READY : GONE;
        }
    }
}

/* Pushes ": " and the last line that the program added to its log, or "". */
static void push_last_line(lua_State *L, const char *log, off_t before) {
    char tail[2048];
    struct stat status;
    ssize_t n = 0;
    size_t end, start;
    int fd = log ? open(log, O_RDONLY | O_CLOEXEC) : -1;

    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > before) {
        off_t from = status.st_size - (off_t)sizeof tail;
        n = pread(fd, tail, sizeof tail, from > before ? from : before);
    }
    if (fd >= 0)
        close(fd);
    end = n > 0 ? (size_t)n : 0;
    while (end > 0 && (tail[end - 1] == '\n' || tail[end - 1] == '\r'))
        end--;
    start = end;
    while (start > 0 && tail[start - 1] != '\n')
        start--;
    lua_pushstring(L, end > start ? ": " : "");
    lua_pushlstring(L, tail + start, end - start);
    lua_concat(L, 2);
}

struct files {
    int null, log, read, write;
    off_t log_size; /* before the program wrote to it */
};

static void close_files(struct files *files) {
    int fds[] = {files->null, files->log, files->read, files->write};

    for (int i = 0; i < 4; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* False with errno set. */
static bool open_files(struct files *files, const char *log) {
    struct stat status = {0};
    int ends[2];

    *files = (struct files){-1, -1, -1, -1, 0};
    files->null = above_standard(open("/dev/null", O_RDWR | O_CLOEXEC));
    files->log =
        above_standard(open(log ? log : "/dev/null",
                            O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    if (files->null < 0 || files->log < 0 || fstat(files->log, &status) < 0 ||
        pipe(ends) < 0)
        return false;
    files->log_size = status.st_size;
    files->read = above_standard(ends[0]);
    files->write = above_standard(ends[1]);
    if (files->read < 0 || files->write < 0)
        return false;
    fcntl(files->read, F_SETFD, FD_CLOEXEC);
    fcntl(files->write, F_SETFD, FD_CLOEXEC);
    return true;
}

/* The arguments at `index`, then ours; the array is a userdata on top of the
 * stack, the strings stay Lua's (the table keeps them). */
static char **push_arguments(lua_State *L, int index) {
    int count = (int)lua_rawlen(L, index);
    char **arguments =
        lua_newuserdata(L, (size_t)(count + 3) * sizeof *arguments);

    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, index, i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_argerror(L, index, "must be a list of strings");
        arguments[i] = (char *)(size_t)lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    luaL_argcheck(L, count > 0, index, "must name the program");
    arguments[count] = (char *)(size_t) "--ready-fd";
    arguments[count + 1] = (char *)(size_t) "3";
    arguments[count + 2] = NULL;
    return arguments;
}

/* Starts the program and waits; when it cannot be started, start->error says
 * why. */
static enum readiness run(struct start *start, struct files *files,
                          double timeout) {
    enum readiness readiness = GONE;

    start->null = files->null;
    start->log = files->log;
    start->ready = files->write;
    if (launch(start)) {
        close(files->write);
        files->write = -1;
        readiness = await(files->read, timeout);
    }
    if (readiness == LATE && start->pid > 0)
        kill(start->pid, SIGTERM);
    return readiness;
}

static int failed(lua_State *L, const char *path, int error) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, strerror(error));
    return 2;
}

/* Pushes what came of it. */
static int report(lua_State *L, enum readiness readiness, const char *path,
                  double timeout, const char *log, off_t log_size) {
    if (readiness == READY) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    if (readiness == LATE)
        lua_pushfstring(L, "%s was not ready within %f seconds", path, timeout);
    else
        lua_pushfstring(L, "%s exited before it was ready", path);
    push_last_line(L, log, log_size);
    lua_concat(L, 2);
    return 2;
}

int spawn_lua_detached(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    double timeout = (luaL_checktype(L, 2, LUA_TTABLE), luaL_checknumber(L, 3));
    const char *log = luaL_optstring(L, 4, NULL);
    char **arguments = push_arguments(L, 2);
    enum readiness readiness = GONE;
    struct files files;
    struct start *start;
    int error;

    if (!open_files(&files, log)) {
        error = errno;
        close_files(&files);
        return failed(L, log ? log : path, error);
    }
    start = mmap(NULL, sizeof *start, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    error = start == MAP_FAILED ? errno : 0;
    if (!error) {
        start->path = path;
        start->arguments = arguments;
        readiness = run(start, &files, timeout);
        error = start->error;
        munmap(start, sizeof *start);
    }
    close_files(&files);
    return error ? failed(L, path, error)
                 : report(L, readiness, path, timeout, log, files.log_size);
}
