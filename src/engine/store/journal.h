/* journal.h: the ends of operations that are not in the database yet. To append
 * one takes a write of a few kilobytes, which survives a kill -9; a transaction
 * takes fifteen times as long, and costs little more for many of them. So what
 * is journaled goes to the database later, several at a time (store_fold()).
 * The caller holds the lock. */
#ifndef CONTREE_STORE_JOURNAL_H
#define CONTREE_STORE_JOURNAL_H

#include "base/fault.h"
#include "store/store.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct journal {
    int fd;
    char *data; /* as in the file; NULL: not open */
    size_t length, count;
    int64_t round; /* records of an earlier one are not read any more */
};

/* Open it with what a killed engine left in it. A newer engine's is refused. */
int journal_open(struct journal *j, int dir_fd, struct fault *f);
void journal_close(struct journal *j);
/* Append one. False: it does not fit or cannot be written. */
bool journal_add(struct journal *j, const struct operation_row *o,
                 const char *log, size_t log_length);
/* Visit all, the oldest first, until the visitor returns -1. */
int journal_each(const struct journal *j,
                 int (*visit)(void *arg, const struct operation_row *o,
                              const char *log, size_t log_length),
                 void *arg);
/* All are in the database. */
void journal_clear(struct journal *j);

#endif
