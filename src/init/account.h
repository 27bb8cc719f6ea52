/* account.h: the user and groups of a process, by the image's /etc/passwd and
 * /etc/group. Both files belong to the image and to whatever ran in it: read
 * whole and bounded, regular files only, and not believed to be well-formed. */
#ifndef CONTREE_INIT_ACCOUNT_H
#define CONTREE_INIT_ACCOUNT_H

#include "init/failure.h"
#include "init/protocol.h"

#include <stdbool.h>

enum { ACCOUNT_GROUPS_MAX = 256 };

struct account {
    unsigned uid, gid;
    unsigned groups[ACCOUNT_GROUPS_MAX]; /* gid is the first */
    unsigned group_count;
    /* Absolute; without an entry "/root" or "/". */
    char home[ACCOUNT_HOME_SIZE];
    char name[ACCOUNT_NAME_SIZE]; /* "" without an entry */
};

/* `user` is "name", "name:group" (either may be a number), or "": then a->uid,
 * which need not have an entry. a->gid counts if `has_gid`. 422 for unknown
 * names. */
int account_find(const char *user, bool has_gid, struct account *a,
                 struct failure *f);

#endif
