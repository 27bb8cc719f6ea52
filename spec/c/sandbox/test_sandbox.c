/* test_sandbox.c: sandbox/sandbox.h, as root and as normal users. */
#define _GNU_SOURCE
#include "as_users.h"
#include "box.h"
#include <sys/mman.h>

static void test_exit_codes(void) {
    CHECK_NUMBER(box_code("true"), 0);
    CHECK_NUMBER(box_code("exit 1"), 1);
    CHECK_NUMBER(box_code("exit 255"), 255);
    CHECK_NUMBER(box_code("kill -TERM $$"), 256 + SIGTERM);
    CHECK_NUMBER(box_code("kill -KILL $$"), 256 + SIGKILL);
    CHECK_NUMBER(box_code("kill -SEGV $$"), 256 + SIGSEGV);
}

static void test_life(void) {
    struct box *b = box_shell("exit 3");
    CHECK(b->started);
    CHECK(!b->failed);
    CHECK(b->gone);
    CHECK(b->pids[1] > 1);
    CHECK_NUMBER(b->exits[1].pid, b->pids[1]);
    CHECK_NUMBER(b->exits[1].signal, -1);
    CHECK(b->exits[1].seconds > 0 && b->exits[1].seconds < 60);
    CHECK(!b->exits[1].core_dump);
    CHECK_NUMBER(b->exits[1].background_killed, 0);
    CHECK_NUMBER(b->events, 4); /* started, spawned, exited, gone */
    free(b);
    b = box_shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    CHECK(b->exits[1].usage.ru_utime.tv_usec +
              b->exits[1].usage.ru_stime.tv_usec >
          0);
    CHECK(b->exits[1].usage.ru_maxrss > 100);
    free(b);
}

static void test_streams(void) {
    struct box *b = box_shell("printf 'a\\000b\\377'; echo e >&2");
    CHECK_NUMBER(b->out.length, 4);
    CHECK(memcmp(b->out.data, "a\0b\377", 4) == 0);
    CHECK_STRING(b->err.data, "e\n");
    free(b);
    char *argv[] = {"sh", "-c", "tr a-z A-Z", NULL};
    b = box_run(NULL, (struct sandbox_process){.argv = argv,
                                               .stdin_fd = box_file("hello")});
    CHECK_STRING(b->out.data, "HELLO");
    free(b);
    CHECK_STRING(box_output("cat; echo end"), "end\n"); /* /dev/null */
    CHECK_STRING(box_output("head -c 100000 /dev/zero | wc -c"), "100000\n");
}

static void test_environment(void) {
    char *argv[] = {"env", NULL}, *env[] = {"A=1", "PATH=/bin", "B=", NULL};
    struct box *b = box_run(
        NULL, (struct sandbox_process){
                  .argv = argv, .env = env, .cwd = "/bin", .stdin_fd = -1});
    CHECK_STRING(b->out.data, "A=1\nPATH=/bin\nB=\n");
    free(b);
    char *pwd[] = {"pwd", NULL};
    b = box_run(NULL, (struct sandbox_process){
                          .argv = pwd, .cwd = "/bin/../etc", .stdin_fd = -1});
    CHECK_STRING(b->out.data, "/etc\n");
    free(b);
    CHECK_STRING(box_output("umask; ulimit -c"), "0022\n0\n");
    CHECK_STRING(box_output("cat /proc/sys/kernel/hostname; hostname"),
                 "box\nbox\n");
}

/* The arguments are longer than a packet. */
static void test_long_command(void) {
    enum { SIZE = 100000 };
    char *big = malloc(SIZE + 1);
    memset(big, 'x', SIZE);
    big[SIZE] = '\0';
    char *argv[] = {"sh", "-c", "echo ${#1} ${#2}", "sh", big, "abc", NULL};
    struct box *b = box_run(
        NULL, (struct sandbox_process){.argv = argv, .stdin_fd = box_file("")});
    CHECK_STRING(b->out.data, "100000 3\n");
    free(b);
    big[0] = '\0';
    CHECK_STRING(box_output("true"), "");
    free(big);
}

