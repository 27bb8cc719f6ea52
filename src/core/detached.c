#define _GNU_SOURCE /* clone, pipe2 */
#include "detached.h"
#include "lua_compat.h"

#include <errno.h>
#include <fcntl.h>
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
#include <unistd.h>

#define READY_FD 3
#define PROGRAM_TYPE "contree.program"

extern char **environ;

/* Each child has this much stack. */
enum { STACK = 64 * 1024 };

/* Shared with the children, in a mapping of its own. */
struct start {
    const char *path;
    char *const *arguments;
    int null, log, ready; /* descriptors for the program */
    volatile pid_t pid;   /* of the program */
    volatile int error;   /* errno of what failed, 0: nothing */
    char stacks[2][STACK];
};

/* Runs `function` in a child; its pid, or -1 with errno set. On Linux the child
 * runs in our memory, and this process waits until the child ends or executes a
 * program: so the page tables of a large host need not be copied. */
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

/* The functions from here to launch() run in a child: they only make system
 * calls, and change no memory but *start. */

static void close_from(int first) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)first, ~0U, 0) == 0)
        return;
#endif
    long limit = sysconf(_SC_OPEN_MAX);
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

/* The parent of the program ends at once, so that init adopts the program. */
static int be_parent(void *argument) {
    struct start *start = argument;
    setsid();
    start->pid = run_child(be_program, start, 1);
    if (start->pid < 0)
        start->error = errno;
    return 0;
}

/* False, with start->error set, when the program does not run. */
static bool launch(struct start *start) {
    sigset_t all, old;
    /* No signal handler of the host may run in a child. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = run_child(be_parent, start, 0);
    if (pid < 0)
        start->error = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return start->error == 0;
}

/* Moves a descriptor to a number above 3; -1 stays -1. */
static int above_standard(int fd) {
    if (fd < 0 || fd > READY_FD)
        return fd;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, READY_FD + 1);
    close(fd);
    return copy;
}

struct files {
    int null, log, read, write;
};

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_files(struct files *files) {
    close_fd(&files->null);
    close_fd(&files->log);
    close_fd(&files->read);
    close_fd(&files->write);
}

/* False with errno set. */
static bool open_files(struct files *files, const char *log) {
    int ends[2];
    *files = (struct files){-1, -1, -1, -1};
    files->null = above_standard(open("/dev/null", O_RDWR | O_CLOEXEC));
    files->log =
        above_standard(open(log ? log : "/dev/null",
                            O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    if (files->null < 0 || files->log < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return false;
    files->read = above_standard(ends[0]);
    files->write = above_standard(ends[1]);
    if (files->read < 0 || files->write < 0)
        return false;
    fcntl(files->read, F_SETFL, O_NONBLOCK);
    return true;
}

/* The arguments at `index`, then ours. The array is a userdata on top of the
 * stack; the strings are Lua's, and the table keeps them. */
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

/* The pid of the program; -1 with errno set when it does not run. */
static pid_t run(const char *path, char *const *arguments,
                 const struct files *files) {
    struct start *start = mmap(NULL, sizeof *start, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid = -1;
    if (start == MAP_FAILED)
        return -1;
    start->path = path;
    start->arguments = arguments;
    start->null = files->null;
    start->log = files->log;
    start->ready = files->write;
    if (launch(start))
        pid = start->pid;
    int error = start->error;
    munmap(start, sizeof *start);
    errno = error;
    return pid;
}

/* The userdata: a program that was started. */
struct program {
    pid_t pid;
    int ready;      /* our end of the pipe, -1 when its message is known */
    int log;        /* a file, or /dev/null */
    off_t log_size; /* before the program wrote to it */
    bool listens;
};

int detached_lua_start(lua_State *L) {
    const char *path = luaL_checkstring(L, 1);
    const char *log =
        (luaL_checktype(L, 2, LUA_TTABLE), luaL_optstring(L, 3, NULL));
    char **arguments = push_arguments(L, 2);
    struct program *program = compat_newuserdata(L, sizeof *program);
    struct stat status = {0};
    struct files files;
    int error;
    *program = (struct program){.pid = -1, .ready = -1, .log = -1};
    luaL_setmetatable(L, PROGRAM_TYPE);
    if (!open_files(&files, log)) {
        error = errno;
        path = log ? log : path;
    } else {
        if (fstat(files.log, &status) == 0)
            program->log_size = status.st_size;
        program->pid = run(path, arguments, &files);
        error = errno;
    }
    if (program->pid > 0) {
        program->ready = files.read;
        program->log = files.log;
        files.read = files.log = -1;
    }
    close_files(&files);
    if (program->pid > 0)
        return 1;
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, strerror(error));
    return 2;
}

/* Methods */

static struct program *check_program(lua_State *L) {
    return luaL_checkudata(L, 1, PROGRAM_TYPE);
}

static int program_ready(lua_State *L) {
    struct program *program = check_program(L);
    ssize_t got = 0;
    char byte;
    if (program->ready >= 0) {
        do
            got = read(program->ready, &byte, 1);
        while (got < 0 && errno == EINTR);
        if (got < 0 && errno == EAGAIN)
            return compat_nil(L);
        program->listens = got == 1;
        close_fd(&program->ready);
    }
    lua_pushboolean(L, program->listens);
    return 1;
}

static int program_last_line(lua_State *L) {
    struct program *program = check_program(L);
    off_t before = program->log_size;
    char tail[2048];
    struct stat status;
    ssize_t n = 0;
    size_t end, start;
    if (fstat(program->log, &status) == 0 && status.st_size > before) {
        off_t from = status.st_size - (off_t)sizeof tail;
        n = pread(program->log, tail, sizeof tail,
                  from > before ? from : before);
    }
    end = n > 0 ? (size_t)n : 0;
    while (end > 0 && (tail[end - 1] == '\n' || tail[end - 1] == '\r'))
        end--;
    start = end;
    while (start > 0 && tail[start - 1] != '\n')
        start--;
    if (end == start)
        return compat_nil(L);
    lua_pushlstring(L, tail + start, end - start);
    return 1;
}

/* While the pipe is open the program runs, so its pid is not another's. */
static int program_stop(lua_State *L) {
    struct program *program = check_program(L);
    program_ready(L);
    if (program->ready >= 0)
        kill(program->pid, SIGTERM);
    close_fd(&program->ready);
    return 0;
}

static int program_gc(lua_State *L) {
    struct program *program = check_program(L);
    close_fd(&program->ready);
    close_fd(&program->log);
    return 0;
}

void detached_register(lua_State *L) {
    static const luaL_Reg methods[] = {{"ready", program_ready},
                                       {"last_line", program_last_line},
                                       {"stop", program_stop},
                                       {NULL, NULL}};
    compat_newtype(L, PROGRAM_TYPE, methods, program_gc);
}
