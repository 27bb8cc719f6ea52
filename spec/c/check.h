/* check.h: checks for C unit tests. Each test function prints one line of TAP.
 */
#ifndef CONTREE_CHECK_H
#define CONTREE_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A test program is one translation unit, so these may be static. */
static int check_number, check_failures;
static bool check_ok;

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            check_ok = false;                                                  \
            printf("# %s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
        }                                                                      \
    } while (0)

#define CHECK_STRING(actual, expected)                                         \
    do {                                                                       \
        const char *a_ = (actual), *e_ = (expected);                           \
        if (!a_ || strcmp(a_, e_) != 0) {                                      \
            check_ok = false;                                                  \
            printf("# %s:%d: got \"%s\", want \"%s\"\n", __FILE__, __LINE__,   \
                   a_ ? a_ : "(null)", e_);                                    \
        }                                                                      \
    } while (0)

#define CHECK_NUMBER(actual, expected)                                         \
    do {                                                                       \
        long long a_ = (actual), e_ = (expected);                              \
        if (a_ != e_) {                                                        \
            check_ok = false;                                                  \
            printf("# %s:%d: %s is %lld, want %lld\n", __FILE__, __LINE__,     \
                   #actual, a_, e_);                                           \
        }                                                                      \
    } while (0)

/* Runs one test function: RUN(test_name, "what it proves"). */
#define RUN(function, what)                                                    \
    do {                                                                       \
        check_ok = true;                                                       \
        function();                                                            \
        check_number++;                                                        \
        check_failures += !check_ok;                                           \
        printf("%s %d - %s\n", check_ok ? "ok" : "not ok", check_number,       \
               what);                                                          \
        fflush(stdout);                                                        \
    } while (0)

#define CHECK_DONE() (printf("1..%d\n", check_number), check_failures ? 1 : 0)

#endif
