/* volumes.c: see volumes.h. */
#include "operation/volumes.h"
#include "store/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One that is used or being removed. */
struct volume_use {
    struct volume_use *next;
    struct engine *engine;
    char name[TAG_SIZE];
    size_t runs;
    bool removing;
};

static struct volume_use *find(const struct engine *e, const char *name) {
    struct volume_use *use = e->volumes;
    while (use && strcmp(use->name, name) != 0)
        use = use->next;
    return use;
}

static struct volume_use *add(struct engine *e, const char *name,
                              struct fault *f) {
    struct volume_use *use = calloc(1, sizeof *use);
    if (!use) {
        fault_memory(f);
        return NULL;
    }
    snprintf(use->name, sizeof use->name, "%s", name);
    use->engine = e;
    use->next = e->volumes;
    e->volumes = use;
    return use;
}

static void forget(struct volume_use *use) {
    struct volume_use **at = &use->engine->volumes;
    while (*at != use)
        at = &(*at)->next;
    *at = use->next;
    free(use);
}

struct volume_use *volume_hold(struct engine *e, const char *name,
                               struct fault *f) {
    struct volume_use *use = find(e, name);
    if (use && use->removing) {
        fault_set(f, 409, "the volume \"%.256s\" is being removed", name);
        return NULL;
    }
    use = use ? use : add(e, name, f);
    if (use)
        use->runs++;
    return use;
}

void volume_release(struct volume_use *use) {
    if (use && --use->runs == 0)
        forget(use);
}

size_t volume_runs(const struct engine *e, const char *name) {
    const struct volume_use *use = find(e, name);
    return use ? use->runs : 0;
}

struct volume_use *volume_begin_removal(struct engine *e, const char *name,
                                        struct fault *f) {
    struct volume_use *use = find(e, name);
    if (use && use->removing)
        fault_set(f, 409, "the volume \"%.256s\" is being removed", name);
    else if (use)
        fault_set(f, 409,
                  "the volume \"%.256s\" is used by %zu run%s. Fix: cancel "
                  "%s, or wait for the end",
                  name, use->runs, use->runs == 1 ? "" : "s",
                  use->runs == 1 ? "it" : "them");
    else if ((use = add(e, name, f))) {
        use->removing = true;
        return use;
    }
    return NULL;
}

void volume_end_removal(struct volume_use *use) {
    forget(use);
}
