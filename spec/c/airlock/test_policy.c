/* test_policy.c: rules of the network: reading them, and deciding by them. */
#define _GNU_SOURCE
#include "airlock/policy/policy.h"
#include "check.h"
#include <stdlib.h>

static struct fault fault;

static struct policy *parse(const char *text) {
    json_error_t error;
    json_t *object = json_loads(text, 0, &error);
    fault = (struct fault){0};
    struct policy *p = policy_parse(object, "networking.", &fault);
    json_decref(object);
    return p;
}

static struct policy *parsed(const char *text) {
    struct policy *p = parse(text);
    if (!p) {
        printf("# %s: %s\n", text, fault.message);
        exit(1);
    }
    return p;
}

static struct target to_name(const char *name, int port) {
    return (struct target){.name = name, .port = port};
}

static struct target to_address(const char *text, int port) {
    struct target t = {.port = port};
    CHECK(address_parse(text, &t.address));
    return t;
}

static bool allows(const struct policy *p, struct target t) {
    struct allowance a;
    return policy_connection(p, &t, &a) == REFUSED_NOT;
}

static const char *request(const struct policy *p, const char *name,
                           const char *method, const char *path) {
    struct target t = to_name(name, 80);
    return refusal_name(policy_request(p, &t, method, path, strlen(path)));
}

static const char *resolved(const struct policy *p, const char *name,
                            const char *text) {
    struct target t = to_name(name, 443);
    struct address a;
    CHECK(address_parse(text, &a));
    return refusal_name(policy_resolved(p, &t, &a));
}

static void test_names(void) {
    struct policy *p =
        parsed("{\"allow\":[\"Example.ORG.\",\"*.files.example\","
               "\"db.example:5432\",\"x.example:8000-8002\"]}");
    CHECK(allows(p, to_name("example.org", 443)));
    CHECK(allows(p, to_name("example.org", 80)));
    CHECK(!allows(p, to_name("example.org", 22)));
    CHECK(!allows(p, to_name("www.example.org", 443)));
    CHECK(!allows(p, to_name("notexample.org", 443)));
    CHECK(allows(p, to_name("a.b.files.example", 443)));
    CHECK(!allows(p, to_name("files.example", 443)));
    CHECK(!allows(p, to_name("xfiles.example", 443)));
    CHECK(allows(p, to_name("db.example", 5432)));
    CHECK(!allows(p, to_name("db.example", 443)));
    CHECK(allows(p, to_name("x.example", 8002)));
    CHECK(!allows(p, to_name("x.example", 8003)));
    CHECK(policy_knows(p, "db.example") && !policy_knows(p, "evil.example"));
    const uint16_t *ports;
    CHECK_NUMBER(policy_ports(p, &ports), 6);
    CHECK_NUMBER(ports[0], 80);
    CHECK_NUMBER(ports[5], 8002);
    policy_free(p);
}

static void test_deny(void) {
    struct policy *p =
        parsed("{\"allow\":[\"*.example\",\"0.0.0.0/0:443\"],\"deny\":["
               "\"*.bad.example\",\"one.example:80\",\"9.9.9.0/24\"]}");
    CHECK(allows(p, to_name("good.example", 443)));
    CHECK(!allows(p, to_name("a.bad.example", 443)));
    CHECK(!policy_knows(p, "a.bad.example"));
    CHECK(!allows(p, to_name("one.example", 80)));
    CHECK(allows(p, to_name("one.example", 443)));
    CHECK(allows(p, to_address("8.8.8.8", 443)));
    CHECK(!allows(p, to_address("9.9.9.9", 443)));
    CHECK_STRING(resolved(p, "good.example", "9.9.9.9"), "rule");
    policy_free(p);
}

static void test_ports(void) {
    struct policy *p =
        parsed("{\"allow\":[{\"host\":\"0x1.0xg\",\"ports\":[9000,25]},"
               "\"b.example:81-83\",\"c.example:82\"],"
               "\"deny\":[\"d.example:7\"]}");
    const uint16_t *ports, expected[] = {25, 81, 82, 83, 9000};
    size_t count = policy_ports(p, &ports);
    CHECK_NUMBER(count, 5);
    CHECK(count == 5 && memcmp(ports, expected, sizeof expected) == 0);
    policy_free(p);
}

