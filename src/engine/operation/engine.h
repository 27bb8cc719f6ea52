/* engine.h: what the parts of one running engine share. All of it belongs to
 * the loop thread. Worker threads (uv_queue_work) may use only what a header
 * calls thread-safe. */
#ifndef CONTREE_OPERATION_ENGINE_H
#define CONTREE_OPERATION_ENGINE_H

#include "base/descriptor.h"
#include "base/ids.h"
#include "base/work.h"
#include "sandbox/cgroup.h"
#include "sandbox/runtime.h"
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct store;
struct launcher;
struct http_server;
struct operations;
struct layers;
struct inspection;
struct volume_use;

struct engine_config {
    const char *data_dir;    /* absolute; made if missing, mode 0700 */
    const char *socket_path; /* absolute; NULL: no Unix socket */
    bool group;              /* our group may use it, as clients over TCP */
    const char *listen;      /* "127.0.0.1:0" style; NULL: no TCP */
    const char *token;       /* bearer token for TCP; NULL with no TCP */
    double idle_seconds;     /* exit after this long without work; 0: never */
    struct limits limits;    /* of a run that sets none; 0 each: no limit */
    int ready_fd; /* gets one byte once the engine serves; -1: none */
    const struct runtime *runtime; /* makes sandboxes; NULL: contree-init */
    /* How many runs may have a sandbox, and how many may wait for one. */
    size_t max_runs, max_queued;
    int nice; /* added to the nice value of sandboxes */
    /* Directories of the host that requests over TCP may mount, absolute. */
    const char *const *allowed_mounts;
    size_t allowed_mount_count;
    bool plain_api; /* serve no extension of http-api.md */
};

struct engine {
    const struct engine_config *config;
    uv_loop_t *loop;
    int dir_fd; /* the data directory */
    struct store *store;
    struct launcher *launcher;
    struct http_server *http;
    struct operations *operations;
    struct layers *layers;
    struct id_range ids;
    struct fault
        no_busybox; /* why busybox:latest was not made; status 0: it is */
    struct descriptors descriptors;
    struct workers workers;
    size_t archives;  /* that are being sent */
    size_t importing; /* imports of contree-engine import that are going on */
    struct inspection *inspections; /* of images, now; see api/inspection.h */
    struct volume_use *volumes;     /* that are used; operation/volumes.h */
    size_t mounts;    /* directories of the host that runs have or wait with */
    bool collecting;  /* garbage collection is going on */
    double collected; /* when the engine last collected by itself; 0: never */
};

/* The engine that a job belongs to. */
static inline struct engine *job_engine(const struct job *j) {
    return (struct engine *)((char *)j->workers -
                             offsetof(struct engine, workers));
}

#endif
