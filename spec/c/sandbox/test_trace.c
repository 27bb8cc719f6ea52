/* test_trace.c: sandbox/trace.h, as root and as normal users. */
#define _GNU_SOURCE
#include "as_users.h"
#include "box.h"

static struct box *traced(enum tracing tracing, const char *script) {
    char *argv[] = {"sh", "-c", (char *)script, NULL};
    return box_run(&(struct box_options){.tracing = tracing},
                   (struct sandbox_process){.argv = argv, .stdin_fd = -1});
}

/* How often it was told that `name` was `value`. */
static int told(const struct box *b, const char *name, const char *value) {
    size_t i;
    json_t *report;
    json_array_foreach(b->reports, i, report) {
        const char *text = json_string_value(json_object_get(report, name));
        if (text && strcmp(text, value) == 0)
            return (int)json_integer_value(json_object_get(report, "count"));
    }
    return 0;
}

static void traced_free(struct box *b) {
    json_decref(b->reports);
    free(b);
}

static void test_trace_of_calls(void) {
    struct box *b = traced(TRACE_PROGRAMS,
                           "mount -t tmpfs x /tmp 2>/dev/null || echo refused;"
                           "unshare -m true 2>/dev/null || echo refused;"
                           "for i in 1 2 3; do env true; done; cat /none");
    CHECK_STRING(b->out.data, "refused\nrefused\n");
    CHECK(b->exits[1].code == 1 && b->gone);
    CHECK(told(b, "call", "mount") >= 1);
    CHECK_NUMBER(told(b, "call", "unshare"), 1);
    CHECK_NUMBER(told(b, "program", "/bin/sh"), 1);
    CHECK(told(b, "program", "/bin/busybox") >= 3);
    CHECK_NUMBER(told(b, "missing", "/none"), 0);
    traced_free(b);
    b = box_shell("mount -t tmpfs x /tmp 2>/dev/null");
    CHECK(!b->reports);
    free(b);
}

static void test_trace_of_files(void) {
    struct box *b = traced(
        TRACE_FILES,
        "echo a >/new; cat /new; cd /bin; cat ../none/./x 2>/dev/null;"
        "mkdir /d; ln -s /away /d/link; test -L /d/link && echo link;"
        "cat /d/link 2>/dev/null; echo b >>/d/../new; cat /proc/self/stat"
        " >/dev/null; test -e /gone; test -e /gone; echo end");
    CHECK_STRING(b->out.data, "a\nlink\nend\n");
    CHECK_NUMBER(told(b, "written", "/new"), 2);
    CHECK_NUMBER(told(b, "read", "/new"), 1);
    CHECK_NUMBER(told(b, "missing", "/none/x"), 1);
    CHECK_NUMBER(told(b, "missing", "/d/link"), 2); /* ln and cat */
    CHECK_NUMBER(told(b, "missing", "/gone"), 2);
    CHECK_NUMBER(told(b, "missing", "/new"), 0);
    CHECK_NUMBER(told(b, "read", "/proc/self/stat"), 0);
    traced_free(b);
}

/* More different names than are listed; and all its calls wait when it is
 * killed. */
static void test_trace_of_many(void) {
    struct box *b = traced(TRACE_FILES, "i=0; while [ $i -lt 300 ]; do"
                                        " test -e /x$i; i=$((i+1)); done");
    CHECK(json_array_size(b->reports) < 250);
    CHECK_NUMBER(told(b, "reason", "more"), 100);
    traced_free(b);
    for (int i = 0; i < 10; i++) {
        b = traced(TRACE_FILES,
                   "test -e /x;"
                   "for i in 1 2 3 4; do (while :; do test -e /x; done) & done;"
                   "sleep 0.02; kill -9 $$");
        CHECK_NUMBER(b->exits[1].signal, SIGKILL);
        CHECK(b->gone && told(b, "missing", "/x") > 0);
        traced_free(b);
    }
}

static int run_all(void) {
    if (!world_open())
        return 1;
    RUN(test_trace_of_calls, "a trace tells programs and refused calls");
    RUN(test_trace_of_files, "a trace tells files, and what was not there");
    RUN(test_trace_of_many, "a trace is bounded, and ends with its sandbox");
    world_close();
    return CHECK_DONE();
}

int main(int argc, char **argv) {
    return main_as_users(argc, argv, run_all);
}