static void test_ids(void) {
    struct box *b;
    char *argv[] = {"sh", "-c", "id -u; id -g; id -G; touch /tmp/x", NULL};
    CHECK_STRING(box_output("id -u; id -g"), "0\n0\n");
    b = box_run(NULL, (struct sandbox_process){.argv = argv,
                                               .uid = 1000,
                                               .gid = 100,
                                               .has_gid = true,
                                               .stdin_fd = -1});
    if (world.ids.count > 1) {
        CHECK_STRING(b->out.data, "1000\n100\n100\n");
        CHECK_NUMBER(b->exits[1].code, 0);
    } else {
        CHECK(b->spawn_failed);
        CHECK(strstr(b->fault.message, "user 1000"));
    }
    free(b);
    b = box_run(NULL, (struct sandbox_process){
                          .argv = argv, .uid = 0xfffffffe, .stdin_fd = -1});
    CHECK(b->spawn_failed);
    free(b);
}

static struct box *run_program(const char *name) {
    char *argv[] = {(char *)name, NULL};
    return box_run(NULL,
                   (struct sandbox_process){.argv = argv, .stdin_fd = -1});
}

static void check_program(const char *name, int code, const char *said) {
    struct box *b = run_program(name);
    CHECK_NUMBER(b->exits[1].code, code);
    if (!strstr(b->err.data, said)) {
        check_ok = false;
        printf("# %s said \"%s\"\n", name, b->err.data);
    }
    free(b);
}

static void test_cannot_execute(void) {
    check_program("nosuch", 127, "contree: nosuch: command not found");
    check_program("/nosuch", 127, "contree: /nosuch: No such file");
    check_program("/bin/busybox/x", 127, "Not a directory");
    check_program("/etc", 126, "Permission denied");
    check_program("", 127, "command not found");
}

static void put(struct box *b, const char *path, const char *text,
                mode_t mode) {
    struct fault f = {0};
    if (sandbox_put(b->sandbox,
                    &(struct sandbox_file){.path = path, .mode = mode},
                    box_file(text), &f) < 0)
        printf("# put %s: %s\n", path, f.message);
}

static void finish(struct box *b, const char *script) {
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    struct sandbox_process p = {.argv = argv, .stdin_fd = -1};
    box_spawn(b, 1, &p);
    box_wait(b);
    if (b->err.length)
        printf("# stderr of [%s]: %s\n", script, b->err.data);
}

static void test_scripts(void) {
    struct box *b = box_start(NULL, NULL);
    put(b, "/bin/plain", "echo plain $0 $1\n", 0755);
    put(b, "/bin/lost", "#!/no/such/interpreter\n", 0755);
    put(b, "/bin/noexec", "echo\n", 0644);
    char *argv[] = {"plain", "arg", NULL};
    struct sandbox_process p = {.argv = argv, .stdin_fd = -1};
    box_spawn(b, 1, &p);
    box_wait(b);
    CHECK_STRING(b->out.data, "plain /bin/plain arg\n");
    free(b);
    struct {
        const char *path, *text, *said;
        int code;
    } cases[] = {
        {"/bin/lost", "#!/no/such\n", "interpreter or loader is missing", 127},
        {"/bin/noexec", "echo\n", "Permission denied", 126},
        {"/bin/junk", "\177ELF", "", 126},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        b = box_start(NULL, NULL);
        struct fault f;
        int fd = box_file(cases[i].text);
        if (i == 2 && (ftruncate(fd, 100) < 0)) /* NUL bytes: not text */
            perror("ftruncate");
        struct sandbox_file file = {.path = cases[i].path,
                                    .mode = i == 1 ? 0644 : 0755};
        sandbox_put(b->sandbox, &file, fd, &f);
        char *run[] = {(char *)cases[i].path + 5, NULL};
        struct sandbox_process q = {.argv = run, .stdin_fd = -1};
        box_spawn(b, 1, &q);
        box_wait(b);
        CHECK_NUMBER(b->exits[1].code, cases[i].code);
        CHECK(strstr(b->err.data, cases[i].said));
        free(b);
    }
}

static void check_cwd(const char *cwd, const char *why) {
    char *argv[] = {"pwd", NULL};
    struct box *b = box_run(
        NULL,
        (struct sandbox_process){.argv = argv, .cwd = cwd, .stdin_fd = -1});
    CHECK(b->spawn_failed);
    CHECK_NUMBER(b->fault.status, 422);
    CHECK_STRING(b->fault.message, why);
    free(b);
}

