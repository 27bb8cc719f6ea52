/* members.h: the names of an object's members, as a client wrote them. */
#ifndef CONTREE_POLICY_MEMBERS_H
#define CONTREE_POLICY_MEMBERS_H

#include "base/fault.h"
#include <jansson.h>
#include <stddef.h>

/* 0, or -1 with 422 for a member that is not among `names`: the message has the
 * nearest of these, or all of them. `where` is what it calls the object. */
int members_check(const json_t *object, const char *where,
                  const char *const *names, size_t count, struct fault *f);

#endif
