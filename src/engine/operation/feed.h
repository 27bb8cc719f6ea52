/* feed.h: a file that is the standard input of a process. A worker copies it to
 * the spool of the event log, ahead of the process; from there the kernel moves
 * the pages into the pipe. Each piece that the pipe took is a `stdin` event.
 * Loop thread only. */
#ifndef CONTREE_OPERATION_FEED_H
#define CONTREE_OPERATION_FEED_H

#include "base/fault.h"
#include "base/work.h"
#include "operation/events.h"

struct feed;
/* Begin to copy the regular file `file` (taken over, even on failure) from
 * `offset` to the end that it has now. ready(arg) is called when feed_write()
 * may go on. */
struct feed *feed_start(struct workers *workers, struct event_log *log,
                        int spid, int file, off_t offset,
                        void (*ready)(void *arg), void *arg, struct fault *f);
/* Move what is there to the pipe. FEED_FULL: when it can be written. FEED_WAIT:
 * after ready(). FEED_END: no more will come; a file that could not be read, or
 * became shorter, breaks the event log, so that the operation fails. */
enum feed_status { FEED_FULL, FEED_WAIT, FEED_END };
enum feed_status feed_write(struct feed *feed, int pipe);
/* Free it, with *feed NULL afterwards; does nothing when it is. */
void feed_stop(struct feed **feed);

#endif
