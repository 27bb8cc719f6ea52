/* event_log.h: the state of an event log, for events.c and event_reader.c only.
 */
#ifndef CONTREE_OPERATION_EVENT_LOG_H
#define CONTREE_OPERATION_EVENT_LOG_H

#include "base/buffer.h"
#include "base/fault.h"
#include "base/uuid.h"
#include <stdbool.h>
#include <stdint.h>

/* The longest line: a spawn event of the longest command line, escaped. */
enum { LINE_MAX_BYTES = 32 << 20 };

/* A file of bytes beside the log: e/UUID.raw has output and small input, and
 * e/UUID.in the rest of the input, so that who writes one need not wait for who
 * writes the other. */
struct spool {
    int fd;       /* -1: none yet */
    int64_t used; /* bytes */
};
enum { OUTPUT_SPOOL, INPUT_SPOOL, SPOOLS };

struct event_log {
    int references;
    int dir_fd;
    char uuid[UUID_SIZE];
    struct buffer text; /* all lines; with a file only the one being written */
    int fd;             /* -1: in memory */
    struct spool spools[SPOOLS];
    int64_t size;    /* bytes of complete lines */
    int64_t visible; /* how many of these bytes readers may see */
    int64_t next_id;
    int64_t held_id; /* next_id at the hold */
    bool held, finished;
    size_t begun; /* where the line being written starts in `text` */
    struct fault fault;
    struct event_subscriber *subscribers;
};

/* Cut the log off after `size` bytes. */
void event_log_cut(struct event_log *log, int64_t size);

#endif
