/* test_noted.c: the ends of operations that are noted in the journal of the
 * store, before the database has them. */
#define _GNU_SOURCE
#include "base/fault.h"
#include "base/fd.h"
#include "check.h"
#include "child.h"
#include "store/journal.h"
#include "store/store.h"
#include "store_env.h"
#include "temp_dir.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int note(struct store *s, const char *status, int64_t created,
                const char *log, size_t length, char uuid[UUID_SIZE]) {
    struct fault f = {0};
    char metadata[] = "{\"command\":\"true\"}", error[] = "no";
    struct operation_row o = {.kind = "instance",
                              .status = status,
                              .error = *status == 'F' ? error : NULL,
                              .created = created,
                              .finished = created + 5,
                              .consumed_cpu = 0.5,
                              .consumed_memory = 77,
                              .image_size = -1,
                              .metadata = metadata};
    uuid_ordered(o.uuid);
    uuid_random(o.image);
    if (*status == 'C')
        memcpy(o.result_image, o.image, UUID_SIZE);
    memcpy(uuid, o.uuid, UUID_SIZE);
    return store_operation_note(s, &o, log, length, &f) == 0 ? 0 : f.status;
}

static void check_noted(struct store *s, const char *uuid, const char *status,
                        size_t log_length) {
    struct operation_row o;
    struct fault f = {0};
    char *log = NULL;
    size_t length;
    CHECK_NUMBER(store_operation_get(s, uuid, &o, &f), 0);
    CHECK_STRING(o.status, status);
    CHECK_STRING(o.kind, "instance");
    CHECK_STRING(o.metadata, "{\"command\":\"true\"}");
    CHECK_STRING(o.error ? o.error : "", *status == 'F' ? "no" : "");
    CHECK(o.finished == o.created + 5 && o.consumed_cpu == 0.5);
    CHECK(o.consumed_memory == 77 && o.image_size == -1 && o.image[0]);
    CHECK(!o.tag);
    CHECK_STRING(o.result_image, *status == 'C' ? o.image : "");
    operation_row_clear(&o);
    CHECK_NUMBER(store_operation_log(s, uuid, &log, &length, &f), 0);
    CHECK(log && length == log_length &&
          (length < 5 || memcmp(log, "{}\n\0x", 5) == 0));
    free(log);
}

static void noted(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    char u[4][UUID_SIZE];
    char *large = calloc(1, 300000);
    memcpy(large, "{}\n\0x", 5);
    CHECK_NUMBER(note(s, "SUCCESS", 1, "{}\n\0x", 5, u[0]), 0);
    CHECK_NUMBER(note(s, "FAILED", 2, "", 0, u[1]), 0);
    CHECK_NUMBER(store_unfolded(s), 2);
    check_noted(s, u[0], "SUCCESS", 5); /* whoever looks finds all of them */
    CHECK_NUMBER(store_unfolded(s), 0);
    check_noted(s, u[1], "FAILED", 0);
    CHECK_NUMBER(note(s, "SUCCESS", 3, large, 300000, u[2]), 0);
    CHECK_NUMBER(store_unfolded(s), 0);
    check_noted(s, u[2], "SUCCESS", 300000);
    CHECK_NUMBER(note(s, "SUCCESS", 4, "{}\n\0x", 5, u[3]), 0);
    CHECK_NUMBER(operations_like(s, NULL, NULL), 4);
    CHECK_NUMBER(note(s, "CANCELLED", 5, "{}\n\0x", 5, u[3]), 0);
    /* More than the journal has room for. */
    for (int i = 0; i < 30; i++)
        CHECK_NUMBER(note(s, "SUCCESS", 6 + i, large, 20000, u[2]), 0);
    CHECK(store_unfolded(s) < 30);
    CHECK_NUMBER(operations_like(s, "CANCELLED", NULL), 1);
    CHECK_NUMBER(note(s, "CANCELLED", 50, "{}\n\0x", 5, u[0]), 0);
    store_close(s);
    s = open_store(&d);
    CHECK_NUMBER(store_unfolded(s), 0);
    CHECK_NUMBER(operations_like(s, NULL, NULL), 36);
    check_noted(s, u[0], "CANCELLED", 5);
    check_noted(s, u[2], "SUCCESS", 20000);
    store_close(s);
    free(large);
    temp_dir_remove(&d);
}

