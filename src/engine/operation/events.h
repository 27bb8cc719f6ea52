/* events.h: an operation's event log: one complete OperationEvent a line of
 * JSON (http-api.md §5.17), ids from 0 without gaps.
 *
 * It is kept in memory up to EVENTS_IN_MEMORY bytes and goes on in the file
 * e/UUID.log below the data directory, so that a gigabyte of output costs no
 * memory. Loop thread only, but for what says otherwise. */
#ifndef CONTREE_OPERATION_EVENTS_H
#define CONTREE_OPERATION_EVENTS_H

#include "base/buffer.h"
#include "base/fault.h"
#include <stdint.h>

enum { EVENTS_IN_MEMORY = 1 << 20 };

struct event_log;
/* A new, empty log; `uuid` is the operation's. NULL without memory. */
struct event_log *event_log_new(int dir_fd, const char *uuid);
/* A finished log: `text` (taken over) as the store has it, or the file when it
 * is NULL; an empty one when there is neither. */
struct event_log *event_log_load(int dir_fd, const char *uuid, char *text,
                                 size_t length, struct fault *f);
struct event_log *event_log_ref(struct event_log *log);
void event_log_unref(struct event_log *log);

/* Appends an event: begin, json_add_*() its data into the buffer, end. A disk
 * that takes no more drops the event and shows in event_log_fault(). */
struct buffer *event_begin(struct event_log *log, const char *type, int spid);
void event_end(struct event_log *log);
/* NULL as long as all is well. */
const struct fault *event_log_fault(const struct event_log *log);

/* Whether the last event of a loaded log is not its completion: the engine that
 * wrote it was killed. Then a last event may be appended. */
bool event_log_is_cut(struct event_log *log);

/* What is appended after a hold reaches no reader before the release: the
 * completion is told when it is on disk, not before. */
void event_log_hold(struct event_log *log);
void event_log_release(struct event_log *log);
/* Takes away what was appended since the hold. */
void event_log_rollback(struct event_log *log);
/* No event will follow: readers end. */
void event_log_finish(struct event_log *log);
/* The whole log, or NULL when it is in the file. */
const char *event_log_text(const struct event_log *log, size_t *length);
bool event_log_in_file(const struct event_log *log);
/* fsync of the file, if there is one. May run in a worker. */
int event_log_sync(struct event_log *log, struct fault *f);

/* One line, parsed as far as every reader needs it. Borrowed; without the
 * newline. */
struct event_line {
    const char *text;
    size_t length;
    int64_t id;
    int spid;
    const char *type;
    size_t type_length;
};
bool event_is(const struct event_line *line, const char *type);

/* A position in a log. A reader made with `frozen` sees what is there now and
 * may be used in a worker when the log is in a file. */
struct event_reader;
struct event_reader *event_reader_new(struct event_log *log, int64_t after_id,
                                      bool frozen);
void event_reader_free(struct event_reader *r);
enum event_status { EVENT_LINE, EVENT_NONE_YET, EVENT_END, EVENT_BROKEN };
enum event_status event_next(struct event_reader *r, struct event_line *out);

/* `wake` is called, from the loop, when there may be more to read. */
struct event_subscriber {
    void (*wake)(void *arg);
    void *arg;
    struct event_subscriber *next;
};
void event_subscribe(struct event_log *log, struct event_subscriber *s);
void event_unsubscribe(struct event_log *log, struct event_subscriber *s);

#endif
