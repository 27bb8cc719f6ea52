/* owners.h: the names of an image's users and groups. */
#ifndef CONTREE_VIEW_OWNERS_H
#define CONTREE_VIEW_OWNERS_H

#include <sys/types.h>

struct view;

/* The name that the image's own /etc/passwd (/etc/group) has for an id, or
 * NULL. Printable ASCII. Valid as long as the view. */
const char *view_user(struct view *v, uid_t uid);
const char *view_group(struct view *v, gid_t gid);

#endif
