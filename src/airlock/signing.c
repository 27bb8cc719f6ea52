/* signing.c: see signing.h. */
#include "airlock/signing.h"
#include "airlock/policy/signature.h"
#include "base/json.h"
#include <string.h>

static void leave(struct signing_wait *w) {
    struct signing *s = w->signing;
    *w->place = w->next;
    if (w->next)
        w->next->place = w->place;
    else
        s->end = w->place;
    if (w->id)
        s->asked--;
    w->signing = NULL;
}

/* A request that cannot be told, or is too long for that, is not signed: who
 * waits gives up in time. */
static void ask(struct signing *s, struct signing_wait *w) {
    struct buffer b;
    buffer_init(&b, SIGNING_ASK_MAX);
    w->id = ++s->last_id;
    s->asked++;
    json_open(&b, NULL, '{');
    json_add_string(&b, "event", "sign");
    json_add_int(&b, "id", w->id);
    json_add_string(&b, "secret", http_signer(w->http));
    bool told = http_write_unsigned(w->http, w->scheme, &b);
    json_close(&b, '}');
    json_end(&b);
    if (told && !b.failed)
        events_say(s->events, &b);
    buffer_free(&b);
}

static void ask_next(struct signing *s) {
    for (struct signing_wait *w = s->first; w && s->asked < SIGNING_MAX;
         w = w->next)
        if (!w->id)
            ask(s, w);
}

static void on_answer(void *arg, const json_t *answer) {
    struct signing *s = arg;
    const json_t *id = json_object_get(answer, "id");
    struct signing_wait *w = s->first;
    while (w && !(json_is_integer(id) && w->id == json_integer_value(id)))
        w = w->next;
    if (!w)
        return; /* it came too late */
    leave(w);
    ask_next(s);
    w->answered(w->arg, json_object_get(answer, "headers") ? answer : NULL);
}

void signing_init(struct signing *s, struct events *e) {
    *s = (struct signing){.events = e, .end = &s->first};
    events_on_answer(e, on_answer, s);
}

void signing_begin(struct signing *s, struct signing_wait *w) {
    w->signing = s;
    w->id = 0;
    w->next = NULL;
    w->place = s->end;
    *s->end = w;
    s->end = &w->next;
    ask_next(s);
}

void signing_cancel(struct signing_wait *w) {
    struct signing *s = w->signing;
    if (!s)
        return;
    leave(w);
    ask_next(s);
}
