/* test_cgroup.c: sandbox/cgroup.h, on machines imitated by plain files, and on
 * this one as far as it has control groups. */
#define _GNU_SOURCE
#include "box.h"

static void put_text(const char *dir, const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0)
        perror(path);
    if (file)
        fclose(file);
}

/* Imitate a machine with its mounts below `root`, and open its groups. */
static struct cgroups *open_machine(const char *root, const char *mounts,
                                    const char *cgroup) {
    char text[2048], self[512];
    shell("mkdir -p %s/self", root);
    snprintf(self, sizeof self, "%s/self", root);
    snprintf(text, sizeof text, mounts, root, root, root);
    put_text(self, "mountinfo", text);
    put_text(self, "cgroup", cgroup);
    return cgroups_open(self, AT_FDCWD);
}

/* Find the controllers of such a machine. */
static void probe(const char *root, const char *mounts, const char *cgroup,
                  bool have[CGROUP_KINDS]) {
    struct cgroups *c = open_machine(root, mounts, cgroup);
    for (int k = 0; k < CGROUP_KINDS; k++)
        have[k] = cgroups_have(c, k);
    cgroups_close(c);
}

static void test_version2(void) {
    struct temp_dir d = temp_dir_make();
    bool have[CGROUP_KINDS];
    const char *mounts =
        "29 23 0:26 / %s/fs rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
    shell("mkdir -p %s/fs/user.slice/app.slice/x.scope && cd %s/fs && "
          "for d in . user.slice user.slice/app.slice "
          "user.slice/app.slice/x.scope; do echo 1 > $d/cgroup.procs; "
          "echo domain > $d/cgroup.type; "
          "echo 'cpu memory pids' > $d/cgroup.controllers; "
          "echo > $d/cgroup.subtree_control; done; "
          "echo 'memory pids' > user.slice/app.slice/cgroup.subtree_control",
          d.path, d.path);
    probe(d.path, mounts, "0::/user.slice/app.slice/x.scope\n", have);
    CHECK(have[CGROUP_MEMORY] && have[CGROUP_PIDS] && !have[CGROUP_CPU]);
    probe(d.path, mounts, "0::/user.slice\n", have);
    CHECK(!have[CGROUP_MEMORY] && !have[CGROUP_PIDS] && !have[CGROUP_CPU]);
    /* In a container the mount begins at the group itself. */
    probe(d.path,
          "29 23 0:26 /docker/1 %s/fs/user.slice rw - cgroup2 cgroup2 rw\n",
          "0::/docker/1/app.slice\n", have);
    CHECK(have[CGROUP_MEMORY] && !have[CGROUP_CPU]);
    temp_dir_remove(&d);
}

/* Open the groups when our own group, fs/x, contains `processes`. The mount
 * begins at "fs" or "fs/x". */
static void open_own_group(const struct temp_dir *d, const char *processes,
                           const char *type, const char *top) {
    char mounts[128];
    shell("mkdir -p %s/fs/x/contree-engine && cd %s/fs/x && "
          "printf '%s' > cgroup.procs && rm -f cgroup.type && %s && "
          "echo memory > cgroup.controllers && echo > cgroup.subtree_control "
          "&& echo > contree-engine/cgroup.procs",
          d->path, d->path, processes, type);
    snprintf(mounts, sizeof mounts, "29 23 0:26 / %%s/%s rw - cgroup2 x rw\n",
             top);
    cgroups_close(open_machine(d->path, mounts,
                               strcmp(top, "fs") == 0 ? "0::/x\n" : "0::/\n"));
}

static bool file_has(const struct temp_dir *d, const char *path,
                     const char *text) {
    char command[512];
    snprintf(command, sizeof command, "grep -qF -- '%s' %s/fs/x/%s", text,
             d->path, path);
    return system(command) == 0;
}

static void test_delegated(void) {
    struct temp_dir d = temp_dir_make();
    const char *leaf = "contree-engine/cgroup.procs";
    const char *control = "cgroup.subtree_control", *type = "touch cgroup.type";
    char own[16];
    snprintf(own, sizeof own, "%d\\n", (int)getpid());
    open_own_group(&d, "7\\n", type, "fs");
    CHECK(!file_has(&d, leaf, "7") && !file_has(&d, control, "+"));
    open_own_group(&d, own, type, "fs");
    own[strlen(own) - 2] = '\0';
    CHECK(file_has(&d, leaf, own) && file_has(&d, control, "+memory"));
    CHECK(!file_has(&d, control, "cpu"));
    /* In a container. */
    open_own_group(&d, "7\\n", type, "fs/x");
    CHECK(file_has(&d, leaf, "7") && file_has(&d, control, "+memory"));
    /* The root of all groups has no type, and processes may stay in it. */
    open_own_group(&d, "7\\n", "true", "fs/x");
    CHECK(!file_has(&d, leaf, "7") && file_has(&d, control, "+memory"));
    temp_dir_remove(&d);
}

