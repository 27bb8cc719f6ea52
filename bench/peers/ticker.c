/* ticker: ticks every 10 ms until SIGTERM, and prints the milliseconds between
 * ticks. It runs beside a measured host and does not use contree, so its delays
 * are those of the machine. */
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 10000000L

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(void) {
    struct itimerspec tick = {{0, TICK_NS}, {0, TICK_NS}};
    sigset_t end;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigprocmask(SIG_BLOCK, &end, NULL);
    struct pollfd fds[] = {
        {timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), POLLIN, 0},
        {signalfd(-1, &end, SFD_CLOEXEC), POLLIN, 0}};
    if (timerfd_settime(fds[0].fd, 0, &tick, NULL) != 0)
        return 1;
    double last = now();
    while (poll(fds, 2, -1) >= 0 && !fds[1].revents) {
        uint64_t count;
        if (read(fds[0].fd, &count, sizeof count) != sizeof count)
            return 1;
        double time = now();
        printf("%.3f\n", time - last);
        last = time;
    }
    return 0;
}
