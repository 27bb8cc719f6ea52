/* test_grep.c: searches find every match with its context, and always end. */
#define _GNU_SOURCE
#include "base/buffer.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "check.h"
#include "temp_dir.h"
#include "view/glob.h"
#include "view/grep.h"
#include "view/view.h"

static const struct id_range plain = {0, 65536};

struct env {
    struct temp_dir d;
    struct view *v;
    struct buffer out; /* "path:number:offset:type:text[start-end,...]" lines */
    bool truncated;
    struct fault f;
    int stop_after;
};

static struct env make_env(const char *command) {
    struct env e = {.d = temp_dir_make()};
    int64_t layer = 1;
    CHECK(shell("mkdir -p %s/l/0 %s/l/1 && cd %s/l/1 && %s", e.d.path, e.d.path,
                e.d.path, command));
    e.v = view_open(e.d.fd, &layer, 1, plain, &e.f);
    CHECK(e.v != NULL);
    buffer_init(&e.out, 1 << 20);
    return e;
}

static void end_env(struct env *e) {
    buffer_free(&e->out);
    view_close(e->v);
    temp_dir_remove(&e->d);
}

static bool see(void *arg, const struct grep_line *l) {
    struct env *e = arg;
    size_t length = l->length;
    while (length && strchr("\r\n", l->text[length - 1]))
        length--;
    buffer_addf(&e->out, "%s:%lld:%lld:%c:%.*s[", l->path, (long long)l->number,
                (long long)l->offset, l->submatches ? 'm' : 'c', (int)length,
                l->text);
    for (size_t i = 0; i < l->submatch_count; i++)
        buffer_addf(&e->out, "%s%zu-%zu", i ? "," : "", l->submatches[i].start,
                    l->submatches[i].end);
    buffer_addf(&e->out, "]\n");
    return --e->stop_after != 0;
}

/* Search for a pattern, or for those of `o`. Return the output, or the status
 * of the fault. */
static const char *grep(struct env *e, const char *pattern,
                        struct grep_options o) {
    static char status[16];
    buffer_free(&e->out);
    buffer_init(&e->out, 1 << 20);
    buffer_addf(&e->out, "%s", "");
    if (pattern) {
        o.patterns = &pattern;
        o.pattern_count = 1;
    }
    if (inspect_grep(e->v, &o, see, e, &e->truncated, &e->f) == 0)
        return e->out.data;
    snprintf(status, sizeof status, "%d", e->f.status);
    return status;
}

#define NONE ((struct grep_options){0})
#define WITH(...) ((struct grep_options){__VA_ARGS__})

static void lines(void) {
    struct env e = make_env(
        "mkdir -p etc .hid && printf 'root one\\nuser two\\nroot root\\nlast "
        "root' > etc/passwd && echo root > .hid/.f && printf "
        "'a\\r\\nroot\\r\\n'"
        " > crlf && printf 'ro\\0ot root\\n' > binary && ln -s etc/passwd link "
        "&& mkfifo p && : > empty && printf '\\n\\nroot\\n\\n' > gaps");
    CHECK_STRING(grep(&e, "root", NONE),
                 ".hid/.f:1:0:m:root[0-4]\n"
                 "crlf:2:3:m:root[0-4]\n"
                 "etc/passwd:1:0:m:root one[0-4]\n"
                 "etc/passwd:3:18:m:root root[0-4,5-9]\n"
                 "etc/passwd:4:28:m:last root[5-9]\n"
                 "gaps:3:2:m:root[0-4]\n");
    CHECK(!e.truncated);
    CHECK_STRING(grep(&e, "^user", NONE), "etc/passwd:2:9:m:user two[0-4]\n");
    CHECK_STRING(grep(&e, "two$", NONE), "etc/passwd:2:9:m:user two[5-8]\n");
    CHECK_STRING(grep(&e, "nothing", NONE), "");
    const char *some[] = {"two", "one|e t", "us"};
    CHECK_STRING(grep(&e, NULL, WITH(.patterns = some, .pattern_count = 3)),
                 "etc/passwd:1:0:m:root one[5-8]\n"
                 "etc/passwd:2:9:m:user two[0-2,5-8]\n");
    /* Empty matches end. */
    CHECK_STRING(
        grep(&e, "x*",
             WITH(.paths = (const char *[]){"/gaps"}, .path_count = 1)),
        "gaps:1:0:m:[0-0]\ngaps:2:1:m:[0-0]\n"
        "gaps:3:2:m:root[0-0,1-1,2-2,3-3,4-4]\n"
        "gaps:4:7:m:[0-0]\n");
    end_env(&e);
}

