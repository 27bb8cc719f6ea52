/* place.h: the data directory of the local engine, and its Unix socket. Part of
 * both the module and the program contree-engine, so that they always use the
 * same place. It knows no Lua. */
#ifndef CONTREE_PLACE_H
#define CONTREE_PLACE_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

enum {
    PLACE_PATH_SIZE = 4096,
    /* The room in a sockaddr_un, less the ".new" of the name under which the
     * engine makes its socket. */
    PLACE_SOCKET_MAX = 98
};

/* NULL and "" both mean that it is not given. */
struct place_input {
    const char *data_dir;        /* as the caller names it */
    const char *own;             /* $CONTREE_DATA_DIR */
    const char *xdg_data_home;   /* $XDG_DATA_HOME */
    const char *home;            /* $HOME */
    const char *xdg_runtime_dir; /* $XDG_RUNTIME_DIR */
};

struct place {
    char data_dir[PLACE_PATH_SIZE]; /* absolute, without "//", "/." and a
                                       slash at its end */
    char socket_dir[PLACE_SOCKET_MAX];
    /* socket_dir/engine.sock for the directory that is used when neither the
     * caller nor $CONTREE_DATA_DIR names one, else engine-HASH.sock: two data
     * directories never share a socket. */
    char socket[PLACE_SOCKET_MAX + 1];
};

/* NULL, or the problem: a static string. Ignores relative XDG directories, as
 * their specification demands; uses /tmp/contree-UID when $XDG_RUNTIME_DIR is
 * too long for a socket. */
const char *place_find(const struct place_input *in, struct place *out);

#pragma GCC visibility pop

#endif
