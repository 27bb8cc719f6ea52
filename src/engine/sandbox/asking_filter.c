/* asking_filter.c: see asking_filter.h. */
#define _GNU_SOURCE
#include "sandbox/asking_filter.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "sandbox/filter_code.h"
#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The older calls exist on some machines only. */
static const struct path_call path_calls[] = {
    {SYS_execve, USE_EXECUTE, -1, 0, -1, false},
    {SYS_execveat, USE_EXECUTE, 0, 1, -1, false},
    {SYS_openat, USE_OPEN, 0, 1, 2, false},
    {SYS_openat2, USE_OPEN, 0, 1, -1, false},
    {SYS_newfstatat, USE_LOOK, 0, 1, 3, true},
    {SYS_statx, USE_LOOK, 0, 1, 2, true},
    {SYS_faccessat, USE_LOOK, 0, 1, -1, false},
    {SYS_faccessat2, USE_LOOK, 0, 1, 3, true},
#ifdef SYS_open
    {SYS_open, USE_OPEN, -1, 0, 1, false},
    {SYS_creat, USE_OPEN, -1, 0, -1, false},
    {SYS_stat, USE_LOOK, -1, 0, -1, false},
    {SYS_lstat, USE_LOOK, -1, 0, -1, false},
    {SYS_access, USE_LOOK, -1, 0, -1, false},
#endif
};
enum { PATH_CALLS = sizeof path_calls / sizeof *path_calls };

const struct path_call *path_call_find(int number) {
    for (int i = 0; i < PATH_CALLS; i++)
        if (path_calls[i].number == number)
            return &path_calls[i];
    return NULL;
}

int program_read(int fd, struct program_code *p, struct fault *f) {
    struct stat st;
    *p = (struct program_code){0};
    if (fstat(fd, &st) < 0)
        return fault_errno(f, "cannot read the system call filter");
    p->code = malloc((size_t)st.st_size + 1);
    if (!p->code)
        return fault_memory(f);
    if (pread_all(fd, p->code, (size_t)st.st_size, 0) < 0) {
        program_free(p);
        return fault_errno(f, "cannot read the system call filter");
    }
    p->length = (size_t)st.st_size / sizeof *p->code;
    return 0;
}

void program_free(struct program_code *p) {
    free(p->code);
    *p = (struct program_code){0};
}

/* ---- what a program says ---- */

static bool jumps(const struct sock_filter *at, uint32_t a) {
    switch (at->code) {
    case BPF_JMP | BPF_JEQ | BPF_K:
        return a == at->k;
    case BPF_JMP | BPF_JGT | BPF_K:
        return a > at->k;
    case BPF_JMP | BPF_JGE | BPF_K:
        return a >= at->k;
    default: /* BPF_JSET */
        return a & at->k;
    }
}

/* Only the instructions that libseccomp and filter.c make. */
uint32_t program_judge(const struct program_code *p,
                       const struct seccomp_data *call) {
    uint32_t a = 0;
    for (size_t i = 0; i < p->length; i++) {
        const struct sock_filter *at = &p->code[i];
        switch (at->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (at->k > sizeof *call - sizeof a)
                return SECCOMP_RET_KILL_PROCESS;
            memcpy(&a, (const char *)call + at->k, sizeof a);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= at->k;
            break;
        case BPF_JMP | BPF_JA:
            i += at->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
        case BPF_JMP | BPF_JGT | BPF_K:
        case BPF_JMP | BPF_JGE | BPF_K:
        case BPF_JMP | BPF_JSET | BPF_K:
            i += jumps(at, a) ? at->jt : at->jf;
            break;
        case BPF_RET | BPF_K:
            return at->k;
        default:
            return SECCOMP_RET_KILL_PROCESS;
        }
    }
    return SECCOMP_RET_KILL_PROCESS;
}

/* ---- the program that asks ---- */

#define ASK BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)
enum { HEAD = 4, EACH = 5, PART_MAX = HEAD + EACH * PATH_CALLS };

/* The part in front of the plain program: the length. */
static size_t ask_about_paths(struct sock_filter part[PART_MAX], bool files) {
    struct sock_filter *end = part + HEAD;
    for (int i = 0; i < PATH_CALLS; i++) {
        const struct path_call *c = &path_calls[i];
        const struct sock_filter always[] = {UNLESS((uint32_t)c->number, 1),
                                             ASK};
        const struct sock_filter with_path[] = {
            UNLESS((uint32_t)c->number, EACH - 1),
            ARGUMENT(c->empty ? c->flags : 0),
            BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, AT_EMPTY_PATH, 1, 0),
            ASK,
            NUMBER,
        };
        size_t size = c->empty ? sizeof with_path : sizeof always;
        if (c->use != USE_EXECUTE && !files)
            continue;
        memcpy(end, c->empty ? with_path : always, size);
        end += size / sizeof *end;
    }
    /* The numbers are those of this machine's own ABI. */
    const struct sock_filter head[HEAD] = {
        LOAD(offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, seccomp_arch_native(), 1, 0),
        BPF_STMT(BPF_JMP | BPF_JA, (uint32_t)(end - part - 3)),
        NUMBER,
    };
    memcpy(part, head, sizeof head);
    return (size_t)(end - part);
}

/* Calls to be refused are asked about instead. */
static void ask_about_refusals(struct program_code *p) {
    for (size_t i = 0; i < p->length; i++) {
        struct sock_filter *at = &p->code[i];
        uint32_t error = at->k & SECCOMP_RET_DATA;
        if (at->code == (BPF_RET | BPF_K) &&
            (at->k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO &&
            error != 0 && error != ENOSYS)
            at->k = SECCOMP_RET_USER_NOTIF;
    }
}

int asking_filter(int plain, bool files, struct fault *f) {
    struct sock_filter part[PART_MAX];
    struct program_code rest;
    int fd CLEANUP(cleanup_close) = memfd_create("seccomp", MFD_CLOEXEC);
    if (fd < 0)
        return fault_errno(f, "cannot make a system call filter");
    if (program_read(plain, &rest, f) < 0)
        return -1;
    size_t count = ask_about_paths(part, files);
    ask_about_refusals(&rest);
    int rc = write_all(fd, part, count * sizeof *part);
    if (rc == 0)
        rc = write_all(fd, rest.code, rest.length * sizeof *rest.code);
    if (rc < 0)
        fault_errno(f, "cannot make a system call filter");
    program_free(&rest);
    return rc < 0 ? -1 : steal_fd(&fd);
}
