/* url.c: the parts of a URL, written again, are the same parts; a normal path
 * is normal, and leads nowhere but down. */
#include "base/url.h"
#include "../input.h"

static void check_round_trip(const struct url *u) {
    struct url again;
    struct fault f;
    struct buffer b;
    buffer_init(&b, 1 << 20);
    for (size_t i = 0; i < u->segment_count; i++)
        url_add_segment(&b, u->segments[i]);
    HOLDS(!b.failed);
    if (b.data) {
        HOLDS(url_parse(&again, b.data, &f) == 0 || f.status == 414);
        HOLDS(f.status == 414 || again.segment_count == u->segment_count ||
              !*u->segments[u->segment_count - 1]);
        for (size_t i = 0; i < again.segment_count; i++)
            HOLDS(strcmp(u->segments[i], again.segments[i]) == 0);
        url_clear(&again);
    }
    buffer_free(&b);
}

static void read_parameters(const struct url *u) {
    struct fault f;
    for (size_t i = 0; i < u->parameter_count; i++) {
        const char *name = u->parameters[i].name;
        size_t at = 0, seen = 0;
        int64_t number = 7, time = 8;
        bool flag = false;
        if (url_int(u, name, -5, 1000, &number, &f) == 0)
            HOLDS(number >= -5 && number <= 1000);
        else
            HOLDS(number == 7 && f.status == 400);
        if (url_time(u, name, INT64_C(1700000000000000), &time, &f) < 0)
            HOLDS(time == 8 && f.status == 400);
        if (url_flag(u, name, &flag, &f) < 0)
            HOLDS(f.status == 400);
        HOLDS(url_parameter(u, name));
        while (url_next(u, name, &at))
            seen++;
        HOLDS(seen >= 1 && seen <= u->parameter_count);
    }
}

static void check_path(const char *text) {
    struct fault f;
    char *rooted = path_rooted(text, &f), *normal = path_normal(text, &f);
    HOLDS(!rooted || *rooted == '/');
    if (normal) {
        char *again = path_normal(normal, &f);
        size_t length = strlen(normal);
        HOLDS(again && strcmp(again, normal) == 0);
        HOLDS(*normal == '/' && !strstr(normal, "//"));
        HOLDS(!strstr(normal, "/./") && !strstr(normal, "/../"));
        HOLDS(length == 1 || normal[length - 1] != '/');
        free(again);
    }
    free(rooted);
    free(normal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    struct url u;
    struct fault f;
    char *text = input_text(&in, '\0');
    if (url_parse(&u, text, &f) == 0) {
        check_round_trip(&u);
        read_parameters(&u);
    } else {
        HOLDS(f.status == 400 || f.status == 414);
    }
    url_clear(&u);
    check_path(text);
    free(text);
    return 0;
}
