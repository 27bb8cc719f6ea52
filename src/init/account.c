#define _GNU_SOURCE
#include "init/account.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes; the rest of a longer file is ignored. */
enum { FILE_MAX = 4 << 20 };

struct slice {
    const char *at, *end;
};

/* ---- files ---- */

static size_t read_up_to(int fd, char *to, size_t size) {
    size_t length = 0;
    while (length < size) {
        ssize_t got = read(fd, to + length, size - length);
        if (got > 0)
            length += got;
        else if (got == 0 || errno != EINTR)
            break;
    }
    return length;
}

/* The file's bytes, for free(); NULL if there is no such regular file. */
static char *load(const char *path, struct slice *out) {
    struct stat st;
    char *bytes = NULL;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        size_t size = st.st_size < FILE_MAX ? (size_t)st.st_size : FILE_MAX;
        bytes = malloc(size + 1);
        *out = (struct slice){bytes, bytes};
        if (bytes)
            out->end += read_up_to(fd, bytes, size);
    }
    if (fd >= 0)
        close(fd);
    return bytes;
}

/* Takes the part before the next `mark` (or the end), and skips the mark. */
static struct slice take(struct slice *rest, char mark) {
    struct slice part = *rest;
    const char *found = memchr(rest->at, mark, (size_t)(rest->end - rest->at));
    part.end = found ? found : rest->end;
    rest->at = found ? found + 1 : rest->end;
    return part;
}

/* The fields of the next line that has `count` of them; false at the end. */
static bool next_line(struct slice *rest, struct slice *fields, int count) {
    while (rest->at < rest->end) {
        struct slice line = take(rest, '\n');
        int n = 0;
        if (line.end > line.at && line.end[-1] == '\r')
            line.end--;
        for (; n < count && line.at < line.end; n++)
            fields[n] = take(&line, ':');
        /* The last field may be empty: "users:x:100:". */
        if (n == count - 1 && line.end[-1] == ':')
            fields[n++] = line;
        if (n == count)
            return true;
    }
    return false;
}

static bool equals(struct slice t, struct slice other) {
    size_t length = (size_t)(t.end - t.at);
    return length == (size_t)(other.end - other.at) &&
           memcmp(t.at, other.at, length) == 0;
}

/* Refuses (uint32_t)-1, which leaves the id of a process as it is: root. */
static bool to_id(struct slice t, unsigned *out) {
    uint64_t id = 0;
    if (t.at == t.end || t.end - t.at > 10)
        return false;
    for (; t.at < t.end; t.at++) {
        if (*t.at < '0' || *t.at > '9')
            return false;
        id = id * 10 + (uint64_t)(*t.at - '0');
    }
    *out = (unsigned)id;
    return id < UINT32_MAX;
}

/* For the environment, so control characters are refused. */
static bool copy(struct slice t, char *to, size_t size) {
    size_t length = (size_t)(t.end - t.at);
    if (length == 0 || length >= size)
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)t.at[i] < ' ' || t.at[i] == 127)
            return false;
    memcpy(to, t.at, length);
    to[length] = '\0';
    return true;
}

/* ---- users ---- */

enum { NAME, PASSWORD, ID, GROUP, GECOS, HOME, USER_FIELDS };

/* Finds the line with this name or, if `name` is NULL, with this id. */
static bool find_user(struct slice file, const struct slice *name, unsigned uid,
                      struct slice fields[USER_FIELDS]) {
    while (next_line(&file, fields, USER_FIELDS)) {
        unsigned id, group;
        if (!to_id(fields[ID], &id) || !to_id(fields[GROUP], &group))
            continue;
        if (name ? equals(fields[NAME], *name) : id == uid)
            return true;
    }
    return false;
}

static void set_home(struct account *a, const char *home) {
    snprintf(a->home, sizeof a->home, "%s", home);
}

static void use_entry(struct account *a, const struct slice *fields) {
    to_id(fields[ID], &a->uid);
    to_id(fields[GROUP], &a->gid);
    if (!copy(fields[HOME], a->home, sizeof a->home) || a->home[0] != '/')
        set_home(a, "/");
    copy(fields[NAME], a->name, sizeof a->name);
}

static int unknown(struct failure *f, const char *what, struct slice name,
                   const char *path) {
    return fail(f, 422,
                "the image has no %s \"%.*s\": its %s does not name it. Fix: "
                "a number always works",
                what, (int)(name.end - name.at > 80 ? 80 : name.end - name.at),
                name.at, path);
}

/* `name` is a name or an id; NULL: a->uid is the id. */
static int look_up_user(const struct slice *name, struct account *a,
                        struct failure *f) {
    struct slice file = {0}, fields[USER_FIELDS];
    bool is_id = !name || to_id(*name, &a->uid);
    char *bytes = load("/etc/passwd", &file);
    bool found = bytes && find_user(file, is_id ? NULL : name, a->uid, fields);
    set_home(a, a->uid == 0 ? "/root" : "/");
    if (found)
        use_entry(a, fields);
    free(bytes);
    return found || is_id ? 0 : unknown(f, "user", *name, "/etc/passwd");
}

/* ---- groups ---- */

enum { MEMBERS = 3, GROUP_FIELDS };

static int look_up_group(struct slice name, struct account *a,
                         struct failure *f) {
    struct slice file = {0}, fields[GROUP_FIELDS];
    bool found = to_id(name, &a->gid);
    if (found)
        return 0;
    char *bytes = load("/etc/group", &file);
    while (bytes && !found && next_line(&file, fields, GROUP_FIELDS))
        found = equals(fields[NAME], name) && to_id(fields[ID], &a->gid);
    free(bytes);
    return found ? 0 : unknown(f, "group", name, "/etc/group");
}

static bool has_member(struct slice list, struct slice name) {
    while (list.at < list.end)
        if (equals(take(&list, ','), name))
            return true;
    return false;
}

/* Adds the groups that name the user as a member. */
static void add_groups(struct account *a) {
    const struct slice name = {a->name, a->name + strlen(a->name)};
    struct slice file = {0}, fields[GROUP_FIELDS];
    unsigned gid;
    char *bytes = *a->name ? load("/etc/group", &file) : NULL;
    while (bytes && a->group_count < ACCOUNT_GROUPS_MAX &&
           next_line(&file, fields, GROUP_FIELDS))
        if (to_id(fields[ID], &gid) && gid != a->gid &&
            has_member(fields[MEMBERS], name))
            a->groups[a->group_count++] = gid;
    free(bytes);
}

int account_find(const char *user, bool has_gid, struct account *a,
                 struct failure *f) {
    struct slice group = {user, user + strlen(user)};
    struct slice name = take(&group, ':');
    unsigned gid = a->gid;
    bool grouped = has_gid || group.at < group.end;
    *a = (struct account){.uid = a->uid};
    if (look_up_user(*user ? &name : NULL, a, f) < 0)
        return -1;
    if (has_gid)
        a->gid = gid;
    if (group.at < group.end && look_up_group(group, a, f) < 0)
        return -1;
    a->groups[a->group_count++] = a->gid;
    /* A group that the caller names is the only one. */
    if (!grouped)
        add_groups(a);
    return 0;
}
