#define _GNU_SOURCE
#include "init/family.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Marks count down from here, or from this process's own limit if that is
 * lower. */
#define MARKS ((rlim_t)1 << 62)

/* A program that forks faster than it is killed, or that the kernel does not
 * let go, is left to the end of the sandbox. */
#define LATE_SECONDS 1.0

/* 0: there is none. */
static rlim_t mark_of(int spid) {
    struct rlimit own;
    if (getrlimit(RLIMIT_LOCKS, &own) < 0)
        return 0;
    rlim_t most = own.rlim_max < MARKS ? own.rlim_max : MARKS;
    return most > (rlim_t)spid ? most - (rlim_t)spid : 0;
}

void family_mark(int spid) {
    struct rlimit mark;
    mark.rlim_cur = mark.rlim_max = mark_of(spid);
    if (mark.rlim_max)
        setrlimit(RLIMIT_LOCKS, &mark);
}

/* Read a file of a process; false if it has ended. */
static bool read_file(pid_t pid, const char *name, char *text, size_t size) {
    char path[48];
    size_t got = 0;
    ssize_t n;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while (got + 1 < size && (n = read(fd, text + got, size - 1 - got)) > 0)
        got += (size_t)n;
    close(fd);
    text[got] = '\0';
    return got > 0;
}

static bool bears(pid_t pid, rlim_t mark) {
    static const char title[] = "\nMax file locks";
    char text[4096], *line, *end;
    if (!read_file(pid, "limits", text, sizeof text) ||
        !(line = strstr(text, title)))
        return false;
    line += strlen(title);
    line += strspn(line, " ");
    line += strcspn(line, " "); /* the soft limit may be lower */
    return strtoull(line, &end, 10) == mark && end != line;
}

/* A process that has ended keeps its limits until its parent has noticed. */
static bool is_alive(pid_t pid) {
    char text[512];
    const char *end =
        read_file(pid, "stat", text, sizeof text) ? strrchr(text, ')') : NULL;
    return end && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Signal all that bear the mark; how many there were. */
static int signal_all(rlim_t mark, int signal) {
    DIR *dir = opendir("/proc");
    struct dirent *e;
    int count = 0;
    while (dir && (e = readdir(dir))) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid <= 1 || !bears(pid, mark) || !is_alive(pid))
            continue;
        kill(pid, signal);
        count++;
    }
    if (dir)
        closedir(dir);
    return count;
}

/* What has a deadly signal cannot fork any more, and takes a moment to end. */
void family_signal(int spid, int signal) {
    static const struct timespec moment = {.tv_nsec = 200000};
    rlim_t mark = mark_of(spid);
    double late = now() + LATE_SECONDS;
    for (int round = 0; mark && signal_all(mark, signal) > 0; round++) {
        if (signal != SIGKILL || now() > late)
            break;
        if (round > 2)
            nanosleep(&moment, NULL);
    }
}
