/* resolve.c: see resolve.h. */
#define _GNU_SOURCE
#include "airlock/resolve.h"
#include "airlock/policy/rules.h"
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

/* libuv has four workers. */
enum { AT_ONCE = 4, KEPT = 1024 };

/* Whoever waits for a name. */
struct resolution {
    struct resolution *next;
    struct known *known; /* NULL: cancelled */
    void (*found)(void *arg, const struct address *list, size_t count);
    void *arg;
};

enum state { STATE_QUEUED, STATE_ASKED, STATE_KNOWN };

struct known {
    struct known *next; /* the youngest first */
    struct resolver *resolver;
    uv_getaddrinfo_t request;
    char name[NAME_SIZE];
    enum state state;
    uint64_t until; /* uv_now() */
    struct address list[ADDRESSES_MAX];
    size_t count;
    struct resolution *waiting;
};

struct resolver {
    uv_loop_t *loop;
    struct known *names;
    size_t count, asked;
};

struct resolver *resolver_open(uv_loop_t *loop, struct fault *f) {
    struct resolver *r = calloc(1, sizeof *r);
    if (r)
        r->loop = loop;
    else
        fault_memory(f);
    return r;
}

static void keep(struct known *k, const struct addrinfo *info) {
    for (; info && k->count < ADDRESSES_MAX; info = info->ai_next)
        k->count += address_of(info->ai_addr, &k->list[k->count]);
    k->state = STATE_KNOWN;
    k->until = uv_now(k->resolver->loop) +
               (k->count > 0 ? RESOLVE_KEPT_MS : RESOLVE_FAILED_KEPT_MS);
}

static void tell(struct known *k) {
    struct resolution *w = k->waiting;
    k->waiting = NULL;
    while (w) {
        struct resolution *next = w->next;
        if (w->known)
            w->found(w->arg, k->list, k->count);
        free(w);
        w = next;
    }
}

static void ask_next(struct resolver *r);

static void on_answer(uv_getaddrinfo_t *request, int status,
                      struct addrinfo *info) {
    struct known *k = request->data;
    struct resolver *r = k->resolver;
    r->asked--;
    keep(k, status == 0 ? info : NULL);
    uv_freeaddrinfo(info);
    ask_next(r);
    tell(k);
}

static void ask(struct known *k) {
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_ADDRCONFIG};
    k->request.data = k;
    k->state = STATE_ASKED;
    k->resolver->asked++;
    if (uv_getaddrinfo(k->resolver->loop, &k->request, on_answer, k->name, NULL,
                       &hints) == 0)
        return;
    k->resolver->asked--;
    keep(k, NULL);
    tell(k);
}

static struct known *oldest_queued(const struct resolver *r) {
    struct known *found = NULL;
    for (struct known *k = r->names; k; k = k->next)
        if (k->state == STATE_QUEUED)
            found = k;
    return found;
}

static void ask_next(struct resolver *r) {
    struct known *k;
    while (r->asked < AT_ONCE && (k = oldest_queued(r)))
        ask(k);
}

/* Forget what is out of date, and when there is too much, all that nobody waits
 * for. */
static void tidy(struct resolver *r) {
    uint64_t now = uv_now(r->loop);
    struct known **place = &r->names;
    while (*place) {
        struct known *k = *place;
        if (k->state != STATE_KNOWN || k->waiting ||
            (k->until > now && r->count < KEPT)) {
            place = &k->next;
            continue;
        }
        *place = k->next;
        r->count--;
        free(k);
    }
}

static struct known *find(const struct resolver *r, const char *name) {
    for (struct known *k = r->names; k; k = k->next)
        if (strcmp(k->name, name) == 0)
            return k;
    return NULL;
}

static struct known *add(struct resolver *r, const char *name) {
    struct known *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    snprintf(k->name, sizeof k->name, "%s", name);
    k->resolver = r;
    k->next = r->names;
    r->names = k;
    r->count++;
    return k;
}

struct resolution *resolve(struct resolver *r, const char *name,
                           void (*found)(void *arg, const struct address *list,
                                         size_t count),
                           void *arg) {
    tidy(r);
    struct known *k = find(r, name);
    if (k && k->state == STATE_KNOWN) {
        found(arg, k->list, k->count);
        return NULL;
    }
    struct resolution *w = calloc(1, sizeof *w);
    if (w && !k)
        k = add(r, name);
    if (!w || !k) {
        free(w);
        found(arg, NULL, 0);
        return NULL;
    }
    *w = (struct resolution){k->waiting, k, found, arg};
    k->waiting = w;
    if (k->state == STATE_QUEUED)
        ask_next(r);
    /* It may have failed at once. */
    return k->state == STATE_KNOWN ? NULL : w;
}

/* The answer frees it. */
void resolution_cancel(struct resolution *w) {
    if (w)
        w->known = NULL;
}