/* What is left when an engine was killed: the journal is not emptied yet, was
 * written half, or has a record of an earlier round behind its end. */
static void damaged_journal(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    char u[3][UUID_SIZE];
    for (int i = 0; i < 3; i++)
        CHECK_NUMBER(note(s, "SUCCESS", i + 1, "{}\n\0x", 5, u[i]), 0);
    CHECK(shell("cp %s/contree.db-ended %s/copy", d.path, d.path));
    store_close(s);
    CHECK(shell("cp %s/copy %s/contree.db-ended", d.path, d.path));
    s = open_store(&d);
    CHECK_NUMBER(operations_like(s, NULL, NULL), 3);
    for (int i = 0; i < 3; i++)
        check_noted(s, u[i], "SUCCESS", 5);
    CHECK_NUMBER(note(s, "SUCCESS", 4, "{}\n\0x", 5, u[0]), 0);
    CHECK(shell("cp %s/contree.db-ended %s/copy", d.path, d.path));
    store_close(s);
    /* One of the last round, then two of the round before. */
    CHECK(shell("rm %s/contree.db; cp %s/copy %s/contree.db-ended", d.path,
                d.path, d.path));
    s = open_store(&d);
    CHECK_NUMBER(operations_like(s, NULL, NULL), 1);
    check_noted(s, u[0], "SUCCESS", 5);
    for (int i = 0; i < 3; i++)
        CHECK_NUMBER(note(s, "SUCCESS", i + 1, "{}\n\0x", 5, u[i]), 0);
    CHECK(shell("head -c 600 %s/contree.db-ended > %s/copy", d.path, d.path));
    store_close(s);
    CHECK(shell("rm %s/contree.db; cp %s/copy %s/contree.db-ended", d.path,
                d.path, d.path));
    s = open_store(&d);
    int whole = operations_like(s, NULL, NULL);
    CHECK(whole > 0 && whole < 3);
    store_close(s);
    CHECK(shell("head -c 300000 /dev/urandom > %s/contree.db-ended", d.path));
    s = open_store(&d);
    CHECK_NUMBER(operations_like(s, NULL, NULL), whole);
    store_close(s);
    temp_dir_remove(&d);
}

/* Pages reach the disk in any order: a power cut may tear a record, and leave
 * whole ones behind it. */
static void torn_journal(void) {
    struct temp_dir d = temp_dir_make();
    int dir = open(d.path, O_RDONLY | O_DIRECTORY);
    struct journal j;
    struct fault f;
    const struct operation_row row = {.kind = "instance", .status = "SUCCESS"};
    CHECK_NUMBER(journal_open(&j, dir, &f), 0);
    for (int i = 0; i < 3; i++)
        CHECK(journal_add(&j, &row, "log\n", 4));
    size_t length = j.length / 3;
    CHECK_NUMBER(pwrite(j.fd, "torn", 4, (off_t)(length + 8)), 4);
    journal_close(&j);
    CHECK_NUMBER(journal_open(&j, dir, &f), 0);
    CHECK_NUMBER(j.count, 1);
    CHECK(journal_add(&j, &row, "log\n", 4));
    journal_close(&j);
    CHECK_NUMBER(journal_open(&j, dir, &f), 0);
    CHECK_NUMBER(j.count, 2);
    journal_close(&j);
    close(dir);
    temp_dir_remove(&d);
}

/* Make the first record of a journal one of another version, as the engine of
 * that version would: the digest, the round, version and length come first. */
static void change_version(const char *path, uint32_t version) {
    uint64_t words[64], sum = 0xcbf29ce484222325;
    uint32_t length;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read_all(fd, words, sizeof words);
    CHECK(n > 24);
    memcpy((char *)words + 16, &version, sizeof version);
    memcpy(&length, (char *)words + 20, sizeof length);
    CHECK(length % 8 == 0 && length <= n);
    for (size_t i = 1; i < length / 8; i++)
        sum = (sum ^ words[i]) * 0x100000001b3;
    words[0] = sum;
    CHECK_NUMBER(pwrite(fd, words, length, 0), length);
    close(fd);
}

