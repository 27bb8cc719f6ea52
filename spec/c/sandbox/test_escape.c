/* test_escape.c: attempts to get out of a sandbox, each of which must be
 * refused. This program is also the attacker, see probe.h. */
#define _GNU_SOURCE
#include "as_users.h"
#include "base/fd.h"
#include "box.h"
#include "probe.h"
#include <link.h>
#include <sys/inotify.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/xattr.h>

/* ---- the outside ---- */

static void copy_into_image(const char *path) {
    shell("mkdir -p %s/l/3$(dirname %s) && cp -L %s %s/l/3%s", world.dir.path,
          path, path, world.dir.path, path);
}

/* Copy the loader, too, by the name in the program's header: the list of loaded
 * libraries may have it under another name. */
static int copy_library(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size;
    (void)arg;
    if (info->dlpi_name && info->dlpi_name[0] == '/')
        copy_into_image(info->dlpi_name);
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_INTERP)
            copy_into_image(
                (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr));
    return 0;
}

/* Read this program by its descriptor: another user may not reach its path. */
static void copy_self(const char *to) {
    char piece[65536];
    ssize_t n = -1;
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    while (out >= 0 && (n = read(from, piece, sizeof piece)) > 0)
        CHECK(write_all(out, piece, (size_t)n) == 0);
    CHECK(n == 0);
    close(from);
    close(out);
}

/* Make l/3, with this program as /bin/probe and its libraries. */
static void make_probe_image(void) {
    char probe_path[4200];
    box_make_dir("l/3");
    shell("mkdir %s/l/3/bin", world.dir.path);
    snprintf(probe_path, sizeof probe_path, "%s/l/3/bin/probe", world.dir.path);
    copy_self(probe_path);
    dl_iterate_phdr(copy_library, NULL);
    box_own("l/3");
}

/* The probe must run without a sanitizer. */
static char *probe_env[] = {"PATH=/bin",
                            "ASAN_OPTIONS=detect_leaks=0:handle_segv=0:"
                            "handle_sigbus=0:handle_sigill=0",
                            NULL};

static struct box *run_probe(const char *name) {
    char *argv[] = {"/bin/probe", "probe", (char *)name, NULL};
    struct box_options o = {.image = "l/3", .max_processes = 100000};
    struct box *b =
        box_run(&o, (struct sandbox_process){
                        .argv = argv, .env = probe_env, .stdin_fd = -1});
    if (b->err.length)
        printf("# %s\n", b->err.data);
    return b;
}

static void check_probe(const char *name) {
    struct box *b = run_probe(name);
    CHECK_STRING(b->out.data, "done\n");
    CHECK_NUMBER(b->exits[1].code, 0);
    free(b);
}

static void test_calls(void) {
    check_probe("calls");
    check_probe("namespaces");
    check_probe("terminal");
    check_probe("privileges");
}

static void test_sockets(void) {
    check_probe("sockets");
}

static void test_shared(void) {
    check_probe("shared");
}

/* Return the number of inotify instances that a new sandbox could take. It
 * holds them until `b` is ended. */
static int hold_instances(struct box **b) {
    char *argv[] = {"/bin/probe", "probe", "instances", NULL};
    struct box_options o = {.image = "l/3"};
    *b = box_start(&o, NULL);
    box_spawn(*b, 1,
              &(struct sandbox_process){
                  .argv = argv, .env = probe_env, .stdin_fd = -1});
    while (!strchr((*b)->out.data, '\n') && !(*b)->gone)
        uv_run(world.loop, UV_RUN_ONCE);
    return atoi((*b)->out.data);
}

/* One sandbox, with all its users, must leave instances for the next sandbox.
 * All sandboxes together must leave some for the engine's user and others. */
static void test_instances(void) {
    struct box *boxes[4];
    char most[32] = "";
    struct statvfs v;
    if (statvfs("/proc/sys", &v) < 0 || v.f_flag & ST_RDONLY) {
        printf("# not tried: /proc/sys is read-only\n");
        return;
    }
    int fd = open("/proc/sys/fs/inotify/max_user_instances", O_RDONLY);
    CHECK(read(fd, most, sizeof most - 1) > 0);
    close(fd);
    for (int i = 0; i < 4; i++) {
        int got = hold_instances(&boxes[i]);
        CHECK(i >= 2 || (got > 4 && got <= atoi(most) / 4));
    }
    fd = inotify_init1(IN_CLOEXEC);
    CHECK(fd >= 0);
    close(fd);
    for (int i = 0; i < 4; i++) {
        sandbox_kill(boxes[i]->sandbox);
        box_wait(boxes[i]);
        free(boxes[i]);
    }
}

