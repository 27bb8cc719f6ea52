/* test_options.c: the command line of contree-engine, and the suggestions for
 * misspelt names. */
#define _GNU_SOURCE
#include "base/nearest.h"
#include "check.h"
#include "command/commands.h"
#include "command/parse.h"
#include "command/settings.h"
#include <stdlib.h>

enum { WORDS = 16 };

/* Parse the words of a line. Return the fault's message, or "". */
static const char *parse(const char *line, struct options *o) {
    static char copy[512];
    static struct fault f;
    char *argv[WORDS] = {"contree-engine"};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    f = (struct fault){0};
    if (options_parse(commands, argc, argv, o, &f) == 0)
        return "";
    CHECK_NUMBER(f.status, 400);
    return f.message;
}

static const char *refusal(const char *line) {
    static struct options o;
    return parse(line, &o);
}

static const char *nearest_command(const char *name) {
    struct nearest n = nearest_to(name);
    for (const struct command *c = commands; c->name; c++)
        nearest_try(&n, c->name);
    return n.name ? n.name : "";
}

static void test_near(void) {
    static const char *const near[][2] = {
        {"srve", "serve"},     {"servee", "serve"},    {"sevre", "serve"},
        {"docter", "doctor"},  {"doktro", "doctor"},   {"improt", "import"},
        {"exprot", "export"},  {"purg", "purge"},      {"gcc", "gc"},
        {"g", "gc"},           {"versoin", "version"}, {"hlep", "help"},
        {"importt", "import"}, {"xport", "export"}};
    for (size_t i = 0; i < sizeof near / sizeof *near; i++)
        CHECK_STRING(nearest_command(near[i][0]), near[i][1]);
}

static void test_far(void) {
    static const char *const far[] = {
        "",          "ps",
        "run",       "list",
        "images",    "purge-all",
        "sv",        "srvexy",
        "importing", "start",
        "exec",      "inspect",
        "p",         "a-name-that-is-much-longer-than-any-that-there-is"};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        CHECK_STRING(nearest_command(far[i]), "");
}

static void test_nothing_deletes(void) {
    static const char *const typos[] = {"g",    "c",    "gcc",   "cg",  "gd",
                                        "purg", "prug", "pruge", "urge"};
    for (size_t i = 0; i < sizeof typos / sizeof *typos; i++) {
        const char *message = refusal(typos[i]);
        CHECK(strstr(message, "no command") == message);
        CHECK(!strstr(message, "did you mean"));
        CHECK(strstr(message, "contree-engine help lists all"));
    }
}

static void test_suggestions(void) {
    CHECK_STRING(refusal("srve"), "no command \"srve\"; did you mean "
                                  "\"serve\"? (contree-engine help lists all)");
    CHECK_STRING(refusal("help improt"),
                 "no command \"improt\"; did you mean \"import\"? "
                 "(contree-engine help lists all)");
    CHECK_STRING(refusal("serve --data-dri x"),
                 "no option --data-dri; did you mean --data-dir?");
    CHECK_STRING(refusal("--data-dri=x serve"),
                 "no option --data-dri; did you mean --data-dir?");
    CHECK_STRING(refusal("gc --files-older-then=1d"),
                 "no option --files-older-then; did you mean "
                 "--files-older-than?");
    /* An option of another command is not suggested. */
    CHECK_STRING(refusal("doctor --listne x"),
                 "no option --listne: contree-engine doctor --help lists all");
    CHECK_STRING(refusal("import x -o y"),
                 "no option -o: contree-engine import --help lists all");
}