static void test_bad_cwd(void) {
    check_cwd("/nope", "cwd \"/nope\": No such file or directory");
    check_cwd("/bin/busybox", "cwd \"/bin/busybox\": Not a directory");
    char *argv[] = {"pwd", NULL};
    const char *const tricks[] = {"/proc/self/fd/3", "/proc/self/fd/4",
                                  "/proc/1/root", "/proc/1/cwd",
                                  "/proc/1/fd/3"};
    for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++) {
        struct box *b =
            box_run(NULL, (struct sandbox_process){
                              .argv = argv, .cwd = tricks[i], .stdin_fd = -1});
        CHECK(b->spawn_failed);
        free(b);
    }
}

static void test_put(void) {
    struct box *b = box_start(NULL, NULL);
    put(b, "/a/b/c.txt", "one", 0640);
    put(b, "/bin/true", "#!/bin/sh\nexit 7\n", 04755);
    put(b, "/top", "", 0600);
    finish(b, "cat /a/b/c.txt; stat -c ' %a %u %g' /a/b/c.txt; "
              "stat -c '%a %u' /a /a/b /bin/true /top; true; echo $?; "
              "/bin/true; echo $?");
    CHECK_STRING(b->out.data,
                 "one 640 0 0\n755 0\n755 0\n4755 0\n600 0\n0\n7\n");
    free(b);
}

/* Files are put where the image has something else. */
static void test_put_in_the_way(void) {
    char *root = world.dir.path;
    box_make_dir("l/2");
    shell("cd %s/l/2 && ln -s /etc link && ln -s /../../../../tmp up && "
          "mkdir etc && mkfifo fifo && echo old > old && ln -s old hard && "
          "ln -s /etc/passwd passwd && ln -s /nowhere dangling && mkdir dir",
          root);
    box_own("l/2");
    struct box_options o = {.image = "l/2"};
    struct box *b = box_start(&o, NULL);
    put(b, "/link/x", "x", 0644);
    put(b, "/up/y", "y", 0644);
    put(b, "/fifo", "f", 0644);
    put(b, "/passwd", "p", 0644);
    put(b, "/dangling", "d", 0644);
    finish(b, "cat /etc/x /tmp/y /fifo /passwd /dangling; "
              "ls /etc | grep -v ^host | grep -v ^resolv; test -f /fifo -a ! "
              "-L /passwd -a ! -L /dangling");
    CHECK_STRING(b->fault.message, "");
    CHECK_STRING(b->out.data, "xyfpdx\n");
    CHECK(b->has_exited[1]);
    CHECK_NUMBER(b->exits[1].code, 0);
    free(b);
    CHECK(shell("test ! -e /tmp/y -a -p %s/l/2/fifo -a -L %s/l/2/passwd", root,
                root));
}

static void check_put_fails(const char *image, const char *path,
                            const char *why) {
    struct box_options o = {.image = image};
    struct box *b = box_start(&o, NULL);
    put(b, path, "x", 0644);
    finish(b, "echo never");
    CHECK(b->failed);
    CHECK(!b->has_exited[1]);
    CHECK_STRING(b->out.data, "");
    if (!strstr(b->fault.message, why)) {
        check_ok = false;
        printf("# put %s: \"%s\"\n", path, b->fault.message);
    }
    free(b);
}

static void test_put_fails(void) {
    check_put_fails("l/2", "/dir", "cannot replace /dir: Is a directory");
    check_put_fails("l/2", "/dangling/x", "directory of /dangling/x");
    check_put_fails("l/2", "/old/x", "Not a directory");
    check_put_fails("l/2", "relative", "not an absolute path");
    check_put_fails("l/2", "/", "not an absolute path");
    check_put_fails("l/2", "/proc/self/fd/x", "/proc/self/fd/x");
    check_put_fails("l/2", "/dev/null", "cannot replace /dev/null");
    struct box *b = box_start(NULL, NULL);
    struct fault f = {0};
    struct sandbox_file file = {.path = "/x", .uid = 0xfffffffe};
    CHECK_NUMBER(sandbox_put(b->sandbox, &file, box_file(""), &f), 0);
    finish(b, "true");
    CHECK(b->failed);
    CHECK(strstr(b->fault.message, "user 4294967294"));
    free(b);
}

