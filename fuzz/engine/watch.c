/* watch.c: whatever packets the init of a sandbox sends of a watched directory,
 * the client gets frames of an event stream: changes with names below that
 * directory, and one end. The input is packets: two bytes for the length, then
 * its bytes. */
#define _GNU_SOURCE
#include "../../src/engine/api/watch.c"
#include "../input.h"
#include "base/json.h"
#include <sys/socket.h>
#include <unistd.h>

static const char top[] = "/work";

static bool is_below(const json_t *name) {
    const char *text = json_string_value(name);
    const json_t *base64 = json_object_get(name, "base64");
    if (!text)
        return json_is_string(base64) || json_is_object(name);
    return strncmp(text, top, strlen(top)) == 0;
}

static void check_change(const json_t *o) {
    static const char known[] = " created modified written attributes deleted "
                                "moved overflow ";
    const char *type = json_string_value(json_object_get(o, "type"));
    char word[64];
    HOLDS(type);
    snprintf(word, sizeof word, " %s ", type);
    HOLDS(strstr(known, word) && is_below(json_object_get(o, "path")));
    bool moved = strcmp(type, "moved") == 0;
    HOLDS(moved == (json_object_get(o, "from") != NULL));
    HOLDS(!moved || is_below(json_object_get(o, "from")));
}

static void check_failed(const json_t *o) {
    json_int_t status = json_integer_value(json_object_get(o, "status"));
    HOLDS(status >= 400 && status <= 599);
    HOLDS(json_is_string(json_object_get(o, "error")));
}

/* Checks one frame. True: it is the last one. */
static bool check_frame(const struct buffer *b) {
    static const char *const kinds[] = {
        "event: change\ndata: ", "event: failed\ndata: ", "event: end\ndata: "};
    size_t kind = 0;
    HOLDS(b->length > 2 && memcmp(b->data + b->length - 2, "\n\n", 2) == 0);
    while (kind < 3 && strncmp(b->data, kinds[kind], strlen(kinds[kind])) != 0)
        kind++;
    HOLDS(kind < 3);
    const char *line = b->data + strlen(kinds[kind]);
    size_t length = b->length - 2 - strlen(kinds[kind]);
    HOLDS(!memchr(line, '\n', length));
    json_t *o = json_loadb(line, length, 0, NULL);
    HOLDS(json_is_object(o));
    if (kind == 0)
        check_change(o);
    else if (kind == 1)
        check_failed(o);
    json_decref(o);
    return kind > 0;
}

/* An end may come in one frame with an overflow. */
static void check_frames(struct watching *w) {
    const char end[] = "event: end\ndata: {}\n\n";
    size_t length = w->frame.length, tail = strlen(end);
    struct buffer part = w->frame;
    if (length > tail && memcmp(part.data + length - tail, end, tail) == 0) {
        part.length -= tail;
        HOLDS(!check_frame(&part));
        part = (struct buffer){.data = w->frame.data + part.length,
                               .length = tail};
    }
    HOLDS(check_frame(&part) == w->ended);
}

static void send_packet(int to, struct input *in) {
    struct watch_packet p = {.status = 0};
    size_t length = 1 + input_number(in, 2) % sizeof p;
    size_t n = in->left < length ? in->left : length;
    memset(&p, 'x', length);
    if (n > 0)
        memcpy(&p, in->at, n);
    if (length >= sizeof p.kind)
        p.kind %= WATCH_END + 3;
    in->at += n;
    in->left -= n;
    HOLDS(send(to, &p, length, 0) == (ssize_t)length);
}

/* What a client is told whose directory is not watched. */
static void check_refusal(const struct watching *w, int got) {
    struct fault f;
    tell_refusal(w, got, &f);
    HOLDS(f.status >= 400 && f.status <= 599);
    HOLDS(strnlen(f.message, sizeof f.message) < sizeof f.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    static struct watching w; /* large */
    int pair[2];
    HOLDS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                     pair) == 0);
    w = (struct watching){.fd = pair[0], .top = (char *)top};
    buffer_init(&w.frame, FRAME_MAX);
    while (in.left > 0 && !w.ended) {
        send_packet(pair[1], &in);
        int got = watch_receive(pair[0], &w.packet);
        HOLDS(got != 0);
        check_refusal(&w, got);
        make_frame(&w, got);
        HOLDS(!w.frame.failed);
        check_frames(&w);
    }
    close(pair[1]);
    if (!w.ended) {
        make_frame(&w, watch_receive(pair[0], &w.packet));
        check_frames(&w);
        HOLDS(w.ended);
    }
    close(pair[0]);
    buffer_free(&w.frame);
    return 0;
}
