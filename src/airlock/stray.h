/* stray.h: attempts that no socket of ours takes: TCP to other ports, UDP,
 * pings. The kernel has refused them already; this tells of them. */
#ifndef CONTREE_AIRLOCK_STRAY_H
#define CONTREE_AIRLOCK_STRAY_H

#include "airlock/events.h"
#include "airlock/names.h"
#include "base/fault.h"
#include <uv.h>

/* A socket that sees what comes over this interface of the current namespace.
 */
int stray_open(const char *interface, struct fault *f);

struct stray;
struct stray *stray_start(uv_loop_t *loop, int fd, const struct policy *p,
                          const struct names *names, struct events *events,
                          struct fault *f);
/* Tell of what has come: the sandbox has ended. */
void stray_finish(struct stray *s);

#endif
