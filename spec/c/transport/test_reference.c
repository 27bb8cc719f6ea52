/* test_reference.c: names of images in registries. */
#include "check.h"
#include "transport/reference.h"
#include <string.h>

#define DIGITS32 "01234567890123456789012345678901"
#define DIGITS128 DIGITS32 DIGITS32 DIGITS32 DIGITS32

static void references(void) {
    static const struct {
        const char *url, *host, *full;
        bool loopback;
    } cases[] = {
        {"docker://docker.io/library/busybox:latest", "docker.io",
         "docker://docker.io/library/busybox:latest", false},
        {"docker://busybox", "docker.io", "docker://busybox:latest", false},
        {"docker://a/b:1", "docker.io", "docker://a/b:1", false},
        {"docker://localhost:5000/a/b", "localhost:5000",
         "docker://localhost:5000/a/b:latest", true},
        {"docker://localhost/a", "localhost", "docker://localhost/a:latest",
         true},
        {"docker://127.1.2.3/a", "127.1.2.3", "docker://127.1.2.3/a:latest",
         true},
        {"docker://[::1]:5000/a:b", "[::1]:5000", "docker://[::1]:5000/a:b",
         true},
        {"docker://127.evil.org/a", "127.evil.org",
         "docker://127.evil.org/a:latest", false},
        {"docker://localhost.evil.org/a", "localhost.evil.org",
         "docker://localhost.evil.org/a:latest", false},
        {"docker://10.0.0.1:5000/a", "10.0.0.1:5000",
         "docker://10.0.0.1:5000/a:latest", false},
#define DIGEST                                                                 \
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
        {"docker://h.io/x@" DIGEST, "h.io", "docker://h.io/x@" DIGEST, false},
        {"docker://h.io/x:1@" DIGEST, "h.io", "docker://h.io/x@" DIGEST, false},
        {"docker://h.io/x:RELEASE.2024-01-31T20-20-33Z", "h.io",
         "docker://h.io/x:RELEASE.2024-01-31T20-20-33Z", false},
        {"docker://h.io/x:_1..-", "h.io", "docker://h.io/x:_1..-", false},
        {"docker://h.io/a.b/c__d/e---f_g", "h.io",
         "docker://h.io/a.b/c__d/e---f_g:latest", false},
        {"docker://MyHost/x", "MyHost", "docker://MyHost/x:latest", false},
        {"docker://[2001:DB8::1]:5000/x@" DIGEST, "[2001:DB8::1]:5000",
         "docker://[2001:DB8::1]:5000/x@" DIGEST, false},
        {"docker://h.io/Foo", NULL, NULL, false},
        {"docker://h.io/a/-b", NULL, NULL, false},
        {"docker://h.io/a-/b", NULL, NULL, false},
        {"docker://h.io/a._b", NULL, NULL, false},
        {"docker://h.io/a___b", NULL, NULL, false},
        {"docker://h.io/a/", NULL, NULL, false},
        {"docker://h.io/x:.a", NULL, NULL, false},
        {"docker://h.io/x:-a", NULL, NULL, false},
        {"docker://h.io/x@sha512:" DIGITS128, NULL, NULL, false},
        {"busybox", NULL, NULL, false},
        {"docker://", NULL, NULL, false},
        {"docker://-x", NULL, NULL, false},
        {"docker://h.io/", NULL, NULL, false},
        {"docker://h.io/x:", NULL, NULL, false},
        {"docker://h.io/x:1:2", NULL, NULL, false},
        {"docker://h.io/x/../y", NULL, NULL, false},
        {"docker://a b", NULL, NULL, false},
        {"docker://a\n", NULL, NULL, false},
        {"docker:///etc", NULL, NULL, false},
        {"docker://me:pass@h.io/x", NULL, NULL, false},
        {"docker://h.io/x@sha256:00", NULL, NULL, false},
        {"docker://h.io/x@latest", NULL, NULL, false},
        {"docker://169.254.169.254/x", NULL, NULL, false},
        {"docker://169.254.1.1:80/x", NULL, NULL, false},
        {"docker://[fe80::1]/x", NULL, NULL, false},
        {"docker://[::ffff:169.254.169.254]/x", NULL, NULL, false},
        {"docker://0.0.0.0:5000/x", NULL, NULL, false},
        {"docker://224.0.0.1/x", NULL, NULL, false},
        {"oci:/etc", NULL, NULL, false},
        {"dir:/etc", NULL, NULL, false},
        {"docker-archive:/etc/x.tar", NULL, NULL, false},
        {"docker-daemon:x", NULL, NULL, false},
        {"containers-storage:x", NULL, NULL, false},
        {"docker://a?b", NULL, NULL, false},
        {"", NULL, NULL, false},
    };
    char huge[2000] = "docker://h.io/";
    struct reference r;
    struct fault f;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        f = (struct fault){0};
        int result = reference_parse(cases[i].url, &r, &f);
        if (cases[i].full) {
            CHECK_STRING(f.message, "");
            CHECK_STRING(r.host, cases[i].host);
            CHECK_STRING(r.full, cases[i].full);
            CHECK_NUMBER(r.loopback, cases[i].loopback);
        } else if (result == 0 || f.status != 400) {
            CHECK_STRING(cases[i].url, "refused");
        }
    }
    memset(huge + 14, 'a', sizeof huge - 15);
    CHECK_NUMBER(reference_parse(huge, &r, &f), -1);
    huge[14 + 494] = 0;
    CHECK_NUMBER(reference_parse(huge, &r, &f), -1);
}

int main(void) {
    RUN(references, "what may be imported");
    return CHECK_DONE();
}
