#define _GNU_SOURCE
#include "sandbox/filter.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "sandbox/filter_code.h"
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* mseal, Linux 6.10. Higher numbers are the same on all machines; this policy
 * does not know them. */
enum { LAST_KNOWN_CALL = 462 };

static const char *const forbidden[] = {
    /* mounts */
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    /* Namespaces and other processes. Not ptrace, process_vm_* and kcmp, which
     * debuggers and sanitizers need. Like /proc/PID/mem they reach processes of
     * the same user in the sandbox, and never its init. Calls that a traced
     * process is made to do go through this filter, too (Linux 4.8). */
    "unshare",
    "setns",
    "process_madvise",
    "pidfd_getfd",
    /* the kernel's own machinery */
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "keyctl",
    "add_key",
    "request_key",
    "fanotify_init",
    "lookup_dcookie",
    "syslog",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "query_module",
    "get_kernel_syms",
    "kexec_load",
    "kexec_file_load",
    "nfsservctl",
    "_sysctl",
    "sysfs",
    "ustat",
    "uselib",
    "acct",
    "quotactl",
    "quotactl_fd",
    "swapon",
    "swapoff",
    "reboot",
    "vhangup",
    "sethostname",
    "setdomainname",
    /* files by handle, round the mount namespace */
    "open_by_handle_at",
    "name_to_handle_at",
    /* the machine: clock, ports, memory placement */
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "stime",
    "iopl",
    "ioperm",
    "modify_ldt",
    "vm86",
    "vm86old",
    "mbind",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "migrate_pages",
    "move_pages",
};

/* Programs can do without these, as some machines lack them. The first two use
 * up what the whole machine shares: fs.aio-max-nr limits asynchronous requests,
 * and a machine with secret memory does not hibernate. The flags of clone3 are
 * in memory, where no filter can see them. */
static const char *const missing[] = {"io_setup", "memfd_secret", "clone3"};

static int forbid(scmp_filter_ctx c, const char *name, int error) {
    int number = seccomp_syscall_resolve_name(name);
    if (number < 0) /* this machine never had it */
        return 0;
    return seccomp_rule_add(c, SCMP_ACT_ERRNO(error), number, 0);
}

static int forbid_calls(scmp_filter_ctx c) {
    int rc = 0;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        if (rc == 0)
            rc = forbid(c, forbidden[i], EPERM);
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        if (rc == 0)
            rc = forbid(c, missing[i], ENOSYS);
    return rc;
}

/* Huge pages are set aside for some program of the machine, not for sandboxes.
 */
static int forbid_huge_pages(scmp_filter_ctx c) {
    const uint32_t none_left = SCMP_ACT_ERRNO(ENOMEM);
    int rc =
        seccomp_rule_add(c, none_left, SCMP_SYS(mmap), 1,
                         SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_HUGETLB, MAP_HUGETLB));
    if (rc < 0)
        return rc;
    return seccomp_rule_add(
        c, none_left, SCMP_SYS(memfd_create), 1,
        SCMP_A1(SCMP_CMP_MASKED_EQ, MFD_HUGETLB, MFD_HUGETLB));
}

static int forbid_new_namespaces(scmp_filter_ctx c) {
    static const uint64_t flags[] = {
        CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWPID,    CLONE_NEWNET,
        CLONE_NEWIPC,  CLONE_NEWUTS, CLONE_NEWCGROUP,
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof flags / sizeof *flags; i++)
        rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
    return rc;
}

/* Input typed into a terminal, and line disciplines that load modules. Compare
 * only 32 bits of the request, as the kernel does. */
static int forbid_terminal_tricks(scmp_filter_ctx c) {
    static const uint64_t requests[] = {TIOCSTI, TIOCLINUX, TIOCSETD};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof requests / sizeof *requests; i++)
        rc = seccomp_rule_add(
            c, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, requests[i]));
    return rc;
}

/* Pretend to change the size limit of core dumps. With any other limit than
 * init's the kernel would run the host's handler of core dumps. */
static int keep_core_limit(scmp_filter_ctx c) {
    int rc =
        seccomp_rule_add(c, SCMP_ACT_ERRNO(0), SCMP_SYS(setrlimit), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, 0xffffffffU, RLIMIT_CORE));
    if (rc < 0)
        return rc;
    return seccomp_rule_add(
        c, SCMP_ACT_ERRNO(0), SCMP_SYS(prlimit64), 2,
        SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffU, RLIMIT_CORE),
        SCMP_A2(SCMP_CMP_NE, 0));
}

/* ---- the part before libseccomp's ---- */

