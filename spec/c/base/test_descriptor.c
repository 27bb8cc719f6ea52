/* test_descriptor.c: a descriptor is closed once, and not while it is watched.
 */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/pipe.h"
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Call `what` in a child. Return the signal that killed it, or 0, and its
 * standard error in `said`. */
static int die_of(void (*what)(void), char said[2000]) {
    int ends[2], status;
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        what();
        _exit(0);
    }
    close_fd(ends[1]);
    ssize_t got = read_all(ends[0], said, 1999);
    said[got > 0 ? got : 0] = '\0';
    close_fd(ends[0]);
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void close_twice(void) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close_fd(fd);
    close_fd(fd);
}

static void close_watched(void) {
    struct fault f;
    uv_poll_t poll;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) == 0 &&
        watch_open(uv_default_loop(), &poll, ends[0], &f) == 0)
        close_fd(ends[0]);
}

/* Stopping is not enough: when the handle is closed later, it still removes the
 * number from the loop's set. */
static void close_stopped(void) {
    struct fault f;
    uv_poll_t poll;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0 ||
        watch_open(uv_default_loop(), &poll, ends[0], &f) < 0)
        return;
    uv_poll_start(&poll, UV_READABLE, NULL);
    uv_poll_stop(&poll);
    drop_fd(&ends[0]);
}

static void close_well(void) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    drop_fd(&fd);
    drop_fd(&fd);
    close_fd(-1);
}

static void strict(void) {
    char said[2000];
    CHECK_NUMBER(die_of(close_twice, said), SIGABRT);
    CHECK(strstr(said, "test_descriptor.c:") && strstr(said, "not open"));
    CHECK_NUMBER(die_of(close_watched, said), SIGABRT);
    CHECK(strstr(said, "test_descriptor.c:") && strstr(said, "watches"));
    CHECK_NUMBER(die_of(close_stopped, said), SIGABRT);
    CHECK_NUMBER(die_of(close_well, said), 0);
}

static void nothing(void *arg) {
    (void)arg;
}

/* The loop must forget a pipe before its number is free again. */
static void pipes(void) {
    uv_loop_t *loop = uv_default_loop();
    struct fault f;
    int theirs;
    struct pipe_end *p = pipe_open(loop, true, &theirs, nothing, NULL, &f);
    CHECK(p != NULL);
    int fd = p->fd;
    CHECK(pipe_watch(p, UV_READABLE));
    pipe_close(&p);
    CHECK(fcntl(fd, F_GETFD) >= 0);
    uv_run(loop, UV_RUN_DEFAULT);
    CHECK_NUMBER(fcntl(fd, F_GETFD), -1);
    drop_fd(&theirs);
}

int main(void) {
    setenv("CONTREE_STRICT", "1", 1);
    RUN(strict, "F1, F4: closes that hit somebody else end a strict program");
    RUN(pipes, "F4: the handle is closed before the descriptor");
    return CHECK_DONE();
}
