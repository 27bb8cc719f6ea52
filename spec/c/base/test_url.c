/* URLs: segments, parameters, flags, numbers and times. */
#include "base/buffer.h"
#include "base/fault.h"
#include "base/url.h"
#include "check.h"

static void test_segments(void) {
    struct url u;
    struct fault f;
    CHECK_NUMBER(url_parse(&u, "/v1/a%2Fb//c%20d+e/?x", &f), 0);
    CHECK_NUMBER((long long)u.segment_count, 4);
    CHECK_STRING(u.segments[0], "v1");
    CHECK_STRING(u.segments[1], "a/b");
    CHECK_STRING(u.segments[2], "");
    CHECK_STRING(u.segments[3], "c d+e");
    url_clear(&u);
    CHECK_NUMBER(url_parse(&u, "/", &f), 0);
    CHECK_NUMBER((long long)u.segment_count, 0);
    url_clear(&u);
}

static void test_bad_targets(void) {
    static const char *const bad[] = {
        "",    "*",    "x",    "http://x/v1", "/%",
        "/%4", "/%zz", "/%00", "/a?b=%",      "/a?%00=b",
        "/ ",  "/a b", "/\t",  "/a?b=\1",     "/\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct url u;
        struct fault f = {0};
        CHECK(url_parse(&u, bad[i], &f) < 0 && f.status == 400);
        url_clear(&u);
    }
    char deep[256] = "";
    for (int i = 0; i < 60; i++)
        strcat(deep, "/a");
    struct url u;
    struct fault f;
    CHECK(url_parse(&u, deep, &f) < 0);
    url_clear(&u);
}

static void test_long_targets(void) {
    char long_target[URL_BYTES + 2] = "/";
    struct url u;
    struct fault f;
    memset(long_target + 1, 'a', URL_BYTES - 1);
    CHECK(url_parse(&u, long_target, &f) == 0);
    url_clear(&u);
    long_target[URL_BYTES] = 'a';
    CHECK(url_parse(&u, long_target, &f) < 0 && f.status == 414);
    url_clear(&u);
}

static void test_slashes_and_escapes(void) {
    struct url u;
    struct fault f;
    struct buffer b;
    CHECK(url_parse(&u, "/v1/inspect/?tag=x", &f) == 0 && u.slash);
    url_clear(&u);
    CHECK(url_parse(&u, "/v1/inspect?tag=x", &f) == 0 && !u.slash);
    url_clear(&u);
    buffer_init(&b, 100);
    url_add_segment(&b, "a-b._~Z9");
    url_add_segment(&b, "c/d\r\n\xc3\xa4 %");
    CHECK_STRING(b.data, "/a-b._~Z9/c%2Fd%0D%0A%C3%A4%20%25");
    buffer_free(&b);
}

static void test_parameters(void) {
    struct url u;
    struct fault f;
    size_t at = 0;
    CHECK_NUMBER(url_parse(&u, "/?a=1&b&a=x+y%2B&&c==&=z", &f), 0);
    CHECK_STRING(url_parameter(&u, "a"), "1");
    CHECK_STRING(url_parameter(&u, "b"), "");
    CHECK_STRING(url_parameter(&u, "c"), "=");
    CHECK(!url_parameter(&u, "d"));
    CHECK_STRING(url_next(&u, "a", &at), "1");
    CHECK_STRING(url_next(&u, "a", &at), "x y+");
    CHECK(!url_next(&u, "a", &at));
    url_clear(&u);
}

static void test_flags(void) {
    static const struct {
        const char *target;
        int want; /* -1: refused */
    } cases[] = {{"/", 0},     {"/?f", 1},    {"/?f=", 1},     {"/?f=1", 1},
                 {"/?f=0", 0}, {"/?f=2", -1}, {"/?f=true", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct url u;
        struct fault f;
        bool flag = false;
        CHECK_NUMBER(url_parse(&u, cases[i].target, &f), 0);
        int result = url_flag(&u, "f", &flag, &f);
        CHECK_NUMBER(result < 0 ? -1 : flag, cases[i].want);
        url_clear(&u);
    }
}

static void test_integers(void) {
    static const char *const bad[] = {
        "", "-", "x", "1x", " 1", "+1", "1.0", "0x1", "9223372036854775808"};
    int64_t n;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!parse_int(bad[i], &n));
    CHECK(parse_int("-9223372036854775808", &n) && n == INT64_MIN);
    CHECK(parse_int("007", &n) && n == 7);
}

static int64_t time_of(const char *value, int64_t now) {
    char target[128];
    struct url u;
    struct fault f;
    int64_t out = -1;
    snprintf(target, sizeof target, "/?t=%s", value);
    CHECK_NUMBER(url_parse(&u, target, &f), 0);
    int result = url_time(&u, "t", now, &out, &f);
    url_clear(&u);
    return result < 0 ? -2 : out;
}

static void test_times(void) {
    const int64_t second = 1000000, t = 1780948800 * second;
    static const char *const same[] = {
        "2026-06-08T20:00:00Z",        "2026-06-08T20:00:00",
        "2026-06-08T20:00:00.0Z",      "2026-06-08T20:00:00%2B00:00",
        "2026-06-08T22:00:00%2B02:00", "2026-06-08T22:00:00+02:00",
        "2026-06-08T12:30:00-0730",    "2026-06-08%2020:00:00z"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        CHECK_NUMBER(time_of(same[i], 0), t);
    CHECK_NUMBER(time_of("2026-06-08", 0), t - 20 * 3600 * second);
    CHECK_NUMBER(time_of("2026-06-08T20:00:00.123456789Z", 0), t + 123456);
    CHECK_NUMBER(time_of("2026-06-08T20:00:00.1Z", 0), t + 100000);
    CHECK_NUMBER(time_of("3600", t), t - 3600 * second);
    CHECK_NUMBER(time_of("15m", t), t - 900 * second);
    CHECK_NUMBER(time_of("1.5h", t), t - 5400 * second);
    CHECK_NUMBER(time_of("1w", t), t - 604800 * second);
    static const char *const bad[] = {"x",
                                      "5x",
                                      "5mm",
                                      "-5",
                                      "1e9",
                                      "now",
                                      "2026-13-01",
                                      "2026-06-08T25:00:00Z",
                                      "2026-06-08T20:00:00Zz",
                                      "2026-06-08T20:00:00%2B2",
                                      "9999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_NUMBER(time_of(bad[i], t), -2);
}

int main(void) {
    RUN(test_segments, "a path is split before it is decoded");
    RUN(test_bad_targets, "broken targets are refused");
    RUN(test_long_targets, "a target has a greatest length");
    RUN(test_slashes_and_escapes, "a last slash is told, a segment escaped");
    RUN(test_parameters, "parameters repeat, and may be bare or empty");
    RUN(test_flags, "a flag is absent, bare, 0 or 1");
    RUN(test_integers, "integers are decimals and nothing else");
    RUN(test_times, "times are instants, ages or seconds ago");
    return CHECK_DONE();
}
