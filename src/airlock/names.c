/* names.c: see names.h. */
#define _GNU_SOURCE
#include "airlock/names.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* At most half of the slots are taken. */
enum { SLOTS = 2 * NAMES_MAX };
static const uint32_t first_address = 0xc6120001; /* 198.18.0.1 */

struct names {
    char *list[NAMES_MAX];
    size_t count;
    uint16_t slots[SLOTS]; /* places in the list, plus one; 0: free */
};

struct names *names_make(void) {
    return calloc(1, sizeof(struct names));
}

void names_free(struct names *n) {
    if (!n)
        return;
    for (size_t i = 0; i < n->count; i++)
        free(n->list[i]);
    free(n);
}

/* FNV-1a. Whoever chooses names so that they collide slows down only itself,
 * and by no more than NAMES_MAX comparisons. */
static size_t hash(const char *name) {
    uint32_t h = 2166136261u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h % SLOTS;
}

static void write_address(size_t place, struct address *out) {
    struct sockaddr_in four = {.sin_family = AF_INET};
    four.sin_addr.s_addr = htonl(first_address + (uint32_t)place);
    address_of((struct sockaddr *)&four, out);
}

bool names_address(struct names *n, const char *name, struct address *out) {
    size_t slot = hash(name);
    for (; n->slots[slot]; slot = (slot + 1) % SLOTS) {
        size_t place = n->slots[slot] - 1u;
        if (strcmp(n->list[place], name) == 0) {
            write_address(place, out);
            return true;
        }
    }
    char *copy = n->count < NAMES_MAX ? strdup(name) : NULL;
    if (!copy)
        return false;
    write_address(n->count, out);
    n->list[n->count++] = copy;
    n->slots[slot] = (uint16_t)n->count;
    return true;
}

const char *names_find(const struct names *n, const struct address *a) {
    uint32_t number;
    if (!address_is_v4(a))
        return NULL;
    memcpy(&number, a->bytes + 12, sizeof number);
    number = ntohl(number) - first_address;
    return number < n->count ? n->list[number] : NULL;
}
