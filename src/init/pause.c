#define _GNU_SOURCE
#include "init/pause.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The state of a process, as a letter of /proc/PID/stat; 0: it has ended. The
 * name of the program, in parentheses, may hold anything. */
static char state_of(pid_t pid) {
    char path[32], text[256];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
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

/* Call visit() for every process but this one. */
static void visit_all(struct pause *p, void (*visit)(struct pause *, pid_t)) {
    DIR *dir = opendir("/proc");
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid > 1)
            visit(p, pid);
    }
    if (dir)
        closedir(dir);
}

static void note_stopped(struct pause *p, pid_t pid) {
    if (state_of(pid) != 'T')
        return;
    pid_t *grown = realloc(p->stopped, (p->count + 1) * sizeof *grown);
    if (!grown)
        return; /* it will go on with the others */
    p->stopped = grown;
    p->stopped[p->count++] = pid;
}

static void let_go(struct pause *p, pid_t pid) {
    for (size_t i = 0; i < p->count; i++)
        if (p->stopped[i] == pid)
            return;
    kill(pid, SIGCONT);
}

void pause_all(struct pause *p) {
    if (p->on)
        return;
    visit_all(p, note_stopped);
    p->on = true;
    kill(-1, SIGSTOP);
}

void resume_all(struct pause *p) {
    if (!p->on)
        return;
    p->on = false;
    if (p->count == 0)
        kill(-1, SIGCONT);
    else
        visit_all(p, let_go);
    free(p->stopped);
    p->stopped = NULL;
    p->count = 0;
}
