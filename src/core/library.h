/* library.h: libraries that are opened when they are first needed, so that a
 * `require` does not cost the time. */
#ifndef CONTREE_LIBRARY_H
#define CONTREE_LIBRARY_H

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

/* Puts the address of a function into the function pointer at `slot`; false
 * when the library has none of that name. */
static inline bool library_resolve(void *library, const char *name,
                                   void *slot) {
    void *symbol = dlsym(library, name);
    memcpy(slot, &symbol, sizeof symbol);
    return symbol != NULL;
}

#endif