static void test_words(void) {
    static struct options o;
    CHECK_STRING(parse("export --data-dir /d made:1 -o out.tar", &o), "");
    CHECK_STRING(o.command->name, "export");
    CHECK_STRING(o.operand, "made:1");
    CHECK_STRING(o.output, "out.tar");
    CHECK_STRING(o.config.data_dir, "/d");
    CHECK_STRING(parse("--data-dir=/d import --tag a:1 -", &o), "");
    CHECK_STRING(o.operand, "-");
    CHECK_STRING(o.tag, "a:1");
    CHECK_STRING(parse("import --data-dir /d -- --odd", &o), "");
    CHECK_STRING(o.operand, "--odd");
    CHECK_STRING(parse("gc --data-dir /d --untagged 2h --dry", &o), "");
    CHECK(o.gc.dry_run && o.gc.untagged == 7200 && o.gc.files == GC_AGE);
    CHECK_STRING(parse("serve --data-dir /d --memory 1.5G --nice 0", &o), "");
    CHECK_NUMBER(o.config.limits.of[CGROUP_MEMORY], 3LL << 29);
    CHECK_NUMBER(o.config.nice, 0);
    CHECK_NUMBER((long long)o.config.max_runs, RUNS_MAX);
    CHECK_STRING(parse("", &o), "");
    CHECK_STRING(o.command->name, "help");
    CHECK_STRING(parse("--help import", &o), "");
    CHECK_STRING(o.command->name, "help");
    CHECK_STRING(o.operand, "import");
    CHECK_STRING(parse("import -h", &o), "");
    CHECK(o.help);
}

static void test_order_of_words(void) {
    static struct options o;
    /* The variable must make no difference. */
    setenv("POSIXLY_CORRECT", "1", 1);
    CHECK_STRING(parse("export made:1 --data-dir /d --oci x", &o), "");
    CHECK_STRING(o.oci, "x");
    unsetenv("POSIXLY_CORRECT");
}

static void test_refusals(void) {
    static const char *const lines[][2] = {
        {"serve --data-dir", "--data-dir wants a value: DIR"},
        {"--data-dir", "--data-dir wants a value: DIR"},
        {"import --tag= x", "--tag wants a value: NAME"},
        {"export x -o", "--output wants a value: FILE"},
        {"gc --dry-run=1", "--dry-run takes no value"},
        {"version --help=1", "--help takes no value"},
        {"serve --pids 0", "--pids wants a number from 1 to 4096, not \"0\""},
        {"serve --pids 1.5",
         "--pids wants a number from 1 to 4096, not \"1.5\""},
        {"serve --pids 1K", "--pids wants a number from 1 to 4096, not \"1K\""},
        {"serve --cpus nan",
         "--cpus wants a number such as 0.5 or 2, not \"nan\""},
        {"serve --memory 1M",
         "--memory wants 4M or more, such as 512M or 2G, not \"1M\""},
        {"serve --idle-exit x", "--idle-exit wants seconds, not \"x\""},
        {"serve --listen 127.0.0.1:0",
         "--listen needs --token-file: anybody on this machine can connect"},
        {"export x --oci d -o f", "--oci makes a directory: it needs no -o"},
        {"import", "import wants a FILE, - for standard input, oci:DIR or "
                   "docker://HOST/NAME:TAG"},
        {"import a b",
         "what is \"b\" for? contree-engine import --help says what it takes"},
        {"--data-dir /d",
         "the command is missing (contree-engine help lists all)"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        CHECK_STRING(refusal(lines[i][0]), lines[i][1]);
}

static void test_tables(void) {
    for (int s = 1; s < SETTINGS; s++) {
        bool taken = false;
        for (const struct command *c = commands; c->name; c++)
            for (size_t i = 0; c->options[i]; i++)
                taken = taken || (int)c->options[i] == s;
        CHECK(settings[s].name && settings[s].help && settings[s].set);
        CHECK(taken);
    }
    for (const struct command *c = commands; c->name; c++)
        CHECK(c->help && c->run &&
              (!c->operand || *c->operand == '[' || c->wanted));
}

int main(void) {
    setenv("HOME", "/nowhere", 1);
    unsetenv("CONTREE_RUNTIME");
    RUN(test_near, "a mistyped name is found");
    RUN(test_far, "a name that is far from all is no typo of one");
    RUN(test_nothing_deletes, "a command that deletes is never suggested");
    RUN(test_suggestions, "the nearest command or option is named");
    RUN(test_words, "options may stand before and after the command");
    RUN(test_order_of_words, "POSIXLY_CORRECT changes nothing");
    RUN(test_refusals, "a refusal says what is wrong and what is wanted");
    RUN(test_tables, "every option has a command, every command its texts");
    return CHECK_DONE();
}