static void test_fixes(void) {
    struct temp_dir d = temp_dir_make();
    shell("mkdir %s/fs", d.path);
    put_text(d.path, "cgroups",
             "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
             "cpu\t0\t52\t1\nmemory\t0\t1\t0\n");
    struct cgroups *c = open_machine(
        d.path, "29 23 0:26 / %s/fs rw - cgroup2 cgroup2 rw\n", "0::/\n");
    CHECK(strstr(cgroups_fix(c, CGROUP_MEMORY), "cgroup_disable=memory"));
    CHECK(strstr(cgroups_fix(c, CGROUP_CPU),
                 access("/run/systemd/system", F_OK) == 0
                     ? "Delegate=yes"
                     : "run the engine as root"));
    cgroups_close(c);
    temp_dir_remove(&d);
}

static void test_mixed(void) {
    struct temp_dir d = temp_dir_make();
    bool have[CGROUP_KINDS];
    const char *mounts = "1 0 0:1 / %s/memory rw - cgroup cgroup rw,memory\n"
                         "2 0 0:2 / %s/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
                         "3 0 0:3 / %s/fs rw - cgroup2 cgroup2 rw\n";
    const char *own = "3:cpu,cpuacct:/a\n2:memory:/gone\n0::/u/v\n";
    shell("cd %s && mkdir -p memory cpu/a fs/u/v && touch memory/tasks "
          "cpu/a/tasks fs/cgroup.procs fs/u/cgroup.procs "
          "fs/u/v/cgroup.procs && echo pids > fs/u/cgroup.subtree_control",
          d.path);
    probe(d.path, mounts, own, have);
    CHECK(have[CGROUP_MEMORY] && have[CGROUP_PIDS] && have[CGROUP_CPU]);
    shell("rm %s/cpu/a/tasks", d.path);
    probe(d.path, mounts, own, have);
    CHECK(!have[CGROUP_CPU]);
    temp_dir_remove(&d);
}

static void test_none(void) {
    struct temp_dir d = temp_dir_make();
    struct cgroups *c = cgroups_open(d.path, d.fd);
    struct limits none = {0}, some[] = {{.of[CGROUP_MEMORY] = 1 << 30},
                                        {.of[CGROUP_PIDS] = 5},
                                        {.of[CGROUP_CPU] = 1}};
    const char *const says[] = {"memory_bytes", "pids", "cpus"};
    CHECK_NUMBER(cgroups_check(c, &none, NULL), 0);
    for (int i = 0; i < 3; i++) {
        struct fault f = {0};
        CHECK(!cgroup_make(c, &some[i], &f));
        CHECK_NUMBER(f.status, 422);
        CHECK(strstr(f.message, says[i]) && strstr(f.message, "Fix: "));
    }
    cgroups_close(c);
    temp_dir_remove(&d);
}

static struct box *limited_shell(struct limits limits, const char *script) {
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    return box_run(&(struct box_options){.limits = limits},
                   (struct sandbox_process){.argv = argv, .stdin_fd = -1});
}