static void test_many_puts(void) {
    struct box *b = box_start(NULL, NULL);
    char path[32];
    for (int i = 0; i < 700; i++) {
        snprintf(path, sizeof path, "/many/%d", i);
        put(b, path, "x", 0644);
    }
    finish(b, "ls /many | wc -l");
    CHECK_STRING(b->out.data, "700\n");
    free(b);
}

static void test_background_is_killed(void) {
    struct box *b = box_shell("sleep 1000 & sleep 1000 & exit 0");
    CHECK_NUMBER(b->exits[1].code, 0);
    CHECK_NUMBER(b->exits[1].background_killed, 2);
    free(b);
    b = box_shell("setsid sh -c 'trap \"\" TERM HUP INT; "
                  "setsid sleep 765431 & setsid sleep 765431' "
                  "</dev/null >/dev/null 2>&1 & sleep 0.2; kill -9 $$");
    CHECK_NUMBER(b->exits[1].signal, SIGKILL);
    CHECK(b->exits[1].background_killed >= 2);
    free(b);
    CHECK(!process_exists("765431"));
}

static void test_zombies_are_reaped(void) {
    CHECK_STRING(box_output("i=0; while [ $i -lt 300 ]; do "
                            "(true & true &); i=$((i+1)); done; sleep 0.3; "
                            "ps | grep -c '\\[true\\]'"),
                 "0\n");
}

static void spawn_second(struct box *b, int spid) {
    if (spid != 1)
        return;
    char *two[] = {"sh", "-c", "echo $$ > /tmp/two; exit 5", NULL};
    char *three[] = {"sleep", "1000", NULL};
    struct sandbox_process p = {.argv = two, .stdin_fd = -1};
    struct sandbox_process q = {.argv = three, .stdin_fd = -1};
    struct fault f;
    box_spawn(b, 2, &p);
    box_spawn(b, 3, &q);
    CHECK_NUMBER(sandbox_signal(b->sandbox, 3, SIGTERM, &f), 0);
}

static void test_subprocesses(void) {
    struct box *b = box_start(NULL, NULL);
    b->on_spawned = spawn_second;
    finish(b, "while [ ! -s /tmp/two ]; do sleep 0.01; done; sleep 0.2; "
              "cat /tmp/two");
    CHECK(b->has_exited[2]);
    CHECK_NUMBER(b->exits[2].code, 5);
    CHECK(b->has_exited[3]);
    CHECK_NUMBER(b->exits[3].signal, SIGTERM);
    CHECK_NUMBER(b->exits[1].code, 0);
    CHECK_NUMBER(atoi(b->out.data), b->pids[2]);
    free(b);
}

static void spawn_sleeper(struct box *b, int spid) {
    if (spid != 1)
        return;
    char *argv[] = {"sleep", "1000", NULL};
    struct sandbox_process p = {.argv = argv, .stdin_fd = -1};
    box_spawn(b, 2, &p);
}

static void test_subprocess_dies_with_main(void) {
    struct box *b = box_start(NULL, NULL);
    b->on_spawned = spawn_sleeper;
    finish(b, "sleep 0.2");
    CHECK(b->has_exited[2]);
    CHECK_NUMBER(b->exits[2].signal, SIGKILL);
    CHECK_NUMBER(b->exits[1].background_killed, 1);
    free(b);
}

static void kill_box(struct box *b, int spid) {
    (void)spid;
    sandbox_kill(b->sandbox);
}

static void test_kill(void) {
    struct box *b = box_start(NULL, NULL);
    b->on_spawned = kill_box;
    finish(b, "trap '' TERM INT HUP; while :; do sleep 876541; done");
    CHECK(b->gone);
    CHECK(!b->has_exited[1]);
    CHECK(!b->failed);
    CHECK(!process_exists("876541"));
    free(b);
    /* Before it has started. */
    b = box_start(NULL, NULL);
    sandbox_kill(b->sandbox);
    struct fault f = {0};
    char *argv[] = {"true", NULL};
    struct sandbox_process p = {.argv = argv,
                                .env = box_environment(),
                                .cwd = "/",
                                .stdin_fd = -1,
                                .stdout_fd = -1,
                                .stderr_fd = -1};
    CHECK_NUMBER(sandbox_spawn(b->sandbox, 1, &p, &f), -1);
    CHECK_NUMBER(f.status, 409);
    box_wait(b);
    CHECK(!b->started);
    free(b);
}

