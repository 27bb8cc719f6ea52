/* subids.h: /etc/subuid and /etc/subgid, which say what ids a user may map: the
 * lines NAME:FIRST:COUNT, as the programs of the package uidmap read them. What
 * is no such line is left out. */
#ifndef CONTREE_BASE_SUBIDS_H
#define CONTREE_BASE_SUBIDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Borrowed until the next line is read. */
struct subids_line {
    const char *name;      /* of a user, or its number; never empty */
    uint32_t first, count; /* first + count <= UINT32_MAX, count > 0 */
};

struct subids {
    FILE *file; /* NULL: the file could not be opened; it has no lines */
    char text[1024];
};

void subids_open(struct subids *s, const char *path);
bool subids_next(struct subids *s, struct subids_line *out);
void subids_close(struct subids *s);

/* The first of `count` ids, from `from` on, of which neither file has one. */
uint64_t subids_find_free(const char *users, const char *groups, uint32_t from,
                          uint32_t count);

#endif
