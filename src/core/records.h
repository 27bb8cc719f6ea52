/* records.h: an incremental parser of events as records (http-api.md §6.6):
 *
 *   TYPE ID SPID LENGTH\n      and then LENGTH bytes
 *   TYPE ID SPID LENGTH AT\n   whose bytes are in the spool
 *
 * A record of the type "event" holds the JSON of an event; one of "stdout",
 * "stderr" or "stdin" holds bytes of that stream, "spool" says where the spool
 * is, and "error" is a message. An empty line means nothing. Output may go to
 * files: then it never becomes an event. */
#ifndef CONTREE_RECORDS_H
#define CONTREE_RECORDS_H

#include "bytes.h"
#include "spool.h"
#include "transfer_error.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* A longer record is an error. */
enum { RECORD_LIMIT = 4 * 1024 * 1024, RECORD_HEAD_MAX = 80 };

struct record_head {
    char type[8];
    long long id, spid, length;
    long long at; /* in the spool; -1: the bytes follow */
};

/* Output that goes to a file or a buffer, and makes no event. */
struct record_file {
    int fd;               /* owned; -1: the stream goes to no file */
    struct bytes *buffer; /* borrowed, while Lua asks; or NULL */
    long long written;
};

struct record;

/* Start with records_init(), end with records_free(). */
struct records {
    char line[RECORD_HEAD_MAX]; /* an unfinished head */
    size_t line_length;
    bool in_body;
    struct record_head head;
    struct bytes body; /* an unfinished body */
    struct record *first, **last;
    size_t queued;  /* bytes in the finished records */
    long long spid; /* whose output that is */
    struct record_file out, err;
    long long last_written; /* the id of the last of these records; or -1 */
    struct spool spool;
    struct bytes read; /* from the spool, for one record */
    bool ended;        /* the files are closed when no record waits */
};

void records_init(struct records *records);
void records_free(struct records *records);
/* No more will be fed. The files are closed when no record waits any more. */
void records_end(struct records *records);
/* Close the files now. */
void records_close(struct records *records);
/* Parse `size` bytes; false with the error. */
bool records_feed(struct records *records, const char *data, size_t size,
                  struct transfer_error *error);
/* Push the oldest record as {id=, spid=, event=, data=}, or with `bytes` in
 * place of data, and drop it; or push nil; or push true, when output went to a
 * file, or to one of the buffers (or NULL), and more may wait. False with the
 * error. */
bool records_push(lua_State *L, struct records *records, struct bytes *out,
                  struct bytes *err, struct transfer_error *error);
/* Push the id of the last record that became no event, and how many bytes did
 * so: of stdout, of stderr; or nil if none did. */
int records_push_written(lua_State *L, const struct records *records);

#pragma GCC visibility pop

#endif
