/* test_airlock.c: what the engine takes from an airlock: this program plays
 * airlocks of all kinds, also those that somebody has taken over. */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include "check.h"
#include "sandbox/airlock.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the players: the rules say which one ---- */

static void say(const char *text) {
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t n = send(4, text, length, MSG_NOSIGNAL);
        if (n < 0)
            _exit(3);
        text += n;
        length -= (size_t)n;
    }
}

static void wait_for_the_end(void) {
    char byte;
    while (read(4, &byte, 1) > 0)
        continue;
}

static void play_well(void) {
    say("{\"event\":\"ready\"}\n{\"event\":\"refused\",");
    usleep(20000);
    say("\"name\":\"a\"}\n");
    wait_for_the_end();
    say("{\"event\":\"refused\",\"name\":\"late\"}\n");
}

static void play_failing(void) {
    say("{\"event\":\"failed\",\"message\":\"no veth\"}\n");
    wait_for_the_end();
}

static void play_nonsense(void) {
    say("{\"event\":\"ready\"}\nthis is no report\n");
    pause();
}

static void play_endless_line(void) {
    say("{\"event\":\"ready\"}\n{\"event\":\"");
    for (;;)
        say("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}

static void play_flood(void) {
    signal(SIGPIPE, SIG_IGN);
    say("{\"event\":\"ready\"}\n");
    for (;;)
        say("{\"event\":\"refused\"}\n{\"event\":\"refused\"}\n"
            "{\"event\":\"refused\"}\n{\"event\":\"refused\"}\n");
}

static void play_deaf(void) {
    say("{\"event\":\"ready\"}\n");
    for (;;)
        pause();
}

/* Leaves a process behind that has its socket. */
static void play_ghost(void) {
    say("{\"event\":\"ready\"}\n{\"event\":\"refused\"}\n");
    if (fork() == 0) {
        sleep(20);
        _exit(0);
    }
}

/* Says back the first line that it is told. */
static void play_echo(void) {
    char line[256] = "", told[512];
    say("{\"event\":\"ready\"}\n");
    if (read(4, line, sizeof line - 1) <= 0)
        return;
    line[strcspn(line, "\n")] = 0;
    snprintf(told, sizeof told, "{\"event\":\"refused\",\"name\":\"%s\"}\n",
             line);
    say(told);
    wait_for_the_end();
}

static void play_silent(void) {
}

/* As the loader ends a program that lacks a library. */
static void play_unloadable(void) {
    _exit(127);
}

static void play_killed(void) {
    kill(getpid(), SIGKILL);
}

static int play(void) {
    static const struct {
        const char *name;
        void (*play)(void);
    } players[] = {{"well", play_well},
                   {"failing", play_failing},
                   {"nonsense", play_nonsense},
                   {"endless", play_endless_line},
                   {"flood", play_flood},
                   {"deaf", play_deaf},
                   {"ghost", play_ghost},
                   {"silent", play_silent},
                   {"echo", play_echo},
                   {"killed", play_killed},
                   {"unloadable", play_unloadable}};
    char rules[32] = "";
    if (read(3, rules, sizeof rules - 1) < 0 || fcntl(5, F_GETFD) < 0)
        return 1;
    for (size_t i = 0; i < sizeof players / sizeof *players; i++)
        if (strcmp(players[i].name, rules) == 0)
            players[i].play();
    return 0;
}

/* ---- the engine's side ---- */

static struct heard {
    struct airlock *airlock;
    bool connected, ended, lost;
    int connections, reports, turns;
    char last[32];
    struct fault why;
} heard;

static void on_connected(void *arg, const struct fault *why) {
    struct heard *h = arg;
    h->connections++;
    h->connected = !why;
    if (why)
        h->why = *why;
}

static void on_told(void *arg, const json_t *report) {
    struct heard *h = arg;
    const char *name = json_string_value(json_object_get(report, "name"));
    h->reports++;
    snprintf(h->last, sizeof h->last, "%s", name ? name : "");
}

static void on_ended(void *arg, bool lost) {
    struct heard *h = arg;
    h->ended = true;
    h->lost = lost;
    h->airlock = NULL;
}

static void start(const char *player) {
    static const struct airlock_callbacks on = {on_connected, on_told, on_ended,
                                                NULL};
    struct fault f = {0};
    int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    heard = (struct heard){0};
    heard.airlock = airlock_start(uv_default_loop(), program, net,
                                  airlock_rules(player, &f), &on, &heard, &f);
    CHECK(heard.airlock != NULL);
    close_fd(program);
}

static void turn(void) {
    uv_run(uv_default_loop(), UV_RUN_ONCE);
    heard.turns++;
}

static void run_to_its_end(void) {
    while (!heard.ended)
        turn();
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}

static void test_reports(void) {
    start("well");
    while (heard.reports == 0)
        turn();
    CHECK(heard.connected && heard.connections == 1);
    CHECK_STRING(heard.last, "a");
    airlock_finish(heard.airlock);
    airlock_finish(heard.airlock);
    run_to_its_end();
    CHECK(!heard.lost && heard.reports == 2);
    CHECK_STRING(heard.last, "late");
}

static void test_failure(void) {
    start("failing");
    while (heard.connections == 0)
        turn();
    CHECK(!heard.connected);
    CHECK_STRING(heard.why.message, "the network cannot be provided: no veth");
    airlock_finish(heard.airlock);
    run_to_its_end();
    start("silent");
    run_to_its_end();
    CHECK(heard.connections == 1 && !heard.connected && heard.lost);
    CHECK(heard.why.status == 503);
    CHECK(strstr(heard.why.message, "ended with code 0"));
    start("killed");
    run_to_its_end();
    CHECK(heard.lost && strstr(heard.why.message, "ended with code -9"));
    start("unloadable");
    run_to_its_end();
    CHECK(heard.lost && strstr(heard.why.message, "Fix: sudo apt-get install"));
}

static void test_nonsense(void) {
    static const char *const players[] = {"nonsense", "endless"};
    for (int i = 0; i < 2; i++) {
        start(players[i]);
        run_to_its_end();
        CHECK(heard.connected && heard.lost && heard.reports == 0);
    }
}

/* However much it says, a turn of the loop takes a piece of it only. */
static void test_flood(void) {
    start("flood");
    while (heard.reports < 5000)
        turn();
    CHECK(heard.reports / heard.turns < 1000);
    airlock_finish(heard.airlock);
    run_to_its_end();
    CHECK(!heard.lost);
}

static void test_deaf(void) {
    start("deaf");
    while (!heard.connected)
        turn();
    airlock_finish(heard.airlock);
    run_to_its_end();
    CHECK(!heard.lost);
}

static void test_answers(void) {
    struct fault f;
    char line[16 << 10];
    start("echo");
    while (!heard.connected)
        turn();
    CHECK(airlock_answer(heard.airlock, "hello\n", 6, &f) == 0);
    while (heard.reports == 0)
        turn();
    CHECK_STRING(heard.last, "hello");
    airlock_finish(heard.airlock);
    CHECK(airlock_answer(heard.airlock, "late\n", 5, &f) < 0 &&
          f.status == 409);
    run_to_its_end();
    /* Whoever does not listen holds nobody up. */
    start("deaf");
    while (!heard.connected)
        turn();
    int told = 0;
    memset(line, 'x', sizeof line);
    while (airlock_answer(heard.airlock, line, sizeof line, &f) == 0 &&
           told < 1000)
        told++;
    CHECK(told >= 4 && told < 1000 && f.status == 429);
    airlock_finish(heard.airlock);
    run_to_its_end();
    CHECK(!heard.lost);
}

static void test_ghost(void) {
    start("ghost");
    run_to_its_end();
    CHECK(heard.connected && heard.lost && heard.reports == 1);
}

static void test_finish_at_once(void) {
    start("well");
    airlock_finish(heard.airlock);
    run_to_its_end();
    CHECK(heard.connections == 0 && !heard.lost);
}

int main(int argc, char **argv) {
    if (argc > 0 && strcmp(argv[0], "contree-airlock") == 0)
        return play();
    RUN(test_reports, "reports are told, also those at the end");
    RUN(test_failure, "what it failed for is told");
    RUN(test_nonsense, "what is no report ends it");
    RUN(test_flood, "a flood of reports is taken in pieces");
    RUN(test_deaf, "one that does not end is killed");
    RUN(test_answers, "answers are told, to one that listens");
    RUN(test_ghost, "a process that it leaves behind is not waited for");
    RUN(test_finish_at_once, "it may be ended before it is ready");
    return CHECK_DONE();
}
