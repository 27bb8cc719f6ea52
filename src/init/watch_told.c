#include "init/watch_told.h"

#include <stdlib.h>

enum { SIZE_MIN = 256 };

/* The lowest bit of an entry. */
enum { USED_UP = 1 };

static uint64_t hash_of(int number, const char *name) {
    const uint64_t prime = 1099511628211U;
    /* The number is stirred in, or it would be mixed up with the first letter.
     */
    uint64_t sum = (14695981039346656037U ^ (uint64_t)number) * prime * prime;
    do
        sum = (sum ^ (unsigned char)*name) * prime;
    while (*name++);
    return (sum & ~(uint64_t)USED_UP) | 2;
}

static void put_hash(uint64_t *table, size_t size, uint64_t hash) {
    size_t i = hash % size;
    while (table[i] && (table[i] | USED_UP) != (hash | USED_UP))
        i = (i + 1) % size;
    table[i] = hash;
}

void told_note(struct watch_told *t, int number, const char *name) {
    if (2 * (t->count + 1) > t->size) {
        size_t size = t->size ? 2 * t->size : SIZE_MIN;
        uint64_t *grown = calloc(size, sizeof *grown);
        if (!grown)
            return; /* it may be told twice */
        for (size_t i = 0; i < t->size; i++)
            if (t->table[i])
                put_hash(grown, size, t->table[i]);
        free(t->table);
        t->table = grown;
        t->size = size;
    }
    put_hash(t->table, t->size, hash_of(number, name));
    t->count++;
}

bool told_again(struct watch_told *t, int number, const char *name) {
    uint64_t hash = hash_of(number, name);
    size_t i = t->size ? hash % t->size : 0;
    for (; t->size && t->table[i]; i = (i + 1) % t->size)
        if ((t->table[i] | USED_UP) == (hash | USED_UP)) {
            bool again = !(t->table[i] & USED_UP);
            t->table[i] |= USED_UP;
            return again;
        }
    return false;
}

void told_forget(struct watch_told *t) {
    free(t->table);
    t->table = NULL;
    t->size = t->count = 0;
}
