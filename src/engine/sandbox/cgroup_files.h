/* cgroup_files.h: the files of a control group, by its directory. A group may
 * be gone meanwhile. Any thread. */
#ifndef CONTREE_SANDBOX_CGROUP_FILES_H
#define CONTREE_SANDBOX_CGROUP_FILES_H

#include "base/fault.h"
#include <stdbool.h>
#include <stdint.h>

/* The text of a file, which the caller frees; NULL if it cannot be read. */
char *cgroup_read_text(int dir, const char *name);
/* Writes a file in one go: 0, or -1 with errno. */
int cgroup_write_text(int dir, const char *name, const char *text);
/* The line behind this one, or NULL. */
const char *next_line(const char *line);
/* A number from a file of "name value" lines; 0 if it is not there. In version
 * 2 reading the file also arms the next wake-up. */
long cgroup_counter(int fd, const char *name);
/* The same of a file of the directory. */
long cgroup_number(int dir, const char *file, const char *name);

/* Directories of a group, owned; -1: it does not count that. */
struct cgroup_files {
    int memory, cpu;
    bool unified; /* memory is of version 2 */
};
/* What its processes have used; -1: not counted. */
double cgroup_cpu_seconds(const struct cgroup_files *g);
/* Leaves what is not counted as it is. */
void cgroup_memory(const struct cgroup_files *g, int64_t *now, int64_t *peak);
/* Freezes or thaws all processes of the group, soon. */
int cgroup_freeze(int freezer, bool freeze, struct fault *f);
/* Waits until they are frozen, at most for some milliseconds. */
bool cgroup_await_frozen(int freezer, int milliseconds);

#endif
