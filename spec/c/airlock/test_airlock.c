/* test_airlock.c: the real program, between a network namespace that plays a
 * sandbox and one that plays the host. All of it once as root, and once as an
 * ordinary user in a user namespace. */
#define _GNU_SOURCE
#include "airlock/files.h"
#include "airlock/world.h"
#include "child.h"
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <resolv.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static const char rules[] =
    "{\"allow\":[\"echo.example:7000-7001\",\"greet.example:7001\","
    "\"web.example\",\"*.wild.example\",\"secure.example:443\","
    "{\"host\":\"read.example\",\"methods\":\"GET\",\"paths\":\"/v1/**\"},"
    "\"192.0.2.1:7001\",\"closed.example:7001\"],"
    "\"resolve\":{\"echo.example\":\"127.0.0.1:7001\","
    "\"greet.example\":\"127.0.0.1:7002\",\"web.example\":\"127.0.0.1:7003\","
    "\"secure.example\":\"127.0.0.1:7001\",\"read.example\":"
    "\"127.0.0.1:7003\",\"closed.example\":\"127.0.0.1:1\"},\"trace\":true}";

/* Two questions at once over TCP, byte by byte; how many are answered. */
static int ask_over_tcp(const char *server) {
    unsigned char query[512], reply[1024];
    size_t want = 0;
    int fd = dial(server, 53), answers = 0;
    for (int i = 0; i < 2; i++) {
        int length = res_mkquery(ns_o_query, "echo.example", ns_c_in, ns_t_a,
                                 NULL, 0, NULL, query + 2, sizeof query - 2);
        ns_put16((unsigned)length, query);
        for (int k = 0; k < length + 2; k++)
            CHECK(write_all(fd, query + k, 1) == 0);
    }
    for (; answers < 2 && read_all(fd, reply, 2) == 2; answers++) {
        want = ns_get16(reply);
        if (want > sizeof reply || read_all(fd, reply, want) != (ssize_t)want ||
            memcmp(reply + want - 4, "\306\022\0\001", 4) != 0)
            break;
    }
    close(fd);
    return answers;
}

static int ask_names(void *arg) {
    (void)arg;
    CHECK_STRING(look_up("10.0.2.3", "echo.example", ns_t_a), "198.18.0.1");
    CHECK_STRING(look_up("8.8.8.8", "ECHO.example", ns_t_a), "198.18.0.1");
    CHECK_STRING(look_up("9.9.9.9", "a.wild.example", ns_t_a), "198.18.0.2");
    CHECK_STRING(look_up("9.9.9.9", "a.wild.example", ns_t_aaaa), "");
    CHECK_STRING(look_up("9.9.9.9", "a.wild.example", ns_t_txt), "");
    CHECK_STRING(look_up("10.0.2.3", "wild.example", ns_t_a), "code 3");
    CHECK_STRING(look_up("10.0.2.3", "evil.example", ns_t_aaaa), "code 3");
    CHECK_STRING(look_up("10.0.2.3", "quiet.example", ns_t_txt), "code 3");
    CHECK_NUMBER(ask_over_tcp("10.0.2.3"), 2);
    CHECK_NUMBER(ask_over_tcp("1.1.1.1"), 2);
    return !check_ok;
}

static void test_names(void) {
    struct airlock *a = start_ready(rules);
    CHECK_NUMBER(inside(a, ask_names, NULL), 0);
    CHECK(told(a, "\"protocol\":\"dns\",\"name\":\"wild.example\",\"reason\":"
                  "\"rule\",\"count\":1}"));
    CHECK(told(a, "\"name\":\"evil.example\""));
    CHECK(!strstr(a->told, "quiet"));
    CHECK_NUMBER(stop(a), 0);
}

