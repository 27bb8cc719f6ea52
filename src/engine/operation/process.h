/* process.h: one process of a sandbox as the operation sees it: its pipes, and
 * its events in the operation's log. Loop thread only. */
#ifndef CONTREE_OPERATION_PROCESS_H
#define CONTREE_OPERATION_PROCESS_H

#include "base/fault.h"
#include "operation/events.h"
#include "operation/spec.h"
#include "sandbox/sandbox.h"

/* The most that may wait to be read by a process from its standard input. */
enum { STDIN_QUEUE_MAX = 32 << 20 };

struct process;
struct process_spec {
    uv_loop_t *loop;
    struct event_log *log;
    int spid;
    const struct run_process *run; /* borrowed for the process's life */
    const json_t *image_env;       /* borrowed for the call */
};
/* Orders the start. NULL with the fault when it cannot be. */
struct process *process_start(const struct process_spec *spec,
                              struct sandbox *sandbox, struct fault *f);
/* Frees it, whatever state it is in. Its log gets nothing more. */
void process_free(struct process *p);

/* What the sandbox tells. */
void process_spawned(struct process *p, int pid,
                     const struct sandbox_account *a);
void process_exited(struct process *p, const struct sandbox_exit *e);
bool process_is_spawned(const struct process *p);
bool process_has_exited(const struct process *p);

/* Reads what is in the pipes now. True when nobody can write to them any more:
 * all its output is in the log. */
bool process_drain(struct process *p);
/* Writes the last events: truncated and exit. Without process_exited() the
 * exit says that it was killed. Does nothing the second time or when it never
 * started. */
void process_finish(struct process *p, bool timed_out, const char *limit,
                    int64_t limit_value);
const struct sandbox_exit *process_exit(const struct process *p);

/* Queues bytes for its standard input and closes it after them. 409 when it is
 * closed or the process has ended, 429 when too much waits already. */
int process_write(struct process *p, const void *data, size_t length,
                  bool close, struct fault *f);

#endif
