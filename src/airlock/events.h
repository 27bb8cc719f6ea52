/* events.h: what the engine is told: JSON, an object a line. What happens often
 * is counted: the first time is told at once, the others every 100 ms at most.
 * So a sandbox that is refused all the time costs the engine nothing. */
#ifndef CONTREE_AIRLOCK_EVENTS_H
#define CONTREE_AIRLOCK_EVENTS_H

#include "airlock/policy/policy.h"
#include "base/buffer.h"
#include "base/fault.h"
#include <uv.h>

struct events;

enum {
    EVENT_KEYS = 256, /* different ones; all others are counted as "more" */
    EVENT_TEXT = 256  /* of a name or path; more is cut off */
};

/* Takes over `fd`, a stream socket. Calls `gone` when its other end closes. */
struct events *events_open(uv_loop_t *loop, int fd, void (*gone)(void *arg),
                           void *arg, struct fault *f);

/* What was refused, or connected. Members that are NULL or 0 are not told. */
struct occurrence {
    const char *protocol; /* "dns", "tcp", "udp", "icmp", "tls", "http" */
    const char *name;
    const struct address *address;
    int port;
    const char *method, *path;
    size_t path_length;
};
void events_refused(struct events *e, const struct occurrence *o,
                    enum refusal why);
void events_connected(struct events *e, const struct occurrence *o);
/* Set-up is done. `certificate`: what the sandbox has to trust, PEM, which has
 * to live as long; or NULL. */
void events_ready(struct events *e, const char *certificate);
/* Tell all that is untold, and wait until it is written: for a moment at most.
 */
void events_finish(struct events *e);
/* Tell a line, an object of JSON without its newline, which is copied. */
void events_say(struct events *e, const struct buffer *line);
/* Has each object that the engine sends handled. */
void events_on_answer(struct events *e,
                      void (*answered)(void *arg, const json_t *answer),
                      void *arg);
/* The other way to end, before there is a loop; `fd` blocks. */
void events_failed(int fd, const struct fault *why);

#endif
