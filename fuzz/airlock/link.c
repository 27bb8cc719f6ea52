/* link.c: whatever answers to a question about an interface, its end is found,
 * a state is one that stands in an answer, and a failure has an errno. The
 * input is answers: two bytes for the length, then its bytes. */
#define _GNU_SOURCE
#include "../input.h"
#include <errno.h>
#include <libmnl/libmnl.h>
#include <unistd.h>

static struct input answers; /* that are still to come */
static unsigned asked;

static ssize_t send_nothing(size_t length) {
    asked++;
    return (ssize_t)length;
}

/* The kernel sends no message of more than 2 GiB, after which libmnl would go
 * backwards. */
static void mend_lengths(char *to, size_t length) {
    for (size_t at = 0; length - at >= sizeof(struct nlmsghdr);) {
        struct nlmsghdr *h = (struct nlmsghdr *)(to + at);
        h->nlmsg_len &= INT32_MAX;
        size_t next = MNL_ALIGN((size_t)h->nlmsg_len);
        if (next < sizeof *h || next > length - at)
            return;
        at += next;
    }
}

static ssize_t next_answer(void *to, size_t room) {
    size_t length = input_number(&answers, 2) % 1024;
    length = length < answers.left ? length : answers.left;
    length = length < room ? length : room;
    errno = ENOBUFS;
    if (answers.left == 0)
        return -1;
    memcpy(to, answers.at, length);
    mend_lengths(to, length);
    answers.at += length;
    answers.left -= length;
    return (ssize_t)length;
}

#define mnl_socket_sendto(socket, data, length)                                \
    ((void)(data), send_nothing(length))
#define mnl_socket_recvfrom(socket, to, room) next_answer(to, room)
#define mnl_socket_get_portid(socket) 7u
#define usleep(microseconds) ((void)(microseconds))
#include "../../src/airlock/link.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct link l = {.sequence = 0};
    struct fault f = {0};
    int state = -1;
    answers = (struct input){data, size};
    struct nlmsghdr *h = begin(&l, RTM_GETLINK, 0);
    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    errno = 0;
    if (ask_for(&l, h, read_state, &state) < 0)
        HOLDS(errno != 0);
    HOLDS(state >= -1 && state <= UINT8_MAX);
    HOLDS(state < 0 || memchr(data, state, size));
    asked = 0;
    answers = (struct input){data, size};
    int rc = link_wait_for_ours(&l, &f);
    HOLDS(rc == 0 || (f.status >= 500 && f.status <= 599));
    HOLDS(asked >= 1 && asked <= size + 2);
    return 0;
}
