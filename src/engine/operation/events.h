/* events.h: the event log of an operation. Each line is one OperationEvent in
 * JSON (http-api.md §5.17); ids count from 0 without gaps.
 *
 * The log is kept in memory up to EVENTS_IN_MEMORY bytes and goes on in the
 * file e/UUID.log of the data directory, so that a gigabyte of output costs no
 * memory. From then on larger pieces of a stream are kept as they are, in the
 * spools e/UUID.raw and e/UUID.in: their line says where. They become JSON only
 * for a reader who wants that. Loop thread only, unless a function says
 * otherwise. */
#ifndef CONTREE_OPERATION_EVENTS_H
#define CONTREE_OPERATION_EVENTS_H

#include "base/buffer.h"
#include "base/fault.h"
#include <stdint.h>
#include <sys/types.h>

enum {
    EVENTS_IN_MEMORY = 1 << 20,
    /* The most bytes of a stream in one event. Its frame stays far below the
     * 4 MiB that clients take (http-api.md §1.5). */
    EVENT_BYTES_MAX = 64 * 1024
};

struct event_log;
/* Make an empty log for the operation `uuid`. NULL: out of memory. */
struct event_log *event_log_new(int dir_fd, const char *uuid);
/* Open a finished log: `text` (taken over) as the store has it, or the file if
 * that is NULL. The log is empty if there is neither. */
struct event_log *event_log_load(int dir_fd, const char *uuid, char *text,
                                 size_t length, struct fault *f);
/* The number of the last event, -1 if there is none. */
int64_t event_log_last(const struct event_log *log);
struct event_log *event_log_ref(struct event_log *log);
void event_log_unref(struct event_log *log);

/* Append an event: begin it, json_add_*() its data into the buffer, end it. If
 * that fails the event is dropped, and event_log_fault() says why. */
struct buffer *event_begin(struct event_log *log, const char *type, int spid);
void event_end(struct event_log *log);
/* Append an event of a stream: at most EVENT_BYTES_MAX bytes. */
void event_add_stream(struct event_log *log, const char *type, int spid,
                      const void *data, size_t length);
/* Move what a pipe holds into events, without reading it, `most` bytes at most.
 * Return as read() does; -1 with EINVAL if this log has no spool yet. */
ssize_t event_splice(struct event_log *log, const char *type, int spid,
                     int pipe, size_t most);
/* For input that others spool: open its spool for writing (the log goes on in
 * its file; the descriptor is the caller's; -1 with the fault), reserve a part
 * of it, and append `stdin` events whose bytes are there. */
int event_input(struct event_log *log, struct fault *f);
int64_t event_reserve_input(struct event_log *log, size_t length);
void event_add_input(struct event_log *log, int spid, int64_t at,
                     size_t length);
/* Let no event follow, with this and errno as the reason. */
void event_log_break(struct event_log *log, const char *what);
/* The first failure to append, or NULL. */
const struct fault *event_log_fault(const struct event_log *log);

/* Whether a loaded log lacks its completion event, because the engine that
 * wrote it was killed. If so, a last event may be appended. */
bool event_log_is_cut(struct event_log *log);

/* Hide from readers what is appended until the release: the completion must not
 * be seen before it is on disk. */
void event_log_hold(struct event_log *log);
void event_log_release(struct event_log *log);
/* Remove what was appended since the hold. */
void event_log_rollback(struct event_log *log);
/* Say that no event will follow, so that readers end. */
void event_log_finish(struct event_log *log);
/* The whole log, or NULL if it is in the file. */
const char *event_log_text(const struct event_log *log, size_t *length);
bool event_log_in_file(const struct event_log *log);
/* Sync the file, if there is one. May run in a worker. */
int event_log_sync(struct event_log *log, struct fault *f);

/* One line without its newline, parsed as far as every reader needs. Borrowed
 * until the next call with this reader or its log. */
struct event_line {
    const char *text;
    size_t length;
    int64_t id;
    int spid;
    const char *type;
    size_t type_length;
    int spool;         /* which one, of event_log.h */
    int64_t raw_at;    /* in the spool */
    size_t raw_length; /* 0: the data is in the text */
};
bool event_is(const struct event_line *line, const char *type);

/* A position in a log. A `frozen` reader ends where the log ended when the
 * reader was made; a worker may use it if the log is in a file. */
struct event_reader;
struct event_reader *event_reader_new(struct event_log *log, int64_t after_id,
                                      bool frozen);
void event_reader_free(struct event_reader *r);
enum event_status { EVENT_LINE, EVENT_NONE_YET, EVENT_END, EVENT_BROKEN };
enum event_status event_next(struct event_reader *r, struct event_line *out);
/* Read the bytes of a line that has them in the spool, from `at` on. False: the
 * spool is damaged. */
bool event_raw(const struct event_reader *r, const struct event_line *line,
               size_t at, char *out, size_t length);
/* Whether the spool has all of these bytes. */
bool event_is_spooled(const struct event_reader *r,
                      const struct event_line *line);
/* Whether that is the spool that event_name_spool() names. */
bool event_is_output(const struct event_line *line);
/* Add "DEVICE.INODE PATH" of the spool of output, for another process to read
 * it. False: it has none to tell. */
bool event_name_spool(const struct event_reader *r, struct buffer *out);
/* Make the text of such a line the whole event. Other lines are whole. False:
 * the spool is damaged, or out of memory. */
bool event_expand(struct event_reader *r, struct event_line *line);

/* The loop calls `wake` when there may be more to read. */
struct event_subscriber {
    void (*wake)(void *arg);
    void *arg;
    struct event_subscriber *next;
};
void event_subscribe(struct event_log *log, struct event_subscriber *s);
void event_unsubscribe(struct event_log *log, struct event_subscriber *s);

#endif