static int echo(void *arg) {
    char reply[64];
    (void)arg;
    int fd = dial_name("echo.example", 7000);
    CHECK_NUMBER(talk(fd, "ping", reply, sizeof reply, 4), 4);
    CHECK_STRING(reply, "ping");
    shutdown(fd, SHUT_WR);
    CHECK_NUMBER(talk(fd, "", reply, sizeof reply, 1), 0);
    close(fd);
    fd = dial_name("greet.example", 7001);
    CHECK_NUMBER(talk(fd, "", reply, sizeof reply, 63), 6);
    CHECK_STRING(reply, "hello\n");
    close(fd);
    fd = dial("192.0.2.1", 7001);
    CHECK_NUMBER(talk(fd, "pong", reply, sizeof reply, 4), 4);
    close(fd);
    return !check_ok;
}

static void test_relays(void) {
    struct airlock *a = start_ready(rules);
    CHECK_NUMBER(inside(a, echo, NULL), 0);
    CHECK(told(a, "{\"event\":\"connected\",\"name\":\"echo.example\","
                  "\"address\":\"127.0.0.1\",\"port\":7000,\"count\":1}"));
    CHECK(told(a, "{\"event\":\"connected\",\"address\":\"192.0.2.1\","
                  "\"port\":7001,\"count\":1}"));
    CHECK(!strstr(a->told, "refused"));
    CHECK_NUMBER(stop(a), 0);
}

/* Whether the connection is reset when a byte is wanted of it. */
static bool is_reset(int fd) {
    char byte;
    ssize_t got = read(fd, &byte, 1);
    bool reset = got < 0 && errno == ECONNRESET;
    close(fd);
    return reset;
}

static int send_udp(const char *address, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    char byte = 0;
    inet_pton(AF_INET, address, &a.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM, 0), error = 0;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        send(fd, &byte, 1, 0) < 0 || recv(fd, &byte, 1, 0) < 0)
        error = errno;
    close(fd);
    return error;
}

static int be_refused(void *arg) {
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
    (void)arg;
    CHECK(is_reset(dial("8.8.8.8", 80)));
    CHECK(is_reset(dial("198.18.9.9", 443)));
    CHECK(is_reset(dial_name("closed.example", 7001)));
    CHECK(dial("8.8.8.8", 22) < 0 && errno == ECONNREFUSED);
    CHECK(dial("10.0.2.50", 22) < 0 && errno == ECONNREFUSED);
    CHECK(dial("127.0.0.1", 7001) < 0 && errno == ECONNREFUSED);
    CHECK(dial("0.0.0.0", 7001) < 0 && errno == ECONNREFUSED);
    for (int i = 0; i < 20; i++)
        CHECK_NUMBER(send_udp("8.8.8.8", 443), ECONNREFUSED);
    inet_pton(AF_INET6, "2001:db8::1", &six.sin6_addr);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&six, sizeof six) < 0);
    CHECK(errno == ENETUNREACH || errno == EADDRNOTAVAIL);
    close(fd);
    return !check_ok;
}

static void test_refuses(void) {
    struct airlock *a = start_ready(rules);
    CHECK_NUMBER(inside(a, be_refused, NULL), 0);
    CHECK(told(a, "\"protocol\":\"tcp\",\"address\":\"8.8.8.8\",\"port\":80,"
                  "\"reason\":\"rule\",\"count\":1}"));
    CHECK(told(a, "\"address\":\"198.18.9.9\""));
    CHECK(told(a, "\"name\":\"closed.example\",\"port\":7001,\"reason\":"
                  "\"unreachable\",\"count\":1}"));
    CHECK(told(a, "\"address\":\"8.8.8.8\",\"port\":22,\"reason\":\"rule\""));
    CHECK(told(a, "\"protocol\":\"udp\",\"address\":\"8.8.8.8\",\"port\":443,"
                  "\"reason\":\"rule\",\"count\":"));
    CHECK_NUMBER(stop(a), 0);
}

/* ---- names that the host resolves ---- */

static int dial_localhost(void *arg) {
    const bool *allowed = arg;
    char reply[8];
    int fd = dial_name("localhost", 7001);
    if (*allowed)
        CHECK_NUMBER(talk(fd, "ping", reply, sizeof reply, 4), 4);
    else
        CHECK(is_reset(fd));
    close(fd);
    CHECK(is_reset(dial_name("nothing.invalid", 7001)));
    return !check_ok;
}

