/* test_volumes.c: volumes are whole or missing, whatever happens, and what is
 * known of their sizes is true. */
#define _GNU_SOURCE
#include "child.h"
#include "env.h"
#include "layer/volumes.h"
#include <pthread.h>
#include <unistd.h>

static bool add_one(void *arg, const struct stored_volume *v) {
    (void)v;
    ++*(int *)arg;
    return true;
}

static int rows(const struct env *e) {
    int count = 0;
    CHECK_NUMBER(store_volume_list(e->s, add_one, &count, NULL), 0);
    return count;
}

static bool has_directory(const struct env *e, const struct stored_volume *v) {
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "v/%s", v->directory);
    return fstatat(e->d.fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode) && st.st_uid == BASE;
}

static void life(void) {
    struct env e = make_env_in(temp_dir_make());
    struct stored_volume v, again;
    struct fault f;
    CHECK_NUMBER(volume_find_or_make(e.l, "a/b:c", 7, &v, &f), 1);
    CHECK(has_directory(&e, &v));
    CHECK_STRING(v.name, "a/b:c");
    CHECK(v.quota == 7 && v.size == 0 && v.used == 0 && v.created > 0);
    CHECK_NUMBER(volume_find_or_make(e.l, "a/b:c", 9, &again, &f), 0);
    CHECK_STRING(again.directory, v.directory);
    CHECK_NUMBER(again.quota, 7);
    CHECK_NUMBER(volume_find_or_make(e.l, "..", 0, &again, &f), -1);
    CHECK_NUMBER(f.status, 400);
    CHECK_NUMBER(volume_remove(e.l, "none", &f), -1);
    CHECK_NUMBER(f.status, 404);
    /* Where volumes are, nothing can be made. */
    CHECK_NUMBER(renameat(e.d.fd, "v", e.d.fd, "away"), 0);
    CHECK_NUMBER(volume_find_or_make(e.l, "new", 0, &again, &f), -1);
    CHECK_NUMBER(f.status, 500);
    CHECK_NUMBER(renameat(e.d.fd, "away", e.d.fd, "v"), 0);
    CHECK_NUMBER(rows(&e), 1);
    CHECK_NUMBER(volume_remove(e.l, "a/b:c", &f), 0);
    CHECK(!has_directory(&e, &v));
    CHECK_NUMBER(rows(&e), 0);
    /* A later one of that name is another one. */
    CHECK_NUMBER(volume_find_or_make(e.l, "a/b:c", 0, &again, &f), 1);
    CHECK(strcmp(again.directory, v.directory) != 0);
    CHECK_NUMBER(store_volume_limit(e.s, &v, 5, &f), 0);
    CHECK_NUMBER(store_volume_get(e.s, "a/b:c", &again, &f), 0);
    CHECK_NUMBER(again.quota, 0);
    end_env(&e);
}

static void sizes(void) {
    struct env e = make_env_in(temp_dir_make());
    struct stored_volume v, later;
    struct fault f;
    int64_t bytes = 0;
    CHECK_NUMBER(volume_find_or_make(e.l, "v", 0, &v, &f), 1);
    CHECK(shell("cd %s/v/%s && mkdir -p d/e && echo 123 > d/e/f && ln d/e/f g",
                e.d.path, v.directory));
    CHECK_NUMBER(volume_measure(e.l, &v, &bytes, &f), 0);
    CHECK_NUMBER(bytes, 4);
    CHECK_NUMBER(store_volume_use(e.s, &v, 100, &f), 0);
    CHECK_NUMBER(store_volume_get(e.s, "v", &v, &f), 0);
    CHECK(v.used == 100 && v.size == VOLUME_UNMEASURED);
    /* What was measured before another run began to write is not noted. */
    CHECK_NUMBER(store_volume_use(e.s, &v, 200, &f), 0);
    CHECK_NUMBER(store_volume_measured(e.s, &v, bytes, &f), 0);
    CHECK_NUMBER(store_volume_get(e.s, "v", &later, &f), 0);
    CHECK_NUMBER(later.size, VOLUME_UNMEASURED);
    CHECK_NUMBER(store_volume_measured(e.s, &later, bytes, &f), 0);
    CHECK_NUMBER(store_volume_get(e.s, "v", &later, &f), 0);
    CHECK_NUMBER(later.size, 4);
    end_env(&e);
}

