/* sink.h: where the body of a response goes.
 *
 * A STRING is kept, up to `max_body` bytes. A FILE is written under another
 * name and renamed when all of it has come, with a 2xx status. CHUNKS are
 * drained by Lua. EVENTS are parsed, as a stream or as records by the type of
 * the answer, and drained by Lua, too. Unless the status is 2xx, a body for a
 * FILE or EVENTS goes to a string. */
#ifndef CONTREE_SINK_H
#define CONTREE_SINK_H

#include "bytes.h"
#include "digest.h"
#include "head.h"
#include "inflate.h"
#include "records.h"
#include "sse.h"
#include "transfer_error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

enum sink_kind { SINK_STRING, SINK_FILE, SINK_CHUNKS, SINK_EVENTS };

struct sink {
    enum sink_kind kind;
    bool as_string;     /* the body goes to `bytes`, whatever the kind */
    struct bytes bytes; /* the string, or chunks not yet drained */
    size_t max_body;    /* bytes of a string */
    unsigned long long announced; /* Content-Length, 0: not known */
    size_t high_water;      /* bytes held for Lua until the server must wait */
    bool paused;            /* libcurl holds back until Lua has drained */
    char *path, *temporary; /* FILE; temporary: NULL when there is none */
    int fd;                 /* FILE, -1 while closed */
    mode_t mode;            /* FILE */
    struct sse sse;         /* EVENTS */
    struct records records; /* EVENTS, in place of sse if has_records */
    bool has_records;
    struct inflater *inflater; /* NULL: the body is not compressed */
    struct digest *digest;     /* NULL unless wanted */
};

void sink_init(struct sink *sink);
/* Makes the temporary file, so that a bad path fails before the request. */
bool sink_open(struct sink *sink, struct transfer_error *error);
/* Decides by the headers what to do with the body. */
bool sink_begin(struct sink *sink, const struct response_head *head,
                struct transfer_error *error);
/* Takes bytes as they came over the network. */
bool sink_write(struct sink *sink, const char *data, size_t size,
                struct transfer_error *error);
/* Bytes held until Lua drains them. */
size_t sink_held(const struct sink *sink);
/* When the whole body has come: checks the end of the compressed stream, and
 * renames the file. */
bool sink_finish(struct sink *sink, struct transfer_error *error);
/* Frees what only a running transfer needs, and removes an unfinished file (not
 * in a forked child). Keeps the bytes and events that Lua may drain. */
void sink_close(struct sink *sink, bool forked);
void sink_free(struct sink *sink);

#pragma GCC visibility pop

#endif