/* A name is resolved as the host does, and must not lead to the host itself,
 * unless a rule names that address. */
static void test_resolves(void) {
    bool allowed = false;
    struct airlock *a = start_ready("{\"allow\":[\"localhost:7001\","
                                    "\"nothing.invalid:7001\"]}");
    CHECK_NUMBER(inside(a, dial_localhost, &allowed), 0);
    CHECK(told(a, "\"name\":\"localhost\",\"port\":7001,\"reason\":"
                  "\"private\",\"count\":1}"));
    CHECK(told(a, "\"name\":\"nothing.invalid\",\"port\":7001,\"reason\":"
                  "\"unresolved\",\"count\":1}"));
    CHECK_NUMBER(stop(a), 0);
    allowed = true;
    a = start_ready("{\"allow\":[\"localhost:7001\",\"127.0.0.1:7001\","
                    "\"nothing.invalid:7001\"]}");
    CHECK_NUMBER(inside(a, dial_localhost, &allowed), 0);
    CHECK_NUMBER(stop(a), 0);
}

/* ---- TLS ---- */

static size_t make_hello(const char *host, char *out, size_t size) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    BIO *bio = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), bio);
    if (host)
        SSL_set_tlsext_host_name(ssl, host);
    SSL_connect(ssl);
    int got = BIO_read(bio, out, (int)size);
    SSL_free(ssl);
    SSL_CTX_free(context);
    return got > 0 ? (size_t)got : 0;
}

/* Whether the server, which sends it back, gets a hello for `sni`. */
static bool tls_passes(const char *name, int port, const char *sni) {
    char hello[4096], reply[4096];
    size_t length = make_hello(sni, hello, sizeof hello);
    int fd = dial_name(name, port);
    bool sent = write_all(fd, hello, length) == 0;
    bool passed = sent && read_all(fd, reply, length) == (ssize_t)length &&
                  memcmp(reply, hello, length) == 0;
    close(fd);
    return passed;
}

static int try_tls(void *arg) {
    char reply[64];
    (void)arg;
    CHECK(tls_passes("secure.example", 443, "Secure.example"));
    CHECK(!tls_passes("secure.example", 443, "evil.example"));
    CHECK(!tls_passes("secure.example", 443, NULL));
    CHECK(tls_passes("echo.example", 7000, "echo.example"));
    CHECK(!tls_passes("echo.example", 7000, "evil.example"));
    CHECK(!tls_passes("read.example", 443, "read.example"));
    int fd = dial_name("secure.example", 443);
    CHECK_NUMBER(talk(fd, "GET / HTTP/1.1\r\n\r\n", reply, 64, 1), -1);
    close(fd);
    return !check_ok;
}

static void test_tls(void) {
    struct airlock *a = start_ready(rules);
    CHECK_NUMBER(inside(a, try_tls, NULL), 0);
    CHECK(told(a, "\"protocol\":\"tls\",\"name\":\"secure.example\",\"port\":"
                  "443,\"reason\":\"sni\",\"count\":"));
    CHECK(
        told(a, "\"name\":\"echo.example\",\"port\":7000,\"reason\":\"sni\""));
    CHECK(told(a, "\"name\":\"read.example\",\"port\":443,\"reason\":"
                  "\"certificate\""));
    CHECK(told(a, "\"reason\":\"protocol\""));
    CHECK_NUMBER(stop(a), 0);
}

/* ---- HTTP ---- */

#define GET(path, host) "GET " path " HTTP/1.1\r\nHost: " host "\r\n\r\n"

