/* orders.c: what a sandbox is told while it runs (sandbox.h), as orders to its
 * init. */
#include "sandbox/order.h"
#include "sandbox/sandbox.h"

int sandbox_put(struct sandbox *s, const struct sandbox_file *file, int fd,
                struct fault *f) {
    struct order o = {.type = ORDER_PUT,
                      .mode = file->mode,
                      .uid = file->uid,
                      .gid = file->gid,
                      .argc = (uint32_t)file->xattr_count};
    const struct strings sets[] = {{&file->path, 1},
                                   {file->xattrs, file->xattr_count}};
    return sandbox_order(s, &o, sets, 2, &fd, 1, f);
}

int sandbox_give(struct sandbox *s, const char *target,
                 const struct sandbox_process *p, struct fault *f) {
    struct order o = {.type = ORDER_GIVE,
                      .uid = p->uid,
                      .gid = p->gid,
                      .has_gid = p->has_gid};
    const char *const names[] = {target, p->user ? p->user : ""};
    const struct strings set = {names, 2};
    return sandbox_order(s, &o, &set, 1, NULL, 0, f);
}

static size_t count_strings(char *const *list) {
    size_t n = 0;
    while (list[n])
        n++;
    return n;
}

int sandbox_spawn(struct sandbox *s, int spid, const struct sandbox_process *p,
                  struct fault *f) {
    struct order o = {.type = ORDER_SPAWN,
                      .spid = spid,
                      .uid = p->uid,
                      .gid = p->gid,
                      .has_gid = p->has_gid,
                      .defaults = p->defaults,
                      .rows = p->rows,
                      .columns = p->columns,
                      .argc = count_strings(p->argv),
                      .envc = count_strings(p->env)};
    const char *const first[] = {p->cwd, p->user ? p->user : ""};
    const struct strings sets[] = {{first, 2},
                                   {(const char *const *)p->argv, o.argc},
                                   {(const char *const *)p->env, o.envc}};
    const int given[] = {p->stdin_fd, p->stdout_fd, p->stderr_fd};
    int fds[3], count = 0;
    for (int i = 0; i < 3; i++) {
        if (given[i] < 0)
            continue;
        o.stdio |= 1U << i;
        fds[count++] = given[i];
    }
    return sandbox_order(s, &o, sets, 3, fds, count, f);
}

int sandbox_hold(struct sandbox *s, struct fault *f) {
    struct order o = {.type = ORDER_HOLD};
    return sandbox_order(s, &o, NULL, 0, NULL, 0, f);
}

int sandbox_signal_family(struct sandbox *s, int spid, int signal,
                          struct fault *f) {
    struct order o = {
        .type = ORDER_SIGNAL, .spid = spid, .signal = signal, .family = 1};
    return sandbox_order(s, &o, NULL, 0, NULL, 0, f);
}

int sandbox_signal(struct sandbox *s, int spid, int signal, struct fault *f) {
    struct order o = {.type = ORDER_SIGNAL, .spid = spid, .signal = signal};
    return sandbox_order(s, &o, NULL, 0, NULL, 0, f);
}

int sandbox_pause(struct sandbox *s, struct fault *f) {
    struct order o = {.type = ORDER_PAUSE};
    return sandbox_order(s, &o, NULL, 0, NULL, 0, f);
}

int sandbox_resume(struct sandbox *s, struct fault *f) {
    struct order o = {.type = ORDER_RESUME};
    return sandbox_order(s, &o, NULL, 0, NULL, 0, f);
}

int sandbox_socket(struct sandbox *s, unsigned id, unsigned kind,
                   const char *path, struct fault *f) {
    struct order o = {.type = ORDER_SOCKET, .id = id, .kind = kind};
    const char *text = path ? path : "";
    return sandbox_order(s, &o, &(struct strings){&text, 1}, 1, NULL, 0, f);
}

int sandbox_watch(struct sandbox *s, const char *path, bool recursive, int fd,
                  struct fault *f) {
    struct order o = {.type = ORDER_WATCH, .recursive = recursive};
    return sandbox_order(s, &o, &(struct strings){&path, 1}, 1, &fd, 1, f);
}
