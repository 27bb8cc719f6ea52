/* seed.h: random numbers that can be repeated: CONTREE_SEED is the seed, else
 * the clock; CONTREE_CASES is how many cases a test tries. */
#ifndef CONTREE_SEED_H
#define CONTREE_SEED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t seed_state;

static inline void seed_begin(void) {
    const char *given = getenv("CONTREE_SEED");
    seed_state = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("# CONTREE_SEED=%llu\n", (unsigned long long)seed_state);
}

/* A number from 0 on, below `n`. */
static inline int seed_below(int n) {
    seed_state += 0x9e3779b97f4a7c15u;
    uint64_t z = seed_state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return n > 0 ? (int)((z ^ z >> 31) % (uint64_t)n) : 0;
}

static inline int seed_count(int otherwise) {
    const char *given = getenv("CONTREE_CASES");
    return given ? atoi(given) : otherwise;
}

#endif