static int try_http(void *arg) {
    char reply[4096];
    (void)arg;
    int fd = dial_name("web.example", 80);
    for (int i = 0; i < 3; i++) {
        talk(fd, GET("/x", "web.example"), reply, sizeof reply, 60);
        CHECK(strstr(reply, "200 OK") && strstr(reply, "GET /x"));
    }
    talk(fd, GET("/x", "evil.example"), reply, sizeof reply, sizeof reply);
    CHECK(strstr(reply, "HTTP/1.1 403") && strstr(reply, "another host"));
    close(fd);
    fd = dial_name("web.example", 80);
    talk(fd, "CONNECT evil.example:443 HTTP/1.1\r\n\r\n", reply, sizeof reply,
         sizeof reply);
    CHECK(strstr(reply, "HTTP/1.1 403"));
    close(fd);
    fd = dial_name("read.example", 80);
    talk(fd, GET("/v1/a", "read.example"), reply, sizeof reply, 60);
    CHECK(strstr(reply, "200 OK") && strstr(reply, "GET /v1/a"));
    talk(fd, GET("/v1/../a", "read.example"), reply, sizeof reply,
         sizeof reply);
    CHECK(strstr(reply, "403") && strstr(reply, "no rule allows this path"));
    close(fd);
    fd = dial_name("echo.example", 7000);
    talk(fd, GET("/", "evil.example"), reply, sizeof reply, sizeof reply);
    CHECK(strstr(reply, "HTTP/1.1 403"));
    close(fd);
    return !check_ok;
}

static void test_http(void) {
    struct airlock *a = start_ready(rules);
    CHECK_NUMBER(inside(a, try_http, NULL), 0);
    CHECK(told(a, "\"protocol\":\"http\",\"name\":\"web.example\",\"port\":80,"
                  "\"method\":\"GET\",\"path\":\"/x\",\"reason\":\"host\","
                  "\"count\":1}"));
    CHECK(told(a, "\"method\":\"CONNECT\""));
    CHECK(told(a, "\"path\":\"/v1/../a\",\"reason\":\"path\""));
    CHECK_NUMBER(stop(a), 0);
}

/* ---- many, and the end ---- */

enum { MANY = 500 };

static int open_many(void *arg) {
    static int fds[MANY];
    char reply[16];
    const char *address = look_up("10.0.2.3", "echo.example", ns_t_a);
    (void)arg;
    for (int i = 0; i < MANY; i++)
        CHECK((fds[i] = dial(address, 7000)) >= 0);
    for (int i = 0; i < MANY; i++)
        CHECK(write_all(fds[i], "ping", 4) == 0);
    for (int i = 0; i < MANY; i++)
        CHECK_NUMBER(talk(fds[i], "", reply, sizeof reply, 4), 4);
    return !check_ok;
}

static void test_many(void) {
    struct airlock *a = start_ready(rules);
    CHECK_NUMBER(inside(a, open_many, NULL), 0);
    CHECK(told(a, "\"event\":\"connected\""));
    CHECK(!strstr(a->told, "refused"));
    CHECK_NUMBER(stop(a), 0);
}

static int flood(void *arg) {
    char name[64];
    (void)arg;
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof name, "n%d.evil.example", i);
        look_up("10.0.2.3", name, ns_t_a);
    }
    return 0;
}

static void test_flood(void) {
    struct airlock *a = start_ready(rules);
    CHECK_NUMBER(inside(a, flood, NULL), 0);
    CHECK(told(a, "{\"event\":\"refused\",\"reason\":\"more\",\"count\":"));
    int lines = 0;
    for (const char *p = a->told; (p = strstr(p, "evil.example")); p++)
        lines++;
    CHECK_NUMBER(lines, 256);
    CHECK_NUMBER(stop(a), 0);
}

static int ask_often(void *arg) {
    (void)arg;
    for (int i = 0; i < 50; i++)
        look_up("10.0.2.3", "evil.example", ns_t_a);
    return dial("8.8.8.8", 22) >= 0;
}

