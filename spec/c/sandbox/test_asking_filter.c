/* test_asking_filter.c: sandbox/asking_filter.h, against the kernel. */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include "check.h"
#include "sandbox/asking_filter.h"
#include "sandbox/filter.h"
#include "seed.h"
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct program_code plain, programs, files;

static void read_program(int fd, struct program_code *p) {
    struct fault f = {0};
    CHECK(fd >= 0 && program_read(fd, p, &f) == 0 && p->length > 10);
}

static void test_compile(void) {
    struct fault f = {0};
    int fds[3] = {filter_compile(&f)};
    fds[1] = asking_filter(fds[0], false, &f);
    fds[2] = asking_filter(fds[0], true, &f);
    read_program(fds[0], &plain);
    read_program(fds[1], &programs);
    read_program(fds[2], &files);
    for (int i = 0; i < 3; i++)
        close_fd(fds[i]);
}

static bool is_path_call(const struct seccomp_data *call, bool all) {
    const struct path_call *c = path_call_find(call->nr);
    if (!c || call->arch != seccomp_arch_native() ||
        (c->use != USE_EXECUTE && !all))
        return false;
    return !c->empty || !(call->args[c->flags] & AT_EMPTY_PATH);
}

/* What the plain filter allows and does not name a file is never asked about;
 * what it refuses is refused, asked about, or ends the process. */
static void check_call(const struct seccomp_data *call) {
    uint32_t verdict = program_judge(&plain, call);
    uint32_t error = verdict & SECCOMP_RET_DATA;
    bool refuses = (verdict & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO &&
                   error != 0 && error != ENOSYS;
    for (int all = 0; all < 2; all++) {
        bool asks = refuses || is_path_call(call, all);
        uint32_t got = program_judge(all ? &files : &programs, call);
        if (verdict == SECCOMP_RET_KILL_PROCESS)
            CHECK(got == verdict);
        else if (got != (asks ? SECCOMP_RET_USER_NOTIF : verdict))
            CHECK(!"asks as it should");
    }
}

static void test_random_calls(void) {
    static const uint64_t values[] = {
        0, 1, 2, 3, 16, 17, 0x10000000, 0x20000, AT_EMPTY_PATH, UINT64_MAX};
    static const uint32_t machines[] = {SCMP_ARCH_NATIVE, SCMP_ARCH_X86, 0};
    seed_begin();
    for (int i = 0; i < 300000 && check_ok; i++) {
        struct seccomp_data call = {.nr = seed_below(480),
                                    .arch = seccomp_arch_native()};
        if (i % 16 == 0)
            call.arch = machines[seed_below(3)];
        if (i % 32 == 0)
            call.nr |= 0x40000000;
        for (int k = 0; k < 6; k++)
            call.args[k] = values[seed_below(10)];
        check_call(&call);
    }
}

/* The errno of a call under the plain filter. */
static int try_call(int number, const uint64_t args[3]) {
    struct sock_fprog p = {(unsigned short)plain.length, plain.code};
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) < 0)
            _exit(255);
        _exit(syscall(number, args[0], args[1], args[2]) < 0 ? errno : 0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status)
               ? WEXITSTATUS(status)
               : -1;
}

/* The kernel refuses what program_judge() says, with that error. */
static void test_like_the_kernel(void) {
    static const struct {
        int number;
        uint64_t args[3];
    } calls[] = {
        {SYS_mount, {0}},
        {SYS_unshare, {0}},
        {SYS_bpf, {99}},
        {SYS_keyctl, {0}},
        {SYS_io_setup, {0}},
        {SYS_socket, {16, 3, 99}}, /* netlink of an odd kind */
        {SYS_socket, {2, 3, 1}},   /* a raw socket */
        {SYS_socket, {40, 1, 0}},  /* vsock */
        {SYS_socket, {1, 1, 0}},   /* a Unix socket: allowed */
        {SYS_socketpair, {2, 1, 0}},
        {SYS_ioctl, {0, 0x5412, 0}}, /* TIOCSTI */
        {SYS_mmap, {0, 4096, 0}},    /* allowed, and makes no sense */
        {470, {0}},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct seccomp_data call = {.nr = calls[i].number,
                                    .arch = seccomp_arch_native()};
        memcpy(call.args, calls[i].args, sizeof calls[i].args);
        uint32_t verdict = program_judge(&plain, &call);
        int got = try_call(calls[i].number, calls[i].args);
        if (verdict == SECCOMP_RET_ALLOW)
            CHECK(got != EPERM && got != ENOSYS && got != EAFNOSUPPORT);
        else
            CHECK_NUMBER(got, verdict & SECCOMP_RET_DATA);
    }
}

static void test_broken_program(void) {
    struct sock_filter far[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(struct seccomp_data)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_filter open_end[] = {BPF_STMT(BPF_JMP | BPF_JA, 7)};
    struct sock_filter odd[] = {BPF_STMT(BPF_MISC | BPF_TAX, 0)};
    const struct program_code broken[] = {
        {far, 2}, {open_end, 1}, {odd, 1}, {NULL, 0}};
    const struct seccomp_data call = {.nr = SYS_getpid};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        CHECK(program_judge(&broken[i], &call) == SECCOMP_RET_KILL_PROCESS);
}

int main(void) {
    RUN(test_compile, "the filters are made");
    RUN(test_random_calls, "asks where the plain filter refuses, and no more");
    RUN(test_like_the_kernel, "a program is judged as the kernel does");
    RUN(test_broken_program, "a broken program allows nothing");
    program_free(&plain);
    program_free(&programs);
    program_free(&files);
    return CHECK_DONE();
}
