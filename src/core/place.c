#include "place.h"

#include <inttypes.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RUNTIME_DIR_MAX = 59 };

static bool is_given(const char *text) {
    return text && *text;
}

static bool is_absolute(const char *text) {
    return text && *text == '/';
}

/* Copies an absolute path without empty and "." components; false when it does
 * not fit. ".." stays, because the part before it may be a symbolic link. */
static bool copy_path(char out[PLACE_PATH_SIZE], const char *path) {
    size_t n = 0;
    while (*path) {
        size_t length = strcspn(path, "/");
        if (length > 0 && !(length == 1 && *path == '.')) {
            if (n + 1 + length >= PLACE_PATH_SIZE)
                return false;
            out[n++] = '/';
            memcpy(out + n, path, length);
            n += length;
        }
        path += length + (path[length] == '/');
    }
    if (n == 0)
        out[n++] = '/';
    out[n] = 0;
    return true;
}

static bool default_data_dir(const struct place_input *in,
                             char out[PLACE_PATH_SIZE]) {
    char path[PLACE_PATH_SIZE], text[4096];
    const char *home = in->home;
    if (!is_given(home)) {
        struct passwd entry, *user = NULL;
        getpwuid_r(getuid(), &entry, text, sizeof text, &user);
        home = user && is_given(user->pw_dir) ? user->pw_dir : "/tmp";
    }
    int length =
        is_absolute(in->xdg_data_home)
            ? snprintf(path, sizeof path, "%s/contree", in->xdg_data_home)
            : snprintf(path, sizeof path, "%s/.local/share/contree", home);
    return length < (int)sizeof path && copy_path(out, path);
}

/* FNV-1a. A collision harms only the user who names both directories. */
static uint64_t hash(const char *text) {
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return h;
}

const char *place_find(const struct place_input *in, struct place *out) {
    char usual[PLACE_PATH_SIZE];
    const char *named = is_given(in->data_dir) ? in->data_dir : in->own;
    if (is_given(named) && !is_absolute(named))
        return named == in->own ? "CONTREE_DATA_DIR must be an absolute path"
                                : "the data directory must be an absolute path";
    if (!default_data_dir(in, usual) ||
        !copy_path(out->data_dir, is_given(named) ? named : usual))
        return "the path of the data directory is too long";

    const char *runtime = in->xdg_runtime_dir;
    if (is_absolute(runtime) && strlen(runtime) <= RUNTIME_DIR_MAX)
        snprintf(out->socket_dir, sizeof out->socket_dir, "%s/contree",
                 runtime);
    else
        snprintf(out->socket_dir, sizeof out->socket_dir, "/tmp/contree-%u",
                 (unsigned)geteuid());
    if (strcmp(out->data_dir, usual) == 0)
        snprintf(out->socket, sizeof out->socket, "%.68s/engine.sock",
                 out->socket_dir);
    else
        snprintf(out->socket, sizeof out->socket,
                 "%.68s/engine-%016" PRIx64 ".sock", out->socket_dir,
                 hash(out->data_dir));
    return NULL;
}
