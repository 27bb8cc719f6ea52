/* spec.h: the description of a cell and of the root that it enters. */
#ifndef CONTREE_INIT_SPEC_H
#define CONTREE_INIT_SPEC_H

#include "init/walls.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

/* A program that makes the sandboxes in place of the cells: crun or runc. */
struct oci_runtime {
    const char *stage;    /* the directory of the host that the stage covers */
    char *const *command; /* program, options that all its commands have */
};

/* The same for all cells of a forkserver. */
struct cell_limits {
    const struct sock_filter *filter;
    unsigned filter_length;
    bool traced;                       /* the filter asks a listener */
    bool one_id;                       /* no ids but 0 are mapped */
    bool fixed_proc;                   /* nothing in /proc can be written */
    long counted[COUNTED];             /* COUNTED_FOR_USERS; 0: no limit here */
    const struct oci_runtime *runtime; /* NULL: cells are the sandboxes */
};

struct mounts;

/* From ORDER_SETUP. */
struct root_spec {
    const char *hostname, *upper, *work;
    const char *config; /* for the runtime */
    const char *const *lowers;
    unsigned lower_count;
    int64_t max_file_bytes, max_processes; /* 0: the default */
    int64_t shm_bytes;                     /* 0: SHM_SIZE */
    uint32_t image_etc;                    /* bits ETC_... */
    bool connected;        /* to a network, so it needs a name server */
    struct mounts *mounts; /* what is mounted in it (mounts.h) */
};

#endif
