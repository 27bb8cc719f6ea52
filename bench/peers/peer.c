/* peer: starts a command N times, one after the other, and prints the
 * microseconds from start to exit of each on a line of its own. It measures
 * plain processes and other sandboxes.
 *
 *   peer [-c] [-p PAUSE_MS] N COMMAND [ARGS...]
 *
 * With -c it prints the microseconds of processor time a run instead, its own
 * and the command's. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double processor(int who) {
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static int run(char **argv, const posix_spawn_file_actions_t *actions) {
    pid_t pid;
    int status = 0;
    if (posix_spawnp(&pid, argv[0], actions, NULL, argv, environ) != 0 ||
        waitpid(pid, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "peer: %s failed\n", argv[0]);
        return -1;
    }
    return 0;
}

int main(int argc, char **argv) {
    int option, cpu = 0;
    long pause = 0;
    while ((option = getopt(argc, argv, "+cp:")) != -1)
        if (option == 'c')
            cpu = 1;
        else if (option == 'p')
            pause = strtol(optarg, NULL, 10);
        else
            return 2;
    if (argc - optind < 2) {
        fprintf(stderr, "usage: peer [-c] [-p PAUSE_MS] N COMMAND [ARGS...]\n");
        return 2;
    }
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    long runs = strtol(argv[optind], NULL, 10);
    double used = processor(RUSAGE_SELF);
    for (long i = 0; i < runs; i++) {
        double begin = now();
        if (run(argv + optind + 1, &quiet) < 0)
            return 1;
        if (!cpu)
            printf("%.1f\n", now() - begin);
        if (pause)
            nanosleep(&(struct timespec){0, pause * 1000000L}, NULL);
    }
    used = processor(RUSAGE_SELF) + processor(RUSAGE_CHILDREN) - used;
    if (cpu)
        printf("%.1f\n", used / (double)runs);
    return 0;
}
