/* child.h: the process that unpacks; see jail.h. It is this program, started
 * once more by another name. The main() of a program that unpacks begins with
 *     if (unpack_is_child(argv))
 *         return unpack_child(); */
#ifndef CONTREE_UNPACK_CHILD_H
#define CONTREE_UNPACK_CHILD_H

#include <stdbool.h>

bool unpack_is_child(char *const argv[]);
int unpack_child(void);

#endif
