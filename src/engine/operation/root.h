/* root.h: the root of a run's sandbox: what is mounted before its first
 * process, and how. Loop thread only. */
#ifndef CONTREE_OPERATION_ROOT_H
#define CONTREE_OPERATION_ROOT_H

#include "layer/workspace.h"
#include "operation/engine.h"
#include "operation/mounts.h"
#include "sandbox/sandbox.h"

/* Borrowed pointers. */
struct root {
    const int64_t *layers; /* of the image, top first */
    size_t layer_count;
    const char *hostname;
    int64_t shm_bytes, max_file_bytes; /* as in struct sandbox_spec */
    unsigned image_etc;
    bool places; /* files of the engine are mounted in /etc */
    bool networking;
    const char *rules; /* as in struct sandbox_spec; a root with some equals no
                        * other */
    bool trusts;       /* the same */
    enum tracing tracing; /* a root that is traced equals no other */
    struct limits limits;
    struct run_mounts mounts; /* a root with some equals no other */
};

struct operation;
struct root root_of(const struct operation *op);
bool root_equals(const struct root *a, const struct root *b);

/* Take a workspace and start a sandbox above the layers in it. The caller owns
 * both; on failure neither. */
struct sandbox *root_start(struct engine *e, const struct root *root,
                           const struct sandbox_callbacks *callbacks, void *arg,
                           struct workspace *out, struct fault *f);
/* Give back the workspace of a sandbox that is gone. */
void root_end(struct engine *e, const struct workspace *w);

#endif