static bool groups_exist_of(int dir_fd) {
    char command[192];
    struct stat st = {0};
    fstat(dir_fd, &st);
    snprintf(command, sizeof command,
             "find /sys/fs/cgroup -type d -name 'contree-%llx.%llx-*' | "
             "grep -q .",
             (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    return system(command) == 0;
}

static bool groups_exist(void) {
    return groups_exist_of(world.dir.fd);
}

static void test_memory(void) {
    struct limits limits = {.of[CGROUP_MEMORY] = 16 << 20};
    const char *const scripts[] = {
        "head -c 40000000 /dev/zero | tail -c 40000000; sleep 60",
        "head -c 40000000 /dev/zero > /dev/shm/x; sleep 60",
        "for i in 1 2 3 4 5 6 7 8 9 10; do head -c 4000000 /dev/zero | "
        "{ tail -c 4000000 | sleep 60; } & done; sleep 60"};
    for (int i = 0; i < 3; i++) {
        struct box *b = limited_shell(limits, scripts[i]);
        CHECK(b->has_exited[1] && !b->failed);
        CHECK_NUMBER(b->exits[1].signal, SIGKILL);
        CHECK_STRING(b->exits[1].limit, "memory");
        free(b);
    }
    struct box *b = limited_shell(limits, "head -c 4000000 /dev/zero|tail -c1");
    CHECK_NUMBER(b->exits[1].code, 0);
    CHECK(!b->exits[1].limit);
    free(b);
}

static void test_pids(void) {
    struct box *b = limited_shell((struct limits){.of[CGROUP_PIDS] = 10},
                                  "for i in 1 2 3 4 5 6 7 8 9 10 11; do "
                                  "sleep 60 & done; wait");
    CHECK(b->exits[1].code > 0);
    CHECK_STRING(b->exits[1].limit, "pids");
    CHECK_NUMBER(b->exits[1].background_killed, 9);
    free(b);
}

static void test_all_at_once(void) {
    struct limits all = {.of[CGROUP_MEMORY] = 64 << 20,
                         .of[CGROUP_PIDS] = 50,
                         .of[CGROUP_CPU] = 0.5};
    struct box *b = limited_shell(all, "cat /proc/self/cgroup");
    CHECK_NUMBER(b->exits[1].code, 0);
    CHECK(!b->exits[1].limit);
    CHECK(b->out.length > 0 && !strstr(b->out.data, "contree-"));
    free(b);
}

/* Sandboxes with one processor each do not share it while there are more. */
static void test_spread(void) {
    const struct limits one = {.of[CGROUP_CPU] = 1};
    const char *script = "grep Cpus_allowed_list /proc/self/status";
    cpu_set_t all;
    struct box *first = limited_shell(one, script);
    struct box *second = limited_shell(one, script);
    CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    CHECK(first->out.length > 0 && second->out.length > 0);
    CHECK((strcmp(first->out.data, second->out.data) == 0) ==
          (CPU_COUNT(&all) == 1));
    free(first);
    free(second);
}

static void test_removed(void) {
    for (int i = 0; i < 200 && groups_exist(); i++) {
        uv_run(world.loop, UV_RUN_NOWAIT);
        usleep(10000);
    }
    CHECK(!groups_exist());
    struct cgroups *c = cgroups_open("/proc/self", world.dir.fd);
    struct limits limits = {.of[CGROUP_MEMORY] = 8 << 20,
                            .of[CGROUP_PIDS] = 5,
                            .of[CGROUP_CPU] = 1};
    struct fault f = {0};
    pid_t child = fork();
    if (child == 0) /* dies with a group of its own */
        _exit(cgroup_make(c, &limits, &f) ? 0 : 1);
    int status = 1;
    waitpid(child, &status, 0);
    CHECK_NUMBER(status, 0);
    CHECK(groups_exist());
    cgroups_recover(c);
    CHECK(!groups_exist());
    cgroups_close(c);
}

/* Make groups for `d` in a child. The child lives until the returned descriptor
 * is closed. */
static int hold_groups(const struct temp_dir *d) {
    struct limits limits = {.of[CGROUP_MEMORY] = 8 << 20,
                            .of[CGROUP_PIDS] = 5,
                            .of[CGROUP_CPU] = 1};
    struct fault f = {0};
    int told[2], end[2];
    char byte;
    CHECK(pipe2(told, O_CLOEXEC) == 0 && pipe2(end, O_CLOEXEC) == 0);
    if (fork() == 0) {
        struct cgroups *c = cgroups_open("/proc/self", d->fd);
        close(end[1]);
        bool made = cgroup_make(c, &limits, &f) && write(told[1], "", 1) == 1;
        _exit(made ? (int)read(end[0], &byte, 1) : 1);
    }
    close(told[1]);
    close(end[0]);
    CHECK_NUMBER(read(told[0], &byte, 1), 1);
    close(told[0]);
    return end[1];
}

static void test_abandoned(void) {
    struct temp_dir other = temp_dir_make();
    struct cgroups *c = cgroups_open("/proc/self", world.dir.fd);
    int end = hold_groups(&other), status = 1;
    cgroups_recover(c);
    CHECK(groups_exist_of(other.fd)); /* their engine is alive */
    close(end);
    CHECK(wait(&status) > 0 && status == 0);
    CHECK(groups_exist_of(other.fd));
    cgroups_recover(c);
    CHECK(!groups_exist_of(other.fd));
    cgroups_close(c);
    temp_dir_remove(&other);
}

/* A group with a process in it cannot be removed. The process ends while the
 * launcher closes. */
static void test_close(void) {
    struct temp_dir other = temp_dir_make();
    struct fault f = {0};
    struct launcher *l =
        launcher_open(other.fd, world.ids, NULL, SANDBOX_NICE, &f);
    int fds[CGROUP_KINDS], end[2], status;
    char byte;
    struct limits limits = {.of[CGROUP_PIDS] = 5};
    struct cgroup *g = cgroup_make(launcher_cgroups(l), &limits, &f);
    CHECK(g && cgroup_open_fds(g, fds, &f) == 1);
    CHECK(pipe2(end, O_CLOEXEC) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(end[1]);
        _exit((int)read(end[0], &byte, 1));
    }
    CHECK(dprintf(fds[0], "%d", (int)child) > 0);
    close_fd(fds[0]);
    close(end[0]);
    cgroup_drop(g);
    CHECK(groups_exist_of(other.fd));
    close(end[1]);
    launcher_close(l);
    CHECK(!groups_exist_of(other.fd));
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    temp_dir_remove(&other);
}

static void test_weight(void) {
    struct cgroups *c = cgroups_open("/proc/self", world.dir.fd);
    struct fault f = {0};
    cgroups_set_nice(c, 7);
    struct cgroup *g =
        cgroup_make(c, &(struct limits){.of[CGROUP_PIDS] = 5}, &f);
    CHECK(g);
    /* The file is missing in version 1, and without that controller. */
    CHECK(system("files=$(find /sys/fs/cgroup -path '*/contree-*' "
                 "-name cpu.weight.nice); "
                 "[ -z \"$files\" ] || grep -qx 7 $files") == 0);
    cgroup_drop(g);
    cgroups_close(c);
}

/* The group of version 2 at `path` froze and thawed a child of ours, which
 * could be killed while it was frozen. */
static void freeze_child(const char *path) {
    char procs[128];
    struct fault f;
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), status;
    pid_t child = fork();
    if (child == 0) {
        for (;;)
            pause();
    }
    snprintf(procs, sizeof procs, "%d", (int)child);
    put_text(path, "cgroup.procs", procs);
    CHECK(!cgroup_await_frozen(dir, 10));
    CHECK(cgroup_freeze(dir, true, &f) == 0);
    CHECK(cgroup_await_frozen(dir, 5000));
    CHECK(cgroup_freeze(dir, false, &f) == 0);
    CHECK(!cgroup_await_frozen(dir, 10));
    CHECK(cgroup_freeze(dir, true, &f) == 0 && cgroup_await_frozen(dir, 5000));
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    close(dir);
}

/* Also where version 2 has no controllers, as beside version 1. */
static void test_freeze(void) {
    static const char *const mounts[] = {"/sys/fs/cgroup/unified",
                                         "/sys/fs/cgroup"};
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/freeze-%d", mounts[i], (int)getpid());
        char file[96];
        snprintf(file, sizeof file, "%s/cgroup.freeze", path);
        if (mkdir(path, 0755) == 0 && access(file, W_OK) == 0) {
            freeze_child(path);
            CHECK(rmdir(path) == 0);
            return;
        }
        rmdir(path);
    }
    puts("# no group of version 2 can be made here");
}

