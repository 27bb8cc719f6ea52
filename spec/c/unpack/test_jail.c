/* test_jail.c: the process that unpacks has no privileges, and does not outlive
 * its import. */
#define _GNU_SOURCE
#include "tar_env.h"
#include "tar_maker.h"
#include "unpack/child.h"
#include "unpack/spare.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

/* Start an import in a child, from a pipe that has no data yet. */
static pid_t start_import(struct env *e, int *input) {
    struct tar t = tar_begin();
    struct fault f;
    int ends[2];
    tar_add(&t, (struct member){.name = "f", .data = "x"});
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        _exit(import(e, ends[0], &f) == 422 && strstr(f.message, "signal 9"));
    }
    close(ends[0]);
    *input = ends[1];
    CHECK_NUMBER(write_all(ends[1], t.b.data, 1024), 0);
    buffer_free(&t.b);
    return pid;
}

/* Wait until the importer's child that unpacks has dropped its privileges.
 * Write "/proc/PID" of it to `out`. */
static bool find_unpacker(pid_t parent, char *out, size_t size) {
    char file[100];
    snprintf(file, sizeof file, "/var/tmp/contree-test-%d", parent);
    bool found = shell(
        "for i in $(seq 500); do for p in /proc/[0-9]*; do "
        "grep -qs '^PPid:.%d$' $p/status && "
        "grep -qs '^Seccomp:.2' $p/status && echo -n $p > %s && exit 0; done; "
        "sleep 0.02; done; exit 1",
        parent, file);
    FILE *f = found ? fopen(file, "r") : NULL;
    found = f && fgets(out, (int)size, f);
    if (f)
        fclose(f);
    unlink(file);
    return found;
}

static void nothing_to_lose(void) {
    struct env e = make_env();
    char p[64] = "";
    int input;
    pid_t pid = start_import(&e, &input);
    CHECK(find_unpacker(pid, p, sizeof p));
    CHECK(shell("grep -q '^Uid:.%d.%d.%d.%d$' %s/status", BASE, BASE, BASE,
                BASE, p));
    CHECK(shell("grep -q '^Groups:.*[0-9]' %s/status && exit 1; "
                "grep -q '^NoNewPrivs:.1' %s/status && "
                "grep -q '^CapEff:.000000008000001b' %s/status && "
                "grep -q '^CapPrm:.000000008000001b' %s/status",
                p, p, p, p));
    /* So have all its threads. */
    CHECK(shell("for t in %s/task/*/status; do grep -q '^Seccomp:.2' $t && "
                "grep -q '^NoNewPrivs:.1' $t && "
                "grep -q '^CapPrm:.000000008000001b' $t && "
                "grep -q '^Uid:.%d.%d.%d.%d$' $t || exit 1; done",
                p, BASE, BASE, BASE, BASE));
    CHECK(shell("test $(nproc) = 1 || test $(ls %s/task | wc -l) = 2", p));
    CHECK(shell("awk '{ exit !($1 == 0 && $2 == %d && $3 == 65536) }' "
                "%s/uid_map",
                BASE, p));
    /* Its root is the workspace. It has no other descriptors, and no
     * environment. */
    CHECK(shell("readlink %s/root | grep -q '^%s/w/'", p, e.d.path));
    CHECK(
        shell("for l in %s/fd/*; do readlink $l; done | grep -v -e ^/dev/null "
              "-e ^pipe: -e ^socket: -e '^%s/w/' && exit 1; exit 0",
              p, e.d.path));
    CHECK(shell("test \"$(cat %s/environ | wc -c)\" = 0", p));
    CHECK(shell("test $(cat %s/oom_score_adj) = 1000", p));
    CHECK(shell("awk '/Max core/ { exit $5 != 0 }' %s/limits", p));
    close(input);
    waitpid(pid, NULL, 0);
    CHECK(shell("test ! -e %s", p));
    end_env(&e);
}

static void dies_with_us(void) {
    struct env e = make_env();
    char p[64] = "";
    int input;
    pid_t pid = start_import(&e, &input);
    CHECK(find_unpacker(pid, p, sizeof p));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    CHECK(shell("for i in $(seq 500); do grep -qs '^State:.[^Z]' %s/status || "
                "exit 0; sleep 0.02; done; exit 1",
                p));
    /* When the child dies, the import fails with a message. */
    close(input);
    pid = start_import(&e, &input);
    CHECK(find_unpacker(pid, p, sizeof p));
    CHECK(shell("kill -9 $(basename %s)", p));
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    close(input);
    end_env(&e);
    e = make_env(); /* the next start removes the leftovers */
    CHECK(left_nothing(&e));
    end_env(&e);
}

static void is_over(void) {
    struct unpacker u;
    struct fault f;
    CHECK_NUMBER(unpacker_start(&u, &f), 0);
    CHECK(u.pid > 0);
    CHECK_NUMBER(WTERMSIG(unpacker_end(&u)), SIGKILL);
    /* Its number may soon be another process's. */
    CHECK_NUMBER(u.pid, 0);
    CHECK_NUMBER(unpacker_end(&u), 0);
}

static bool unpacks(struct env *e) {
    struct tar t = tar_begin();
    struct fault f;
    tar_add(&t, (struct member){.name = "f", .data = "x"});
    int status = import(e, tar_end(&t), &f);
    buffer_free(&t.b);
    return status == 0;
}

static bool has_children(int count) {
    return shell(
        "for i in $(seq 500); do test $(cat /proc/%d/task/*/children | "
        "wc -w) = %d && exit 0; sleep 0.02; done; exit 1",
        getpid(), count + 1); /* and the shell */
}

static void ahead(void) {
    struct env e = make_env();
    CHECK_NUMBER(spare_state(60), SPARE_NONE);
    CHECK(unpacks(&e));
    CHECK(has_children(0));
    CHECK_NUMBER(spare_state(60), SPARE_DUE);
    spare_keep(60);
    CHECK_NUMBER(spare_state(60), SPARE_WAITS);
    CHECK(has_children(2));
    /* One is taken, and goes with its archive. */
    CHECK(unpacks(&e));
    CHECK(has_children(1));
    spare_keep(60);
    CHECK(has_children(2));
    /* Those that wait have nothing of ours, once they have begun. */
    CHECK(shell("has_four() { test $(ls /proc/$1/fd | wc -l) = 4; }; "
                "for p in $(cat /proc/%d/task/*/children); do "
                "for i in $(seq 500); do test $p = $$ || has_four $p && break; "
                "sleep 0.02; done; test $p = $$ || has_four $p || exit 1; done",
                getpid()));
    /* One that was killed is replaced when it is wanted. */
    CHECK(shell("for p in $(cat /proc/%d/task/*/children); do "
                "test $p = $$ || kill -9 $p; done",
                getpid()));
    CHECK(unpacks(&e));
    CHECK(unpacks(&e));
    CHECK(has_children(0));
    spare_keep(60);
    CHECK(has_children(2));
    /* When none was wanted for a while, they end. */
    CHECK_NUMBER(spare_state(0), SPARE_DUE);
    spare_keep(0);
    CHECK_NUMBER(spare_state(0), SPARE_NONE);
    CHECK(has_children(0));
    end_env(&e);
}

int main(int argc, char *argv[]) {
    (void)argc;
    if (unpack_is_child(argv))
        return unpack_child();
    RUN(nothing_to_lose, "the process that unpacks has nothing to lose");
    RUN(dies_with_us, "unpacking ends with who asked for it");
    RUN(is_over, "a process that has ended is not ended again");
    RUN(ahead, "processes wait for the next archive, and end");
    return CHECK_DONE();
}