static void signal_main(struct box *b, int spid) {
    struct fault f;
    sandbox_signal(b->sandbox, spid, SIGINT, &f);
}

static void test_signal_main(void) {
    struct box *b = box_start(NULL, NULL);
    b->on_spawned = signal_main;
    finish(b, "sleep 1000");
    CHECK_NUMBER(b->exits[1].signal, SIGINT);
    free(b);
}

/* Start more sandboxes at once than there are cells ready. */
static void test_many_at_once(void) {
    enum { COUNT = 24 };
    struct box *boxes[COUNT];
    for (int i = 0; i < COUNT; i++) {
        char script[64];
        char *argv[] = {"sh", "-c", script, NULL};
        struct sandbox_process p = {.argv = argv, .stdin_fd = -1};
        snprintf(script, sizeof script, "echo %d > /tmp/x; sleep 0.1; exit %d",
                 i, i);
        boxes[i] = box_start(NULL, NULL);
        box_spawn(boxes[i], 1, &p);
    }
    for (int i = 0; i < COUNT; i++) {
        box_wait(boxes[i]);
        CHECK_NUMBER(boxes[i]->exits[1].code, i);
        free(boxes[i]);
    }
}

static bool upper_is_empty(const struct box *b) {
    return shell("test -z \"$(ls -A %s/%s)\"", world.dir.path, b->upper);
}

static void test_upper(void) {
    struct box *b = box_shell("true; ls -lR / >/dev/null 2>&1; cat /bin/sh > "
                              "/dev/null; echo x > /dev/shm/x");
    CHECK(upper_is_empty(b));
    free(b);
    b = box_shell("echo x > /etc/new; rm /bin/yes; mkdir /d; chmod 700 /d");
    CHECK(shell("cd %s/%s && test \"$(cat etc/new)\" = x -a -c bin/yes -a "
                "\"$(stat -c '%%a %%u' d)\" = '700 %u'",
                world.dir.path, b->upper, (unsigned)world.ids.base));
    free(b);
}

/* The mount options of a long chain are longer than a page. */
static void test_long_chain(void) {
    enum { LAYERS = 500 };
    static char names[LAYERS][32];
    const char *lowers[LAYERS + 2];
    for (int i = 0; i < LAYERS; i++) {
        snprintf(names[i], sizeof names[i], "l/chain-%d", i);
        lowers[i] = names[i];
        box_make_dir(names[i]);
    }
    lowers[LAYERS] = "l/1";
    lowers[LAYERS + 1] = "l/0";
    box_make_dir("l/chain-499/bottom");
    box_make_dir("l/chain-0/top");
    struct box *b = calloc(1, sizeof *b);
    box_make_dir("w/chain");
    box_make_dir("w/chain/u");
    box_make_dir("w/chain/w");
    struct sandbox_spec spec = {.lowers = lowers,
                                .lower_count = LAYERS,
                                .upper = "w/chain/u",
                                .work = "w/chain/w",
                                .hostname = "h"};
    struct fault f = {0};
    /* The kernel allows 500: the three below replace the last layers. */
    lowers[LAYERS - 3] = "l/chain-499";
    lowers[LAYERS - 2] = "l/1";
    lowers[LAYERS - 1] = "l/0";
    b->sandbox = sandbox_start(world.launcher, &spec, &box_callbacks, b, &f);
    CHECK(b->sandbox);
    finish(b, "ls -d /top /bottom");
    CHECK_STRING(b->out.data, "/bottom\n/top\n");
    free(b);
}

static void test_refusals(void) {
    static const char *const lowers[] = {"l/1", "l/0"};
    static const struct sandbox_callbacks none;
    struct sandbox_spec spec = {.lowers = lowers,
                                .lower_count = 2,
                                .upper = "w/x/u",
                                .work = "w/x/w",
                                .hostname = ""};
    struct fault f = {0};
    spec.hostname = "a-host-name-that-is-much-longer-than-the-kernel-would-"
                    "take-for-one-of-its-own";
    CHECK(!sandbox_start(world.launcher, &spec, &none, NULL, &f));
    CHECK_NUMBER(f.status, 422);
    struct box_options o = {.image = "l/none"};
    struct box *b = box_start(&o, NULL);
    finish(b, "true");
    CHECK(b->failed);
    CHECK(strstr(b->fault.message, "cannot mount the image"));
    CHECK(b->gone && !b->started);
    free(b);
}

