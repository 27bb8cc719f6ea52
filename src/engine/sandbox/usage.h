/* usage.h: what a sandbox uses while it runs, as far as the kernel tells: its
 * control groups where it has limits, else /proc of its processes. */
#ifndef CONTREE_SANDBOX_USAGE_H
#define CONTREE_SANDBOX_USAGE_H

#include "base/fault.h"
#include "sandbox/cgroup.h"
#include <stdbool.h>
#include <stdint.h>

struct sandbox;

/* Counts are -1 where the kernel does not tell. */
struct usage {
    double cpu_seconds; /* of all processes, also of those that have ended */
    int64_t memory_bytes, memory_peak_bytes;
    int64_t processes;                  /* without init */
    int64_t read_bytes, written_bytes;  /* of block devices */
    int64_t received_bytes, sent_bytes; /* but on the loopback interface */
};

/* Where it is read from; owns its descriptors. */
struct usage_source {
    int pidfd;          /* of the first process */
    bool under_runtime; /* then init is below it, in a namespace of its own */
    struct cgroup_files groups;
};
/* 409 when the sandbox has no process any more, or none yet. Loop thread. */
int usage_open(const struct sandbox *s, struct usage_source *out,
               struct fault *f);
/* Reads it. Any thread; takes a file or more for each process. 409 when the
 * sandbox has ended meanwhile. */
int usage_read(const struct usage_source *s, struct usage *out,
               struct fault *f);
void usage_close(struct usage_source *s);

#endif