static void test_sweep(void) {
    struct box *b = run_probe("sweep");
    CHECK(strstr(b->out.data, "done\n") || b->exits[1].signal > 0);
    CHECK(b->gone && !b->failed);
    free(b);
    CHECK_STRING(box_output("echo next"), "next\n");
}

#ifdef __x86_64__
/* Without support for 32-bit calls the kernel raises a fault before any filter
 * sees them. */
static bool kernel_has_i386(void) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        probe_i386();
        _exit(0);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status);
}

static void check_killed(const char *name, int signal) {
    struct box *b = run_probe(name);
    CHECK_STRING(b->out.data, "");
    CHECK_NUMBER(b->exits[1].signal, signal);
    free(b);
}
#endif

static void test_other_abis(void) {
#ifdef __x86_64__
    check_killed("x32", SIGSYS);
    check_killed("i386", kernel_has_i386() ? SIGSYS : SIGSEGV);
#endif
}

static void test_limits(void) {
    check_probe("limits");
}

/* Whether the upper directory has any marks of overlay. */
static bool speaks_to_overlay(const struct box *b) {
    char path[300], names[4096];
    snprintf(path, sizeof path, "%s/%s/tmp/o", world.dir.path, b->upper);
    ssize_t length = listxattr(path, names, sizeof names);
    bool mine = false;
    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1) {
        const char *name = names + at;
        mine = mine || strcmp(name, "user.mine") == 0;
        if (strncmp(name, "trusted.", 8) == 0 ||
            (strncmp(name, "user.overlay.", 13) == 0 &&
             strncmp(name, "user.overlay.overlay.", 21) != 0 &&
             strcmp(name, "user.overlay.impure") != 0 &&
             strcmp(name, "user.overlay.origin") != 0)) {
            printf("# %s\n", name);
            return true;
        }
    }
    CHECK(mine);
    return false;
}

static void test_overlay(void) {
    struct box *b = run_probe("overlay");
    CHECK(strstr(b->out.data, "done\n"));
    CHECK_NUMBER(b->exits[1].code, 0);
    CHECK(!speaks_to_overlay(b));
    free(b);
}

/* Of two sandboxes of one image, one must not be blocked by the other's locks.
 */
static void test_locks_are_private(void) {
    char *argv[] = {"/bin/probe", "probe", "lock", NULL};
    struct sandbox_process p = {.argv = argv, .env = probe_env, .stdin_fd = -1};
    struct box_options o = {.image = "l/3"};
    struct box *both[2];
    for (int i = 0; i < 2; i++) {
        both[i] = box_start(&o, NULL);
        box_spawn(both[i], 1, &p);
    }
    for (int i = 0; i < 2; i++) {
        box_wait(both[i]);
        CHECK_STRING(both[i]->out.data, "free\nfree\ndone\n");
        free(both[i]);
    }
}

static void test_chroot(void) {
    check_probe("chroot");
    CHECK_STRING(box_output("cd /..; cd ../../..; pwd; ls -d /../bin /.."),
                 "/\n/..\n/../bin\n");
}

static void test_init_is_out_of_reach(void) {
    check_probe("init");
    /* Init has survived, and shows nothing but its name. */
    CHECK_STRING(
        box_output("kill -9 1; kill -STOP 1; kill -TERM 1; "
                   "cat /proc/1/comm; cat /proc/1/fd/3 /proc/1/environ "
                   "2>/dev/null | wc -c"),
        "contree-init\n0\n");
}

static void test_tracing(void) {
    check_probe("trace");
    struct box *b = run_probe("traced");
    CHECK_STRING(b->out.data, "it came\ndone\n");
    CHECK_NUMBER(b->exits[1].code, 0);
    free(b);
}