static void test_file_size_limit(void) {
    struct box_options o = {.max_file_bytes = 1 << 20};
    struct box *b = box_start(&o, NULL);
    finish(b, "head -c 900000 /dev/zero > /ok && "
              "head -c 2000000 /dev/zero > /big; wc -c < /big");
    CHECK_STRING(b->out.data, "1048576\n");
    free(b);
}

/* The engine is killed: no process of the sandbox may remain. */
static void test_engine_dies(void) {
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) < 0)
        return;
    fflush(stdout);
    world.next_workspace++; /* the child's */
    pid_t engine = fork();
    if (engine == 0) {
        world.next_workspace--;
        struct fault f = {0};
        uv_loop_t loop;
        uv_loop_init(&loop);
        world.loop = &loop;
        world.launcher = launcher_open(world.dir.fd, world.ids, world.runtime,
                                       SANDBOX_NICE, &f);
        launcher_attach(world.launcher, &loop, &f);
        struct box *b = box_start(NULL, &f);
        char *argv[] = {"sh", "-c", "setsid sleep 987651 & sleep 987651", NULL};
        struct sandbox_process p = {.argv = argv, .stdin_fd = -1};
        box_spawn(b, 1, &p);
        while (!b->pids[1])
            uv_run(&loop, UV_RUN_ONCE);
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            uv_run(&loop, UV_RUN_ONCE);
    }
    char byte;
    close(ready[1]);
    CHECK(read(ready[0], &byte, 1) == 1);
    for (int i = 0; i < 500 && !process_exists("987651"); i++)
        usleep(10000);
    CHECK(process_exists("987651"));
    kill(engine, SIGKILL);
    waitpid(engine, NULL, 0);
    for (int i = 0; i < 500 && process_exists("987651"); i++)
        usleep(10000);
    CHECK(!process_exists("987651"));
    close(ready[0]);
}

/* Shell definitions: $forkservers are those of this process, $cells are their
 * children, and `end PID...` kills processes and waits until they are dead.
 * (A sandbox that starts in a dying cell would die with it.) */
#define PROCESSES                                                              \
    "forkservers=$(for p in $(cat /proc/%d/task/*/children); do "              \
    "[ $(cat /proc/$p/comm) != contree-init ] || echo $p; done); "             \
    "cells=$(for p in $forkservers; do cat /proc/$p/task/*/children; done); "  \
    "end() { kill -9 $*; for p in $*; do "                                     \
    "while grep -qs '^State:.[DRSTt]' /proc/$p/status; do sleep 0.01; done; "  \
    "done; }; "

/* The cell is stopped first, so that it cannot enter its root before it is
 * killed. */
static void test_cell_dies(void) {
    shell(PROCESSES "kill -STOP $cells", getpid());
    struct box *b = box_start(NULL, NULL);
    shell(PROCESSES "end $cells", getpid());
    finish(b, "echo again");
    CHECK(b->has_exited[1] && !b->failed);
    CHECK_STRING(b->out.data, "again\n");
    free(b);
}

static void kill_forkservers(void) {
    shell(PROCESSES "end $forkservers", getpid());
}

static void kill_forkservers_under(struct box *b, int spid) {
    (void)b;
    (void)spid;
    kill_forkservers();
}

/* Its death is seen at once: nobody was told yet, as the loop has not run. */
static void check_use_until(void (*it_dies)(void)) {
    struct box *b = box_start(NULL, NULL);
    while (!b->started)
        uv_run(world.loop, UV_RUN_ONCE);
    CHECK(sandbox_is_usable(b->sandbox));
    it_dies();
    CHECK(!b->failed && !sandbox_is_usable(b->sandbox));
    box_wait(b);
    CHECK(b->failed);
    free(b);
}

static void kill_cells(void) {
    shell(PROCESSES "end $cells", getpid());
}

static void test_usable(void) {
    check_use_until(kill_cells);
    check_use_until(kill_forkservers);
}

