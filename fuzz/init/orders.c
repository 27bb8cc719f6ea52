/* orders.c: whatever order PID 1 gets, it takes strings and descriptors from
 * that order only, closes all that it does not hand on, and says so when it
 * cannot read it. What orders do is left out: here is no sandbox, and the host
 * must see nothing of it. The input is a byte (how many descriptors, and
 * whether the strings are in a memfd), a struct order and its strings. */
#define _GNU_SOURCE
#include "../input.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The end of the input that is tried; for the stubs below. */
static jmp_buf over;

static int no_kill(pid_t pid, int signal) {
    (void)pid;
    (void)signal;
    errno = ESRCH;
    return -1;
}
_Noreturn static void no_exit(int code) {
    (void)code;
    longjmp(over, 1);
}

/* The strings of the order that is carried out. What PID 1 has mapped when it
 * ends goes with it. */
static struct {
    void *at;
    size_t size;
} mapped;

static void *note_map(void *at, size_t size, int access, int flags, int fd,
                      off_t offset) {
    at = mmap(at, size, access, flags, fd, offset);
    if (at != MAP_FAILED) {
        HOLDS(!mapped.at);
        mapped.at = at;
        mapped.size = size;
    }
    return at;
}
static int note_unmap(void *at, size_t size) {
    HOLDS(at == mapped.at && size == mapped.size);
    mapped.at = NULL;
    return munmap(at, size);
}

#define kill no_kill
#define mmap note_map
#define munmap note_unmap
#define _exit no_exit
#define dup2(from, to) ((void)(from), (to))
#define sched_setaffinity(pid, size, set) ((void)(set), 0)
#define wait4(pid, status, flags, usage)                                       \
    ((void)(status), (void)(flags), (void)(usage), errno = ECHILD, -1)
#include "../../src/init/pid1.c"
#undef _exit
#undef munmap

/* ---- what orders do ---- */

/* Reads all of it, for the sanitizer. */
static void use(const char *text) {
    HOLDS(text && strlen(text) < ORDER_INLINE_MAX);
}

static void use_list(char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        use(list[i]);
}

int fail(struct failure *f, int status, const char *format, ...) {
    f->status = status;
    snprintf(f->message, sizeof f->message, "%.100s", format);
    return -1;
}
int fail_errno(struct failure *f, const char *format, ...) {
    return fail(f, 500, "%s", format);
}
void report_send(int control, const struct report *r) {
    HOLDS(control >= 0 &&
          strnlen(r->message, sizeof r->message) < sizeof r->message);
}
void report_send_with(int control, const struct report *r, int fd) {
    (void)fd;
    report_send(control, r);
}
void report_send_fd(int control, struct report *r, int fd) {
    report_send_with(control, r, fd);
}
void report_fault(int control, const struct failure *f) {
    HOLDS(control >= 0 && f->status && *f->message);
    longjmp(over, 2);
}
int account_find(const char *user, bool has_gid, struct account *a,
                 struct failure *f) {
    use(user);
    (void)has_gid;
    snprintf(a->home, sizeof a->home, "/");
    return *user == '!' ? fail(f, 422, "no such user") : 0;
}
int cell_enter(const struct cell_limits *limits, const struct root_spec *root,
               int *listener, struct failure *f) {
    (void)limits;
    (void)listener;
    (void)f;
    use(root->hostname);
    use(root->upper);
    use(root->work);
    use(root->config);
    use_list((char *const *)root->lowers, root->lower_count);
    return 0;
}
int runtime_enter(const struct cell_limits *limits,
                  const struct root_spec *root, const int *fds, unsigned count,
                  struct failure *f) {
    (void)fds;
    (void)count;
    int listener = -1;
    return cell_enter(limits, root, &listener, f);
}
int cell_load_filter(struct cell_limits *limits, int fd, struct failure *f) {
    (void)limits;
    (void)f;
    HOLDS(fcntl(fd, F_GETFD) >= 0);
    return 0;
}
void report_trace(int control, int listener) {
    HOLDS(control >= 0 && listener < 0);
}
int groups_join(const int *fds, unsigned count, struct failure *f) {
    (void)f;
    for (unsigned i = 0; i < count; i++)
        HOLDS(fcntl(fds[i], F_GETFD) >= 0);
    return 0;
}
int groups_hide(struct failure *f) {
    (void)f;
    return 0;
}
int mounts_add(struct mounts *m, const char *target, const char *volume,
               int tree, struct failure *f) {
    use(target);
    use(volume);
    (void)f;
    m->count++;
    if (tree >= 0)
        close(tree);
    return 0;
}
int mounts_give(const char *target, unsigned uid, unsigned gid,
                struct failure *f) {
    (void)uid;
    (void)gid;
    (void)f;
    use(target);
    return 0;
}
int put_file(const struct put_spec *p, int from, struct failure *f) {
    (void)f;
    use(p->path);
    use_list(p->attributes, p->attribute_count);
    HOLDS(fcntl(from, F_GETFD) >= 0);
    return 0;
}
int process_start(struct exec_spec *p, struct failure *f) {
    use(p->cwd);
    HOLDS(p->argv[0]);
    for (char **each = p->argv; *each; each++)
        use(*each);
    for (char **each = p->env; *each; each++)
        use(*each);
    for (int i = 0; i < 3; i++)
        HOLDS(fcntl(p->stdio[i], F_GETFD) >= 0);
    return *p->cwd == '!' ? fail(f, 422, "no such directory") : 1 << 30;
}
int terminal_open(struct terminal *t, unsigned rows, unsigned columns,
                  uid_t owner, struct failure *f) {
    (void)rows;
    (void)owner;
    if (columns == 7)
        return fail(f, 503, "no terminal");
    *t = (struct terminal){.master = dup(0), .slave = dup(0)};
    return 0;
}
void terminal_close(struct terminal *t) {
    if (t->master >= 0)
        close(t->master);
    if (t->slave >= 0)
        close(t->slave);
}
int trust_also(int certificate, struct failure *f) {
    (void)f;
    HOLDS(fcntl(certificate, F_GETFD) >= 0);
    return 0;
}
int socket_make(uint32_t kind, const char *path, struct failure *f) {
    use(path);
    return kind == SOCKET_UNIX ? dup(0) : fail(f, 503, "nobody listens");
}
void family_signal(int spid, int signal) {
    (void)spid;
    (void)signal;
}
void pause_all(struct pause *p, double now) {
    (void)now;
    p->on = true;
}
enum pause_news pause_look(struct pause *p, double now) {
    (void)p;
    (void)now;
    return PAUSE_NONE;
}
void resume_all(struct pause *p) {
    p->on = false;
}
void watch_start(struct watches *all, const char *path, bool recursive,
                 int out) {
    (void)all;
    (void)recursive;
    use(path);
    HOLDS(fcntl(out, F_GETFD) >= 0);
    close(out);
}
size_t watches_polls(const struct watches *all, struct pollfd p[WATCH_POLLS],
                     int *timeout) {
    (void)all;
    (void)p;
    (void)timeout;
    return 0;
}
void watches_work(struct watches *all) {
    (void)all;
}
void watches_finish(struct watches *all) {
    (void)all;
}

