/* list.h: an intrusive doubly linked list; a link that points to itself is
 * in no list. */
#ifndef CONTREE_LIST_H
#define CONTREE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *previous, *next;
};

/* The structure of type `type` whose member `member` is at `link`. */
#define link_owner(link, type, member)                                         \
    ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void link_init(struct link *link) {
    link->previous = link->next = link;
}

static inline bool link_alone(const struct link *link) {
    return link->next == link;
}

/* Appends `link`, which is in no list, to `list`. */
static inline void link_append(struct link *list, struct link *link) {
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

static inline void link_remove(struct link *link) {
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link_init(link);
}

#endif
