/* test_userns.c: the ids of sandboxes. Each case has its own /etc/subuid and
 * /etc/subgid in a mount namespace, so only root can run them. */
#define _GNU_SOURCE
#include "base/fault.h"
#include "base/fd.h"
#include "check.h"
#include "sandbox/userns.h"
#include "temp_dir.h"
#include <grp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { USER = 54321, SKIPPED = 77 };

static void overlay(const char *path, const char *text) {
    char copy[] = "/tmp/contree-ids-XXXXXX";
    int fd = mkstemp(copy);
    if (fd < 0 || write_all(fd, text, strlen(text)) < 0 ||
        fchmod(fd, 0644) < 0 || mount(copy, path, NULL, MS_BIND, NULL) < 0)
        _exit(SKIPPED);
    unlink(copy);
    close(fd);
}

/* How many ids a sandbox has whose maps are these; 0: the kernel refuses them.
 * Sandboxes get their ids in the same way (init/forkserver.c). */
static uint32_t ids_of_a_child(const struct id_range *ids) {
    char path[64], text[IDS_MAP_SIZE], byte;
    unsigned inside, outside, count;
    uint32_t all = 0;
    int ready[2], go[2];
    CHECK(pipe(ready) == 0 && pipe(go) == 0);
    pid_t child = fork();
    if (child == 0)
        _exit(unshare(CLONE_NEWUSER) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0 ||
              write(ready[1], "", 1) != 1 || read(go[0], &byte, 1) != 1);
    CHECK(read(ready[0], &byte, 1) == 1);
    ids_map(ids, "/proc/self/uid_map", text);
    snprintf(path, sizeof path, "/proc/%d/uid_map", child);
    bool good = write_to_file(path, text) == 0;
    ids_map(ids, "/proc/self/gid_map", text);
    snprintf(path, sizeof path, "/proc/%d/gid_map", child);
    good = good && write_to_file(path, text) == 0;
    FILE *map = fopen(path, "re");
    while (map && fscanf(map, "%u %u %u", &inside, &outside, &count) == 3 &&
           inside == all)
        all += count;
    fclose(map);
    CHECK(write(go[1], "", 1) == 1 && waitpid(child, NULL, 0) == child);
    return good ? all : 0;
}

struct answer {
    struct id_range ids;
    uint32_t in_a_child;
};

/* Find the ids as this user, and write them to the pipe. Runs in a child. */
_Noreturn static void be_engine(uid_t uid, const char *users,
                                const char *groups, int to) {
    struct answer got;
    struct fault f;
    if (unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        _exit(SKIPPED);
    overlay("/etc/subuid", users);
    overlay("/etc/subgid", groups);
    overlay("/etc/passwd", "root:x:0:0::/:/bin/sh\n"
                           "contree-test:x:54321:54321::/:/bin/sh\n");
    if (uid && (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
                setresuid(uid, uid, uid) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0))
        _exit(SKIPPED);
    if (userns_enter(&got.ids, &f) < 0) {
        printf("# %s\n", f.message);
        fflush(stdout);
        _exit(SKIPPED);
    }
    got.in_a_child = ids_of_a_child(&got.ids);
    _exit(write_all(to, &got, sizeof got) < 0);
}

static void check_ids(uid_t uid, const char *users, const char *groups,
                      uid_t base, uint32_t count) {
    struct answer got = {0};
    int ends[2], status;
    CHECK(pipe(ends) == 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        be_engine(uid, users, groups, ends[1]);
    close(ends[1]);
    ssize_t length = read_all(ends[0], &got, sizeof got);
    close(ends[0]);
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        printf("# not tried: no namespaces here\n");
        return;
    }
    CHECK_NUMBER(length, sizeof got);
    CHECK_NUMBER(got.ids.base, base);
    CHECK_NUMBER(got.ids.count, count);
    CHECK_NUMBER(got.in_a_child, count);
}

#define LINE(name, range) name ":" range "\n"

static void test_user(void) {
    const char *usual = LINE("contree-test", "1000000:65536");
    const char *more = LINE("other", "100000:65536")
        LINE("contree-test", "1000000:65536") LINE("54321", "3000000:1000")
            LINE("contree-test", "5000000:200000");
    check_ids(USER, usual, usual, 1, 65536);
    check_ids(USER, more, more, 1, 65536 + 1000 + 200000);
    check_ids(USER, more, usual, 1, 65536);
    check_ids(USER,
              LINE("contree-test", "1000000:40000")
                  LINE("contree-test", "3000000:40000"),
              LINE("contree-test", "5000000:30000")
                  LINE("contree-test", "6000000:50000"),
              1, 80000);
    check_ids(USER, LINE("contree-test", "1000000:1000000000"),
              LINE("contree-test", "2000000:1000000000"), 1, 1000000000);
}

static void test_user_with_odd_lines(void) {
    const char *usual = LINE("contree-test", "1000000:65536");
    const char *few = LINE("contree-test", "1000000:1000");
    /* Overlapping ranges, the user's own id in a range, more ids than exist. */
    const char *odd = LINE("contree-test", "1000000:65536")
        LINE("contree-test", "1065535:10") LINE("contree-test", "54000:1000")
            LINE("contree-test", "4000000000:4000000000")
                LINE("contree-test", "x:y") "contree-test\n";
    check_ids(USER, odd, usual, 1, 65536);
    check_ids(USER, few, few, 0, 1);
    check_ids(USER, usual, "", 0, 1);
    check_ids(USER, "", "", 0, 1);
}

/* Root may use a range that is one of both users and groups. */
static void test_root(void) {
    const char *range = LINE("root", "100000:65536");
    const uid_t base = 1879048192;
    const uint32_t all = UINT32_MAX - 1879048192;
    check_ids(0, "", "", base, all);
    check_ids(0, range, range, 100000, 65536);
    check_ids(0, LINE("contree", "7000000:500000") LINE("root", "1000:65536"),
              LINE("contree", "7000000:400000"), 7000000, 400000);
    check_ids(0, range, "", base, all);
    check_ids(0, range, LINE("root", "200000:65536"), base, all);
    check_ids(0, LINE("root", "100000:1000"), range, base, all);
}

/* This namespace has all ids, so it is not a container's. */
static bool has_all_ids(void) {
    unsigned inside, outside, count = 0;
    FILE *map = fopen("/proc/self/uid_map", "re");
    if (map && fscanf(map, "%u %u %u", &inside, &outside, &count) != 3)
        count = 0;
    if (map)
        fclose(map);
    return count == UINT32_MAX;
}

int main(void) {
    if (getuid() != 0 || !has_all_ids()) {
        printf("1..0 # skipped: for root of the machine\n");
        return 0;
    }
    RUN(test_user, "A6: a user gives all ids that /etc/subuid has for it");
    RUN(test_user_with_odd_lines, "lines that cannot be are left out");
    RUN(test_root, "F15: root gives what both files have, else two billion");
    return CHECK_DONE();
}
