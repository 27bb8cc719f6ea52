/* result.h: the result of a process, as an InstanceResult (http-api.md §5.8).
 *
 * The event log is the only place that stores it: result_fold() reads it back.
 * Until an operation leaves memory, the result of its main process is also kept
 * beside the log (result_add_*), so that the answer to a short run parses
 * nothing. Both ways give the same result. */
#ifndef CONTREE_OPERATION_RESULT_H
#define CONTREE_OPERATION_RESULT_H

#include "base/buffer.h"
#include "base/fault.h"
#include "operation/egress.h"
#include "operation/events.h"
#include "sandbox/sandbox.h"

/* The most bytes of one stream in the JSON of an operation. The events have all
 * of it (http-api.md §1.5). */
enum { RESULT_STREAM_MAX = 10 << 20 };
/* The most bytes of one stream that are kept beside the log. */
enum { RESULT_KEPT_MAX = 256 << 10 };

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
    struct rusage usage; /* with elapsed_us: once it has exited */
    int64_t elapsed_us;
    char *isolation; /* the JSON member, or NULL */
    char limit[16];
    int64_t limit_value, layer_bytes;
    struct result_stream out, err;
    bool has_airlock; /* `isolation` says so */
    struct egress egress;
};
/* An empty result that keeps up to `most` bytes of each stream. */
void result_init(struct result *r, size_t most);
/* What the events say, told at the same time. `isolation` is the JSON member.
 */
void result_add_isolation(struct result *r, const char *isolation,
                          size_t length);
void result_add_start(struct result *r, int pid);
void result_add_output(struct result_stream *s, const void *data,
                       size_t length);
void result_add_exit(struct result *r, const struct sandbox_exit *e,
                     bool timed_out, const char *limit, int64_t value);
void result_add_limit(struct result *r, const char *limit, int64_t value);
/* Whether all output so far fits into what is kept of it. */
bool result_is_whole(const struct result *r);

/* Fold the events of one process into a result. A worker may do this if `r` is
 * frozen and its log is in a file. */
int result_fold(struct event_reader *r, int spid, struct result *out,
                struct fault *f);
void result_clear(struct result *r);
/* Add the InstanceResult as member `key`. It is null for a process that has not
 * started, unless the operation is `over`. A plain one has no extensions. */
void result_write(struct buffer *b, const char *key, const struct result *r,
                  bool over, bool plain);

#endif
