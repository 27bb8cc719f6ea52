/* descriptor.h: closing descriptors, and watching them on the loop.
 *
 * When a number is closed twice, or while the loop watches it, the close hits
 * another file that got this number meanwhile. With CONTREE_STRICT=1, which the
 * tests set, such a close ends the program at once, and says where it
 * happened. */
#ifndef CONTREE_BASE_DESCRIPTOR_H
#define CONTREE_BASE_DESCRIPTOR_H

#include "base/fault.h"
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

/* Closes `fd` and keeps errno; -1 is none. Any thread. */
#define close_fd(fd) close_fd_at((fd), __FILE__, __LINE__)
void close_fd_at(int fd, const char *file, int line);
/* The same for a member: *fd is -1 afterwards, so that a second call cannot
 * close somebody else's. */
#define drop_fd(fd) drop_fd_at((fd), __FILE__, __LINE__)
void drop_fd_at(int *fd, const char *file, int line);
void cleanup_close(int *fd); /* int fd CLEANUP(cleanup_close) = -1; */
/* Takes the value out of a cleanup variable: return steal_fd(&fd). */
int steal_fd(int *fd);

/* How many there may be at a time of what needs descriptors. */
struct descriptors {
    size_t runs;
    size_t mounts;      /* directories of the host in runs; two for each */
    size_t connections; /* of each listening socket */
    size_t strangers;   /* of those: who has not shown that it may ask */
    size_t relays;      /* connections to ports of sandboxes */
};
/* Raises our limit as far as we may, and shares it out; 503 when it is too low
 * to serve at all. */
int descriptors_share(struct descriptors *out, struct fault *f);

/* uv_poll_init(): 0, or -1 with the fault, and then there is no handle. The
 * descriptor may be closed when watch_close() has called back, not before: the
 * loop takes a number out of its set that may be another's by then. */
int watch_open(uv_loop_t *loop, uv_poll_t *poll, int fd, struct fault *f);
void watch_close(uv_poll_t *poll, uv_close_cb closed);

/* Whether CONTREE_STRICT asks for checks that end the program. */
bool is_strict(void);
/* Writes `what`, and how we came here, to standard error, and aborts. */
_Noreturn void die_strictly(const char *what);

#endif