static void paths_given(void) {
    struct env e = make_env("mkdir -p a b && echo x > a/f && echo x > b/f && "
                            "ln -s a la && ln -s a/f lf && mkfifo p");
    const char *both[] = {"/b", "/a/f"}, *links[] = {"/la", "/lf"};
    const char *missing[] = {"/a", "/none"}, *relative[] = {"a"};
    const char *fifo[] = {"/p"};
    CHECK_STRING(grep(&e, "x", WITH(.paths = both, .path_count = 2)),
                 "b/f:1:0:m:x[0-1]\na/f:1:0:m:x[0-1]\n");
    CHECK_STRING(grep(&e, "x", WITH(.paths = links, .path_count = 2)),
                 "a/f:1:0:m:x[0-1]\na/f:1:0:m:x[0-1]\n");
    CHECK_STRING(grep(&e, "x", WITH(.paths = missing, .path_count = 2)), "404");
    CHECK_STRING(grep(&e, "x", WITH(.paths = relative, .path_count = 1)),
                 "400");
    CHECK_STRING(grep(&e, "x", WITH(.paths = fifo, .path_count = 1)), "");
    end_env(&e);
}

static void context(void) {
    struct env e = make_env("seq 1 20 > f && seq 1 3 > g");
    const char *f[] = {"/f"};
    CHECK_STRING(
        grep(&e, "^(5|8)$",
             WITH(.paths = f, .path_count = 1, .before = 2, .after = 1)),
        "f:3:4:c:3[]\nf:4:6:c:4[]\nf:5:8:m:5[0-1]\nf:6:10:c:6[]\n"
        "f:7:12:c:7[]\nf:8:14:m:8[0-1]\nf:9:16:c:9[]\n");
    CHECK_STRING(
        grep(&e, "^(1|20|2)$",
             WITH(.paths = f, .path_count = 1, .before = 9, .after = 2)),
        "f:1:0:m:1[0-1]\nf:2:2:m:2[0-1]\nf:3:4:c:3[]\nf:4:6:c:4[]\n"
        "f:11:21:c:11[]\nf:12:24:c:12[]\nf:13:27:c:13[]\n"
        "f:14:30:c:14[]\nf:15:33:c:15[]\nf:16:36:c:16[]\n"
        "f:17:39:c:17[]\nf:18:42:c:18[]\nf:19:45:c:19[]\n"
        "f:20:48:m:20[0-2]\n");
    /* max_count ends each file after the context of the last match; max_total
     * ends the whole search. */
    CHECK_STRING(grep(&e, "[12]", WITH(.max_count = 1, .after = 1)),
                 "f:1:0:m:1[0-1]\nf:2:2:m:2[0-1]\n"
                 "g:1:0:m:1[0-1]\ng:2:2:m:2[0-1]\n");
    /* A match within the context does not make the context longer. */
    CHECK_STRING(
        grep(&e, "[12]$",
             WITH(.paths = f, .path_count = 1, .max_count = 1, .after = 3)),
        "f:1:0:m:1[0-1]\nf:2:2:m:2[0-1]\nf:3:4:c:3[]\nf:4:6:c:4[]\n");
    CHECK(!e.truncated);
    CHECK_STRING(grep(&e, "[12]", WITH(.max_total = 2, .after = 1)),
                 "f:1:0:m:1[0-1]\nf:2:2:m:2[0-1]\nf:3:4:c:3[]\n");
    CHECK(e.truncated);
    e.stop_after = 2;
    CHECK_STRING(grep(&e, "[12]", NONE), "f:1:0:m:1[0-1]\nf:2:2:m:2[0-1]\n");
    end_env(&e);
}