static void test_launcher_dies(void) {
    struct box *b = box_start(NULL, NULL);
    b->on_spawned = kill_forkservers_under;
    finish(b, "sleep 1000");
    CHECK(b->failed && !b->has_exited[1]);
    CHECK(strstr(b->fault.message, "ended unexpectedly"));
    free(b);
    CHECK_STRING(box_output("echo again"), "again\n");
    kill_forkservers();
    CHECK_STRING(box_output("echo again"), "again\n");
}

static int count_descriptors(void) {
    DIR *d = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

static void test_no_descriptor_leaks(void) {
    struct box_options bad = {.image = "l/none"};
    int before = count_descriptors();
    for (int i = 0; i < 20; i++) {
        struct box *b = box_start(i % 4 ? NULL : &bad, NULL);
        put(b, "/f", "x", 0644);
        put(b, i % 5 ? "/g" : "/bin", "x", 0644);
        if (i % 3 == 0)
            sandbox_kill(b->sandbox);
        char *argv[] = {"true", NULL};
        struct sandbox_process p = {.argv = argv, .stdin_fd = box_file("x")};
        box_spawn(b, 1, &p);
        box_wait(b);
        free(b);
    }
    /* There may be one ready cell more or less than before. */
    CHECK(abs(count_descriptors() - before) <= 8);
}

/* Count the mounts of this test: below the data directory, or at the place
 * where a runtime has its image. */
static int mounts_of_tests(void) {
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[4096], root[64] = "";
    int count = 0;
    if (world.runtime)
        snprintf(root, sizeof root, " %s/new ", world.runtime->stage);
    while (fgets(line, sizeof line, file))
        count += strstr(line, world.dir.path) || (*root && strstr(line, root));
    fclose(file);
    return count;
}

static void test_tidy(void) {
    CHECK_NUMBER(mounts_of_tests(), 0);
    struct box *b = box_shell("true");
    free(b);
    CHECK_NUMBER(mounts_of_tests(), 0);
}

static void test_launcher_isolation(void) {
    const char *walls = launcher_isolation(world.launcher);
    CHECK(strstr(walls, "user,mount,pid,net"));
    CHECK((strstr(walls, ",ids") != NULL) == (world.ids.count > 1));
    CHECK((strstr(walls, ",runtime:crun") != NULL) == (world.runtime != NULL));
}

static int run_all(void) {
    if (!world_open())
        return 1;
    RUN(test_exit_codes, "exit codes and signals");
    RUN(test_life, "callbacks, pid, time and usage");
    RUN(test_streams, "bytes in and out");
    RUN(test_environment, "environment, directory, umask, host name");
    RUN(test_long_command, "commands longer than a packet");
    RUN(test_ids, "user and group ids");
    RUN(test_cannot_execute, "126 and 127 as a shell has them");
    RUN(test_scripts, "scripts without #!, with a bad one, not executable");
    RUN(test_bad_cwd, "a bad working directory is refused");
    RUN(test_put, "files with parents, modes, replacing others");
    RUN(test_put_in_the_way, "files through links, over links and fifos");
    RUN(test_put_fails, "files that cannot be placed end the sandbox");
    RUN(test_many_puts, "more orders than the socket holds");
    RUN(test_background_is_killed, "what is left behind is killed and counted");
    RUN(test_zombies_are_reaped, "orphans are reaped");
    RUN(test_subprocesses, "subprocesses and signals to them");
    RUN(test_subprocess_dies_with_main, "subprocesses die with the main one");
    RUN(test_kill, "kill, while it runs and before it starts");
    RUN(test_signal_main, "a signal to the main process");
    RUN(test_many_at_once, "many at once");
    RUN(test_upper, "the upper directory has what changed, and only that");
    RUN(test_long_chain, "500 layers");
    RUN(test_refusals, "what cannot be started says why");
    RUN(test_file_size_limit, "file size limit");
    RUN(test_engine_dies, "a killed engine leaves no process");
    RUN(test_cell_dies, "a cell that dies before it starts is replaced");
    RUN(test_usable, "one that has died is not used");
    RUN(test_launcher_dies, "a killed launcher is replaced");
    RUN(test_no_descriptor_leaks, "no descriptor is left open");
    RUN(test_tidy, "no mount is visible outside");
    RUN(test_launcher_isolation, "isolation tells about the ids");
    world_close();
    return CHECK_DONE();
}

int main(int argc, char **argv) {
    return main_as_users(argc, argv, run_all);
}