/* What it counted last is told when the engine wants to hear no more. */
static void test_last_words(void) {
    struct airlock *a = start_ready(rules);
    int count = 0;
    CHECK_NUMBER(inside(a, ask_often, NULL), 0);
    shutdown(a->events, SHUT_WR);
    ssize_t got = read_all(a->events, a->told + a->length,
                           sizeof a->told - 1 - a->length);
    a->told[a->length + (size_t)(got > 0 ? got : 0)] = '\0';
    for (char *p = a->told; (p = strstr(p, "evil.example")); p++)
        count += atoi(strstr(p, "\"count\":") + 8);
    CHECK_NUMBER(count, 50);
    CHECK(strstr(a->told, "\"address\":\"8.8.8.8\",\"port\":22"));
    CHECK_NUMBER(stop(a), 0);
}

static int hold(void *arg) {
    const int *ready = arg;
    int fd = dial_name("echo.example", 7000);
    char reply[8];
    CHECK_NUMBER(talk(fd, "ping", reply, sizeof reply, 4), 4);
    CHECK(write_all(*ready, "x", 1) == 0);
    CHECK(is_reset(fd));
    return !check_ok;
}

static void test_ends_with_the_engine(void) {
    struct airlock *a = start_ready(rules);
    int ends[2], status = -1;
    char byte;
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(30);
        close(a->events);
        _exit(setns(a->net, CLONE_NEWNET) == 0 ? hold(&ends[1]) : 99);
    }
    CHECK(read(ends[0], &byte, 1) == 1);
    CHECK_NUMBER(stop(a), 0);
    waitpid(child, &status, 0);
    CHECK_NUMBER(status, 0);
    close(ends[0]);
    close(ends[1]);
}

/* More than may be undecided at once say nothing; one that comes later is
 * served as soon as they leave. */
static int crowd(void *arg) {
    enum { SILENT = 140 };
    static int fds[SILENT];
    char reply[8];
    const char *address = look_up("10.0.2.3", "secure.example", ns_t_a);
    (void)arg;
    for (int i = 0; i < SILENT; i++)
        CHECK((fds[i] = dial(address, 443)) >= 0);
    int fd = dial_name("echo.example", 7000);
    CHECK(write_all(fd, "ping", 4) == 0);
    for (int i = 0; i < SILENT; i++)
        close(fds[i]);
    CHECK_NUMBER(talk(fd, "", reply, sizeof reply, 4), 4);
    return !check_ok;
}

static void test_crowd(void) {
    struct airlock *a = start_ready(rules);
    CHECK_NUMBER(inside(a, crowd, NULL), 0);
    CHECK_NUMBER(stop(a), 0);
}

enum { FEW = 10 };

static int open_too_many(void *arg) {
    int fds[FEW + 1];
    char reply[8];
    (void)arg;
    for (int i = 0; i < FEW; i++) {
        fds[i] = dial_name("echo.example", 7000);
        CHECK_NUMBER(talk(fds[i], "ping", reply, sizeof reply, 4), 4);
    }
    CHECK(is_reset(dial_name("echo.example", 7000)));
    close(fds[0]);
    for (int i = 1; i < FEW; i++)
        CHECK_NUMBER(talk(fds[i], "pong", reply, sizeof reply, 4), 4);
    return !check_ok;
}

/* With few descriptors there are few connections, and all of them work. */
static void test_few_descriptors(void) {
    hard_limit = 320 + 6 * FEW;
    struct airlock *a = start_ready(rules);
    hard_limit = 0;
    CHECK_NUMBER(inside(a, open_too_many, NULL), 0);
    CHECK(told(a, "\"name\":\"echo.example\",\"port\":7000,\"reason\":"
                  "\"limit\",\"count\":1}"));
    CHECK_NUMBER(stop(a), 0);
}

static int open_files(void *arg) {
    (void)arg;
    files_confine();
    int hosts = open("/etc/hosts", O_RDONLY);
    int home = open("/root", O_RDONLY | O_DIRECTORY);
    int made = open("/var/tmp/contree-airlock-test", O_WRONLY | O_CREAT, 0600);
    return !(hosts >= 0 && home < 0 && errno != ENOENT && made < 0);
}

static bool has_landlock(void) {
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
}

