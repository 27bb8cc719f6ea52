/* asking_filter.h: the filter of a sandbox whose calls are traced. What
 * filter.h's filter refuses, this one asks its listener (seccomp_unotify(2)),
 * who refuses it as well and so knows of it. Beside that it asks about calls
 * that are allowed and name a file. */
#ifndef CONTREE_SANDBOX_ASKING_FILTER_H
#define CONTREE_SANDBOX_ASKING_FILTER_H

#include "base/fault.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The program of a filter. */
struct program_code {
    struct sock_filter *code;
    size_t length;
};
/* Reads one from the memfd that filter_compile() makes. 0 or -1 with the fault;
 * release it with program_free(). */
int program_read(int fd, struct program_code *p, struct fault *f);
void program_free(struct program_code *p);

/* What a program says about a call: SECCOMP_RET_..., as the kernel would run
 * it. SECCOMP_RET_KILL_PROCESS for a program that is broken. */
uint32_t program_judge(const struct program_code *p,
                       const struct seccomp_data *call);

/* A call that names a file. */
enum call_use { USE_EXECUTE, USE_OPEN, USE_LOOK };
struct path_call {
    int number;
    enum call_use use;
    int dir, path, flags; /* which arguments; -1: it has none */
    bool empty; /* `flags` may have AT_EMPTY_PATH: then it is not asked */
};
/* NULL: the call with this number is none. */
const struct path_call *path_call_find(int number);

/* A memfd with the program that asks where that of `plain` refuses, and about
 * the calls that execute a program; with `files`, about all that name a file.
 * Calls that this machine is to seem not to know (ENOSYS), or that are answered
 * without being made, are decided as ever. The caller owns it; -1 with the
 * fault. */
int asking_filter(int plain, bool files, struct fault *f);

#endif