int main(void) {
    RUN(test_version2, "version 2: what groups above ours give is found");
    RUN(test_delegated,
        "version 2: a delegated group gets a leaf for all, the root none");
    RUN(test_fixes, "what is switched off says how to switch it on");
    RUN(test_mixed, "each controller is taken where it is");
    RUN(test_none, "without controllers limits are refused, with the fix");
    RUN(test_freeze, "a frozen group can be thawed, and killed");
    if (!world_open())
        return 1;
    struct limits all = {.of[CGROUP_MEMORY] = 8 << 20,
                         .of[CGROUP_PIDS] = 5,
                         .of[CGROUP_CPU] = 1};
    if (launcher_check_limits(world.launcher, &all, NULL) < 0) {
        puts("skip limits: no control groups here");
    } else {
        RUN(test_memory, "what takes too much memory is killed as a whole");
        RUN(test_pids, "too many processes are reported");
        RUN(test_all_at_once, "all limits at once, unseen from inside");
        RUN(test_spread, "the processors are given out in turn");
        RUN(test_abandoned,
            "E11: groups of an engine that is gone are removed, others stay");
        RUN(test_close, "a group that is busy is removed before the end");
        RUN(test_weight, "a group has the weight of its nice value");
        RUN(test_removed, "groups are removed, stale ones too");
    }
    world_close();
    return CHECK_DONE();
}
