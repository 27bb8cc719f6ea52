/* ids.h: the user and group ids that sandboxes have (sandbox/userns.h tells how
 * the engine gets them), and what a child needs that maps them. */
#ifndef CONTREE_BASE_IDS_H
#define CONTREE_BASE_IDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct id_range {
    uid_t base;     /* also the first group id */
    uint32_t count; /* 1: only id 0 exists in the sandbox */
};

enum { IDS_MAP_SIZE = 4096 };

/* What a child's uid_map or gid_map needs to hold for the child to have these
 * ids from 0 on. `own` is this process's map, /proc/self/uid_map: the kernel
 * maps no range across two lines of it, and there are several where the
 * engine's user has several ranges. */
void ids_map(const struct id_range *ids, const char *own,
             char text[IDS_MAP_SIZE]);

/* Whether this is "name" or "name:group", or numbers, as far as its form goes.
 */
bool user_is_valid(const char *text);

/* What to do for more ids. */
#define IDS_FIX                                                                \
    "for more give its user a (larger) range in /etc/subuid and /etc/subgid "  \
    "and start it again"

/* For a child of one thread that is about to make a user namespace, which the
 * kernel forbids inside a chroot: gives a process of real root the root of its
 * mount namespace, and that as working directory. Others stay where they are,
 * for whom the chroot is a wall. */
void leave_chroot(void);

#endif
