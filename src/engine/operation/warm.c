/* warm.c: see warm.h. */
#include "operation/warm.h"
#include "operation/internal.h"
#include <stdlib.h>
#include <string.h>

struct warm_sandbox {
    struct warm_sandbox *next;
    struct warm_pool *pool;
    struct sandbox *sandbox;
    struct workspace workspace;
    bool started, ended;
};

struct warm_pool {
    struct engine *engine;
    struct root expected; /* its strings are owned; no layers: none */
    bool came;            /* the last run was as expected */
    struct warm_sandbox *list;
    size_t count, dying;
};

struct warm_pool *warm_open(struct engine *e) {
    struct warm_pool *p = calloc(1, sizeof *p);
    if (p)
        p->engine = e;
    return p;
}

static void forget(struct warm_pool *p) {
    free((void *)p->expected.layers);
    free((void *)p->expected.hostname);
    p->expected = (struct root){0};
}

void warm_close(struct warm_pool *p) {
    if (!p)
        return;
    forget(p);
    free(p);
}

size_t warm_count(const struct warm_pool *p) {
    return p->count + p->dying;
}

/* ---- one sandbox ---- */

static void on_started(void *arg) {
    ((struct warm_sandbox *)arg)->started = true;
}

/* Take it out of the list. It is killed or given away. */
static void unlink_one(struct warm_sandbox *w) {
    struct warm_sandbox **p = &w->pool->list;
    while (*p != w)
        p = &(*p)->next;
    *p = w->next;
    w->pool->count--;
}

static void end(struct warm_sandbox *w) {
    unlink_one(w);
    w->ended = true;
    w->pool->dying++;
}

/* Nobody waits for it: a run that needs one is told why it cannot be made. */
static void on_failed(void *arg, const struct fault *why) {
    struct warm_sandbox *w = arg;
    (void)why;
    w->pool->came = false;
    if (!w->ended)
        end(w);
}

static void on_gone(void *arg) {
    struct warm_sandbox *w = arg;
    if (!w->ended)
        end(w);
    w->pool->dying--;
    root_end(w->pool->engine, &w->workspace);
    free(w);
}

static void kill_one(struct warm_sandbox *w) {
    end(w);
    sandbox_kill(w->sandbox);
}

/* Only `started`, `failed` and `gone` come: nothing is ordered. */
static const struct sandbox_callbacks waiting = {
    .started = on_started, .failed = on_failed, .gone = on_gone};

static bool make_one(struct warm_pool *p) {
    struct fault f;
    struct warm_sandbox *w = calloc(1, sizeof *w);
    if (!w)
        return false;
    w->pool = p;
    w->sandbox =
        root_start(p->engine, &p->expected, &waiting, w, &w->workspace, &f);
    if (!w->sandbox) {
        free(w);
        return false;
    }
    w->next = p->list;
    p->list = w;
    p->count++;
    return true;
}

/* ---- the pool ---- */

void warm_drop(struct warm_pool *p) {
    while (p->list)
        kill_one(p->list);
    forget(p);
    p->came = false;
}

/* Runs that wait take all sandboxes that can be made. Garbage collection wants
 * the layers of images that are deleted. */
static bool is_time(const struct warm_pool *p) {
    const struct operations *all = p->engine->operations;
    return !all->stopping && !all->runs.waiting && !p->engine->collecting;
}

static bool is_expected(const struct warm_pool *p, const struct root *root) {
    return p->expected.layers && root_equals(&p->expected, root);
}

static void expect(struct warm_pool *p, const struct root *root) {
    size_t size = (root->layer_count + 1) * sizeof *root->layers;
    int64_t *layers = malloc(size);
    char *hostname = strdup(root->hostname);
    warm_drop(p);
    if (!layers || !hostname) {
        free(layers);
        free(hostname);
        return;
    }
    p->expected = *root;
    p->expected.layers = memcpy(layers, root->layers, size);
    p->expected.hostname = hostname;
}

struct sandbox *warm_take(struct warm_pool *p, const struct root *root,
                          const struct sandbox_callbacks *callbacks, void *arg,
                          struct workspace *out, bool *started) {
    bool came = is_expected(p, root);
    if (!came)
        expect(p, root);
    p->came = came;
    while (p->list) {
        struct warm_sandbox *w = p->list;
        if (!sandbox_is_usable(w->sandbox)) {
            kill_one(w);
            continue;
        }
        struct sandbox *s = w->sandbox;
        sandbox_hand_over(s, callbacks, arg);
        *out = w->workspace;
        *started = w->started;
        unlink_one(w);
        free(w);
        return s;
    }
    return NULL;
}

void warm_fill(struct warm_pool *p, const struct root *root, size_t count) {
    if (!is_time(p) || root->networking || !is_expected(p, root))
        return;
    while (p->came && p->count < count && make_one(p))
        continue;
}

void warm_follow(struct warm_pool *p, const struct root *root,
                 const struct root *made, size_t count) {
    bool came = p->came;
    if (!is_expected(p, root))
        return;
    if (!root_equals(root, made))
        expect(p, made);
    p->came = came;
    warm_fill(p, made, count);
}
