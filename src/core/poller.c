#include "poller.h"

#include <errno.h>

#if defined(__linux__) && !defined(CONTREE_NO_POLLER)
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

bool poller_open(struct poller *poller) {
    poller->timer = -1;
    poller->set = epoll_create1(EPOLL_CLOEXEC);
    return poller->set >= 0;
}

void poller_close(struct poller *poller) {
    if (poller->set >= 0)
        close(poller->set);
    if (poller->timer >= 0)
        close(poller->timer);
    poller->set = poller->timer = -1;
}

bool poller_watch(struct poller *poller, int fd, int what, bool known) {
    struct epoll_event event = {.data.fd = fd};
    int operation = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (what & POLLER_READ)
        event.events |= EPOLLIN;
    if (what & POLLER_WRITE)
        event.events |= EPOLLOUT;
    if (epoll_ctl(poller->set, operation, fd, &event) == 0)
        return true;
    /* The number of a closed descriptor may have come back. */
    if (errno == ENOENT)
        operation = EPOLL_CTL_ADD;
    else if (errno == EEXIST)
        operation = EPOLL_CTL_MOD;
    else
        return false;
    return epoll_ctl(poller->set, operation, fd, &event) == 0;
}

void poller_forget(struct poller *poller, int fd) {
    epoll_ctl(poller->set, EPOLL_CTL_DEL, fd, NULL);
}

static bool make_timer(struct poller *poller) {
    struct epoll_event event = {.events = EPOLLIN};
    if (poller->timer >= 0)
        return true;
    poller->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    event.data.fd = poller->timer;
    return poller->timer >= 0 &&
           epoll_ctl(poller->set, EPOLL_CTL_ADD, poller->timer, &event) == 0;
}

bool poller_arm(struct poller *poller, double seconds) {
    const double longest = 1e9; /* seconds; less than the range of the timer */
    struct itimerspec when = {0};
    if (!make_timer(poller))
        return false;
    if (seconds > longest)
        seconds = longest;
    if (seconds >= 0) {
        when.it_value.tv_sec = (time_t)seconds;
        when.it_value.tv_nsec =
            (long)((seconds - (double)when.it_value.tv_sec) * 1e9);
        if (when.it_value.tv_sec == 0 && when.it_value.tv_nsec == 0)
            when.it_value.tv_nsec = 1; /* zero would disarm it */
    }
    return timerfd_settime(poller->timer, 0, &when, NULL) == 0;
}

static int translate(uint32_t events) {
    int what = 0;
    if (events & EPOLLIN)
        what |= POLLER_READ;
    if (events & EPOLLOUT)
        what |= POLLER_WRITE;
    if (events & (EPOLLERR | EPOLLHUP))
        what |= POLLER_ERROR;
    return what;
}

/* Reading makes the timer unreadable until it is armed again. */
static void silence_timer(struct poller *poller) {
    uint64_t expirations;
    while (read(poller->timer, &expirations, sizeof expirations) < 0 &&
           errno == EINTR)
        ;
}

int poller_wait(struct poller *poller, struct poller_event *events, int room,
                int milliseconds) {
    struct epoll_event found[64];
    int stored = 0;
    int n = epoll_wait(poller->set, found, room < 64 ? room : 64, milliseconds);
    for (int i = 0; i < n; i++) {
        if (found[i].data.fd == poller->timer) {
            silence_timer(poller);
            continue;
        }
        events[stored].fd = found[i].data.fd;
        events[stored++].what = translate(found[i].events);
    }
    return n < 0 ? -1 : stored;
}

#else

bool poller_open(struct poller *poller) {
    poller->set = poller->timer = -1;
    errno = ENOSYS;
    return false;
}

void poller_close(struct poller *poller) {
    (void)poller;
}

bool poller_watch(struct poller *poller, int fd, int what, bool known) {
    (void)poller;
    (void)fd;
    (void)what;
    (void)known;
    return false;
}

void poller_forget(struct poller *poller, int fd) {
    (void)poller;
    (void)fd;
}

bool poller_arm(struct poller *poller, double seconds) {
    (void)poller;
    (void)seconds;
    return false;
}

int poller_wait(struct poller *poller, struct poller_event *events, int room,
                int milliseconds) {
    (void)poller;
    (void)events;
    (void)room;
    (void)milliseconds;
    errno = ENOSYS;
    return -1;
}

#endif
