#define _GNU_SOURCE
#include "init/net.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int raise_loopback(struct failure *f) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail_errno(f, "cannot reach the loopback interface");
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int rc = ioctl(fd, SIOCSIFFLAGS, &request);
    if (rc < 0)
        fail_errno(f, "cannot raise the loopback interface");
    close(fd);
    return rc;
}

/* Best effort: if it fails, programs cannot ping or listen below port 1024. */
static void set(const char *path, const char *value) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, value, strlen(value)) < 0)
        errno = 0;
    close(fd);
}

/* FNV-1a of the files in which the kernel describes the current network
 * namespace; 0 if one cannot be read. */
static uint64_t fingerprint(void) {
    static const char *const files[] = {
        "/proc/self/net/dev",     "/proc/self/net/snmp",
        "/proc/self/net/netstat", "/proc/self/net/snmp6",
        "/proc/self/net/igmp",    "/proc/self/net/ip6_flowlabel"};
    uint64_t sum = 14695981039346656037U;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char text[4096];
        ssize_t got;
        int fd = open(files[i], O_RDONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
            continue;
        while ((got = fd < 0 ? -1 : read(fd, text, sizeof text)) > 0)
            for (ssize_t k = 0; k < got; k++)
                sum = (sum ^ (unsigned char)text[k]) * 1099511628211U;
        if (fd >= 0)
            close(fd);
        if (got < 0)
            return 0;
    }
    return sum;
}

int net_make(unsigned first_gid, unsigned last_gid, uint64_t *when_new,
             struct failure *f) {
    /* The kernel takes no higher id here. */
    enum { LAST_TO_PING = 0x7fffffff };
    char range[32];
    snprintf(range, sizeof range, "%u %u", first_gid,
             last_gid < LAST_TO_PING ? last_gid : LAST_TO_PING);
    if (unshare(CLONE_NEWNET) < 0) {
        if (errno == ENOSPC)
            return fail(f, 503,
                        "too many network namespaces; raise "
                        "/proc/sys/user/max_net_namespaces");
        return fail_errno(f, "cannot make a network namespace");
    }
    if (raise_loopback(f) < 0)
        return -1;
    set("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    set("/proc/sys/net/ipv4/ping_group_range", range);
    *when_new = fingerprint();
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? fail_errno(f, "cannot open a network namespace") : fd;
}

int net_enter(int net, struct failure *f) {
    if (setns(net, CLONE_NEWNET) < 0)
        return fail_errno(f, "cannot enter a network namespace");
    return 0;
}

bool net_is_unused(int net, uint64_t when_new) {
    return setns(net, CLONE_NEWNET) == 0 && when_new != 0 &&
           fingerprint() == when_new;
}
