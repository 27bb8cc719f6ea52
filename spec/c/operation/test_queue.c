/* test_queue.c: places, turns and clients. The operations do nothing but record
 * that they began. */
#include "check.h"
#include "operation/operation.h"
#include "operation/queue.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static char begun[64]; /* tags of operations, in the order of their beginning */

static void begin(struct operation *op) {
    snprintf(begun + strlen(begun), sizeof begun - strlen(begun), "%s",
             op->tag);
    operation_take_place(op);
}

static const struct operation_kind kind = {
    .name = "test", .begin = begin, .free = operation_part};

struct env {
    uv_loop_t loop;
    struct engine_config config;
    struct engine engine;
    struct operations *all;
};

static void set_up(struct env *e, size_t places) {
    *e = (struct env){.config = {.max_runs = places}};
    uv_loop_init(&e->loop);
    e->engine = (struct engine){
        .config = &e->config, .loop = &e->loop, .dir_fd = AT_FDCWD};
    e->all = operations_open(&e->engine, NULL);
    begun[0] = 0;
}

static void tear_down(struct env *e) {
    CHECK_NUMBER(operations_active(e->all), 0);
    operations_close(e->all);
    uv_run(&e->loop, UV_RUN_DEFAULT);
    CHECK_NUMBER(uv_loop_close(&e->loop), 0);
}

static struct operation *add(struct env *e, const char *tag, long client) {
    struct operation *op = operation_new(e->all, &kind, NULL);
    CHECK(operation_join(op, &e->all->runs, client));
    op->tag = tag;
    operation_enqueue(op);
    return op;
}

static void end(struct operation *op) {
    operation_leave_place(op);
    operation_unref(op);
}

static void test_places(void) {
    struct env e;
    set_up(&e, 2);
    struct operation *a = add(&e, "a", 1), *b = add(&e, "b", 1);
    struct operation *c = add(&e, "c", 1);
    queue_next(&e.all->runs);
    CHECK_STRING(begun, "ab");
    CHECK_NUMBER(e.all->runs.waiting, 1);
    CHECK(!queue_has_place(&e.all->runs));
    end(b);
    queue_next(&e.all->runs);
    CHECK_STRING(begun, "abc");
    end(a);
    end(c);
    tear_down(&e);
}

static void test_clients(void) {
    struct env e;
    struct operation *ops[6];
    set_up(&e, 1);
    ops[0] = add(&e, "1", 1);
    ops[1] = add(&e, "2", 1);
    ops[2] = add(&e, "3", 1);
    e.all->runs.places = 2;
    queue_next(&e.all->runs);
    CHECK_STRING(begun, "12");
    ops[3] = add(&e, "x", 2);
    ops[4] = add(&e, "y", 2);
    ops[5] = add(&e, "z", 3);
    e.all->runs.places = 4;
    queue_next(&e.all->runs);
    CHECK_STRING(begun, "12xz");
    e.all->runs.places = 6;
    queue_next(&e.all->runs);
    CHECK_STRING(begun, "12xzy3");
    for (size_t i = 0; i < 6; i++)
        end(ops[i]);
    CHECK(!e.all->runs.clients);
    tear_down(&e);
}

static void test_dequeue(void) {
    struct env e;
    set_up(&e, 1);
    struct operation *a = add(&e, "a", 1), *b = add(&e, "b", 1);
    struct operation *c = add(&e, "c", 1);
    operation_dequeue(c);
    operation_dequeue(c);
    operation_unref(c);
    c = add(&e, "d", 1);
    operation_dequeue(a);
    operation_unref(a);
    queue_next(&e.all->runs);
    end(b);
    queue_next(&e.all->runs);
    CHECK_STRING(begun, "bd");
    end(c);
    tear_down(&e);
}

int main(void) {
    RUN(test_places, "as many begin as there are places, the oldest first");
    RUN(test_clients, "clients take turns");
    RUN(test_dequeue, "one that leaves the queue does not begin");
    return CHECK_DONE();
}
