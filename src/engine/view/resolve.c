/* resolve.c: see resolve.h. */
#define _GNU_SOURCE
#include "view/resolve.h"
#include "base/json.h"
#include "base/url.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LINKS 40

void resolved_free(struct resolved *p) {
    for (size_t i = 0; p->way && i <= p->depth; i++)
        parts_free(&p->way[i]);
    free(p->way);
    p->way = NULL;
    parts_free(&p->node.parts);
}

/* Starts at the root. */
static int enter_root(const struct view *v, struct resolved *p) {
    *p = (struct resolved){.way = calloc(1, sizeof *p->way)};
    if (!p->way)
        return -1;
    int result = view_root(v, &p->node);
    p->way[0] = p->node.parts;
    p->node.parts = (struct parts){0};
    return result;
}

static void go_up(struct resolved *p) {
    if (p->depth == 0)
        return;
    parts_free(&p->way[p->depth--]);
    char *slash = strrchr(p->path, '/');
    p->length = slash ? (size_t)(slash - p->path) : 0;
    p->path[p->length] = 0;
}

/* Appends a name; takes n->parts over. */
static int go_down(struct resolved *p, const char *name, struct node *n) {
    struct parts *way = realloc(p->way, (p->depth + 2) * sizeof *way);
    if (!way)
        return -1;
    p->way = way;
    p->way[++p->depth] = n->parts;
    n->parts = (struct parts){0};
    p->length +=
        (size_t)snprintf(p->path + p->length, sizeof p->path - p->length,
                         "%s%s", p->length ? "/" : "", name);
    return 0;
}

bool path_fits(const char *dir, const char *name) {
    return strlen(dir) + strlen(name) + 2 <= INSPECT_PATH;
}

/* The rest of the path, to which each link adds its target. */
struct pending {
    char text[2 * PATH_MAX];
    const char *at;
    int links;
};

/* Puts the target of a link before the rest. -1 with errno. */
static int expand_link(const struct view *v, struct resolved *p,
                       const char *name, const struct node *n,
                       struct pending *rest) {
    char target[PATH_MAX], joined[sizeof rest->text];
    if (++rest->links > MAX_LINKS) {
        errno = ELOOP;
        return -1;
    }
    if (view_read_link(v, n->layer, p->path, name, target) < 0)
        return -1;
    int length = snprintf(joined, sizeof joined, "%s/%s", target, rest->at);
    if ((size_t)length >= sizeof joined) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(rest->text, joined, (size_t)length + 1);
    rest->at = rest->text;
    while (target[0] == '/' && p->depth)
        go_up(p);
    return 0;
}

/* Takes the next part off `rest`; false at the end. */
static bool next_part(struct pending *rest, char name[NAME_MAX + 1]) {
    rest->at += strspn(rest->at, "/");
    size_t length = strcspn(rest->at, "/");
    if (length == 0)
        return false;
    /* A longer name cannot exist: "" is refused. */
    snprintf(name, NAME_MAX + 1, "%.*s", length > NAME_MAX ? 0 : (int)length,
             rest->at);
    rest->at += length;
    return true;
}

/* A name that is not UTF-8 is listed percent-encoded, and a client may ask for
 * it as it was listed. Decodes such a name; false: `name` is not one. */
static bool raw_name(const char *name, char out[NAME_MAX + 1]) {
    snprintf(out, NAME_MAX + 1, "%s", name);
    return strchr(name, '%') && percent_decode(out, false) &&
           !strchr(out, '/') && !json_is_utf8(out, strlen(out));
}

/* Goes on by one part. 1: to be continued; 0: `p` is no directory, so this is
 * the end; -1 with errno. */
static int resolve_part(const struct view *v, struct resolved *p,
                        const char *name, struct pending *rest, bool follow) {
    struct node n;
    if (strcmp(name, ".") == 0)
        return 1;
    if (strcmp(name, "..") == 0) {
        go_up(p);
        return 1;
    }
    if (!*name || !path_fits(p->path, name)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    char raw[NAME_MAX + 1];
    int found = view_find(v, &p->way[p->depth], p->path, name, 0, &n);
    if (found == 0 && raw_name(name, raw)) {
        parts_free(&n.parts);
        name = raw;
        found = view_find(v, &p->way[p->depth], p->path, name, 0, &n);
    }
    bool last = rest->at[strspn(rest->at, "/")] == 0;
    int result = -1;
    if (found == 0) {
        errno = ENOENT;
    } else if (found == 1 && S_ISDIR(n.st.st_mode)) {
        result = go_down(p, name, &n) < 0 ? -1 : 1;
    } else if (found == 1 && S_ISLNK(n.st.st_mode) && (follow || !last)) {
        result = expand_link(v, p, name, &n, rest) < 0 ? -1 : 1;
    } else if (found == 1 && !last) {
        errno = ENOTDIR;
    } else if (found == 1) {
        result = go_down(p, name, &n) < 0 ? -1 : 0;
    }
    parts_free(&n.parts);
    p->node = n;
    return result;
}

static int resolve_fault(const char *path, struct fault *f) {
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
        return fault_set(f, 404, "no such path in the image: %.300s", path);
    case ELOOP:
        return fault_set(f, 422, "too many symbolic links: %.300s", path);
    default:
        return fault_errno(f, "reading %.300s", path);
    }
}

/* Reads the node of a directory again: after ".." it is that of the child. */
static int refresh_directory(const struct view *v, struct resolved *p) {
    uint32_t layer = p->way[p->depth].layers[0];
    p->node.layer = layer;
    return view_stat_entry(v, layer, p->path, &p->node.st) == 1 ? 0 : -1;
}

int resolve_path(const struct view *v, const char *path, bool follow,
                 struct resolved *p, struct fault *f) {
    struct pending rest = {.at = rest.text};
    char name[NAME_MAX + 1];
    *p = (struct resolved){0};
    if (path[0] != '/')
        return fault_set(f, 400, "path '%.300s' is not absolute", path);
    if (strlen(path) >= INSPECT_PATH)
        return fault_set(f, 400, "the path is longer than %d bytes",
                         INSPECT_PATH - 1);
    memcpy(rest.text, path, strlen(path) + 1);
    if (enter_root(v, p) < 0)
        return fault_errno(f, "reading the image");
    int more = 1;
    while (more == 1 && next_part(&rest, name))
        more = resolve_part(v, p, name, &rest, follow);
    if (more == 1 && refresh_directory(v, p) < 0)
        more = -1;
    return more < 0 ? resolve_fault(path, f) : 0;
}
