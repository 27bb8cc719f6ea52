/* mounts.h: the volumes and directories of the host that a run asks for
 * (http-api.md §5.7): reading them, and having them ready when it starts. */
#ifndef CONTREE_OPERATION_MOUNTS_H
#define CONTREE_OPERATION_MOUNTS_H

#include "base/json.h"
#include "operation/engine.h"
#include "sandbox/sandbox.h"
#include "store/store.h"

struct volume_use;

/* A volume, or a directory of the host. */
struct run_mount {
    char *target;              /* absolute and normal */
    const char *volume, *path; /* borrowed; one of them is NULL */
    bool noexec;
    struct volume_use *use;      /* NULL: not held */
    struct stored_volume stored; /* the volume, once it is open */
    int64_t bytes;  /* of the volume when the run began, or VOLUME_UNMEASURED */
    int unmeasured; /* times that its size could not be told, one after another
                     */
    int tree;       /* a detached mount of the directory, or -1 */
};
struct run_mounts {
    struct run_mount *list;
    size_t count;
    double measure_after;  /* when to look at quotas again, monotonic seconds */
    struct engine *engine; /* since run_mounts_hold() */
    size_t held;           /* directories counted in engine->mounts */
};

/* Read `volumes` and `mounts` of a request. The first wrong one fills the fault
 * of `r`. Clear `out` in any case. */
void run_mounts_parse(struct fields *r, struct run_mounts *out);
/* Write them as the request has them. */
void run_mounts_echo(struct buffer *b, const json_t *request);

/* Hold the volumes (volumes.h), and descriptors for the directories, until
 * run_mounts_release(): loop thread. 429 when there are no more of these. */
int run_mounts_hold(struct engine *e, struct run_mounts *m, struct fault *f);
/* Make the volumes that are missing, and open the directories of the host: for
 * a request over the Unix socket (`local`) any that the engine may open, else
 * those that its configuration allows. Worker, after run_mounts_hold(). */
int run_mounts_open(const struct engine *e, struct run_mounts *m, bool local,
                    struct fault *f);
/* Close the directories, of which a sandbox has copies. */
void run_mounts_close(struct run_mounts *m);
/* Release the volumes, too, but keep what was asked for: loop thread. */
void run_mounts_release(struct run_mounts *m);
/* The same, and free everything. */
void run_mounts_clear(struct run_mounts *m);

/* A list for struct sandbox_spec, which borrows from them and which the caller
 * frees. NULL: there is nothing to mount, or no memory. */
struct sandbox_mount *run_mounts_list(const struct run_mounts *m);

#endif