/* Skips the rest of this part: libseccomp's decides. */
#define DONE BPF_STMT(BPF_JMP | BPF_JA, UINT32_MAX)
#define REFUSE(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

#define ALLOW_FAMILY(family) ARGUMENT(0), UNLESS(family, 1), DONE
#define ALLOW_PROTOCOL(family, protocol)                                       \
    ARGUMENT(0), UNLESS(family, 3), ARGUMENT(2), UNLESS(protocol, 1), DONE
#define TYPE(family, type, count)                                              \
    ARGUMENT(0), UNLESS(family, (count) + 3), ARGUMENT(1),                     \
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf), UNLESS(type, count)
#define ALLOW(family, type, protocol)                                          \
    TYPE(family, type, 3), ARGUMENT(2), UNLESS(protocol, 1), DONE
#define REFUSE_TYPE(family, type, error) TYPE(family, type, 1), REFUSE(error)
#define REFUSE_FAMILY(family, error)                                           \
    ARGUMENT(0), UNLESS(family, 1), REFUSE(error)

static int write_part(int fd, struct sock_filter *part, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (part[i].code == (BPF_JMP | BPF_JA) && part[i].k == UINT32_MAX)
            part[i].k = (uint32_t)(count - i - 1);
    return write_all(fd, part, count * sizeof *part);
}

static int write_newer_calls(int fd) {
    struct sock_filter part[] = {
        NUMBER,
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST_KNOWN_CALL, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 1, 0),
        REFUSE(ENOSYS),
    };
    return write_part(fd, part, sizeof part / sizeof *part);
}

/* Allow Unix, TCP, UDP and ping sockets and, for the list of interfaces, route
 * netlink. Other sockets must not even make the kernel load a module: neither
 * vsock, which reaches the host of a virtual machine, nor any rare protocol. A
 * rule of libseccomp cannot say this, for it may test an argument only once. */
static int write_sockets(int fd) {
    struct sock_filter part[] = {
        NUMBER,
        UNLESS(SYS_socketpair, 4),
        ALLOW_FAMILY(AF_UNIX),
        REFUSE(EOPNOTSUPP),
        UNLESS(SYS_socket, 1),
        BPF_STMT(BPF_JMP | BPF_JA, 1),
        DONE,
        ALLOW_FAMILY(AF_UNIX),
        ALLOW(AF_INET, SOCK_STREAM, 0),
        ALLOW(AF_INET, SOCK_STREAM, IPPROTO_TCP),
        ALLOW(AF_INET, SOCK_DGRAM, 0),
        ALLOW(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
        ALLOW(AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
        ALLOW(AF_INET6, SOCK_STREAM, 0),
        ALLOW(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
        ALLOW(AF_INET6, SOCK_DGRAM, 0),
        ALLOW(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
        ALLOW(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6),
        ALLOW_PROTOCOL(AF_NETLINK, NETLINK_ROUTE),
        REFUSE_TYPE(AF_INET, SOCK_RAW, EPERM),
        REFUSE_TYPE(AF_INET6, SOCK_RAW, EPERM),
        REFUSE_FAMILY(AF_INET, EPROTONOSUPPORT),
        REFUSE_FAMILY(AF_INET6, EPROTONOSUPPORT),
        REFUSE_FAMILY(AF_NETLINK, EPROTONOSUPPORT),
        REFUSE(EAFNOSUPPORT),
    };
    return write_part(fd, part, sizeof part / sizeof *part);
}

static int build(scmp_filter_ctx c) {
    int rc =
        seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    /* A binary tree. A sandbox waits until the filter is installed, and then
     * the kernel walks it once for each system call. */
    if (rc == 0)
        rc = seccomp_attr_set(c, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = forbid_calls(c);
    if (rc == 0)
        rc = forbid_new_namespaces(c);
    if (rc == 0)
        rc = forbid_huge_pages(c);
    if (rc == 0)
        rc = forbid_terminal_tricks(c);
    return rc == 0 ? keep_core_limit(c) : rc;
}

int filter_compile(struct fault *f) {
    int fd CLEANUP(cleanup_close) = memfd_create("seccomp", MFD_CLOEXEC);
    if (fd < 0)
        return fault_errno(f, "cannot make a memfd");
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW);
    if (!c)
        return fault_set(f, 500, "cannot make a system call filter");
    int rc = build(c);
    if (rc == 0 && (write_newer_calls(fd) < 0 || write_sockets(fd) < 0))
        rc = -errno;
    if (rc == 0)
        rc = seccomp_export_bpf(c, fd);
    seccomp_release(c);
    if (rc < 0) {
        errno = -rc;
        return fault_errno(f, "cannot compile the system call filter");
    }
    return steal_fd(&fd);
}
