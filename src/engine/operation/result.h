/* result.h: what came of a process: written into its exit event, and read back
 * from the event log as an InstanceResult (http-api.md §5.8). The log is the
 * only place where it is kept. */
#ifndef CONTREE_OPERATION_RESULT_H
#define CONTREE_OPERATION_RESULT_H

#include "base/buffer.h"
#include "base/fault.h"
#include "operation/events.h"
#include "sandbox/sandbox.h"

/* The most of one stream that an operation's JSON holds; the events have all
 * of it (http-api.md §1.5). */
enum { RESULT_STREAM_MAX = 10 << 20 };

/* Data of an `exit` event. `limit` (NULL: none) is which limit ended it, and
 * `value` how much it allowed (0: no number). */
void exit_event_write(struct buffer *b, const struct sandbox_exit *e,
                      bool timed_out, const char *limit, int64_t value);

struct result_stream {
    struct buffer data;
    int64_t emitted, dropped; /* as the truncated event counts them */
};

/* Everything as text of JSON, but for the streams. */
struct result {
    bool started, exited, timed_out, core_dump;
    int pid, code, signal, background_killed;
    char *resources; /* members of InstanceResources */
    char *isolation; /* JSON array */
    char limit[16];
    int64_t limit_value, layer_bytes;
    struct result_stream out, err;
};
/* Folds the events of one process. A log in a file may be folded in a worker:
 * `r` must be frozen then. */
int result_fold(struct event_reader *r, int spid, struct result *out,
                struct fault *f);
void result_clear(struct result *r);
/* Adds the InstanceResult as member `key`: null when it has not started, unless
 * it is `over` and never will. */
void result_write(struct buffer *b, const char *key, const struct result *r,
                  bool over);

#endif
