/* settings.c: see settings.h. */
#define _GNU_SOURCE
#include "command/settings.h"
#include "base/scope.h"
#include "base/url.h"
#include "sandbox/sandbox.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { QUEUED_MAX = 100000, FD_MAX = 65535 };

/* ---- values ---- */

/* Make `path` absolute. A path that is too long is cut: no such file exists. */
static void set_path(char *out, size_t size, const char *path) {
    char *cwd CLEANUP(cleanup_free) = *path == '/' ? NULL : getcwd(NULL, 0);
    snprintf(out, size, "%s%s%s", cwd ? cwd : "", cwd ? "/" : "", path);
}

static int read_count(const struct given *g, int64_t low, int64_t high,
                      int64_t *out) {
    if (!parse_int(g->value, out) || *out < low || *out > high)
        return fault_set(g->fault, 400,
                         "--%s wants a number from %lld to %lld, not \"%.40s\"",
                         g->name, (long long)low, (long long)high, g->value);
    return 0;
}

/* Read an age, a number with its unit, in seconds. */
static int read_age(const struct given *g, int64_t *out) {
    static const char units[] = "smhd";
    static const int64_t seconds[] = {1, 60, 3600, 86400};
    char number[16];
    size_t length = strlen(g->value);
    const char *unit = length ? strchr(units, g->value[length - 1]) : NULL;
    snprintf(number, sizeof number, "%s", g->value);
    if (unit && length <= 10)
        number[length - 1] = 0;
    if (!unit || length > 10 || !parse_int(number, out) || *out < 0 ||
        *out > 1000000000 / seconds[unit - units])
        return fault_set(g->fault, 400,
                         "--%s wants an age such as 12h or 30d, not "
                         "\"%.40s\"",
                         g->name, g->value);
    *out *= seconds[unit - units];
    return 0;
}

/* ---- one function for each option ---- */

static int set_data_dir(const struct given *g) {
    set_path(g->options->data_dir, sizeof g->options->data_dir, g->value);
    return 0;
}

static int set_socket(const struct given *g) {
    set_path(g->options->socket_path, sizeof g->options->socket_path, g->value);
    g->options->socket_given = true;
    return 0;
}

static int set_group(const struct given *g) {
    g->options->config.group = true;
    return 0;
}

static int set_listen(const struct given *g) {
    g->options->config.listen = g->value;
    return 0;
}

static int set_token_file(const struct given *g) {
    g->options->token_file = g->value;
    return 0;
}

static int set_idle_exit(const struct given *g) {
    char *end;
    double seconds = strtod(g->value, &end);
    if (end == g->value || *end || !isfinite(seconds) || seconds < 0 ||
        seconds > 1e9)
        return fault_set(g->fault, 400, "--%s wants seconds, not \"%.40s\"",
                         g->name, g->value);
    g->options->config.idle_seconds = seconds;
    return 0;
}

static int set_ready_fd(const struct given *g) {
    int64_t number;
    if (!parse_int(g->value, &number) || number < 1 || number > FD_MAX)
        return fault_set(g->fault, 400,
                         "--%s wants a descriptor's number, not \"%.40s\"",
                         g->name, g->value);
    g->options->config.ready_fd = (int)number;
    return 0;
}

/* The amount of a limit; of bytes maybe with K, M, G or T. */
static int set_limit(const struct given *g) {
    static const char units[] = "KMGT";
    int k = 0;
    while (strcmp(limit_table[k].option, g->name) != 0)
        k++;
    const struct limit *limit = &limit_table[k];
    char *end;
    double number = strtod(g->value, &end);
    const char *unit = *end && limit->bytes ? strchr(units, *end) : NULL;
    for (int i = 0; unit && i <= unit - units; i++)
        number *= 1024;
    if (limit->bytes)
        number = trunc(number);
    if (end == g->value || (*end && (!unit || end[1])) ||
        !(number >= limit->least && number <= limit->most) ||
        (limit->whole && number != trunc(number)))
        return fault_set(g->fault, 400, "--%s wants %s, not \"%.40s\"", g->name,
                         limit->wants, g->value);
    g->options->config.limits.of[k] = number;
    return 0;
}

static int set_runtime(const struct given *g) {
    g->options->runtime_given = true;
    if (strcmp(g->value, RUNTIME_NATIVE) == 0) {
        g->options->config.runtime = NULL;
        return 0;
    }
    g->options->config.runtime = &g->options->runtime;
    return runtime_find(g->value, &g->options->runtime, g->fault);
}

static int set_nice(const struct given *g) {
    int64_t number;
    if (read_count(g, 0, SANDBOX_NICE_MAX, &number) < 0)
        return -1;
    g->options->config.nice = (int)number;
    return 0;
}

static int set_max_runs(const struct given *g) {
    int64_t number;
    if (read_count(g, 1, RUNS_MAX, &number) < 0)
        return -1;
    g->options->config.max_runs = (size_t)number;
    return 0;
}

static int set_max_queued(const struct given *g) {
    int64_t number;
    if (read_count(g, 0, QUEUED_MAX, &number) < 0)
        return -1;
    g->options->config.max_queued = (size_t)number;
    return 0;
}

static int set_allow_mount(const struct given *g) {
    struct engine_config *c = &g->options->config;
    if (g->value[0] != '/')
        return fault_set(g->fault, 400,
                         "--%s wants an absolute path, not \"%.40s\"", g->name,
                         g->value);
    if (c->allowed_mount_count == ALLOWED_MOUNTS_MAX)
        return fault_set(g->fault, 400, "--%s can be given %d times", g->name,
                         ALLOWED_MOUNTS_MAX);
    g->options->allowed_mounts[c->allowed_mount_count++] = g->value;
    return 0;
}