static void test_nothing(void) {
    struct policy *p = parsed("{\"allow\":[]}");
    CHECK(!allows(p, to_name("example.org", 443)));
    CHECK(!allows(p, to_address("8.8.8.8", 443)));
    policy_free(p);
    json_t *none = json_pack("{s:b,s:n}", "enabled", 1, "allow");
    json_t *some = json_pack("{s:[]}", "allow");
    CHECK(!policy_is_wanted(none) && policy_is_wanted(some));
    json_decref(none);
    json_decref(some);
}

static void test_private_addresses(void) {
    static const char *const special[] = {"127.0.0.1",
                                          "0.0.0.0",
                                          "169.254.169.254",
                                          "100.100.100.200",
                                          "224.0.0.1",
                                          "::1",
                                          "::",
                                          "fe80::1",
                                          "fd00:ec2::254",
                                          "ff02::1",
                                          "64:ff9b::7f00:1",
                                          "::127.0.0.1",
                                          "255.255.255.255",
                                          "198.18.0.1",
                                          "2002:7f00:1::",
                                          "2001:0:1::"};
    static const char *const private[] = {"10.1.2.3",    "172.31.0.1",
                                          "192.168.0.1", "100.64.0.1",
                                          "fd12::1",     "::ffff:10.0.0.1"};
    static const char *const public[] = {"8.8.8.8", "172.32.0.1", "100.128.0.1",
                                         "2606:4700::1", "169.253.0.1"};
    struct policy *p = parsed("{\"allow\":[\"a.example\",{\"host\":"
                              "\"p.example\",\"private\":true},"
                              "\"0.0.0.0/0:443\"]}");
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        CHECK_STRING(resolved(p, "a.example", special[i]), "private");
        CHECK_STRING(resolved(p, "p.example", special[i]), "private");
        CHECK(!allows(p, to_address(special[i], 443)));
    }
    for (size_t i = 0; i < sizeof private / sizeof *private; i++) {
        CHECK_STRING(resolved(p, "a.example", private[i]), "private");
        CHECK_STRING(resolved(p, "p.example", private[i]), "allowed");
        CHECK(!allows(p, to_address(private[i], 443)));
    }
    for (size_t i = 0; i < sizeof public / sizeof *public; i++)
        CHECK_STRING(resolved(p, "a.example", public[i]), "allowed");
    /* A name that no rule allows, or not at this port. */
    CHECK_STRING(resolved(p, "b.example", "10.0.0.1"), "rule");
    CHECK_STRING(resolved(p, "b.example", "127.0.0.1"), "rule");
    policy_free(p);
    p = parsed("{\"allow\":[\"a.example\",\"10.1.2.0/24:443\","
               "\"127.0.0.1:443\",\"169.254.169.254:80\"]}");
    CHECK_STRING(resolved(p, "a.example", "10.1.2.3"), "allowed");
    CHECK_STRING(resolved(p, "a.example", "10.1.3.3"), "private");
    CHECK_STRING(resolved(p, "a.example", "127.0.0.1"), "allowed");
    CHECK_STRING(resolved(p, "a.example", "169.254.169.254"), "private");
    CHECK(allows(p, to_address("10.1.2.3", 443)));
    CHECK(allows(p, to_address("169.254.169.254", 80)));
    policy_free(p);
}