struct maker {
    pthread_t thread;
    struct env *env;
    int result;
    struct stored_volume volume;
};

static void *make_same(void *arg) {
    struct maker *m = arg;
    struct fault f;
    m->result = volume_find_or_make(m->env->l, "same", 0, &m->volume, &f);
    return NULL;
}

static void race(void) {
    enum { THREADS = 8, ROUNDS = 20 };
    struct env e = make_env_in(temp_dir_make());
    struct fault f;
    for (int round = 0; round < ROUNDS; round++) {
        struct maker makers[THREADS];
        int made = 0;
        for (int i = 0; i < THREADS; i++) {
            makers[i].env = &e;
            pthread_create(&makers[i].thread, NULL, make_same, &makers[i]);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(makers[i].thread, NULL);
            CHECK(makers[i].result >= 0);
            made += makers[i].result;
            CHECK_STRING(makers[i].volume.directory,
                         makers[0].volume.directory);
        }
        CHECK_NUMBER(made, 1);
        CHECK_NUMBER(rows(&e), 1);
        CHECK(has_directory(&e, &makers[0].volume));
        CHECK(shell("test $(ls %s/v | wc -l) = 1", e.d.path));
        CHECK_NUMBER(volume_remove(e.l, "same", &f), 0);
    }
    end_env(&e);
}

/* Something of a run writes all the time. */
static void *churn(void *arg) {
    struct env *e = arg;
    shell("cd %s/v/* && while ! test -e ../../stop; do mkdir -p a/b; echo x > "
          "a/b/c; mv a z; rm -r z; done 2>/dev/null",
          e->d.path);
    return NULL;
}

static void changed_meanwhile(void) {
    struct env e = make_env_in(temp_dir_make());
    struct stored_volume v;
    struct fault f;
    pthread_t thread;
    int measured = 0;
    CHECK_NUMBER(volume_find_or_make(e.l, "v", 0, &v, &f), 1);
    CHECK(
        shell("head -c 5000 /dev/zero > %s/v/%s/kept", e.d.path, v.directory));
    pthread_create(&thread, NULL, churn, &e);
    for (int i = 0; i < 200; i++) {
        int64_t bytes = 0;
        if (volume_measure(e.l, &v, &bytes, &f) < 0)
            continue;
        measured++;
        CHECK(bytes == 5000 || bytes == 5002);
    }
    CHECK(measured > 0);
    CHECK(shell("touch %s/stop", e.d.path));
    pthread_join(thread, NULL);
    end_env(&e);
}

/* Make and remove volumes for ever. The directory is opened here, since threads
 * and locks do not survive a fork. */
static void work(void *arg, int report) {
    struct env *e = arg;
    if (!open_env(e, BASE))
        return;
    for (int i = 0;; i++) {
        static const char done[UUID_SIZE] = "done";
        struct stored_volume v;
        struct fault f;
        char name[32];
        snprintf(name, sizeof name, "v%d", i % 7);
        if (i % 3 == 2)
            volume_remove(e->l, name, &f);
        else if (volume_find_or_make(e->l, name, 0, &v, &f) < 0)
            return;
        if (store_sync(e->s, &f) < 0 ||
            write_all(report, done, sizeof done) < 0)
            return;
    }
}

static bool check_directory(void *arg, const struct stored_volume *v) {
    CHECK(has_directory(arg, v));
    return true;
}

static void killed(void) {
    struct env e = {.d = temp_dir_make()};
    for (unsigned round = 0; round < 12; round++) {
        close(killed_at_work(work, &e, 1700 * round));
        CHECK(open_env(&e, BASE));
        CHECK_NUMBER(store_volume_list(e.s, check_directory, &e, NULL), 0);
        CHECK(shell("test $(ls %s/v | wc -l) = %d", e.d.path, rows(&e)));
        close_env(&e);
    }
    temp_dir_remove(&e.d);
}

int main(void) {
    RUN(life, "a volume is made, found and removed");
    RUN(sizes, "sizes are those since the last use");
    RUN(race, "many make one of a name");
    RUN(changed_meanwhile, "what changes meanwhile is measured all the same");
    RUN(killed, "what was reported survives kill -9, the rest leaves nothing");
    return CHECK_DONE();
}
