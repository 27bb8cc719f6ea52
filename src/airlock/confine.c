/* confine.c: see confine.h. */
#define _GNU_SOURCE
#include "airlock/confine.h"
#include "airlock/files.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Resolving names loads plugins of the host's choice, so this is a list of what
 * nothing here ever needs, and not one of what is needed. */
static const char *const forbidden[] = {
    /* other programs, other processes */
    "execve",
    "execveat",
    "fork",
    "vfork",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "pidfd_open",
    "pidfd_getfd",
    "pidfd_send_signal",
    "kill",
    "tkill",
    "kcmp",
    /* namespaces, mounts */
    "unshare",
    "setns",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    /* privileges */
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "setfsuid",
    "setfsgid",
    "capset",
    "personality",
    /* changing files */
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "rmdir",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "mknod",
    "mknodat",
    "truncate",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "open_by_handle_at",
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
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "syslog",
    "quotactl",
    "acct",
    "settimeofday",
    "clock_settime",
    "clock_adjtime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
    "modify_ldt",
};

/* Only sockets that dialling and resolving need. */
static int limit_sockets(scmp_filter_ctx c) {
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK};
    enum { COUNT = sizeof families / sizeof *families };
    /* Below, between and above those that are allowed. */
    int rc = 0;
    for (int family = 0; family < AF_MAX && rc == 0; family++) {
        bool allowed = false;
        for (int i = 0; i < COUNT; i++)
            allowed = allowed || families[i] == family;
        if (!allowed)
            rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(EAFNOSUPPORT),
                                  SCMP_SYS(socket), 1,
                                  SCMP_A0(SCMP_CMP_EQ, (unsigned)family));
    }
    return rc;
}

static int forbid_all(scmp_filter_ctx c) {
    int rc = 0;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden && rc == 0;
         i++) {
        int number = seccomp_syscall_resolve_name(forbidden[i]);
        if (number >= 0) /* else this machine never had it */
            rc = seccomp_rule_add(c, SCMP_ACT_ERRNO(EPERM), number, 0);
    }
    return rc == 0 ? limit_sockets(c) : rc;
}

static int filter_calls(struct fault *f) {
    scmp_filter_ctx c = seccomp_init(SCMP_ACT_ALLOW);
    int rc = c ? forbid_all(c) : -ENOMEM;
    if (rc == 0)
        rc = seccomp_load(c);
    if (c)
        seccomp_release(c);
    if (rc == 0)
        return 0;
    errno = -rc;
    return fault_errno(f, "cannot filter system calls");
}

static int drop_capabilities(struct fault *f) {
    struct __user_cap_header_struct header = {.version =
                                                  _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {0};
    if (syscall(SYS_capset, &header, none) < 0)
        return fault_errno(f, "cannot drop capabilities");
    return 0;
}

/* Best effort: in a user namespace with one id there is no other user. */
static void become_nobody(void) {
    enum { NOBODY = 65534 };
    if (geteuid() == 0 && setgroups(0, NULL) == 0 &&
        setresgid(NOBODY, NOBODY, NOBODY) == 0)
        (void)!setresuid(NOBODY, NOBODY, NOBODY);
}

/* Files of size 0 only: it writes to sockets and pipes. */
static void limit_files(void) {
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_FSIZE, &none);
    setrlimit(RLIMIT_CORE, &none);
}

int confine(struct fault *f) {
    limit_files();
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        prctl(PR_CAPBSET_DROP, cap); /* best effort: it executes nothing */
    become_nobody();
    if (drop_capabilities(f) < 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fault_errno(f, "PR_SET_NO_NEW_PRIVS");
    files_confine();
    /* After the user id has changed, which resets it. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return fault_errno(f, "PR_SET_DUMPABLE");
    return filter_calls(f);
}