/* Where each range that is not public begins and ends. */
static void test_edges(void) {
    static const struct {
        const char *before, *first, *last, *after;
    } ranges[] = {
        {NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0"},
        {"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
        {"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"},
        {"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
        {"168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17"},
        {"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
        {"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"},
        {"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
        {"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
        {"192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"},
        {"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"},
        {"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"},
        {"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"},
        {"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
        {"223.255.255.255", "224.0.0.0", "239.255.255.255", NULL},
        {NULL, "240.0.0.0", "255.255.255.255", NULL},
        {NULL, "::", "1fff:ffff::", NULL},
        {NULL, "2001::", "2001:1ff:ffff::", "2001:200::"},
        {"2001:db7:ffff::", "2001:db8::", "2001:db8:ffff::", "2001:db9::"},
        {"2001:ffff::", "2002::", "2002:ffff:ffff::", "2003::"},
        {"3ffe:ffff::", "3fff::", "3fff:fff:ffff::", "3fff:1000::"},
        {NULL, "4000::", "ffff:ffff::", NULL},
    };
    struct policy *p = parsed("{\"allow\":[\"a.example\"]}");
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        CHECK_STRING(resolved(p, "a.example", ranges[i].first), "private");
        CHECK_STRING(resolved(p, "a.example", ranges[i].last), "private");
        if (ranges[i].before)
            CHECK_STRING(resolved(p, "a.example", ranges[i].before), "allowed");
        if (ranges[i].after)
            CHECK_STRING(resolved(p, "a.example", ranges[i].after), "allowed");
    }
    policy_free(p);
    /* Among private addresses, those that are none. */
    static const char *const never[] = {"100.100.100.200",
                                        "fd00:ec2::", "fd00:ec2:ffff::"};
    static const char *const near[] = {"100.100.100.199", "100.100.100.201",
                                       "fd00:ec1:ffff::", "fd00:ec3::",
                                       "fc00::",          "fdff:ffff::"};
    p = parsed("{\"allow\":[{\"host\":\"p.example\",\"private\":true}]}");
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        CHECK_STRING(resolved(p, "p.example", never[i]), "private");
    for (size_t i = 0; i < sizeof near / sizeof *near; i++)
        CHECK_STRING(resolved(p, "p.example", near[i]), "allowed");
    CHECK_STRING(resolved(p, "p.example", "fe00::"), "private");
    policy_free(p);
}

static void test_requests(void) {
    struct policy *p = parsed(
        "{\"allow\":[{\"host\":\"a.example\",\"methods\":[\"GET\",\"HEAD\"],"
        "\"paths\":[\"/v1/**\",\"/one\"]},\"free.example\"],"
        "\"deny\":[{\"host\":\"free.example\",\"methods\":\"DELETE\"},"
        "{\"host\":\"free.example\",\"paths\":\"/admin/**\"}]}");
    struct allowance a;
    struct target t = to_name("a.example", 80);
    CHECK(policy_connection(p, &t, &a) == REFUSED_NOT && a.read_requests);
    CHECK_STRING(request(p, "a.example", "GET", "/v1/x/y?q=/z"), "allowed");
    CHECK_STRING(request(p, "a.example", "GET", "/one"), "allowed");
    CHECK_STRING(request(p, "a.example", "POST", "/one"), "method");
    CHECK_STRING(request(p, "a.example", "GET", "/two"), "path");
    CHECK_STRING(request(p, "a.example", "GET", "/two?/v1/x"), "path");
    CHECK_STRING(request(p, "a.example", "GET", "/%76%31/x"), "allowed");
    /* Only letters that mean the same without their escape lose it. */
    static const char *const read[][2] = {
        {"/%61%7A%41%5a%30%39%2D%2e%5F%7e", "/azAZ09-._~"},
        {"/%60%7b%40%5B%3a%3B%2B%20%25%ff", "/%60%7B%40%5B%3A%3B%2B%20%25%FF"},
        {"/a;b=%2C?c%2", "/a;b=%2C"},
    };
    for (size_t i = 0; i < sizeof read / sizeof *read; i++) {
        char *path = path_as_read(read[i][0], strlen(read[i][0]));
        CHECK_STRING(path ? path : "", read[i][1]);
        free(path);
    }
    static const char *const unclear[] = {"/v1/../two",
                                          "/v1/%2e%2e/two",
                                          "/v1/..%2ftwo",
                                          "/v1/.%2E/two",
                                          "/v1//two",
                                          "/v1/a\\..\\two",
                                          "/v1/%5c../two",
                                          "/v1/x%00",
                                          "/v1/..;/two",
                                          "/v1/%zz",
                                          "/v1/%",
                                          "/v1/./x",
                                          "http://x/v1/",
                                          "*",
                                          ""};
    for (size_t i = 0; i < sizeof unclear / sizeof *unclear; i++)
        CHECK_STRING(request(p, "a.example", "GET", unclear[i]), "path");
    CHECK_STRING(request(p, "free.example", "GET", "/x/../y"), "path");
    CHECK_STRING(request(p, "free.example", "GET", "/x"), "allowed");
    CHECK_STRING(request(p, "free.example", "DELETE", "/x"), "method");
    CHECK_STRING(request(p, "free.example", "GET", "/admin/x"), "path");
    CHECK_STRING(request(p, "other.example", "GET", "/"), "rule");
    policy_free(p);
}

static void test_pins(void) {
    struct policy *p =
        parsed("{\"allow\":[\"a.example\"],\"resolve\":{\"a.example\":"
               "\"127.0.0.1:8443\",\"b.example\":\"[::1]:1\",\"c.example\":"
               "\"2001:db8::1\",\"d.example\":\"10.0.0.1\"}}");
    struct address a;
    char text[ADDRESS_TEXT];
    int port = 443;
    CHECK(policy_pin(p, "a.example", &a, &port));
    CHECK_STRING(address_write(&a, text), "127.0.0.1");
    CHECK_NUMBER(port, 8443);
    CHECK(policy_pin(p, "b.example", &a, &port));
    CHECK_STRING(address_write(&a, text), "::1");
    CHECK_NUMBER(port, 1);
    port = 7;
    CHECK(policy_pin(p, "c.example", &a, &port));
    CHECK(policy_pin(p, "d.example", &a, &port));
    CHECK_NUMBER(port, 7);
    CHECK(!policy_pin(p, "e.example", &a, &port));
    policy_free(p);
}

static void test_refused_rules(void) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"allow\":\"a\"}", "networking.allow must be an array"},
        {"{\"deny\":[]}", "networking.deny needs networking.allow"},
        {"{\"allow\":[\"a\",7]}", "networking.allow[1] must be a string"},
        {"{\"allow\":[\"\"]}", "networking.allow[0]: \"\" is neither"},
        {"{\"allow\":[\"a b\"]}", "is neither a host name"},
        {"{\"allow\":[\"https://a.example/\"]}", "is a URL"},
        {"{\"allow\":[\"a.*.example\"]}", "whole first label"},
        {"{\"allow\":[\"*\"]}", "whole first label"},
        {"{\"allow\":[\"b\\u00fccher.example\"]}", "xn--"},
        {"{\"allow\":[\"a.example:0\"]}", "no valid port"},
        {"{\"allow\":[\"a.example:65536\"]}", "no valid port"},
        {"{\"allow\":[\"a.example:9-8\"]}", "no valid port"},
        {"{\"allow\":[\"a.example:\"]}", "no valid port"},
        {"{\"allow\":[\"10.1.2.3/24\"]}", "did you mean \"10.1.2.0/24\""},
        {"{\"allow\":[\"10.1.2.201/24\"]}", "did you mean \"10.1.2.0/24\""},
        {"{\"allow\":[\"10.1.255.0/19\"]}", "did you mean \"10.1.224.0/19\""},
        {"{\"allow\":[\"2001:db8:f0::/43\"]}",
         "did you mean \"2001:db8:e0::/43\""},
        {"{\"allow\":[\"10.1.2.0/33\"]}", "no valid length"},
        {"{\"allow\":[\"2130706433\"]}", "is neither"},
        {"{\"allow\":[\"0x7f.1\"]}", "is neither"},
        {"{\"allow\":[\"127.0X1f\"]}", "is neither"},
        {"{\"allow\":[\"0x7f000001\"]}", "is neither"},
        {"{\"allow\":[\"a.0x\"]}", "is neither"},
        {"{\"allow\":[\"0177.0.0.1\"]}", "is neither"},
        {"{\"allow\":[\"[::1\"]}", "no \"]\""},
        {"{\"allow\":[\"::ffff:1.2.3.4\"]}", "write it as IPv4"},
        {"{\"allow\":[{\"hots\":\"a\"}]}", "did you mean \"host\"?"},
        {"{\"allow\":[{\"port\":1,\"host\":\"a\"}]}", "did you mean \"ports\""},
        {"{\"allow\":[{\"ports\":1}]}", "networking.allow[0].host is missing"},
        {"{\"allow\":[{\"host\":\"a\",\"ports\":[]}]}", "ports is empty"},
        {"{\"allow\":[{\"host\":\"a:1\",\"ports\":1}]}", "`ports` beside it"},
        {"{\"allow\":[{\"host\":\"a\",\"methods\":[\"get\"]}]}",
         "did you mean \"GET\""},
        {"{\"allow\":[{\"host\":\"a\",\"paths\":\"x\"}]}", "begin with \"/\""},
        {"{\"allow\":[{\"host\":\"a\",\"paths\":\"/[\"}]}", "not a glob"},
        {"{\"allow\":[{\"host\":\"a\",\"paths\":7}]}", "allow[0].paths"},
        {"{\"allow\":[{\"host\":\"a\",\"paths\":[\"/\",7]}]}", "[0].paths"},
        {"{\"allow\":[{\"host\":\"a\",\"paths\":[]}]}",
         "paths must be 1 to 64 strings"},
        {"{\"allow\":[{\"host\":\"a\",\"methods\":7}]}", "allow[0].methods"},
        {"{\"allow\":[{\"host\":\"a\",\"methods\":[\"GET\",7]}]}",
         "[0].methods"},
        {"{\"allow\":[{\"host\":\"a\",\"methods\":[]}]}", "methods must be 1"},
        {"{\"allow\":[{\"host\":\"a\",\"private\":1}]}", "true or false"},
        {"{\"allow\":[\"a:1-65\"]}", "more than 64 ports"},
        {"{\"allow\":[],\"resolve\":{\"a b\":\"1.1.1.1\"}}", "not a host name"},
        {"{\"allow\":[],\"resolve\":{\"a\":\"b\"}}", "must be \"ADDRESS\""},
        {"{\"allow\":[],\"resolve\":{\"a\":\"1.1.1.1:0\"}}", "must be"},
        {"{\"allow\":[],\"resolve\":{\"a\":\"::1:x\"}}", "must be"},
        {"{\"allow\":[],\"resolve\":{\"a\":\"1.1.1.1:80x\"}}", "must be"},
        {"{\"allow\":[],\"resolve\":{\"a\":\"1.1.1.1:000080\"}}", "must be"},
        {"{\"allow\":[],\"resolve\":{\"a\":\"1.1.1.1:+80\"}}", "must be"},
        {"{\"allow\":[],\"resolve\":{\"a\":\"1.1.1.1: 80\"}}", "must be"},
        {"{\"allow\":[],\"resolve\":{\"a\":\"1.1.1.1:65536\"}}", "must be"},
        {"{\"allow\":[],\"resolve\":[]}", "must be an object"},
        {"{\"allow\":[],\"deny\":[7]}", "networking.deny[0] must be a string"},
        {"{\"allow\":[],\"deny\":[\"\"]}", "networking.deny[0]: \"\" is"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy *p = parse(cases[i].text);
        CHECK(!p);
        CHECK_NUMBER(fault.status, 422);
        if (!strstr(fault.message, cases[i].message)) {
            CHECK(false);
            printf("# %s: %s\n", cases[i].text, fault.message);
        }
        policy_free(p);
    }
}

int main(void) {
    RUN(test_names, "rules with names");
    RUN(test_deny, "deny wins");
    RUN(test_ports, "ports are listed once each, in their order");
    RUN(test_nothing, "an empty list allows nothing");
    RUN(test_private_addresses, "private and special addresses");
    RUN(test_edges, "where each range begins and ends");
    RUN(test_requests, "methods and paths");
    RUN(test_pins, "pinned names");
    RUN(test_refused_rules, "wrong rules are refused in words");
    return CHECK_DONE();
}