static void test_capabilities(void) {
    CHECK_STRING(box_output("grep -E '^(Cap|NoNewPrivs|Seccomp:)' "
                            "/proc/self/status | tr '\\t' ' '"),
                 "CapInh: 0000000000000000\nCapPrm: 00000000a00405fb\n"
                 "CapEff: 00000000a00405fb\nCapBnd: 00000000a00405fb\n"
                 "CapAmb: 0000000000000000\nNoNewPrivs: 1\nSeccomp: 2\n");
    if (world.ids.count == 1)
        return;
    char *argv[] = {"grep", "-E", "^Cap(Prm|Eff|Inh|Amb)", "/proc/self/status",
                    NULL};
    struct box *b = box_run(
        NULL, (struct sandbox_process){
                  .argv = argv, .uid = 1000, .gid = 1000, .stdin_fd = -1});
    CHECK_STRING(b->out.data,
                 "CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n"
                 "CapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n");
    free(b);
}

static void test_descriptors(void) {
    /* 3 is the directory that ls has open. */
    CHECK_STRING(box_output("ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3 ");
}

static void test_host_is_out_of_sight(void) {
    /* No path of the host shows, nor that of the data directory. */
    CHECK_STRING(
        box_output("cat /proc/self/mountinfo | grep -c -e contree-test "
                   "-e /var/ -e /home"),
        "0\n");
    CHECK_STRING(box_output("ls / | tr '\\n' ' '"),
                 "bin dev etc proc root run sys tmp ");
    CHECK_STRING(box_output("ls /sys/class/net; ls /sys/firmware /sys/kernel "
                            "2>/dev/null | grep -v :"),
                 "lo\n\n");
    CHECK_STRING(box_output("set -- /proc/[0-9]*; echo $#"), "2\n");
    CHECK_STRING(box_output("ip addr show lo | grep -c 127.0.0.1/8; "
                            "ip link | grep -c ^[0-9]"),
                 "1\n1\n");
}

static void test_masks(void) {
    static const char *const unreadable[] = {
        "/proc/kcore",      "/proc/keys",        "/proc/timer_list",
        "/proc/kmsg",       "/proc/kallsyms",    "/proc/sysrq-trigger",
        "/proc/kpagecount", "/proc/vmallocinfo", "/proc/slabinfo"};
    for (size_t i = 0; i < sizeof unreadable / sizeof *unreadable; i++) {
        char script[128];
        snprintf(script, sizeof script,
                 "[ ! -e %s ] || timeout 1 head -c 10 %s 2>/dev/null | wc -c",
                 unreadable[i], unreadable[i]);
        const char *got = box_output(script);
        CHECK(strcmp(got, "0\n") == 0 || !*got);
    }
}

static void test_writes(void) {
    static const char *const paths[] = {"/proc/sys/kernel/core_pattern",
                                        "/proc/sys/kernel/hostname",
                                        "/proc/sys/kernel/pid_max",
                                        "/proc/sys/vm/drop_caches",
                                        "/proc/irq/default_smp_affinity",
                                        "/proc/sys/net/ipv4/ip_forward",
                                        "/proc/bus/x",
                                        "/proc/fs/x",
                                        "/sys/power/state",
                                        "/sys/class/net/lo/mtu",
                                        "/sys/kernel/x",
                                        "/sys/fs/cgroup/x",
                                        "/dev/x",
                                        "/dev/shm/../x",
                                        "/proc/1/mem"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char script[128];
        snprintf(script, sizeof script, "echo 1 2>/dev/null > %s", paths[i]);
        if (box_code(script) == 0) {
            check_ok = false;
            printf("# %s\n", paths[i]);
        }
    }
    /* If the kernel has the file, /dev/null is mounted over it. */
    CHECK_NUMBER(box_code("test ! -e /proc/sysrq-trigger || "
                          "test $(stat -c %t:%T /proc/sysrq-trigger) = 1:3"),
                 0);
}

/* A sandbox cannot lower its own oom_score_adj. */
static void test_oom_score(void) {
    CHECK_STRING(
        box_output("for v in 499 0 -1 -1000; do for p in self 1 $$; do "
                   "(echo $v > /proc/$p/oom_score_adj) 2>/dev/null && "
                   "echo $v $p; done; done; cat /proc/self/oom_score_adj"),
        "500\n");
}

static void test_devices(void) {
    CHECK_STRING(
        /* Some runtimes add a link named core to the hidden /proc/kcore. */
        box_output("ls /dev | grep -v '^core$' | tr '\\n' ' '"),
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty "
        "urandom zero ");
    CHECK(box_code("mknod /tmp/disk b 8 0 2>/dev/null") != 0);
    CHECK(box_code("mknod /tmp/mem c 1 1 2>/dev/null") != 0);
    CHECK_NUMBER(box_code("mkfifo /tmp/f && echo x > /dev/null && "
                          "head -c 1 /dev/urandom > /dev/null && "
                          "test -c /dev/pts/ptmx && echo > /dev/shm/x"),
                 0);
    CHECK(box_code("echo x 2>/dev/null > /dev/full") != 0);
    /* Nor if the host's node belongs to an id of the sandbox. */
    CHECK_STRING(box_output("cd /dev; for i in null zero full random urandom "
                            "tty; do for c in 'chmod 0' 'chown 0' 'touch'; do "
                            "$c $i 2>&1 | grep -vi 'read-only'; "
                            "done; done"),
                 "");
    /* A device in the image cannot be opened. */
    box_make_dir("l/4");
    if (getuid() == 0 && shell("mknod %s/l/4/zero c 1 5 2>/dev/null && "
                               "chmod 666 %s/l/4/zero",
                               world.dir.path, world.dir.path)) {
        char *argv[] = {"head", "-c1", "/zero", NULL};
        struct box_options o = {.image = "l/4"};
        struct box *b =
            box_run(&o, (struct sandbox_process){.argv = argv, .stdin_fd = -1});
        CHECK(strstr(b->err.data, "Permission denied"));
        CHECK_NUMBER(b->out.length, 0);
        free(b);
    }
}

/* In these images the mount points are not directories. */
static void check_hostile_image(int number, const char *make,
                                const char *message) {
    char layer[16];
    snprintf(layer, sizeof layer, "l/%d", number);
    box_make_dir(layer);
    shell("cd %s/%s && %s", world.dir.path, layer, make);
    box_own(layer);
    char *argv[] = {"true", NULL};
    struct sandbox_process p = {.argv = argv, .stdin_fd = -1};
    struct box_options o = {.image = layer};
    struct box *b = box_start(&o, NULL);
    box_spawn(b, 1, &p);
    box_wait(b);
    CHECK(b->failed && !b->started);
    CHECK_STRING(b->fault.message, message);
    free(b);
}

static void test_hostile_images(void) {
    check_hostile_image(10, "ln -s / proc",
                        "the image's /proc is not a directory");
    check_hostile_image(11, "ln -s /../../../../tmp dev",
                        "the image's /dev is not a directory");
    check_hostile_image(12, "echo > sys",
                        "the image's /sys is not a directory");
    check_hostile_image(13, "mkfifo proc",
                        "the image's /proc is not a directory");
    check_hostile_image(14, "ln -s /proc/self/cwd dev",
                        "the image's /dev is not a directory");
}

static void test_fork_bomb(void) {
    struct box_options o = {.max_processes = 60};
    char *argv[] = {"sh", "-c",
                    "f() { f | f & }; f 2>/dev/null; sleep 0.5; "
                    "i=0; while (sleep 5 &) 2>/dev/null && [ $i -lt 200 ]; do "
                    "i=$((i+1)); done; echo $i",
                    NULL};
    struct box *b =
        box_run(&o, (struct sandbox_process){.argv = argv, .stdin_fd = -1});
    /* The shell may have died; all its processes have ended in any case. */
    CHECK(b->gone && !b->failed);
    CHECK(b->exits[1].background_killed < 70);
    free(b);
    CHECK_STRING(box_output("echo next"), "next\n");
    /* The default limit. */
    CHECK_STRING(box_output("awk '/Max processes/ {print $3, $4}' "
                            "/proc/self/limits"),
                 "4096 4096\n");
}

/* With a limit of 0 the kernel would run the host's handler of core dumps, as
 * real root. With a limit of 1 it does not. */
static void test_core_limit(void) {
    struct rlimit ours;
    getrlimit(RLIMIT_CORE, &ours);
    CHECK_STRING(box_output("ulimit -c 0; ulimit -c unlimited; "
                            "awk '/Max core/ {print $5, $6}' "
                            "/proc/self/limits"),
                 ours.rlim_max >= 1 ? "1 1\n" : "0 0\n");
    struct box *b = box_shell("kill -SEGV $$");
    CHECK_NUMBER(b->exits[1].signal, SIGSEGV);
    CHECK(!b->exits[1].core_dump);
    free(b);
}

/* Process ids are limited for all users of a sandbox together, which no rlimit
 * can do. */
static void test_process_ids(void) {
    char before[32] = "", after[32] = "";
    int fd = open("/proc/sys/kernel/pid_max", O_RDONLY);
    if (read(fd, before, sizeof before - 1) < 0)
        perror("pid_max");
    struct utsname u;
    int major = 0, minor = 0;
    uname(&u);
    sscanf(u.release, "%d.%d", &major, &minor);
    if (major > 6 || (major == 6 && minor >= 14)) {
        struct box *b = run_probe("processes");
        CHECK(atoi(b->out.data) > 1000 && atoi(b->out.data) < 4400);
        free(b);
    }
    if (pread(fd, after, sizeof after - 1, 0) < 0)
        perror("pid_max");
    CHECK_STRING(after, before);
    close(fd);
}

static void test_network_is_private(void) {
    /* A server on the host's loopback interface cannot be reached. */
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage a = {.ss_family = AF_INET};
    socklen_t size = sizeof a;
    listen(server, 1);
    getsockname(server, (struct sockaddr *)&a, &size);
    int port = ((unsigned char *)&a)[2] << 8 | ((unsigned char *)&a)[3];
    char script[128];
    snprintf(script, sizeof script, "nc -w 1 127.0.0.1 %d 2>/dev/null", port);
    CHECK(port > 0);
    CHECK(box_code(script) != 0);
    close(server);
    CHECK(box_code("ping -c1 -W1 1.1.1.1 >/dev/null 2>&1") != 0);
    CHECK(box_code("nc -w 1 169.254.169.254 80 </dev/null 2>/dev/null") != 0);
    /* No socket has a name, no route leads anywhere. */
    CHECK_STRING(box_output("awk 'NR > 1 && NF > 7' /proc/net/unix; "
                            "tail -n +2 /proc/net/route"),
                 "");
    CHECK_STRING(box_output("(echo hi | nc -l -p 80 &) ; "
                            "sleep 0.2; nc 127.0.0.1 80 </dev/null"),
                 "hi\n");
}

/* Leave traces in a network namespace: packets and failed attempts. */
static const char *const network_counters =
    "awk '/lo:/ {print $2, $3, $10}' /proc/net/dev; awk '/^(Ip|Icmp|Tcp|Udp)"
    ": [0-9]/ {$2 = $3 = $4 = $5 = \"\"; print}' /proc/net/snmp; "
    "awk '/Ext: [0-9]/' /proc/net/netstat; cat /proc/net/snmp6 2>/dev/null; "
    "tail -n +2 /proc/net/ip6_flowlabel 2>/dev/null";

/* A used network namespace is not given to another sandbox. */
static void test_network_is_fresh(void) {
    char first[16384];
    snprintf(first, sizeof first, "%s", box_output(network_counters));
    CHECK(strstr(first, "0 0 0\n"));
    for (int i = 0; i < 12; i++) {
        if (i % 3 == 0)
            CHECK_NUMBER(box_code("nc 127.0.0.1 9 2>/dev/null"), 1);
        if (i % 3 == 1)
            CHECK_NUMBER(box_code("nc -w 1 192.0.2.1 80 2>/dev/null"), 1);
        if (i % 3 == 2)
            check_probe("flow");
        CHECK_STRING(box_output(network_counters), first);
    }
}

/* A user may have 200 keyrings, so a sandbox must not make any. */
static long count_keys(void) {
    long keys = 0, uid, other, count;
    FILE *file = fopen("/proc/key-users", "re");
    while (file &&
           fscanf(file, " %ld: %ld %*s %ld/%*d %*s", &uid, &other, &count) == 3)
        keys += uid == (long)world.ids.base && world.ids.count > 1 ? count : 0;
    if (file)
        fclose(file);
    return keys;
}

static long keys_of_twenty(void) {
    long before = count_keys();
    struct box *boxes[20];
    for (int i = 0; i < 20; i++)
        boxes[i] = box_start(NULL, NULL);
    for (int i = 0; i < 20; i++)
        while (!boxes[i]->started && !boxes[i]->gone)
            uv_run(world.loop, UV_RUN_ONCE);
    long keys = count_keys() - before;
    for (int i = 0; i < 20; i++) {
        sandbox_kill(boxes[i]->sandbox);
        box_wait(boxes[i]);
        free(boxes[i]);
    }
    return keys;
}

/* Try again a few times: other tests may use the same ids meanwhile. */
static void test_keys(void) {
    long keys = 20;
    for (int i = 0; i < 10 && keys >= 20; i++)
        keys = keys_of_twenty();
    CHECK(keys < 20);
}

static void test_nothing_is_shared(void) {
    CHECK_NUMBER(box_code("hostname changed 2>/dev/null"), 1);
    CHECK_STRING(box_output("ls -A /dev/shm /dev/mqueue | grep -v : | "
                            "tr -d '\\n'; cat /proc/sysvipc/shm | wc -l"),
                 "1\n");
    CHECK_NUMBER(box_code("echo > /dev/shm/left && echo > /tmp/left"), 0);
    CHECK_NUMBER(box_code("test ! -e /dev/shm/left -a ! -e /tmp/left"), 0);
}

static void test_set_id(void) {
    if (world.ids.count == 1)
        return;
    char *argv[] = {"sh", "-c",
                    "id -u; /s/busybox id -u; "
                    "/s/busybox cat /secret 2>/dev/null",
                    NULL};
    box_make_dir("l/5");
    shell("cd %s/l/5 && mkdir s && cp /bin/busybox s && echo s > secret",
          world.dir.path);
    box_own("l/5");
    shell("cd %s/l/5 && chmod 4755 s/busybox && chmod 600 secret",
          world.dir.path);
    struct box_options o = {.image = "l/5"};
    struct box *b = box_run(
        &o, (struct sandbox_process){
                .argv = argv, .uid = 1000, .gid = 1000, .stdin_fd = -1});
    CHECK_STRING(b->out.data, "1000\n1000\n");
    free(b);
}

static int run_all(void) {
    if (!world_open())
        return 1;
    make_probe_image();
    RUN(test_calls, "forbidden system calls, namespaces, ioctls");
    RUN(test_sockets, "F10: only the sockets of the list, in pairs too");
    RUN(test_shared, "F6: nothing that a whole machine has a number of");
    RUN(test_keys, "F6: sandboxes take no keys of a user");
    RUN(test_instances, "F6: what a user has is left to others");
    RUN(test_sweep, "every system call number");
    RUN(test_other_abis, "x32 and i386 calls kill the process");
    RUN(test_limits, "no priority, limit or filter is changed from inside");
    RUN(test_overlay, "nothing written inside speaks to overlay");
    RUN(test_locks_are_private, "locks on shared files are private");
    RUN(test_chroot, "chroot and .. end at the sandbox's root");
    RUN(test_init_is_out_of_reach, "init cannot be read, killed or stopped");
    RUN(test_tracing, "A7: processes trace each other, but not init");
    RUN(test_capabilities, "capabilities, no_new_privs, seccomp");
    RUN(test_descriptors, "no descriptor of the host");
    RUN(test_host_is_out_of_sight, "no path, process or interface of the host");
    RUN(test_masks, "the kernel's secrets cannot be read");
    RUN(test_writes, "the kernel's settings cannot be written");
    RUN(test_oom_score, "F7: sandboxes stay the first to be killed");
    RUN(test_devices, "devices");
    RUN(test_hostile_images, "images with links where mounts go are refused");
    RUN(test_fork_bomb, "a fork bomb ends with its sandbox");
    RUN(test_core_limit, "no core dump handler of the host is run");
    RUN(test_process_ids, "the number of processes is capped");
    RUN(test_network_is_private, "loopback is private and works");
    RUN(test_network_is_fresh, "no sandbox gets a used network");
    RUN(test_nothing_is_shared, "nothing is left for the next sandbox");
    RUN(test_set_id, "set-id programs give nothing");
    world_close();
    return CHECK_DONE();
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "probe") == 0)
        return probe(argv[2]);
    printf("# as user %d\n", getuid());
    int failures = run_all();
    if (argc > 1)
        return failures != 0;
    bool root = getuid() == 0;
    if (root)
        failures += run_as(65534, false);
    setenv(RUNTIME_VARIABLE, "crun", 1);
    failures += run_as(getuid(), false);
    if (root)
        failures += run_as(65534, false);
    return failures != 0;
}