/* Lines and contexts that cross the end of the buffer are those of GNU grep. */
static void long_files(void) {
    struct env e = make_env("for i in $(seq 1 9000); do printf 'line %d "
                            "%0*d\\n' $i $((i % 97)) 0; done > f; "
                            "head -c 300000 /dev/zero | tr '\\0' y >> f; "
                            "printf ' 77x\\nend 77' >> f");
    struct grep_options o = {.before = 3, .after = 2, .max_total = 100000};
    grep(&e, "77", o);
    CHECK(!e.truncated);
    int fd = openat(e.d.fd, "ours", O_CREAT | O_WRONLY, 0600);
    CHECK(write_all(fd, e.out.data, e.out.length) == 0);
    close(fd);
    CHECK(shell("cd %s && sed 's/^f:\\([0-9]*\\):\\([0-9]*\\):\\(.\\):/\\1\\3"
                "\\2\\3/; s/\\[[^]]*\\]$//' ours > o && grep -nb -B3 -A2 77 "
                "l/1/f | grep -v '^--$' | sed "
                "'s/^\\([0-9]*\\):\\([0-9]*\\):/\\1m\\2m/; "
                "s/^\\([0-9]*\\)-\\([0-9]*\\)-/\\1c\\2c/' > t && cmp o t && "
                "test $(wc -l < o) -gt 100",
                e.d.path));
    end_env(&e);
}

static void letter_cases(void) {
    struct env e = make_env("printf 'abc\\nABC\\n\\303\\204x\\n' > f");
    CHECK_STRING(grep(&e, "abc", NONE), "f:1:0:m:abc[0-3]\n");
    CHECK_STRING(grep(&e, "aBc", WITH(.letter_case = GREP_INSENSITIVE)),
                 "f:1:0:m:abc[0-3]\nf:2:4:m:ABC[0-3]\n");
    CHECK_STRING(grep(&e, "abc", WITH(.letter_case = GREP_SMART)),
                 "f:1:0:m:abc[0-3]\nf:2:4:m:ABC[0-3]\n");
    CHECK_STRING(grep(&e, "Abc", WITH(.letter_case = GREP_SMART)), "");
    CHECK_STRING(grep(&e, "ab\\S", WITH(.letter_case = GREP_SMART)),
                 "f:1:0:m:abc[0-3]\nf:2:4:m:ABC[0-3]\n");
    CHECK_STRING(grep(&e, "ab\\p{L}", WITH(.letter_case = GREP_SMART)),
                 "f:1:0:m:abc[0-3]\nf:2:4:m:ABC[0-3]\n");
    CHECK_STRING(grep(&e, "ab\\pLB", WITH(.letter_case = GREP_SMART)), "");
    CHECK_STRING(grep(&e, "\xc3\xa4", WITH(.letter_case = GREP_INSENSITIVE)),
                 "f:3:8:m:\xc3\x84x[0-2]\n");
    CHECK_STRING(grep(&e, "^.x", NONE), "f:3:8:m:\xc3\x84x[0-3]\n");
    end_env(&e);
}

/* Capitals of any script make a search respect case. Capitals that belong to
 * the syntax of patterns do not. */
