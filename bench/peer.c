/* peer: starts a command N times, one after the other, and prints the
 * microseconds from start to exit of each on a line of its own. It measures
 * plain processes and other sandboxes: peer N COMMAND [ARGS...] */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: peer N COMMAND [ARGS...]\n");
        return 2;
    }
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
    for (long i = strtol(argv[1], NULL, 10); i > 0; i--) {
        double begin = now();
        pid_t pid;
        int status = 0;
        if (posix_spawnp(&pid, argv[2], &quiet, NULL, argv + 2, environ) != 0 ||
            waitpid(pid, &status, 0) < 0 || status != 0) {
            fprintf(stderr, "peer: %s failed\n", argv[2]);
            return 1;
        }
        printf("%.1f\n", now() - begin);
    }
    return 0;
}
