#define _GNU_SOURCE
#include "init/pause.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A process stops at the end of its system call. One that has called vfork()
 * sleeps without a chance to stop until its child goes on, so who sleeps for
 * this long writes nothing. */
#define SLEEPS_SECONDS 0.5
#define LATE_SECONDS 2.0

/* The state of a process or thread, as a letter of a file `stat`; 0: it has
 * ended. The name of the program, in parentheses, may hold anything. */
static char read_state(const char *path) {
    char text[256];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (got <= 0)
        return 0;
    text[got] = '\0';
    const char *end = strrchr(text, ')');
    return end && end[1] == ' ' ? end[2] : 0;
}

static char state_of(pid_t pid) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    return read_state(path);
}

/* ---- all processes ---- */

struct pids {
    pid_t *list;
    size_t count, capacity;
};

static void add_pid(struct pids *p, pid_t pid) {
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : 64;
        pid_t *grown = realloc(p->list, capacity * sizeof *grown);
        if (!grown)
            return;
        p->list = grown;
        p->capacity = capacity;
    }
    p->list[p->count++] = pid;
}

/* All but this one. */
static struct pids all_processes(void) {
    struct pids found = {0};
    DIR *dir = opendir("/proc");
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid > 1)
            add_pid(&found, pid);
    }
    if (dir)
        closedir(dir);
    return found;
}

/* ---- stopping ---- */

static void note_stopped(struct pause *p) {
    struct pids all = all_processes();
    struct pids stopped = {0};
    for (size_t i = 0; i < all.count; i++)
        if (state_of(all.list[i]) == 'T')
            add_pid(&stopped, all.list[i]);
    free(all.list);
    p->stopped = stopped.list;
    p->count = stopped.count;
}

void pause_all(struct pause *p, double now) {
    p->stopping = true;
    p->since = now;
    if (p->on)
        return;
    note_stopped(p);
    p->on = true;
    kill(-1, SIGSTOP);
}

/* Whether no thread of a process runs; those that sleep count as `sleeps`. */
static bool has_stopped(pid_t pid, bool *sleeps) {
    char path[320];
    struct dirent *e;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    bool stopped = dir || errno == ENOENT;
    while (dir && (e = readdir(dir))) {
        if (*e->d_name == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/stat", pid, e->d_name);
        char state = read_state(path);
        *sleeps = *sleeps || state == 'D';
        stopped = stopped && (!state || strchr("TtZXD", state));
    }
    if (dir)
        closedir(dir);
    return stopped;
}

static bool all_have_stopped(bool *sleeps) {
    struct pids all = all_processes();
    bool stopped = true;
    for (size_t i = 0; stopped && i < all.count; i++)
        stopped = has_stopped(all.list[i], sleeps);
    free(all.list);
    return stopped;
}

enum pause_news pause_look(struct pause *p, double now) {
    bool sleeps = false;
    if (!p->stopping)
        return PAUSE_NONE;
    bool stopped = all_have_stopped(&sleeps);
    if (stopped && (!sleeps || now - p->since > SLEEPS_SECONDS)) {
        p->stopping = false;
        return PAUSE_STOPPED;
    }
    if (now - p->since < LATE_SECONDS)
        return PAUSE_NONE;
    p->stopping = false;
    return PAUSE_LATE;
}

/* ---- going on ---- */

static bool was_stopped(const struct pause *p, pid_t pid) {
    for (size_t i = 0; i < p->count; i++)
        if (p->stopped[i] == pid)
            return true;
    return false;
}

void resume_all(struct pause *p) {
    if (!p->on)
        return;
    struct pids all = all_processes();
    p->on = p->stopping = false;
    for (size_t i = all.count; i > 0; i--)
        if (!was_stopped(p, all.list[i - 1]))
            kill(all.list[i - 1], SIGCONT);
    if (!all.list && p->count == 0)
        kill(-1, SIGCONT); /* out of memory */
    free(all.list);
    free(p->stopped);
    p->stopped = NULL;
    p->count = 0;
}
