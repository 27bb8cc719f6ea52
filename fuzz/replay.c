/* replay.c: runs a fuzzer without libFuzzer, in the gate: first the kept
 * corpus, then random changes of it for some time. It says how to repeat what
 * it did when the fuzzer aborts. REPLAY_SECONDS=0.5 CONTREE_SEED=1 fuzzer
 * CORPUS... */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUTS_MAX = 4096, INPUT_MAX = 4096 };

struct input {
    uint8_t *data;
    size_t size;
};

/* The inputs of the corpus. */
static struct input inputs[INPUTS_MAX];
static size_t input_count;
static uint64_t state;

/* A number from 0 on, below `n`. */
static size_t below(size_t n) {
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return n ? (z ^ z >> 31) % n : 0;
}

/* The fuzzer gets memory of exactly that size, so that sanitizers see a read
 * beyond it. */
static void try_input(const uint8_t *data, size_t size) {
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        exit(2);
    if (size)
        memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void load(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);
    if (!file || !data || input_count == INPUTS_MAX) {
        fprintf(stderr, "cannot load %s\n", path);
        exit(2);
    }
    size_t size = fread(data, 1, INPUT_MAX, file);
    inputs[input_count++] = (struct input){data, size};
    fclose(file);
}

static void load_directory(const char *path) {
    struct dirent **names;
    char whole[4096];
    int count = scandir(path, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        snprintf(whole, sizeof whole, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            load(whole);
        free(names[i]);
    }
    if (count < 0) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    free(names);
}

/* Replaces, adds or removes a few bytes, or puts in a part of another input. */
static size_t change(uint8_t *data, size_t size) {
    const struct input other = inputs[below(input_count)];
    size_t at = below(size + 1), n = 1 + below(8), from = below(other.size);
    if (size == 0)
        return 0;
    switch (below(6)) {
    case 0:
        data[at % size] = (uint8_t)below(256);
        return size;
    case 1:
        data[at % size] ^= (uint8_t)(1 << below(8));
        return size;
    case 2:
        n = n < size - at ? n : size - at;
        memmove(data + at, data + at + n, size - at - n);
        return size - n;
    case 3:
        n = n < INPUT_MAX - size ? n : INPUT_MAX - size;
        memmove(data + at + n, data + at, size - at);
        return size + n;
    case 4:
        n = below(64);
        n = n < other.size - from ? n : other.size - from;
        n = n < INPUT_MAX - size ? n : INPUT_MAX - size;
        memmove(data + at + n, data + at, size - at);
        memcpy(data + at, other.data + from, n);
        return size + n;
    default:
        n = n < size - at ? n : size - at;
        memset(data + at, (int)below(256), n);
        return size;
    }
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t try_changes(double seconds) {
    static uint8_t data[INPUT_MAX]; /* too large for a frame */
    size_t count = 0;
    for (double end = now() + seconds; now() < end; count++) {
        const struct input *base = &inputs[below(input_count)];
        size_t size = base->size;
        memcpy(data, base->data, size);
        for (size_t n = 1 + below(4); n > 0; n--)
            size = change(data, size);
        try_input(data, size);
    }
    return count;
}

int main(int argc, char **argv) {
    const char *seed = getenv("CONTREE_SEED"),
               *seconds = getenv("REPLAY_SECONDS");
    state = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    for (int i = 1; i < argc; i++)
        load_directory(argv[i]);
    if (input_count == 0)
        return fprintf(stderr, "%s: no corpus\n", argv[0]), 2;
    fprintf(stderr, "%s: CONTREE_SEED=%llu\n", argv[0],
            (unsigned long long)state);
    for (size_t i = 0; i < input_count; i++)
        try_input(inputs[i].data, inputs[i].size);
    size_t count = try_changes(seconds ? strtod(seconds, NULL) : 0.5);
    printf("%zu of the corpus, %zu changed\n", input_count, count);
    for (size_t i = 0; i < input_count; i++)
        free(inputs[i].data);
    return 0;
}
