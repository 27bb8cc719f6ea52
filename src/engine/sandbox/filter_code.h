/* filter_code.h: instructions of a filter of system calls. */
#ifndef CONTREE_SANDBOX_FILTER_CODE_H
#define CONTREE_SANDBOX_FILTER_CODE_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

/* Of an argument only 32 bits are loaded, which are all that the kernel looks
 * at in the arguments that filters test. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
enum { LOW_HALF = 0 };
#else
enum { LOW_HALF = 4 };
#endif

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
/* Load the number of the call, or an argument. */
#define NUMBER LOAD(offsetof(struct seccomp_data, nr))
#define ARGUMENT(n) LOAD(offsetof(struct seccomp_data, args[n]) + LOW_HALF)
/* Skips the next `count` instructions if what is loaded is not `value`. */
#define UNLESS(value, count)                                                   \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)

#endif