static void test_files(void) {
    int status = -1;
    if (!has_landlock()) {
        puts("# not tried: this kernel has no Landlock");
        return;
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(open_files(NULL));
    waitpid(pid, &status, 0);
    CHECK_NUMBER(status, 0);
}

static bool has_line(const char *text, const char *line) {
    return strstr(text, line) != NULL;
}

static void test_privileges(void) {
    struct airlock *a = start_ready(rules);
    char path[64], text[8192];
    snprintf(path, sizeof path, "/proc/%d/status", a->pid);
    int fd = open(path, O_RDONLY);
    ssize_t got = read_all(fd, text, sizeof text - 1);
    text[got > 0 ? got : 0] = '\0';
    close(fd);
    CHECK(has_line(text, "CapPrm:\t0000000000000000"));
    CHECK(has_line(text, "CapEff:\t0000000000000000"));
    CHECK(has_line(text, "NoNewPrivs:\t1"));
    CHECK(has_line(text, "Seccomp:\t2"));
    if (as_root)
        CHECK(has_line(text, "Uid:\t65534\t65534\t65534\t65534"));
    CHECK_NUMBER(stop(a), 0);
}

static void test_wrong_rules(void) {
    struct airlock *a = start("{\"allow\":[\"a b\"]}");
    CHECK(told(a, "{\"event\":\"failed\",\"message\":\"networking.allow[0]"));
    CHECK(told(a, "\"status\":422}"));
    CHECK(WEXITSTATUS(stop(a)) == 1);
    a = start("nonsense");
    CHECK(told(a, "\"event\":\"failed\""));
    CHECK(WEXITSTATUS(stop(a)) == 1);
}

static void run_all(void) {
    RUN(test_names, "names");
    RUN(test_relays, "what is allowed is relayed");
    RUN(test_refuses, "what is not is refused at once, and told");
    RUN(test_resolves, "names that the host resolves");
    RUN(test_tls, "TLS has to be for the name");
    RUN(test_http, "HTTP has to be for the name, and by the rules");
    RUN(test_many, "500 connections at once");
    RUN(test_flood, "a flood is counted");
    RUN(test_last_words, "the last counts are told");
    RUN(test_ends_with_the_engine, "it ends with the engine, at once");
    RUN(test_crowd, "those that say nothing hold up others, for a while");
    RUN(test_few_descriptors, "fewer connections with few descriptors");
    RUN(test_privileges, "it has no privileges");
    RUN(test_wrong_rules, "wrong rules are told");
}

/* Beside the tests: build/spec/airlock/test_airlock, build/bin. */
static bool find_program(void) {
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 32);
    for (int i = 0; i < 3 && length > 0; i++)
        while (program[--length] != '/')
            ;
    if (length <= 0)
        return false;
    strcpy(program + length, "/bin/contree-airlock");
    return access(program, X_OK) == 0;
}

static int as_nobody(void *arg) {
    (void)arg;
    run_all();
    return check_failures > 0;
}

static void test_as_nobody(void) {
    struct temp_dir d = temp_dir_make();
    check_as_nobody(&d, as_nobody, NULL);
    temp_dir_remove(&d);
}

int main(void) {
    const struct rlimit many = {4096, 4096};
    if (getuid() != 0 || unshare(CLONE_NEWNET) < 0 ||
        !shell("ip link set lo up && ip addr add 192.0.2.1/32 dev lo")) {
        puts("skip airlock: needs root, to make a network for it");
        return 0;
    }
    if (!find_program()) {
        printf("# no program: %s\n", program);
        return 1;
    }
    setrlimit(RLIMIT_NOFILE, &many);
    pid_t servers[] = {start_server(ECHO_PORT, serve_echo),
                       start_server(GREETER_PORT, serve_greeting),
                       start_server(HTTP_PORT, serve_http)};
    as_root = true;
    run_all();
    RUN(test_files, "it opens no user's files");
    as_root = false;
    RUN(test_as_nobody, "all of it as an ordinary user");
    for (int i = 0; i < 3; i++) {
        kill(servers[i], SIGKILL);
        waitpid(servers[i], NULL, 0);
    }
    return CHECK_DONE();
}
