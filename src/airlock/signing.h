/* signing.h: requests that a function of the client signs. The engine is asked,
 * which asks the client; who waits is called with the answer. */
#ifndef CONTREE_AIRLOCK_SIGNING_H
#define CONTREE_AIRLOCK_SIGNING_H

#include "airlock/events.h"
#include "airlock/http.h"
#include <jansson.h>

/* All that wait, in the order in which they came. The first SIGNING_MAX of them
 * were asked for; the others are when it is their turn. */
struct signing {
    struct events *events;
    struct signing_wait *first, **end;
    size_t asked;
    int64_t last_id;
};
void signing_init(struct signing *s, struct events *e);

/* One request that waits; part of who waits for it. */
struct signing_wait {
    struct signing_wait *next, **place;
    struct signing *signing; /* NULL: it does not wait */
    const struct http *http; /* after HTTP_SIGNS */
    const char *scheme;
    int64_t id; /* 0: nobody was asked yet */
    /* From the loop; it waits no longer. NULL as the answer: there is none. */
    void (*answered)(void *arg, const json_t *answer);
    void *arg;
};
/* Waits. The members from `http` on are set by the caller, but not `id`. */
void signing_begin(struct signing *s, struct signing_wait *w);
/* Waits no longer. Does nothing when it does not. */
void signing_cancel(struct signing_wait *w);

#endif
