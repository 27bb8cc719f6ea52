/* process.h: one process of a sandbox: its pipes, and its events in the log of
 * the operation. Loop thread only. */
#ifndef CONTREE_OPERATION_PROCESS_H
#define CONTREE_OPERATION_PROCESS_H

#include "base/fault.h"
#include "operation/events.h"
#include "operation/result.h"
#include "operation/spec.h"
#include "sandbox/sandbox.h"

/* The most bytes that may wait for a process to read its standard input. */
enum { STDIN_QUEUE_MAX = 32 << 20 };

struct operation;
struct process;
/* Waits for room in the standard input of a process, or for its end. ready() is
 * called once, from the loop. */
struct input_waiter {
    void (*ready)(struct input_waiter *w);
};
/* Order the start in the sandbox of `op`. `run`, and `result` (or NULL), which
 * is told what the events are told, are borrowed for the life of the process.
 * NULL with the fault on failure. */
struct process *process_start(struct operation *op, int spid,
                              const struct run_process *run,
                              struct result *result, struct fault *f);
/* Free it in any state. Its log gets nothing more. */
void process_free(struct process *p);

/* Note what the sandbox reports. */
/* `terminal` is the master of its terminal, taken over also on failure; -1:
 * none. */
int process_spawned(struct process *p, int pid, const struct sandbox_account *a,
                    int terminal, struct fault *f);
void process_exited(struct process *p, const struct sandbox_exit *e);
/* NULL is not. */
bool process_is_spawned(const struct process *p);
bool process_has_exited(const struct process *p);

/* Read what is in the pipes now. True if both are at their end: all output is
 * in the log. */
bool process_drain(struct process *p);
/* Write the last events, truncated and exit. Without process_exited() the exit
 * event says that it was killed. Does nothing the second time, for NULL, or if
 * it never started. */
void process_finish(struct process *p, bool timed_out, const char *limit,
                    int64_t limit_value);
const struct sandbox_exit *process_exit(const struct process *p);

/* Queue bytes for its standard input, and with `close` the end of it: for a
 * terminal what a person types for that. 409 if it is closed or the process has
 * ended, 429 if too much waits already. */
int process_write(struct process *p, const void *data, size_t length,
                  bool close, struct fault *f);
/* Write bytes as its standard input, as many as there is room for now, and
 * return how many. If that is not all, `w` waits. 409 as above, and when
 * somebody else waits. */
ssize_t process_stream(struct process *p, const void *data, size_t length,
                       struct input_waiter *w, struct fault *f);
void process_unwait(struct process *p, struct input_waiter *w);
/* Make the rest of a regular file (taken over, even on failure), from `offset`
 * on, the rest of its standard input. 409 as above. */
int process_feed(struct process *p, int file, off_t offset, struct fault *f);

/* Resize its terminal. 409 if it has none (any more) or has ended. */
int process_resize(struct process *p, unsigned rows, unsigned columns,
                   struct fault *f);
/* Close the master of its terminal: the process gets SIGHUP, and what it writes
 * from now on fails. If it has not started yet, it gets SIGHUP when it does.
 * 409 if it has no terminal. */
int process_hang_up(struct process *p, struct fault *f);

#endif
