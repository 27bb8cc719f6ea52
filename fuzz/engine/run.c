/* run.c: a request to run that is accepted is written back as JSON, which is
 * accepted, too, and written back the same. The first byte chooses the ids. */
#include "../input.h"
#include "base/json.h"
#include "operation/command_line.h"
#include "operation/echo.h"
#include "operation/parse.h"

/* What the API answers a request that it refuses. */
static bool is_refusal(const struct fault *f) {
    return f->status == 400 || f->status == 413 || f->status == 422;
}

static json_t *read_object(const char *text) {
    struct fault f;
    json_t *object = json_parse(text, strlen(text), &f);
    HOLDS(object);
    return object;
}

/* Values of secrets are not written back, so those cannot be read again. */
static void check_echo(const struct run *r, struct id_range ids) {
    json_t *object = read_object(r->text);
    struct run again;
    struct fault f;
    if (!json_object_get(object, "secrets")) {
        HOLDS(run_parse(object, ids, &again, &f) == 0);
        HOLDS(strcmp(again.text, r->text) == 0);
        run_clear(&again);
    }
    json_decref(object);
}

static void check_command_line(const struct run_process *p) {
    struct fault f;
    char **argv = run_argv(p, &f);
    char **env = argv ? run_environment(p, NULL, NULL, &f) : NULL;
    HOLDS(argv && argv[0]);
    if (env) {
        const struct sandbox_account account = {.home = "/root"};
        struct buffer b;
        buffer_init(&b, 32 << 20);
        json_open(&b, NULL, '{');
        spawn_event_write(&b, p, argv, env, 7, &account);
        json_close(&b, '}');
        json_end(&b);
        HOLDS(!b.failed);
        json_decref(read_object(b.data));
        buffer_free(&b);
    }
    char *kept = run_preserved_env(p, NULL);
    if (kept)
        json_decref(read_object(kept));
    free(kept);
    free(argv);
    free(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    struct fault f = {0};
    struct run r;
    struct run_process p;
    struct id_range ids = {1000, input_byte(&in) & 1 ? 65536 : 1};
    json_t *body = json_parse((const char *)in.at, in.left, &f);
    if (!body)
        return 0;
    if (run_parse(body, ids, &r, &f) == 0) {
        check_echo(&r, ids);
        if (!r.process.held)
            check_command_line(&r.process);
    } else {
        HOLDS(is_refusal(&f));
    }
    run_clear(&r);
    if (run_process_parse(body, ids, &p, &f) < 0)
        HOLDS(is_refusal(&f));
    run_process_clear(&p);
    json_decref(body);
    return 0;
}
