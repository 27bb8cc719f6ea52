/* signing.c: see signing.h. */
#include "operation/signing.h"
#include "airlock/policy/signature.h"
#include "base/clock.h"
#include "base/json.h"
#include "operation/internal.h"
#include "sandbox/sandbox.h"
#include <stdlib.h>
#include <string.h>

enum {
    FRAME_MAX = 2 * SIGNING_ASK_MAX,
    LINE_MAX_BYTES = 8 * SIGNATURE_MAX /* each byte may be escaped */
};

/* A request that waits. */
struct asked {
    struct asked *next;
    int64_t id;
    double until; /* the airlock refuses it then: monotonic seconds */
    char *frame;
};

struct signing {
    struct asked *first;
    size_t count;
    struct signing_reader *reader; /* or NULL */
};

/* ---- what waits ---- */

static void drop(struct signing *s, struct asked **place) {
    struct asked *a = *place;
    *place = a->next;
    s->count--;
    free(a->frame);
    free(a);
}

/* The oldest one goes: the airlock does not ask for so many. */
static void keep(struct signing *s, struct asked *a) {
    struct asked **end = &s->first;
    while (*end)
        end = &(*end)->next;
    *end = a;
    if (++s->count > SIGNING_MAX)
        drop(s, &s->first);
}

static struct asked **find(struct signing *s, int64_t id) {
    struct asked **a = &s->first;
    while (*a && (*a)->id != id)
        a = &(*a)->next;
    return a;
}

/* ---- who is asked ---- */

static void end_reader(struct signing_reader *r) {
    r->op = NULL;
    r->news(r);
}

static void tell(struct signing_reader *r, const struct asked *a) {
    if (!buffer_add(&r->text, a->frame, strlen(a->frame)))
        signing_unfollow(r);
    r->news(r);
}

static struct signing *signing_of(struct operation *op, struct fault *f) {
    if (!op->signing && !(op->signing = calloc(1, sizeof *op->signing)))
        fault_memory(f);
    return op->signing;
}

int signing_follow(struct operation *op, struct signing_reader *r,
                   struct fault *f) {
    if (!op->run.rules.signs)
        return fault_set(f, 409,
                         "the run has no secret that a function signs with");
    struct signing *s = signing_of(op, f);
    if (!s)
        return -1;
    if (s->reader)
        end_reader(s->reader);
    s->reader = r;
    r->op = op;
    buffer_init(&r->text, (SIGNING_MAX + 1) * FRAME_MAX);
    for (struct asked *a = s->first; a && r->op; a = a->next)
        if (a->until > monotonic_seconds())
            tell(r, a);
    return 0;
}

void signing_unfollow(struct signing_reader *r) {
    if (!r->op)
        return;
    r->op->signing->reader = NULL;
    r->op = NULL;
}

/* ---- asking and answering ---- */

/* Has to be whole, so that what is asked is what is sent. */
static char *frame_of(const json_t *report) {
    struct buffer b;
    buffer_init(&b, FRAME_MAX);
    buffer_addf(&b, "event: sign\ndata: ");
    json_open(&b, NULL, '{');
    json_add_value(&b, "id", json_object_get(report, "id"));
    json_add_value(&b, "secret", json_object_get(report, "secret"));
    json_add_value(&b, "request", json_object_get(report, "request"));
    json_close(&b, '}');
    json_end(&b);
    buffer_addf(&b, "\n\n");
    return buffer_take(&b);
}

static bool is_ask(const json_t *report) {
    const char *event = json_string_value(json_object_get(report, "event"));
    return event && strcmp(event, "sign") == 0 &&
           json_is_integer(json_object_get(report, "id")) &&
           json_is_string(json_object_get(report, "secret")) &&
           json_is_object(json_object_get(report, "request"));
}

void signing_take(struct operation *op, const json_t *report) {
    struct fault f;
    if (op->concluded || !op->run.rules.signs || !is_ask(report))
        return;
    struct signing *s = signing_of(op, &f);
    struct asked *a = s ? calloc(1, sizeof *a) : NULL;
    if (!a || !(a->frame = frame_of(report))) {
        free(a);
        return; /* the airlock refuses it in time */
    }
    a->id = json_integer_value(json_object_get(report, "id"));
    a->until = monotonic_seconds() + SIGNING_MS / 1000.0;
    keep(s, a);
    if (s->reader)
        tell(s->reader, a);
}

static int write_answer(struct buffer *b, int64_t id, const json_t *answer,
                        struct fault *f) {
    bool refused = json_is_true(json_object_get(answer, "refused"));
    if (!refused && signature_check(answer, f) < 0)
        return -1;
    json_open(b, NULL, '{');
    json_add_int(b, "id", id);
    if (!refused)
        json_add_value(b, "headers", json_object_get(answer, "headers"));
    json_close(b, '}');
    json_end(b);
    return buffer_add(b, "\n", 1) ? 0 : fault_memory(f);
}

int signing_answer(struct operation *op, int64_t id, const json_t *answer,
                   struct fault *f) {
    struct signing *s = op->signing;
    struct asked **a = s ? find(s, id) : NULL;
    struct buffer b;
    if (!a || !*a || !op->sandbox)
        return fault_set(f, 404, "nothing waits to be signed as %lld",
                         (long long)id);
    buffer_init(&b, LINE_MAX_BYTES);
    int rc = write_answer(&b, id, answer, f);
    if (rc == 0)
        rc = sandbox_answer(op->sandbox, b.data, b.length, f);
    if (b.data)
        explicit_bzero(b.data, b.capacity);
    buffer_free(&b);
    if (rc == 0)
        drop(s, a);
    return rc;
}

/* ---- the end ---- */

void signing_end(struct operation *op) {
    struct signing *s = op->signing;
    if (!s)
        return;
    if (s->reader)
        end_reader(s->reader);
    s->reader = NULL;
    while (s->first)
        drop(s, &s->first);
}

void signing_free(struct operation *op) {
    signing_end(op);
    free(op->signing);
}
