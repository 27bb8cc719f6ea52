/* account.c: whatever an image's /etc/passwd and /etc/group have, a user is one
 * that they name, or a number; home is a path, and no text has a control
 * character. The input is the user, the group file and the passwd file. */
#define _GNU_SOURCE
#include "../input.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* What account.c opens in place of the image's files; set for each input. */
static int passwd_file = -1, group_file = -1;

static int open_account(const char *path, int flags) {
    int fd = strcmp(path, "/etc/passwd") == 0 ? passwd_file : group_file;
    (void)flags;
    HOLDS(lseek(fd, 0, SEEK_SET) == 0);
    return dup(fd);
}

#define open open_account
#include "../../src/init/account.c"

static void fill(int *fd, const char *name, const void *data, size_t size) {
    if (*fd < 0)
        *fd = memfd_create(name, MFD_CLOEXEC);
    HOLDS(*fd >= 0 && ftruncate(*fd, 0) == 0 &&
          pwrite(*fd, data, size, 0) == (ssize_t)size);
}

static bool is_printable(const char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127)
            return false;
    return true;
}

static void check(const char *user, bool has_gid) {
    struct account a = {.uid = 7, .gid = 8};
    struct failure f = {0};
    if (account_find(user, has_gid, &a, &f) < 0) {
        HOLDS(f.status == 422);
        return;
    }
    HOLDS(a.uid != UINT32_MAX && a.gid != UINT32_MAX);
    HOLDS(a.home[0] == '/' && strnlen(a.home, sizeof a.home) < sizeof a.home);
    HOLDS(strnlen(a.name, sizeof a.name) < sizeof a.name);
    HOLDS(is_printable(a.home) && is_printable(a.name));
    HOLDS(a.group_count >= 1 && a.group_count <= ACCOUNT_GROUPS_MAX);
    HOLDS(a.groups[0] == a.gid);
    if (has_gid || (strchr(user, ':') && strchr(user, ':')[1]))
        HOLDS(a.group_count == 1);
    if (!*user)
        HOLDS(a.uid == 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    bool has_gid = input_byte(&in) & 1;
    char *user = input_text(&in, '\n'), *groups = input_text(&in, '\1');
    fill(&group_file, "group", groups, strlen(groups));
    fill(&passwd_file, "passwd", in.left ? in.at : data, in.left);
    check(user, has_gid);
    check("", has_gid);
    free(user);
    free(groups);
    return 0;
}