/* ---- orders ---- */

static void send_order(int to, uint8_t how, struct order *o,
                       const char *strings, size_t length) {
    int fds[ORDER_FDS_MAX];
    size_t count = how & 3;
    struct iovec parts[] = {{o, sizeof *o}, {(void *)strings, length}};
    for (size_t i = 0; i < count; i++)
        fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (o->in_memfd) {
        fds[count] = memfd_create("order", MFD_CLOEXEC);
        HOLDS(write(fds[count++], strings, length) == (ssize_t)length);
        parts[1].iov_len = 0;
    }
    char whole[sizeof *o + ORDER_INLINE_MAX];
    memcpy(whole, o, sizeof *o);
    if (parts[1].iov_len)
        memcpy(whole + sizeof *o, strings, length);
    HOLDS(packet_send(to, whole, sizeof *o + parts[1].iov_len, fds,
                      (int)count) == 0);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

/* The orders of an input, one after another. */
static void carry(struct pid1 *s, int to, struct input *in) {
    while (in->left > 0) {
        struct order o = {0};
        uint8_t how = input_byte(in);
        size_t n = in->left < sizeof o ? in->left : sizeof o;
        memcpy(&o, in->at, n);
        in->at += n;
        in->left -= n;
        o.type %= ORDER_TRACE + 2;
        o.in_memfd = how >> 2 & 1;
        size_t length = (size_t)(how >> 3) * 8;
        length = length < in->left ? length : in->left;
        if (!(how & 128))
            o.payload = (uint32_t)length;
        send_order(to, how, &o, (const char *)in->at, length);
        in->at += length;
        in->left -= length;
        receive(s);
    }
}

/* Whether PID 1 goes on afterwards. */
static bool goes_on(struct pid1 *s, int to, struct input *in) {
    if (setjmp(over) != 0)
        return false;
    carry(s, to, in);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct cell_limits limits; /* none */
    struct pid1 s = {.null = -1, .limits = &limits};
    struct input in = {data, size};
    int pair[2], before = open_descriptors();
    HOLDS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    s.control = pair[0];
    if (goes_on(&s, pair[1], &in))
        HOLDS(!mapped.at && open_descriptors() == before + 2 + (s.null >= 0));
    if (mapped.at)
        munmap(mapped.at, mapped.size);
    mapped.at = NULL;
    /* PID 1 ends with what it had open: all that was opened since. */
    close_range((unsigned)pair[0], UINT_MAX, 0);
    free(s.children);
    return 0;
}
