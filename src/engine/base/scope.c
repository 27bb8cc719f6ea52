/* scope.c: see scope.h. */
#define _GNU_SOURCE
#include "base/scope.h"
#include <stdlib.h>

void cleanup_free(void *p) {
    free(*(void **)p);
}

void *steal_pointer(void *p) {
    void *taken = *(void **)p;
    *(void **)p = NULL;
    return taken;
}
