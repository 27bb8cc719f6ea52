#define _GNU_SOURCE
#include "sandbox/network.h"
#include "base/descriptor.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct network {
    uv_process_t process;
    uv_pipe_t ready;
    int alive; /* slirp4netns ends when this is closed, or the engine is gone */
    bool told;
    int references; /* open handles, and the sandbox until network_stop */
    char byte[16];
    void (*connected)(void *arg, const struct fault *why);
    void *arg;
};

/* slirp4netns and the descriptors it inherits. */
enum { EXIT_FD = 3, READY_FD, NET_FD, FD_COUNT };

static void unref(struct network *n) {
    if (--n->references == 0)
        free(n);
}

static void on_closed(uv_handle_t *handle) {
    unref(handle->data);
}

static void tell(struct network *n, const struct fault *why) {
    if (n->told)
        return;
    n->told = true;
    n->connected(n->arg, why);
}

static void on_exit_of_slirp(uv_process_t *process, int64_t code, int number) {
    struct network *n = process->data;
    struct fault f;
    fault_set(&f, 503,
              "networking cannot be provided: slirp4netns ended with %s %d",
              number ? "signal" : "code", number ? number : (int)code);
    uv_close((uv_handle_t *)process, on_closed);
    tell(n, &f);
}

static void give_room(uv_handle_t *handle, size_t size, uv_buf_t *buffer) {
    struct network *n = handle->data;
    (void)size;
    *buffer = uv_buf_init(n->byte, sizeof n->byte);
}

static void on_ready(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    struct network *n = stream->data;
    (void)buffer;
    if (got == 0)
        return;
    uv_close((uv_handle_t *)stream, on_closed);
    if (got > 0)
        tell(n, NULL); /* else its exit tells why */
}

/* ends: alive (read, write), ready (read, write). */
static int spawn(uv_loop_t *loop, struct network *n, int ends[4], int net) {
    char *args[] = {"slirp4netns",
                    "--configure",
                    "--mtu=65520",
                    "--disable-host-loopback",
                    "--enable-sandbox",
                    "--enable-seccomp",
                    "--exit-fd=3",
                    "--ready-fd=4",
                    "--netns-type=path",
                    "/proc/self/fd/5",
                    "tap0",
                    NULL};
    char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
                   "/sbin:/bin",
                   NULL};
    uv_stdio_container_t stdio[FD_COUNT] = {
        [EXIT_FD] = {.flags = UV_INHERIT_FD, .data.fd = ends[0]},
        [READY_FD] = {.flags = UV_INHERIT_FD, .data.fd = ends[3]},
        [NET_FD] = {.flags = UV_INHERIT_FD, .data.fd = net},
    };
    uv_process_options_t options = {.file = args[0],
                                    .args = args,
                                    .env = env,
                                    .exit_cb = on_exit_of_slirp,
                                    .stdio = stdio,
                                    .stdio_count = FD_COUNT};
    n->references++;
    int rc = uv_spawn(loop, &n->process, &options);
    if (rc < 0)
        uv_close((uv_handle_t *)&n->process, on_closed);
    return rc;
}

static int check_tun(struct fault *f) {
    if (access("/dev/net/tun", R_OK | W_OK) == 0)
        return 0;
    return fault_set(f, 503,
                     "networking needs /dev/net/tun: %s. Fix: sudo modprobe "
                     "tun && sudo chmod 666 /dev/net/tun",
                     strerror(errno));
}

static void close_ready(struct network *n) {
    if (!uv_is_closing((uv_handle_t *)&n->ready))
        uv_close((uv_handle_t *)&n->ready, on_closed);
}

/* From uv_pipe_open() on the handle owns ends[2]. */
static int open_ready(uv_loop_t *loop, struct network *n, int ends[4]) {
    n->references = 1;
    uv_pipe_init(loop, &n->ready, 0); /* cannot fail */
    int rc = uv_pipe_open(&n->ready, ends[2]);
    if (rc == 0)
        ends[2] = -1;
    return rc;
}

static int refuse(struct fault *f, int rc) {
    return rc == UV_ENOENT
               ? fault_set(f, 503,
                           "networking needs slirp4netns. Fix: sudo apt-get "
                           "install slirp4netns")
               : fault_set(f, 503, "cannot start slirp4netns: %s",
                           uv_strerror(rc));
}

static void drop_ends(int ends[4]) {
    for (int i = 0; i < 4; i++)
        drop_fd(&ends[i]);
}

static int make_ends(int ends[4], struct fault *f) {
    if (pipe2(ends, O_CLOEXEC) == 0 && pipe2(ends + 2, O_CLOEXEC) == 0)
        return 0;
    fault_errno(f, "cannot make a pipe");
    drop_ends(ends);
    return -1;
}

/* Takes `n` over, also on failure. */
static int start(uv_loop_t *loop, struct network *n, int net, struct fault *f) {
    int ends[4] = {-1, -1, -1, -1};
    if (make_ends(ends, f) < 0) {
        free(n);
        return -1;
    }
    n->alive = steal_fd(&ends[1]);
    n->process.data = n->ready.data = n;
    int rc = open_ready(loop, n, ends);
    if (rc == 0)
        rc = spawn(loop, n, ends, net);
    drop_ends(ends);
    if (rc == 0) {
        uv_read_start((uv_stream_t *)&n->ready, give_room, on_ready);
        n->references++;
        return 0;
    }
    drop_fd(&n->alive);
    close_ready(n);
    return refuse(f, rc);
}

struct network *network_start(uv_loop_t *loop, int net,
                              void (*connected)(void *arg,
                                                const struct fault *why),
                              void *arg, struct fault *f) {
    struct network *n = calloc(1, sizeof *n);
    int rc = -1;
    if (check_tun(f) < 0) {
        free(n);
    } else if (n) {
        n->connected = connected;
        n->arg = arg;
        rc = start(loop, n, net, f);
    } else {
        fault_memory(f);
    }
    close_fd(net);
    return rc < 0 ? NULL : n;
}

void network_stop(struct network *n) {
    n->told = true;
    drop_fd(&n->alive);
    close_ready(n);
    if (!uv_is_closing((uv_handle_t *)&n->process))
        uv_process_kill(&n->process, SIGTERM);
    unref(n);
}
