/* engine.h: what the parts of one running engine share. Everything here belongs
 * to the loop thread; worker threads (uv_queue_work) may use only what a header
 * names as thread-safe. */
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

struct engine_config {
    const char *data_dir;    /* absolute; made if missing, mode 0700 */
    const char *socket_path; /* absolute; NULL: no Unix socket */
    const char *listen;      /* "127.0.0.1:0" style; NULL: no TCP */
    const char *token;       /* bearer token for TCP; NULL with no TCP */
    double idle_seconds;     /* leave after this long without work; 0 never */
    struct limits limits;    /* of a run that asks for none; 0 each: none */
    int ready_fd;            /* gets one byte when serving; -1 none */
    const struct runtime *runtime; /* makes the sandboxes; NULL: native */
    /* Runs that have a sandbox at a time; that wait for one. */
    size_t max_runs, max_queued;
    int nice; /* by how much the priority of sandboxes is lower than ours */
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
    struct descriptors descriptors;
    struct workers workers;
    size_t archives;                /* being sent now */
    size_t importing;               /* for contree-engine import, now */
    struct inspection *inspections; /* of images, now; see api/inspection.h */
    bool collecting;                /* garbage */
    double collected; /* when that was last tried unasked; 0 never */
};

/* Whose work a job is. */
static inline struct engine *job_engine(const struct job *j) {
    return (struct engine *)((char *)j->workers -
                             offsetof(struct engine, workers));
}

#endif
