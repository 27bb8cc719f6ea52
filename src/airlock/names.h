/* names.h: made-up addresses of names. A sandbox connects to an address; this
 * table says which name it had asked for. Each name has an address of its own,
 * in 198.18.0.0/15, as long as the airlock runs. */
#ifndef CONTREE_AIRLOCK_NAMES_H
#define CONTREE_AIRLOCK_NAMES_H

#include "airlock/policy/address.h"
#include <stdbool.h>

struct names;

enum { NAMES_MAX = 4096 };

struct names *names_make(void); /* NULL: out of memory */
void names_free(struct names *n);
/* The address of the name, made up when it is new. False: there are NAMES_MAX
 * already, or out of memory. */
bool names_address(struct names *n, const char *name, struct address *out);
/* The name that has this address, or NULL. */
const char *names_find(const struct names *n, const struct address *a);

#endif
