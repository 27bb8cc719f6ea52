/* egress_reports.c: see egress_reports.h. */
#include "operation/egress_reports.h"
#include "base/buffer.h"
#include "base/json.h"
#include "operation/internal.h"
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_MAX = 256,    /* bytes of a member */
    EVENTS_MAX = 4096, /* of one run, before counts are told at its end only */
    PORT_MAX = 65535
};

/* What is yet to be told at the end. */
struct untold {
    struct egress counts;
    int events;
};

/* How much of a text to take: whole characters. */
static size_t cut(const char *text) {
    size_t length = strlen(text);
    if (length <= TEXT_MAX)
        return length;
    length = TEXT_MAX;
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return length;
}

static void take_texts(json_t *data, const json_t *report) {
    static const char *const names[] = {
        "protocol", "name",    "address", "method", "path",   "reason",
        "call",     "program", "missing", "read",   "written"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = json_string_value(json_object_get(report, names[i]));
        if (text)
            json_object_set_new(data, names[i], json_stringn(text, cut(text)));
    }
}

static json_int_t within(json_int_t value, json_int_t low, json_int_t high) {
    return value < low ? low : value > high ? high : value;
}

/* The known members of a report, in bounds. */
static json_t *data_of(const json_t *report) {
    json_t *data = json_object();
    const json_t *port = json_object_get(report, "port");
    if (!data)
        return NULL;
    take_texts(data, report);
    if (json_is_integer(port))
        json_object_set_new(
            data, "port",
            json_integer(within(json_integer_value(port), 0, PORT_MAX)));
    json_object_set_new(
        data, "count",
        json_integer(within(egress_entry_count(report), 1, EGRESS_COUNT_MAX)));
    return data;
}

static json_t *data_of_loss(void) {
    return json_pack("{s:s,s:i}", "reason", "lost", "count", 1);
}

static void tell(struct operation *op, const char *type, const json_t *data) {
    struct buffer *b = event_begin(op->log, type, 0);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)data, name, value) {
        json_add_value(b, name, value);
    }
    event_end(op->log);
}

static void count(struct egress *e, bool tried, const json_t *data) {
    if (tried)
        egress_count_tried(e, data);
    else
        egress_count_denied(e, data);
}

static struct untold *untold_of(struct operation *op) {
    if (!op->untold)
        op->untold = calloc(1, sizeof *op->untold);
    return op->untold;
}

void egress_report(struct operation *op, const json_t *report) {
    const char *event = json_string_value(json_object_get(report, "event"));
    bool tried = event && (strcmp(event, "connected") == 0 ||
                           strcmp(event, "traced") == 0);
    struct untold *u = untold_of(op);
    if (op->concluded || !u ||
        (report && !tried && (!event || strcmp(event, "refused") != 0)))
        return;
    json_t *data = report ? data_of(report) : data_of_loss();
    if (!data)
        return;
    count(&op->result.egress, tried, data);
    if (u->events < EVENTS_MAX) {
        u->events++;
        tell(op, tried ? "tried" : "denied", data);
    } else {
        count(&u->counts, tried, data);
    }
    json_decref(data);
}

static void tell_all(struct operation *op, const char *type, json_t *list) {
    const char *key;
    json_t *data;
    json_object_foreach(list, key, data) {
        tell(op, type, data);
    }
}

void egress_end(struct operation *op) {
    if (!op->untold)
        return;
    tell_all(op, "denied", op->untold->counts.denied);
    tell_all(op, "tried", op->untold->counts.tried);
    egress_clear(&op->untold->counts);
}

void egress_free(struct operation *op) {
    if (op->untold)
        egress_clear(&op->untold->counts);
    free(op->untold);
}
