/* sse.h: an incremental parser of event streams (http-api.md §6.1).
 *
 * Lines end with LF, CRLF or CR. Several data lines are joined with LF, one
 * space after the colon is dropped, comments and unknown fields are ignored,
 * and so is an id with a NUL. A frame with an id or data becomes an event,
 * unless the stream ends before the frame does. */
#ifndef CONTREE_SSE_H
#define CONTREE_SSE_H

#include "bytes.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* More bytes than this between two frame ends are an error. */
enum { SSE_FRAME_LIMIT = 4 * 1024 * 1024 };

struct sse_field {
    struct bytes bytes;
    bool present;
};

struct sse_event;

/* Start with sse_init(), end with sse_free(). */
struct sse {
    struct sse_field id, event, data; /* of the frame being read */
    struct bytes line;                /* the start of an unfinished line */
    bool skip_lf;                     /* the last byte was a CR */
    size_t seen;                      /* bytes, as far as a BOM matters */
    const char *error;                /* constant string, or NULL */
    struct sse_event *first, **last;  /* the finished events */
    size_t queued;                    /* bytes in the finished events */
};

void sse_init(struct sse *sse);
void sse_free(struct sse *sse);
/* Parses `size` bytes; false once `error` is set. */
bool sse_feed(struct sse *sse, const char *data, size_t size);
/* Drops the oldest finished event; false when there is none. */
bool sse_drop(struct sse *sse);
/* Pushes the oldest finished event as {id=, event=, data=} and drops it, or
 * pushes nil. */
void sse_push(lua_State *L, struct sse *sse);

/* core.sse() -> parser; sse_register() makes its metatable. */
int sse_lua_new(lua_State *L);
void sse_register(lua_State *L);

#pragma GCC visibility pop

#endif
