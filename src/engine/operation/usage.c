/* usage.c: see usage.h. */
#include "operation/usage.h"
#include "base/json.h"
#include "operation/internal.h"

int operation_usage(const struct operation *op, struct usage_source *out,
                    struct fault *f) {
    if (op->kind->check_orders(op, f) < 0)
        return -1;
    return usage_open(op->sandbox, out, f);
}

static void add_count(struct buffer *b, const char *key, int64_t count) {
    if (count >= 0)
        json_add_int(b, key, count);
    else
        json_add_raw(b, key, NULL, 0);
}

void usage_write(struct buffer *b, const char *key, const struct usage *u) {
    json_open(b, key, '{');
    json_add_number(b, "cpu_seconds", u->cpu_seconds);
    add_count(b, "memory_bytes", u->memory_bytes);
    add_count(b, "memory_peak_bytes", u->memory_peak_bytes);
    add_count(b, "processes", u->processes);
    add_count(b, "read_bytes", u->read_bytes);
    add_count(b, "written_bytes", u->written_bytes);
    add_count(b, "received_bytes", u->received_bytes);
    add_count(b, "sent_bytes", u->sent_bytes);
    json_close(b, '}');
}
