/* result.h: the result of a process. It is written into the exit event and read
 * back from the event log as an InstanceResult (http-api.md §5.8): the log is
 * the only place that keeps it. */
#ifndef CONTREE_OPERATION_RESULT_H
#define CONTREE_OPERATION_RESULT_H

#include "base/buffer.h"
#include "base/fault.h"
#include "operation/events.h"
#include "sandbox/sandbox.h"

/* The most bytes of one stream in the JSON of an operation. The events have all
 * of it (http-api.md §1.5). */
enum { RESULT_STREAM_MAX = 10 << 20 };

/* Add the data of an `exit` event. `limit` (NULL: none) ended the process; it
 * allows `value` (0: not a number). */
void exit_event_write(struct buffer *b, const struct sandbox_exit *e,
                      bool timed_out, const char *limit, int64_t value);

struct result_stream {
    struct buffer data;
    int64_t emitted, dropped; /* as the truncated event counts them */
};

struct result {
    bool started, exited, timed_out, core_dump;
    int pid, code, signal, background_killed;
    char *resources; /* JSON members of InstanceResources, or NULL */
    char *isolation; /* JSON array, or NULL */
    char limit[16];
    int64_t limit_value, layer_bytes;
    struct result_stream out, err;
};
/* Fold the events of one process into a result. A worker may do this if `r` is
 * frozen and its log is in a file. */
int result_fold(struct event_reader *r, int spid, struct result *out,
                struct fault *f);
void result_clear(struct result *r);
/* Add the InstanceResult as member `key`. It is null for a process that has not
 * started, unless the operation is `over`. */
void result_write(struct buffer *b, const char *key, const struct result *r,
                  bool over);

#endif