static void newer_journal(void) {
    struct temp_dir d = temp_dir_make();
    struct store *s = open_store(&d);
    struct fault f = {0};
    char u[2][UUID_SIZE], path[256];
    for (int i = 0; i < 2; i++)
        CHECK_NUMBER(note(s, "SUCCESS", i + 1, "{}\n\0x", 5, u[i]), 0);
    CHECK(shell("cp %s/contree.db-ended %s/copy", d.path, d.path));
    store_close(s);
    CHECK(shell("cp %s/copy %s/contree.db-ended; rm %s/contree.db", d.path,
                d.path, d.path));
    store_close(open_store(&d)); /* the tables are there, the two rows, too */
    snprintf(path, sizeof path, "%s/copy", d.path);
    change_version(path, 2);
    CHECK(shell("cd %s && cp copy contree.db-ended && md5sum contree.db "
                "contree.db-ended > sums",
                d.path));
    CHECK(store_open(d.fd, d.path, &f) == NULL);
    CHECK_NUMBER(f.status, 500);
    CHECK(strstr(f.message, "newer contree-engine (version 2, this one knows "
                            "1): use that one, or another data directory"));
    CHECK(shell("cd %s && md5sum --quiet -c sums", d.path));
    /* The digest makes the difference: torn records are none of a newer one. */
    CHECK(shell("printf '\\001' | dd of=%s/contree.db-ended bs=1 seek=60 "
                "conv=notrunc status=none",
                d.path));
    s = open_store(&d);
    CHECK_NUMBER(operations_like(s, NULL, NULL), 2);
    store_close(s);
    temp_dir_remove(&d);
}

static void make_notes(void *dir, int report) {
    struct fault f;
    struct store *s = open_store(dir);
    char uuid[UUID_SIZE];
    for (int i = 0; note(s, "SUCCESS", i, "{}\n\0x", 5, uuid) == 0; i++)
        if (write_all(report, uuid, sizeof uuid) < 0 ||
            (i % 20 == 19 && store_fold(s, &f) < 0))
            break;
}

static void killed_noting(void) {
    struct temp_dir d = temp_dir_make();
    for (int round = 0; round < 5; round++) {
        char uuid[UUID_SIZE];
        int count = 0, reported = killed_at_work(make_notes, &d,
                                                 1000 + 1700 * (unsigned)round);
        struct store *s = open_store(&d);
        while (read_all(reported, uuid, sizeof uuid) == sizeof uuid && ++count)
            check_noted(s, uuid, "SUCCESS", 5);
        CHECK(count > 0);
        store_close(s);
        close(reported);
    }
    temp_dir_remove(&d);
}

static void full_journal(void) {
    struct temp_dir d = temp_dir_small(600);
    struct store *s = open_store(&d);
    char *log = calloc(1, 50000), uuid[UUID_SIZE];
    int stored = 0, status;
    while ((status = note(s, "SUCCESS", 1, log, 50000, uuid)) == 0)
        if (++stored == 50)
            break;
    CHECK_NUMBER(status, 507);
    /* Nobody is told that there is no such operation. */
    struct operation_row o;
    struct fault f = {0};
    CHECK_NUMBER(store_operation_get(s, uuid, &o, &f), -1);
    CHECK_NUMBER(f.status, 507);
    CHECK(store_unfolded(s) > 0);
    store_close(s);
    CHECK(shell("mount -o remount,size=4m %s", d.path));
    s = open_store(&d);
    CHECK_NUMBER(operations_like(s, NULL, NULL), stored);
    store_close(s);
    free(log);
    temp_dir_remove(&d);
}

int main(void) {
    RUN(noted, "ends that are noted are found like others");
    RUN(damaged_journal, "a journal is read as far as it is whole, and once");
    RUN(torn_journal, "what a torn record hid does not come back");
    RUN(newer_journal, "the journal of a newer engine is refused, untouched");
    RUN(killed_noting, "what was noted survives kill -9");
    RUN(full_journal, "a full disk is 507, and no noted end is lost");
    return CHECK_DONE();
}