static void smart_case(void) {
    struct env e = make_env("printf 'stra\303\237e\nSTRASSE\n\303\244rger\n"
                            "\303\204RGER\n\320\266\n\320\226\n' > f");
    static const struct {
        const char *pattern;
        int lines;
    } cases[] = {
        {"\u00e4r", 2},        {"\xc3\xa4r", 2},
        {"\xc3\x84R", 1},      {"\xd0\xb6", 2},
        {"\xd0\x96", 1},       {"stra", 2},
        {"STRA", 1},           {"[s]tra", 2},
        {"[S]tra", 0},         {"\\x73tra", 2},
        {"\\x53TRA", 1},       {"\\x{C4}R", 1},
        {"\\x{e4}r", 2},       {"\\u{C4}R", 1},
        {"\\u00e4r", 2},       {"\\U000000C4R", 1},
        {"(?P<Name>stra)", 2}, {"(?<Name>stra)", 2},
        {"\\Astra", 2},        {"\\S\\Wx|stra", 2},
        {"\\Bra", 2},          {"\\p{Lu}tra|stra", 2},
        {"[\\D\\W]?stra", 2},  {"[[:alpha:]]tra", 2},
        {"[A-B]?stra", 1},     {"(?U)stra", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found =
            grep(&e, cases[i].pattern, WITH(.letter_case = GREP_SMART));
        int lines = 0;
        for (const char *p = found; (p = strchr(p, '\n')); p++)
            lines++;
        if (lines != cases[i].lines)
            printf("# %s: %s", cases[i].pattern, found);
        CHECK_NUMBER(lines, cases[i].lines);
    }
    end_env(&e);
}

/* These patterns mean something else in PCRE2's own syntax. */
static void dialect(void) {
    struct env e = make_env(
        "printf 'the cat{start} a&b ~~ aab\n' > f; printf 'x\vy\n' > v; "
        "printf 'x\fy\n' > w; printf '\303\251 1\n' > u");
    static const struct {
        const char *pattern, *path, *found;
    } cases[] = {
        {"\\b{start}cat", "/f", "4-7"},
        {"the\\b{end}", "/f", "0-3"},
        {"the\\b{end-half}", "/f", "0-3"},
        {"\\b{start-half}cat", "/f", "4-7"},
        {"\\b{start}at", "/f", ""},
        {"\\<cat", "/f", "4-7"},
        {"\\<at", "/f", ""},
        {"cat\\>", "/f", "4-7"},
        {"ca\\>", "/f", ""},
        {"\\bcat\\b", "/f", "4-7"},
        {"cat{start}", "/f", "4-14"},
        {"cat\\{", "/f", "4-8"},
        {"a{2}b", "/f", "22-25"},
        {"a{,2}b", "/f", ""},
        {"a\\&b", "/f", "15-18"},
        {"a[&]b", "/f", "15-18"},
        {"[\\&\\&~][~a]", "/f", "19-21"},
        {"(?:a+)+b", "/f", "22-25"},
        {"a+?b", "/f", "22-25"},
        {"x\\vy", "/v", "0-3"},
        {"x\\vy", "/w", ""},
        {"x[\\v]y", "/v", "0-3"},
        {"x[[:space:]]y", "/w", "0-3"},
        {"[[:alpha:]]", "/u", ""},
        {"[[:^alpha:]] [[:digit:][:punct:]]", "/u", "0-4"},
        {"[^[:^alpha:]]", "/u", ""},
        {"(?x) t [h i] e # Comment", "/f", "0-3"},
        {"(?i)THE(?-i) (?s:.)at", "/f", "0-7"},
        {"[]{]", "/f", "7-8"},
        {"[^]a-z ]", "/f", "7-8,13-14,16-17,19-20,20-21"},
        {"(?<=the )cat", "/f", "4-7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found =
            grep(&e, cases[i].pattern,
                 WITH(.paths = &cases[i].path, .path_count = 1));
        const char *at = strrchr(found, '[');
        char got[80] = "";
        if (at)
            snprintf(got, sizeof got, "%.*s", (int)strcspn(at + 1, "]"),
                     at + 1);
        if (strcmp(got, cases[i].found) != 0)
            printf("# %s: %s\n", cases[i].pattern, found);
        CHECK_STRING(got, cases[i].found);
    }
    static const char *const bad[] = {
        "[a-z&&[^aeiou]]", "[a-z--m]",    "[a~~b]", "[a[bc]]",
        "[[:nope:]]",      "a++",         "a*+",    "a?+",
        "a{2}+",           "\\b{middle}", "(?R)",   "(?iR:a)",
        "a(*ACCEPT)",      "\\Qa\\E",     "\\x{",   "\\u12",
        "\\U{}",           "[",           "[a",     "\\y"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_STRING(grep(&e, bad[i], NONE), "400");
        CHECK(strstr(e.f.message, "bad pattern") != NULL);
    }
    end_env(&e);
}

/* A byte order mark is not part of the first line. */
static void marks(void) {
    struct env e = make_env("printf '\357\273\277root\nroot\n' > f; "
                            "printf '\357\273\277' > g; "
                            "printf '\357\273root\n' > h; "
                            "printf 'a\n\357\273\277root\n' > i");
    CHECK_STRING(grep(&e, "^root", NONE),
                 "f:1:3:m:root[0-4]\nf:2:8:m:root[0-4]\n");
    CHECK_STRING(grep(&e, "^$", NONE), "");
    CHECK_STRING(grep(&e, "^$|t", WITH(.max_count = 1, .before = 1)),
                 "f:1:3:m:root[3-4]\nh:1:0:m:\xef\xbbroot[5-6]\n"
                 "i:1:0:c:a[]\ni:2:2:m:\xef\xbb\xbfroot[6-7]\n");
    end_env(&e);
}

static void odd_bytes(void) {
    struct env e = make_env("printf 'a\\377root\\376\\n\\303root\\n' > f; "
                            "echo x > \"$(printf 'n\\377')\"");
    CHECK_STRING(grep(&e, "root", NONE),
                 "f:1:0:m:a\xffroot\xfe[2-6]\nf:2:8:m:\xc3root[1-5]\n");
    CHECK_STRING(grep(&e, "^x$", NONE), "n\xff:1:0:m:x[0-1]\n");
    CHECK_STRING(grep(&e, "\\bx*", WITH(.max_total = 1)),
                 "f:1:0:m:a\xffroot\xfe[0-0,1-1,2-2,6-6]\n");
    end_env(&e);
}

static void bad_patterns(void) {
    struct env e = make_env("echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab > f; "
                            "echo ok > g");
    static const char *const bad[] = {
        "(",   "[",   "a{2,1}", "*", "\\", "(?<x", "(*LIMIT_MATCH=1)a",
        "\\C", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_STRING(grep(&e, bad[i], NONE), "400");
    CHECK(strstr(e.f.message, "bad pattern") != NULL);
    CHECK_STRING(grep(&e, NULL, NONE), "400");
    char deep[20001];
    memset(deep, '(', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    CHECK_STRING(grep(&e, deep, NONE), "400");
    /* A pattern that would backtrack for ever is stopped with an error. */
    CHECK_STRING(grep(&e, "^(a+)+(a+)+(a+)+$|ok", NONE), "g:1:0:m:ok[0-2]\n");
    CHECK(e.truncated);
    end_env(&e);
}

static void endings(void) {
    struct env e = make_env(
        "yes root | head -n 200000 > big; truncate -s 5T hole; "
        "(head -c 40000000 /dev/zero | tr '\\0' x; echo; echo root) > wide; "
        "(yes text | head -n 100000; printf '\\0root\\n') > late");
    const char *wide[] = {"/wide"}, *rest[] = {"/hole", "/late"};
    atomic_bool cancelled = true;
    grep(&e, "nothing", WITH(.deadline.at = monotonic_seconds() - 1));
    CHECK(e.truncated);
    grep(&e, "root", WITH(.deadline.cancelled = &cancelled));
    CHECK(e.truncated);
    grep(&e, "root", NONE);
    CHECK(e.truncated);
    CHECK(strstr(e.out.data, "big:1000:4995:m:root[0-4]\n") != NULL);
    CHECK(strstr(e.out.data, "big:1001:") == NULL);
    CHECK_STRING(grep(&e, "root", WITH(.paths = wide, .path_count = 1)), "");
    CHECK(e.truncated);
    CHECK_STRING(grep(&e, "root|text", WITH(.paths = rest, .path_count = 2)),
                 "");
    CHECK(!e.truncated);
    end_env(&e);
}

static bool allows(const char *globs, const char *path, bool directory) {
    const char *list[8];
    char copy[200], *rest = copy;
    size_t count = 0;
    struct fault f = {0};
    snprintf(copy, sizeof copy, "%s", globs);
    while (count < 8 && (list[count] = strsep(&rest, " ")) && *list[count])
        count++;
    struct globs *g = globs_make(list, count, &f);
    CHECK(g != NULL);
    bool allowed = g && globs_allow(g, path, directory);
    globs_free(g);
    return allowed;
}

static void globs(void) {
    static const struct {
        const char *globs, *path;
        bool file, directory;
    } cases[] = {
        {"", "a/b.c", true, true},
        {"*.c", "a/b.c", true, true},
        {"*.c", "a/b.h", false, true},
        {"*.c", "b.cc", false, true},
        {"!*.bak", "x/y.bak", false, false},
        {"!*.bak", "x/y", true, true},
        {"*.c !gen*", "a/gen.c", false, false},
        {"!gen* *.c", "a/gen.c", true, true},
        {"!node_modules", "a/node_modules", false, false},
        {"!node_modules/", "a/node_modules", true, false},
        {"*.{c,h}", "x.h", true, true},
        {"*.{c,h}", "x.cpp", false, true},
        {"a/*.c", "a/x.c", true, true},
        {"a/*.c", "a/b/x.c", false, true},
        {"/a/*.c", "a/x.c", true, true},
        {"a/*.c", "z/a/x.c", false, true},
        {"a/**", "a/b/c/d", true, true},
        {"**/t/*.c", "t/x.c", true, true},
        {"**/t/*.c", "p/q/t/x.c", true, true},
        {"**/t/*.c", "pt/x.c", false, true},
        {"?.c", "x.c", true, true},
        {"?.c", "xy.c", false, true},
        {"[a-c].c", "b.c", true, true},
        {"[!a-c].c", "b.c", false, true},
        {"[]].c", "].c", true, true},
        {"a[/]b", "a/b", false, true},
        {"\\*.c", "*.c", true, true},
        {"\\*.c", "x.c", false, true},
        {"a+b(c)$.^|#", "a+b(c)$.^|#", true, true},
        {"a.c", "axc", false, true},
        {"*", "n\xff\n", true, true},
        {"*.c", "x.c\n", false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool file = allows(cases[i].globs, cases[i].path, false);
        bool directory = allows(cases[i].globs, cases[i].path, true);
        if (file != cases[i].file || directory != cases[i].directory) {
            printf("# %s %s\n", cases[i].globs, cases[i].path);
            CHECK(false);
        }
    }
    static const char *const bad[] = {"[a", "{a", "a\\",   "!",
                                      "",   "/",  "{a,{b}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fault f = {0};
        CHECK(globs_make(&bad[i], 1, &f) == NULL);
        CHECK_NUMBER(f.status, 400);
    }
    /* However many stars there are, matching is quick. */
    char stars[GLOB_MAX + 2] = "", name[256];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    for (size_t i = 0; i < 500; i++)
        strcat(stars, i % 5 ? "*a" : "?");
    const char *many = stars;
    struct globs *all = globs_make(&many, 1, NULL);
    CHECK(all && !globs_allow(all, name, false) && !globs_failed(all));
    globs_free(all);
    static const char *const endless[] = {
        "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", "**a**a**a**a**a**a**a**a**a**b",
        "**/**/**/**/**/**/**/**/**/**/**/b",
        "{a,aa,a*}{a,aa,a*}{a,aa,a*}"
        "{a,aa,a*}{a,aa,a*}{a,aa,a*}{a,aa,a*}{a,aa,a*}{a,aa,a*}b"};
    for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
        struct fault f = {0};
        char path[600];
        snprintf(path, sizeof path, "%s/%s", name, name);
        struct globs *g = globs_make(&endless[i], 1, &f);
        CHECK(g != NULL);
        CHECK(!globs_allow(g, name, false) && !globs_failed(g));
        CHECK(!globs_allow(g, path, false) && !globs_failed(g));
        path[strlen(path) - 1] = 'b';
        CHECK(globs_allow(g, path, false) == (i != 2) && !globs_failed(g));
        globs_free(g);
    }
    memset(stars, '*', sizeof stars - 1);
    stars[sizeof stars - 1] = 0;
    const char *long_one = stars;
    struct fault too_long = {0};
    CHECK(globs_make(&long_one, 1, &too_long) == NULL);
    CHECK_NUMBER(too_long.status, 400);
    struct env e = make_env("mkdir -p src/gen && echo x > src/a.c && echo x > "
                            "src/gen/b.c && echo x > src/c.h");
    const char *some[] = {"*.c", "!gen"};
    const char *named[] = {"/src/c.h"};
    CHECK_STRING(grep(&e, "x", WITH(.globs = some, .glob_count = 2)),
                 "src/a.c:1:0:m:x[0-1]\n");
    CHECK_STRING(grep(&e, "x",
                      WITH(.globs = some, .glob_count = 2, .paths = named,
                           .path_count = 1)),
                 "src/c.h:1:0:m:x[0-1]\n");
    const char *wrong[] = {"[a"};
    CHECK_STRING(grep(&e, "x", WITH(.globs = wrong, .glob_count = 1)), "400");
    end_env(&e);
}

int main(void) {
    RUN(lines, "lines that match, with offsets and submatches");
    RUN(paths_given, "only where it was asked for");
    RUN(context, "context and limits");
    RUN(long_files, "long files, as GNU grep sees them");
    RUN(letter_cases, "letter case");
    RUN(smart_case, "C6: smart case");
    RUN(dialect,
        "C6: expressions mean what they mean elsewhere, or are refused");
    RUN(marks, "C6: byte order marks");
    RUN(odd_bytes, "bytes that are no UTF-8");
    RUN(bad_patterns, "bad and endless patterns");
    RUN(endings, "every search ends");
    RUN(globs, "globs");
    return CHECK_DONE();
}
