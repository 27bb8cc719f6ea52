/* child.c: see child.h. The process gives away all it has, then unpacks. */
#define _GNU_SOURCE
#include "unpack/child.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "unpack/content.h"
#include "unpack/filler.h"
#include "unpack/message.h"
#include "unpack/unpack.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <iconv.h>
#include <linux/capability.h>
#include <locale.h>
#include <openssl/evp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MEMORY (512UL << 20)

/* To set owners, modes and file capabilities. */
#define CAPABILITIES                                                           \
    (1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | 1U << CAP_FOWNER |             \
     1U << CAP_FSETID | 1U << CAP_SETFCAP)

struct confined {
    struct unpack_order order;
    struct filler *filler;
    struct unpack_message m;
};

bool unpack_is_child(char *const argv[]) {
    return argv[0] && strcmp(argv[0], UNPACK_NAME) == 0;
}

/* ---- to the parent ---- */

/* Sends the message and waits for the answer. */
static int ask(struct confined *c, struct unpack_answer *a) {
    if (TEMP_FAILURE_RETRY(
            send(UNPACK_CONTROL, &c->m, sizeof c->m, MSG_NOSIGNAL)) < 0)
        return -1;
    ssize_t n = TEMP_FAILURE_RETRY(recv(UNPACK_CONTROL, a, sizeof *a, 0));
    return n == (ssize_t)sizeof *a ? 0 : -1;
}

static int ask_about(struct confined *c, int kind, const char *path,
                     struct unpack_below *out, struct fault *f) {
    struct unpack_answer a;
    c->m.kind = kind;
    snprintf(c->m.path, sizeof c->m.path, "%s", path);
    if (ask(c, &a) < 0)
        return fault_set(f, 500, "nobody waits for what is unpacked");
    if (out)
        *out = a.below;
    return a.status;
}

static int ask_below(void *arg, const char *path, struct unpack_below *out,
                     struct fault *f) {
    return ask_about(arg, UNPACK_BELOW, path, out, f);
}

static int ask_copy(void *arg, const char *path, int root, struct fault *f) {
    (void)root; /* the parent has it as well */
    return ask_about(arg, UNPACK_FILE, path, NULL, f);
}

/* A parent that is busy needs not be told. */
static void tell_advance(void *arg) {
    struct confined *c = arg;
    c->m.kind = UNPACK_ADVANCED;
    if (send(UNPACK_CONTROL, &c->m, sizeof c->m, MSG_NOSIGNAL | MSG_DONTWAIT) <
        0)
        return;
}

/* ---- giving away ---- */

/* Lets libraries read the files that they need at their first use. */
static void warm_up(void) {
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    iconv_t converter = iconv_open("UTF-8", "UTF-8");
    if (utf8)
        uselocale(utf8);
    if (converter != (iconv_t)-1)
        iconv_close(converter);
    EVP_MD_free(EVP_MD_fetch(NULL, "SHA256", NULL));
}

static void offer_to_oom_killer(void) {
    if (write_to_file("/proc/self/oom_score_adj", "1000") < 0)
        return; /* its score is even higher already */
}

/* Becomes root of a user namespace that has only the sandbox's ids. */
static int leave_ids(struct confined *c, struct fault *f) {
    struct unpack_answer a;
    leave_chroot();
    if (unshare(CLONE_NEWUSER) < 0)
        return fault_errno(f, "cannot make a user namespace to unpack in "
                              "(contree-engine doctor tells more)");
    c->m.kind = UNPACK_MAP;
    if (ask(c, &a) < 0 || a.status < 0)
        return fault_set(f, 503, "nobody maps the ids");
    if ((c->order.ids > 1 && setgroups(0, NULL) < 0) ||
        setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return fault_errno(f, "changing ids to unpack");
    /* A change of ids resets the death signal. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != c->order.parent)
        return fault_set(f, 500, "nobody waits for what is unpacked");
    return 0;
}

static int leave_files(struct fault *f) {
    if (fchdir(UNPACK_ROOT) < 0 || chroot(".") < 0)
        return fault_errno(f, "entering the directory to unpack into");
    return 0;
}

static int drop_capabilities(struct fault *f) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {
        {.effective = CAPABILITIES, .permitted = CAPABILITIES}};
    if (syscall(SYS_capset, &header, data) < 0)
        return fault_errno(f, "dropping capabilities");
    return 0;
}

/* The address space that is in use already. With a sanitizer it is enormous. */
static unsigned long used_memory(void) {
    unsigned long pages = 0;
    char text[64] = "";
    int fd CLEANUP(cleanup_close) =
        open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, text, sizeof text - 1) > 0)
        pages = strtoul(text, NULL, 10);
    return pages * (unsigned long)sysconf(_SC_PAGESIZE);
}

static int set_limits(struct fault *f) {
    const struct rlimit memory = {used_memory() + MEMORY,
                                  used_memory() + MEMORY};
    const struct rlimit none = {0, 0}, files = {256, 256};
    if (setrlimit(RLIMIT_AS, &memory) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0 ||
        setrlimit(RLIMIT_NOFILE, &files) < 0)
        return fault_errno(f, "limiting what unpacking may take");
    return 0;
}

