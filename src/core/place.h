/* place.h: where the local engine keeps its data, and on which Unix socket it
 * is reached. The module and the program contree-engine are built from this
 * one file, so that they always look at the same place. It knows no Lua. */
#ifndef CONTREE_PLACE_H
#define CONTREE_PLACE_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

enum {
    PLACE_PATH_SIZE = 4096,
    /* What a sockaddr_un holds, less the ".new" under which the engine makes
     * its socket. */
    PLACE_SOCKET_MAX = 98
};

/* What decides; NULL and "" both mean that it is not given. */
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

/* NULL, or what is wrong: a static string. Relative XDG directories are
 * ignored, as their specification wants it; an $XDG_RUNTIME_DIR that is too
 * long for a socket gives way to /tmp/contree-UID. */
const char *place_find(const struct place_input *in, struct place *out);

#pragma GCC visibility pop

#endif
