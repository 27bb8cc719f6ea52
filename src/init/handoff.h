/* handoff.h: what a cell leaves for the init inside the container that a
 * runtime makes: a memfd among the descriptors that the runtime passes on. */
#ifndef CONTREE_INIT_HANDOFF_H
#define CONTREE_INIT_HANDOFF_H

#include "init/failure.h"
#include "init/protocol.h"
#include "init/spec.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

/* The descriptors that the runtime passes on. */
enum {
    INSIDE_CONTROL = FORKSERVER_SOCKET,
    INSIDE_HANDOFF,
    INSIDE_PROGRAM, /* RUNTIME_INIT_PROGRAM */
    INSIDE_GROUPS,  /* the first of the control groups */
};

/* The namespaces that a runtime must make. */
enum { HANDOFF_NAMESPACES = 4 };

struct handoff {
    int64_t max_file_bytes, max_processes;
    uint64_t namespaces[HANDOFF_NAMESPACES]; /* of the cell */
    uint32_t group_count;
    uint32_t begun; /* set by the init inside */
    uint32_t fixed_proc;
    uint32_t mounts; /* volumes and directories of the host in the root */
    uint32_t traced;
    uint32_t filter_length;
    struct sock_filter filter[];
};

/* A memfd, which the caller owns. */
int handoff_write(const struct cell_limits *limits,
                  const struct root_spec *root, unsigned group_count,
                  struct failure *f);
/* The handoff at INSIDE_HANDOFF, shared with the cell; NULL when there is none,
 * because the program was started by hand. */
struct handoff *handoff_take(void);
/* The namespaces that this process is in: their inode numbers. */
int handoff_namespaces(uint64_t out[HANDOFF_NAMESPACES], struct failure *f);
extern const char *const handoff_namespace_names[HANDOFF_NAMESPACES];
/* Has the init inside begun? `fd` is the memfd. */
bool handoff_has_begun(int fd);

#endif
