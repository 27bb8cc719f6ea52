/* test_filter.c: what sandbox/filter.h's program says about a call. Some calls
 * the kernel refuses for other reasons, too, so a sandbox cannot show that the
 * filter does (test_escape.c makes them). */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include "check.h"
#include "sandbox/asking_filter.h"
#include "sandbox/filter.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct program_code filter;

#define HIGH (UINT64_C(7) << 32)
#define REFUSED(error) (SECCOMP_RET_ERRNO | (error))
enum { ALLOWED = SECCOMP_RET_ALLOW };

struct call {
    const char *name;
    uint64_t args[4];
    uint32_t wanted;
};

static void check_verdict(const struct call *c, int number, uint32_t arch) {
    struct seccomp_data data = {.nr = number, .arch = arch};
    memcpy(data.args, c->args, sizeof c->args);
    uint32_t got = program_judge(&filter, &data);
    if (got == c->wanted)
        return;
    check_ok = false;
    printf("# %s(%llx, %llx): got %x, want %x\n", c->name,
           (unsigned long long)c->args[0], (unsigned long long)c->args[1],
           (unsigned)got, (unsigned)c->wanted);
}

static void check_calls(const struct call *calls, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(calls[i].name);
        if (number >= 0) /* else this machine never had it */
            check_verdict(&calls[i], number, seccomp_arch_native());
    }
}

#define CHECK_CALLS(calls) check_calls(calls, sizeof calls / sizeof *calls)

static void test_compile(void) {
    struct fault f = {0};
    int fd = filter_compile(&f);
    CHECK(fd >= 0 && program_read(fd, &filter, &f) == 0);
    close_fd(fd);
}

static void test_terminals(void) {
    static const struct call calls[] = {
        {"ioctl", {0, TIOCSTI}, REFUSED(EPERM)},
        {"ioctl", {0, TIOCLINUX}, REFUSED(EPERM)},
        {"ioctl", {0, TIOCSETD}, REFUSED(EPERM)},
        {"ioctl", {0, HIGH | TIOCSTI}, REFUSED(EPERM)},
        {"ioctl", {0, HIGH | TIOCLINUX}, REFUSED(EPERM)},
        {"ioctl", {0, HIGH | TIOCSETD}, REFUSED(EPERM)},
        {"ioctl", {0, TIOCGWINSZ}, ALLOWED},
        {"ioctl", {0, TIOCSCTTY}, ALLOWED},
        {"ioctl", {0, TIOCGETD}, ALLOWED},
        {"ioctl", {TIOCSTI, FIONREAD}, ALLOWED},
    };
    CHECK_CALLS(calls);
}

static void test_namespaces(void) {
    static const struct call calls[] = {
        {"clone", {CLONE_NEWUSER | SIGCHLD}, REFUSED(EPERM)},
        {"clone", {CLONE_NEWNS | SIGCHLD}, REFUSED(EPERM)},
        {"clone", {CLONE_NEWPID | SIGCHLD}, REFUSED(EPERM)},
        {"clone", {CLONE_NEWNET | SIGCHLD}, REFUSED(EPERM)},
        {"clone", {CLONE_NEWIPC | SIGCHLD}, REFUSED(EPERM)},
        {"clone", {CLONE_NEWUTS | SIGCHLD}, REFUSED(EPERM)},
        {"clone", {CLONE_NEWCGROUP | SIGCHLD}, REFUSED(EPERM)},
        {"clone", {CLONE_NEWNS | CLONE_VM | CLONE_FS}, REFUSED(EPERM)},
        {"clone", {SIGCHLD}, ALLOWED},
        {"clone", {CLONE_VM | CLONE_VFORK | SIGCHLD}, ALLOWED},
        {"clone",
         {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
          CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
          CLONE_CHILD_CLEARTID},
         ALLOWED},
        {"clone3", {0}, REFUSED(ENOSYS)},
        {"unshare", {CLONE_NEWUSER}, REFUSED(EPERM)},
        {"unshare", {CLONE_FS}, REFUSED(EPERM)},
        {"setns", {3}, REFUSED(EPERM)},
    };
    CHECK_CALLS(calls);
}

static void test_memory(void) {
    enum { PLAIN = MAP_PRIVATE | MAP_ANONYMOUS };
    static const struct call calls[] = {
        {"mmap", {0, 4096, 3, PLAIN | MAP_HUGETLB}, REFUSED(ENOMEM)},
        {"mmap", {0, 4096, 3, PLAIN}, ALLOWED},
        {"memfd_create", {0, MFD_HUGETLB}, REFUSED(ENOMEM)},
        {"memfd_create", {0, MFD_CLOEXEC}, ALLOWED},
        {"memfd_secret", {0}, REFUSED(ENOSYS)},
        {"userfaultfd", {0}, REFUSED(EPERM)},
        {"io_setup", {8}, REFUSED(ENOSYS)},
        {"io_uring_setup", {8}, REFUSED(EPERM)},
    };
    CHECK_CALLS(calls);
}

/* A process that changes it believes that it has. */
static void test_core_limit(void) {
    static const struct call calls[] = {
        {"setrlimit", {RLIMIT_CORE}, REFUSED(0)},
        {"setrlimit", {HIGH | RLIMIT_CORE}, REFUSED(0)},
        {"setrlimit", {RLIMIT_NOFILE}, ALLOWED},
        {"prlimit64", {0, RLIMIT_CORE, 1}, REFUSED(0)},
        {"prlimit64", {0, HIGH | RLIMIT_CORE, 1}, REFUSED(0)},
        {"prlimit64", {0, RLIMIT_CORE, HIGH}, REFUSED(0)},
        {"prlimit64", {0, RLIMIT_CORE, 0}, ALLOWED}, /* it asks */
        {"prlimit64", {0, RLIMIT_NOFILE, 1}, ALLOWED},
        {"getrlimit", {RLIMIT_CORE}, ALLOWED},
    };
    CHECK_CALLS(calls);
}

/* Calls that are newer than this program, those of x32, and other machines'. */
static void test_unknown_calls(void) {
    const uint32_t own = seccomp_arch_native();
    const uint32_t other = own == SCMP_ARCH_X86 ? SCMP_ARCH_ARM : SCMP_ARCH_X86;
    static const struct call newer = {"newer", {0}, REFUSED(ENOSYS)};
    static const struct call killed = {"other", {0}, SECCOMP_RET_KILL_PROCESS};
    static const struct call known = {"known", {0}, ALLOWED};
    check_verdict(&known, 462, own);
    check_verdict(&newer, 463, own);
    check_verdict(&newer, 0x3fffffff, own);
    check_verdict(&killed, SYS_getpid, other);
    check_verdict(&killed, SYS_mount, 0);
}

int main(void) {
    RUN(test_compile, "the filter is made");
    RUN(test_terminals, "no input for a terminal, and no line discipline");
    RUN(test_namespaces, "no namespace of its own, whatever else is asked for");
    RUN(test_memory, "no memory that all of the machine shares");
    RUN(test_core_limit, "the limit of core dumps stays");
    RUN(test_unknown_calls, "what is not known is not allowed");
    program_free(&filter);
    return CHECK_DONE();
}
