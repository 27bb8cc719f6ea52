/* jail.c: whatever the process says that unpacks an archive, taken over by it,
 * it gets answers to its questions only, and what is believed of it is in
 * bounds: texts end, a fault has a status, numbers are within the limits. The
 * input is messages: a byte (which, and how long), then the beginning of its
 * fields. */
#define _GNU_SOURCE
#include "../input.h"
#include <sys/socket.h>
#include <unistd.h>

#include "unpack/flusher.h"

/* There is no disk to be flushed. */
#define flusher_wake(flusher, root) ((void)(flusher), (void)(root))
#include "../../src/engine/unpack/jail.c"

enum { MAX_BYTES = 1 << 20, MAX_ENTRIES = 1000, MESSAGES = 16 };

static uint8_t outcome; /* of the next question */

static int answer_with(const char *path, struct fault *f) {
    HOLDS(strnlen(path, PATH_MAX) < PATH_MAX);
    outcome++;
    return outcome % 8 == 0 ? fault_set(f, 422, "no") : outcome % 2;
}

static int look(void *arg, const char *path, struct unpack_below *out,
                struct fault *f) {
    (void)arg;
    memset(out, 'b', sizeof *out);
    return answer_with(path, f);
}

static int copy(void *arg, const char *path, int root, struct fault *f) {
    (void)arg;
    (void)root;
    return answer_with(path, f) < 0 ? -1 : 0;
}

/* The child's side: sends a message. How many answers it may expect. */
static int send_message(int to, struct input *in) {
    static struct unpack_message m; /* large */
    uint8_t how = input_byte(in);
    memset(&m, how & 128 ? 'x' : 0, sizeof m);
    m.kind = how % (UNPACK_DONE + 3);
    m.status = how & 32 ? -1 : 0;
    m.fault.status = (int)(int16_t)input_number(in, 2);
    m.result.bytes = (int64_t)input_number(in, 8);
    m.result.entries = (int64_t)input_number(in, 8);
    m.result.skipped = (int64_t)input_number(in, 8);
    size_t n = input_byte(in);
    n = n < in->left ? n : in->left;
    memcpy(m.path, in->at, n);
    in->at += n;
    in->left -= n;
    size_t length = how & 64 ? 1 + n : sizeof m;
    HOLDS(send(to, &m, length, MSG_NOSIGNAL | MSG_DONTWAIT) > 0);
    return length == sizeof m && m.kind < UNPACK_ADVANCED;
}

static void check_answers(int from, int most) {
    struct unpack_answer a;
    int count = 0;
    ssize_t n;
    while ((n = recv(from, &a, sizeof a, MSG_DONTWAIT)) > 0) {
        HOLDS(n == sizeof a);
        count++;
    }
    HOLDS(count <= most);
}

static void check_outcome(struct jail *j, struct fault *f) {
    char digest[DIGEST_SIZE];
    struct unpack_result r;
    int result = take_outcome(j, digest, &r);
    HOLDS(strnlen(digest, sizeof digest) < sizeof digest);
    HOLDS(r.bytes >= 0 && r.bytes <= MAX_BYTES);
    HOLDS(r.entries >= 0 && r.entries <= MAX_ENTRIES && r.skipped >= 0);
    if (result == 0)
        return;
    HOLDS(f->status >= 400 && f->status <= 599);
    HOLDS(strnlen(f->message, sizeof f->message) < sizeof f->message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    static struct jail j; /* large */
    struct fault f = {0};
    int pair[2], questions = 0;
    outcome = input_byte(&in);
    const struct unpack_options o = {.max_bytes = MAX_BYTES,
                                     .max_entries = MAX_ENTRIES,
                                     .below = outcome & 16 ? look : NULL,
                                     .copy = copy};
    HOLDS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    j = (struct jail){
        .o = &o, .f = &f, .root = -1, .child = {.pid = -1, .control = pair[0]}};
    for (int i = 0; i < MESSAGES && in.left > 0; i++)
        questions += send_message(pair[1], &in);
    shutdown(pair[1], SHUT_WR);
    int result = converse(&j);
    HOLDS(result >= -1 && result <= 1);
    HOLDS(result >= 0 || (f.status >= 400 && f.status <= 599));
    check_answers(pair[1], questions);
    if (result == 0)
        check_outcome(&j, &f);
    close(pair[0]);
    close(pair[1]);
    return 0;
}
