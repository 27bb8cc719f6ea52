/* head.h: the header block of a response. */
#ifndef CONTREE_HEAD_H
#define CONTREE_HEAD_H

#include "bytes.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* A header block larger than this is an error, and so are all blocks of an
 * answer together: interim answers, the final one and trailers. */
enum { HEAD_LIMIT = 256 * 1024, HEADS_LIMIT = 1024 * 1024 };

/* Keeps the lines as they came. */
struct response_head {
    struct bytes lines;
    int count;  /* of lines */
    int status; /* of the status line last seen; 0: none yet */
};

/* Adds one line with its line end; a status line starts a new block. False when
 * the block gets too large. */
bool head_add(struct response_head *head, const char *line, size_t size);
/* The value of the last header `name` (lower-case), without white space
 * around it, and its size; NULL when there is none. */
const char *head_find(const struct response_head *head, const char *name,
                      size_t *size);
/* Pushes {lower-case name = value}; of repeated names the last wins. */
void head_push(lua_State *L, const struct response_head *head);
void head_free(struct response_head *head);

#pragma GCC visibility pop

#endif