/* All that unpack.c, libarchive, the decoders, malloc and a sanitizer call. */
static const char *const allowed[] = {
    "brk",          "clock_gettime",  "close",        "dup",
    "exit",         "exit_group",     "fchmod",       "fchmodat",
    "fchown",       "fchownat",       "fcntl",        "fgetxattr",
    "flistxattr",   "fremovexattr",   "fsetxattr",    "fstat",
    "fstatfs",      "ftruncate",      "futex",        "getdents64",
    "getpid",       "getrandom",      "gettid",       "gettimeofday",
    "linkat",       "lseek",          "madvise",      "membarrier",
    "mkdirat",      "mknodat",        "mmap",         "mprotect",
    "mremap",       "munmap",         "newfstatat",   "openat",
    "openat2",      "poll",           "ppoll",        "pread64",
    "pwrite64",     "read",           "readlinkat",   "readv",
    "recvfrom",     "renameat",       "renameat2",    "restart_syscall",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_yield",
    "sendto",       "sigaltstack",    "statx",        "symlinkat",
    "uname",        "unlinkat",       "utimensat",    "write",
    "writev",
#ifdef __SANITIZE_THREAD__
    "rseq", /* its thread may begin behind the filter, and glibc gives up */
#endif
};

static int allow_calls(scmp_filter_ctx c) {
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        int call = seccomp_syscall_resolve_name(allowed[i]);
        int rc = call == __NR_SCMP_ERROR
                     ? 0
                     : seccomp_rule_add(c, SCMP_ACT_ALLOW, call, 0);
        if (rc < 0 && rc != -EDOM) /* this machine has no such call */
            return rc;
    }
    return 0;
}

/* Installs the filter. This also forbids new privileges. */
static int close_kernel(struct fault *f) {
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = c ? seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2) : -ENOMEM;
    if (rc == 0)
        rc = seccomp_attr_set(c, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = allow_calls(c);
    if (rc == 0)
        rc = seccomp_load(c);
    if (c)
        seccomp_release(c);
    if (rc == 0)
        return 0;
    errno = -rc;
    return fault_errno(f, "installing the system call filter to unpack with");
}

/* Builds all walls. Nothing is unpacked when one of them fails. */
static int confine(struct confined *c, struct fault *f) {
    if (set_limits(f) == 0 && leave_ids(c, f) == 0 && leave_files(f) == 0 &&
        drop_capabilities(f) == 0) {
        /* A thread has the capabilities of the one that starts it; the filter
         * is for all threads, and forbids more of them. */
        c->filler = filler_open();
        if (close_kernel(f) == 0)
            return 0;
    }
    f->status = 503;
    return -1;
}

/* ---- unpacking ---- */

static int unpack_layer(struct confined *c, struct unpack_options *o,
                        struct fault *f) {
    struct content *content = content_open(UNPACK_INPUT, f);
    if (!content)
        return -1;
    o->read = content_read;
    o->read_arg = content;
    int status = unpack_tar(UNPACK_ROOT, -1, o, &c->m.result, f);
    if (status == 0)
        status = content_digest(content, c->m.digest, f);
    content_close(content);
    return status;
}

static int unpack(struct confined *c, struct fault *f) {
    const struct unpack_order *order = &c->order;
    struct unpack_options o = {.ids = {.base = 0, .count = order->ids},
                               .whiteouts = order->whiteouts,
                               .at = order->at,
                               .max_bytes = order->max_bytes,
                               .max_entries = order->max_entries,
                               .deadline = {order->deadline, NULL},
                               .below = order->asks ? ask_below : NULL,
                               .copy = ask_copy,
                               .below_arg = c,
                               .advanced = tell_advance,
                               .advanced_arg = c};
    if (confine(c, f) < 0)
        return -1;
    o.filler = c->filler;
    if (order->layer)
        return unpack_layer(c, &o, f);
    return unpack_tar(UNPACK_ROOT, UNPACK_INPUT, &o, &c->m.result, f);
}

/* Waits for the order, and for the descriptors that come with it. */
static int take_order(struct unpack_order *order) {
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } extra;
    struct iovec part = {order, sizeof *order};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = extra.bytes,
                             .msg_controllen = sizeof extra.bytes};
    int fds[2];
    ssize_t n =
        TEMP_FAILURE_RETRY(recvmsg(UNPACK_CONTROL, &message, MSG_CMSG_CLOEXEC));
    struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&message);
    if (n != (ssize_t)sizeof *order || !c ||
        c->cmsg_len != CMSG_LEN(sizeof fds))
        return -1;
    /* The lowest numbers that are free. */
    memcpy(fds, CMSG_DATA(c), sizeof fds);
    return fds[0] == UNPACK_ROOT && fds[1] == UNPACK_INPUT ? 0 : -1;
}

int unpack_child(void) {
    struct confined *c = calloc(1, sizeof *c);
    struct fault f = {.status = 500};
    prctl(PR_SET_NAME, UNPACK_NAME); /* it was "exe", of /proc/self/exe */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    warm_up();
    offer_to_oom_killer();
    if (!c || take_order(&c->order) < 0)
        return 1;
    int status = unpack(c, &f);
    c->m.kind = UNPACK_DONE;
    c->m.status = status;
    c->m.fault = f;
    if (TEMP_FAILURE_RETRY(
            send(UNPACK_CONTROL, &c->m, sizeof c->m, MSG_NOSIGNAL)) < 0)
        status = 1;
    _exit(
        status
            ? 1
            : 0); /* a leak check at exit needs calls that are forbidden here */
}
