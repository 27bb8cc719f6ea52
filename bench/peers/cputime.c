/* cputime: the seconds of processor time that a process has used, all its
 * threads together: cputime PID */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
    clockid_t clock;
    struct timespec t;
    if (argc != 2 || clock_getcpuclockid(atoi(argv[1]), &clock) != 0 ||
        clock_gettime(clock, &t) != 0) {
        fprintf(stderr, "usage: cputime PID\n");
        return 2;
    }
    printf("%.6f\n", (double)t.tv_sec + (double)t.tv_nsec / 1e9);
    return 0;
}