static int set_plain_api(const struct given *g) {
    g->options->config.plain_api = true;
    return 0;
}

static int set_tag(const struct given *g) {
    g->options->tag = g->value;
    return 0;
}

static int set_output(const struct given *g) {
    g->options->output = g->value;
    return 0;
}

static int set_oci(const struct given *g) {
    g->options->oci = g->value;
    return 0;
}

static int set_dry_run(const struct given *g) {
    g->options->gc.dry_run = true;
    return 0;
}

static int set_untagged(const struct given *g) {
    return read_age(g, &g->options->gc.untagged);
}

static int set_operations(const struct given *g) {
    return read_age(g, &g->options->gc.operations);
}

static int set_files(const struct given *g) {
    return read_age(g, &g->options->gc.files);
}

static int set_yes(const struct given *g) {
    g->options->yes = true;
    return 0;
}

/* ---- the table ---- */

const struct setting_row settings[SETTINGS] = {
    [SET_DATA_DIR] = {"data-dir", "DIR",
                      "where images are kept\n"
                      "($CONTREE_DATA_DIR, else ~/.local/share/contree)",
                      .set = set_data_dir},
    [SET_SOCKET] = {"socket", "PATH",
                    "the Unix socket of the engine (engine.sock, for another\n"
                    "data directory engine-HASH.sock, below\n"
                    "$XDG_RUNTIME_DIR/contree, else /tmp/contree-UID)",
                    .set = set_socket},
    [SET_GROUP] = {"group", NULL,
                   "let processes of this user's group use the socket, too;\n"
                   "they may do what clients over TCP may",
                   .set = set_group},
    [SET_LISTEN] = {"listen", "ADDRESS:PORT",
                    "serve TCP too, such as 127.0.0.1:0; needs\n"
                    "--token-file",
                    .set = set_listen},
    [SET_TOKEN_FILE] = {"token-file", "FILE",
                        "holds the token that TCP clients must send",
                        .set = set_token_file},
    [SET_IDLE_EXIT] = {"idle-exit", "SECONDS",
                       "leave after so long without work; 0: never\n"
                       "(default 300)",
                       .set = set_idle_exit},
    [SET_READY_FD] = {"ready-fd", "N",
                      "the descriptor that gets one byte when clients may "
                      "come",
                      .set = set_ready_fd},
    [SET_MEMORY] = {"memory", "BYTES",
                    "the memory, with swap, of a run that asks for no other\n"
                    "limit: 512M, 2G (default: no limit)",
                    .set = set_limit},
    [SET_CPUS] = {"cpus", "N",
                  "the processors that a run may keep busy: 0.5, 2\n"
                  "(default: all)",
                  .set = set_limit},
    [SET_PIDS] = {"pids", "N",
                  "the processes that a run may have (default 4096 by\n"
                  "rlimit; a limit given here or by a run is also reported)",
                  .set = set_limit},
    [SET_RUNTIME] = {"runtime", "NAME",
                     "what makes the sandboxes: native, or the program of\n"
                     "an OCI runtime, such as crun, runc, /opt/bin/crun\n"
                     "($CONTREE_RUNTIME, else native)",
                     .set = set_runtime},
    [SET_NICE] = {"nice", "N",
                  "by how much the priority of sandboxes is lower than that\n"
                  "of the engine and of the programs that use it: 0 to 19\n"
                  "(default 10)",
                  .set = set_nice},
    [SET_MAX_RUNS] = {"max-runs", "N",
                      "runs that have a sandbox at a time (default 64)",
                      .set = set_max_runs},
    [SET_MAX_QUEUED] = {"max-queued", "N",
                        "runs, and imports, that may wait for their turn;\n"
                        "others get 429 (default 1024)",
                        .set = set_max_queued},
    [SET_ALLOW_MOUNT] =
        {"allow-mount", "DIR",
         "a directory of this machine that clients over TCP\n"
         "may mount read-only in their runs, with all below it;\n"
         "may be given several times (default: none)",
         .set = set_allow_mount},
    [SET_PLAIN_API] = {"plain-api", NULL,
                       "serve what the hosted service has, and no extension",
                       .set = set_plain_api},
    [SET_TAG] = {"tag", "NAME", "the tag that the image gets", .set = set_tag},
    [SET_OUTPUT] = {"output", "FILE",
                    "where the tar goes, instead of standard output",
                    .letter = 'o', .set = set_output},
    [SET_OCI] = {"oci", "DIR", "the directory to make, an OCI layout",
                 .set = set_oci},
    [SET_DRY_RUN] = {"dry-run", NULL, "only say what would be removed",
                     .set = set_dry_run},
    [SET_UNTAGGED_OLDER] = {"untagged-older-than", "AGE",
                            "images without a tag that nobody used for\n"
                            "so long, such as 12h, 30d (default 180d)",
                            .set = set_untagged},
    [SET_OPERATIONS_OLDER] = {"operations-older-than", "AGE",
                              "operations that ended so long ago\n"
                              "(default 180d)",
                              .set = set_operations},
    [SET_FILES_OLDER] = {"files-older-than", "AGE",
                         "files uploaded so long ago (default 180d)",
                         .set = set_files},
    [SET_YES] = {"yes", NULL, "really remove it: nothing brings images back",
                 .set = set_yes},
};
